//! Why nothing of a run is running: what is in the way of the one that is nearest to its start.

use domain::state::TaskState;
use store::view::{Page, task::Filter};

use super::Seen;
use crate::{
    error::Error,
    pages::{paths, tally::Tally, task, visit::Visit},
};

/// What is said, and where there is more of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hint {
    pub(crate) text: String,
    pub(crate) task: String,
    pub(crate) href: String,
}

/// Nearest to its start first.
const NEAREST: [TaskState; 6] = [
    TaskState::Scheduled,
    TaskState::UpForRetry,
    TaskState::AwaitingInput,
    TaskState::Deferred,
    TaskState::UpForReschedule,
    TaskState::None,
];

/// Why nothing runs, when nothing does and something could.
///
/// # Errors
/// Only when the database fails.
pub(super) async fn hint(visit: &Visit, seen: &Seen, tally: &Tally) -> Result<Option<Hint>, Error> {
    let runs = tally.present().any(|(state, _)| state.is_in_flight());
    let waiting = NEAREST.into_iter().find(|state| tally.of(*state) > 0);
    let Some(state) = waiting.filter(|_| !runs && !seen.run.state.is_finished()) else {
        return Ok(None);
    };
    let filter = Filter { run: Some(seen.run.key), states: vec![state], ..Filter::default() };
    let found = visit.state.store.instances(&filter, Page::first(1)).await?;
    let Some(first) = found.rows.into_iter().next() else {
        return Ok(None);
    };
    let answer = task::why::ask(visit, seen, &first.task_id, first.map_index).await?;
    let (dag_id, run_id) = (seen.run.dag_id.as_str(), seen.run.run_id.as_str());
    let obstacle = answer.and_then(|answer| answer.obstacles.into_iter().next());
    Ok(obstacle.map(|obstacle| Hint {
        text: obstacle.to_string(),
        task: first.task_id.to_string(),
        href: paths::instance(dag_id, run_id, first.task_id.as_str(), first.map_index),
    }))
}
