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
    alert::AlertEvent,
    dag::{Dag, Operator},
    engine::{
        Engine, Snapshot,
        backfill::{Recall, Survey},
        decision::{Decisions, Persisted},
        durations::DurationRecord,
        event::Event,
        record::{
            AdmissionRecord, AssetStanding, DagRecord, DeadlineQuestion, PastQuestion, PoolRecord,
            RunQuestion, RunRecord, RunSnapshot, Standing, TiRecord, VersionId, WorkerRecord, XComLength,
            XComRecord,
        },
        triggering::named_run,
    },
    id::{DagId, PoolName, QueueName, RunId, RunKey, TaskId, TiKey, TryKey},
    intent::{Intent, Message, Wish},
    outcome::{CHOICE, Outcome, TryResult},
    state::{RunState, RunType, TaskState},
};
use indexmap::IndexMap;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    approving::{Asked, Sent},
    backfilling::Backfills,
    chance::Chance,
    consuming::Happenings,
    deferring::Deferrals,
    dividing::Heard,
    inspect::{blocks_next, check_once},
    looping::Loops,
    programs::Answer,
};

/// The records, as the database would have them.
#[derive(Default, Clone)]
pub struct Records {
    pub dags: Vec<DagRecord>,
    pub runs: BTreeMap<RunKey, RunRecord>,
    pub tis: BTreeMap<TiKey, TiRecord>,
    pub xcoms: BTreeMap<(RunKey, String, i32, String), Value>,
    pub tries: BTreeSet<TryKey>,
    pub pools: Vec<PoolRecord>,
    pub durations: BTreeMap<(DagId, TaskId), DurationRecord>,
    pub backfills: Backfills,
    pub assets: Happenings,
    pub heard: Heard,
    /// Run, instance, number, event and place of every alert.
    pub alerts: BTreeSet<(RunKey, Option<u32>, u32, AlertEvent, u32)>,
    pub questions: BTreeMap<TryKey, Asked>,
    pub deferrals: Deferrals,
}

pub struct World {
    pub chance: Chance,
    /// Chooses what is looked at.
    pub curiosity: Chance,
    /// Chooses what is said of assets, and when timetables of plugins are asked.
    pub makers: Chance,
    pub now: DateTime<Utc>,
    pub records: Records,
    pub engine: Engine,
    pub inbox: VecDeque<Message>,
    pub queue: Vec<TryKey>,
    pub running: BTreeMap<TryKey, Uuid>,
    pub workers: Vec<Uuid>,
    pub lost: Vec<(Uuid, Vec<TryKey>)>,
    pub questions: Vec<PastQuestion>,
    pub lookups: Vec<RunQuestion>,
    pub measures: Vec<DeadlineQuestion>,
    pub surveys: Vec<Survey>,
    pub recalls: Vec<Recall>,
    pub has_wishes: bool,
    pub claimed: BTreeSet<(TryKey, u32)>,
    /// The look that each running try is.
    pub pokes: BTreeMap<TryKey, u32>,
    /// Every answer that somebody has given.
    pub sent: Vec<Sent>,
    pub loops: Loops,
    /// What timetables of plugins have answered and the records do not have yet.
    pub answers: Vec<Answer>,
}

pub const SLOTS: u32 = 4;

impl World {
    pub fn new(seed: u64, dags: Vec<Dag>, pools: &[(&str, u32)]) -> Self {
        let pool = |&(name, slots): &(&str, u32)| PoolRecord {
            name: PoolName::new(name).unwrap(),
            slots: Some(slots),
            include_deferred: false,
            policy: None,
        };
        let dags = (1..).zip(dags).map(|(id, dag)| DagRecord {
            version: VersionId(id),
            dag: Arc::new(dag),
            is_paused: false,
            is_stale: false,
            cursor: None,
            disabled: BTreeSet::new(),
            failed_runs: 0,
            taken: BTreeSet::new(),
            assets: AssetStanding::default(),
        });
        let records =
            Records { dags: dags.collect(), pools: pools.iter().map(pool).collect(), ..Records::default() };
        let mut world = Self {
            chance: Chance::new(seed),
            curiosity: Chance::new(!seed),
            makers: Chance::new(seed ^ 0xa55e7),
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            records,
            engine: Engine::default(),
            inbox: VecDeque::new(),
            queue: Vec::new(),
            running: BTreeMap::new(),
            workers: vec![Uuid::from_u128(1), Uuid::from_u128(2)],
            lost: Vec::new(),
            questions: Vec::new(),
            lookups: Vec::new(),
            measures: Vec::new(),
            surveys: Vec::new(),
            recalls: Vec::new(),
            has_wishes: false,
            claimed: BTreeSet::new(),
            pokes: BTreeMap::new(),
            sent: Vec::new(),
            loops: Loops::default(),
            answers: Vec::new(),
        };
        world.restart();
        world
    }

