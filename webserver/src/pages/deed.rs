//! Doing what a person asked for, and telling them on the page that follows what became of it.

use actix_web::HttpResponse;
use domain::intent::Wish;

use super::{
    parts::Mood,
    visit::{back, go},
};
use crate::{
    AppState,
    auth::User,
    error::Error,
    wish::{self, Outcome},
};

/// Asks the engine for `wish`, waits a moment, and goes to `wanted` (when that is a page of ours) or `otherwise`.
///
/// # Errors
/// When the wish could not be written down.
pub(crate) async fn perform(
    state: &AppState,
    user: &User,
    wish: Wish,
    wanted: Option<&str>,
    otherwise: &str,
    done: &str,
) -> Result<HttpResponse, Error> {
    let outcome = wish::ask(state, user.name(), wish).await?;
    let path = back(wanted, otherwise);
    Ok(match outcome {
        Outcome::Done => go(&path, Mood::Good, done),
        Outcome::Refused(reason) => go(&path, Mood::Bad, &format!("That was not done: {reason}.")),
        Outcome::Pending => go(&path, Mood::Warn, wish::PENDING),
    })
}
