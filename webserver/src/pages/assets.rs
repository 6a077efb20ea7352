//! Assets: the list, one of them with what happened to it, and the buttons that say that it was updated or have it made anew.

mod waiting;

use actix_web::{
    HttpResponse,
    web::{Path, Query},
};
use askama::Template;
use domain::partition::Key;
use serde::Deserialize;
use serde_json::{Map, Value};
use store::view::{
    api_list::{Ask, Test},
    assets::{AssetRow, ConsumerRow, EventRow, PlaceRow},
};

use super::{
    dag::crumb,
    pager,
    parts::{Crumb, Fact, Moment, Mood, Pager, Shell},
    paths,
    visit::{self, Visit},
    words,
};
use crate::{
    api::{assets as api, trigger::NewRun},
    auth::{Form, User},
    error::Error,
};

/// Longest extra of an event that a line of a list shows, in characters.
const LONGEST_EXTRA: usize = 300;

/// What is asked of the list.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Params {
    #[serde(default)]
    q: String,
    page: Option<u32>,
}

/// What the form holds that says that an asset was updated.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct NewEvent {
    #[serde(default)]
    extra: String,
    #[serde(default)]
    partition_key: String,
}

/// What the button holds that has an asset made.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Nothing {}

/// The list.
#[derive(Debug, Template)]
#[template(path = "assets.html")]
pub(crate) struct AssetsPage {
    pub(crate) shell: Shell,
    pub(crate) q: String,
    pub(crate) rows: Vec<AssetLine>,
    pub(crate) pager: Pager,
}

/// One asset of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AssetLine {
    pub(crate) href: String,
    pub(crate) name: String,
    /// Where it is, when that is not its name.
    pub(crate) uri: Option<String>,
    pub(crate) last: Option<Moment>,
    pub(crate) makers: Vec<Link>,
    pub(crate) waiters: Vec<Link>,
}

/// Something, and the page about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) label: String,
    pub(crate) href: String,
}

/// One asset.
#[derive(Debug, Template)]
#[template(path = "asset.html")]
pub(crate) struct AssetPage {
    pub(crate) shell: Shell,
    pub(crate) crumbs: Vec<Crumb>,
    pub(crate) href: String,
    pub(crate) name: String,
    pub(crate) facts: Vec<Fact>,
    /// The asset that has the same URI, and is active in its place.
    pub(crate) rival: Option<String>,
    /// As JSON; nothing when there is none.
    pub(crate) extra: Option<String>,
    pub(crate) makers: Vec<Link>,
    pub(crate) readers: Vec<Link>,
    pub(crate) waiters: Vec<Waiter>,
    /// Partitions of theirs that have heard of something, and wait for more.
    pub(crate) waiting: waiting::Partitions,
    pub(crate) can_make: bool,
    pub(crate) events: Vec<EventLine>,
    pub(crate) pager: Pager,
}

/// A DAG that waits for the asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiter {
    pub(crate) dag: Link,
    /// Since when it is queued for the DAG's next run.
    pub(crate) queued: Option<Moment>,
}

/// Something that happened to an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventLine {
    pub(crate) id: i64,
    pub(crate) when: Moment,
    /// The asset, where that is not clear.
    pub(crate) asset: Option<Link>,
    /// The task instance that made it, or nobody's.
    pub(crate) source: Option<Link>,
    /// Who said so, else.
    pub(crate) by: String,
    /// The part of the asset that it is about.
    pub(crate) partition: Option<String>,
    pub(crate) extra: Option<String>,
    pub(crate) runs: Vec<Link>,
}

/// The page of an asset.
pub(crate) fn href(id: i64) -> String {
    format!("/assets/{id}")
}

/// Answers with the list.
pub(crate) async fn show(visit: Visit, params: Query<Params>) -> Result<HttpResponse, Error> {
    let q = params.q.trim();
    let mut ask = Ask {
        order_by: vec!["name".to_owned()],
        limit: pager::ROWS,
        offset: pager::offset(params.page),
        ..Ask::default()
    };
    ask = ask.with("named", Test::Is(true));
    if !q.is_empty() {
        ask = ask.with("name", Test::Like(q.to_owned()));
    }
    let store = &visit.state.store;
    let found = store.assets(&ask).await?;
    let ids: Vec<i64> = found.rows.iter().map(|row| row.id).collect();
    let places = store.asset_places(&ids).await?;
    let page = AssetsPage {
        shell: visit.shell("assets").await?,
        q: q.to_owned(),
        pager: pager::pager("/assets", &[("q", q)], params.page, found.rows.len(), found.total),
        rows: found.rows.iter().map(|row| line(row, &places, &visit)).collect(),
    };
    visit.answer(page.render())
}

