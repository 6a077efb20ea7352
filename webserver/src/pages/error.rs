//! The page that tells about an error and shows the way back.

use askama::Template;

use super::parts::Theme;

/// An error, said to a person.
#[derive(Debug, Template)]
#[template(path = "error.html")]
pub(crate) struct ErrorPage {
    pub(crate) theme: Theme,
    pub(crate) assets: &'static str,
    pub(crate) status: u16,
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) hint: Option<String>,
    pub(crate) back: String,
    pub(crate) back_label: String,
    pub(crate) request_id: Option<String>,
}
