//! An operator's hold on what waits: holding instances, other priorities, pausing a run, switching tasks off, remarks; and the pause
//! that a DAG earns by failing.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{
    Engine,
    floor::Gate,
    intents::Refusal,
    life::{DISABLED, HELD, Life},
    record::{AuditRecord, DagFlags},
    run::Run,
};
use crate::{
    id::{DagId, RunId, RunKey, TaskId},
    intent::Selection,
    state::{RunState, TaskState},
};

impl Engine {
    pub(super) fn hold(
        &mut self,
        selection: &Selection,
        held: bool,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let (key, chosen) = self.select(selection)?;
        let chosen = self.waiting(key, &chosen, if held { "held" } else { "released" })?;
        self.with_run(key, now, |life| chosen.into_iter().for_each(|index| life.hold(index, held)));
        Ok(())
    }

    pub(super) fn prioritize(
        &mut self,
        selection: &Selection,
        priority: i32,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let (key, chosen) = self.select(selection)?;
        let chosen = self.waiting(key, &chosen, "given another priority")?;
        self.with_run(key, now, |life| chosen.into_iter().for_each(|index| life.prioritize(index, priority)));
        Ok(())
    }

    // Of some instances those that have neither been handed out nor ended.
    fn waiting(&self, key: RunKey, chosen: &[u32], what: &str) -> Result<Vec<u32>, Refusal> {
        let Some(run) = self.runs.get(&key) else {
            return Err("the run is gone".to_owned());
        };
        let waits = |&&index: &&u32| {
            let state = run.tis[index as usize].record.state;
            let has_begun =
                state.is_in_flight() || matches!(state, TaskState::Deferred | TaskState::AwaitingInput);
            !state.is_finished() && !has_begun
        };
        let waiting: Vec<u32> = chosen.iter().filter(waits).copied().collect();
        if waiting.is_empty() {
            return Err(format!(
                "nothing is left there to be {what}: all of it was handed to workers or has ended"
            ));
        }
        Ok(waiting)
    }

    /// A run is not about its partition any more, whatever its state: another run of the partition may take its place.
    pub(super) fn forget_partition_of(&mut self, dag_id: &DagId, run_id: &RunId) -> Result<(), Refusal> {
        let key = self.key(dag_id, run_id)?;
        let Some(run) = self.runs.get_mut(&key) else {
            return Err("the run is gone".to_owned());
        };
        if run.record.partition.take().is_some() {
            run.dirty = true;
            self.dirty.insert(key);
        }
        Ok(())
    }

    pub(super) fn pause_run(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        paused: bool,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let key = self.key(dag_id, run_id)?;
        let Some(run) = self.runs.get_mut(&key) else {
            return Err("the run is gone".to_owned());
        };
        if run.record.state.is_finished() {
            return Err(format!("run `{run_id}` has ended"));
        }
        run.record.is_paused = paused;
        run.dirty = true;
        let room = if paused { 0 } else { run.graph.dag.max_active_tasks };
        self.floor.limit(Gate::Run(key), room);
        self.with_run(key, now, |_| {});
        Ok(())
    }

    pub(super) fn switch_task(
        &mut self,
        dag_id: &DagId,
        task_id: &TaskId,
        enabled: bool,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let Some(dag) = self.dags.get_mut(dag_id) else {
            return Err(format!("there is no DAG `{dag_id}`"));
        };
        if dag.graph.find(task_id).is_none() && !dag.record.disabled.contains(task_id) {
            return Err(format!("DAG `{dag_id}` has no task `{task_id}`"));
        }
        if enabled {
            dag.record.disabled.remove(task_id);
        } else {
            dag.record.disabled.insert(task_id.clone());
        }
        let active: Vec<RunKey> = dag.active().chain(dag.backfilling()).collect();
        let disabled = dag.record.disabled.clone();
        self.flags_of(dag_id).disabled = Some(disabled);
        for key in active {
            self.with_run(key, now, |life| life.switch(task_id, enabled));
        }
        Ok(())
    }

