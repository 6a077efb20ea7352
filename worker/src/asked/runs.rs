//! Runs and their task instances.

use domain::engine::record::VersionId;
use python::message::{Reply, RunRequest, Tis};
use serde_json::{Map, Value, json};
use store::Store;
use store::asked::{AskedRun, AskedTi, Breadcrumb, RunFilter, TiFilter, TiState};

use super::{Asker, only_tasks};
use crate::assignment::Assignment;
use crate::backend::Unavailable;
use crate::operator::{BUNDLE, consumed};

/// What Airflow calls the state of an instance that nothing has happened to, and what is called so here.
const NO_STATE: (&str, &str) = ("null", "none");

impl Asker<'_> {
    /// The answer to a question about runs.
    ///
    /// # Errors
    /// When the records cannot be read for a while.
    pub(crate) async fn of_runs(&self, asking: RunRequest) -> Result<Reply, Unavailable> {
        match asking {
            // A run is started in the name of the try that asks for it.
            RunRequest::TriggerDagRun(_) => Ok(only_tasks()),
            RunRequest::GetPrevSuccessfulDagRun => match self.task {
                Some(task) => self.previous_success(task).await,
                None => Ok(only_tasks()),
            },
            RunRequest::GetDagRun { dag_id, run_id } => {
                let found = self.other_run(&dag_id, &run_id).await?;
                Ok(found.map_or_else(|| no_run(&dag_id, &run_id), |run| Reply::run(shape(&run))))
            }
            RunRequest::GetDagRunState { dag_id, run_id } => {
                let found = self.other_run(&dag_id, &run_id).await?;
                Ok(found.map_or_else(|| no_run(&dag_id, &run_id), |run| Reply::run_state(run.state.as_str())))
            }
            RunRequest::GetDRCount { dag_id, logical_dates, run_ids, states } => {
                let filter = RunFilter {
                    dag_id,
                    logical_dates: logical_dates.unwrap_or_default(),
                    run_ids: run_ids.unwrap_or_default(),
                    states: states.unwrap_or_default(),
                };
                let filter = &filter;
                let count = |store: Store| async move { store.count_runs(filter).await };
                let count = self.records()?.ask("the runs of", &filter.dag_id, count).await?;
                Ok(Reply::run_count(count))
            }
            RunRequest::GetPreviousDagRun { dag_id, logical_date, state } => {
                let (dag_id, state) = (&dag_id, &state);
                let find = |store: Store| async move {
                    store.run_before(dag_id, logical_date, state.as_deref()).await
                };
                let found = self.records()?.ask("the runs of", dag_id, find).await?;
                Ok(Reply::previous_run(found.map(|run| shape(&run))))
            }
            RunRequest::GetTICount { of, states } => self.count(of, states.unwrap_or_default()).await,
            RunRequest::GetTaskStates { of } => self.states(of).await,
            RunRequest::GetTaskBreadcrumbs { dag_id, run_id } => {
                let (dag_id, run_id) = (&dag_id, &run_id);
                let find = |store: Store| async move { store.breadcrumbs(dag_id, run_id).await };
                let found = self.records()?.ask("the run", run_id, find).await?;
                Ok(Reply::breadcrumbs(found.iter().map(breadcrumb).collect()))
            }
            RunRequest::GetPreviousTI { dag_id, task_id, logical_date, map_index, state } => {
                let state = state.map(ours);
                let (dag_id, task_id, state) = (&dag_id, &task_id, &state);
                let find = |store: Store| async move {
                    store.ti_before(dag_id, task_id, map_index, logical_date, state.as_deref()).await
                };
                let found = self.records()?.ask("the task", task_id, find).await?;
                Ok(Reply::previous_ti(found.as_ref().map(previous)))
            }
            RunRequest::GetDag { dag_id } => self.dag(&dag_id).await,
        }
    }

    async fn previous_success(&self, task: &Assignment) -> Result<Reply, Unavailable> {
        // A run without a logical date is neither before nor after another.
        let has_date = task.run.logical_date.is_some();
        let found = if has_date { self.backend.previous(task).await? } else { None };
        let interval = found.and_then(|run| run.data_interval);
        Ok(Reply::Body(json!({
            "type": "PrevSuccessfulDagRunResult",
            "data_interval_start": interval.map(|interval| interval.start),
            "data_interval_end": interval.map(|interval| interval.end),
            "start_date": found.and_then(|run| run.started_at),
            "end_date": found.and_then(|run| run.ended_at),
        })))
    }

    /// A run by its name.
    ///
    /// # Errors
    /// When the records cannot be read for a while.
    pub(crate) async fn other_run(
        &self,
        dag_id: &str,
        run_id: &str,
    ) -> Result<Option<AskedRun>, Unavailable> {
        let find = |store: Store| async move { store.asked_run(dag_id, run_id).await };
        self.records()?.ask("the run", run_id, find).await
    }

    /// The tasks of a group by the newest version of its DAG; none when there is no such group.
    async fn in_group(&self, dag_id: &str, group_id: &str) -> Result<Option<Vec<String>>, Unavailable> {
        let find = |store: Store| async move {
            let Some(dag) = store.asked_dag(dag_id).await? else { return Ok(None) };
            store.version(VersionId(dag.version)).await
        };
        let found = self.records()?.ask("the DAG", dag_id, find).await?;
        let Some((dag, _)) = found else { return Ok(None) };
        let is_group = dag.groups.iter().any(|group| group.group_id.as_str() == group_id);
        let ids = || dag.in_group(group_id).iter().map(ToString::to_string).collect();
        Ok(is_group.then(ids))
    }

    async fn count(&self, of: Tis, states: Vec<String>) -> Result<Reply, Unavailable> {
        let group = match &of.task_group_id {
            Some(group_id) => match self.in_group(&of.dag_id, group_id).await? {
                Some(tasks) => Some(tasks),
                None => return Ok(no_group(&of.dag_id, group_id)),
            },
            None => None,
        };
        let mut filter = filter(of);
        filter.states = states.into_iter().map(ours).collect();
        match group {
            Some(group) if filter.task_ids.is_empty() => filter.task_ids = group,
            Some(group) => filter.task_ids.retain(|id| group.contains(id)),
            None => return self.count_tis(&filter).await,
        }
        if filter.task_ids.is_empty() { Ok(Reply::ti_count(0)) } else { self.count_tis(&filter).await }
    }

    async fn count_tis(&self, filter: &TiFilter) -> Result<Reply, Unavailable> {
        let count = |store: Store| async move { store.count_tis(filter).await };
        let count = self.records()?.ask("the task instances of", &filter.dag_id, count).await?;
        Ok(Reply::ti_count(count))
    }

    // Airflow answers for the tasks that are named and for those of the group.
    async fn states(&self, of: Tis) -> Result<Reply, Unavailable> {
        let group = of.task_group_id.clone();
        let mut filter = filter(of);
        if let Some(group_id) = group {
            let Some(tasks) = self.in_group(&filter.dag_id, &group_id).await? else {
                return Ok(no_group(&filter.dag_id, &group_id));
            };
            filter.task_ids.extend(tasks);
            if filter.task_ids.is_empty() {
                return Ok(Reply::ti_states(Map::new()));
            }
        }
        let filter = &filter;
        let find = |store: Store| async move { store.ti_states(filter).await };
        let found = self.records()?.ask("the task instances of", &filter.dag_id, find).await?;
        Ok(Reply::ti_states(by_run(found)))
    }

    async fn dag(&self, dag_id: &str) -> Result<Reply, Unavailable> {
        let find = |store: Store| async move { store.asked_dag(dag_id).await };
        let Some(mut dag) = self.records()?.ask("the DAG", dag_id, find).await? else {
            return Ok(Reply::refusal(404, &format!("The Dag with dag_id: `{dag_id}` was not found")));
        };
        dag.tags.sort_unstable();
        Ok(Reply::dag(json!({
            "dag_id": dag.dag_id, "is_paused": dag.is_paused, "bundle_name": BUNDLE, "bundle_version": null,
            "relative_fileloc": dag.file, "owners": dag.owner, "tags": dag.tags, "next_dagrun": dag.next_logical_date,
        })))
    }
}

