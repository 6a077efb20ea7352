//! Asset events, and what they mean to the DAGs that wait for assets.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Integer, Json, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    asset::{AliasName, Asset, AssetName},
    engine::{
        decision::Decisions,
        record::{AssetCursorRecord, AssetEventRecord, Consumption, QueuedAsset},
    },
    partition::Key,
};
use futures_util::FutureExt;
use uuid::Uuid;

use super::{MOST_ROWS, Sent, column, expect_all};
use crate::{
    Error,
    asset::{ensure_aliases, ensure_assets},
    column::{ToJson, storable},
    hot::hot_query,
};

pub(super) fn write<'a>(conn: &'a AsyncPgConnection, decisions: &'a Decisions, to: &mut Vec<Sent<'a>>) {
    for chunk in decisions.asset_events.chunks(MOST_ROWS) {
        to.push(describe(conn, chunk).boxed());
        to.push(insert_events(conn, chunk).boxed());
        let aliased = chunk.iter().flat_map(|event| event.aliases.iter().map(move |alias| (event, alias)));
        let aliased: Vec<Aliased<'_>> = aliased.collect();
        if !aliased.is_empty() {
            to.push(name_aliases(conn, aliased.clone()).boxed());
            to.push(insert_aliases(conn, aliased.clone()).boxed());
            to.push(insert_members(conn, aliased).boxed());
        }
    }
    for chunk in decisions.assets_queued.chunks(MOST_ROWS) {
        to.push(unqueue(conn, chunk).boxed());
        to.push(queue(conn, chunk).boxed());
    }
    to.extend(decisions.consumed.iter().map(|consumption| consume(conn, consumption).boxed()));
    to.extend(decisions.asset_cursors.chunks(MOST_ROWS).map(|chunk| move_cursors(conn, chunk).boxed()));
}

/// An event, and an alias that it happened in the name of.
type Aliased<'a> = (&'a AssetEventRecord, &'a AliasName);

async fn describe(conn: &AsyncPgConnection, events: &[AssetEventRecord]) -> Result<(), Error> {
    let assets: BTreeMap<&AssetName, &Asset> =
        events.iter().map(|event| (&event.asset.name, &event.asset)).collect();
    ensure_assets(conn, assets.into_values()).await
}

async fn insert_events(conn: &AsyncPgConnection, events: &[AssetEventRecord]) -> Result<(), Error> {
    let by = column(events, |event| event.by.as_deref().map(storable));
    let query = InsertEvents {
        id: &column(events, |event| event.id.0),
        asset: &column(events, |event| event.asset.name.as_str()),
        at: &column(events, |event| event.at),
        extra: &events.iter().map(|event| ToJson::of(&event.extra)).collect::<Result<Vec<_>, _>>()?,
        dag_id: &column(events, |event| event.source.as_ref().map(|source| source.dag_id.as_str())),
        run_id: &column(events, |event| event.source.as_ref().map(|source| source.run_id.as_str())),
        task_id: &column(events, |event| event.source.as_ref().map(|source| source.task_id.as_str())),
        map_index: &column(events, |event| event.source.as_ref().map_or(-1, |source| source.map_index)),
        by: &column(&by, |text| text.as_deref()),
        request: &column(events, |event| event.request),
        partition_key: &column(events, |event| event.partition_key.as_ref().map(Key::as_str)),
    };
    let inserted = query.execute(&mut &*conn).await?;
    expect_all(inserted, events.len(), "asset events have no asset")
}

async fn name_aliases(conn: &AsyncPgConnection, aliased: Vec<Aliased<'_>>) -> Result<(), Error> {
    ensure_aliases(conn, aliased.iter().map(|(_, alias)| *alias)).await
}

async fn insert_aliases(conn: &AsyncPgConnection, aliased: Vec<Aliased<'_>>) -> Result<(), Error> {
    let event = column(&aliased, |(event, _)| event.id.0);
    let alias = column(&aliased, |(_, alias)| alias.as_str());
    InsertEventAliases { event: &event, alias: &alias }.execute(&mut &*conn).await?;
    Ok(())
}

async fn insert_members(conn: &AsyncPgConnection, aliased: Vec<Aliased<'_>>) -> Result<(), Error> {
    let alias = column(&aliased, |(_, alias)| alias.as_str());
    let asset = column(&aliased, |(event, _)| event.asset.name.as_str());
    InsertMembers { alias: &alias, asset: &asset }.execute(&mut &*conn).await?;
    Ok(())
}

async fn unqueue(conn: &AsyncPgConnection, queued: &[QueuedAsset]) -> Result<(), Error> {
    let removed: Vec<&QueuedAsset> = queued.iter().filter(|queued| queued.at.is_none()).collect();
    let query = Unqueue {
        dag_id: &column(&removed, |queued| queued.dag_id.as_str()),
        asset: &column(&removed, |queued| queued.asset.as_str()),
    };
    query.execute(&mut &*conn).await?;
    Ok(())
}

/// A DAG that was deleted meanwhile waits for nothing any more; that is no conflict.
async fn queue(conn: &AsyncPgConnection, queued: &[QueuedAsset]) -> Result<(), Error> {
    let added: Vec<&QueuedAsset> = queued.iter().filter(|queued| queued.at.is_some()).collect();
    let query = Queue {
        dag_id: &column(&added, |queued| queued.dag_id.as_str()),
        asset: &column(&added, |queued| queued.asset.as_str()),
        at: &column(&added, |queued| queued.at.unwrap_or_default()),
    };
    query.execute(&mut &*conn).await?;
    Ok(())
}

