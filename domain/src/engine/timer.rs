//! Moments at which the engine has something to do even if nothing happens.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::id::{DagId, RunKey, TryKey};

/// What is due. A timer whose reason has gone meanwhile does nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The next run of a DAG's schedule, or a queued run's `run_after`.
    Dag(DagId),
    /// The next try of a task instance.
    Retry(TryKey),
    /// The next look of a worker, or the end of a wait by the clock.
    Wait(TryKey),
    /// The end of a run's `dagrun_timeout`.
    RunTimeout(RunKey),
    /// The next deadline of a run.
    Deadline(RunKey),
}

/// All timers, soonest first.
#[derive(Debug, Default)]
pub struct Timers(BTreeSet<(DateTime<Utc>, Timer)>);

impl Timers {
    /// Sets a timer.
    pub fn set(&mut self, at: DateTime<Utc>, timer: Timer) {
        self.0.insert((at, timer));
    }

    /// Takes the next timer that is due.
    pub fn pop_due(&mut self, now: DateTime<Utc>) -> Option<Timer> {
        if self.0.first()?.0 > now {
            return None;
        }
        self.0.pop_first().map(|(_, timer)| timer)
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<DateTime<Utc>> {
        self.0.first().map(|(at, _)| *at)
    }
}
