//! Waiting for the previous run: `depends_on_past` and `wait_for_downstream`.
//!
//! The previous run is the one with the next earlier logical date, and of several with that date the newest; in a DAG that catches up
//! manual runs do not count. While it is active, its tasks' counts are looked up and their ends wake those that wait. One that has ended is not in memory: the records are
//! asked once for each run, and whatever ends later hands its standing over. Source: Airflow 3.3.2 `ti_deps/deps/prev_dagrun_dep.py`.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
};

use chrono::{DateTime, Utc};

use super::{
    Engine,
    graph::Graph,
    plan::DagState,
    record::{PastQuestion, RunRecord, Standing},
    run::Run,
};
use crate::{
    dag::Task,
    id::{DagId, RunKey, TaskId},
    state::RunType,
    timetable::Catchup,
};

/// What is known of the run before this one.
#[derive(Debug, Clone, Copy)]
pub enum Past<'a> {
    /// The records have not answered yet.
    Unknown,
    /// There is none, or nobody waits for it.
    None,
    /// It has ended.
    Ended(&'a Standing),
    /// It is active.
    Active(&'a Run),
}

/// Why a task has to wait for the previous run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behind {
    /// It is not known yet whether it has to.
    Unknown,
    /// Tasks of that run have not ended well.
    Unmet {
        /// Its logical date.
        logical_date: Option<DateTime<Utc>>,
        /// Those tasks: the same one, or one behind it.
        tasks: Vec<TaskId>,
    },
}

impl Past<'_> {
    /// Why a task has to wait for the previous run, if it has to.
    pub fn keeps_back(&self, graph: &Graph, node: usize) -> Option<Behind> {
        let task = graph.task(node);
        if !task.looks_back() {
            return None;
        }
        let downstream = graph.node(node).downstream.iter().filter(|_| task.wait_for_downstream);
        let ids = std::iter::once(&task.task_id).chain(downstream.map(|&next| &graph.task(next).task_id));
        let (logical_date, tasks): (_, Vec<TaskId>) = match self {
            Self::Unknown => return Some(Behind::Unknown),
            Self::None => return None,
            Self::Ended(standing) => {
                let unmet = ids.filter(|id| standing.unmet.contains(*id));
                (Some(standing.logical_date), unmet.cloned().collect())
            }
            Self::Active(run) => {
                (run.record.logical_date, ids.filter(|id| run.has_unmet(id)).cloned().collect())
            }
        };
        (!tasks.is_empty()).then_some(Behind::Unmet { logical_date, tasks })
    }
}

impl Behind {
    /// The reason in the record of an instance of `task`, as far as one is known.
    pub fn reason(&self, task: &Task) -> Option<String> {
        match self {
            Self::Unknown => None,
            Self::Unmet { logical_date, .. } => Some(wait(task, *logical_date)),
        }
    }
}

fn wait(task: &Task, date: Option<DateTime<Utc>>) -> String {
    let id = &task.task_id;
    let who = if task.wait_for_downstream {
        format!("`{id}` and what depends on it have succeeded or been skipped")
    } else {
        format!("`{id}` has succeeded or been skipped")
    };
    let date = date.map(|date| format!(" of {}", date.format("%Y-%m-%d %H:%M:%S"))).unwrap_or_default();
    format!("waits until {who} in the previous run{date}")
}

/// What is known of the run before `run`. The first run of a backfill waits for none, as in Airflow.
pub fn past_of<'a>(
    runs: &'a HashMap<RunKey, Run>,
    dags: &BTreeMap<DagId, DagState>,
    run: &Run,
    ended: Option<&'a Option<Standing>>,
) -> Past<'a> {
    let Some(date) = run.record.logical_date.filter(|_| run.graph.looks_back) else {
        return Past::None;
    };
    if run.record.backfill.is_some_and(|place| place.ordinal == 0) {
        return Past::None;
    }
    let Some(ended) = ended else { return Past::Unknown };
    let without_manual = ignores_manual(run);
    let earlier = dags.get(&run.record.dag_id).into_iter();
    let active = earlier
        .flat_map(|dag| dag.dated.range(..(date, RunKey(i64::MIN))).rev())
        .filter_map(|(_, key)| runs.get(key))
        .find(|run| !(without_manual && run.record.run_type == RunType::Manual));
    match (active, ended) {
        (Some(active), Some(ended)) if place(&active.record) < Some(ended.place()) => Past::Ended(ended),
        (Some(active), _) => Past::Active(active),
        (None, Some(ended)) => Past::Ended(ended),
        (None, None) => Past::None,
    }
}

// Where a run stands among those of its DAG, in the order in which each is the previous one of the next.
fn place(run: &RunRecord) -> Option<(DateTime<Utc>, RunKey)> {
    run.logical_date.map(|date| (date, run.key))
}

impl Standing {
    const fn place(&self) -> (DateTime<Utc>, RunKey) {
        (self.logical_date, self.run)
    }
}

fn ignores_manual(run: &Run) -> bool {
    run.graph.dag.catchup != Catchup::None
}

impl Run {
    /// A task has an instance that keeps the next run's waiting.
    pub fn has_unmet(&self, task_id: &TaskId) -> bool {
        self.graph.find(task_id).is_some_and(|node| self.nodes[node].unmet > 0)
    }

