//! One active run in the engine's memory.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};

use super::{
    assets::Unnumbered,
    cells::Cells,
    counts::Due,
    decision::Persisted,
    floor::{Candidate, Gate},
    graph::Graph,
    mapping::Lengths,
    record::{Placement, RunRecord, RunSnapshot, Standing, TiRecord, VersionId},
};
use crate::{
    id::{DagId, RunId, TiKey, TryKey},
    outcome::Outcome,
    state::{RunState, TaskState},
};

/// A run, its graph and the state of every task instance.
#[derive(Debug)]
pub struct Run {
    pub record: RunRecord,
    pub graph: Arc<Graph>,
    pub nodes: Vec<NodeState>,
    pub tis: Vec<Ti>,
    /// Task instances that are not finished.
    pub unfinished: usize,
    /// What the record was when it was last written; none before it is.
    pub persisted: Option<RunState>,
    /// The record changed since.
    pub dirty: bool,
    /// Task instances that changed since they were last written.
    pub dirty_tis: Vec<u32>,
    /// The ranks of tasks whose rule is to be judged again. The first in the order of the graph comes first, so that everything that
    /// one event brings about is known before the tasks behind it are judged.
    pub review: BinaryHeap<Reverse<usize>>,
    /// Task instances in state `none`.
    pub untouched: usize,
    /// Instances whose rule lets them run but that something else keeps back.
    pub blocked: usize,
    /// What each instance that has chosen among those behind it has had skipped.
    pub choices: HashMap<u32, Vec<usize>>,
    /// The previous run by logical date among those that have ended; `None` until the records were asked.
    pub past: Option<Option<Standing>>,
    /// What a run before it handed over at its end while the records had not answered.
    pub late: Option<Standing>,
    /// Tasks for which the next run now waits, or no longer does.
    pub eased: Vec<usize>,
    /// The first final failure in a run with `fail_fast` has ended the rest.
    pub failed_fast: bool,
    /// Instances that wait for other runs since the last time somebody looked.
    pub listeners: Vec<u32>,
    /// Runs that tasks of it have started and waited for, and that nobody waits for any more.
    pub forsaken: Vec<(DagId, RunId)>,
    /// Somebody waits for it, or for a task in it,
    pub is_watched: bool,
    /// and a task in it has ended since.
    pub has_news: bool,
    /// How long the longest chain from each task to the end takes, in milliseconds; empty while nobody asks.
    pub paths: Vec<u64>,
    /// What its tasks have made since the last time somebody looked.
    pub emitted: Vec<Unnumbered>,
    /// How many elements those XComs have over which something may be mapped.
    pub lengths: Lengths,
}

/// The node of an instance whose task is no longer part of the DAG.
pub const NO_NODE: usize = usize::MAX;

/// What the engine knows of a task within a run.
#[derive(Debug, Default)]
pub struct NodeState {
    /// How what it waits for stands.
    pub cells: Cells,
    /// How many cells each level of these has: how many elements the mapped groups around it have together, down to each of them.
    pub shape: Vec<usize>,
    /// How many instances its elements make. There may be more that were removed when there were more elements.
    pub count: usize,
    /// Its instances that have neither succeeded nor been skipped, without those that no longer exist.
    pub unmet: usize,
    /// Its instances that count in [`Run::blocked`].
    pub blocked: BTreeSet<u32>,
    /// Switched off by an operator.
    pub disabled: bool,
    /// Its instances, in the order of their mapped index.
    pub instances: Vec<u32>,
    /// Those that are in state `none`.
    pub untouched: usize,
    /// Those that are in state `scheduled`.
    pub ready: usize,
    /// Those that are not finished.
    pub unfinished: usize,
    /// It is not mapped, or its instances exist.
    pub expanded: bool,
    /// Nobody can say which elements its instances belong to, because what it was mapped over is gone: they count for everybody.
    pub whole: bool,
    /// What of it is to be judged again: it waits in [`Run::review`] unless that is nothing.
    pub due: Due,
}

/// A task instance.
#[derive(Debug)]
pub struct Ti {
    pub record: TiRecord,
    pub node: usize,
    /// What the record was when it was last written; none before it is.
    pub persisted: Option<Persisted>,
    /// It is listed in [`Run::dirty_tis`].
    pub dirty: bool,
}

impl Run {
    /// A new run with one instance for each task, or one for each element of a list written in the file.
    pub fn new(record: RunRecord, graph: Arc<Graph>) -> Self {
        let mut run = Self::bare(record, graph);
        run.dirty = true;
        run.fill();
        run.settle();
        run
    }

