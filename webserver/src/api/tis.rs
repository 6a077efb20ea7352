//! Task instances: lists, one, mapped ones and their tries.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use serde::Deserialize;
use serde_json::{Value, json};
use store::view::{
    api_list::{Ask, Test},
    api_ti::TiRow,
};

use super::{
    batch::Ranges,
    cursor::{self, Cursor},
    names,
    query::{Filter, Kind, Query},
    shape,
};
use crate::{AppState, auth::Viewer, body::Body, error::Error};

const FILTERS: &[Filter] = &[
    ("task_id", "task_id", Kind::OneOf),
    ("run_after", "run_after", Kind::Moments),
    ("logical_date", "logical_date", Kind::Moments),
    ("start_date", "start_date", Kind::Moments),
    ("end_date", "end_date", Kind::Moments),
    ("updated_at", "updated_at", Kind::Moments),
    ("duration", "duration", Kind::Amounts),
    ("task_display_name_pattern", "task_id", Kind::Like),
    ("task_display_name_prefix_pattern", "task_id", Kind::Prefix),
    ("dag_id_pattern", "dag_id", Kind::Like),
    ("dag_id_prefix_pattern", "dag_id", Kind::Prefix),
    ("run_id_pattern", "run_id", Kind::Like),
    ("run_id_prefix_pattern", "run_id", Kind::Prefix),
    ("state", "state", Kind::OneOf),
    ("pool", "pool", Kind::OneOf),
    ("pool_name_pattern", "pool", Kind::Like),
    ("pool_name_prefix_pattern", "pool", Kind::Prefix),
    ("queue", "queue", Kind::OneOf),
    ("queue_name_pattern", "queue", Kind::Like),
    ("queue_name_prefix_pattern", "queue", Kind::Prefix),
    ("version_number", "version_number", Kind::Numbers),
    ("try_number", "try_number_number", Kind::Numbers),
    ("operator", "operator", Kind::OneOf),
    ("operator_name_pattern", "operator", Kind::Like),
    ("operator_name_prefix_pattern", "operator", Kind::Prefix),
    ("map_index", "map_index_number", Kind::Numbers),
    ("rendered_map_index_pattern", "rendered_map_index_text", Kind::Like),
    ("rendered_map_index_prefix_pattern", "rendered_map_index_text", Kind::Prefix),
];

/// A list of task instances asked for by a body.
#[derive(Debug, Deserialize)]
pub(super) struct BatchBody {
    #[serde(default)]
    dag_ids: Option<Vec<String>>,
    #[serde(default)]
    dag_run_ids: Option<Vec<String>>,
    #[serde(default)]
    task_ids: Option<Vec<String>>,
    #[serde(default)]
    state: Option<Vec<Option<String>>>,
    #[serde(default)]
    pool: Option<Vec<String>>,
    #[serde(default)]
    queue: Option<Vec<String>>,
    #[serde(flatten)]
    ranges: Ranges,
}

type RunPath = Path<(String, String)>;
pub(super) type TiPath = Path<(String, String, String)>;
pub(super) type MappedPath = Path<(String, String, String, i32)>;

pub(super) async fn list(
    state: Data<AppState>,
    _viewer: Viewer,
    path: RunPath,
    query: Query,
) -> Result<HttpResponse, Error> {
    exists(&state, &path.0, &path.1).await?;
    let mut ask = query.ask(FILTERS, &["map_index"])?;
    if let Some(group) = query.text("task_group_id") {
        ask.tests.push(("task_id", in_group(&state, &path.0, &path.1, group).await?));
    }
    let mut ask = names::within(ask, [("dag_id", &path.0), ("run_id", &path.1)]);
    let Some(token) = query.cursor() else {
        return send(&state, ask).await;
    };
    // The usual order of pages by offset is no order for cursors.
    ask.order_by = query.texts("order_by");
    send_from(&state, ask, &Cursor::parse(token)?).await
}

async fn send_from(state: &AppState, mut ask: Ask, cursor: &Cursor) -> Result<HttpResponse, Error> {
    let limit = ask.limit as usize;
    ask.limit += 1;
    let rows = state.store.api_tis_from(&ask, cursor.position.as_deref(), cursor.is_backward).await?;
    let place = |row: &TiRow| vec![row.run_key, row.index.into()];
    Ok(HttpResponse::Ok().json(cursor::page("task_instances", cursor, limit, rows, place, shape::ti)))
}

pub(super) async fn batch(
    state: Data<AppState>,
    _viewer: Viewer,
    path: RunPath,
    body: Body<BatchBody>,
) -> Result<HttpResponse, Error> {
    let body = body.0;
    let mut ask = body.ranges.ask("id")?;
    let states = body
        .state
        .map(|states| states.into_iter().map(|state| state.unwrap_or_else(|| "none".to_owned())).collect());
    let lists = [
        ("dag_id", body.dag_ids),
        ("run_id", body.dag_run_ids),
        ("task_id", body.task_ids),
        ("state", states),
        ("pool", body.pool),
        ("queue", body.queue),
    ];
    let tests = lists.into_iter().filter_map(|(column, list)| list.map(|list| (column, Test::OneOf(list))));
    ask.tests.extend(tests);
    send(&state, names::within(ask, [("dag_id", &path.0), ("run_id", &path.1)])).await
}

