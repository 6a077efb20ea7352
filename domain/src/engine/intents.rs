//! Carrying out what people and programs ask for.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    Engine, assets::Unnumbered, deadlines::withdraw, floor::Gate, plan::NewRun, record::AuditRecord,
};
use crate::{
    asset::Emission,
    id::{DagId, RunId, RunKey},
    intent::{Clear, Intent, MATERIALIZATION, MarkTasks, Selection, Trigger, Wish},
    partition::Partition,
    state::{RunState, RunType, TaskState},
    timetable::NextRun,
};

pub(super) type Refusal = String;

/// What only runs of other types may be called. Source: Airflow 3.3.2 `models/dagrun.py`.
const RESERVED: [&str; 4] = ["scheduled__", "backfill__", "asset_triggered__", MATERIALIZATION];

impl Engine {
    /// Carries out a wish, or refuses it; either way the audit log says who asked for what, and what became of it.
    pub(super) fn intend(&mut self, intent: Intent, now: DateTime<Utc>) {
        let (dag_id, run_id) = intent.wish.subject();
        let (dag_id, run_id) = (dag_id.cloned(), run_id.cloned());
        let event = intent.wish.name();
        let mut extra = serde_json::to_value(&intent.wish).unwrap_or(Value::Null);
        // Up to ten thousand runs, which are among the dates of the backfill.
        if let Some(fields) = extra.as_object_mut() {
            fields.remove("named");
        }
        let result = self.carry_out(intent.wish, &intent.by, now);
        let extra = match result {
            Ok(()) => json!({ "wish": extra, "result": "done" }),
            Err(refusal) => json!({ "wish": extra, "result": "refused", "reason": refusal }),
        };
        let by = intent.by;
        self.out.audit.push(AuditRecord { at: now, by, event, dag_id, run_id, task_id: None, extra });
    }

    fn carry_out(&mut self, wish: Wish, by: &str, now: DateTime<Utc>) -> Result<(), Refusal> {
        match wish {
            Wish::Trigger(trigger) => self.trigger(trigger, by, now),
            Wish::TriggerByTask(asked) => self.trigger_by_task(asked, now),
            Wish::Clear(clear) => self.clear(&clear, now),
            Wish::MarkTasks(mark) => self.mark_tasks(&mark, by, now),
            Wish::MarkRun { dag_id, run_id, state } => self.mark_run(&dag_id, &run_id, state, by, now),
            Wish::AdoptVersion { dag_id, run_id } => self.adopt(&dag_id, &run_id, now),
            Wish::Hold { selection, held } => self.hold(&selection, held, now),
            Wish::Prioritize { selection, priority } => self.prioritize(&selection, priority, now),
            Wish::ForgetPartition { dag_id, run_id } => self.forget_partition_of(&dag_id, &run_id),
            Wish::PauseRun { dag_id, run_id, paused } => self.pause_run(&dag_id, &run_id, paused, now),
            Wish::SwitchTask { dag_id, task_id, enabled } => {
                self.switch_task(&dag_id, &task_id, enabled, now)
            }
            Wish::Answer(answer) => self.answer_question(answer, by, now),
            Wish::CreateBackfill { id, order, named } => {
                self.create_backfill(id, order, named.as_deref(), by, now)
            }
            Wish::PauseBackfill { dag_id, id, paused } => self.pause_backfill(&dag_id, id, paused, now),
            Wish::CancelBackfill { dag_id, id } => self.cancel_backfill(&dag_id, id, by, now),
            Wish::CreateAssetEvent { asset, extra, partition_key, request } => {
                let partition = partition_key.map(|key| Partition { key, date: None });
                let emission = Emission { asset, aliases: Vec::new(), extra, partition };
                let asked = Some((by.to_owned(), request));
                self.assets.note([Unnumbered { emission, source: None, asked }]);
                Ok(())
            }
            Wish::DropQueuedAssets { dag_id, asset, before } => {
                self.drop_queued(dag_id.as_ref(), asset.as_ref(), before)
            }
        }
    }