fn line(row: &AssetRow, places: &[PlaceRow], visit: &Visit) -> AssetLine {
    let own: Vec<&PlaceRow> = places.iter().filter(|place| place.asset_id == row.id).collect();
    AssetLine {
        href: href(row.id),
        name: row.name().to_owned(),
        uri: (row.uri != row.name()).then(|| row.uri.clone()),
        last: row.last_event_at.map(|at| words::moment(at, visit.now)),
        makers: tasks(&own, "outlet"),
        waiters: dags(&own, "schedule"),
    }
}

fn tasks(places: &[&PlaceRow], part: &str) -> Vec<Link> {
    let own = places.iter().filter(|place| place.part == part);
    let link = |place: &&PlaceRow| Link {
        label: format!("{} / {}", place.dag_id, place.task_id),
        href: format!("{}/graph", paths::dag(&place.dag_id)),
    };
    own.map(link).collect()
}

fn dags(places: &[&PlaceRow], part: &str) -> Vec<Link> {
    let own = places.iter().filter(|place| place.part == part);
    own.map(|place| Link { label: place.dag_id.clone(), href: paths::dag(&place.dag_id) }).collect()
}

/// Answers with one asset.
pub(crate) async fn one(visit: Visit, id: Path<i64>, params: Query<Params>) -> Result<HttpResponse, Error> {
    let store = &visit.state.store;
    let missing = || Error::NotFound(format!("There is no asset with the number {id}."));
    let row = store.asset(*id).await?.ok_or_else(missing)?;
    let places = store.asset_places(&[row.id]).await?;
    let places: Vec<&PlaceRow> = places.iter().collect();
    let queued = store.queued_assets(None, Some(row.id), None).await?;
    let ask = Ask {
        order_by: vec!["-id".to_owned()],
        limit: pager::ROWS,
        offset: pager::offset(params.page),
        ..Ask::default()
    };
    let events = store.asset_events(&ask.with("asset_id", Test::Numbers(vec![row.id]))).await?;
    let since = |dag_id: &str| queued.iter().find(|queued| queued.dag_id == dag_id);
    let waiter = |dag: Link| Waiter {
        queued: since(&dag.label).map(|queued| words::moment(queued.created_at, visit.now)),
        dag,
    };
    let mut making: Vec<Link> = dags(&places, "outlet");
    making.dedup();
    let waiters = dags(&places, "schedule");
    let page = AssetPage {
        waiting: waiting::partitions(&visit, &waiters, (row.id, &row.asset().name)).await?,
        shell: visit.shell("assets").await?,
        crumbs: vec![crumb("Assets", Some("/assets")), crumb(row.name(), None)],
        href: href(row.id),
        name: row.name().to_owned(),
        facts: facts(&row, &visit).await?,
        rival: store.rival(&row).await?,
        extra: pretty(row.extra()),
        makers: tasks(&places, "outlet"),
        readers: tasks(&places, "inlet"),
        waiters: waiters.into_iter().map(waiter).collect(),
        can_make: making.len() == 1,
        pager: pager::pager(&href(row.id), &[], params.page, events.rows.len(), events.total),
        events: lines(&visit, &events.rows, false).await?,
    };
    visit.answer(page.render())
}

async fn facts(row: &AssetRow, visit: &Visit) -> Result<Vec<Fact>, Error> {
    let aliases = visit.state.store.aliases_of(&[row.id]).await?;
    let aliases: Vec<String> = aliases.into_iter().map(|alias| alias.name).collect();
    let fact = |name, value: String| Some(Fact { name, value });
    let facts = [
        fact("URI", row.uri.clone()),
        fact("Group", row.group.clone()),
        (!aliases.is_empty()).then(|| aliases.join(", ")).and_then(|names| fact("Under aliases", names)),
        row.last_event_at.and_then(|at| fact("Last updated", words::moment(at, visit.now).title())),
        fact("First heard of", words::moment(row.created_at, visit.now).title()),
    ];
    Ok(facts.into_iter().flatten().collect())
}

