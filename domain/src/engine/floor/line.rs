//! The line before a queue.

use std::collections::BTreeSet;

use super::{candidate::Candidate, crowd::Crowd};
use crate::id::TiKey;

/// At least this many more tries than the workers have slots are released to a queue whose tasks are short or unknown, so that a worker that
/// frees a slot finds the next try waiting.
pub const LOOKAHEAD: u32 = 32;

/// How much work, in milliseconds for each slot, is released ahead. What is released cannot be overtaken any more, so of
/// tasks that last longer none is: the moment that a free slot waits is small against them.
const AHEAD: u64 = 250;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Line {
    /// What the live workers have.
    pub slots: u32,
    /// Who waits.
    pub crowd: Crowd,
    /// Who goes before everybody, because room is kept for it.
    pub heads: BTreeSet<TiKey>,
    /// Queued or running.
    pub in_flight: u32,
    // The known durations of those in flight, added up.
    work: u64,
}

impl Line {
    /// Who goes next.
    pub fn next(&self, late: i64) -> Option<TiKey> {
        self.heads.first().copied().or_else(|| self.crowd.best(late).map(|place| place.seat.ti))
    }

    /// Some worker listens.
    pub const fn is_live(&self) -> bool {
        self.slots > 0
    }

    /// Another try may be released.
    pub fn has_room(&self) -> bool {
        self.is_live() && self.in_flight < self.capacity()
    }

    /// How many tries may be queued or running.
    pub fn capacity(&self) -> u32 {
        let most = self.slots.max(LOOKAHEAD);
        let tries = AHEAD * u64::from(self.slots) * u64::from(self.in_flight);
        let ahead = tries.checked_div(self.work).unwrap_or(u64::MAX);
        self.slots.saturating_add(u32::try_from(ahead).unwrap_or(u32::MAX).min(most))
    }

    /// Counts one that was released.
    pub fn enter(&mut self, candidate: &Candidate) {
        self.in_flight += 1;
        self.work += candidate.expected.unwrap_or(0);
    }

    /// No longer counts one that has ended.
    pub fn leave(&mut self, candidate: &Candidate) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.work = self.work.saturating_sub(candidate.expected.unwrap_or(0));
    }
}
