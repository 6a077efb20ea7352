//! Assets: lists, one, aliases, events, what is queued, and making one anew.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use domain::{
    asset::check_extra,
    id::{DagId, RunId},
    intent::Wish,
    partition::Key,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::view::{
    api_list::{Ask, Test},
    assets::{AliasRow, AssetRow, ConsumerRow, EventRow, PlaceRow, QueuedRow},
};
use uuid::Uuid;

use super::{
    batch::given,
    dags::wrong,
    names,
    query::{Filter, Kind, Query, disallowed_order},
    shape,
    trigger::{self, NewRun},
};
use crate::{
    AppState,
    auth::{User, Viewer},
    body::{Body, MaybeBody},
    error::Error,
    wish::{self, PENDING},
};

const ASSETS: &[Filter] = &[
    ("name_pattern", "name", Kind::Like),
    ("name_prefix_pattern", "name", Kind::Prefix),
    ("uri_pattern", "uri", Kind::Like),
    ("uri_prefix_pattern", "uri", Kind::Prefix),
];

const ALIASES: &[Filter] =
    &[("name_pattern", "name", Kind::Like), ("name_prefix_pattern", "name", Kind::Prefix)];

const EVENTS: &[Filter] = &[
    ("asset_id", "asset_id", Kind::Numbers),
    ("source_dag_id", "source_dag_id", Kind::OneOf),
    ("source_task_id", "source_task_id", Kind::OneOf),
    ("source_run_id", "source_run_id", Kind::OneOf),
    ("source_map_index", "source_map_index", Kind::Numbers),
    ("name_pattern", "name", Kind::Like),
    ("name_prefix_pattern", "name", Kind::Prefix),
    ("timestamp", "timestamp", Kind::Moments),
];

/// `CreateAssetEventsBody`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewEvent {
    asset_id: i64,
    #[serde(default)]
    extra: Map<String, Value>,
    #[serde(default)]
    partition_key: Option<String>,
    #[serde(default, deserialize_with = "given")]
    access_control: Option<Value>,
}

pub(super) async fn list(
    state: Data<AppState>,
    _viewer: Viewer,
    query: Query,
) -> Result<HttpResponse, Error> {
    let mut ask = ordered(query.ask(ASSETS, &["id"])?, &["id", "name", "uri", "created_at", "updated_at"])?;
    if query.flag("only_active")?.unwrap_or(true) {
        ask = ask.with("active", Test::Is(true));
    }
    let dags = query.texts("dag_ids");
    if !dags.is_empty() {
        ask = ask.with("dag_id", Test::HasAny(dags));
    }
    let found = state.store.assets(&ask).await?;
    let rows = shapes(&state, &found.rows).await?;
    Ok(HttpResponse::Ok().json(page("assets", rows, found.total)))
}

/// A list is ordered by what Airflow orders it by, and nothing else.
fn ordered(ask: Ask, allowed: &[&str]) -> Result<Ask, Error> {
    match ask.order_by.iter().find(|name| !allowed.contains(&name.trim_start_matches('-'))) {
        Some(name) => Err(disallowed_order(name)),
        None => Ok(ask),
    }
}

pub(super) async fn get(
    state: Data<AppState>,
    _viewer: Viewer,
    id: Path<i64>,
) -> Result<HttpResponse, Error> {
    let Some(row) = state.store.asset(*id).await? else {
        return Err(Error::NotFound(format!("The Asset with ID: `{id}` was not found")));
    };
    let shape = shapes(&state, std::slice::from_ref(&row)).await?.pop();
    Ok(HttpResponse::Ok().json(shape))
}

async fn shapes(state: &AppState, rows: &[AssetRow]) -> Result<Vec<Value>, Error> {
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let places = state.store.asset_places(&ids).await?;
    let aliases = state.store.aliases_of(&ids).await?;
    Ok(rows.iter().map(|row| asset(row, &places, &aliases)).collect())
}

fn page(name: &str, rows: Vec<Value>, total: i64) -> Value {
    json!({name: rows, "total_entries": total})
}

