//! Assets and aliases, and where DAGs name them.

use std::collections::{BTreeMap, BTreeSet};

use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Json, Nullable, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    asset::{AliasName, Asset, AssetName, AssetRef},
    dag::Dag,
    engine::record::{AssetsRecord, DagRecord},
};

use crate::{
    Error,
    column::{Parsed, ToJson},
    hot::hot_query,
};

/// Records assets that are not known; what is known of others stays.
pub(crate) async fn ensure_assets(
    conn: &AsyncPgConnection,
    assets: impl Iterator<Item = &Asset> + Send,
) -> Result<(), Error> {
    insert(conn, assets.collect(), false).await
}

async fn insert(conn: &AsyncPgConnection, assets: Vec<&Asset>, replaces: bool) -> Result<(), Error> {
    if assets.is_empty() {
        return Ok(());
    }
    let name: Vec<&str> = assets.iter().map(|asset| asset.name.as_str()).collect();
    let uri: Vec<&str> = assets.iter().map(|asset| asset.uri.as_str()).collect();
    let group: Vec<&str> = assets.iter().map(|asset| asset.group.as_str()).collect();
    let extra = assets.iter().map(|asset| ToJson::of(&asset.extra)).collect::<Result<Vec<_>, _>>()?;
    let (name, uri, group, extra) = (&name[..], &uri[..], &group[..], &extra[..]);
    if replaces {
        Describe { name, uri, group, extra }.execute(&mut &*conn).await?;
    } else {
        Ensure { name, uri, group, extra }.execute(&mut &*conn).await?;
    }
    Ok(())
}

/// Records aliases that are not known.
pub(crate) async fn ensure_aliases(
    conn: &AsyncPgConnection,
    aliases: impl Iterator<Item = &AliasName> + Send,
) -> Result<(), Error> {
    let names: BTreeSet<&str> = aliases.map(AliasName::as_str).collect();
    if !names.is_empty() {
        EnsureAliases { name: &names.into_iter().collect::<Vec<_>>() }.execute(&mut &*conn).await?;
    }
    Ok(())
}

/// Where a DAG names something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place<'a> {
    dag_id: &'a str,
    part: &'static str,
    task_id: &'a str,
    asset: Option<&'a str>,
    alias: Option<&'a str>,
}

/// Writes what the newest versions of these DAGs say of assets, in place of what the versions before said. A DAG file that describes an
/// asset has the last word on it; one that only names it changes nothing.
pub(crate) async fn save(conn: &mut AsyncPgConnection, records: &[DagRecord]) -> Result<(), Error> {
    let conn = &*conn;
    let dags: Vec<&Dag> = records.iter().map(|record| &*record.dag).collect();
    let assets: BTreeMap<&AssetName, &Asset> =
        dags.iter().flat_map(|dag| assets(dag)).map(|asset| (&asset.name, asset)).collect();
    let described: BTreeMap<&AssetName, &Asset> =
        dags.iter().flat_map(|dag| assets_described(dag)).map(|asset| (&asset.name, asset)).collect();
    ensure_assets(conn, assets.into_values()).await?;
    insert(conn, described.into_values().collect(), true).await?;
    ensure_aliases(conn, dags.iter().flat_map(|dag| aliases(dag))).await?;
    let places: BTreeSet<Place<'_>> = dags.iter().flat_map(|dag| places(dag)).collect();
    let places: Vec<Place<'_>> = places.into_iter().collect();
    let dag_id: Vec<&str> = dags.iter().map(|dag| dag.dag_id.as_str()).collect();
    let query = WritePlaces {
        dags: &dag_id,
        dag_id: &places.iter().map(|place| place.dag_id).collect::<Vec<_>>(),
        part: &places.iter().map(|place| place.part).collect::<Vec<_>>(),
        task_id: &places.iter().map(|place| place.task_id).collect::<Vec<_>>(),
        asset: &places.iter().map(|place| place.asset).collect::<Vec<_>>(),
        alias: &places.iter().map(|place| place.alias).collect::<Vec<_>>(),
    };
    query.execute(&mut &*conn).await?;
    Ok(())
}

fn refs(dag: &Dag) -> impl Iterator<Item = (&str, &'static str, &AssetRef)> {
    dag.tasks.iter().flat_map(|task| {
        let id = task.task_id.as_str();
        let outlets = task.outlets.iter().map(move |outlet| (id, "outlet", outlet));
        outlets.chain(task.inlets.iter().map(move |inlet| (id, "inlet", inlet)))
    })
}

fn assets(dag: &Dag) -> impl Iterator<Item = &Asset> {
    let waited = dag.asset_condition.iter().flat_map(|condition| condition.assets());
    waited.chain(refs(dag).filter_map(|(_, _, named)| named.asset()))
}

fn assets_described(dag: &Dag) -> impl Iterator<Item = &Asset> {
    assets(dag).filter(|asset| !asset.is_bare())
}

