//! When runs are created and started: what a DAG's schedule asks for and `max_active_runs` allows.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Map;

use super::{
    Engine,
    backfill::{Backfill, Place},
    graph::Graph,
    overlap::Meeting,
    partitions::Line,
    record::{CursorRecord, DagRecord, RunRecord},
    run::Run,
    shares::standing,
    timer::Timer,
};
use crate::{
    id::{DagId, RunId, RunKey, short_digest},
    partition::Partition,
    state::{RunState, RunType},
    timetable::{Catchup, NextRun, Timetable},
};

/// At most this many runs of one DAG are created in one turn; the rest follow in the next, so that a long catch-up holds nobody up, also
/// when its runs end in the turn that creates them.
const RUNS_PER_TURN: usize = 20;

/// A DAG in the engine's memory.
#[derive(Debug)]
pub struct DagState {
    pub record: DagRecord,
    pub graph: Arc<Graph>,
    /// Its running runs, without those of the active backfill.
    pub running: BTreeSet<RunKey>,
    /// Its queued runs in the order in which they start, without those of the active backfill.
    pub queued: BTreeSet<(DateTime<Utc>, RunKey)>,
    /// Its active backfill, with its active runs.
    pub backfill: Option<Backfill>,
    /// Its active runs that have a logical date, by that date.
    pub dated: BTreeSet<(DateTime<Utc>, RunKey)>,
    /// What was last announced as its next run.
    pub announced: Option<Option<NextRun>>,
    /// Its partitions that wait for assets.
    pub line: Line,
}

impl DagState {
    /// Counts a run that came into memory.
    pub fn note(&mut self, run: &Run) {
        if let Some(date) = run.record.logical_date.filter(|_| !run.record.state.is_finished()) {
            self.dated.insert((date, run.record.key));
        }
        if let Some(backfill) = &mut self.backfill
            && backfill.owns(&run.record)
        {
            return backfill.note(&run.record);
        }
        match run.record.state {
            RunState::Queued => {
                self.queued.insert((run.record.run_after, run.record.key));
            }
            RunState::Running => {
                self.running.insert(run.record.key);
            }
            RunState::Success | RunState::Failed => {}
        }
    }

    /// Stops counting a run.
    pub fn forget(&mut self, run: &Run, was: RunState) {
        if let Some(date) = run.record.logical_date {
            self.dated.remove(&(date, run.record.key));
        }
        if let Some(backfill) = &mut self.backfill
            && backfill.owns(&run.record)
        {
            return backfill.forget(&run.record, was);
        }
        match was {
            RunState::Queued => self.queued.remove(&(run.record.run_after, run.record.key)),
            RunState::Running => self.running.remove(&run.record.key),
            RunState::Success | RunState::Failed => false,
        };
    }

    /// Another run may start.
    pub fn has_room(&self) -> bool {
        self.running.len() < self.record.dag.max_active_runs as usize
    }

    /// Its active runs: those that run, then those that wait; without those of the active backfill, which have room of their own.
    pub fn active(&self) -> impl Iterator<Item = RunKey> {
        self.running.iter().copied().chain(self.queued.iter().map(|(_, key)| *key))
    }

    /// The active runs of its active backfill.
    pub fn backfilling(&self) -> impl Iterator<Item = RunKey> {
        self.backfill.iter().flat_map(Backfill::active)
    }

    // What follows only the end of another run is not asked for while one is active: the answer would change all the time.
    fn next_run(&self, catchup: Catchup, now: DateTime<Utc>) -> Option<NextRun> {
        let dag = &self.record.dag;
        if dag.schedule == Timetable::Continuous && self.active().next().is_some() {
            return None;
        }
        dag.schedule.next_run(self.record.cursor.as_ref(), &dag.bounds(), catchup, now)
    }

    /// The run that its schedule wants created now.
    pub fn due(&self, catchup: Catchup, now: DateTime<Utc>) -> Option<NextRun> {
        let creates = !self.record.is_paused && !self.record.is_stale;
        self.next_run(catchup, now).filter(|next| creates && next.run_after <= now)
    }

