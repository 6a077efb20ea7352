//! DAGs: lists, one, pausing, deleting.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use domain::id::DagId;
use queue::Bell;
use serde::Deserialize;
use serde_json::{Value, json};
use store::view::{
    api_dag::DagRow,
    api_list::{Ask, Test},
};

use super::{
    names,
    query::{Filter, Kind, Query},
    shape,
};
use crate::{
    AppState,
    auth::{User, Viewer},
    body::Body,
    error::{Error, Problem},
};

const FILTERS: &[Filter] = &[
    ("dag_id_pattern", "dag_id", Kind::Like),
    ("dag_id_prefix_pattern", "dag_id", Kind::Prefix),
    ("dag_display_name_pattern", "dag_id", Kind::Like),
    ("dag_display_name_prefix_pattern", "dag_id", Kind::Prefix),
    ("owners", "owners", Kind::OneOf),
    ("paused", "is_paused", Kind::Flag),
    ("has_import_errors", "has_import_errors", Kind::Flag),
    ("last_dag_run_state", "last_run_state", Kind::OneOf),
    ("dag_run_state", "last_run_state", Kind::OneOf),
    ("dag_run_start_date", "last_run_start_date", Kind::Moments),
];

/// Most DAGs that one request pauses.
const MOST_PAUSED: u32 = 100;

/// What a DAG is to become.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Patch {
    is_paused: bool,
}

pub(super) async fn list(
    state: Data<AppState>,
    _viewer: Viewer,
    query: Query,
) -> Result<HttpResponse, Error> {
    let (rows, total) = state.store.api_dags(&ask(&query)?).await?;
    Ok(HttpResponse::Ok().json(collection(&state, &rows, total)))
}

pub(super) async fn get(
    state: Data<AppState>,
    _viewer: Viewer,
    dag_id: Path<String>,
) -> Result<HttpResponse, Error> {
    let row = names::dag(&state, &dag_id).await?;
    Ok(HttpResponse::Ok().json(shape::dag(&row, &state.settings.dags_folder)))
}

pub(super) async fn details(
    state: Data<AppState>,
    _viewer: Viewer,
    dag_id: Path<String>,
) -> Result<HttpResponse, Error> {
    let row = names::dag(&state, &dag_id).await?;
    let dag = names::version(&state, row.version_id).await?;
    Ok(HttpResponse::Ok().json(shape::dag_details(&row, &dag, &state.settings.dags_folder)))
}

pub(super) async fn patch(
    state: Data<AppState>,
    user: User,
    dag_id: Path<String>,
    query: Query,
    body: Body<Patch>,
) -> Result<HttpResponse, Error> {
    check_mask(&query)?;
    let row = names::dag(&state, &dag_id).await?;
    pause(&state, std::slice::from_ref(&row), body.0.is_paused, user.name()).await?;
    get(state, Viewer::from(user), dag_id).await
}

pub(super) async fn patch_many(
    state: Data<AppState>,
    user: User,
    query: Query,
    body: Body<Patch>,
) -> Result<HttpResponse, Error> {
    check_mask(&query)?;
    let mut ask = ask(&query)?;
    ask.limit = ask.limit.min(MOST_PAUSED);
    let (mut rows, total) = state.store.api_dags(&ask).await?;
    pause(&state, &rows, body.0.is_paused, user.name()).await?;
    rows.iter_mut().for_each(|row| row.is_paused = body.0.is_paused);
    Ok(HttpResponse::Ok().json(collection(&state, &rows, total)))
}

pub(super) async fn delete(
    state: Data<AppState>,
    user: User,
    dag_id: Path<String>,
) -> Result<HttpResponse, Error> {
    let row = names::dag(&state, &dag_id).await?;
    state.store.delete_dag(&DagId::new(&row.dag_id)?, user.name()).await?;
    ring(&state).await;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn tags(
    state: Data<AppState>,
    _viewer: Viewer,
    query: Query,
) -> Result<HttpResponse, Error> {
    let filters =
        &[("tag_name_pattern", "name", Kind::Like), ("tag_name_prefix_pattern", "name", Kind::Prefix)];
    let (tags, total) = state.store.api_tags(&query.ask(filters, &["name"])?).await?;
    Ok(HttpResponse::Ok().json(json!({"tags": tags, "total_entries": total})))
}

pub(super) async fn stats(
    state: Data<AppState>,
    _viewer: Viewer,
    query: Query,
) -> Result<HttpResponse, Error> {
    let rows = state.store.api_dag_stats(&query.texts("dag_ids")).await?;
    let mut dags: Vec<&str> = rows.iter().map(|row| row.dag_id.as_str()).collect();
    dags.dedup();
    let stats = |dag_id: &str, state: &str| {
        let found = rows.iter().find(|row| row.dag_id == dag_id && row.state == state);
        json!({"state": state, "count": found.map_or(0, |row| row.count)})
    };
    let dag = |dag_id: &&str| {
        let stats: Vec<Value> =
            ["queued", "running", "success", "failed"].map(|state| stats(dag_id, state)).into();
        json!({"dag_id": dag_id, "dag_display_name": dag_id, "stats": stats})
    };
    let dags: Vec<Value> = dags.iter().map(dag).collect();
    Ok(HttpResponse::Ok().json(json!({"total_entries": dags.len(), "dags": dags})))
}

fn ask(query: &Query) -> Result<Ask, Error> {
    let mut ask = query.ask(FILTERS, &["dag_id"])?;
    let tags = query.texts("tags");
    if !tags.is_empty() {
        let all = query.text("tags_match_mode") == Some("all");
        ask.tests.push(("tags", if all { Test::HasAll(tags) } else { Test::HasAny(tags) }));
    }
    if query.flag("exclude_stale")?.unwrap_or(true) {
        ask.tests.push(("is_stale", Test::Is(false)));
    }
    Ok(ask)
}

fn collection(state: &AppState, rows: &[DagRow], total: i64) -> Value {
    let dags: Vec<Value> = rows.iter().map(|row| shape::dag(row, &state.settings.dags_folder)).collect();
    json!({"dags": dags, "total_entries": total})
}

fn check_mask(query: &Query) -> Result<(), Error> {
    match query.texts("update_mask").iter().find(|field| *field != "is_paused") {
        Some(_) => {
            Err(Error::Invalid("Only `is_paused` field can be updated through the REST API".to_owned()))
        }
        None => Ok(()),
    }
}

async fn pause(state: &AppState, dags: &[DagRow], is_paused: bool, by: &str) -> Result<(), Error> {
    for dag in dags.iter().filter(|dag| dag.is_paused != is_paused) {
        state.store.set_paused(&DagId::new(&dag.dag_id)?, is_paused, by).await?;
    }
    ring(state).await;
    let bells = dags.iter().map(|dag| Bell::Changed { dag_id: dag.dag_id.clone(), run_id: None });
    // The leader looks by itself from time to time, and so do pages.
    drop(state.queue.ring_all(&bells.collect::<Vec<_>>()).await);
    Ok(())
}

/// Tells the leader that something beside the inbox changed.
pub(crate) async fn ring(state: &AppState) {
    if let Err(fault) = state.queue.ring(Bell::Config).await {
        tracing::warn!(%fault, "cannot ring the leader; it looks by itself from time to time");
    }
}

/// A fault in the body that only a rule of ours can see.
pub(super) fn wrong(name: &str, message: impl Into<String>, input: Value) -> Error {
    Problem::new("value_error", "body", name, message, input).into()
}
