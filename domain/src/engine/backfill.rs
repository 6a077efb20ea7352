//! The active backfill of a DAG: its dates get their runs one after the other, as its own parallelism allows.
//!
//! Runs are created late: a date waits as a few numbers until it is its turn. Which dates have runs already is asked once, when the
//! backfill comes into memory; whatever happens to runs of its dates from then on, the engine does itself and sees. So the end of a run
//! costs the start of the next, however long the row of dates is. Source: Airflow 3.3.2 `models/backfill.py`, which creates all runs at
//! once.

mod record;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};

pub use self::record::{
    BackfillRecord, BackfillSnapshot, DateRecord, Found, NewBackfill, Place, Recall, Survey,
};
use super::{
    Engine,
    intents::Refusal,
    obstacle::Obstacle,
    plan::{DagState, NewRun},
    record::{RunRecord, RunSnapshot},
};
use crate::{
    backfill::{BackfillId, Date, Deed, Judgement, Order, plan},
    id::{DagId, RunId, RunKey},
    state::{RunState, RunType, TaskState},
    timetable::NextRun,
};

/// A backfill in the engine's memory.
#[derive(Debug)]
pub struct Backfill {
    record: BackfillRecord,
    /// The dates that are not done with, by their ordinals.
    waiting: BTreeMap<u32, Date>,
    /// Their ordinals by their moments.
    by_date: HashMap<DateTime<Utc>, u32>,
    /// The runs that some of them have and that are to run again.
    existing: HashMap<u32, RunId>,
    /// The records have told which dates have runs.
    is_surveyed: bool,
    /// Dates, of those that are not done with, whose run the records were asked for.
    recalled: BTreeSet<u32>,
    running: BTreeSet<RunKey>,
    queued: BTreeSet<(u32, RunKey)>,
}

/// What a backfill does next.
enum Step {
    /// It creates the run of a date.
    Create(Place, Date),
    /// It asks for a run that is to run again.
    Recall(Recall),
}

impl Backfill {
    fn new(record: BackfillRecord, waiting: BTreeMap<u32, Date>) -> Self {
        Self {
            by_date: waiting.iter().map(|(ordinal, date)| (date.moment(), *ordinal)).collect(),
            record,
            waiting,
            existing: HashMap::new(),
            is_surveyed: false,
            recalled: BTreeSet::new(),
            running: BTreeSet::new(),
            queued: BTreeSet::new(),
        }
    }

    /// Whether a run belongs to it.
    pub fn owns(&self, run: &RunRecord) -> bool {
        run.backfill.is_some_and(|place| place.id == self.record.id)
    }

    /// Counts a run of its own that came into memory.
    pub fn note(&mut self, run: &RunRecord) {
        let ordinal = run.backfill.map_or(0, |place| place.ordinal);
        match run.state {
            RunState::Queued => {
                self.queued.insert((ordinal, run.key));
            }
            RunState::Running => {
                self.running.insert(run.key);
            }
            RunState::Success | RunState::Failed => {}
        }
    }

    /// Stops counting a run of its own.
    pub fn forget(&mut self, run: &RunRecord, was: RunState) {
        let ordinal = run.backfill.map_or(0, |place| place.ordinal);
        match was {
            RunState::Queued => self.queued.remove(&(ordinal, run.key)),
            RunState::Running => self.running.remove(&run.key),
            RunState::Success | RunState::Failed => false,
        };
    }

    /// Its active runs.
    pub fn active(&self) -> impl Iterator<Item = RunKey> {
        self.running.iter().copied().chain(self.queued.iter().map(|(_, key)| *key))
    }

    fn has_room(&self, taken: usize) -> bool {
        !self.record.is_paused && !self.is_full(taken)
    }

    const fn is_full(&self, taken: usize) -> bool {
        taken >= self.record.order.max_active_runs as usize
    }

    /// What keeps its queued runs from starting.
    pub fn obstacles(&self) -> Vec<Obstacle> {
        let (id, running, limit) = (self.record.id, self.running.len(), self.record.order.max_active_runs);
        let is_paused = self.record.is_paused.then_some(Obstacle::BackfillPaused { id });
        let is_full = self.is_full(running).then_some(Obstacle::BackfillFull { id, running, limit });
        is_paused.into_iter().chain(is_full).collect()
    }

    // Lets the first of its queued runs start, if one may.
    fn start_next(&mut self) -> Option<RunKey> {
        let (_, key) =
            if self.has_room(self.running.len()) { self.queued.pop_first()? } else { return None };
        self.running.insert(key);
        Some(key)
    }

