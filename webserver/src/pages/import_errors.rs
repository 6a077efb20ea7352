//! Files that cannot be imported.

use askama::Template;

use super::parts::{Frame, Shell};

/// The list, or its live part (`as_errors`).
#[derive(Debug, Template)]
#[template(path = "import_errors.html", blocks = ["errors"])]
pub(crate) struct ImportErrorsPage {
    pub(crate) shell: Shell,
    pub(crate) frames: Vec<Frame>,
    /// How many more there are than are shown.
    pub(crate) hidden: i64,
}
