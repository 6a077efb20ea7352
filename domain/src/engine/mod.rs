//! The engine: remembers every active run, is told what happens, and decides what follows.
//!
//! It is sans-IO: [`Engine::handle`] takes an event and the time, [`Engine::poll`] returns decisions, and
//! [`Engine::next_deadline`] says when to poll even if nothing happens. It re-scans nothing: an event costs the out-degree of
//! the task it is about, whatever the size of the run or of the history.
//!
//! Memory is rebuilt from the records by [`Engine::restore`]; a commit that fails is followed by exactly that.

mod approvals;
mod assets;
pub mod backfill;
mod branch;
mod cells;
mod collect;
mod control;
mod counts;
mod deadlines;
pub mod decision;
mod deferrals;
pub mod durations;
mod end;
pub mod event;
pub mod floor;
pub mod graph;
mod intents;
mod life;
mod mapping;
pub mod obstacle;
mod overlap;
mod partitions;
mod past;
mod plan;
pub mod record;
mod rounds;
mod run;
mod scope;
mod shares;
mod step;
mod timer;
mod tries;
pub mod triggering;
mod waits;
mod watch;
mod why;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};

use self::{
    assets::Assets,
    backfill::BackfillSnapshot,
    decision::Decisions,
    durations::DurationRecord,
    event::Event,
    floor::{Floor, Sleep},
    graph::Graph,
    life::Life,
    past::{Past, past_of},
    plan::DagState,
    record::{AdmissionRecord, AssetsRecord, DagRecord, PoolRecord, RunSnapshot, VersionId, WorkerRecord},
    run::Run,
    timer::{Timer, Timers},
    watch::Watch,
};
use crate::{
    id::{DagId, RunId, RunKey},
    outcome::{Outcome, TryResult},
    state::{RunState, TaskState},
};

/// Why a run failed in which nothing can happen any more.
const DEADLOCK: &str = "the run was at a deadlock: nothing in it could start any more";

/// Everything in the records that the engine starts from.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// All DAGs.
    pub dags: Vec<DagRecord>,
    /// All active runs.
    pub runs: Vec<RunSnapshot>,
    /// All backfills that are not over.
    pub backfills: Vec<BackfillSnapshot>,
    /// All pools.
    pub pools: Vec<PoolRecord>,
    /// The installation's rules of admission.
    pub admission: AdmissionRecord,
    /// How long tasks took, for every task with a successful try.
    pub durations: Vec<DurationRecord>,
    /// All live workers.
    pub workers: Vec<WorkerRecord>,
    /// What is known of assets.
    pub assets: AssetsRecord,
    /// The first run key that was never used.
    pub next_run: i64,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Engine {
    dags: BTreeMap<DagId, DagState>,
    runs: HashMap<RunKey, Run>,
    names: HashMap<(DagId, RunId), RunKey>,
    graphs: HashMap<VersionId, std::sync::Weak<Graph>>,
    floor: Floor,
    /// The installation's rules of admission, without what the DAG files say.
    admission: AdmissionRecord,
    shares_changed: bool,
    timers: Timers,
    out: Decisions,
    dirty: BTreeSet<RunKey>,
    due: BTreeSet<DagId>,
    /// DAGs whose schedules have moved on in this turn, perhaps several times.
    moved_on: BTreeSet<DagId>,
    /// How many runs this turn has created of each DAG on its own account.
    created: HashMap<DagId, usize>,
    /// Runs in which tasks ended for which the next run may wait.
    easing: BTreeSet<RunKey>,
    /// Runs whose previous run has ended, or was changed after its end.
    heirs: BTreeSet<RunKey>,
    /// Who waits for which run.
    watch: Watch,
    /// Runs in which somebody has begun to wait for another run.
    attentive: BTreeSet<RunKey>,
    /// Runs in which somebody waits no longer for a run that he started.
    forsaking: BTreeSet<RunKey>,
    /// Runs that are waited for, and in which something ended.
    noteworthy: BTreeSet<RunKey>,
    assets: Assets,
    next_run: i64,
}