fn filter(of: Tis) -> TiFilter {
    TiFilter {
        dag_id: of.dag_id,
        task_ids: of.task_ids.unwrap_or_default(),
        // Airflow's client leaves out the index of an unmapped task.
        map_index: of.map_index.filter(|index| *index >= 0),
        logical_dates: of.logical_dates.unwrap_or_default(),
        run_ids: of.run_ids.unwrap_or_default(),
        states: Vec::new(),
    }
}

fn ours(state: String) -> String {
    if state == NO_STATE.0 { NO_STATE.1.to_owned() } else { state }
}

fn theirs(state: &str) -> Value {
    if state == NO_STATE.1 { Value::Null } else { Value::from(state) }
}

fn no_run(dag_id: &str, run_id: &str) -> Reply {
    Reply::refusal(404, &format!("Dag run with dag_id '{dag_id}' and run_id '{run_id}' was not found"))
}

fn no_group(dag_id: &str, group_id: &str) -> Reply {
    Reply::refusal(404, &format!("Task group {group_id} not found in DAG {dag_id}"))
}

/// A run in Airflow's form (`DagRun` of the task SDK).
fn shape(run: &AskedRun) -> Value {
    json!({
        "dag_id": run.dag_id, "run_id": run.run_id, "logical_date": run.logical_date,
        "data_interval_start": run.data_interval.map(|interval| interval.start),
        "data_interval_end": run.data_interval.map(|interval| interval.end),
        "run_after": run.run_after, "start_date": run.started_at, "end_date": run.ended_at,
        "clear_number": run.clear_number, "run_type": run.run_type, "state": run.state, "conf": run.conf,
        "triggering_user_name": run.triggered_by, "consumed_asset_events": consumed(&run.asset_events),
        "partition_key": run.partition.as_ref().map(|partition| &partition.key),
        "partition_date": run.partition.as_ref().and_then(|partition| partition.date), "note": run.note,
    })
}

