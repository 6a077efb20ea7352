//! The sign-in page.

use askama::Template;

use super::parts::Theme;

/// The form, and what went wrong the last time.
#[derive(Debug, Template)]
#[template(path = "sign_in.html")]
pub(crate) struct SignInPage {
    pub(crate) theme: Theme,
    pub(crate) assets: &'static str,
    pub(crate) csrf: String,
    /// Where to go after signing in; a path of this site.
    pub(crate) next: String,
    pub(crate) username: String,
    pub(crate) problem: Option<String>,
}
