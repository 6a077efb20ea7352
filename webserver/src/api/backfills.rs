//! Backfills: lists, one, creating, trying out, pausing, cancelling.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chrono::{DateTime, Utc};
use domain::{
    backfill::{BackfillId, Date, Order, Reprocess, USUAL_ACTIVE},
    engine::backfill::BackfillRecord,
    id::DagId,
    intent::Wish,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::view::Page;

use super::{batch::a_moment, dags::wrong, query::Query, shape};
use crate::{
    AppState,
    auth::{User, Viewer},
    backfill,
    body::Body,
    error::{Error, Problem},
    wish,
};

/// `BackfillPostBody`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct New {
    dag_id: String,
    #[serde(deserialize_with = "a_moment")]
    from_date: Option<DateTime<Utc>>,
    #[serde(deserialize_with = "a_moment")]
    to_date: Option<DateTime<Utc>>,
    #[serde(default)]
    run_backwards: bool,
    #[serde(default)]
    dag_run_conf: Option<Map<String, Value>>,
    #[serde(default)]
    reprocess_behavior: Reprocess,
    #[serde(default)]
    max_active_runs: Option<i64>,
    #[serde(default)]
    run_on_latest_version: Option<bool>,
}

impl New {
    fn order(self) -> Result<Order, Error> {
        let missing = |name: &str| wrong(name, "Input should be a valid datetime", Value::Null);
        let active = self.max_active_runs.unwrap_or(i64::from(USUAL_ACTIVE));
        let too_few =
            || wrong("max_active_runs", "Input should be greater than or equal to 1", active.into());
        Ok(Order {
            dag_id: DagId::new(&self.dag_id)
                .map_err(|_| Error::NotFound(format!("Could not find dag {}", self.dag_id)))?,
            from: self.from_date.ok_or_else(|| missing("from_date"))?,
            to: self.to_date.ok_or_else(|| missing("to_date"))?,
            run_backwards: self.run_backwards,
            max_active_runs: u32::try_from(active).map_err(|_| too_few())?,
            reprocess: self.reprocess_behavior,
            conf: self.dag_run_conf,
            run_on_latest_version: self.run_on_latest_version.unwrap_or(true),
        })
    }
}

pub(super) async fn list(
    state: Data<AppState>,
    _viewer: Viewer,
    query: Query,
) -> Result<HttpResponse, Error> {
    let missing = || Problem::new("missing", "query", "dag_id", "Field required", Value::Null);
    let dag_id = query.text("dag_id").ok_or_else(missing)?;
    let ask = query.ask(&[], &["id"])?;
    let is_newest_first = match ask.order_by.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["id"] => false,
        ["-id"] => true,
        _ => return Err(Error::Invalid("backfills are ordered by `id` or `-id` only".to_owned())),
    };
    let (rows, total) = match DagId::new(dag_id) {
        Ok(dag_id) => {
            let page = Page::new(ask.limit, ask.offset);
            let found = state.store.backfills(&dag_id, is_newest_first, page).await?;
            (found.rows, found.total)
        }
        Err(_) => (Vec::new(), 0),
    };
    let rows: Vec<Value> = rows.iter().map(shape::backfill).collect();
    Ok(HttpResponse::Ok().json(json!({"backfills": rows, "total_entries": total})))
}

pub(super) async fn get(
    state: Data<AppState>,
    _viewer: Viewer,
    id: Path<i64>,
) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::Ok().json(shape::backfill(&find(&state, *id).await?)))
}

pub(super) async fn create(
    state: Data<AppState>,
    user: User,
    body: Body<New>,
) -> Result<HttpResponse, Error> {
    let (record, _) = backfill::create(&state, user.name(), body.0.order()?).await?;
    Ok(HttpResponse::Ok().json(shape::backfill(&record)))
}

pub(super) async fn dry_run(
    state: Data<AppState>,
    _user: User,
    body: Body<New>,
) -> Result<HttpResponse, Error> {
    let dates = backfill::preview(&state, &body.0.order()?).await?;
    let row = |date: &Date| {
        let logical_date = date.next().map(|next| shape::moment(next.logical_date));
        let partition_date = date.key.is_some().then(|| shape::moment(date.moment()));
        json!({"logical_date": logical_date, "partition_key": date.key, "partition_date": partition_date})
    };
    let rows: Vec<Value> = dates.iter().map(row).collect();
    Ok(HttpResponse::Ok().json(json!({"total_entries": rows.len(), "backfills": rows})))
}

pub(super) async fn pause(state: Data<AppState>, user: User, id: Path<i64>) -> Result<HttpResponse, Error> {
    set_paused(&state, &user, *id, true).await
}

pub(super) async fn unpause(state: Data<AppState>, user: User, id: Path<i64>) -> Result<HttpResponse, Error> {
    set_paused(&state, &user, *id, false).await
}

async fn set_paused(state: &AppState, user: &User, id: i64, paused: bool) -> Result<HttpResponse, Error> {
    let record = find_active(state, id).await?;
    if record.is_paused != paused {
        let wish = Wish::PauseBackfill { dag_id: record.order.dag_id, id: record.id, paused };
        wish::insist(state, user.name(), wish).await?;
    }
    Ok(HttpResponse::Ok().json(shape::backfill(&find(state, id).await?)))
}

pub(super) async fn cancel(state: Data<AppState>, user: User, id: Path<i64>) -> Result<HttpResponse, Error> {
    let record = find_active(&state, *id).await?;
    let wish = Wish::CancelBackfill { dag_id: record.order.dag_id, id: record.id };
    wish::insist(&state, user.name(), wish).await?;
    Ok(HttpResponse::Ok().json(shape::backfill(&find(&state, *id).await?)))
}

async fn find_active(state: &AppState, id: i64) -> Result<BackfillRecord, Error> {
    let record = find(state, id).await?;
    if record.completed_at.is_some() {
        return Err(Error::Conflict("Backfill is already completed.".to_owned()));
    }
    Ok(record)
}

async fn find(state: &AppState, id: i64) -> Result<BackfillRecord, Error> {
    let found = state.store.backfill(BackfillId(id)).await?;
    found.ok_or_else(|| Error::NotFound("Backfill not found".to_owned()))
}
