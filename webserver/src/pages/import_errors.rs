//! Files that cannot be imported.

use actix_web::HttpResponse;
use askama::Template;

use super::{frame::Frame, parts::Shell, visit::Visit};
use crate::error::Error;

/// Errors shown.
const MOST: u32 = 100;

/// The list, or its live part (`as_errors`).
#[derive(Debug, Template)]
#[template(path = "import_errors.html", blocks = ["errors"])]
pub(crate) struct ImportErrorsPage {
    pub(crate) shell: Shell,
    pub(crate) frames: Vec<Frame>,
    /// How many more there are than are shown.
    pub(crate) hidden: i64,
}

/// Answers.
pub(crate) async fn show(visit: Visit) -> Result<HttpResponse, Error> {
    let errors = visit.state.store.import_errors(None, MOST, 0).await?;
    let total = errors.first().map_or(0, |error| error.total);
    let frames: Vec<Frame> = errors.into_iter().map(|error| Frame::new(error, visit.now)).collect();
    let page = ImportErrorsPage {
        shell: visit.shell("import-errors").await?,
        hidden: total - i64::try_from(frames.len()).unwrap_or(total),
        frames,
    };
    visit.answer(match visit.fragment() {
        Some("errors") => page.as_errors().render(),
        Some(_) | None => page.render(),
    })
}
