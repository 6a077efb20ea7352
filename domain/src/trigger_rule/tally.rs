//! What a trigger rule counts.

use crate::state::TaskState;

/// How many upstream task instances there are, and how many of them ended in each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// All of them; a mapped task counts once for each instance.
    pub total: u32,
    /// Succeeded.
    pub success: u32,
    /// Were skipped.
    pub skipped: u32,
    /// Failed.
    pub failed: u32,
    /// Did not run because something before them failed.
    pub upstream_failed: u32,
    /// No longer exist.
    pub removed: u32,
    /// How many of all are setups.
    pub setups: u32,
    /// How many setups succeeded.
    pub setup_success: u32,
    /// How many setups were skipped.
    pub setup_skipped: u32,
}

impl Tally {
    /// Expects `count` more upstream instances, of a setup or not.
    pub const fn expect(&mut self, count: u32, is_setup: bool) {
        self.total += count;
        if is_setup {
            self.setups += count;
        }
    }

    /// Takes back what [`Tally::expect`] counted.
    pub const fn expect_less(&mut self, count: u32, is_setup: bool) {
        self.total = self.total.saturating_sub(count);
        if is_setup {
            self.setups = self.setups.saturating_sub(count);
        }
    }

    /// What two tallies of different instances count together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            total: self.total + other.total,
            success: self.success + other.success,
            skipped: self.skipped + other.skipped,
            failed: self.failed + other.failed,
            upstream_failed: self.upstream_failed + other.upstream_failed,
            removed: self.removed + other.removed,
            setups: self.setups + other.setups,
            setup_success: self.setup_success + other.setup_success,
            setup_skipped: self.setup_skipped + other.setup_skipped,
        }
    }

    /// Everything about one summand that the verdict on a sum can depend on: whether there is any instance of a kind, and whether
    /// all are of some kinds. While this stays the same, the summand changes no verdict.
    pub(crate) const fn looks(&self) -> [bool; 12] {
        let broken = self.failed + self.upstream_failed;
        [
            self.total == 0,
            self.done() >= self.total,
            self.success > 0,
            self.skipped > 0,
            self.failed > 0,
            broken > 0,
            self.success + self.removed >= self.total,
            broken + self.removed >= self.total,
            self.success + self.skipped + self.removed >= self.total,
            self.skipped >= self.total,
            self.setup_success > 0,
            self.setups == 0 || self.setup_skipped >= self.setups,
        ]
    }

    /// Counts one upstream instance that is now in `state`; unfinished states count nowhere.
    pub fn add(&mut self, state: TaskState, is_setup: bool) {
        if let Some(count) = self.slot(state) {
            *count += 1;
        }
        if let Some(count) = self.setup_slot(state).filter(|_| is_setup) {
            *count += 1;
        }
    }

    /// Takes back what [`Tally::add`] counted.
    pub fn remove(&mut self, state: TaskState, is_setup: bool) {
        if let Some(count) = self.slot(state) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = self.setup_slot(state).filter(|_| is_setup) {
            *count = count.saturating_sub(1);
        }
    }

    /// How many ended.
    #[must_use]
    pub const fn done(&self) -> u32 {
        self.success + self.skipped + self.failed + self.upstream_failed + self.removed
    }

    fn slot(&mut self, state: TaskState) -> Option<&mut u32> {
        match state {
            TaskState::Success => Some(&mut self.success),
            TaskState::Skipped => Some(&mut self.skipped),
            TaskState::Failed => Some(&mut self.failed),
            TaskState::UpstreamFailed => Some(&mut self.upstream_failed),
            TaskState::Removed => Some(&mut self.removed),
            TaskState::None
            | TaskState::Scheduled
            | TaskState::Queued
            | TaskState::Running
            | TaskState::Restarting
            | TaskState::UpForRetry
            | TaskState::UpForReschedule
            | TaskState::Deferred
            | TaskState::AwaitingInput => None,
        }
    }

    fn setup_slot(&mut self, state: TaskState) -> Option<&mut u32> {
        if state == TaskState::Success {
            return Some(&mut self.setup_success);
        }
        (state == TaskState::Skipped).then_some(&mut self.setup_skipped)
    }
}
