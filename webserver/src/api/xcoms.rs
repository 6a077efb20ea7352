//! XComs: what tasks handed on.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use serde_json::{Value, json};
use store::view::api_list::{Ask, Test};

use super::{
    names,
    query::{Filter, Kind, Query},
    shape,
};
use crate::{AppState, auth::Viewer, error::Error};

const FILTERS: &[Filter] = &[
    ("xcom_key", "key", Kind::OneOf),
    ("xcom_key_pattern", "key", Kind::Like),
    ("xcom_key_prefix_pattern", "key", Kind::Prefix),
    ("map_index", "map_index", Kind::Numbers),
    ("map_index_filter", "map_index", Kind::Numbers),
    ("dag_display_name_pattern", "dag_id", Kind::Like),
    ("dag_display_name_prefix_pattern", "dag_id", Kind::Prefix),
    ("run_id_pattern", "run_id", Kind::Like),
    ("run_id_prefix_pattern", "run_id", Kind::Prefix),
    ("task_id_pattern", "task_id", Kind::Like),
    ("task_id_prefix_pattern", "task_id", Kind::Prefix),
    ("logical_date", "logical_date", Kind::Moments),
    ("run_after", "run_after", Kind::Moments),
];
const ORDER: [&str; 5] = ["dag_id", "task_id", "run_id", "map_index", "key"];

pub(super) async fn list(
    state: Data<AppState>,
    _viewer: Viewer,
    path: Path<(String, String, String)>,
    query: Query,
) -> Result<HttpResponse, Error> {
    let (dag_id, run_id, task_id) = path.into_inner();
    let ask = query.ask(FILTERS, &ORDER)?;
    let ask = names::within(ask, [("dag_id", &dag_id), ("run_id", &run_id), ("task_id", &task_id)]);
    let (rows, total) = state.store.api_xcoms(&ask, false).await?;
    let rows: Vec<Value> = rows.iter().map(shape::xcom).collect();
    Ok(HttpResponse::Ok().json(json!({"xcom_entries": rows, "total_entries": total})))
}

pub(super) async fn get(
    state: Data<AppState>,
    _viewer: Viewer,
    path: Path<(String, String, String, String)>,
    query: Query,
) -> Result<HttpResponse, Error> {
    let (dag_id, run_id, task_id, key) = path.into_inner();
    let map_index = query.number::<i64>("map_index")?.unwrap_or(-1);
    let stringify = query.flag("stringify")?.unwrap_or(false);
    // Values are kept as JSON, so there is nothing to bring back to life.
    query.flag("deserialize")?;
    let ask = Ask { limit: 1, ..Ask::default() }
        .with("dag_id", Test::is(dag_id))
        .with("run_id", Test::is(run_id))
        .with("task_id", Test::is(task_id))
        .with("key", Test::is(&key))
        .with("map_index", Test::Numbers(vec![map_index]));
    let found = state.store.api_xcoms(&ask, true).await?.0.into_iter().next();
    let row = found.ok_or_else(|| Error::NotFound(format!("XCom entry with key: `{key}` not found")))?;
    let mut shape = shape::xcom(&row);
    let value = row.value().cloned().unwrap_or(Value::Null);
    shape["value"] = if stringify { as_text(value) } else { value };
    Ok(HttpResponse::Ok().json(shape))
}

fn as_text(value: Value) -> Value {
    match value {
        Value::String(_) | Value::Null => value,
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string().into(),
    }
}