    /// Its schedule has got as far as this run, whatever becomes of it.
    pub fn move_on(&mut self, next: &NextRun) {
        self.record.cursor = Some(next.data_interval);
        self.announced = None;
        while self.record.taken.first().is_some_and(|date| *date <= next.logical_date) {
            self.record.taken.pop_first();
        }
    }

    /// What its timetable calls a run, when that is a program with names of its own.
    fn own_name(&self, run: &NextRun) -> Option<&RunId> {
        self.record.dag.schedule.listed()?.listing().name_of(run)
    }

    /// Whether its timetable calls a run so that is still to come.
    pub fn will_be_called(&self, run_id: &RunId) -> bool {
        let cursor = self.record.cursor.as_ref();
        let listed = self.record.dag.schedule.listed();
        listed.is_some_and(|listed| listed.listing().named(cursor).any(|(name, _)| name == run_id))
    }

    /// A backfill has run this date; if the schedule still has it before it, it is not to run it again.
    pub fn take(&mut self, date: DateTime<Utc>) {
        if self.record.cursor.is_none_or(|cursor| cursor.start < date) {
            self.record.taken.insert(date);
        }
    }
}

impl Engine {
    pub(super) fn load_dag(&mut self, record: DagRecord) {
        let graph = self.graph(record.version, &record.dag);
        let dag_id = record.dag.dag_id.clone();
        self.floor.pause(&dag_id, record.is_paused);
        self.due.insert(dag_id.clone());
        let before = standing(self.dags.get(&dag_id).map(|dag| &*dag.record.dag));
        self.shares_changed |= before != standing(Some(&record.dag));
        let mut waited = None;
        match self.dags.get_mut(&dag_id) {
            Some(dag) => {
                // The cursor in memory is ahead of a record that was read before the last commit.
                let cursor = dag.record.cursor.or(record.cursor);
                let disabled = std::mem::take(&mut dag.record.disabled);
                let failed_runs = dag.record.failed_runs;
                let taken = std::mem::take(&mut dag.record.taken);
                let assets = std::mem::take(&mut dag.record.assets);
                waited = dag.record.dag.asset_condition.clone();
                dag.record = DagRecord { cursor, disabled, failed_runs, taken, assets, ..record };
                dag.graph = graph;
            }
            None => {
                let state = DagState {
                    record,
                    graph,
                    running: BTreeSet::new(),
                    queued: BTreeSet::new(),
                    backfill: None,
                    dated: BTreeSet::new(),
                    announced: None,
                    line: Line::default(),
                };
                self.dags.insert(dag_id.clone(), state);
            }
        }
        self.subscribe(&dag_id, waited.as_ref());
        self.settle_partitions(&dag_id);
    }

    pub(super) fn set_flags(&mut self, flags: &[(DagId, bool)]) {
        for (dag_id, is_paused) in flags {
            if let Some(dag) = self.dags.get_mut(dag_id).filter(|dag| dag.record.is_paused != *is_paused) {
                dag.record.is_paused = *is_paused;
                self.floor.pause(dag_id, *is_paused);
                self.due.insert(dag_id.clone());
            }
        }
        let listed: HashSet<&DagId> = flags.iter().map(|(dag_id, _)| dag_id).collect();
        let deleted: Vec<DagId> =
            self.dags.keys().filter(|dag_id| !listed.contains(dag_id)).cloned().collect();
        for dag_id in deleted {
            self.drop_dag(&dag_id);
        }
    }

    fn drop_dag(&mut self, dag_id: &DagId) {
        self.floor.durations.forget(dag_id);
        self.shares_changed = true;
        if let Some(dag) = self.dags.remove(dag_id) {
            self.unsubscribe(&dag);
            for key in dag.active().chain(dag.backfilling()) {
                if let Some(run) = self.runs.remove(&key) {
                    self.names.remove(&(run.record.dag_id.clone(), run.record.run_id.clone()));
                    run.tis.iter().for_each(|ti| self.floor.remove(ti.record.key));
                    self.watch.forget(key);
                    self.mourn(&run);
                }
            }
        }
    }

