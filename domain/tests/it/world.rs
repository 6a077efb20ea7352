//! A simulated world around the engine: records, a ready queue that forgets and repeats, workers that die, an inbox.
//!
//! Every step is checked: no record changes unless it is what the engine believed, no state is entered that the table of
//! transitions does not allow, nothing starts before its rule allows, no limit is exceeded, and no try runs or counts twice.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    dag::{Dag, Task},
    engine::{
        Engine, Snapshot,
        decision::{Decisions, Persisted},
        event::Event,
        record::{
            DagRecord, PoolRecord, RunRecord, RunSnapshot, TiRecord, VersionId, WorkerRecord, XComLength,
        },
    },
    id::{PoolName, QueueName, RunKey, TiKey, TryKey},
    intent::Message,
    outcome::{Outcome, TryResult},
    state::{RunState, TaskState},
    trigger_rule::{Tally, Verdict, judge},
};
use serde_json::Value;
use uuid::Uuid;

use crate::chance::Chance;

/// The records, as the database would have them.
#[derive(Default, Clone)]
pub struct Records {
    pub dags: Vec<DagRecord>,
    pub runs: BTreeMap<RunKey, RunRecord>,
    pub tis: BTreeMap<TiKey, TiRecord>,
    pub xcoms: BTreeMap<(RunKey, String, i32, String), Value>,
    pub tries: BTreeSet<TryKey>,
    pub pools: Vec<PoolRecord>,
}

pub struct World {
    pub chance: Chance,
    pub now: DateTime<Utc>,
    pub records: Records,
    pub engine: Engine,
    pub inbox: VecDeque<Message>,
    queue: Vec<TryKey>,
    running: BTreeMap<TryKey, Uuid>,
    workers: Vec<Uuid>,
    lost: Vec<(Uuid, Vec<TryKey>)>,
    claimed: BTreeSet<TryKey>,
}

pub const SLOTS: u32 = 4;

impl World {
    pub fn new(seed: u64, dags: Vec<Dag>, pools: &[(&str, u32)]) -> Self {
        let pool = |&(name, slots): &(&str, u32)| PoolRecord {
            name: PoolName::new(name).unwrap(),
            slots: Some(slots),
        };
        let dags = (1..).zip(dags).map(|(id, dag)| DagRecord {
            version: VersionId(id),
            dag: Arc::new(dag),
            is_paused: false,
            is_stale: false,
            cursor: None,
        });
        let records =
            Records { dags: dags.collect(), pools: pools.iter().map(pool).collect(), ..Records::default() };
        let mut world = Self {
            chance: Chance::new(seed),
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            records,
            engine: Engine::default(),
            inbox: VecDeque::new(),
            queue: Vec::new(),
            running: BTreeMap::new(),
            workers: vec![Uuid::from_u128(1), Uuid::from_u128(2)],
            lost: Vec::new(),
            claimed: BTreeSet::new(),
        };
        world.restart();
        world
    }

    /// The engine forgets everything and starts from the records.
    pub fn restart(&mut self) {
        self.engine = Engine::restore(self.snapshot(), self.now);
    }

    pub fn snapshot(&self) -> Snapshot {
        let active = self.records.runs.values().filter(|run| !run.state.is_finished());
        Snapshot {
            dags: self.records.dags.clone(),
            runs: active.map(|run| self.run_snapshot(run)).collect(),
            pools: self.records.pools.clone(),
            workers: self.live_workers(),
            next_run: self.records.runs.keys().next_back().map_or(1, |key| key.0 + 1),
        }
    }

    fn live_workers(&self) -> Vec<WorkerRecord> {
        let record = |&id| WorkerRecord { id, queues: vec![QueueName::default_queue()], slots: SLOTS };
        self.workers.iter().map(record).collect()
    }

    fn run_snapshot(&self, run: &RunRecord) -> RunSnapshot {
        let lengths = self.records.xcoms.iter().filter(|((key, ..), _)| *key == run.key);
        RunSnapshot {
            run: run.clone(),
            dag: self.dag(run),
            tis: self.tis(run.key).cloned().collect(),
            lengths: lengths
                .map(|((_, task_id, map_index, key), value)| XComLength {
                    task_id: task_id.parse().unwrap(),
                    map_index: *map_index,
                    key: key.clone(),
                    length: value.as_array().map(Vec::len),
                })
                .collect(),
        }
    }

    fn dag(&self, run: &RunRecord) -> Arc<Dag> {
        self.records.dags.iter().find(|dag| dag.version == run.version).unwrap().dag.clone()
    }

    pub fn tis(&self, run: RunKey) -> impl Iterator<Item = &TiRecord> {
        self.records.tis.range(TiKey { run, index: 0 }..=TiKey { run, index: u32::MAX }).map(|(_, ti)| ti)
    }

