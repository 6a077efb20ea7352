//! Setting the state or the remark of task instances by hand.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use domain::{
    id::TaskId,
    intent::{MarkTasks, SelectedTask, Selection, Wish},
    state::TaskState,
};
use serde::Deserialize;
use serde_json::Value;
use store::view::{api_run::RunRow, api_ti::TiRow};

use super::{
    batch::given,
    clear, names,
    query::Query,
    runs, shape,
    tis::{MappedPath, TiPath},
};
use crate::{AppState, auth::User, body::Body, error::Error, wish};

/// What task instances are to become.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Patch {
    #[serde(default)]
    new_state: Option<String>,
    #[serde(default, deserialize_with = "given")]
    note: Option<Option<String>>,
    #[serde(default)]
    include_upstream: bool,
    #[serde(default)]
    include_downstream: bool,
    #[serde(default)]
    include_future: bool,
    #[serde(default)]
    include_past: bool,
}

/// A patch of a task, checked.
struct Plan {
    state: Option<TaskState>,
    /// The runs, what is selected in each, and which instances that is.
    runs: Vec<(RunRow, Selection, Vec<TiRow>)>,
}

pub(super) async fn patch(
    state: Data<AppState>,
    user: User,
    path: TiPath,
    query: Query,
    body: Body<Patch>,
) -> Result<HttpResponse, Error> {
    let map_index = query.number("map_index")?;
    carry_out(&state, user.name(), (&path.0, &path.1, &path.2), map_index, &body.0).await
}

pub(super) async fn patch_mapped(
    state: Data<AppState>,
    user: User,
    path: MappedPath,
    body: Body<Patch>,
) -> Result<HttpResponse, Error> {
    carry_out(&state, user.name(), (&path.0, &path.1, &path.2), Some(path.3), &body.0).await
}

pub(super) async fn dry_run(
    state: Data<AppState>,
    _user: User,
    path: TiPath,
    query: Query,
    body: Body<Patch>,
) -> Result<HttpResponse, Error> {
    let map_index = query.number("map_index")?;
    let plan = plan(&state, (&path.0, &path.1, &path.2), map_index, &body.0).await?;
    Ok(would_change(plan))
}

pub(super) async fn dry_run_mapped(
    state: Data<AppState>,
    _user: User,
    path: MappedPath,
    body: Body<Patch>,
) -> Result<HttpResponse, Error> {
    Ok(would_change(plan(&state, (&path.0, &path.1, &path.2), Some(path.3), &body.0).await?))
}

/// Marks everything in a task group.
pub(super) async fn patch_group(
    state: Data<AppState>,
    user: User,
    path: Path<(String, String, String)>,
    body: Body<Patch>,
) -> Result<HttpResponse, Error> {
    let (dag_id, run_id, group_id) = path.into_inner();
    let run = names::run(&state, &dag_id, &run_id).await?;
    let dag = names::version(&state, run.version_id).await?;
    let tasks = dag.in_group(&group_id);
    if tasks.is_empty() {
        return Err(Error::NotFound(format!("Task group {group_id} not found in dag {dag_id}")));
    }
    let plan = plan_for(&state, run, tasks, None, &body.0).await?;
    perform(&state, user.name(), plan, &body.0).await
}

async fn carry_out(
    state: &AppState,
    by: &str,
    names: (&str, &str, &str),
    map_index: Option<i32>,
    body: &Patch,
) -> Result<HttpResponse, Error> {
    let plan = plan(state, names, map_index, body).await?;
    perform(state, by, plan, body).await
}

async fn perform(state: &AppState, by: &str, plan: Plan, body: &Patch) -> Result<HttpResponse, Error> {
    let mut shown = Vec::new();
    for (run, selection, found) in plan.runs {
        if let Some(state_wanted) = plan.state {
            let wish = Wish::MarkTasks(MarkTasks { selection: selection.clone(), state: state_wanted });
            wish::insist(state, by, wish).await?;
        }
        if let Some(note) = &body.note {
            let indices: Vec<i32> = found.iter().map(|row| row.index).collect();
            state.store.note_tis(run.key, &indices, note.as_deref(), by).await?;
        }
        shown.extend(clear::chosen(state, &run, &selection).await?);
    }
    Ok(page(&shown))
}

async fn plan(
    state: &AppState,
    (dag_id, run_id, task_id): (&str, &str, &str),
    map_index: Option<i32>,
    body: &Patch,
) -> Result<Plan, Error> {
    let run = names::run(state, dag_id, run_id).await?;
    let missing = || {
        Error::NotFound(format!(
            "The Task Instance with dag_id: `{dag_id}`, run_id: `{run_id}` and task_id: `{task_id}` was not found"
        ))
    };
    let task = TaskId::new(task_id).map_err(|_| missing())?;
    if let Some(map_index) = map_index {
        names::instance(state, (dag_id, run_id, task_id), map_index).await?;
    }
    match plan_for(state, run, vec![task], map_index, body).await {
        Err(Error::NotFound(_)) => Err(missing()),
        planned => planned,
    }
}

async fn plan_for(
    state: &AppState,
    run: RunRow,
    tasks: Vec<TaskId>,
    map_index: Option<i32>,
    body: &Patch,
) -> Result<Plan, Error> {
    let wanted = body.new_state.as_deref().map(clear::markable).transpose()?;
    if wanted.is_none() && body.note.is_none() {
        return Err(super::dags::wrong(
            "new_state",
            "Value error, 'new_state' should not be empty",
            Value::Null,
        ));
    }
    runs::check_note(body.note.as_ref().and_then(|note| note.as_deref()))?;
    let mut plan = Plan { state: wanted, runs: Vec::new() };
    for run in clear::neighbours(state, run, body.include_past, body.include_future).await? {
        let (dag_id, run_id) = runs::ids(&run)?;
        let tasks =
            tasks.iter().map(|task_id| SelectedTask { task_id: task_id.clone(), map_index }).collect();
        let (upstream, downstream) = (body.include_upstream, body.include_downstream);
        let selection = Selection { dag_id, run_id, tasks, upstream, downstream };
        let found = clear::chosen(state, &run, &selection).await?;
        plan.runs.push((run, selection, found));
    }
    Ok(plan)
}

fn would_change(plan: Plan) -> HttpResponse {
    let wanted = plan.state.map(TaskState::as_str);
    let found = plan.runs.into_iter().flat_map(|(_, _, found)| found);
    page(&found.filter(|row| wanted.is_none_or(|wanted| row.state != wanted)).collect::<Vec<_>>())
}

fn page(rows: &[TiRow]) -> HttpResponse {
    let total = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    HttpResponse::Ok().json(shape::page("task_instances", rows.iter().map(shape::ti).collect(), total))
}