fn pretty(extra: &Map<String, Value>) -> Option<String> {
    (!extra.is_empty()).then(|| serde_json::to_string_pretty(extra).unwrap_or_default())
}

/// Events as lists show them; `names_assets` where they are about several.
///
/// # Errors
/// Only when the database fails.
pub(crate) async fn lines(
    visit: &Visit,
    rows: &[EventRow],
    names_assets: bool,
) -> Result<Vec<EventLine>, Error> {
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let runs = visit.state.store.consumers(&ids).await?;
    Ok(rows.iter().map(|row| event(row, &runs, names_assets, visit)).collect())
}

fn event(row: &EventRow, runs: &[ConsumerRow], names_assets: bool, visit: &Visit) -> EventLine {
    let run = |dag_id: &str, run_id: &str| format!("{dag_id} / {}", words::run_name(run_id, visit.now));
    let source = match (&row.source_dag_id, &row.source_run_id, &row.source_task_id) {
        (Some(dag_id), Some(run_id), Some(task_id)) => Some(Link {
            label: format!("{} / {task_id}", run(dag_id, run_id)),
            href: paths::instance(dag_id, run_id, task_id, row.source_map_index),
        }),
        _ => None,
    };
    let consumer = |consumer: &ConsumerRow| Link {
        label: run(&consumer.dag_id, &consumer.run_id),
        href: paths::run(&consumer.dag_id, &consumer.run_id),
    };
    EventLine {
        id: row.id,
        when: words::moment(row.at, visit.now),
        asset: names_assets.then(|| Link { label: row.name.clone(), href: href(row.asset_id) }),
        source,
        by: row.created_by.clone().unwrap_or_else(|| "somebody".to_owned()),
        partition: row.partition_key.clone(),
        extra: shortened(row.extra()),
        runs: runs.iter().filter(|run| run.event_id == row.id).map(consumer).collect(),
    }
}

fn shortened(extra: &Map<String, Value>) -> Option<String> {
    if extra.is_empty() {
        return None;
    }
    let text = serde_json::to_string(extra).unwrap_or_default();
    let short: String = text.chars().take(LONGEST_EXTRA).collect();
    Some(if short.len() < text.len() { format!("{short}…") } else { short })
}

/// Says that an asset was updated.
pub(crate) async fn update(
    visit: Visit,
    user: User,
    id: Path<i64>,
    form: Form<NewEvent>,
) -> Result<HttpResponse, Error> {
    let Form(NewEvent { extra, partition_key }) = form;
    let text = extra.trim();
    let extra = if text.is_empty() { Ok(Map::new()) } else { serde_json::from_str(text) };
    let Ok(extra) = extra else {
        let told = "The extra is not a JSON object such as {\"rows\": 12}; nothing was done.";
        return Ok(visit::go(&href(*id), Mood::Bad, told));
    };
    let partition_key = Some(partition_key.trim()).filter(|key| !key.is_empty()).map(Key::new).transpose();
    let partition_key = match partition_key {
        Ok(key) => key,
        Err(fault) => return Ok(visit::go(&href(*id), Mood::Bad, &format!("{fault}; nothing was done."))),
    };
    Ok(match api::create(&visit.state, user.name(), *id, extra, partition_key).await {
        Ok(_) => visit::go(&href(*id), Mood::Good, "The event is there, and who waits for it has been told."),
        Err(Error::Unavailable(told)) => visit::go(&href(*id), Mood::Warn, &told),
        Err(Error::Conflict(told) | Error::Invalid(told)) => visit::go(&href(*id), Mood::Bad, &told),
        Err(fault) => return Err(fault),
    })
}

/// Has an asset made anew.
pub(crate) async fn materialize(
    visit: Visit,
    user: User,
    id: Path<i64>,
    _form: Form<Nothing>,
) -> Result<HttpResponse, Error> {
    Ok(match api::make(&visit.state, user.name(), *id, NewRun::default()).await {
        Ok((dag_id, run_id)) => {
            let told = format!("A run of {dag_id} makes it anew.");
            visit::go(&paths::run(dag_id.as_str(), run_id.as_str()), Mood::Good, &told)
        }
        Err(Error::Unavailable(told)) => visit::go(&href(*id), Mood::Warn, &told),
        Err(Error::Conflict(told) | Error::Invalid(told)) => visit::go(&href(*id), Mood::Bad, &told),
        Err(fault) => return Err(fault),
    })
}