    // The next date whose turn it is, as long as there is room for one more.
    fn next_step(&mut self) -> Option<Step> {
        let taken = self.running.len() + self.queued.len() + self.recalled.len();
        if !self.is_surveyed || !self.has_room(taken) {
            return None;
        }
        let is_asked = |ordinal: &u32| self.recalled.contains(ordinal);
        let (ordinal, date) = self.waiting.iter().find(|(ordinal, _)| !is_asked(ordinal))?;
        let place = Place { id: self.record.id, ordinal: *ordinal };
        let Some(run_id) = self.existing.get(ordinal).cloned() else {
            return Some(Step::Create(place, date.clone()));
        };
        self.recalled.insert(place.ordinal);
        Some(Step::Recall(Recall { place, dag_id: self.record.order.dag_id.clone(), run_id }))
    }

    // Takes a date off the list.
    fn finish(&mut self, ordinal: u32) -> Option<Date> {
        let date = self.waiting.remove(&ordinal)?;
        self.by_date.remove(&date.moment());
        self.existing.remove(&ordinal);
        self.recalled.remove(&ordinal);
        Some(date)
    }

    fn is_done(&self) -> bool {
        self.is_surveyed && self.waiting.is_empty() && self.running.is_empty() && self.queued.is_empty()
    }
}

impl DagState {
    // The backfill of that number, while it is active.
    fn backfill_of(&mut self, id: BackfillId) -> Option<&mut Backfill> {
        self.backfill.as_mut().filter(|backfill| backfill.record.id == id)
    }
}

impl Engine {
    pub(super) fn create_backfill(
        &mut self,
        id: BackfillId,
        order: Order,
        named: Option<&[NextRun]>,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let dag_id = order.dag_id.clone();
        let Some(dag) = self.dags.get_mut(&dag_id).filter(|dag| !dag.record.is_stale) else {
            return Err(format!("Could not find dag {dag_id}"));
        };
        if dag.backfill.is_some() {
            return Err(format!(
                "Another backfill is running for Dag {dag_id}. There can be only one running backfill per Dag."
            ));
        }
        let dates = plan(&dag.record.dag, &order, named, now).map_err(|refusal| refusal.to_string())?;
        let record = BackfillRecord {
            id,
            order,
            by: by.to_owned(),
            is_paused: false,
            is_cancelled: false,
            created_at: now,
            updated_at: now,
            completed_at: None,
        };
        dag.backfill = Some(Backfill::new(record.clone(), (0..).zip(dates.iter().cloned()).collect()));
        let active: Vec<RunKey> = dag.active().collect();
        self.out.backfills_created.push(NewBackfill { record, dates });
        self.out.surveys.push(Survey { backfill: id, dag_id });
        active.into_iter().for_each(|key| self.meet_backfill(key));
        Ok(())
    }

    pub(super) fn load_backfill(&mut self, snapshot: BackfillSnapshot) {
        let (id, dag_id) = (snapshot.record.id, snapshot.record.order.dag_id.clone());
        if let Some(dag) = self.dags.get_mut(&dag_id) {
            dag.backfill = Some(Backfill::new(snapshot.record, snapshot.waiting.into_iter().collect()));
            self.out.surveys.push(Survey { backfill: id, dag_id });
        }
    }

    pub(super) fn pause_backfill(
        &mut self,
        dag_id: &DagId,
        id: BackfillId,
        paused: bool,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let backfill = self.backfill_of(dag_id, id)?;
        if backfill.record.is_paused != paused {
            (backfill.record.is_paused, backfill.record.updated_at) = (paused, now);
            let record = backfill.record.clone();
            self.write_backfill(record);
        }
        self.due.insert(dag_id.clone());
        Ok(())
    }

    /// What runs goes on, and counts as a run of its DAG like any other from then on.
    pub(super) fn cancel_backfill(
        &mut self,
        dag_id: &DagId,
        id: BackfillId,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let backfill = self.backfill_of(dag_id, id)?;
        (backfill.record.is_paused, backfill.record.is_cancelled) = (true, true);
        let queued: Vec<RunKey> = backfill.queued.iter().map(|(_, key)| *key).collect();
        let reason = format!("backfill {id} was cancelled by {by}");
        for key in queued {
            self.end_rest(key, TaskState::Skipped, &reason, now);
            self.close_run(key, RunState::Failed, now);
        }
        self.complete(dag_id, now);
        Ok(())
    }