impl Engine {
    /// An engine that goes on where the records end.
    #[must_use]
    pub fn restore(snapshot: Snapshot, now: DateTime<Utc>) -> Self {
        let admission = snapshot.admission;
        let (next_run, assets) = (snapshot.next_run, Assets::restore(snapshot.assets));
        let mut engine = Self { next_run, assets, admission, shares_changed: true, ..Self::default() };
        engine.floor.durations.restore(&snapshot.durations);
        engine.floor.set_pools(&snapshot.pools);
        engine.floor.set_workers(&snapshot.workers);
        for dag in snapshot.dags {
            engine.load_dag(dag);
        }
        engine.share_out();
        for backfill in snapshot.backfills {
            engine.load_backfill(backfill);
        }
        for run in snapshot.runs {
            engine.load_run(run, now);
        }
        engine
    }

    /// Takes in something that happened.
    pub fn handle(&mut self, event: Event, now: DateTime<Utc>) {
        match event {
            Event::Dag(dag) => self.load_dag(*dag),
            Event::Flags(flags) => self.set_flags(&flags),
            Event::Pools(pools) => self.floor.set_pools(&pools),
            Event::Admission(admission) => {
                self.admission = *admission;
                self.shares_changed = true;
            }
            Event::Workers(workers) => self.floor.set_workers(&workers),
            Event::Run(run) => self.load_run(*run, now),
            Event::Outcome(outcome) => self.report(*outcome, now),
            Event::Fired(fired) => {
                self.with_run(fired.attempt.ti.run, now, |life| life.hear_trigger(*fired));
            }
            Event::Intent(intent) => self.intend(*intent, now),
            Event::WorkerLost { tries, .. } => {
                for attempt in tries {
                    self.with_run(attempt.ti.run, now, |life| life.lose(attempt));
                }
            }
            Event::Unclaimed(tries) => {
                for attempt in tries {
                    self.with_run(attempt.ti.run, now, |life| life.unclaimed(attempt));
                }
            }
            Event::Past { run, before } => self.answer_past(run, before, now),
            Event::Other { asker, found } => self.answer_other(asker, found, now),
            Event::Measured { question, found } => self.measure(&question, &found, now),
            Event::Surveyed { dag_id, backfill, found } => self.survey(&dag_id, backfill, found),
            Event::Recalled { dag_id, backfill, ordinal, run } => {
                self.recall(&dag_id, backfill, ordinal, run, now);
            }
        }
    }

    /// Decides everything that follows from the events so far and from the time. The decisions count as carried out: if they
    /// cannot be, the engine must be thrown away and restored.
    pub fn poll(&mut self, now: DateTime<Utc>) -> Decisions {
        self.share_out();
        while let Some(timer) = self.timers.pop_due(now) {
            self.ring(timer, now);
        }
        while self.follow_up(now) {}
        for candidate in self.floor.admit(now) {
            self.with_run(candidate.ti.run, now, |life| life.queue(&candidate));
        }
        self.collect();
        self.created.clear();
        std::mem::take(&mut self.out)
    }

    // Something that earlier steps left to do; false when nothing is left.
    fn follow_up(&mut self, now: DateTime<Utc>) -> bool {
        if let Some(happened) = self.assets.pop() {
            self.register(happened, now);
        } else if let Some(key) = self.easing.pop_first() {
            self.ease(key, now);
        } else if let Some(key) = self.heirs.pop_first() {
            self.with_run(key, now, |life| life.run.review_blocked());
        } else if let Some(key) = self.forsaking.pop_first() {
            self.stop_forsaken(key, now);
        } else if let Some(key) = self.attentive.pop_first() {
            self.attend(key, now);
        } else if let Some(key) = self.noteworthy.pop_first() {
            self.spread_news(key, now);
        } else if let Some(dag_id) = self.due.pop_first() {
            self.advance(&dag_id, now);
        } else {
            return false;
        }
        true
    }

