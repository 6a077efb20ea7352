//! Deadlines of runs: an alarm for the next of each run, and word when one is missed.
//!
//! What was missed stands in the run's record, so that it is told once, whoever leads. From what some deadlines count only the records know: they
//! are asked once for each run, and their answer stands in the run's record, too.

use chrono::{DateTime, Utc};

use super::{Engine, decision::Decisions, record::DeadlineQuestion, run::Run, timer::Timer};
use crate::{
    alert::{AlertEvent, AlertRecord, Facts, MAX_NOTIFICATIONS, Notification, Withdrawn},
    deadline::{self, Basis, Counted, Deadline, Found, Missed},
    id::RunKey,
    state::RunState,
};

/// So many places are there for each deadline among the messages about a run.
const MOST: u32 = MAX_NOTIFICATIONS as u32;

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
    pub(super) fn pass_last_deadlines(&mut self, key: RunKey, state: RunState, now: DateTime<Utc>) {
        self.miss(key, now, |at| at < now);
        if let Some(run) = self.runs.get_mut(&key).filter(|_| state == RunState::Success) {
            run.meet_deadlines();
        }
    }

    /// Asks the records from what deadlines of a run count of which it does not know that yet.
    pub(super) fn ask_for_deadlines(&mut self, key: RunKey) {
        let Some(run) = self.runs.get(&key).filter(|run| !run.record.state.is_finished()) else { return };
        let unknown = (0..).zip(&run.graph.dag.deadlines).filter_map(|(place, deadline)| {
            let needs = deadline.needs().filter(|_| Basis::at(&run.record.bases, place).is_none())?;
            let dag_id = run.record.dag_id.clone();
            Some(DeadlineQuestion { run: key, dag_id, place, needs })
        });
        self.out.measures.extend(unknown);
    }

    /// Takes in the records' answer. One that comes twice, or about what is not asked any more, changes nothing.
    pub(super) fn measure(&mut self, question: &DeadlineQuestion, found: &Found, now: DateTime<Utc>) {
        let (key, place) = (question.run, question.place);
        let Some(run) = self.runs.get_mut(&key).filter(|run| !run.record.state.is_finished()) else { return };
        let deadline = run.graph.dag.deadlines.get(place as usize);
        let asks = |deadline: &&Deadline| deadline.needs().as_ref() == Some(&question.needs);
        let is_known = Basis::at(&run.record.bases, place).is_some();
        let Some(deadline) = deadline.filter(asks).filter(|_| !is_known) else { return };
        let basis = deadline.basis(place, found, run.record.queued_at);
        run.record.bases.push(basis);
        run.dirty = true;
        self.dirty.insert(key);
        self.mind_deadlines(key, now);
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
            self.out.alerts.extend(told(run, place, &deadline, at, None, now));
        }
        run.dirty = true;
        self.dirty.insert(key);
    }
}

/// Takes back what was foreseen. What was not written yet is not written at all.
pub(super) fn withdraw(out: &mut Decisions, withdrawn: Vec<Withdrawn>) {
    for gone in withdrawn {
        let before = out.alerts.len();
        let is_it = |alert: &AlertRecord| {
            (alert.run, alert.index, alert.number, alert.place) == (gone.run, None, gone.number, gone.place)
                && alert.facts.event == AlertEvent::Deadline
        };
        out.alerts.retain(|alert| !is_it(alert));
        if out.alerts.len() == before {
            out.alerts_withdrawn.push(gone);
        }
    }
}

// Each deadline has places of its own among the messages about the run.
fn told(
    run: &Run,
    place: u32,
    deadline: &Deadline,
    at: DateTime<Utc>,
    not_before: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Vec<AlertRecord> {
    let dag = &run.graph.dag;
    let reason = deadline.words(at);
    let event = AlertEvent::Deadline;
    let facts = Facts::of_run(event, &dag.owner, &run.record, Some(&reason), not_before.unwrap_or(now));
    let facts = Facts { deadline: Some(at), ..facts };
    let first = place * MOST;
    let notifications = match &deadline.callback {
        None => dag.alerts.of(event).to_vec(),
        Some(callback) => {
            let (id, callback) = (deadline::id(run.record.key, place), callback.clone());
            vec![Notification::DeadlineCallback { id, callback }]
        }
    };
    let record = |(place, notification)| AlertRecord {
        run: run.record.key,
        index: None,
        number: run.record.clear_number,
        place,
        notification,
        facts: facts.clone(),
        not_before,
    };
    (first..).zip(notifications).map(record).collect()
}

impl Run {
    // The deadlines that it has not missed, with their places and moments.
    fn open_deadlines(&self) -> impl Iterator<Item = (u32, &Deadline, DateTime<Utc>)> {
        let known = (0..).zip(&self.graph.dag.deadlines);
        known.filter_map(|(place, deadline)| {
            let is_missed = self.record.missed.iter().any(|missed| missed.place == place);
            let at = deadline.moment(place, &Counted::from(&self.record)).filter(|_| !is_missed)?;
            Some((place, deadline, at))
        })
    }

    /// The run has failed, and Airflow calls for that when the moments of its deadlines come: it will have missed them, unless it begins
    /// anew before. Source: Airflow 3.3.2 `models/dagrun.py`, where only a run that succeeds has its deadlines deleted.
    pub(super) fn foresee_deadlines(&mut self, now: DateTime<Utc>) -> Vec<AlertRecord> {
        let open = self.open_deadlines().filter(|(_, deadline, _)| deadline.is_airflows());
        let foreseen: Vec<_> = open.map(|(place, deadline, at)| (place, deadline.clone(), at)).collect();
        let mut alerts = Vec::new();
        for (place, deadline, at) in foreseen {
            alerts.extend(told(self, place, &deadline, at, Some(at), now));
            self.record.missed.push(Missed { place, name: deadline.name, deadline: at });
        }
        alerts
    }

    /// A run that begins anew has its deadlines anew, but for those whose moment stays the same. What was only foreseen is withdrawn.
    pub(super) fn renew_deadlines(&mut self, now: DateTime<Utc>) -> Vec<Withdrawn> {
        let number = self.record.clear_number;
        let foreseen = self.record.missed.extract_if(.., |missed| missed.deadline > now);
        let withdrawn =
            foreseen.map(|missed| Withdrawn { run: self.record.key, number, place: missed.place * MOST });
        let withdrawn = withdrawn.collect();
        let deadlines = &self.graph.dag.deadlines;
        let is_lasting = |place: u32| deadlines.get(place as usize).is_some_and(Deadline::is_lasting);
        self.record.missed.retain(|missed| is_lasting(missed.place));
        self.record.bases.retain(|basis| is_lasting(basis.place));
        withdrawn
    }

    // Airflow deletes the deadlines of a run that succeeds in time. Source: `models/deadline.py` (`prune_deadlines`).
    fn meet_deadlines(&mut self) {
        let met: Vec<u32> = (0..)
            .zip(&self.graph.dag.deadlines)
            .filter(|(place, deadline)| {
                let is_missed = self.record.missed.iter().any(|missed| missed.place == *place);
                deadline.is_airflows() && !is_missed
            })
            .map(|(place, _)| place)
            .collect();
        let bases = &mut self.record.bases;
        for place in met {
            match bases.iter_mut().find(|basis| basis.place == place) {
                Some(basis) => basis.is_met = true,
                None => bases.push(Basis { place, is_met: true, ..Basis::default() }),
            }
        }
    }
}