    fn backfill_of(&mut self, dag_id: &DagId, id: BackfillId) -> Result<&mut Backfill, Refusal> {
        let backfill = self.dags.get_mut(dag_id).and_then(|dag| dag.backfill_of(id));
        backfill.ok_or_else(|| "Backfill is already completed.".to_owned())
    }

    /// Takes in which dates have runs already. What the engine has in memory is newer than what the records say.
    pub(super) fn survey(&mut self, dag_id: &DagId, id: BackfillId, found: Vec<Found>) {
        for Found { ordinal, run_id, state } in found {
            let key = self.names.get(&(dag_id.clone(), run_id.clone()));
            let state = key.and_then(|key| self.runs.get(key)).map_or(state, |run| run.record.state);
            self.judge(dag_id, Place { id, ordinal }, run_id, state);
        }
        if let Some(backfill) = self.dags.get_mut(dag_id).and_then(|dag| dag.backfill_of(id)) {
            backfill.is_surveyed = true;
            self.due.insert(dag_id.clone());
        }
    }

    /// A run came into memory or changed its state: if its date waits in a backfill, that is told.
    pub(super) fn meet_backfill(&mut self, key: RunKey) {
        let Some(run) = self.runs.get(&key).map(|run| &run.record) else { return };
        let Some(backfill) = self.dags.get(&run.dag_id).and_then(|dag| dag.backfill.as_ref()) else { return };
        let date = run.logical_date.or_else(|| run.partition.as_ref()?.date).filter(|_| !backfill.owns(run));
        let Some(&ordinal) = date.and_then(|date| backfill.by_date.get(&date)) else { return };
        let place = Place { id: backfill.record.id, ordinal };
        let (dag_id, run_id, state) = (run.dag_id.clone(), run.run_id.clone(), run.state);
        self.judge(&dag_id, place, run_id, state);
        self.due.insert(dag_id);
    }

    // A date has a run. The first of several that is to be left alone decides.
    fn judge(&mut self, dag_id: &DagId, place: Place, run_id: RunId, state: RunState) {
        let Some(backfill) = self.dags.get_mut(dag_id).and_then(|dag| dag.backfill_of(place.id)) else {
            return;
        };
        let Some(date) = backfill.waiting.get(&place.ordinal) else { return };
        match backfill.record.order.reprocess.judge(state) {
            // A partition gets one more run, beside those that it has (Airflow's `_create_backfill_dag_run_partitioned`).
            Judgement::RunAgain if date.key.is_some() => {}
            Judgement::RunAgain => {
                backfill.existing.insert(place.ordinal, run_id);
            }
            Judgement::Leave(deed) => {
                backfill.finish(place.ordinal);
                self.out.dates.push(DateRecord { place, deed, run: None });
            }
        }
    }

    /// Takes in a run that is to run again.
    pub(super) fn recall(
        &mut self,
        dag_id: &DagId,
        id: BackfillId,
        ordinal: u32,
        run: Option<Box<RunSnapshot>>,
        now: DateTime<Utc>,
    ) {
        let Some(backfill) = self.dags.get_mut(dag_id).and_then(|dag| dag.backfill_of(id)) else { return };
        if !backfill.recalled.remove(&ordinal) {
            return;
        }
        self.due.insert(dag_id.clone());
        let Some(snapshot) = run else {
            // Somebody has deleted it: the date gets a new one.
            backfill.existing.remove(&ordinal);
            return;
        };
        let key = snapshot.run.key;
        if !self.runs.contains_key(&key) {
            self.load_run(*snapshot, now);
        }
        self.run_again(dag_id, Place { id, ordinal }, key, now);
    }

    // The run becomes one of the backfill's and runs again as a whole, unless it is to be left alone after all.
    fn run_again(&mut self, dag_id: &DagId, place: Place, key: RunKey, now: DateTime<Utc>) {
        let Some(run) = self.runs.get(&key) else { return };
        let (run_id, state) = (run.record.run_id.clone(), run.record.state);
        self.judge(dag_id, place, run_id, state);
        let Some(dag) = self.dags.get_mut(dag_id) else { return };
        let (version, graph) = (dag.record.version, dag.graph.clone());
        let Some(backfill) = dag.backfill_of(place.id) else { return };
        let (order, by) = (backfill.record.order.clone(), backfill.record.by.clone());
        let Some(date) = backfill.finish(place.ordinal) else { return };
        dag.take(date.moment());
        self.out.dates.push(DateRecord { place, deed: Deed::Reprocessed, run: Some(key) });
        let Some(mut run) = self.runs.remove(&key) else { return };
        if order.run_on_latest_version && run.record.version != version {
            run = run.rebuilt(version, graph);
        }
        run.record.backfill = Some(place);
        run.record.run_type = RunType::Backfill;
        run.record.triggered_by = Some(by);
        if let Some(conf) = order.conf {
            run.record.conf = Arc::new(conf);
        }
        self.install(run, now);
        let everything = self.everything(key);
        self.clear_chosen(key, &everything, |state| state != TaskState::None, now);
        self.reopen(key, now);
    }