    /// Has the rules of all tasks judged again that something else keeps back.
    pub fn review_blocked(&mut self) {
        if self.blocked > 0 {
            for node in 0..self.nodes.len() {
                if !self.nodes[node].blocked.is_empty() {
                    self.review_node(node);
                }
            }
        }
    }

    // Another run is the previous one now: has the rules of all tasks judged again that look back.
    fn review_past(&mut self) {
        let graph = self.graph.clone();
        for node in (0..self.nodes.len()).filter(|&node| graph.task(node).looks_back()) {
            self.review_node(node);
        }
    }

    // A task may wait for its own previous end, or for those of the tasks behind it.
    fn review_waiting(&mut self, task_id: &TaskId) {
        let graph = self.graph.clone();
        if let Some(node) = graph.find(task_id) {
            for &waiting in std::iter::once(&node).chain(&graph.node(node).upstream) {
                self.review_node(waiting);
            }
        }
    }

    fn standing(&self) -> Option<Standing> {
        let unmet = (0..self.nodes.len()).filter(|&node| self.nodes[node].unmet > 0);
        let unmet = unmet.map(|node| self.graph.task(node).task_id.clone()).collect();
        self.record.logical_date.map(|logical_date| Standing { run: self.record.key, logical_date, unmet })
    }
}

impl Engine {
    /// Asks the records how the run before this one ended, if that matters and is not known.
    pub(super) fn ask_past(&mut self, key: RunKey) {
        let Some(run) = self.runs.get(&key) else { return };
        let asks = run.graph.looks_back && run.past.is_none() && !run.record.state.is_finished();
        if let Some(before) = run.record.logical_date.filter(|_| asks) {
            let dag_id = run.record.dag_id.clone();
            let without_manual = ignores_manual(run);
            self.out.questions.push(PastQuestion { run: key, dag_id, before, without_manual });
        }
    }

    /// A run came into memory: it is the previous one now for those that come after it.
    pub(super) fn step_in(&mut self, key: RunKey, now: DateTime<Utc>) {
        let looks_back = self.runs.get(&key).is_some_and(|run| run.graph.looks_back);
        for next in if looks_back { self.successors(key) } else { Vec::new() } {
            self.with_run(next, now, |life| life.run.review_past());
        }
    }

    /// Takes in the records' answer. What has ended or changed meanwhile has told so itself, and knows better about its own date.
    pub(super) fn answer_past(&mut self, key: RunKey, before: Option<Standing>, now: DateTime<Utc>) {
        if let Some(run) = self.runs.get_mut(&key) {
            let told = run.past.take().flatten().or_else(|| run.late.take());
            run.past = Some(later(told, before));
        }
        self.with_run(key, now, |life| life.run.review_blocked());
    }

    /// Wakes those that wait for tasks of a run that have ended well.
    pub(super) fn ease(&mut self, key: RunKey, now: DateTime<Utc>) {
        let Some(run) = self.runs.get_mut(&key) else { return };
        let eased = std::mem::take(&mut run.eased);
        let ids: Vec<TaskId> = eased.iter().map(|&node| run.graph.task(node).task_id.clone()).collect();
        for next in self.successors(key) {
            self.with_run(next, now, |life| ids.iter().for_each(|id| life.run.review_waiting(id)));
        }
    }

    /// Once a run has ended, those that come after it learn how it stands; also when it is changed after its end.
    ///
    /// They learn it at once, since nobody finds the run among the active ones any more, and are woken later.
    pub(super) fn hand_over(&mut self, key: RunKey) {
        let successors = self.successors(key);
        let ended =
            self.runs.get(&key).filter(|run| run.record.state.is_finished() && !successors.is_empty());
        let Some(standing) = ended.and_then(Run::standing) else { return };
        for next in successors {
            let Some(run) = self.runs.get_mut(&next) else { continue };
            let standing = Some(standing.clone());
            if let Some(past) = run.past.take() {
                run.past = Some(later(standing, past));
                self.heirs.insert(next);
            } else {
                run.late = later(standing, run.late.take());
            }
        }
    }

    // The active runs for which this one is the previous. Several may have the same date; a newer one of this run's date does not
    // matter, since whoever is woken for nothing goes on waiting.
    fn successors(&self, key: RunKey) -> Vec<RunKey> {
        let Some(run) = self.runs.get(&key) else { return Vec::new() };
        let Some((dag, date)) = self.dags.get(&run.record.dag_id).zip(run.record.logical_date) else {
            return Vec::new();
        };
        let (mut found, mut last) = (Vec::new(), None);
        for (at, next) in dag.dated.range((Bound::Excluded((date, RunKey(i64::MAX))), Bound::Unbounded)) {
            let Some(other) = self.runs.get(next) else { continue };
            if last.is_some_and(|last| last < *at) {
                break;
            }
            let skips_manual = ignores_manual(other);
            if other.graph.looks_back && !(skips_manual && run.record.run_type == RunType::Manual) {
                found.push(*next);
            }
            if !(skips_manual && other.record.run_type == RunType::Manual) {
                last = Some(*at);
            }
        }
        found
    }
}

// The one about the later run; of two about the same, the first.
fn later(one: Option<Standing>, other: Option<Standing>) -> Option<Standing> {
    let place = |standing: &Option<Standing>| standing.as_ref().map(Standing::place);
    if place(&one) >= place(&other) { one } else { other }
}
