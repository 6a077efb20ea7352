//! Asking the engine for something, and waiting a moment for it to be done, so that the answer shows how things are now.

use std::time::Duration;

use domain::intent::{Intent, Message, Wish};
use queue::Bell;
use store::{InboxId, view::api_wish::Fate};
use tokio::time::Instant;
use tracing::warn;

use crate::{AppState, error::Error};

/// The first look is after this time, later ones after twice the time before, up to [`SLOWEST`].
const FIRST_LOOK: Duration = Duration::from_millis(8);
/// The longest time between two looks.
const SLOWEST: Duration = Duration::from_millis(250);

/// What became of a wish in the time that a request may wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The engine carried it out.
    Done,
    /// The engine refused it, for this reason.
    Refused(String),
    /// It is written down and will be carried out when a scheduler is back.
    Pending,
}

/// What is said when nobody carried a wish out in time.
pub(crate) const PENDING: &str =
    "It is written down and will be done, but no scheduler answered in time: check that one is running.";

/// Writes the wish of `by` down, wakes the engine and waits for a moment.
///
/// # Errors
/// When the wish could not be written down: then nothing will happen.
pub(crate) async fn ask(state: &AppState, by: &str, wish: Wish) -> Result<Outcome, Error> {
    let mut bells = state.live.bells();
    let intent = Intent { by: by.to_owned(), wish };
    let posted = state.store.post(&[Message::Intent(intent.clone())]).await?;
    if let Err(fault) = state.queue.ring(Bell::Engine).await {
        warn!(%fault, "cannot ring the engine; it looks by itself from time to time");
    }
    let Some(&id) = posted.first() else {
        return Ok(Outcome::Pending);
    };
    wait(state, id, &intent, &mut bells).await
}

/// Waits for what was written down already, under `id`.
///
/// # Errors
/// Only when the database fails.
pub(crate) async fn watch(state: &AppState, id: InboxId, intent: &Intent) -> Result<Outcome, Error> {
    wait(state, id, intent, &mut state.live.bells()).await
}

/// The wish, and nothing else, must come true.
///
/// # Errors
/// [`Error::Conflict`] with the reason when the engine refused, [`Error::Unavailable`] when it did not answer in time.
pub(crate) async fn insist(state: &AppState, by: &str, wish: Wish) -> Result<(), Error> {
    match ask(state, by, wish).await? {
        Outcome::Done => Ok(()),
        Outcome::Refused(reason) => Err(Error::Conflict(reason)),
        Outcome::Pending => Err(Error::Unavailable(PENDING.to_owned())),
    }
}

async fn wait(
    state: &AppState,
    id: InboxId,
    intent: &Intent,
    bells: &mut tokio::sync::broadcast::Receiver<Bell>,
) -> Result<Outcome, Error> {
    let deadline = Instant::now() + state.settings.patience;
    let mut pause = FIRST_LOOK;
    loop {
        // A bell only makes the next look earlier; one for another run does no harm.
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            Ok(_) = bells.recv() => {}
        }
        match state.store.fate(id, intent).await? {
            Fate::Done => return Ok(Outcome::Done),
            Fate::Refused(reason) => return Ok(Outcome::Refused(reason)),
            Fate::Waiting if Instant::now() >= deadline => return Ok(Outcome::Pending),
            Fate::Waiting => pause = (pause * 2).min(SLOWEST),
        }
    }
}