    /// Creates the runs for which there is room, starts those that may start, and ends the backfill when nothing is left.
    pub(super) fn advance_backfill(&mut self, dag_id: &DagId, now: DateTime<Utc>) {
        if self.dags.get(dag_id).is_none_or(|dag| dag.backfill.is_none()) {
            return;
        }
        while self.may_create(dag_id, now) {
            let Some(dag) = self.dags.get_mut(dag_id) else { return };
            let creates = !dag.record.is_paused && !dag.record.is_stale;
            match dag.backfill.as_mut().filter(|_| creates).and_then(Backfill::next_step) {
                Some(Step::Create(place, date)) => self.create_dated(dag_id, place, &date, now),
                Some(Step::Recall(recall)) => self.out.recalls.push(recall),
                None => {
                    self.start_backfilling(dag_id, now);
                    return self.conclude(dag_id, now);
                }
            }
        }
        self.start_backfilling(dag_id, now);
    }

    fn create_dated(&mut self, dag_id: &DagId, place: Place, date: &Date, now: DateTime<Utc>) {
        let run_id = date.run_id(place.id).ok().filter(|run_id| !self.knows_run(dag_id, run_id));
        let Some(dag) = self.dags.get_mut(dag_id) else { return };
        let Some(backfill) = dag.backfill_of(place.id) else { return };
        backfill.finish(place.ordinal);
        let (conf, by) = (backfill.record.order.conf.clone(), backfill.record.by.clone());
        let Some(run_id) = run_id else {
            // An active run of another date has the name.
            return self.out.dates.push(DateRecord { place, deed: Deed::InFlight, run: None });
        };
        let next = date.next();
        if next.is_some() {
            dag.take(date.moment());
        }
        let (run_type, backfill) = (RunType::Backfill, Some(place));
        let (partition, run_after) = (date.partition(), date.run_after);
        let new = NewRun { run_type, run_id, next, partition, run_after, backfill };
        let key = self.create_run(dag_id, new, now);
        if let Some(run) = key.and_then(|key| self.runs.get_mut(&key)) {
            run.record.conf = Arc::new(conf.unwrap_or_default());
            run.record.triggered_by = Some(by);
        }
        self.out.dates.push(DateRecord { place, deed: Deed::Created, run: key });
    }

    fn start_backfilling(&mut self, dag_id: &DagId, now: DateTime<Utc>) {
        let next = |engine: &mut Self| {
            let dag = engine.dags.get_mut(dag_id).filter(|dag| !dag.record.is_paused)?;
            dag.backfill.as_mut()?.start_next()
        };
        while let Some(key) = next(self) {
            self.start_run(key, now);
        }
    }

    fn conclude(&mut self, dag_id: &DagId, now: DateTime<Utc>) {
        if self.dags.get(dag_id).and_then(|dag| dag.backfill.as_ref()).is_some_and(Backfill::is_done) {
            self.complete(dag_id, now);
        }
    }

    fn complete(&mut self, dag_id: &DagId, now: DateTime<Utc>) {
        let Some(dag) = self.dags.get_mut(dag_id) else { return };
        let Some(Backfill { mut record, running, .. }) = dag.backfill.take() else { return };
        dag.running.extend(running);
        (record.completed_at, record.updated_at) = (Some(now), now);
        self.write_backfill(record);
        self.due.insert(dag_id.clone());
    }

    // One turn writes every backfill once, as it is at the end.
    fn write_backfill(&mut self, record: BackfillRecord) {
        if let Some(new) = self.out.backfills_created.iter_mut().find(|new| new.record.id == record.id) {
            new.record = record;
            return;
        }
        let changed = &mut self.out.backfills_changed;
        match changed.iter_mut().find(|changed| changed.id == record.id) {
            Some(known) => *known = record,
            None => changed.push(record),
        }
    }
}