pub(super) async fn list_mapped(
    state: Data<AppState>,
    _viewer: Viewer,
    path: TiPath,
    query: Query,
) -> Result<HttpResponse, Error> {
    let (dag_id, run_id, task_id) = path.into_inner();
    let run = names::run(&state, &dag_id, &run_id).await?;
    let dag = names::version(&state, run.version_id).await?;
    let task = dag.task(&task_id).ok_or_else(|| Error::NotFound(format!("Task id {task_id} not found")))?;
    if !dag.needs_expansion(task) {
        return Err(Error::NotFound(format!("Task id {task_id} is not mapped")));
    }
    let ask = query
        .ask(FILTERS, &["map_index"])?
        .with("dag_id", Test::is(dag_id))
        .with("run_id", Test::is(run_id))
        .with("task_id", Test::is(task_id));
    send(&state, ask).await
}

/// The tasks of a group: by the run's version of the DAG, by the newest one when runs are not named, and by their ids when no DAG is.
async fn in_group(state: &AppState, dag_id: &str, run_id: &str, group: &str) -> Result<Test, Error> {
    let version = match (dag_id == names::ALL, run_id == names::ALL) {
        (false, false) => names::run(state, dag_id, run_id).await?.version_id,
        (false, true) => names::dag(state, dag_id).await?.version_id,
        (true, _) => return Ok(Test::StartsWith(format!("{group}."))),
    };
    let dag = names::version(state, version).await?;
    if !dag.groups.iter().any(|known| known.group_id.as_str() == group) {
        return Err(Error::NotFound(format!("Task group {group} not found")));
    }
    Ok(Test::OneOf(dag.in_group(group).iter().map(ToString::to_string).collect()))
}

async fn exists(state: &AppState, dag_id: &str, run_id: &str) -> Result<(), Error> {
    match (dag_id == names::ALL, run_id == names::ALL) {
        (false, false) => names::run(state, dag_id, run_id).await.map(drop),
        (false, true) => names::dag(state, dag_id).await.map(drop),
        (true, _) => Ok(()),
    }
}

async fn send(state: &AppState, ask: Ask) -> Result<HttpResponse, Error> {
    let (rows, total) = state.store.api_tis(&ask).await?;
    Ok(HttpResponse::Ok().json(shape::page("task_instances", rows.iter().map(shape::ti).collect(), total)))
}

pub(super) async fn get(state: Data<AppState>, _viewer: Viewer, path: TiPath) -> Result<HttpResponse, Error> {
    let row = names::ti(&state, &path.0, &path.1, &path.2).await?;
    Ok(HttpResponse::Ok().json(shape::ti(&row)))
}

pub(super) async fn get_mapped(
    state: Data<AppState>,
    _viewer: Viewer,
    path: MappedPath,
) -> Result<HttpResponse, Error> {
    let row = names::instance(&state, (&path.0, &path.1, &path.2), path.3).await?;
    Ok(HttpResponse::Ok().json(shape::ti(&row)))
}

pub(super) async fn tries(
    state: Data<AppState>,
    _viewer: Viewer,
    path: TiPath,
    query: Query,
) -> Result<HttpResponse, Error> {
    let map_index = query.number("map_index")?.unwrap_or(-1);
    let rows = tries_of(&state, (&path.0, &path.1, &path.2), map_index).await?;
    Ok(HttpResponse::Ok().json(history(&rows)))
}

pub(super) async fn tries_mapped(
    state: Data<AppState>,
    _viewer: Viewer,
    path: MappedPath,
) -> Result<HttpResponse, Error> {
    let rows = tries_of(&state, (&path.0, &path.1, &path.2), path.3).await?;
    Ok(HttpResponse::Ok().json(history(&rows)))
}

pub(super) async fn one_try(
    state: Data<AppState>,
    _viewer: Viewer,
    path: Path<(String, String, String, i32)>,
    query: Query,
) -> Result<HttpResponse, Error> {
    let (dag_id, run_id, task_id, number) = path.into_inner();
    let map_index = query.number("map_index")?.unwrap_or(-1);
    one_of(tries_of(&state, (&dag_id, &run_id, &task_id), map_index).await?, number)
}

pub(super) async fn one_try_mapped(
    state: Data<AppState>,
    _viewer: Viewer,
    path: Path<(String, String, String, i32, i32)>,
) -> Result<HttpResponse, Error> {
    let (dag_id, run_id, task_id, map_index, number) = path.into_inner();
    one_of(tries_of(&state, (&dag_id, &run_id, &task_id), map_index).await?, number)
}

async fn tries_of(state: &AppState, names: (&str, &str, &str), map_index: i32) -> Result<Vec<TiRow>, Error> {
    let row = names::instance(state, names, map_index).await?;
    Ok(state.store.api_tries(row.run_key, row.index).await?)
}

fn history(rows: &[TiRow]) -> Value {
    let rows: Vec<Value> = rows.iter().map(shape::ti_history).collect();
    json!({"total_entries": rows.len(), "task_instances": rows})
}

fn one_of(rows: Vec<TiRow>, number: i32) -> Result<HttpResponse, Error> {
    let found = rows.iter().find(|row| row.try_number == number);
    let found = found.ok_or_else(|| {
        Error::NotFound(format!("The Task Instance has no try with try_number: `{number}`"))
    })?;
    Ok(HttpResponse::Ok().json(shape::ti_history(found)))
}
