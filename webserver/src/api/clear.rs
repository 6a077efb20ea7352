//! Running task instances again.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chrono::{DateTime, Utc};
use domain::{
    engine::graph::Graph,
    id::TaskId,
    intent::{Clear, SelectedTask, Selection, Wish},
};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use store::view::{
    api_list::{Ask, Comparison, Test},
    api_run::RunRow,
    api_ti::TiRow,
};

use super::{batch::a_moment, dags::wrong, names, runs, shape};
use crate::{AppState, auth::User, body::Body, error::Error, wish};

/// Most runs that one request clears or marks.
const MOST_RUNS: u32 = 100;
/// Most task instances of one run that are looked at.
const MOST_INSTANCES: u32 = 20_000;
/// Most tasks that one request names.
const MOST_TASKS: usize = 10_000;

/// Which task instances, and how.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClearBody {
    #[serde(default = "super::yes")]
    dry_run: bool,
    #[serde(default, deserialize_with = "a_moment")]
    start_date: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "a_moment")]
    end_date: Option<DateTime<Utc>>,
    #[serde(default = "super::yes")]
    only_failed: bool,
    #[serde(default)]
    only_running: bool,
    /// A cleared run always runs again, so this changes nothing.
    #[serde(default = "super::yes", rename = "reset_dag_runs")]
    _reset_dag_runs: bool,
    #[serde(default)]
    task_ids: Option<Vec<Marker>>,
    #[serde(default)]
    dag_run_id: Option<String>,
    #[serde(default)]
    include_upstream: bool,
    #[serde(default)]
    include_downstream: bool,
    #[serde(default)]
    include_future: bool,
    #[serde(default)]
    include_past: bool,
    #[serde(default)]
    run_on_latest_version: Option<bool>,
    #[serde(default)]
    prevent_running_task: bool,
    #[serde(default)]
    note: Option<String>,
}

/// A task, or one instance of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "each of task_ids must be the id of a task, or a pair of such an id and a map index"
)]
pub(super) enum Marker {
    /// All instances; the id of a group stands for every task in it.
    Task(TaskId),
    /// One.
    Instance(TaskId, i32),
}

/// Which of the selected instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Which {
    /// Only those that failed, or whose upstream did.
    pub(crate) only_failed: bool,
    /// Only those that run.
    pub(crate) only_running: bool,
}

pub(super) async fn create(
    state: Data<AppState>,
    user: User,
    dag_id: Path<String>,
    body: Body<ClearBody>,
) -> Result<HttpResponse, Error> {
    let body = body.0;
    check(&body)?;
    names::dag(&state, &dag_id).await?;
    let mut chosen = Vec::new();
    for row in concerned(&state, &dag_id, &body).await? {
        let selection = selection(&state, &row, &body).await?;
        let which = Which { only_failed: body.only_failed, only_running: body.only_running };
        let found = select(&state, &row, &selection, which).await?;
        if !found.is_empty() {
            chosen.push((row, selection, found));
        }
    }
    let mut shown: Vec<TiRow> = chosen.iter().flat_map(|(_, _, found)| found.clone()).collect();
    if body.prevent_running_task && shown.iter().any(|row| is_under_way(&row.state)) {
        return Err(Error::Conflict(
            "a task instance is running, queued or scheduled: set prevent_running_task to false, or wait for it".to_owned(),
        ));
    }
    if !body.dry_run {
        shown = carry_out(&state, user.name(), &body, chosen).await?;
    }
    let shapes: Vec<Value> = shown.iter().map(shape::ti).collect();
    let total = i64::try_from(shapes.len()).unwrap_or(i64::MAX);
    Ok(HttpResponse::Ok().json(shape::page("task_instances", shapes, total)))
}

