//! Assets: lists of them and of what happened to them, and who waits for what.

mod rows;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use domain::{
    asset::{AliasName, AssetName},
    id::{DagId, RunId},
    partition::Key,
};
use uuid::Uuid;

pub use self::rows::{
    AliasRow, AssetRow, ConsumerRow, EventRow, OldestPartition, PlaceRow, QueuedRow, Waiting,
    WaitingPartition,
};
use super::{
    Listing,
    api_list::{Ask, Columns, Test},
};
use crate::{Error, Store, column::Parsed, hot::hot_query};

/// Most events of one run, and most queued assets, that are read at once.
const MOST: i64 = 1_000;

const ASSETS: Columns = Columns {
    names: &[
        ("id", "a.id"),
        ("name", "a.name"),
        ("uri", "a.uri"),
        ("group", "a.\"group\""),
        ("created_at", "a.created_at"),
        ("updated_at", "a.updated_at"),
        ("active", ACTIVE),
        ("named", NAMED),
        ("dag_id", DAGS),
        ("last_event_at", "e.at"),
    ],
    tie: "a.id",
};
const ACTIVE: &str = "EXISTS (SELECT FROM active_asset n WHERE n.id = a.id)";
const NAMED: &str = "EXISTS (SELECT FROM named_asset n WHERE n.id = a.id)";
const DAGS: &str = "ARRAY(SELECT p.dag_id FROM dag_asset p JOIN dag d USING (dag_id) WHERE p.asset_id = a.id AND NOT d.is_stale)";
const ASSETS_SELECT: &str = "a.id, a.name, a.uri, a.\"group\", a.extra, a.created_at, a.updated_at, e.id AS last_event, e.at AS last_event_at";
const ASSETS_FROM: &str = "asset a LEFT JOIN LATERAL (
    SELECT id, at FROM asset_event WHERE asset_id = a.id ORDER BY id DESC LIMIT 1) e ON true";

const ALIASES: Columns =
    Columns { names: &[("id", "l.id"), ("name", "l.name"), ("group", "l.\"group\"")], tie: "l.id" };

const EVENTS: Columns = Columns {
    names: &[
        ("id", "e.id"),
        ("asset_id", "e.asset_id"),
        ("name", "a.name"),
        ("timestamp", "e.at"),
        ("source_dag_id", "e.source_dag_id"),
        ("source_run_id", "e.source_run_id"),
        ("source_task_id", "e.source_task_id"),
        ("source_map_index", "e.source_map_index"),
        ("partition_key", "e.partition_key"),
    ],
    tie: "e.id",
};
const EVENTS_SELECT: &str =
    "e.id, e.asset_id, a.name, a.uri, a.\"group\", e.at, e.extra, e.source_dag_id, e.source_run_id,
    e.source_task_id, e.source_map_index, e.partition_key, e.created_by";
const EVENTS_FROM: &str = "asset_event e JOIN asset a ON a.id = e.asset_id";

impl Store {
    /// A list of assets.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an order that does not exist.
    pub async fn assets(&self, ask: &Ask) -> Result<Listing<AssetRow>, Error> {
        let statements = ask.statements(&ASSETS, ASSETS_SELECT, ASSETS_FROM)?;
        let (rows, total) = statements.load(self).await?;
        Ok(Listing { rows, total })
    }

