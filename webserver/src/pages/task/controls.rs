//! What may be done to a task that waits: holding it back, letting it go, another place in line, switching it off.

use domain::state::TaskState;

use super::Seen;
use crate::{error::Error, pages::visit::Visit};

/// What the page offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Controls {
    /// Something of it may still be held back.
    pub(crate) can_hold: bool,
    /// Something of it may be held and can be let go.
    pub(crate) can_release: bool,
    /// An instance of it is held.
    pub(crate) is_held: bool,
    /// It was switched off in its DAG.
    pub(crate) is_off: bool,
    /// Its DAG has it still, so it can be switched.
    pub(crate) can_switch: bool,
    /// Its effective priority; nothing for all instances of a mapped task together.
    pub(crate) priority: Option<i32>,
}

/// What may be done to the task that is looked at.
///
/// # Errors
/// Only when the database fails.
pub(super) async fn controls(visit: &Visit, seen: &Seen) -> Result<Controls, Error> {
    let off = visit.state.store.switched_off(&seen.run.run.dag_id).await?;
    let waits = !seen.run.run.state.is_finished() && waits(seen);
    let instance = seen.instance.as_ref();
    // Of many instances some may be held and others not, so both ways are open.
    let is_held = instance.is_some_and(|instance| instance.is_held);
    Ok(Controls {
        can_hold: waits && !is_held,
        can_release: waits && (is_held || instance.is_none()),
        is_held: waits && is_held,
        is_off: off.contains(&seen.task_id),
        can_switch: seen.spec().is_some(),
        priority: instance.map(|instance| instance.priority),
    })
}

fn waits(seen: &Seen) -> bool {
    let open = |state: TaskState| !state.is_finished() && !state.is_in_flight();
    match &seen.instance {
        Some(instance) => open(instance.state),
        None => seen.tally.present().any(|(state, _)| open(state)),
    }
}