async fn carry_out(
    state: &AppState,
    by: &str,
    body: &ClearBody,
    chosen: Vec<(RunRow, Selection, Vec<TiRow>)>,
) -> Result<Vec<TiRow>, Error> {
    let mut shown = Vec::new();
    for (row, mut selection, found) in chosen {
        if body.run_on_latest_version == Some(true) {
            let (dag_id, run_id) = runs::ids(&row)?;
            wish::insist(state, by, Wish::AdoptVersion { dag_id, run_id }).await?;
        }
        if body.only_running {
            // The engine is told exactly which ones, since it has no such condition.
            (selection.tasks, selection.upstream, selection.downstream) = (exactly(&found)?, false, false);
        }
        wish::insist(state, by, Wish::Clear(Clear { selection, only_failed: body.only_failed })).await?;
        let indices: Vec<i32> = found.iter().map(|ti| ti.index).collect();
        if let Some(note) = &body.note {
            state.store.note_tis(row.key, &indices, Some(note), by).await?;
        }
        let now = instances(state, &row, None).await?;
        shown.extend(now.into_iter().filter(|ti| indices.contains(&ti.index)));
    }
    Ok(shown)
}

/// The instances of a run that are cleared with a selection, as the engine will choose them: with the setups that they need, and
/// the teardowns of those.
///
/// # Errors
/// [`Error::NotFound`] for a task that the run does not have.
pub(crate) async fn select(
    state: &AppState,
    run: &RunRow,
    selection: &Selection,
    which: Which,
) -> Result<Vec<TiRow>, Error> {
    let mut found = meant(state, run, selection, true).await?;
    found.retain(|row| match row.state.as_str() {
        "failed" | "upstream_failed" => !which.only_running,
        "running" | "restarting" => !which.only_failed,
        state => !which.only_failed && !which.only_running && state != "none",
    });
    Ok(found)
}

/// The instances of a run that a selection is about, in whatever state they are.
///
/// # Errors
/// [`Error::NotFound`] for a task that the run does not have.
pub(super) async fn chosen(
    state: &AppState,
    run: &RunRow,
    selection: &Selection,
) -> Result<Vec<TiRow>, Error> {
    meant(state, run, selection, false).await
}

async fn meant(
    state: &AppState,
    run: &RunRow,
    selection: &Selection,
    with_company: bool,
) -> Result<Vec<TiRow>, Error> {
    if selection.tasks.is_empty() {
        return instances(state, run, None).await;
    }
    let graph = Graph::new(names::version(state, run.version_id).await?);
    let mut nodes = Vec::new();
    for task in &selection.tasks {
        let node = graph.find(&task.task_id);
        nodes.push(node.ok_or_else(|| Error::NotFound(format!("Task id {} not found", task.task_id)))?);
    }
    let mut around = graph.closure(&nodes, selection.upstream, selection.downstream);
    if with_company {
        around.extend(graph.company(&around));
    }
    let name = |node: usize| graph.task(node).task_id.to_string();
    let all: BTreeSet<String> = around.iter().chain(&nodes).map(|node| name(*node)).collect();
    let own: BTreeSet<String> = nodes.iter().map(|node| name(*node)).collect();
    let mut found = instances(state, run, Some(all.into_iter().collect())).await?;
    let is_named = |row: &TiRow| {
        let mut named = selection.tasks.iter().filter(|task| task.task_id.as_str() == row.task_id);
        named.any(|task| task.map_index.is_none_or(|index| index == row.map_index))
    };
    found.retain(|row| !own.contains(&row.task_id) || is_named(row));
    Ok(found)
}

async fn instances(state: &AppState, run: &RunRow, tasks: Option<Vec<String>>) -> Result<Vec<TiRow>, Error> {
    let mut ask = Ask { limit: MOST_INSTANCES, order_by: vec!["index".to_owned()], ..Ask::default() }
        .with("dag_id", Test::is(&run.dag_id))
        .with("run_id", Test::is(&run.run_id));
    if let Some(tasks) = tasks {
        ask = ask.with("task_id", Test::OneOf(tasks));
    }
    Ok(state.store.api_tis(&ask).await?.0)
}

fn check(body: &ClearBody) -> Result<(), Error> {
    let has_dates = body.start_date.is_some() || body.end_date.is_some();
    let fault = match body {
        _ if body.only_failed && body.only_running => "only_failed and only_running both are set to True",
        _ if body.start_date.zip(body.end_date).is_some_and(|(start, end)| start > end) => {
            "end_date is sooner than start_date"
        }
        _ if has_dates && body.dag_run_id.is_some() => {
            "Exactly one of dag_run_id or (start_date and end_date) must be provided"
        }
        _ if body.task_ids.as_ref().is_some_and(Vec::is_empty) => {
            "task_ids list should have at least 1 element."
        }
        _ if body.task_ids.as_ref().is_some_and(|tasks| tasks.len() > MOST_TASKS) => {
            "task_ids has more than 10000 elements"
        }
        _ => return runs::check_note(body.note.as_deref()),
    };
    Err(crate::error::Problem {
        kind: "value_error",
        place: vec!["body".to_owned()],
        message: fault.to_owned(),
        input: Value::Null,
    }
    .into())
}