    /// One asset.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn asset(&self, id: i64) -> Result<Option<AssetRow>, Error> {
        let ask = Ask { limit: 1, ..Ask::default() }.with("id", Test::Numbers(vec![id]));
        Ok(self.assets(&ask).await?.rows.pop())
    }

    /// The asset that has the URI of this one, when that makes this one inactive.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn rival(&self, asset: &AssetRow) -> Result<Option<String>, Error> {
        let mut conn = self.conn().await?;
        let row: Option<NameRow> =
            Rival { id: &asset.id, uri: &asset.uri }.get_result(&mut conn).await.optional()?;
        Ok(row.map(|row| row.name))
    }

    /// The places in DAGs whose files exist that name these assets.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn asset_places(&self, ids: &[i64]) -> Result<Vec<PlaceRow>, Error> {
        let mut conn = self.conn().await?;
        Ok(Places { ids }.load(&mut conn).await?)
    }

    /// The aliases that events have put these assets under.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn aliases_of(&self, ids: &[i64]) -> Result<Vec<AliasRow>, Error> {
        let mut conn = self.conn().await?;
        Ok(AliasesOf { ids }.load(&mut conn).await?)
    }

    /// A list of aliases.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an order that does not exist.
    pub async fn aliases(&self, ask: &Ask) -> Result<Listing<AliasRow>, Error> {
        let select = "l.id, l.name, l.\"group\", NULL::bigint AS asset_id";
        let (rows, total) = ask.statements(&ALIASES, select, "asset_alias l")?.load(self).await?;
        Ok(Listing { rows, total })
    }

    /// A list of what happened to assets.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an order that does not exist.
    pub async fn asset_events(&self, ask: &Ask) -> Result<Listing<EventRow>, Error> {
        let (rows, total) = ask.statements(&EVENTS, EVENTS_SELECT, EVENTS_FROM)?.load(self).await?;
        Ok(Listing { rows, total })
    }

    /// The event that somebody asked for under this number.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn asset_event_of(&self, request: Uuid) -> Result<Option<EventRow>, Error> {
        let mut conn = self.conn().await?;
        let rows: Vec<EventRow> = Requested { request: &request }.load(&mut conn).await?;
        Ok(rows.into_iter().next())
    }

    /// The events that a run was created for, oldest first; the newest thousand when there are more.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn consumed_events(&self, dag_id: &DagId, run_id: &RunId) -> Result<Vec<EventRow>, Error> {
        let mut conn = self.conn().await?;
        let query = Consumed { dag_id: dag_id.as_str(), run_id: run_id.as_str(), limit: &MOST };
        let mut rows: Vec<EventRow> = query.load(&mut conn).await?;
        rows.reverse();
        Ok(rows)
    }

    /// The runs that consumed these events.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn consumers(&self, events: &[i64]) -> Result<Vec<ConsumerRow>, Error> {
        let mut conn = self.conn().await?;
        Ok(Consumers { events, limit: &MOST }.load(&mut conn).await?)
    }

    /// What is queued for DAGs: of one or all, one asset or all, before a moment or ever.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn queued_assets(
        &self,
        dag_id: Option<&str>,
        asset_id: Option<i64>,
        before: Option<DateTime<Utc>>,
    ) -> Result<Vec<QueuedRow>, Error> {
        let mut conn = self.conn().await?;
        Ok(Queued { dag_id: &dag_id, asset_id: &asset_id, before: &before, limit: &MOST }
            .load(&mut conn)
            .await?)
    }

    /// The partitions of a DAG that have waited for the longest time, at most `limit`, with what they have heard of an asset; and how many
    /// there are in all.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn waiting_partitions(
        &self,
        dag_id: &DagId,
        asset_id: i64,
        limit: i64,
    ) -> Result<(Vec<WaitingPartition>, i64), Error> {
        let mut conn = self.conn().await?;
        let query = WaitingPartitions { dag_id: dag_id.as_str(), asset_id: &asset_id, limit: &limit };
        let rows: Vec<PartitionRow> = query.load(&mut conn).await?;
        let total = rows.as_slice().first().map_or(0, |row| row.total);
        let partition = |row: PartitionRow| WaitingPartition {
            key: row.partition_key.0,
            since: row.since,
            told: row.told.into_iter().map(|key| key.0).collect(),
        };
        Ok((rows.into_iter().map(partition).collect(), total))
    }

    /// The partition of a DAG that has waited for the longest time.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn oldest_partition(&self, dag_id: &DagId) -> Result<Option<OldestPartition>, Error> {
        let mut conn = self.conn().await?;
        let query = Oldest { dag_id: dag_id.as_str() };
        let row: Option<OldestRow> = query.get_result(&mut conn).await.optional()?;
        Ok(row.map(|row| {
            let mut told: BTreeMap<AssetName, BTreeSet<Key>> = BTreeMap::new();
            for (asset, key) in row.assets.into_iter().zip(row.told) {
                told.entry(asset.0).or_default().insert(key.0);
            }
            OldestPartition { key: row.partition_key.0, total: row.total, told }
        }))
    }

    /// What a DAG that waits for assets has got.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn waiting_for_assets(&self, dag_id: &DagId) -> Result<Waiting, Error> {
        let queued = self.queued_assets(Some(dag_id.as_str()), None, None).await?;
        let mut conn = self.conn().await?;
        let members: Vec<MemberRow> = MembersOf { dag_id: dag_id.as_str() }.load(&mut conn).await?;
        let unmade: Vec<NameRow> = Unmade { dag_id: dag_id.as_str() }.load(&mut conn).await?;
        let name = |row: QueuedRow| AssetName::new(&row.name).ok().map(|name| (name, row.created_at));
        Ok(Waiting {
            queued: queued.into_iter().filter_map(name).collect(),
            members: members.into_iter().map(|row| (row.alias.0, row.asset.0)).collect(),
            unmade: unmade.into_iter().map(|row| row.name).collect(),
        })
    }
}