fn breadcrumb(ti: &Breadcrumb) -> Value {
    json!({
        "task_id": ti.task_id, "map_index": ti.map_index, "state": ti.state, "operator": ti.operator,
        "duration": ti.duration,
    })
}

fn previous(ti: &AskedTi) -> Value {
    json!({
        "task_id": ti.task_id, "dag_id": ti.dag_id, "run_id": ti.run_id, "logical_date": ti.logical_date,
        "start_date": ti.started_at, "end_date": ti.ended_at, "state": theirs(&ti.state),
        "try_number": ti.try_number, "map_index": ti.map_index, "duration": ti.duration,
    })
}

fn by_run(found: Vec<TiState>) -> Map<String, Value> {
    let mut runs = Map::new();
    for TiState { run_id, task_id, map_index, state } in found {
        let name = if map_index < 0 { task_id } else { format!("{task_id}_{map_index}") };
        if let Value::Object(states) = runs.entry(run_id).or_insert_with(|| Value::Object(Map::new())) {
            states.insert(name, theirs(&state));
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_told_by_run_and_task() {
        let ti = |run: &str, task: &str, map_index, state: &str| TiState {
            run_id: run.to_owned(),
            task_id: task.to_owned(),
            map_index,
            state: state.to_owned(),
        };
        let found = vec![ti("r", "a", -1, "none"), ti("r", "b", 0, "failed"), ti("s", "a", -1, "success")];
        let expected = json!({"r": {"a": null, "b_0": "failed"}, "s": {"a": "success"}});
        assert_eq!(Value::Object(by_run(found)), expected);
    }

    #[test]
    fn an_unmapped_index_means_any() {
        let tis = Tis {
            dag_id: "d".to_owned(),
            map_index: Some(-1),
            task_ids: None,
            task_group_id: None,
            logical_dates: None,
            run_ids: Some(vec!["r".to_owned()]),
        };
        let meant = filter(tis.clone());
        assert_eq!((meant.map_index, meant.run_ids.len()), (None, 1));
        assert_eq!(filter(Tis { map_index: Some(0), ..tis }).map_index, Some(0));
        assert_eq!(
            (ours("null".to_owned()), ours("failed".to_owned())),
            ("none".to_owned(), "failed".to_owned())
        );
    }
}