    /// When to poll even if nothing happens.
    #[must_use]
    pub fn next_deadline(&self) -> Option<DateTime<Utc>> {
        self.timers.next()
    }

    /// Whether a run is in memory; an intent about one that is not must be preceded by [`Event::Run`].
    #[must_use]
    pub fn knows_run(&self, dag_id: &DagId, run_id: &RunId) -> bool {
        self.names.contains_key(&(dag_id.clone(), run_id.clone()))
    }

    /// Whether it has heard of a DAG; an intent about one that it has not must be preceded by [`Event::Dag`], if the records have it.
    #[must_use]
    pub fn knows_dag(&self, dag_id: &DagId) -> bool {
        self.dags.contains_key(dag_id)
    }

    /// How many runs are in memory.
    #[must_use]
    pub fn active_runs(&self) -> usize {
        self.runs.len()
    }

    // A try that succeeded tells how long its task takes.
    fn learn(&mut self, outcome: &Outcome) {
        let attempt = outcome.attempt;
        let Some(run) = self.runs.get(&attempt.ti.run) else {
            return;
        };
        let Some(record) = run.tis.get(attempt.ti.index as usize).map(|ti| &ti.record) else {
            return;
        };
        let counts = record.state.is_in_flight() && record.try_number == attempt.try_number;
        if counts && outcome.result == TryResult::Success {
            let (start, end) = (outcome.started_at, outcome.ended_at);
            self.floor.durations.learn(&run.record.dag_id, &record.task_id, start, end);
        }
    }

    fn report(&mut self, mut outcome: Outcome, now: DateTime<Utc>) {
        self.learn(&outcome);
        if let (TryResult::Deferred, Some(request)) = (outcome.result, outcome.trigger.take()) {
            return self.trigger_for(outcome, *request, now);
        }
        self.with_run(outcome.attempt.ti.run, now, |life| life.report(outcome));
    }

    fn ring(&mut self, timer: Timer, now: DateTime<Utc>) {
        match timer {
            Timer::Dag(dag_id) => {
                self.due.insert(dag_id);
            }
            Timer::Retry(attempt) => self.with_run(attempt.ti.run, now, |life| life.retry(attempt)),
            Timer::Wait(attempt) => self.with_run(attempt.ti.run, now, |life| life.wake(attempt)),
            Timer::RunTimeout(run) => self.time_out(run, now),
            Timer::Deadline(run) => self.mind_deadlines(run, now),
        }
    }