/// `AssetResponse`
fn asset(row: &AssetRow, places: &[PlaceRow], aliases: &[AliasRow]) -> Value {
    let part = |wanted: &str| -> Vec<Value> {
        let own = places.iter().filter(|place| place.asset_id == row.id && place.part == wanted);
        own.map(place).collect()
    };
    let own = aliases.iter().filter(|alias| alias.asset_id == Some(row.id));
    json!({
        "id": row.id, "name": row.name(), "uri": row.uri, "group": row.group, "extra": row.extra(),
        "created_at": shape::moment(row.created_at), "updated_at": shape::moment(row.updated_at),
        "scheduled_dags": part("schedule"), "producing_tasks": part("outlet"), "consuming_tasks": part("inlet"),
        "aliases": own.map(alias).collect::<Vec<_>>(), "watchers": [],
        "last_asset_event": {"id": row.last_event, "timestamp": row.last_event_at.map(shape::moment)},
    })
}

fn place(place: &PlaceRow) -> Value {
    let mut shape = json!({
        "dag_id": place.dag_id, "created_at": shape::moment(place.created_at),
        "updated_at": shape::moment(place.updated_at),
    });
    if !place.task_id.is_empty() {
        shape["task_id"] = place.task_id.as_str().into();
    }
    shape
}

fn alias(row: &AliasRow) -> Value {
    json!({"id": row.id, "name": row.name, "group": row.group})
}

pub(super) async fn aliases(
    state: Data<AppState>,
    _viewer: Viewer,
    query: Query,
) -> Result<HttpResponse, Error> {
    let ask = ordered(query.ask(ALIASES, &["id"])?, &["id", "name"])?;
    let found = state.store.aliases(&ask).await?;
    let rows = found.rows.iter().map(alias).collect();
    Ok(HttpResponse::Ok().json(page("asset_aliases", rows, found.total)))
}

pub(super) async fn one_alias(
    state: Data<AppState>,
    _viewer: Viewer,
    id: Path<i64>,
) -> Result<HttpResponse, Error> {
    let ask = Ask { limit: 1, ..Ask::default() }.with("id", Test::Numbers(vec![*id]));
    match state.store.aliases(&ask).await?.rows.first() {
        Some(row) => Ok(HttpResponse::Ok().json(alias(row))),
        None => Err(Error::NotFound(format!("The Asset Alias with ID: `{id}` was not found"))),
    }
}

pub(super) async fn events(
    state: Data<AppState>,
    _viewer: Viewer,
    query: Query,
) -> Result<HttpResponse, Error> {
    let allowed = ["source_task_id", "source_dag_id", "source_run_id", "source_map_index", "timestamp"];
    let ask = ordered(query.ask(EVENTS, &["timestamp"])?, &allowed)?;
    let found = state.store.asset_events(&ask).await?;
    let rows = event_shapes(&state, &found.rows).await?;
    Ok(HttpResponse::Ok().json(page("asset_events", rows, found.total)))
}