#[derive(QueryableByName)]
struct MemberRow {
    #[diesel(sql_type = Text)]
    alias: Parsed<AliasName>,
    #[diesel(sql_type = Text)]
    asset: Parsed<AssetName>,
}

#[derive(QueryableByName)]
struct OldestRow {
    #[diesel(sql_type = Text)]
    partition_key: Parsed<Key>,
    #[diesel(sql_type = BigInt)]
    total: i64,
    #[diesel(sql_type = Array<Text>)]
    assets: Vec<Parsed<AssetName>>,
    #[diesel(sql_type = Array<Text>)]
    told: Vec<Parsed<Key>>,
}

#[derive(QueryableByName)]
struct PartitionRow {
    #[diesel(sql_type = Text)]
    partition_key: Parsed<Key>,
    #[diesel(sql_type = Timestamptz)]
    since: DateTime<Utc>,
    #[diesel(sql_type = Array<Text>)]
    told: Vec<Parsed<Key>>,
    #[diesel(sql_type = BigInt)]
    total: i64,
}

#[derive(QueryableByName)]
struct NameRow {
    #[diesel(sql_type = Text)]
    name: String,
}

hot_query! {
    Rival { id: i64 => BigInt, uri: str => Text }
    "SELECT o.name FROM active_asset o WHERE o.uri = $2 AND o.id <> $1
       AND EXISTS (SELECT FROM named_asset n WHERE n.id = $1)"
}

hot_query! {
    Places { ids: [i64] => Array<BigInt> }
    "SELECT p.asset_id, p.part, p.dag_id, p.task_id, p.created_at, p.updated_at
     FROM dag_asset p JOIN dag d USING (dag_id) WHERE p.asset_id = ANY($1) AND NOT d.is_stale
     ORDER BY p.dag_id, p.task_id LIMIT 5000"
}

hot_query! {
    AliasesOf { ids: [i64] => Array<BigInt> }
    "SELECT l.id, l.name, l.\"group\", m.asset_id FROM asset_alias_member m JOIN asset_alias l ON l.id = m.alias_id
     WHERE m.asset_id = ANY($1) ORDER BY l.name LIMIT 5000"
}

hot_query! {
    Requested { request: Uuid => SqlUuid }
    "SELECT e.id, e.asset_id, a.name, a.uri, a.\"group\", e.at, e.extra, e.source_dag_id, e.source_run_id,
            e.source_task_id, e.source_map_index, e.partition_key, e.created_by
     FROM asset_event e JOIN asset a ON a.id = e.asset_id WHERE e.request = $1"
}