    /// A run as the records have it. Tasks that the graph has and the records lack get instances; instances whose task is
    /// gone are set to removed.
    pub fn restore(snapshot: RunSnapshot, graph: Arc<Graph>) -> Self {
        let mut run = Self::bare(snapshot.run, graph);
        run.persisted = Some(run.record.state);
        for length in snapshot.lengths {
            run.lengths.note(length);
        }
        let choices = snapshot.choices;
        let known = |record: TiRecord| {
            let persisted = Some(Persisted { state: record.state, try_number: record.try_number });
            Ti { record, node: NO_NODE, persisted, dirty: false }
        };
        run.take_in(snapshot.tis.into_iter().map(known).collect());
        choices.iter().for_each(|choice| run.recall(choice));
        run
    }

    /// The same run on another version of its DAG.
    pub fn rebuilt(self, version: VersionId, graph: Arc<Graph>) -> Self {
        let mut run = Self::bare(RunRecord { version, ..self.record }, graph);
        run.persisted = self.persisted;
        run.dirty = true;
        run.lengths = self.lengths;
        (run.past, run.late, run.forsaken) = (self.past, self.late, self.forsaken);
        run.take_in(self.tis);
        run.translate(&self.graph, self.choices);
        run
    }

    fn take_in(&mut self, tis: Vec<Ti>) {
        let mut orphans = Vec::new();
        for mut ti in tis {
            let index = ti.record.key.index;
            let node = self.graph.find(&ti.record.task_id);
            match node {
                Some(node) => self.nodes[node].instances.push(index),
                None => orphans.push(index),
            }
            if ti.dirty {
                self.dirty_tis.push(index);
            }
            ti.node = node.unwrap_or(NO_NODE);
            self.tis.push(ti);
        }
        self.remove_orphans(&orphans);
        self.fill();
        self.settle();
    }

    fn bare(record: RunRecord, graph: Arc<Graph>) -> Self {
        let nodes = (0..graph.len()).map(|_| NodeState::default()).collect();
        Self {
            record,
            graph,
            nodes,
            tis: Vec::new(),
            unfinished: 0,
            persisted: None,
            dirty: false,
            dirty_tis: Vec::new(),
            review: BinaryHeap::new(),
            untouched: 0,
            blocked: 0,
            choices: HashMap::new(),
            past: None,
            late: None,
            eased: Vec::new(),
            failed_fast: false,
            listeners: Vec::new(),
            forsaken: Vec::new(),
            is_watched: false,
            has_news: false,
            paths: Vec::new(),
            emitted: Vec::new(),
            lengths: Lengths::default(),
        }
    }

    fn remove_orphans(&mut self, orphans: &[u32]) {
        for &index in orphans {
            let state = self.tis[index as usize].record.state;
            if state != TaskState::Removed && !state.is_finished() {
                self.forsake(index);
                let ti = &mut self.tis[index as usize];
                ti.record.state = TaskState::Removed;
                ti.record.wait = None;
                self.touch(index);
            }
        }
    }