async fn consume(conn: &AsyncPgConnection, consumption: &Consumption) -> Result<(), Error> {
    let query = Consume {
        run_key: &consumption.run.0,
        after: &consumption.after.0,
        upto: &consumption.upto.0,
        assets: &column(&consumption.assets, AssetName::as_str),
        aliases: &column(&consumption.aliases, AliasName::as_str),
    };
    query.execute(&mut &*conn).await?;
    Ok(())
}

async fn move_cursors(conn: &AsyncPgConnection, cursors: &[AssetCursorRecord]) -> Result<(), Error> {
    let query = MoveCursors {
        dag_id: &column(cursors, |row| row.dag_id.as_str()),
        event: &column(cursors, |row| row.cursor.event.0),
        at: &column(cursors, |row| row.cursor.at),
    };
    query.execute(&mut &*conn).await?;
    Ok(())
}

hot_query! {
    InsertEvents {
        id: [i64] => Array<BigInt>,
        asset: [&'a str] => Array<Text>,
        at: [DateTime<Utc>] => Array<Timestamptz>,
        extra: [ToJson] => Array<Json>,
        dag_id: [Option<&'a str>] => Array<Nullable<Text>>,
        run_id: [Option<&'a str>] => Array<Nullable<Text>>,
        task_id: [Option<&'a str>] => Array<Nullable<Text>>,
        map_index: [i32] => Array<Integer>,
        by: [Option<&'a str>] => Array<Nullable<Text>>,
        request: [Option<Uuid>] => Array<Nullable<SqlUuid>>,
        partition_key: [Option<&'a str>] => Array<Nullable<Text>>,
    }
    "INSERT INTO asset_event (id, asset_id, at, extra, source_dag_id, source_run_id, source_task_id, source_map_index,
                              created_by, request, partition_key)
     SELECT n.id, a.id, n.at, n.extra, n.dag_id, n.run_id, n.task_id, n.map_index, n.by, n.request, n.partition_key
     FROM unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::json[], $5::text[], $6::text[], $7::text[],
                 $8::integer[], $9::text[], $10::uuid[], $11::text[])
          AS n (id, asset, at, extra, dag_id, run_id, task_id, map_index, by, request, partition_key)
     JOIN asset a ON a.name = n.asset"
}

hot_query! {
    InsertEventAliases { event: [i64] => Array<BigInt>, alias: [&'a str] => Array<Text> }
    "INSERT INTO asset_event_alias (alias_id, event_id)
     SELECT l.id, n.event FROM unnest($1::bigint[], $2::text[]) AS n (event, alias) JOIN asset_alias l ON l.name = n.alias"
}

hot_query! {
    InsertMembers { alias: [&'a str] => Array<Text>, asset: [&'a str] => Array<Text> }
    "INSERT INTO asset_alias_member (alias_id, asset_id)
     SELECT DISTINCT l.id, a.id FROM unnest($1::text[], $2::text[]) AS n (alias, asset)
     JOIN asset_alias l ON l.name = n.alias JOIN asset a ON a.name = n.asset
     ON CONFLICT DO NOTHING"
}

hot_query! {
    Unqueue { dag_id: [&'a str] => Array<Text>, asset: [&'a str] => Array<Text> }
    "DELETE FROM asset_dag_run_queue q
     USING unnest($1::text[], $2::text[]) AS n (dag_id, asset) JOIN asset a ON a.name = n.asset
     WHERE q.dag_id = n.dag_id AND q.asset_id = a.id"
}

hot_query! {
    Queue {
        dag_id: [&'a str] => Array<Text>,
        asset: [&'a str] => Array<Text>,
        at: [DateTime<Utc>] => Array<Timestamptz>,
    }
    "INSERT INTO asset_dag_run_queue (dag_id, asset_id, created_at)
     SELECT n.dag_id, a.id, n.at FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS n (dag_id, asset, at)
     JOIN asset a ON a.name = n.asset JOIN dag d ON d.dag_id = n.dag_id
     ON CONFLICT (dag_id, asset_id) DO UPDATE SET created_at = excluded.created_at"
}

hot_query! {
    Consume {
        run_key: i64 => BigInt,
        after: i64 => BigInt,
        upto: i64 => BigInt,
        assets: [&'a str] => Array<Text>,
        aliases: [&'a str] => Array<Text>,
    }
    "INSERT INTO consumed_asset_event (run_key, event_id)
     SELECT $1, e.id FROM asset a JOIN asset_event e ON e.asset_id = a.id
     WHERE a.name = ANY($4) AND e.id > $2 AND e.id <= $3 AND e.partition_key IS NULL
     UNION
     SELECT $1, x.event_id FROM asset_alias l JOIN asset_event_alias x ON x.alias_id = l.id
     JOIN asset_event e ON e.id = x.event_id
     WHERE l.name = ANY($5) AND x.event_id > $2 AND x.event_id <= $3 AND e.partition_key IS NULL"
}

hot_query! {
    MoveCursors {
        dag_id: [&'a str] => Array<Text>,
        event: [i64] => Array<BigInt>,
        at: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
    }
    "UPDATE dag d SET asset_event = n.event, asset_run_at = n.at
     FROM unnest($1::text[], $2::bigint[], $3::timestamptz[]) AS n (dag_id, event, at) WHERE d.dag_id = n.dag_id"
}
