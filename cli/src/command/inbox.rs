//! Asking the engine: a wish goes into the inbox, the bell is rung, and what became of it is told.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use domain::intent::{Intent, Message, Wish};
use queue::Bell;
use runtime::config::Config;
use store::{Store, view::api_wish::Fate};
use tokio::time::Instant;

use crate::setup;

/// How long the engine may take; without a bell it looks into its inbox once a second.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often is asked what became of a wish.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Asks for something. True when it was carried out; false when the engine has not taken it in yet, probably because no
/// scheduler runs.
///
/// # Errors
/// When the engine refuses.
pub async fn ask(config: &Config, store: &Store, wish: Wish) -> Result<bool> {
    let intent = Intent { by: setup::operator(), wish };
    let ids = store.post(&[Message::Intent(intent.clone())]).await?;
    let id = *ids.first().context("the wish was not taken in")?;
    setup::ring(config, Bell::Engine).await?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match store.fate(id, &intent).await? {
            Fate::Done => return Ok(true),
            Fate::Refused(reason) => bail!("refused: {reason}"),
            Fate::Waiting if Instant::now() > deadline => return Ok(false),
            Fate::Waiting => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}
