//! Deadlines in the simulated world: what must hold of them after every turn.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    alert::{AlertEvent, MAX_NOTIFICATIONS},
    deadline::Reference,
    engine::{decision::Decisions, record::RunRecord},
    id::RunKey,
    state::RunState,
};

use crate::world::World;

impl World {
    /// Whatever has not ended by its deadline has missed it, nothing else has, and all who asked are told exactly then. That nothing is
    /// told twice is checked with all alerts.
    pub fn check_deadlines(&self, active: &BTreeMap<RunKey, RunState>, decisions: &Decisions) {
        for run in self.records.runs.values() {
            let is_new = decisions.runs_created.iter().any(|new| new.key == run.key);
            if !run.state.is_finished() || active.contains_key(&run.key) || is_new {
                self.check_deadlines_of(run);
            }
        }
        let told: BTreeSet<(RunKey, u32, u32)> = decisions
            .alerts
            .iter()
            .filter(|alert| alert.facts.event == AlertEvent::Deadline)
            .map(|alert| (alert.run, alert.number, alert.place / MAX_NOTIFICATIONS as u32))
            .collect();
        for (key, number, place) in told {
            let run = &self.records.runs[&key];
            let is_missed = run.missed.iter().any(|missed| missed.place == place);
            // What a wish of the same turn begins anew has its deadlines anew.
            assert!(is_missed || run.clear_number > number, "{run:?} was told of {place}");
        }
    }

    fn check_deadlines_of(&self, run: &RunRecord) {
        let dag = self.dag(run);
        for (place, deadline) in (0..).zip(&dag.deadlines) {
            let missed: Vec<_> = run.missed.iter().filter(|missed| missed.place == place).collect();
            let moment = deadline.moment(&run.into());
            let has_passed = match (moment, run.ended_at) {
                (Some(at), Some(ended)) => at < ended,
                (Some(at), None) => at <= self.now,
                (None, _) => false,
            };
            // A backfill that takes a run over takes its date as a reference away from it, but not what was missed.
            let is_old = deadline.from == Reference::LogicalDate && run.backfill.is_some();
            // At the very moment of the deadline either may have come first: the alarm, or the end.
            let is_even = moment.is_some() && moment == run.ended_at;
            let is_right = missed.len() == usize::from(has_passed) || is_even || is_old;
            assert!(is_right && missed.len() <= 1, "{run:?}: {deadline:?} at {moment:?}");
            let asked = dag.alerts.of(AlertEvent::Deadline).len() as u32;
            let first = place * MAX_NOTIFICATIONS as u32;
            for number in missed.iter().flat_map(|_| first..first + asked) {
                let is_told = |number: &u32| {
                    let of = |clear| (run.key, None, clear, AlertEvent::Deadline, *number);
                    (0..=run.clear_number).any(|clear| self.records.alerts.contains(&of(clear)))
                };
                assert!(is_told(&number), "nobody was told that {run:?} missed {deadline:?}");
            }
        }
    }
}