    // Does something to a run, then everything that follows from it.
    fn with_run(&mut self, key: RunKey, now: DateTime<Utc>, act: impl FnOnce(&mut Life<'_>)) {
        let Some(mut run) = self.runs.remove(&key) else {
            return;
        };
        self.dirty.insert(key);
        let ended = run.past.take();
        let past = past_of(&self.runs, &self.dags, &run, ended.as_ref());
        let (floor, timers, out) = (&mut self.floor, &mut self.timers, &mut self.out);
        let mut life = Life { run: &mut run, floor, timers, out, past, now };
        act(&mut life);
        life.settle();
        run.past = ended;
        self.take_note(&run);
        self.assets.note(run.emitted.drain(..));
        let is_running = run.record.state == RunState::Running;
        let verdict = (is_running && run.unfinished == 0).then(|| run.verdict());
        let is_stuck = is_running && run.is_deadlocked();
        self.runs.insert(key, run);
        if let Some(verdict) = verdict {
            self.end_run(key, verdict, None, now);
        } else if is_stuck {
            self.stop_run(key, RunState::Failed, TaskState::UpstreamFailed, DEADLOCK, now);
        }
    }

    // Changes a run without judging its rules yet, because more changes follow.
    fn quietly(&mut self, key: RunKey, now: DateTime<Utc>, act: impl FnOnce(&mut Life<'_>)) {
        let Some(run) = self.runs.get_mut(&key) else { return };
        self.dirty.insert(key);
        let (floor, timers, out) = (&mut self.floor, &mut self.timers, &mut self.out);
        act(&mut Life { run, floor, timers, out, past: Past::Unknown, now });
        if let Some(run) = self.runs.remove(&key) {
            self.take_note(&run);
            self.runs.insert(key, run);
        }
        self.hand_over(key);
    }

    // What a change in a run leaves to do for others.
    fn take_note(&mut self, run: &Run) {
        let key = run.record.key;
        if !run.eased.is_empty() {
            self.easing.insert(key);
        }
        if !run.listeners.is_empty() {
            self.attentive.insert(key);
        }
        if !run.forsaken.is_empty() {
            self.forsaking.insert(key);
        }
        if run.has_news {
            self.noteworthy.insert(key);
        }
    }

    fn load_run(&mut self, snapshot: RunSnapshot, now: DateTime<Utc>) {
        let graph = self.graph(snapshot.run.version, &snapshot.dag);
        self.install(Run::restore(snapshot, graph), now);
    }

    // Puts a run into memory: its names, limits and timers, and what is in flight or waiting in it.
    fn install(&mut self, mut run: Run, now: DateTime<Utc>) {
        let key = run.record.key;
        for (gate, room) in run.limits() {
            self.floor.limit(gate, room);
        }
        if run.record.state == RunState::Running && self.floor.wants_paths() {
            run.paths = self.floor.durations.paths(&run.graph);
        }
        for ti in &run.tis {
            let record = &ti.record;
            match record.state {
                TaskState::Queued | TaskState::Running | TaskState::Restarting => {
                    self.floor.hold(run.candidate(record.key.index));
                }
                TaskState::Scheduled => self.floor.wait(run.candidate(record.key.index)),
                TaskState::UpForRetry => {
                    let attempt = crate::id::TryKey { ti: record.key, try_number: record.try_number };
                    self.timers.set(record.next_try_at.unwrap_or(now), Timer::Retry(attempt));
                }
                TaskState::None
                | TaskState::Success
                | TaskState::Failed
                | TaskState::UpForReschedule
                | TaskState::UpstreamFailed
                | TaskState::Skipped
                | TaskState::Removed => {}
                TaskState::Deferred => self.floor.sleep(run.candidate(record.key.index), Sleep::Deferred),
                TaskState::AwaitingInput => {
                    self.floor.sleep(run.candidate(record.key.index), Sleep::AwaitingInput);
                }
            }
        }
        if let (RunState::Running, Some(started)) = (run.record.state, run.record.started_at) {
            self.set_run_timer(key, &run, started);
        }
        if let Some(dag) = self.dags.get_mut(&run.record.dag_id) {
            dag.note(&run);
            run.switch(&dag.record.disabled);
            self.due.insert(run.record.dag_id.clone());
        }
        self.names.insert((run.record.dag_id.clone(), run.record.run_id.clone()), key);
        run.is_watched = self.watch.has(&run);
        run.has_news = run.is_watched;
        let asleep = run.asleep();
        self.runs.insert(key, run);
        self.meet_backfill(key);
        self.mind_deadlines(key, now);
        self.ask_for_deadlines(key);
        self.ask_past(key);
        self.with_run(key, now, |life| asleep.into_iter().for_each(|index| life.listen(index)));
        self.step_in(key, now);
    }

    fn set_run_timer(&mut self, key: RunKey, run: &Run, started: DateTime<Utc>) {
        if let Some(timeout) = run.graph.dag.dagrun_timeout {
            self.timers.set(started + timeout.delta(), Timer::RunTimeout(key));
        }
    }

    // Runs of the same version share one graph.
    fn graph(&mut self, version: VersionId, dag: &Arc<crate::dag::Dag>) -> Arc<Graph> {
        if let Some(graph) = self.graphs.get(&version).and_then(std::sync::Weak::upgrade) {
            return graph;
        }
        self.graphs.retain(|_, graph| graph.strong_count() > 0);
        let graph = Arc::new(Graph::new(dag.clone()));
        self.graphs.insert(version, Arc::downgrade(&graph));
        graph
    }
}