    fn fill(&mut self) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].instances.is_empty() {
                let is_expanding = self.graph.node(node).is_expanding;
                match self.written_length(node).filter(|_| is_expanding) {
                    Some(length) if length > 0 => {
                        (0..length).for_each(|n| self.add_instance(node, index_of(n)))
                    }
                    Some(_) | None => self.add_instance(node, -1),
                }
            }
        }
    }

    /// The instances of a task, or the one with this mapped index.
    pub fn instances(&self, node: usize, map_index: Option<i32>) -> &[u32] {
        let all = &self.nodes[node].instances;
        let Some(wanted) = map_index else { return all };
        // The instance of an index stands at its place; the only one of a task that is not expanded has none.
        let place = usize::try_from(wanted).unwrap_or(0);
        let is_it = |&index: &u32| self.tis[index as usize].record.map_index == wanted;
        all.get(place).filter(|index| is_it(index)).map_or(&[], std::slice::from_ref)
    }

    /// The tasks of some instances, in ascending order.
    pub fn nodes_of(&self, instances: &[u32]) -> Vec<usize> {
        let nodes = instances.iter().map(|&index| self.tis[index as usize].node);
        let nodes: BTreeSet<usize> = nodes.filter(|&node| node < self.graph.len()).collect();
        nodes.into_iter().collect()
    }

    /// Marks an instance as changed.
    pub fn touch(&mut self, index: u32) {
        if !std::mem::replace(&mut self.tis[index as usize].dirty, true) {
            self.dirty_tis.push(index);
        }
    }

    /// The key of an instance.
    pub const fn key(&self, index: u32) -> TiKey {
        TiKey { run: self.record.key, index }
    }

    /// Adds an instance in state `none` without counting it: the caller keeps the tallies.
    pub fn add_instance(&mut self, node: usize, map_index: i32) {
        let task = self.graph.task(node);
        let index = u32::try_from(self.tis.len()).unwrap_or(u32::MAX);
        let record = TiRecord {
            key: self.key(index),
            task_id: task.task_id.clone(),
            map_index,
            state: TaskState::None,
            try_number: 0,
            max_tries: task.retry.retries,
            lost: 0,
            rounds: 0,
            scheduled_at: None,
            queued_at: None,
            started_at: None,
            ended_at: None,
            next_try_at: None,
            wait: None,
            worker: None,
            reason: None,
            rendered_map_index: None,
            is_held: false,
            placement: Placement {
                pool: task.pool.clone(),
                pool_slots: task.pool_slots,
                queue: task.queue.clone(),
                priority: self.graph.node(node).priority,
                operator: self.graph.node(node).class.clone(),
            },
        };
        self.tis.push(Ti { record, node, persisted: None, dirty: false });
        self.nodes[node].instances.push(index);
        self.touch(index);
    }

    /// The instance as the floor sees it.
    pub fn candidate(&self, index: u32) -> Candidate {
        let ti = &self.tis[index as usize];
        let record = &ti.record;
        let mut gates = vec![(Gate::Dag(self.record.dag_id.clone()), 1), (Gate::Run(self.record.key), 1)];
        if ti.node < self.graph.len() {
            let task = self.graph.task(ti.node);
            if task.max_active_tis_per_dagrun.is_some() {
                gates.push((Gate::TaskInRun(self.record.key, task.task_id.clone()), 1));
            }
            if task.max_active_tis_per_dag.is_some() {
                gates.push((Gate::Task(self.record.dag_id.clone(), task.task_id.clone()), 1));
            }
        }
        gates.push((Gate::Pool(record.placement.pool.clone()), record.placement.pool_slots));
        Candidate {
            ti: record.key,
            dag_id: self.record.dag_id.clone(),
            task_id: record.task_id.clone(),
            map_index: record.map_index,
            priority: record.placement.priority,
            since: self.since(),
            ready: record.scheduled_at.unwrap_or(self.record.queued_at),
            expected: None,
            path: self.paths.get(ti.node).copied().unwrap_or(0),
            queue: record.placement.queue.clone(),
            gates,
        }
    }

    /// The instances whose try has begun and waits without a worker.
    pub fn asleep(&self) -> Vec<u32> {
        let asleep = self.tis.iter().filter(|ti| ti.record.state.is_asleep());
        asleep.map(|ti| ti.record.key.index).collect()
    }

    /// The tries whose questions are open.
    pub fn asking(&self) -> Vec<TryKey> {
        let records = self.tis.iter().map(|ti| &ti.record);
        let asking = records.filter(|record| record.state == TaskState::AwaitingInput);
        asking.map(|record| TryKey { ti: record.key, try_number: record.try_number }).collect()
    }

    /// Whether a worker's word is about the current try of an instance in flight, and about its current look.
    pub fn expects(&self, outcome: &Outcome) -> bool {
        self.tis.get(outcome.attempt.ti.index as usize).map(|ti| &ti.record).is_some_and(|record| {
            let pokes = record.wait.as_ref().map_or(0, |wait| wait.pokes);
            record.try_number == outcome.attempt.try_number
                && outcome.pokes.is_none_or(|told| told == pokes)
                && record.state.is_in_flight()
        })
    }

    /// The gates that this run brings with it, and their room.
    pub fn limits(&self) -> Vec<(Gate, u32)> {
        let room = if self.record.is_paused { 0 } else { self.graph.dag.max_active_tasks };
        let mut limits = vec![(Gate::Run(self.record.key), room)];
        for task in &self.graph.dag.tasks {
            if let Some(room) = task.max_active_tis_per_dagrun {
                limits.push((Gate::TaskInRun(self.record.key, task.task_id.clone()), room));
            }
            if let Some(room) = task.max_active_tis_per_dag {
                limits.push((Gate::Task(self.record.dag_id.clone(), task.task_id.clone()), room));
            }
        }
        limits
    }

    /// The date by which runs take precedence.
    pub fn since(&self) -> DateTime<Utc> {
        self.record.logical_date.unwrap_or(self.record.run_after)
    }

    /// Nothing is left that could happen, and yet something has not ended: every task that is left waits for another one.
    pub const fn is_deadlocked(&self) -> bool {
        self.unfinished > 0
            && self.unfinished == self.untouched
            && self.blocked == 0
            && !self.record.is_paused
    }

    /// The state that its leaves give a run in which nothing is left to do. Source: Airflow 3.3.2 `models/dagrun.py:1148-1340`.
    pub fn verdict(&self) -> RunState {
        let failed = |&i: &u32| {
            matches!(self.tis[i as usize].record.state, TaskState::Failed | TaskState::UpstreamFailed)
        };
        let broken = self.graph.leaves.iter().flat_map(|&node| &self.nodes[node].instances).any(failed);
        if broken { RunState::Failed } else { RunState::Success }
    }
}

/// A mapped index from its place in the list.
pub fn index_of(place: usize) -> i32 {
    i32::try_from(place).unwrap_or(i32::MAX)
}
