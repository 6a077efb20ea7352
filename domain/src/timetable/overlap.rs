use serde::{Deserialize, Serialize};

/// What becomes of a scheduled run that is due while an earlier run of its DAG is still queued or running.
/// In a DAG file: `overlap: allow | queue | skip | cancel_running`. Runs that a person starts are never held back, dropped or
/// stopped by it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It starts beside them, as long as there are fewer than `max_active_runs`; beyond that the schedule waits
    /// (Airflow's rule).
    #[default]
    Allow,
    /// It is created and waits until every run that was created before it has ended: one at a time. When as many as
    /// `max_active_runs` are queued or running, the schedule waits.
    Queue,
    /// It is dropped: the schedule goes on with the first tick after the earlier runs have ended. `@once` waits for them.
    Skip,
    /// The earlier runs by schedule are stopped and fail, and it starts in their place; of several that were missed, the
    /// latest does.
    CancelRunning,
}

impl Overlap {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Allow, Self::Queue, Self::Skip, Self::CancelRunning];

    /// As it is written in a DAG file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Queue => "queue",
            Self::Skip => "skip",
            Self::CancelRunning => "cancel_running",
        }
    }

    /// Whether it is the default, which is left out of normal forms.
    #[must_use]
    pub const fn is_allow(&self) -> bool {
        matches!(self, Self::Allow)
    }
}
