//! The states of runs and task instances, in Airflow's words, and the one table of legal transitions.
//!
//! Source: Airflow 3.3.2 `utils/state.py`. The database repeats the names as CHECK constraints.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every state, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name in the database, the API and the UI.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = Unknown;
            fn from_str(text: &str) -> Result<Self, Unknown> {
                match text { $($text => Ok(Self::$variant),)+ other => Err(Unknown(other.chars().take(40).collect())) }
            }
        }
    };
}

/// A text that names no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a state")]
pub struct Unknown(pub String);

states! {
    /// The state of a task instance.
    TaskState {
        /// Nothing was decided yet (Airflow's null state).
        None = "none",
        /// Its dependencies are met; it waits for a slot.
        Scheduled = "scheduled",
        /// It was handed to the ready queue.
        Queued = "queued",
        /// A worker claimed it.
        Running = "running",
        /// It succeeded.
        Success = "success",
        /// It was cleared while it ran; its process is being stopped.
        Restarting = "restarting",
        /// It failed and has no retry left.
        Failed = "failed",
        /// It failed and waits for its next try.
        UpForRetry = "up_for_retry",
        /// A sensor waits for its next poke.
        UpForReschedule = "up_for_reschedule",
        /// A dependency failed, so it will not run.
        UpstreamFailed = "upstream_failed",
        /// It was skipped.
        Skipped = "skipped",
        /// It waits for an event without holding a slot.
        Deferred = "deferred",
        /// It waits for a person's answer.
        AwaitingInput = "awaiting_input",
        /// Its task is no longer part of the DAG, or its mapped index no longer exists.
        Removed = "removed",
    }
}

states! {
    /// The state of a DAG run.
    RunState {
        /// Waits for `max_active_runs`, its `run_after` or its DAG to be unpaused.
        Queued = "queued",
        /// Its tasks are being worked on.
        Running = "running",
        /// All leaves succeeded or were skipped.
        Success = "success",
        /// A leaf failed, it timed out, or it was stopped.
        Failed = "failed",
    }
}

states! {
    /// How a run came to be (Airflow's `DagRunType`).
    RunType {
        /// By the DAG's schedule.
        Scheduled = "scheduled",
        /// By a person or a program.
        Manual = "manual",
        /// By a backfill.
        Backfill = "backfill",
        /// By assets.
        AssetTriggered = "asset_triggered",
        /// By another DAG's task.
        OperatorTriggered = "operator_triggered",
        /// By a person or a program, so that an asset is made anew.
        AssetMaterialization = "asset_materialization",
    }
}

impl TaskState {
    /// Nothing will happen to it any more unless a person clears it.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Success | Self::Failed | Self::Skipped | Self::UpstreamFailed | Self::Removed)
    }

    /// It holds slots: it was handed out, and a worker may be running it.
    #[must_use]
    pub const fn is_in_flight(self) -> bool {
        matches!(self, Self::Queued | Self::Running | Self::Restarting)
    }

    /// Its try has begun and waits without a worker.
    #[must_use]
    pub const fn is_asleep(self) -> bool {
        matches!(self, Self::UpForReschedule | Self::Deferred | Self::AwaitingInput)
    }

    /// Whether the table of transitions has an edge from `self` to `to`.
    ///
    /// Staying is always legal. Clearing leads from every state back to [`TaskState::None`]; a person
    /// may mark any instance as success, failed or skipped.
    #[must_use]
    pub fn may_become(self, to: Self) -> bool {
        self == to || TRANSITIONS.iter().any(|(from, targets)| *from == self && targets.contains(&to))
    }
}

impl RunState {
    /// It has ended.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Success | Self::Failed)
    }

    /// Whether a run may go from `self` to `to`; clearing a finished run queues it again.
    #[must_use]
    pub const fn may_become(self, to: Self) -> bool {
        match (self, to) {
            (Self::Queued | Self::Running, _) | (Self::Success | Self::Failed, Self::Queued) => true,
            (Self::Success, Self::Success | Self::Failed) | (Self::Failed, Self::Failed | Self::Success) => {
                true
            }
            (Self::Success | Self::Failed, Self::Running) => false,
        }
    }
}