fn aliases(dag: &Dag) -> impl Iterator<Item = &AliasName> {
    let waited = dag.asset_condition.iter().flat_map(|condition| condition.aliases());
    waited.chain(refs(dag).filter_map(|(_, _, named)| named.alias()))
}

fn places(dag: &Dag) -> impl Iterator<Item = Place<'_>> {
    let dag_id = dag.dag_id.as_str();
    let scheduled = move |asset, alias| Place { dag_id, part: "schedule", task_id: "", asset, alias };
    let waited = dag.asset_condition.iter();
    let by_asset = waited.clone().flat_map(|condition| condition.assets());
    let by_alias = waited.flat_map(|condition| condition.aliases());
    by_asset
        .map(move |asset| scheduled(Some(asset.name.as_str()), None))
        .chain(by_alias.map(move |alias| scheduled(None, Some(alias.as_str()))))
        .chain(refs(dag).map(move |(task_id, part, named)| Place {
            dag_id,
            part,
            task_id,
            asset: named.asset().map(|asset| asset.name.as_str()),
            alias: named.alias().map(AliasName::as_str),
        }))
}

/// What the engine starts from.
pub(crate) async fn record(conn: &mut AsyncPgConnection) -> Result<AssetsRecord, Error> {
    let rows: Vec<MemberRow> = Members {}.load(conn).await?;
    let next: NextRow = NextEvent {}.get_result(conn).await?;
    Ok(AssetsRecord {
        members: rows.into_iter().map(|row| (row.alias.0, row.asset.0)).collect(),
        next_event: next.next,
    })
}

#[derive(QueryableByName)]
struct MemberRow {
    #[diesel(sql_type = Text)]
    alias: Parsed<AliasName>,
    #[diesel(sql_type = Text)]
    asset: Parsed<AssetName>,
}

#[derive(QueryableByName)]
struct NextRow {
    #[diesel(sql_type = BigInt)]
    next: i64,
}

hot_query! {
    Ensure {
        name: [&'a str] => Array<Text>,
        uri: [&'a str] => Array<Text>,
        group: [&'a str] => Array<Text>,
        extra: [ToJson] => Array<Json>,
    }
    "INSERT INTO asset (name, uri, \"group\", extra)
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::json[]) ON CONFLICT (name) DO NOTHING"
}

hot_query! {
    Describe {
        name: [&'a str] => Array<Text>,
        uri: [&'a str] => Array<Text>,
        group: [&'a str] => Array<Text>,
        extra: [ToJson] => Array<Json>,
    }
    "INSERT INTO asset (name, uri, \"group\", extra)
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::json[])
     ON CONFLICT (name) DO UPDATE
     SET uri = excluded.uri, \"group\" = excluded.\"group\", extra = excluded.extra, updated_at = now()
     WHERE (asset.uri, asset.\"group\", asset.extra::text)
           IS DISTINCT FROM (excluded.uri, excluded.\"group\", excluded.extra::text)"
}

hot_query! {
    EnsureAliases { name: [&'a str] => Array<Text> }
    "INSERT INTO asset_alias (name) SELECT unnest($1::text[]) ON CONFLICT (name) DO NOTHING"
}

hot_query! {
    WritePlaces {
        dags: [&'a str] => Array<Text>,
        dag_id: [&'a str] => Array<Text>,
        part: [&'a str] => Array<Text>,
        task_id: [&'a str] => Array<Text>,
        asset: [Option<&'a str>] => Array<Nullable<Text>>,
        alias: [Option<&'a str>] => Array<Nullable<Text>>,
    }
    "WITH new AS (
         SELECT n.dag_id, n.part, n.task_id, a.id AS asset_id, l.id AS alias_id
         FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
              AS n (dag_id, part, task_id, asset, alias)
         LEFT JOIN asset a ON a.name = n.asset LEFT JOIN asset_alias l ON l.name = n.alias
     ), gone AS (
         DELETE FROM dag_asset d WHERE d.dag_id = ANY($1) AND NOT EXISTS (
             SELECT FROM new n WHERE (n.dag_id, n.part, n.task_id) = (d.dag_id, d.part, d.task_id)
                 AND n.asset_id IS NOT DISTINCT FROM d.asset_id AND n.alias_id IS NOT DISTINCT FROM d.alias_id)
     )
     INSERT INTO dag_asset (dag_id, part, task_id, asset_id, alias_id)
     SELECT dag_id, part, task_id, asset_id, alias_id FROM new ON CONFLICT DO NOTHING"
}

hot_query! {
    Members {}
    "SELECT l.name AS alias, a.name AS asset
     FROM asset_alias_member m JOIN asset_alias l ON l.id = m.alias_id JOIN asset a ON a.id = m.asset_id"
}

hot_query! {
    NextEvent {}
    "SELECT 1 + greatest((SELECT max(id) FROM asset_event), (SELECT max(asset_event) FROM dag), 0) AS next"
}
