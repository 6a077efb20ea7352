//! What DAGs consist of: their versions, source texts and tasks.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use domain::engine::record::VersionId;
use serde_json::{Value, json};
use store::view::{
    api_dag::VersionRow,
    api_list::{Ask, Test},
};

use super::{
    names,
    query::{Kind, Query, accepts, disallowed_order},
    shape,
};
use crate::{AppState, auth::Viewer, error::Error};

pub(super) async fn list(
    state: Data<AppState>,
    _viewer: Viewer,
    dag_id: Path<String>,
    query: Query,
) -> Result<HttpResponse, Error> {
    if dag_id.as_str() != names::ALL {
        names::dag(&state, &dag_id).await?;
    }
    let ask = query.ask(&[("version_number", "number", Kind::Numbers)], &["id"])?;
    let (rows, total) = state.store.api_versions(&names::within(ask, [("dag_id", &dag_id)])).await?;
    let rows: Vec<Value> = rows.iter().map(shape::dag_version).collect();
    Ok(HttpResponse::Ok().json(json!({"dag_versions": rows, "total_entries": total})))
}

pub(super) async fn get(
    state: Data<AppState>,
    _viewer: Viewer,
    path: Path<(String, i32)>,
) -> Result<HttpResponse, Error> {
    let (dag_id, number) = path.into_inner();
    let version = find(&state, &dag_id, number).await?;
    Ok(HttpResponse::Ok().json(shape::dag_version(&version)))
}

pub(super) async fn source(
    state: Data<AppState>,
    _viewer: Viewer,
    request: HttpRequest,
    dag_id: Path<String>,
    query: Query,
) -> Result<HttpResponse, Error> {
    let (id, number) = match query.number::<i32>("version_number")? {
        Some(number) => (find(&state, &dag_id, number).await?.id, number),
        None => {
            let dag = names::dag(&state, &dag_id).await?;
            (dag.version_id, dag.version_number)
        }
    };
    let source = state.store.source(VersionId(id)).await?.unwrap_or_default();
    if accepts(&request, "text/plain") {
        return Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(source));
    }
    Ok(HttpResponse::Ok().json(json!({
        "content": source, "dag_id": *dag_id, "version_number": number, "dag_display_name": *dag_id,
    })))
}

pub(super) async fn tasks(
    state: Data<AppState>,
    _viewer: Viewer,
    dag_id: Path<String>,
    query: Query,
) -> Result<HttpResponse, Error> {
    let row = names::dag(&state, &dag_id).await?;
    let dag = names::version(&state, row.version_id).await?;
    let order = query.text("order_by").unwrap_or("task_id");
    let (field, is_descending) = order.strip_prefix('-').map_or((order, false), |field| (field, true));
    let mut tasks: Vec<Value> = dag.tasks.iter().map(|task| shape::task(&dag, task)).collect();
    let is_known =
        ["task_id", "task_display_name", "owner", "operator_name", "trigger_rule", "pool", "queue"]
            .contains(&field);
    if !is_known {
        return Err(disallowed_order(field));
    }
    tasks.sort_by(|one, two| one[field].as_str().cmp(&two[field].as_str()));
    if is_descending {
        tasks.reverse();
    }
    Ok(HttpResponse::Ok().json(json!({"total_entries": tasks.len(), "tasks": tasks})))
}

pub(super) async fn task(
    state: Data<AppState>,
    _viewer: Viewer,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Error> {
    let (dag_id, task_id) = path.into_inner();
    let row = names::dag(&state, &dag_id).await?;
    let dag = names::version(&state, row.version_id).await?;
    let task =
        dag.task(&task_id).ok_or_else(|| Error::NotFound(format!("Task with id {task_id} was not found")))?;
    Ok(HttpResponse::Ok().json(shape::task(&dag, task)))
}

pub(super) async fn find(state: &AppState, dag_id: &str, number: i32) -> Result<VersionRow, Error> {
    let ask = Ask { limit: 1, ..Ask::default() }
        .with("dag_id", Test::is(dag_id))
        .with("number", Test::Numbers(vec![number.into()]));
    let found = state.store.api_versions(&ask).await?.0.into_iter().next();
    found.ok_or_else(|| {
        Error::NotFound(format!(
            "The DagVersion with dag_id: `{dag_id}` and version_number: `{number}` was not found"
        ))
    })
}