    /// One turn of the scheduler, in which it may die before or after writing.
    pub fn turn(&mut self, faults: bool) {
        let batch = self.chance.below(self.inbox.len() as u64 + 1) as usize;
        for message in self.inbox.iter().take(batch).cloned().collect::<Vec<_>>() {
            self.tell(message);
        }
        for (worker, tries) in self.lost.clone() {
            self.engine.handle(Event::WorkerLost { worker, tries }, self.now);
        }
        let decisions = self.engine.poll(self.now);
        if faults && self.chance.one_in(25) {
            return self.restart();
        }
        self.inbox.drain(..batch);
        self.lost.clear();
        self.write(&decisions);
        if faults && self.chance.one_in(25) {
            return self.restart();
        }
        self.queue.extend(decisions.ready.iter().map(|ready| ready.attempt));
        for stop in &decisions.stop {
            self.running.remove(stop);
        }
    }

    fn tell(&mut self, message: Message) {
        match message {
            Message::Outcome(outcome) => self.engine.handle(Event::Outcome(Box::new(outcome)), self.now),
            Message::Intent(intent) => {
                let (dag_id, run_id) = intent.wish.subject();
                let run =
                    self.records.runs.values().find(|run| run.dag_id == *dag_id && run.run_id == *run_id);
                if let Some(run) = run.filter(|_| !self.engine.knows_run(dag_id, run_id)) {
                    let snapshot = self.run_snapshot(run);
                    self.engine.handle(Event::Run(Box::new(snapshot)), self.now);
                }
                self.engine.handle(Event::Intent(Box::new(intent)), self.now);
            }
        }
    }

    fn write(&mut self, decisions: &Decisions) {
        for run in &decisions.runs_created {
            assert!(self.records.runs.insert(run.key, run.clone()).is_none(), "run {:?} exists", run.key);
        }
        for change in &decisions.runs_changed {
            let record = self.records.runs.get_mut(&change.new.key).unwrap();
            assert_eq!(record.state, change.old, "run {:?}", change.new.key);
            // One turn may take several steps at once: a finished run that is cleared is queued and may start right away.
            let steps = [change.old, RunState::Queued];
            assert!(
                steps.iter().any(|step| step.may_become(change.new.state)),
                "{} -> {}",
                change.old,
                change.new.state
            );
            *record = change.new.clone();
        }
        for ti in &decisions.tis_created {
            assert!(self.records.tis.insert(ti.key, ti.clone()).is_none(), "{:?} exists", ti.key);
        }
        for change in &decisions.tis_changed {
            self.change_ti(&change.new, change.old);
        }
        for attempt in decisions.tries.iter().map(|record| record.attempt) {
            assert!(self.records.tries.insert(attempt), "try {attempt} ended twice");
        }
        for (run, task_id, map_index) in &decisions.xcoms_cleared {
            self.records
                .xcoms
                .retain(|(r, t, m, _), _| !(r == run && t == task_id.as_str() && m == map_index));
        }
        for xcom in &decisions.xcoms {
            let place = (xcom.ti.run, xcom.task_id.to_string(), xcom.map_index, xcom.key.clone());
            self.records.xcoms.insert(place, xcom.value.clone());
        }
        for cursor in &decisions.cursors {
            let dag = self.records.dags.iter_mut().find(|dag| dag.dag.dag_id == cursor.dag_id).unwrap();
            dag.cursor = cursor.cursor;
        }
        for ready in &decisions.ready {
            self.check_rule(ready.attempt.ti);
        }
        self.check_limits();
    }

    fn change_ti(&mut self, new: &TiRecord, old: Persisted) {
        let record = self.records.tis.get_mut(&new.key).unwrap();
        let claimed = old.state == TaskState::Queued && record.state == TaskState::Running;
        assert!(record.state == old.state || claimed, "{:?} is {} not {}", new.key, record.state, old.state);
        assert_eq!(record.try_number, old.try_number, "{:?}", new.key);
        let taken_back = old.state == TaskState::Scheduled && new.try_number + 1 == old.try_number;
        assert!(new.try_number >= old.try_number || taken_back, "{new:?}");
        *record = new.clone();
    }

    fn check_rule(&self, key: TiKey) {
        let record = &self.records.tis[&key];
        let dag = self.dag(&self.records.runs[&key.run]);
        let task = dag.task(record.task_id.as_str()).unwrap();
        if record.try_number > 1 || record.lost > 0 {
            return;
        }
        let mut tally = Tally::default();
        for up in self.tis(key.run).filter(|ti| task.upstream.contains(&ti.task_id)) {
            tally.total += 1;
            tally.add(up.state);
        }
        assert_eq!(
            judge(task.trigger_rule, &tally),
            Verdict::Run,
            "{} started too early: {tally:?}",
            record.task_id
        );
    }

    fn check_limits(&self) {
        let in_flight = || self.records.tis.values().filter(|ti| ti.state.is_in_flight());
        for pool in &self.records.pools {
            let used: u32 = in_flight()
                .filter(|ti| ti.placement.pool == pool.name)
                .map(|ti| ti.placement.pool_slots)
                .sum();
            assert!(used <= pool.slots.unwrap_or(u32::MAX), "pool {} holds {used}", pool.name);
        }
        for run in self.records.runs.values().filter(|run| run.state == RunState::Running) {
            let dag = self.dag(run);
            let of_run = || in_flight().filter(|ti| ti.key.run == run.key);
            assert!(of_run().count() <= dag.max_active_tasks as usize, "run {:?}", run.key);
            let over = |task: &&Task| {
                let count = of_run().filter(|ti| ti.task_id == task.task_id).count();
                task.max_active_tis_per_dagrun.is_some_and(|max| count > max as usize)
            };
            assert!(dag.tasks.iter().find(over).is_none(), "run {:?}", run.key);
        }
        for dag in &self.records.dags {
            let running = |run: &&RunRecord| run.dag_id == dag.dag.dag_id && run.state == RunState::Running;
            assert!(self.records.runs.values().filter(running).count() <= dag.dag.max_active_runs as usize);
        }
    }