use TaskState::{
    AwaitingInput, Deferred, Failed, None, Queued, Removed, Restarting, Running, Scheduled, Skipped, Success,
    UpForReschedule, UpForRetry, UpstreamFailed,
};

/// The table of legal transitions of a task instance.
///
/// Source: Airflow 3.3.2 `models/taskinstance.py`, `models/dagrun.py` and `jobs/scheduler_job_runner.py`; one row
/// differs: a lost try goes from running straight back to queued, because it does not use up a retry.
pub const TRANSITIONS: &[(TaskState, &[TaskState])] = &[
    (None, &[Scheduled, Queued, Success, Failed, Skipped, UpstreamFailed, Removed, Deferred, AwaitingInput]),
    (Scheduled, &[None, Queued, Success, Failed, Skipped, UpstreamFailed, Removed]),
    (
        Queued,
        &[
            None,
            Scheduled,
            Running,
            Success,
            Failed,
            Skipped,
            UpForRetry,
            UpForReschedule,
            Deferred,
            AwaitingInput,
            Removed,
        ],
    ),
    (
        Running,
        &[
            None,
            Scheduled,
            Queued,
            Success,
            Failed,
            Skipped,
            UpForRetry,
            UpForReschedule,
            Deferred,
            AwaitingInput,
            Restarting,
            Removed,
        ],
    ),
    (Restarting, &[None, Scheduled, Queued, Success, Failed, Skipped, UpForRetry, Removed]),
    (
        UpForRetry,
        &[
            None,
            Scheduled,
            Queued,
            Success,
            Failed,
            Skipped,
            UpstreamFailed,
            Removed,
            Deferred,
            AwaitingInput,
        ],
    ),
    (
        UpForReschedule,
        &[
            None,
            Scheduled,
            Queued,
            Success,
            Failed,
            Skipped,
            UpstreamFailed,
            Removed,
            Deferred,
            AwaitingInput,
        ],
    ),
    (Deferred, &[None, Scheduled, Queued, Success, Failed, Skipped, UpForRetry, Removed]),
    (AwaitingInput, &[None, Scheduled, Queued, Success, Failed, Skipped, UpForRetry, Removed]),
    (Success, &[None, Scheduled, Queued, Failed, Skipped, Removed]),
    (Failed, &[None, Scheduled, Queued, Success, Skipped, Removed]),
    (UpstreamFailed, &[None, Scheduled, Queued, Success, Failed, Skipped, Removed]),
    (Skipped, &[None, Scheduled, Queued, Success, Failed, Removed]),
    (Removed, &[None, Scheduled, Queued]),
];

/// The table of transitions as a Mermaid diagram, for the guide.
#[must_use]
pub fn diagram() -> String {
    let mut lines = vec!["stateDiagram-v2".to_owned(), "    [*] --> none".to_owned()];
    for (from, targets) in TRANSITIONS {
        lines.extend(targets.iter().map(|to| format!("    {from} --> {to}")));
        if from.is_finished() {
            lines.push(format!("    {from} --> [*]"));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_row_and_a_name_that_reads_back() {
        for state in TaskState::ALL {
            assert!(TRANSITIONS.iter().any(|(from, _)| from == state), "{state}");
            assert_eq!(state.as_str().parse::<TaskState>().unwrap(), *state);
        }
        for state in RunState::ALL {
            assert_eq!(state.as_str().parse::<RunState>().unwrap(), *state);
        }
        assert_eq!("runing".parse::<RunState>(), Err(Unknown("runing".into())));
    }

    #[test]
    fn every_state_can_be_reached_and_every_unfinished_one_can_end() {
        for state in TaskState::ALL {
            let reached = *state == TaskState::None || TRANSITIONS.iter().any(|(_, to)| to.contains(state));
            assert!(reached, "{state} is never entered");
            assert!(state.is_finished() || state.may_become(TaskState::Failed), "{state} cannot fail");
        }
    }
}