    /// The engine forgets everything and starts from the records.
    pub fn restart(&mut self) {
        self.questions.clear();
        self.lookups.clear();
        self.measures.clear();
        self.surveys.clear();
        self.recalls.clear();
        self.answers.clear();
        self.engine = Engine::restore(self.snapshot(), self.now);
    }

    pub fn snapshot(&self) -> Snapshot {
        let active = self.records.runs.values().filter(|run| !run.state.is_finished());
        Snapshot {
            dags: self.dags(),
            backfills: self.backfills(),
            runs: active.map(|run| self.run_snapshot(run)).collect(),
            pools: self.records.pools.clone(),
            workers: self.live_workers(),
            admission: AdmissionRecord::default(),
            durations: self.records.durations.values().cloned().collect(),
            assets: self.assets(),
            next_run: self.records.runs.keys().next_back().map_or(1, |key| key.0 + 1),
        }
    }

    pub fn live_workers(&self) -> Vec<WorkerRecord> {
        let record = |&id| WorkerRecord { id, queues: vec![QueueName::default_queue()], slots: SLOTS };
        self.workers.iter().map(record).collect()
    }

    pub fn run_snapshot(&self, run: &RunRecord) -> RunSnapshot {
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
                    length: length(value),
                })
                .collect(),
            choices: self.choices(run.key),
        }
    }

    fn choices(&self, run: RunKey) -> Vec<XComRecord> {
        let xcoms = self.records.xcoms.iter().filter(|((key, _, _, name), _)| *key == run && name == CHOICE);
        xcoms
            .map(|((_, task_id, map_index, key), value)| XComRecord {
                ti: self
                    .tis(run)
                    .find(|ti| ti.task_id.as_str() == task_id && ti.map_index == *map_index)
                    .unwrap()
                    .key,
                task_id: task_id.parse().unwrap(),
                map_index: *map_index,
                key: key.clone(),
                value: value.clone(),
            })
            .collect()
    }

    /// The answer of the records to a question about the past.
    pub fn past(&self, question: &PastQuestion) -> Option<Standing> {
        let before = |run: &&RunRecord| {
            run.dag_id == question.dag_id
                && run.state.is_finished()
                && run.logical_date.is_some_and(|date| date < question.before)
                && !(question.without_manual && run.run_type == RunType::Manual)
        };
        let run = self.records.runs.values().filter(before).max_by_key(|run| (run.logical_date, run.key))?;
        let unmet = self.tis(run.key).filter(|ti| blocks_next(ti.state)).map(|ti| ti.task_id.clone());
        Some(Standing { run: run.key, logical_date: run.logical_date?, unmet: unmet.collect() })
    }

    pub fn dag(&self, run: &RunRecord) -> Arc<Dag> {
        self.records.dags.iter().find(|dag| dag.version == run.version).unwrap().dag.clone()
    }

    pub fn tis(&self, run: RunKey) -> impl Iterator<Item = &TiRecord> {
        self.records.tis.range(TiKey { run, index: 0 }..=TiKey { run, index: u32::MAX }).map(|(_, ti)| ti)
    }

    /// One turn of the scheduler, in which it may die before or after writing.
    pub fn turn(&mut self, faults: bool) {
        self.ask_timetables(faults);
        let batch = self.chance.below(self.inbox.len() as u64 + 1) as usize;
        self.has_wishes = self.inbox.iter().take(batch).any(|message| matches!(message, Message::Intent(_)));
        for message in self.inbox.iter().take(batch).cloned().collect::<Vec<_>>() {
            self.tell(message);
        }
        let answered = if faults && self.chance.one_in(3) { 0 } else { self.questions.len() };
        for question in self.questions.drain(..answered).collect::<Vec<_>>() {
            let before = self.past(&question);
            self.engine.handle(Event::Past { run: question.run, before }, self.now);
        }
        let answered = if faults && self.chance.one_in(3) { 0 } else { self.lookups.len() };
        for question in self.lookups.drain(..answered).collect::<Vec<_>>() {
            let found = self.other(&question);
            self.engine.handle(Event::Other { asker: question.asker, found }, self.now);
        }
        self.measure(faults);
        if answered > 0 || !faults || self.chance.one_in(2) {
            self.answer();
        }
        for (worker, tries) in self.lost.clone() {
            self.engine.handle(Event::WorkerLost { worker, tries }, self.now);
        }
        let decisions = self.engine.poll(self.now);
        // Backfills, and tasks that reset runs, do what wishes do.
        self.has_wishes |= decisions.runs_changed.iter().any(|change| change.old.is_finished());
        if faults && self.chance.one_in(25) {
            return self.restart();
        }
        self.inbox.drain(..batch);
        self.lost.clear();
        let active = self.active();
        self.write(&decisions);
        self.check_alerts(&active, &decisions);
        self.check_deadlines(&active, &decisions);
        self.check_overlap(&active, &decisions);
        if faults && self.chance.one_in(25) {
            return self.restart();
        }
        self.questions.extend(decisions.questions.iter().cloned());
        self.lookups.extend(decisions.lookups.iter().cloned());
        self.measures.extend(decisions.measures.iter().cloned());
        self.surveys.extend(decisions.surveys.iter().cloned());
        self.recalls.extend(decisions.recalls.iter().cloned());
        self.queue.extend(decisions.ready.iter().map(|ready| ready.attempt));
        for stop in &decisions.stop {
            self.running.remove(stop);
        }
        self.check_why();
    }

    fn tell(&mut self, message: Message) {
        match message {
            Message::Outcome(outcome) => {
                if let Some((dag_id, Some(run_id))) = named_run(&outcome) {
                    self.bring_back(dag_id, run_id);
                }
                self.engine.handle(Event::Outcome(Box::new(outcome)), self.now);
            }
            Message::Fired(fired) => self.engine.handle(Event::Fired(Box::new(fired)), self.now),
            Message::Intent(intent) => {
                if let (Some(dag_id), Some(run_id)) = intent.wish.subject() {
                    self.bring_back(dag_id, run_id);
                }
                self.engine.handle(Event::Intent(Box::new(intent)), self.now);
            }
        }
    }

    // A run that has ended is not in memory.
    fn bring_back(&mut self, dag_id: &DagId, run_id: &RunId) {
        let mut runs = self.records.runs.values();
        let run = runs.find(|run| run.dag_id == *dag_id && run.run_id == *run_id);
        if let Some(run) = run.filter(|run| !self.engine.knows_run(dag_id, &run.run_id)) {
            let snapshot = self.run_snapshot(run);
            self.engine.handle(Event::Run(Box::new(snapshot)), self.now);
        }
    }

    fn write(&mut self, decisions: &Decisions) {
        check_once(decisions);
        self.write_runs(decisions);
        let before: Vec<TiRecord> =
            decisions.tis_changed.iter().map(|change| self.records.tis[&change.new.key].clone()).collect();
        let allowed: Vec<bool> = before.iter().map(|ti| self.past_allows(ti.key)).collect();
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
        self.write_questions(decisions);
        self.write_deferrals(decisions);
        let paused = self.paused();
        self.write_dags(decisions);
        self.write_assets(decisions, &paused);
        self.write_partitions(decisions, &paused);
        self.write_backfills(decisions);
        self.check_starts(&before, &allowed, decisions);
        self.check_deadlocks(decisions);
        before.iter().for_each(|old| self.check_wait(old));
        self.check_questions(&before);
        self.check_deferrals();
        before.iter().for_each(|old| self.check_forsaken(old, decisions));
        self.check_rounds(&before, decisions);
        self.check_begun_anew(&before);
        self.check_triggered(decisions);
        self.check_programs(decisions);
        for learned in &decisions.durations {
            self.records.durations.insert((learned.dag_id.clone(), learned.task_id.clone()), learned.clone());
        }
        for ready in &decisions.ready {
            self.check_ready(ready.attempt.ti);
        }
        self.check_limits();
    }

    fn write_runs(&mut self, decisions: &Decisions) {
        for run in &decisions.runs_created {
            let is_same = |other: &RunRecord| other.dag_id == run.dag_id && other.run_id == run.run_id;
            assert!(!self.records.runs.values().any(is_same), "there are two runs like {run:?}");
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
    }

    fn check_starts(&self, before: &[TiRecord], allowed: &[bool], decisions: &Decisions) {
        // A wait that began may outlive a wish of the same turn that revokes what let it begin; a try that waits for room does not.
        let has_begun = |ti: &TiRecord| {
            let is_asleep = matches!(ti.state, TaskState::Deferred | TaskState::AwaitingInput);
            let is_outlived = is_asleep && self.has_wishes;
            ti.state != TaskState::None && !ti.state.is_finished() && !is_outlived
        };
        for ((old, change), allowed) in before.iter().zip(&decisions.tis_changed).zip(allowed) {
            let is_first = old.state == TaskState::None || old.state.is_finished();
            if is_first && has_begun(&change.new) {
                self.check_start(change.new.key, decisions, *allowed);
            }
        }
        for ti in decisions.tis_created.iter().filter(|ti| has_begun(ti)) {
            self.check_start(ti.key, decisions, false);
        }
    }

    fn paused(&self) -> BTreeSet<DagId> {
        self.records.dags.iter().filter(|dag| dag.is_paused).map(|dag| dag.dag.dag_id.clone()).collect()
    }

    fn write_dags(&mut self, decisions: &Decisions) {
        for cursor in &decisions.cursors {
            let dag = self.records.dags.iter_mut().find(|dag| dag.dag.dag_id == cursor.dag_id).unwrap();
            dag.cursor = cursor.cursor;
        }
        for flags in &decisions.dags {
            let dag = self.records.dags.iter_mut().find(|dag| dag.dag.dag_id == flags.dag_id).unwrap();
            dag.failed_runs = flags.failed_runs;
            dag.is_paused |= flags.pause;
            dag.disabled = flags.disabled.clone().unwrap_or(std::mem::take(&mut dag.disabled));
        }
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
            let pokes = record.wait.as_ref().map_or(0, |wait| wait.pokes);
            assert!(self.claimed.insert((attempt, pokes)), "{attempt} ran twice");
            self.pokes.insert(attempt, pokes);
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
        let mut result = match self.chance.below(12) {
            0 | 1 => TryResult::Failed,
            2 => TryResult::Skipped,
            3 if faults => TryResult::Returned,
            _ => TryResult::Success,
        };
        let mut exit_code = None;
        let mut xcoms: IndexMap<String, Value> = IndexMap::new();
        match self.result(attempt) {
            Some(value) if value == "exit 1" => (result, exit_code) = (TryResult::Success, Some(1)),
            Some(value) => drop(xcoms.insert("return_value".to_owned(), value)),
            None => {}
        }
        // An Airflow task's process ends well whatever became of the task, unless it was killed.
        exit_code = exit_code.or_else(|| self.chance.one_in(2).then_some(0));
        let asset_events = self.makes(attempt);
        let (result, trigger) = self.waits(attempt, result, faults);
        let result = self.goes_round(attempt, result, &mut xcoms);
        let (result, question) = self.renders(attempt, result, faults);
        let (result, deferral, resume_at) = self.defers(attempt, result, faults);
        let outcome = Outcome {
            attempt,
            result,
            started_at: self.now,
            ended_at: self.now,
            worker,
            exit_code,
            reason: None,
            rendered_map_index: None,
            xcoms,
            asset_events,
            pokes: Some(self.pokes[&attempt]),
            trigger,
            question,
            deferral,
            resume_at,
        };
        self.inbox.push_back(Message::Outcome(outcome.clone()));
        if faults && self.chance.one_in(15) {
            self.inbox.push_back(Message::Outcome(outcome));
        }
    }

    /// What the program of a try prints.
    fn result(&mut self, attempt: TryKey) -> Option<Value> {
        let dag = self.dag(&self.records.runs[&attempt.ti.run]);
        let task = dag.task(self.records.tis[&attempt.ti].task_id.as_str()).unwrap();
        let any = |chance: &mut Chance| {
            Value::from(dag.tasks[chance.below(dag.tasks.len() as u64) as usize].task_id.as_str())
        };
        match (&task.operator, self.chance.below(8)) {
            (Operator::Branch { .. }, 0) => None,
            (Operator::Branch { .. }, 1) => Some(Value::from("nowhere")),
            (Operator::Branch { .. }, 2 | 3) => {
                Some(Value::from(vec![any(&mut self.chance), any(&mut self.chance)]))
            }
            (Operator::Branch { .. }, _) => Some(any(&mut self.chance)),
            (Operator::ShortCircuit { .. }, 0) => None,
            (Operator::ShortCircuit { .. }, 1) => Some(Value::from("exit 1")),
            (Operator::ShortCircuit { .. }, n) => Some(Value::from(n % 2 == 0)),
            (_, n) => Some(Value::from((0..n % 4).collect::<Vec<_>>())),
        }
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

    pub fn tell_all(&mut self, wishes: impl IntoIterator<Item = Wish>) {
        for wish in wishes {
            self.inbox.push_back(Message::Intent(Intent { by: "somebody".into(), wish }));
        }
    }
}

/// How many instances a task has that is mapped over this value.
pub fn length(value: &Value) -> Option<usize> {
    value.as_array().map(Vec::len).or_else(|| value.as_object().map(serde_json::Map::len))
}