    /// A worker takes something from the queue. The claim is conditional, so a message that came twice or late does nothing.
    pub fn claim(&mut self, faults: bool) {
        if self.queue.is_empty() || self.workers.is_empty() {
            return;
        }
        let place = self.chance.below(self.queue.len() as u64) as usize;
        let repeat = faults && self.chance.one_in(10);
        let attempt = if repeat { self.queue[place] } else { self.queue.swap_remove(place) };
        if faults && self.chance.one_in(20) {
            return; // lost between the queue and the worker
        }
        let Some(record) = self.records.tis.get_mut(&attempt.ti) else {
            return;
        };
        if record.state == TaskState::Queued && record.try_number == attempt.try_number {
            let worker = self.workers[self.chance.below(self.workers.len() as u64) as usize];
            record.state = TaskState::Running;
            record.worker = Some(worker);
            record.started_at = Some(self.now);
            assert!(self.claimed.insert(attempt), "{attempt} ran twice");
            self.running.insert(attempt, worker);
        }
    }

    /// A try ends and its worker reports, perhaps twice.
    pub fn finish(&mut self, faults: bool) {
        let Some((&attempt, &worker)) =
            self.running.iter().nth(self.chance.below(self.running.len().max(1) as u64) as usize)
        else {
            return;
        };
        self.running.remove(&attempt);
        let result = match self.chance.below(12) {
            0 | 1 => TryResult::Failed,
            2 => TryResult::Skipped,
            3 if faults => TryResult::Returned,
            _ => TryResult::Success,
        };
        let length = self.chance.below(4);
        let outcome = Outcome {
            attempt,
            result,
            started_at: self.now,
            ended_at: self.now,
            worker,
            exit_code: None,
            reason: None,
            xcoms: [("return_value".to_owned(), Value::from((0..length).collect::<Vec<_>>()))].into(),
        };
        self.inbox.push_back(Message::Outcome(outcome.clone()));
        if faults && self.chance.one_in(15) {
            self.inbox.push_back(Message::Outcome(outcome));
        }
    }

    /// A worker dies; what it ran goes on for a while and reports too late.
    pub fn lose_worker(&mut self) {
        let place = self.chance.below(self.workers.len() as u64) as usize;
        let worker =
            std::mem::replace(&mut self.workers[place], Uuid::from_u128(u128::from(self.chance.next())));
        let tries: Vec<TryKey> = self
            .records
            .tis
            .values()
            .filter(|ti| ti.worker == Some(worker) && ti.state == TaskState::Running)
            .map(|ti| TryKey { ti: ti.key, try_number: ti.try_number })
            .collect();
        if self.chance.one_in(2) {
            self.running.retain(|_, owner| *owner != worker);
        }
        self.lost.push((worker, tries));
        let workers = self.live_workers();
        self.engine.handle(Event::Workers(workers), self.now);
    }

    /// Whatever the records say is queued is rung again.
    pub fn sweep(&mut self) {
        let queued = self.records.tis.values().filter(|ti| ti.state == TaskState::Queued);
        self.queue = queued.map(|ti| TryKey { ti: ti.key, try_number: ti.try_number }).collect();
    }

    /// The queue is wiped.
    pub fn flush(&mut self) {
        self.queue.clear();
    }

    pub fn pass(&mut self, seconds: u64) {
        self.now += TimeDelta::seconds(seconds as i64);
    }

    /// An engine made from the records has nothing to add to what the one in memory decided.
    pub fn check_rebuilt(&self) {
        let mut rebuilt = Engine::restore(self.snapshot(), self.now);
        let decisions = rebuilt.poll(self.now);
        assert!(
            decisions.runs_created.is_empty()
                && decisions.runs_changed.is_empty()
                && decisions.tis_created.is_empty()
                && decisions.tis_changed.is_empty(),
            "a rebuilt engine would do more: {decisions:#?}"
        );
    }

    /// Everything goes well from here on, until nothing is left to do.
    pub fn come_to_rest(&mut self) {
        for _ in 0..20_000 {
            self.turn(false);
            self.sweep();
            while !self.queue.is_empty() {
                self.claim(false);
            }
            while !self.running.is_empty() {
                self.finish(false);
            }
            self.pass(3600);
            if self.inbox.is_empty() && self.records.runs.values().all(|run| run.state.is_finished()) {
                return;
            }
        }
        let stuck: Vec<_> = self.records.runs.values().filter(|run| !run.state.is_finished()).collect();
        panic!("runs never ended: {stuck:#?}");
    }
}
