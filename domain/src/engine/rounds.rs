//! Rounds of a loop: what follows when one has ended and the condition does not hold.
//!
//! The round's number is not part of what is compared and set: every round has a try number of its own, so that a worker's word about a
//! round that is over, or that comes twice, is a word about an old try.

use super::life::Life;
use crate::{
    outcome::{Outcome, TryResult},
    repeat::{OnExhausted, Repeat},
    state::TaskState,
};

impl Life<'_> {
    /// A round has ended, and its worker says that the condition does not hold.
    pub(super) fn go_round(&mut self, index: u32, mut outcome: Outcome) {
        let Some(repeat) = self.repeat(index).cloned() else {
            // Another version of its DAG does not repeat it: the round was all there was to do.
            outcome.result = TryResult::Success;
            return self.succeed(index, outcome);
        };
        let ended = self.run.tis[index as usize].record.rounds + 1;
        if ended >= repeat.max_rounds {
            return self.exhaust(index, outcome, &repeat);
        }
        self.close_try(index, TaskState::UpForReschedule, &outcome);
        self.keep_xcoms(index, std::mem::take(&mut outcome.xcoms));
        let record = &mut self.run.tis[index as usize].record;
        record.rounds = ended;
        record.max_tries += 1;
        match repeat.delay {
            None => self.schedule(index),
            Some(delay) => {
                record.next_try_at = Some(outcome.ended_at + delay.delta());
                self.listen(index);
            }
        }
    }

    // A try more would be a round more, so a failure is final.
    fn exhaust(&mut self, index: u32, mut outcome: Outcome, repeat: &Repeat) {
        outcome.reason = Some(repeat.exhausted());
        match repeat.on_exhausted {
            OnExhausted::Succeed => {
                outcome.result = TryResult::Success;
                self.succeed(index, outcome);
            }
            OnExhausted::Fail => {
                // The round itself went well: what it left tells why it was not enough.
                let xcoms = std::mem::take(&mut outcome.xcoms);
                self.fail_for_good(index, &outcome);
                self.keep_xcoms(index, xcoms);
            }
        }
    }

    /// How the task of an instance is repeated, if it is.
    pub(super) fn repeat(&self, index: u32) -> Option<&Repeat> {
        let node = self.run.tis[index as usize].node;
        (node < self.run.graph.len()).then(|| self.run.graph.task(node).repeat.as_ref()).flatten()
    }
}
