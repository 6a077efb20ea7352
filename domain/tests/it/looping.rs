//! Loops in the simulated world: what their workers say, and what must hold of their rounds.

use std::collections::BTreeMap;

use domain::{
    engine::{decision::Decisions, record::TiRecord},
    id::{TiKey, TryKey},
    outcome::TryResult,
    repeat::{OnExhausted, Repeat},
    state::TaskState,
};
use indexmap::IndexMap;
use serde_json::Value;

use crate::world::World;

/// What was said of the rounds of loops.
#[derive(Default)]
pub struct Loops {
    /// What the worker of a try said, and what the try left.
    said: BTreeMap<TryKey, (TryResult, Option<Value>)>,
    /// How many rounds of an instance were said to need another one, since it last began anew.
    ended: BTreeMap<TiKey, u32>,
}

impl World {
    /// Some rounds of a loop are not the last, and some leave nothing.
    pub fn goes_round(
        &mut self,
        attempt: TryKey,
        result: TryResult,
        xcoms: &mut IndexMap<String, Value>,
    ) -> TryResult {
        if self.repeat(&self.records.tis[&attempt.ti]).is_none() {
            return result;
        }
        let again = result == TryResult::Success && self.chance.one_in(2);
        if self.chance.one_in(4) {
            xcoms.clear();
        }
        let result = if again { TryResult::Again } else { result };
        self.loops.said.insert(attempt, (result, xcoms.get("return_value").cloned()));
        result
    }

    fn repeat(&self, ti: &TiRecord) -> Option<Repeat> {
        let dag = self.dag(&self.records.runs[&ti.key.run]);
        dag.task(ti.task_id.as_str())?.repeat.clone()
    }

    /// Every round counts once and there are never more than its task allows; a loop ends well only when its condition holds or its
    /// task is content without; and what it left is what its last round left.
    pub fn check_rounds(&mut self, before: &[TiRecord], decisions: &Decisions) {
        for old in before {
            let new = self.records.tis[&old.key].clone();
            let Some(repeat) = self.repeat(&new) else {
                assert_eq!(new.rounds, 0, "{new:?} is not repeated");
                continue;
            };
            assert!(new.rounds < repeat.max_rounds, "{new:?} has more rounds than {repeat:?}");
            self.check_round(old, &new, decisions);
            self.check_end(old, &new, &repeat);
        }
    }

    fn check_round(&mut self, old: &TiRecord, new: &TiRecord, decisions: &Decisions) {
        let ended = self.loops.ended.entry(new.key).or_default();
        if new.rounds < old.rounds {
            let is_anew =
                new.rounds == 0 && decisions.xcoms_cleared.iter().any(|(run, ..)| *run == new.key.run);
            assert!(is_anew, "{new:?} has lost rounds");
            *ended = 0;
        } else if new.rounds > old.rounds {
            let attempt = TryKey { ti: old.key, try_number: old.try_number };
            let said = self.loops.said.get(&attempt);
            assert!(matches!(said, Some((TryResult::Again, _))), "{said:?} of {attempt} made a round of it");
            let archived = decisions.tries.iter().find(|ended| ended.attempt == attempt);
            let archived = archived.map(|ended| (ended.state, ended.round));
            assert_eq!(archived, Some((TaskState::UpForReschedule, Some(new.rounds))), "{attempt}");
            *ended += 1;
        }
        assert_eq!(*ended, new.rounds, "a round of {new:?} counts twice, or not at all");
    }

    fn check_end(&self, old: &TiRecord, new: &TiRecord, repeat: &Repeat) {
        let attempt = TryKey { ti: old.key, try_number: old.try_number };
        let ends = old.state.is_in_flight() && new.state == TaskState::Success && !self.has_wishes;
        let Some((said, value)) = self.loops.said.get(&attempt).filter(|_| ends) else { return };
        let is_content = repeat.on_exhausted == OnExhausted::Succeed && new.rounds + 1 == repeat.max_rounds;
        let is_good = *said == TryResult::Success || (*said == TryResult::Again && is_content);
        assert!(is_good, "{new:?} ended well after {said:?}");
        let place = (new.key.run, new.task_id.to_string(), new.map_index, "return_value".to_owned());
        assert_eq!(self.records.xcoms.get(&place), value.as_ref(), "{new:?} left something else");
    }
}
