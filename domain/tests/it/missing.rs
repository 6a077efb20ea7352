//! Deadlines in the simulated world: what must hold of them after every turn.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    alert::{AlertEvent, MAX_NOTIFICATIONS},
    deadline::{Basis, Deadline, Found, Reference},
    engine::{
        decision::Decisions,
        event::Event,
        record::{DeadlineQuestion, RunRecord},
    },
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
            if !run.state.is_finished() {
                self.check_bases(run, decisions);
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
            let moment = deadline.moment(place, &run.into());
            let has_passed = match (moment, run.ended_at) {
                // Only success keeps a run from missing one of Airflow's.
                (Some(at), Some(ended)) => {
                    at < ended || deadline.is_airflows() && run.state == RunState::Failed
                }
                (Some(at), None) => at <= self.now,
                (None, _) => false,
            };
            // A backfill that takes a run over takes its date as a reference away from it, but not what was missed.
            let is_old = deadline.from == Reference::LogicalDate && run.backfill.is_some();
            // One of Airflow's stays missed, also when the run has its time anew or is marked after its end.
            let begun_anew = run.clear_number > 0 || run.state.is_finished();
            let is_old = is_old || deadline.is_airflows() && begun_anew && missed.len() == 1;
            let foreseen = missed.iter().any(|missed| missed.deadline > self.now);
            assert!(!foreseen || run.state.is_finished(), "{run:?} may still succeed in time");
            // At the very moment of the deadline either may have come first: the alarm, or the end.
            let is_even = moment.is_some() && moment == run.ended_at;
            let is_right = missed.len() == usize::from(has_passed) || is_even || is_old;
            assert!(is_right && missed.len() <= 1, "{run:?}: {deadline:?} at {moment:?}");
            let notices = dag.alerts.of(AlertEvent::Deadline).len() as u32;
            let asked = if deadline.callback.is_some() { 1 } else { notices };
            let first = place * MAX_NOTIFICATIONS as u32;
            for number in missed.iter().flat_map(|_| first..first + asked) {
                let is_told = |number: &u32| {
                    let of = |clear| (run.key, None, clear, AlertEvent::Deadline, *number);
                    (0..=run.clear_number).any(|clear| self.records.alerts.contains(&of(clear)))
                };
                assert!(is_told(&number), "nobody was told that {run:?} missed {deadline:?}");
            }
            self.check_callback(run, place, deadline);
        }
    }

    // Airflow calls once for each run, however often it is cleared, and not at all when it has succeeded in time.
    fn check_callback(&self, run: &RunRecord, place: u32, deadline: &Deadline) {
        if deadline.is_airflows() {
            let number = place * MAX_NOTIFICATIONS as u32;
            let of = |clear| (run.key, None, clear, AlertEvent::Deadline, number);
            let calls =
                (0..=run.clear_number).filter(|clear| self.records.alerts.contains(&of(*clear))).count();
            let is_met = Basis::at(&run.bases, place).is_some_and(|basis| basis.is_met);
            assert!(calls + usize::from(is_met) <= 1, "{run:?} was called for {deadline:?} {calls} times");
        }
    }

    // What must be found out about a run that is active has been found out, once, or is being asked.
    fn check_bases(&self, run: &RunRecord, decisions: &Decisions) {
        for (place, deadline) in (0..).zip(&self.dag(run).deadlines) {
            let bases: Vec<&Basis> = run.bases.iter().filter(|basis| basis.place == place).collect();
            let asked = self.measures.iter().chain(&decisions.measures);
            let mut asked = asked.filter(|question| question.run == run.key && question.place == place);
            let is_known = deadline.needs().is_none() || bases.len() == 1;
            assert!(is_known || asked.next().is_some(), "nobody asks for {deadline:?} of {run:?}");
            assert!(bases.len() <= 1, "{run:?}");
        }
    }

    /// Answers what deadlines of new runs count from; with faults, perhaps later, or twice.
    pub fn measure(&mut self, faults: bool) {
        if self.measures.is_empty() || faults && self.chance.one_in(3) {
            return;
        }
        for question in std::mem::take(&mut self.measures) {
            let found = self.found(&question);
            if faults && self.chance.one_in(4) {
                self.measures.push(question.clone());
            }
            self.engine.handle(Event::Measured { question, found }, self.now);
        }
    }

    fn found(&self, question: &DeadlineQuestion) -> Found {
        let succeeded = |run: &&RunRecord| run.dag_id == question.dag_id && run.state == RunState::Success;
        let mut runs: Vec<&RunRecord> = self.records.runs.values().filter(succeeded).collect();
        runs.sort_by_key(|run| std::cmp::Reverse((run.logical_date.is_none(), run.logical_date, run.key)));
        let durations = runs.iter().filter_map(|run| Some(run.ended_at? - run.started_at?));
        let durations = durations.take(question.needs.durations.unwrap_or(0) as usize).collect();
        let value = match question.needs.variable.as_deref() {
            Some("v0") => Some("600"),
            Some("v1") => Some("-300"),
            Some("v2") => Some("soon"),
            Some(_) | None => None,
        };
        Found { durations, variable: value.map(str::to_owned) }
    }
}