hot_query! {
    Consumed { dag_id: str => Text, run_id: str => Text, limit: i64 => BigInt }
    "SELECT e.id, e.asset_id, a.name, a.uri, a.\"group\", e.at, e.extra, e.source_dag_id, e.source_run_id,
            e.source_task_id, e.source_map_index, e.partition_key, e.created_by
     FROM dag_run r JOIN consumed_asset_event c ON c.run_key = r.key JOIN asset_event e ON e.id = c.event_id
     JOIN asset a ON a.id = e.asset_id
     WHERE r.dag_id = $1 AND r.run_id = $2 ORDER BY e.id DESC LIMIT $3"
}

hot_query! {
    Consumers { events: [i64] => Array<BigInt>, limit: i64 => BigInt }
    "SELECT c.event_id, r.dag_id, r.run_id, r.state, r.queued_at, r.started_at, r.ended_at, r.partition_key,
            NOT EXISTS (SELECT FROM consumed_asset_event n WHERE n.run_key = c.run_key AND n.event_id > c.event_id)
                AS is_newest
     FROM consumed_asset_event c JOIN dag_run r ON r.key = c.run_key
     WHERE c.event_id = ANY($1) ORDER BY c.event_id, r.key LIMIT $2"
}

hot_query! {
    Queued {
        dag_id: Option<&'a str> => Nullable<Text>,
        asset_id: Option<i64> => Nullable<BigInt>,
        before: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        limit: i64 => BigInt,
    }
    "SELECT q.dag_id, q.asset_id, a.name, q.created_at FROM asset_dag_run_queue q JOIN asset a ON a.id = q.asset_id
     WHERE ($1 IS NULL OR q.dag_id = $1) AND ($2 IS NULL OR q.asset_id = $2) AND ($3 IS NULL OR q.created_at < $3)
     ORDER BY q.dag_id, q.asset_id LIMIT $4"
}

hot_query! {
    WaitingPartitions { dag_id: str => Text, asset_id: i64 => BigInt, limit: i64 => BigInt }
    "SELECT q.partition_key, q.since, count(*) OVER () AS total,
            ARRAY(SELECT DISTINCT e.partition_key FROM partition_event h JOIN asset_event e ON e.id = h.event_id
                  WHERE h.dag_id = q.dag_id AND h.partition_key = q.partition_key AND e.asset_id = $2
                    AND e.partition_key IS NOT NULL) AS told
     FROM partition_queue q WHERE q.dag_id = $1 ORDER BY q.since, q.partition_key LIMIT $3"
}

hot_query! {
    Oldest { dag_id: str => Text }
    "SELECT q.partition_key, q.total, array_remove(array_agg(a.name ORDER BY e.id), NULL) AS assets,
            array_remove(array_agg(e.partition_key ORDER BY e.id), NULL) AS told
     FROM (SELECT dag_id, partition_key, count(*) OVER () AS total FROM partition_queue WHERE dag_id = $1
           ORDER BY since, partition_key LIMIT 1) q
     LEFT JOIN (partition_event h JOIN asset_event e ON e.id = h.event_id AND e.partition_key IS NOT NULL
                JOIN asset a ON a.id = e.asset_id)
         ON h.dag_id = q.dag_id AND h.partition_key = q.partition_key
     GROUP BY q.partition_key, q.total"
}

hot_query! {
    MembersOf { dag_id: str => Text }
    "SELECT l.name AS alias, a.name AS asset
     FROM asset_dag_run_queue q JOIN asset_alias_member m ON m.asset_id = q.asset_id
     JOIN asset_alias l ON l.id = m.alias_id JOIN asset a ON a.id = q.asset_id WHERE q.dag_id = $1"
}

hot_query! {
    Unmade { dag_id: str => Text }
    "SELECT coalesce(a.name, l.name) AS name FROM dag_asset p
     LEFT JOIN asset a ON a.id = p.asset_id LEFT JOIN asset_alias l ON l.id = p.alias_id
     WHERE p.dag_id = $1 AND p.part = 'schedule' AND NOT EXISTS (
         SELECT FROM dag_asset o JOIN dag d ON d.dag_id = o.dag_id AND NOT d.is_stale
         WHERE o.part = 'outlet' AND (o.asset_id = p.asset_id OR o.alias_id = p.alias_id))
     ORDER BY 1"
}
