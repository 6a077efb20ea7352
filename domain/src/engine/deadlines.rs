//! Deadlines of runs: an alarm for the next of each run, and word when one is missed.
//!
//! What was missed stands in the run's record, so that it is told once, whoever leads.

use chrono::{DateTime, Utc};

use super::{Engine, run::Run, timer::Timer};
use crate::{
    alert::{AlertEvent, AlertRecord, Facts, MAX_NOTIFICATIONS},
    deadline::{Counted, Deadline, Missed, Reference},
    id::RunKey,
};

impl Engine {
    /// Notes which deadlines a run has missed, and sets the alarm for the next: when that rings, and whenever something becomes known from
    /// which one counts.
    pub(super) fn mind_deadlines(&mut self, key: RunKey, now: DateTime<Utc>) {
        self.miss(key, now, |at| at <= now);
        let Some(run) = self.runs.get(&key).filter(|run| !run.record.state.is_finished()) else { return };
        if let Some(next) = run.open_deadlines().map(|(_, _, at)| at).min() {
            self.timers.set(next, Timer::Deadline(key));
        }
    }

    /// A run ends now: whatever lies before this moment it has missed, also when the alarm comes late.
    pub(super) fn pass_last_deadlines(&mut self, key: RunKey, now: DateTime<Utc>) {
        self.miss(key, now, |at| at < now);
    }

    fn miss(&mut self, key: RunKey, now: DateTime<Utc>, has_passed: impl Fn(DateTime<Utc>) -> bool) {
        let Some(run) = self.runs.get_mut(&key).filter(|run| !run.record.state.is_finished()) else { return };
        let missed: Vec<(u32, Deadline, DateTime<Utc>)> = run
            .open_deadlines()
            .filter(|(_, _, at)| has_passed(*at))
            .map(|(place, deadline, at)| (place, deadline.clone(), at))
            .collect();
        if missed.is_empty() {
            return;
        }
        for (place, deadline, at) in missed {
            let name = deadline.name.clone();
            run.record.missed.push(Missed { place, name, deadline: at });
            self.out.alerts.extend(told(run, place, &deadline, at, now));
        }
        run.dirty = true;
        self.dirty.insert(key);
    }
}

// Each deadline has places of its own among the messages about the run.
fn told(
    run: &Run,
    place: u32,
    deadline: &Deadline,
    at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Vec<AlertRecord> {
    let dag = &run.graph.dag;
    let reason = deadline.words(at);
    let event = AlertEvent::Deadline;
    let facts = Facts::of_run(event, &dag.owner, &run.record, Some(&reason), now);
    let facts = Facts { deadline: Some(at), ..facts };
    let first = place * u32::try_from(MAX_NOTIFICATIONS).unwrap_or(u32::MAX);
    let places = (first..).zip(dag.alerts.of(event));
    let record = |(place, notification): (u32, &crate::alert::Notification)| AlertRecord {
        run: run.record.key,
        index: None,
        number: run.record.clear_number,
        place,
        notification: notification.clone(),
        facts: facts.clone(),
    };
    places.map(record).collect()
}

impl Run {
    // The deadlines that it has not missed, with their places and moments.
    fn open_deadlines(&self) -> impl Iterator<Item = (u32, &Deadline, DateTime<Utc>)> {
        let known = (0..).zip(&self.graph.dag.deadlines);
        known.filter_map(|(place, deadline)| {
            let is_missed = self.record.missed.iter().any(|missed| missed.place == place);
            let at = deadline.moment(&Counted::from(&self.record)).filter(|_| !is_missed)?;
            Some((place, deadline, at))
        })
    }

    /// A run that begins anew has its deadlines anew, but for those whose moment stays the same.
    pub(super) fn renew_deadlines(&mut self) {
        let deadlines = &self.graph.dag.deadlines;
        self.record.missed.retain(|missed| {
            let deadline = deadlines.get(missed.place as usize);
            deadline.is_some_and(|deadline| deadline.from == Reference::LogicalDate)
        });
    }
}
