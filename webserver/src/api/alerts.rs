//! Alerts. Airflow has nothing like it, so the form is ours.

use actix_web::{HttpResponse, web::Data};
use serde_json::{Value, json};
use store::view::alerts::{Alert, AlertState, Filter};

use super::{query::Query, shape};
use crate::{
    AppState,
    auth::Viewer,
    error::{Error, Problem},
};

/// `GET /alerts`: newest first; `dag_id`, `dag_run_id` and `state` choose.
pub(super) async fn list(
    state: Data<AppState>,
    _viewer: Viewer,
    query: Query,
) -> Result<HttpResponse, Error> {
    let filter = Filter {
        dag_id: query.text("dag_id").map(str::to_owned),
        run_id: query.text("dag_run_id").map(str::to_owned),
        state: query.text("state").map(wanted).transpose()?,
    };
    let found = state.store.alerts(&filter, query.page()?).await?;
    let rows: Vec<Value> = found.rows.iter().map(alert).collect();
    Ok(HttpResponse::Ok().json(json!({"alerts": rows, "total_entries": found.total})))
}

fn wanted(name: &str) -> Result<AlertState, Error> {
    name.parse().map_err(|_| {
        let message = "Input should be 'waiting', 'sent' or 'failed'";
        Problem::new("enum", "query", "state", message, name.into()).into()
    })
}

fn alert(alert: &Alert) -> Value {
    let is_waiting = alert.state == AlertState::Waiting;
    json!({
        "id": alert.id, "dag_id": alert.dag_id, "dag_run_id": alert.run_id, "event": alert.event.as_str(),
        "channel": alert.channel, "target": alert.target, "state": alert.state.as_str(),
        "attempts": alert.attempts, "error": alert.error, "log": alert.log, "created_at": shape::moment(alert.created_at),
        "next_at": is_waiting.then(|| shape::moment(alert.next_at)),
        "settled_at": alert.settled_at.map(shape::moment), "facts": alert.facts,
    })
}