pub(super) async fn upstream(
    state: Data<AppState>,
    _viewer: Viewer,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Error> {
    let row = names::run(&state, &path.0, &path.1).await?;
    let (dag_id, run_id) = super::runs::ids(&row)?;
    let rows = event_shapes(&state, &state.store.consumed_events(&dag_id, &run_id).await?).await?;
    let total = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    Ok(HttpResponse::Ok().json(page("asset_events", rows, total)))
}

async fn event_shapes(state: &AppState, rows: &[EventRow]) -> Result<Vec<Value>, Error> {
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let runs = state.store.consumers(&ids).await?;
    Ok(rows.iter().map(|row| event(row, &runs)).collect())
}

/// `AssetEventResponse`
fn event(row: &EventRow, runs: &[ConsumerRow]) -> Value {
    let own = runs.iter().filter(|run| run.event_id == row.id).map(consumer);
    json!({
        "id": row.id, "asset_id": row.asset_id, "uri": row.uri, "name": row.name, "group": row.group,
        "extra": row.extra(), "source_task_id": row.source_task_id, "source_dag_id": row.source_dag_id,
        "source_run_id": row.source_run_id, "source_map_index": row.source_map_index,
        "created_dagruns": own.collect::<Vec<_>>(), "timestamp": shape::moment(row.at),
        "partition_key": row.partition_key,
    })
}

/// `DagRunAssetReference`
fn consumer(run: &ConsumerRow) -> Value {
    json!({
        "run_id": run.run_id, "dag_id": run.dag_id, "logical_date": null,
        "start_date": shape::moment(run.started_at.unwrap_or(run.queued_at)),
        "end_date": run.ended_at.map(shape::moment), "state": run.state(), "data_interval_start": null,
        "data_interval_end": null, "partition_key": run.partition_key, "triggering": run.is_newest,
    })
}

pub(super) async fn create_event(
    state: Data<AppState>,
    user: User,
    body: Body<NewEvent>,
) -> Result<HttpResponse, Error> {
    let mut new = body.0;
    let partition_key = new.partition_key.as_deref().map(Key::new).transpose();
    let partition_key =
        partition_key.map_err(|fault| wrong("partition_key", fault.to_string(), Value::Null))?;
    if new.access_control.is_some_and(|control| !control.is_null()) {
        return Err(wrong("access_control", "events are for all teams", Value::Null));
    }
    new.extra.insert("from_rest_api".to_owned(), true.into());
    let row = create(&state, user.name(), new.asset_id, new.extra, partition_key).await?;
    let shape = event_shapes(&state, std::slice::from_ref(&row)).await?.pop();
    Ok(HttpResponse::Ok().json(shape))
}

/// Says that an asset was updated, and waits until that is known to whoever waits for it.
///
/// # Errors
/// When there is no such asset, its extra is too long, or no scheduler answers.
pub(crate) async fn create(
    state: &AppState,
    by: &str,
    asset_id: i64,
    extra: Map<String, Value>,
    partition_key: Option<Key>,
) -> Result<EventRow, Error> {
    let row = state.store.asset(asset_id).await?;
    let row = row.ok_or_else(|| Error::NotFound(format!("Asset with ID: `{asset_id}` was not found")))?;
    check_extra(&extra).map_err(|fault| wrong("extra", fault.to_string(), Value::Null))?;
    let request = Uuid::new_v4();
    wish::insist(state, by, Wish::CreateAssetEvent { asset: row.asset(), extra, partition_key, request })
        .await?;
    let event = state.store.asset_event_of(request).await?;
    event.ok_or_else(|| Error::Unavailable(PENDING.to_owned()))
}

pub(super) async fn materialize(
    state: Data<AppState>,
    user: User,
    id: Path<i64>,
    body: MaybeBody<NewRun>,
) -> Result<HttpResponse, Error> {
    let new = body.0.unwrap_or_default();
    let (dag_id, run_id) = make(&state, user.name(), *id, new).await?;
    let run = names::run(&state, dag_id.as_str(), run_id.as_str()).await?;
    Ok(HttpResponse::Ok().json(shape::run(&run)))
}

/// Starts a run of the one DAG that makes an asset.
///
/// # Errors
/// When no DAG makes it, or several do, or the run is not as the DAG wants it.
pub(crate) async fn make(
    state: &AppState,
    by: &str,
    asset_id: i64,
    new: NewRun,
) -> Result<(DagId, RunId), Error> {
    let places = state.store.asset_places(&[asset_id]).await?;
    let mut makers: Vec<&str> =
        places.iter().filter(|place| place.part == "outlet").map(|place| place.dag_id.as_str()).collect();
    makers.dedup();
    let maker = match makers[..] {
        [] => return Err(Error::NotFound(format!("No Dag materializes asset with ID: {asset_id}"))),
        [one] => one,
        [..] => {
            return Err(Error::Conflict(format!("More than one Dag materializes asset with ID: {asset_id}")));
        }
    };
    let row = names::dag(state, maker).await?;
    let plan = trigger::plan(state, &row, new, true).await?;
    let (dag_id, run_id) = (plan.dag_id.clone(), plan.run_id.clone());
    wish::insist(state, by, Wish::Trigger(plan)).await?;
    Ok((dag_id, run_id))
}

pub(super) async fn queued(
    state: Data<AppState>,
    _viewer: Viewer,
    id: Path<i64>,
    query: Query,
) -> Result<HttpResponse, Error> {
    queued_page(&state, None, Some(*id), &query).await
}

pub(super) async fn queued_of_dag(
    state: Data<AppState>,
    _viewer: Viewer,
    dag_id: Path<String>,
    query: Query,
) -> Result<HttpResponse, Error> {
    queued_page(&state, Some(&dag_id), None, &query).await
}

async fn queued_page(
    state: &AppState,
    dag_id: Option<&str>,
    asset_id: Option<i64>,
    query: &Query,
) -> Result<HttpResponse, Error> {
    let rows = state.store.queued_assets(dag_id, asset_id, query.moment("before")?).await?;
    let total = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    Ok(HttpResponse::Ok().json(page("queued_events", rows.iter().map(queued_event).collect(), total)))
}

/// `QueuedEventResponse`
fn queued_event(row: &QueuedRow) -> Value {
    json!({
        "dag_id": row.dag_id, "asset_id": row.asset_id, "created_at": shape::moment(row.created_at),
        "dag_display_name": row.dag_id,
    })
}

pub(super) async fn one_queued(
    state: Data<AppState>,
    _viewer: Viewer,
    path: Path<(String, i64)>,
    query: Query,
) -> Result<HttpResponse, Error> {
    let (dag_id, id) = path.into_inner();
    let rows = state.store.queued_assets(Some(&dag_id), Some(id), query.moment("before")?).await?;
    let missing = || Error::NotFound(one_is_missing(&dag_id, id));
    Ok(HttpResponse::Ok().json(queued_event(rows.first().ok_or_else(missing)?)))
}

fn one_is_missing(dag_id: &str, asset_id: i64) -> String {
    format!("Queued event with dag_id: `{dag_id}` and asset_id: `{asset_id}` was not found")
}

pub(super) async fn forget(
    state: Data<AppState>,
    user: User,
    id: Path<i64>,
    query: Query,
) -> Result<HttpResponse, Error> {
    let missing = format!("Queue event with asset_id: `{id}` was not found");
    forget_queued(&state, &user, (None, Some(*id)), &query, missing).await
}

pub(super) async fn forget_of_dag(
    state: Data<AppState>,
    user: User,
    dag_id: Path<String>,
    query: Query,
) -> Result<HttpResponse, Error> {
    let missing = format!("Queue event with dag_id: `{dag_id}` was not found");
    forget_queued(&state, &user, (Some(&dag_id), None), &query, missing).await
}

pub(super) async fn forget_one(
    state: Data<AppState>,
    user: User,
    path: Path<(String, i64)>,
    query: Query,
) -> Result<HttpResponse, Error> {
    let (dag_id, id) = path.into_inner();
    forget_queued(&state, &user, (Some(&dag_id), Some(id)), &query, one_is_missing(&dag_id, id)).await
}

async fn forget_queued(
    state: &AppState,
    user: &User,
    (dag_id, asset_id): (Option<&str>, Option<i64>),
    query: &Query,
    missing: String,
) -> Result<HttpResponse, Error> {
    let before = query.moment("before")?;
    let rows = state.store.queued_assets(dag_id, asset_id, before).await?;
    let asset = asset_id.and(rows.first()).map(|row| row.name.parse()).transpose();
    let asset = asset.map_err(|fault: domain::asset::Error| Error::Invalid(fault.to_string()))?;
    let dag_id = dag_id.map(DagId::new).transpose()?;
    if rows.is_empty() && !(asset_id.is_none() && has_waiting_partition(state, dag_id.as_ref()).await?) {
        return Err(Error::NotFound(missing));
    }
    wish::insist(state, user.name(), Wish::DropQueuedAssets { dag_id, asset, before }).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Something waits in a DAG that its queued events do not tell of.
async fn has_waiting_partition(state: &AppState, dag_id: Option<&DagId>) -> Result<bool, Error> {
    let Some(dag_id) = dag_id else { return Ok(false) };
    let (_, total) = state.store.waiting_partitions(dag_id, 0, 1).await?;
    Ok(total > 0)
}