    fn trigger(&mut self, trigger: Trigger, by: &str, now: DateTime<Utc>) -> Result<(), Refusal> {
        let Some(dag) = self.dags.get(&trigger.dag_id) else {
            return Err(format!("there is no DAG `{}`", trigger.dag_id));
        };
        if dag.record.is_stale {
            return Err(format!("the file of DAG `{}` is gone", trigger.dag_id));
        }
        let run_type = if trigger.materializes { RunType::AssetMaterialization } else { RunType::Manual };
        if !(trigger.materializes && trigger.run_id.as_str().starts_with(MATERIALIZATION)) {
            check_free(&trigger.run_id)?;
        }
        if self.knows_run(&trigger.dag_id, &trigger.run_id) {
            return Err(format!("run `{}` exists already", trigger.run_id));
        }
        if dag.will_be_called(&trigger.run_id) {
            return Err(format!("a run to come of its timetable is called `{}`", trigger.run_id));
        }
        let partition = trigger.partition_key.map(|key| dag.record.dag.partition_of(key)).transpose();
        let partition = partition.map_err(|error| error.to_string())?;
        let next = trigger.logical_date.map(|logical_date| NextRun {
            logical_date,
            data_interval: trigger
                .data_interval
                .unwrap_or(crate::timetable::DataInterval { start: logical_date, end: logical_date }),
            run_after: trigger.run_after,
        });
        let run_after = trigger.run_after;
        let new = NewRun { run_type, run_id: trigger.run_id, next, partition, run_after, backfill: None };
        let key = self.create_run(&trigger.dag_id, new, now).ok_or("its DAG is gone")?;
        if let Some(run) = self.runs.get_mut(&key) {
            run.record.conf = Arc::new(trigger.conf);
            run.record.triggered_by = Some(by.to_owned());
            run.record.note = trigger.note;
        }
        Ok(())
    }

    fn clear(&mut self, clear: &Clear, now: DateTime<Utc>) -> Result<(), Refusal> {
        let (key, mut chosen) = self.select(&clear.selection)?;
        if !clear.selection.tasks.is_empty() {
            chosen.extend(self.company(key, &chosen));
        }
        let wanted = |state: TaskState| {
            if clear.only_failed { is_broken(state) } else { state != TaskState::None }
        };
        self.clear_chosen(key, &chosen, wanted, now);
        Ok(())
    }

    // The setups that what is to run again needs, and their teardowns.
    fn company(&self, key: RunKey, chosen: &[u32]) -> Vec<u32> {
        let Some(run) = self.runs.get(&key) else { return Vec::new() };
        let nodes = run.nodes_of(chosen);
        run.graph.company(&nodes).into_iter().flat_map(|node| run.nodes[node].instances.clone()).collect()
    }

    pub(super) fn clear_chosen(
        &mut self,
        key: RunKey,
        chosen: &[u32],
        wanted: impl Fn(TaskState) -> bool,
        now: DateTime<Utc>,
    ) {
        let mut cleared = false;
        self.quietly(key, now, |life| {
            for &index in chosen {
                if wanted(life.run.tis[index as usize].record.state) {
                    life.clear(index);
                    cleared = true;
                }
            }
        });
        if cleared {
            self.reopen(key, now);
        }
    }

