//! The rounds of a task that is repeated.

use std::collections::HashMap;

use domain::{repeat::Repeat, state::TaskState};
use store::view::task::Instance;

use super::Seen;
use crate::{error::Error, pages::visit::Visit};

/// The round that each try of an instance was, by the number of the try; empty outside of loops.
///
/// # Errors
/// Only when the database fails.
pub(super) async fn by_try(
    visit: &Visit,
    seen: &Seen,
    instance: &Instance,
) -> Result<HashMap<u32, u32>, Error> {
    if seen.repeat().is_none() {
        return Ok(HashMap::new());
    }
    let tries = visit.state.store.tries(instance.key).await?;
    let ended = tries.iter().filter_map(|ended| Some((ended.attempt.try_number, ended.round?)));
    let mut rounds: HashMap<u32, u32> = ended.collect();
    rounds.entry(instance.try_number).or_insert(newest(instance));
    Ok(rounds)
}

/// How far its loop is: `2 of 10`.
pub(super) fn progress(repeat: &Repeat, instance: &Instance) -> String {
    match instance.try_number {
        0 => "–".to_owned(),
        _ => format!("{} of {}", newest(instance), repeat.max_rounds),
    }
}

/// The round that the newest try is or was: between two rounds that of the one that has ended.
pub(super) const fn newest(instance: &Instance) -> u32 {
    match instance.state {
        TaskState::UpForReschedule => instance.rounds,
        TaskState::None
        | TaskState::Scheduled
        | TaskState::Queued
        | TaskState::Running
        | TaskState::Restarting
        | TaskState::Success
        | TaskState::Failed
        | TaskState::UpForRetry
        | TaskState::UpstreamFailed
        | TaskState::Skipped
        | TaskState::Deferred
        | TaskState::AwaitingInput
        | TaskState::Removed => instance.rounds + 1,
    }
}

/// How a task is repeated, in words.
pub(super) fn words(repeat: &Repeat) -> String {
    let Repeat { until, max_rounds, delay, on_exhausted } = repeat;
    let apart = delay.map(|delay| format!(", {delay} apart")).unwrap_or_default();
    format!("until `{until}`, in at most {max_rounds} rounds{apart}; then {}", on_exhausted.as_str())
}
