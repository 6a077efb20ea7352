//! The names in paths: checked once, with Airflow's words for what does not exist.

use domain::{
    dag::Dag,
    engine::record::VersionId,
    id::{DagId, RunId},
};
use std::sync::Arc;
use store::view::{
    api_dag::DagRow,
    api_list::{Ask, Test},
    api_run::RunRow,
    api_ti::TiRow,
};

use crate::{AppState, error::Error};

/// Everything, where a path names one thing.
pub(super) const ALL: &str = "~";

/// A DAG, also when its file is gone.
pub(super) async fn dag(state: &AppState, dag_id: &str) -> Result<DagRow, Error> {
    let missing = || Error::NotFound(format!("The Dag with ID: `{dag_id}` was not found"));
    let Ok(id) = DagId::new(dag_id) else {
        return Err(missing());
    };
    state.store.api_dag(&id).await?.ok_or_else(missing)
}

/// The contents of a version.
pub(crate) async fn version(state: &AppState, id: i64) -> Result<Arc<Dag>, Error> {
    let found = state.store.version(VersionId(id)).await?;
    found.map(|(dag, _)| dag).ok_or_else(|| Error::NotFound(format!("The DAG version {id} is gone")))
}

/// A run.
pub(crate) async fn run(state: &AppState, dag_id: &str, run_id: &str) -> Result<RunRow, Error> {
    let missing = || {
        Error::NotFound(format!("The DagRun with dag_id: `{dag_id}` and run_id: `{run_id}` was not found"))
    };
    let (Ok(dag), Ok(run)) = (DagId::new(dag_id), RunId::new(run_id)) else {
        return Err(missing());
    };
    state.store.api_run(&dag, &run).await?.ok_or_else(missing)
}

/// A task instance that is not mapped.
pub(super) async fn ti(state: &AppState, dag_id: &str, run_id: &str, task_id: &str) -> Result<TiRow, Error> {
    let found = tis(state, dag_id, run_id, task_id).await?;
    match found.into_iter().next() {
        Some(row) if row.map_index == -1 => Ok(row),
        Some(_) => {
            Err(Error::NotFound("Task instance is mapped, add the map_index value to the URL".to_owned()))
        }
        None => Err(Error::NotFound(format!(
            "The Task Instance with dag_id: `{dag_id}`, run_id: `{run_id}` and task_id: `{task_id}` was not found"
        ))),
    }
}

/// One instance of a task, -1 when it is not mapped.
pub(super) async fn instance(
    state: &AppState,
    (dag_id, run_id, task_id): (&str, &str, &str),
    map_index: i32,
) -> Result<TiRow, Error> {
    let ask = one(dag_id, run_id, task_id).with("map_index_number", Test::Numbers(vec![map_index.into()]));
    state.store.api_tis(&ask).await?.0.into_iter().next().ok_or_else(|| {
        Error::NotFound(format!(
            "The Task Instance with dag_id: `{dag_id}`, run_id: `{run_id}`, task_id: `{task_id}` and map_index: \
             `{map_index}` was not found"
        ))
    })
}

async fn tis(state: &AppState, dag_id: &str, run_id: &str, task_id: &str) -> Result<Vec<TiRow>, Error> {
    Ok(state.store.api_tis(&one(dag_id, run_id, task_id)).await?.0)
}

fn one(dag_id: &str, run_id: &str, task_id: &str) -> Ask {
    Ask { limit: 1, ..Ask::default() }
        .with("dag_id", Test::is(dag_id))
        .with("run_id", Test::is(run_id))
        .with("task_id", Test::is(task_id))
}

/// A list of what has these names, by their columns; of everything where a name is [`ALL`].
pub(super) fn within<const N: usize>(ask: Ask, names: [(&'static str, &str); N]) -> Ask {
    let given = names.into_iter().filter(|(_, name)| *name != ALL);
    given.fold(ask, |ask, (column, name)| ask.with(column, Test::is(name)))
}