async fn concerned(state: &AppState, dag_id: &str, body: &ClearBody) -> Result<Vec<RunRow>, Error> {
    let Some(run_id) = &body.dag_run_id else {
        return between(state, dag_id, body.start_date, body.end_date).await;
    };
    let run = names::run(state, dag_id, run_id).await?;
    neighbours(state, run, body.include_past, body.include_future).await
}

/// A run, and those before and after it by logical date when they are asked for.
///
/// # Errors
/// [`Error::Invalid`] when the run has no logical date to compare.
pub(crate) async fn neighbours(
    state: &AppState,
    run: RunRow,
    past: bool,
    future: bool,
) -> Result<Vec<RunRow>, Error> {
    if !past && !future {
        return Ok(vec![run]);
    }
    let Some(date) = run.logical_date else {
        return Err(Error::Invalid(
            "Cannot use include_past or include_future with no logical_date(e.g. manually or asset-triggered).".to_owned(),
        ));
    };
    between(state, &run.dag_id, (!past).then_some(date), (!future).then_some(date)).await
}

async fn between(
    state: &AppState,
    dag_id: &str,
    start: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
) -> Result<Vec<RunRow>, Error> {
    let mut ask = Ask { limit: MOST_RUNS, order_by: vec!["logical_date".to_owned()], ..Ask::default() }
        .with("dag_id", Test::is(dag_id));
    ask.tests.extend(start.map(|start| ("logical_date", Test::Moment(Comparison::AtLeast, start))));
    ask.tests.extend(end.map(|end| ("logical_date", Test::Moment(Comparison::AtMost, end))));
    let (runs, total) = state.store.api_runs(&ask).await?;
    if total > i64::from(MOST_RUNS) {
        return Err(Error::Invalid(format!(
            "that is about {total} runs, at most {MOST_RUNS} at once: narrow the dates"
        )));
    }
    Ok(runs)
}

async fn selection(state: &AppState, run: &RunRow, body: &ClearBody) -> Result<Selection, Error> {
    let (dag_id, run_id) = runs::ids(run)?;
    let mut tasks = Vec::new();
    if let Some(markers) = &body.task_ids {
        let dag = names::version(state, run.version_id).await?;
        for marker in markers {
            match marker {
                Marker::Task(id) => tasks.extend(dag.named(id).into_iter().map(whole)),
                Marker::Instance(task_id, index) => {
                    tasks.push(SelectedTask { task_id: task_id.clone(), map_index: Some(*index) });
                }
            }
        }
    }
    Ok(Selection {
        dag_id,
        run_id,
        tasks,
        upstream: body.include_upstream,
        downstream: body.include_downstream,
    })
}

const fn whole(task_id: TaskId) -> SelectedTask {
    SelectedTask { task_id, map_index: None }
}

fn exactly(found: &[TiRow]) -> Result<Vec<SelectedTask>, Error> {
    let selected = |row: &TiRow| {
        Ok(SelectedTask { task_id: TaskId::new(&row.task_id)?, map_index: Some(row.map_index) })
    };
    found.iter().map(selected).collect()
}

fn is_under_way(state: &str) -> bool {
    matches!(state, "running" | "restarting" | "queued" | "scheduled")
}

/// The state that a task instance can be marked with.
pub(super) fn markable(state: &str) -> Result<domain::state::TaskState, Error> {
    let lower = state.to_ascii_lowercase();
    let known =
        ["success", "failed", "skipped"].contains(&lower.as_str()).then(|| lower.parse().ok()).flatten();
    known.ok_or_else(|| {
        wrong(
            "new_state",
            format!("Value error, '{lower}' is not one of ['success', 'failed', 'skipped']"),
            state.into(),
        )
    })
}
