//! `tradewind assets`

use anyhow::{Context, Result, bail};
use chrono::SecondsFormat;
use domain::{
    id::{DagId, RunId},
    intent::{MATERIALIZATION, Trigger, Wish},
};
use runtime::clock::Clock;
use serde::Serialize;
use serde_json::{Map, Value};
use store::{
    Store,
    view::{
        api_list::{Ask, Test},
        assets::{AliasRow, AssetRow},
    },
};

use super::{inbox, runs};
use crate::{
    args::{
        Common,
        assets::{Assets, Named},
    },
    output, setup,
};

/// Rows read at once.
const PAGE: u32 = 1_000;

#[derive(Serialize)]
struct Row {
    name: String,
    uri: String,
    group: String,
    last_event: Option<String>,
}

#[derive(Serialize)]
struct Details {
    id: i64,
    name: String,
    uri: String,
    group: String,
    extra: Map<String, Value>,
    scheduled_dags: Vec<String>,
    producing_tasks: Vec<String>,
    consuming_tasks: Vec<String>,
    aliases: Vec<String>,
    last_event: Option<String>,
}

#[derive(Serialize)]
struct Alias {
    id: i64,
    name: String,
    group: String,
}

/// Works with assets.
pub async fn run(common: &Common, command: Assets) -> Result<()> {
    let (config, store) = setup::for_command(common).await?;
    match command {
        Assets::List { alias: true } => {
            let rows: Vec<Alias> = aliases(&store, None).await?.into_iter().map(alias_row).collect();
            output::list(common.output, &rows)
        }
        Assets::List { alias: false } => {
            let rows: Vec<Row> = assets(&store, &[]).await?.iter().map(row).collect();
            output::list(common.output, &rows)
        }
        Assets::Details { alias: true, named } => {
            if named.uri.is_some() {
                bail!("an alias has no URI: use --name");
            }
            let name = named.name.context("an alias needs a --name")?;
            let found = aliases(&store, Some(&name)).await?.into_iter().next();
            let found = found.with_context(|| format!("there is no alias `{name}`"))?;
            output::record(common.output, &alias_row(found))
        }
        Assets::Details { alias: false, named } => {
            let found = one(&store, &named).await?;
            output::record(common.output, &details(&store, found).await?)
        }
        Assets::Materialize { named } => {
            let found = one(&store, &named).await?;
            let wish = materialization(&store, &found).await?;
            let (dag_id, run_id) = (wish.dag_id.clone(), wish.run_id.clone());
            if !inbox::ask(&config, &store, Wish::Trigger(wish)).await? {
                output::note("note: no scheduler has created the run yet; the first one that runs will");
                return output::say(run_id.as_str());
            }
            let run = runs::find(&store, &dag_id, &run_id).await?;
            output::record(common.output, &runs::row(run))
        }
    }
}

async fn assets(store: &Store, tests: &[(&'static str, Test)]) -> Result<Vec<AssetRow>> {
    let mut all = Vec::new();
    loop {
        let ask = Ask {
            tests: tests.to_vec(),
            order_by: vec!["name".to_owned()],
            limit: PAGE,
            offset: u32::try_from(all.len())?,
        };
        let page = store.assets(&ask).await?.rows;
        let is_last = page.len() < PAGE as usize;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

async fn aliases(store: &Store, name: Option<&str>) -> Result<Vec<AliasRow>> {
    let tests: Vec<_> = name.map(|name| ("name", Test::is(name))).into_iter().collect();
    let ask = Ask { tests, order_by: vec!["name".to_owned()], limit: PAGE, offset: 0 };
    Ok(store.aliases(&ask).await?.rows)
}

/// The one asset of that name, or URI.
async fn one(store: &Store, named: &Named) -> Result<AssetRow> {
    let by_name = named.name.iter().map(|name| ("name", Test::is(name)));
    let tests: Vec<_> = by_name.chain(named.uri.iter().map(|uri| ("uri", Test::is(uri)))).collect();
    let said =
        [named.name.as_deref(), named.uri.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let mut found = assets(store, &tests).await?;
    if found.len() > 1 {
        bail!("several assets are at `{said}`: say its --name");
    }
    found.pop().with_context(|| format!("there is no asset `{said}`"))
}

async fn details(store: &Store, found: AssetRow) -> Result<Details> {
    let places = store.asset_places(&[found.id]).await?;
    let part = |part: &str| -> Vec<String> {
        let own = places.iter().filter(|place| place.part == part);
        own.map(|place| format!("{}/{}", place.dag_id, place.task_id).trim_end_matches('/').to_owned())
            .collect()
    };
    Ok(Details {
        scheduled_dags: part("schedule"),
        producing_tasks: part("outlet"),
        consuming_tasks: part("inlet"),
        aliases: store.aliases_of(&[found.id]).await?.into_iter().map(|alias| alias.name).collect(),
        id: found.id,
        extra: found.extra().clone(),
        last_event: last_event(&found),
        name: found.name().to_owned(),
        uri: found.uri,
        group: found.group,
    })
}

async fn materialization(store: &Store, found: &AssetRow) -> Result<Trigger> {
    let places = store.asset_places(&[found.id]).await?;
    let mut makers: Vec<&str> =
        places.iter().filter(|place| place.part == "outlet").map(|place| place.dag_id.as_str()).collect();
    makers.dedup();
    let maker = match makers[..] {
        [] => bail!("no DAG makes `{}`", found.name()),
        [one] => one,
        [..] => bail!("more than one DAG makes `{}`: {}", found.name(), makers.join(", ")),
    };
    let dag_id = DagId::new(maker)?;
    let (_, dag) = super::dags::known(store, &dag_id).await?;
    if let Err(errors) = domain::params::resolve(&dag.params, &Map::new()) {
        bail!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
    }
    let now = Clock::system().now();
    let at = now.to_rfc3339_opts(SecondsFormat::Micros, false);
    Ok(Trigger {
        dag_id,
        run_id: RunId::new(&format!("{MATERIALIZATION}{at}"))?,
        logical_date: None,
        data_interval: None,
        run_after: now,
        conf: Map::new(),
        note: None,
        partition_key: None,
        materializes: true,
    })
}

fn row(found: &AssetRow) -> Row {
    let (uri, group) = (found.uri.clone(), found.group.clone());
    Row { name: found.name().to_owned(), uri, group, last_event: last_event(found) }
}

fn alias_row(found: AliasRow) -> Alias {
    Alias { id: found.id, name: found.name, group: found.group }
}

fn last_event(found: &AssetRow) -> Option<String> {
    found.last_event_at.map(|at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}