    // A finished run in which something is to run again is queued again; a running one goes on.
    pub(super) fn reopen(&mut self, key: RunKey, now: DateTime<Utc>) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        if run.record.state.is_finished() {
            withdraw(&mut self.out, run.renew_deadlines(now));
            run.record.state = RunState::Queued;
            run.record.clear_number += 1;
            run.record.queued_at = now;
            (run.record.started_at, run.record.ended_at) = (None, None);
            run.dirty = true;
            run.past = None;
            self.floor.limit(Gate::Run(key), run.graph.dag.max_active_tasks);
            if let Some(dag) = self.dags.get_mut(&run.record.dag_id) {
                dag.note(run);
                // Only active runs hear at once which tasks are switched off.
                run.switch(&dag.record.disabled);
                self.due.insert(run.record.dag_id.clone());
            }
        }
        self.meet_backfill(key);
        self.mind_deadlines(key, now);
        self.ask_for_deadlines(key);
        self.ask_past(key);
        self.with_run(key, now, |_| {});
        self.step_in(key, now);
    }

    // Source: Airflow 3.3.2 `api/common/mark_tasks.py`: what failed behind a task marked as success gets another chance.
    fn mark_tasks(&mut self, mark: &MarkTasks, by: &str, now: DateTime<Utc>) -> Result<(), Refusal> {
        if !matches!(mark.state, TaskState::Success | TaskState::Failed | TaskState::Skipped) {
            return Err(format!("a task can be marked success, failed or skipped, not {}", mark.state));
        }
        let (key, chosen) = self.select(&mark.selection)?;
        let reason = format!("marked {} by {by}", mark.state);
        self.quietly(key, now, |life| {
            for &index in &chosen {
                let state = life.run.tis[index as usize].record.state;
                if state != mark.state && state != TaskState::Removed {
                    life.end_by_decree(index, mark.state, &reason);
                }
            }
        });
        let behind = if mark.state == TaskState::Failed { Vec::new() } else { self.behind(key, &chosen) };
        self.clear_chosen(key, &behind, is_broken, now);
        self.resolve(key, now);
        Ok(())
    }

    fn behind(&self, key: RunKey, chosen: &[u32]) -> Vec<u32> {
        let Some(run) = self.runs.get(&key) else {
            return Vec::new();
        };
        let nodes = run.nodes_of(chosen);
        let reached = run.graph.closure(&nodes, false, true);
        let beyond = reached.into_iter().filter(|node| nodes.binary_search(node).is_err());
        beyond.flat_map(|node| run.nodes[node].instances.iter().copied()).collect()
    }

    // A finished run whose instances were marked gets the state that they now give it.
    fn resolve(&mut self, key: RunKey, now: DateTime<Utc>) {
        self.with_run(key, now, |_| {});
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        let verdict = run.verdict();
        if run.record.state.is_finished() && run.unfinished == 0 && run.record.state != verdict {
            run.record.state = verdict;
            run.dirty = true;
            if run.is_watched {
                self.noteworthy.insert(key);
            }
            self.meet_backfill(key);
        }
    }

    pub(super) fn mark_run(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        state: RunState,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let key = self.key(dag_id, run_id)?;
        match state {
            RunState::Queued => {
                let everything: Vec<u32> = self.everything(key);
                self.clear_chosen(key, &everything, |state| state != TaskState::None, now);
                self.reopen(key, now);
            }
            RunState::Failed => {
                let reason = format!("the run was stopped by {by}");
                self.end_rest(key, TaskState::Skipped, &reason, now);
                self.close_run(key, RunState::Failed, now);
            }
            RunState::Success => {
                let reason = format!("the run was marked success by {by}");
                let broken = self.everything(key);
                self.quietly(key, now, |life| {
                    for index in broken {
                        if is_broken(life.run.tis[index as usize].record.state) {
                            life.end_by_decree(index, TaskState::Success, &reason);
                        }
                    }
                });
                self.end_rest(key, TaskState::Success, &reason, now);
                self.close_run(key, RunState::Success, now);
            }
            RunState::Running => {
                return Err("a run can be marked success, failed or queued, not running".to_owned());
            }
        }
        Ok(())
    }

    fn adopt(&mut self, dag_id: &DagId, run_id: &RunId, now: DateTime<Utc>) -> Result<(), Refusal> {
        let key = self.key(dag_id, run_id)?;
        let dag = self.dags.get(dag_id).ok_or_else(|| format!("there is no DAG `{dag_id}`"))?;
        let (version, graph) = (dag.record.version, dag.graph.clone());
        let Some(run) = self.runs.remove(&key) else {
            return Err("the run is gone".to_owned());
        };
        run.tis.iter().for_each(|ti| self.floor.remove(ti.record.key));
        let (asking, deferring) = (run.asking(), run.deferring());
        self.install(run.rebuilt(version, graph), now);
        self.withdraw_lost(asking, now);
        self.close_lost(deferring);
        self.reopen(key, now);
        Ok(())
    }

    pub(super) fn everything(&self, key: RunKey) -> Vec<u32> {
        let count = self.runs.get(&key).map_or(0, |run| run.tis.len());
        (0..u32::try_from(count).unwrap_or(u32::MAX)).collect()
    }

    pub(super) fn key(&self, dag_id: &DagId, run_id: &RunId) -> Result<RunKey, Refusal> {
        let name = (dag_id.clone(), run_id.clone());
        self.names.get(&name).copied().ok_or_else(|| format!("there is no run `{run_id}` of DAG `{dag_id}`"))
    }

    pub(super) fn select(&self, selection: &Selection) -> Result<(RunKey, Vec<u32>), Refusal> {
        let key = self.key(&selection.dag_id, &selection.run_id)?;
        let Some(run) = self.runs.get(&key) else {
            return Err("the run is gone".to_owned());
        };
        if selection.tasks.is_empty() {
            return Ok((key, self.everything(key)));
        }
        let mut nodes = Vec::new();
        let mut chosen = Vec::new();
        for task in &selection.tasks {
            let node = run.graph.find(&task.task_id);
            let node =
                node.ok_or_else(|| format!("DAG `{}` has no task `{}`", selection.dag_id, task.task_id))?;
            chosen.extend(run.instances(node, task.map_index));
            nodes.push(node);
        }
        nodes.sort_unstable();
        nodes.dedup();
        let around = run.graph.closure(&nodes, selection.upstream, selection.downstream);
        let others = around.into_iter().filter(|node| nodes.binary_search(node).is_err());
        chosen.extend(others.flat_map(|node| &run.nodes[node].instances));
        chosen.sort_unstable();
        chosen.dedup();
        Ok((key, chosen))
    }
}

/// Whether whoever asks for a run may name it so.
pub(super) fn check_free(run_id: &RunId) -> Result<(), Refusal> {
    if RESERVED.iter().any(|prefix| run_id.as_str().starts_with(prefix)) {
        let prefixes = RESERVED.join(" ");
        return Err(format!("run ids that start with one of {prefixes} are given by the scheduler"));
    }
    Ok(())
}

const fn is_broken(state: TaskState) -> bool {
    matches!(state, TaskState::Failed | TaskState::UpstreamFailed)
}