    /// Creates the runs that are due, starts those that may start, and notes when to look again.
    pub(super) fn advance(&mut self, dag_id: &DagId, now: DateTime<Utc>) {
        self.create_due_runs(dag_id, now);
        self.create_asset_run(dag_id, now);
        self.create_partition_runs(dag_id, now);
        self.start_queued_runs(dag_id, now);
        self.advance_backfill(dag_id, now);
        self.announce(dag_id, now);
    }

    fn create_due_runs(&mut self, dag_id: &DagId, now: DateTime<Utc>) {
        let due = |engine: &Self| {
            let dag = engine.dags.get(dag_id)?;
            dag.due(dag.record.dag.catchup, now)
        };
        while let Some(next) = due(self) {
            let meeting = self.meeting(dag_id, now);
            let goes_on = match meeting {
                Meeting::Wait => false,
                Meeting::Create | Meeting::Skip(_) | Meeting::Replace(_) if !self.may_create(dag_id, now) => {
                    false
                }
                Meeting::Create => self.create_scheduled(dag_id, next, now),
                Meeting::Skip(active) => self.skip_due(dag_id, active, now),
                Meeting::Replace(active) => self.replace(dag_id, &active, now),
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Counts one more run of a DAG in this turn; false when there were enough, so that the next turn goes on.
    pub(super) fn may_create(&mut self, dag_id: &DagId, now: DateTime<Utc>) -> bool {
        let count = self.created.entry(dag_id.clone()).or_default();
        let may = *count < RUNS_PER_TURN;
        if may {
            *count += 1;
        } else {
            self.timers.set(now, Timer::Dag(dag_id.clone()));
        }
        may
    }

    /// Creates a run that is due, unless a backfill has been there already; false when it cannot be.
    pub(super) fn create_scheduled(&mut self, dag_id: &DagId, next: NextRun, now: DateTime<Utc>) -> bool {
        let Some(dag) = self.dags.get_mut(dag_id) else {
            return false;
        };
        let is_taken = dag.record.taken.contains(&next.logical_date);
        dag.move_on(&next);
        if is_taken {
            return true;
        }
        let partition = dag.record.dag.partition_at(next.tick());
        let own = dag.own_name(&next).cloned();
        let Some(dag) = self.dags.get(dag_id) else { return false };
        let own = own.filter(|own| !self.knows_run(dag_id, own)).map(Ok);
        let Ok(run_id) = own.unwrap_or_else(|| scheduled_id(dag_id, next.tick(), partition.as_ref())) else {
            return false;
        };
        let (run_type, run_after) = (RunType::Scheduled, next.run_after);
        let dated = Some(next).filter(|_| !dag.record.dag.has_partitions_by_schedule());
        let template = NewRun { run_type, run_id, next: dated, partition, run_after, backfill: None };
        self.create_run(dag_id, template, now).is_some()
    }

    /// Puts a new run into memory, queued.
    pub(super) fn create_run(&mut self, dag_id: &DagId, new: NewRun, now: DateTime<Utc>) -> Option<RunKey> {
        let dag = self.dags.get(dag_id)?;
        let key = RunKey(self.next_run);
        let record = RunRecord {
            key,
            dag_id: dag_id.clone(),
            run_id: new.run_id,
            run_type: new.run_type,
            state: RunState::Queued,
            version: dag.record.version,
            logical_date: new.next.map(|next| next.logical_date),
            data_interval: new.next.map(|next| next.data_interval),
            partition: new.partition,
            run_after: new.run_after,
            queued_at: now,
            started_at: None,
            ended_at: None,
            conf: Arc::new(Map::new()),
            triggered_by: None,
            note: None,
            clear_number: 0,
            depth: 0,
            is_paused: false,
            backfill: new.backfill,
            missed: Vec::new(),
            bases: Vec::new(),
        };
        let graph = dag.graph.clone();
        self.next_run += 1;
        self.install(Run::new(record, graph), now);
        Some(key)
    }

    fn start_queued_runs(&mut self, dag_id: &DagId, now: DateTime<Utc>) {
        while let Some((run_after, key)) = self.next_to_start(dag_id, now) {
            if let Some(dag) = self.dags.get_mut(dag_id) {
                dag.queued.remove(&(run_after, key));
                dag.running.insert(key);
            }
            self.start_run(key, now);
        }
    }

    // The first of its queued runs that may start; with an alarm for the one that may only later.
    fn next_to_start(&mut self, dag_id: &DagId, now: DateTime<Utc>) -> Option<(DateTime<Utc>, RunKey)> {
        let dag = self.dags.get(dag_id).filter(|dag| !dag.record.is_paused && dag.has_room())?;
        let first = dag.queued.iter().find(|(at, key)| *at > now || !self.stands_back(dag, *key)).copied()?;
        if first.0 > now {
            self.timers.set(first.0, Timer::Dag(dag_id.clone()));
            return None;
        }
        Some(first)
    }

    pub(super) fn start_run(&mut self, key: RunKey, now: DateTime<Utc>) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        run.record.state = RunState::Running;
        run.record.started_at = Some(now);
        run.dirty = true;
        run.review_all();
        if self.floor.wants_paths() {
            run.paths = self.floor.durations.paths(&run.graph);
        }
        if let Some(timeout) = run.graph.dag.dagrun_timeout {
            self.timers.set(now + timeout.delta(), Timer::RunTimeout(key));
        }
        self.mind_deadlines(key, now);
        self.with_run(key, now, |_| {});
    }

    // Has what comes next written, for pages to show, and sets the alarm for it.
    fn announce(&mut self, dag_id: &DagId, now: DateTime<Utc>) {
        let Some(dag) = self.dags.get_mut(dag_id) else {
            return;
        };
        let next = dag.next_run(dag.record.dag.catchup, now).filter(|_| !dag.record.is_stale);
        if let Some(next) = next.filter(|next| next.run_after > now) {
            self.timers.set(next.run_after, Timer::Dag(dag_id.clone()));
        }
        if dag.announced != Some(next) {
            dag.announced = Some(next);
            self.moved_on.insert(dag_id.clone());
        }
    }

    /// Turns what was announced into decisions, each DAG once, as it is at the end: where runs end in the turn that creates
    /// them, a schedule moves on several times.
    pub(super) fn collect_cursors(&mut self) {
        for dag_id in std::mem::take(&mut self.moved_on) {
            if let Some(dag) = self.dags.get(&dag_id) {
                let (cursor, next) = (dag.record.cursor, dag.announced.flatten());
                self.out.cursors.push(CursorRecord { dag_id, cursor, next });
            }
        }
    }
}

/// What distinguishes one new run from another.
pub struct NewRun {
    pub run_type: RunType,
    pub run_id: RunId,
    /// Its dates, if it has them.
    pub next: Option<NextRun>,
    pub partition: Option<Partition>,
    pub run_after: DateTime<Utc>,
    pub backfill: Option<Place>,
}

impl NewRun {
    /// One that assets ask for.
    pub const fn by_assets(run_id: RunId, run_after: DateTime<Utc>, partition: Option<Partition>) -> Self {
        let run_type = RunType::AssetTriggered;
        Self { run_type, run_id, next: None, partition, run_after, backfill: None }
    }
}

/// Airflow's name of a run by schedule: that of its tick, however late it starts. One that is about a partition is called after that, too,
/// with an end that follows from both (in Airflow a random one).
fn scheduled_id(
    dag_id: &DagId,
    tick: DateTime<Utc>,
    partition: Option<&Partition>,
) -> Result<RunId, crate::id::Error> {
    let tick = tick.to_rfc3339_opts(SecondsFormat::AutoSi, false);
    let Some(Partition { key, .. }) = partition else { return RunId::new(&format!("scheduled__{tick}")) };
    let tail = short_digest(&format!("{dag_id}\0{tick}\0{key}"));
    RunId::new(&format!("scheduled__{tick}__{}__{tail}", key.in_run_id()))
}
