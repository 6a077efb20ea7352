//! What an operator does to what waits. Airflow has nothing like it; the paths continue its tree.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use domain::{
    id::{DagId, TaskId},
    intent::{SelectedTask, Selection, Wish},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    clear, names,
    query::Query,
    runs, shape,
    tis::{MappedPath, TiPath},
};
use crate::{AppState, auth::User, body::Body, error::Error, wish};

/// Hold, or release.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hold {
    held: bool,
    #[serde(default)]
    include_upstream: bool,
    #[serde(default)]
    include_downstream: bool,
}

/// Another place among those that wait.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Priority {
    priority_weight: i32,
    #[serde(default)]
    include_upstream: bool,
    #[serde(default)]
    include_downstream: bool,
}

/// What else is meant: everything before it, everything behind it.
type Around = (bool, bool);

/// Pause, or go on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pause {
    is_paused: bool,
}

/// On, or off.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Switch {
    is_enabled: bool,
}

pub(super) async fn hold(
    state: Data<AppState>,
    user: User,
    path: TiPath,
    query: Query,
    body: Body<Hold>,
) -> Result<HttpResponse, Error> {
    let map_index = query.number("map_index")?;
    let Hold { held, include_upstream, include_downstream } = body.0;
    let around = (include_upstream, include_downstream);
    let wish = |selection| Wish::Hold { selection, held };
    perform(&state, user.name(), (&path.0, &path.1, &path.2), map_index, around, wish).await
}

pub(super) async fn hold_mapped(
    state: Data<AppState>,
    user: User,
    path: MappedPath,
    body: Body<Hold>,
) -> Result<HttpResponse, Error> {
    let Hold { held, include_upstream, include_downstream } = body.0;
    let around = (include_upstream, include_downstream);
    let wish = |selection| Wish::Hold { selection, held };
    perform(&state, user.name(), (&path.0, &path.1, &path.2), Some(path.3), around, wish).await
}

pub(super) async fn prioritize(
    state: Data<AppState>,
    user: User,
    path: TiPath,
    query: Query,
    body: Body<Priority>,
) -> Result<HttpResponse, Error> {
    let map_index = query.number("map_index")?;
    let Priority { priority_weight: priority, include_upstream, include_downstream } = body.0;
    let around = (include_upstream, include_downstream);
    let wish = |selection| Wish::Prioritize { selection, priority };
    perform(&state, user.name(), (&path.0, &path.1, &path.2), map_index, around, wish).await
}

pub(super) async fn prioritize_mapped(
    state: Data<AppState>,
    user: User,
    path: MappedPath,
    body: Body<Priority>,
) -> Result<HttpResponse, Error> {
    let Priority { priority_weight: priority, include_upstream, include_downstream } = body.0;
    let around = (include_upstream, include_downstream);
    let wish = |selection| Wish::Prioritize { selection, priority };
    perform(&state, user.name(), (&path.0, &path.1, &path.2), Some(path.3), around, wish).await
}

/// Lets nothing new start in a run, or lets it go on.
pub(super) async fn pause_run(
    state: Data<AppState>,
    user: User,
    path: Path<(String, String)>,
    body: Body<Pause>,
) -> Result<HttpResponse, Error> {
    let row = names::run(&state, &path.0, &path.1).await?;
    let (dag_id, run_id) = runs::ids(&row)?;
    let paused = body.0.is_paused;
    wish::insist(&state, user.name(), Wish::PauseRun { dag_id, run_id, paused }).await?;
    let mut shape = shape::run(&names::run(&state, &path.0, &path.1).await?);
    shape["is_paused"] = paused.into();
    Ok(HttpResponse::Ok().json(shape))
}

/// Switches a task of a DAG off or on, in all its runs.
pub(super) async fn switch_task(
    state: Data<AppState>,
    user: User,
    path: Path<(String, String)>,
    body: Body<Switch>,
) -> Result<HttpResponse, Error> {
    let row = names::dag(&state, &path.0).await?;
    let missing = || Error::NotFound(format!("Task with id {} was not found", path.1));
    let (dag_id, task_id) = (DagId::new(&row.dag_id)?, TaskId::new(&path.1).map_err(|_| missing())?);
    let dag = names::version(&state, row.version_id).await?;
    let off = state.store.switched_off(&dag_id).await?;
    if dag.task(task_id.as_str()).is_none() && !off.contains(&task_id) {
        return Err(missing());
    }
    let enabled = body.0.is_enabled;
    let shape = json!({"dag_id": dag_id, "task_id": task_id, "is_enabled": enabled});
    wish::insist(&state, user.name(), Wish::SwitchTask { dag_id, task_id, enabled }).await?;
    Ok(HttpResponse::Ok().json(shape))
}

async fn perform(
    state: &AppState,
    by: &str,
    (dag_id, run_id, task_id): (&str, &str, &str),
    map_index: Option<i32>,
    (upstream, downstream): Around,
    wish: impl Fn(Selection) -> Wish,
) -> Result<HttpResponse, Error> {
    let run = names::run(state, dag_id, run_id).await?;
    if let Some(map_index) = map_index {
        names::instance(state, (dag_id, run_id, task_id), map_index).await?;
    }
    let (dag_id, run_id) = runs::ids(&run)?;
    let unknown = || Error::NotFound(format!("Task id {task_id} not found"));
    let task_id = TaskId::new(task_id).map_err(|_| unknown())?;
    let tasks = vec![SelectedTask { task_id, map_index }];
    let selection = Selection { dag_id, run_id, tasks, upstream, downstream };
    // What does not exist is refused before anything is asked for.
    clear::chosen(state, &run, &selection).await?;
    wish::insist(state, by, wish(selection.clone())).await?;
    let shapes: Vec<Value> = clear::chosen(state, &run, &selection).await?.iter().map(shape::ti).collect();
    let total = i64::try_from(shapes.len()).unwrap_or(i64::MAX);
    Ok(HttpResponse::Ok().json(shape::page("task_instances", shapes, total)))
}