    /// Counts a run that ended, and pauses its DAG once too many in a row have failed. Source: Airflow 3.3.2
    /// `DagRun._check_last_n_dagruns_failed`, which counts by logical date; here the order of the ends counts, so that one run less
    /// has to be looked up.
    pub(super) fn count_failure(&mut self, dag_id: &DagId, key: RunKey, now: DateTime<Utc>) {
        let Some(run) = self.runs.get(&key) else { return };
        let (state, run_id) = (run.record.state, run.record.run_id.clone());
        let Some(dag) = self.dags.get_mut(dag_id) else { return };
        let most = dag.record.dag.max_consecutive_failed_dag_runs;
        if most == 0 {
            return;
        }
        let before = dag.record.failed_runs;
        dag.record.failed_runs = if state == RunState::Failed { before.saturating_add(1) } else { 0 };
        let failed_runs = dag.record.failed_runs;
        let pauses = failed_runs >= most && !dag.record.is_paused;
        if failed_runs != before {
            self.flags_of(dag_id).failed_runs = failed_runs;
        }
        if pauses {
            self.pause_dag(dag_id, run_id, failed_runs, now);
        }
    }

    fn pause_dag(&mut self, dag_id: &DagId, run_id: RunId, failed_runs: u32, now: DateTime<Utc>) {
        if let Some(dag) = self.dags.get_mut(dag_id) {
            dag.record.is_paused = true;
        }
        self.floor.pause(dag_id, true);
        self.flags_of(dag_id).pause = true;
        let reason = format!("{failed_runs} runs in a row failed (max_consecutive_failed_dag_runs)");
        self.out.audit.push(AuditRecord {
            at: now,
            by: "scheduler".to_owned(),
            event: "pause_dag",
            dag_id: Some(dag_id.clone()),
            run_id: Some(run_id),
            task_id: None,
            extra: json!({ "result": "done", "reason": reason }),
        });
    }

    // The change of a DAG's flags in this turn.
    fn flags_of(&mut self, dag_id: &DagId) -> &mut DagFlags {
        let known = self.out.dags.iter().position(|flags| flags.dag_id == *dag_id);
        let place = known.unwrap_or_else(|| {
            let failed_runs = self.dags.get(dag_id).map_or(0, |dag| dag.record.failed_runs);
            let flags = DagFlags { dag_id: dag_id.clone(), failed_runs, pause: false, disabled: None };
            self.out.dags.push(flags);
            self.out.dags.len() - 1
        });
        &mut self.out.dags[place]
    }
}

impl Life<'_> {
    fn hold(&mut self, index: u32, held: bool) {
        let record = &mut self.run.tis[index as usize].record;
        if record.is_held == held {
            return;
        }
        record.is_held = held;
        record.reason = held.then(|| HELD.to_owned());
        self.run.touch(index);
        let state = self.run.tis[index as usize].record.state;
        if held {
            return self.withdraw(index);
        }
        let is_due = self.run.tis[index as usize].record.next_try_at.is_none_or(|at| at <= self.now);
        if state == TaskState::UpForRetry && is_due {
            self.try_again(index);
        } else if state == TaskState::UpForReschedule {
            if is_due {
                self.look_again(index);
            }
        } else {
            self.run.review_instance(index);
        }
    }

    fn prioritize(&mut self, index: u32, priority: i32) {
        let record = &mut self.run.tis[index as usize].record;
        record.placement.priority = priority;
        let (key, waits) = (record.key, record.state == TaskState::Scheduled);
        self.run.touch(index);
        if waits {
            self.floor.remove(key);
            self.floor.wait(self.run.candidate(index));
        }
    }

    fn switch(&mut self, task_id: &TaskId, enabled: bool) {
        let Some(node) = self.run.graph.find(task_id) else { return };
        self.run.nodes[node].disabled = !enabled;
        self.run.review_node(node);
        if enabled {
            return;
        }
        for index in self.run.nodes[node].instances.clone() {
            let record = &self.run.tis[index as usize].record;
            if matches!(record.state, TaskState::Scheduled | TaskState::UpForRetry)
                || record.state.is_asleep()
            {
                self.end_by_decree(index, TaskState::Skipped, DISABLED);
            }
        }
    }
}

impl Run {
    /// Notes which tasks are switched off.
    pub fn switch(&mut self, disabled: &BTreeSet<TaskId>) {
        for (place, node) in self.nodes.iter_mut().enumerate() {
            node.disabled = disabled.contains(&self.graph.task(place).task_id);
        }
    }
}
