//! Assets, and what happened to them.

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Json, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use domain::asset::{Asset, AssetName};
use serde_json::{Map, Value};

use super::{MOST, ONE_MORE, all_of};
use crate::{
    Error, Store,
    column::{FromJson, Parsed},
    hot::{hot_query, view_query},
};

/// Whose events are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventsOf {
    /// Those of an asset, by its name, its URI or both.
    Asset {
        /// Its name.
        name: Option<String>,
        /// Its URI.
        uri: Option<String>,
    },
    /// Those that happened in the name of an alias.
    Alias(String),
}

/// Which events are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFilter {
    /// Whose.
    pub of: EventsOf,
    /// Not before.
    pub after: Option<DateTime<Utc>>,
    /// Not after.
    pub before: Option<DateTime<Utc>>,
    /// The oldest first, or the newest.
    pub ascending: bool,
    /// At most so many.
    pub limit: Option<usize>,
}

/// Something that happened to an asset.
#[derive(Debug, Clone, QueryableByName)]
pub struct AskedEvent {
    /// Its number.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// When.
    #[diesel(sql_type = Timestamptz)]
    pub at: DateTime<Utc>,
    #[diesel(sql_type = Json)]
    extra: FromJson<Map<String, Value>>,
    #[diesel(embed)]
    asset: AssetRow,
    /// The DAG that it comes from, if it comes from one.
    #[diesel(sql_type = Nullable<Text>)]
    pub source_dag_id: Option<String>,
    /// Its run.
    #[diesel(sql_type = Nullable<Text>)]
    pub source_run_id: Option<String>,
    /// Its task.
    #[diesel(sql_type = Nullable<Text>)]
    pub source_task_id: Option<String>,
    /// Its mapped index, or -1.
    #[diesel(sql_type = Integer)]
    pub source_map_index: i32,
    /// The partition of the asset that it is about.
    #[diesel(sql_type = Nullable<Text>)]
    pub partition_key: Option<String>,
    #[diesel(sql_type = Json)]
    runs: FromJson<Vec<Value>>,
}

impl AskedEvent {
    /// What its maker says about it.
    #[must_use]
    pub const fn extra(&self) -> &Map<String, Value> {
        &self.extra.0
    }

    /// The asset.
    #[must_use]
    pub fn asset(&self) -> Asset {
        self.asset.asset()
    }

    /// The runs that were created for it and have started, in Airflow's form (`DagRunAssetReference`); at most a hundred.
    #[must_use]
    pub fn runs(&self) -> &[Value] {
        &self.runs.0
    }
}

impl Store {
    /// The active asset of that name.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn asset_named(&self, name: &str) -> Result<Option<Asset>, Error> {
        let mut conn = self.conn().await?;
        let query = FindAsset { name: &Some(name), uri: &None };
        let row: Option<AssetRow> = query.get_result(&mut conn).await.optional()?;
        Ok(row.map(|row| row.asset()))
    }

    /// The active asset of that URI.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn asset_at(&self, uri: &str) -> Result<Option<Asset>, Error> {
        let mut conn = self.conn().await?;
        let query = FindAsset { name: &None, uri: &Some(uri) };
        let row: Option<AssetRow> = query.get_result(&mut conn).await.optional()?;
        Ok(row.map(|row| row.asset()))
    }

    /// The assets that events have put under an alias, by name.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are more than [`super::MOST`].
    pub async fn assets_under(&self, alias: &str) -> Result<Vec<Asset>, Error> {
        let mut conn = self.conn().await?;
        let rows: Vec<AssetRow> = Under { alias, limit: &ONE_MORE }.load(&mut conn).await?;
        all_of(rows.iter().map(AssetRow::asset).collect(), "assets")
    }

    /// Those of these assets that are not active: no DAG file and no alias names them any more, or another one has their URI.
    /// Source: Airflow 3.3.2 `jobs/scheduler_job_runner.py` (`_update_asset_orphanage`), where the first one that is heard of keeps
    /// a URI; here one that tasks make goes before, so that the order in which files are read says nothing.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn inactive_assets(&self, names: &[&str]) -> Result<Vec<String>, Error> {
        let mut conn = self.conn().await?;
        let rows: Vec<NameRow> = Inactive { names }.load(&mut conn).await?;
        Ok(rows.into_iter().map(|row| row.name).collect())
    }

    /// What happened to an asset.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are more than [`super::MOST`] and no limit is given.
    pub async fn events_of(&self, filter: &EventFilter) -> Result<Vec<AskedEvent>, Error> {
        let limit = filter.limit.and_then(|limit| i64::try_from(limit.min(MOST)).ok()).unwrap_or(ONE_MORE);
        let (name, uri, alias) = match &filter.of {
            EventsOf::Asset { name, uri } => (name.as_deref(), uri.as_deref(), None),
            EventsOf::Alias(alias) => (None, None, Some(alias.as_str())),
        };
        let query = Events {
            name: &name,
            uri: &uri,
            alias: &alias,
            after: &filter.after,
            before: &filter.before,
            ascending: &filter.ascending,
            limit: &limit,
        };
        let mut conn = self.conn().await?;
        all_of(query.load(&mut conn).await?, "events")
    }
}

#[derive(Debug, Clone, QueryableByName)]
struct AssetRow {
    #[diesel(sql_type = Text)]
    name: Parsed<AssetName>,
    #[diesel(sql_type = Text)]
    uri: String,
    #[diesel(sql_type = Text)]
    group: String,
    #[diesel(sql_type = Json)]
    asset_extra: FromJson<Map<String, Value>>,
}

impl AssetRow {
    fn asset(&self) -> Asset {
        let (uri, group) = (self.uri.clone(), self.group.clone());
        Asset { name: self.name.0.clone(), uri, group, extra: self.asset_extra.0.clone() }
    }
}

#[derive(QueryableByName)]
struct NameRow {
    #[diesel(sql_type = Text)]
    name: String,
}

hot_query! {
    FindAsset { name: Option<&'a str> => Nullable<Text>, uri: Option<&'a str> => Nullable<Text> }
    "SELECT a.name, a.uri, a.\"group\", a.extra AS asset_extra FROM active_asset a
     WHERE ($1 IS NULL OR a.name = $1) AND ($2 IS NULL OR a.uri = $2) LIMIT 1"
}

hot_query! {
    Under { alias: str => Text, limit: i64 => BigInt }
    "SELECT a.name, a.uri, a.\"group\", a.extra AS asset_extra
     FROM asset_alias l JOIN asset_alias_member m ON m.alias_id = l.id JOIN asset a ON a.id = m.asset_id
     WHERE l.name = $1 ORDER BY a.name LIMIT $2"
}

hot_query! {
    Inactive { names: [&'a str] => Array<Text> }
    "SELECT n.name FROM unnest($1::text[]) AS n (name)
     WHERE NOT EXISTS (SELECT FROM active_asset a WHERE a.name = n.name)"
}

view_query! {
    Events {
        name: Option<&'a str> => Nullable<Text>,
        uri: Option<&'a str> => Nullable<Text>,
        alias: Option<&'a str> => Nullable<Text>,
        after: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        before: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        ascending: bool => Bool,
        limit: i64 => BigInt,
    }
    "SELECT e.id, e.at, e.extra, a.name, a.uri, a.\"group\", a.extra AS asset_extra,
            e.source_dag_id, e.source_run_id, e.source_task_id, e.source_map_index, e.partition_key,
            (SELECT coalesce(json_agg(json_build_object(
                 'run_id', r.run_id, 'dag_id', r.dag_id, 'logical_date', r.logical_date, 'start_date', r.started_at,
                 'end_date', r.ended_at, 'state', r.state, 'data_interval_start', r.interval_start,
                 'data_interval_end', r.interval_end, 'partition_key', r.partition_key) ORDER BY r.key), '[]')
             FROM (SELECT r.* FROM consumed_asset_event c JOIN dag_run r ON r.key = c.run_key
                   WHERE c.event_id = e.id AND r.started_at IS NOT NULL ORDER BY r.key LIMIT 100) r) AS runs
     FROM asset_event e JOIN asset a ON a.id = e.asset_id
     WHERE ($1 IS NULL OR a.name = $1) AND ($2 IS NULL OR a.uri = $2)
       AND ($3 IS NULL OR EXISTS (SELECT FROM asset_event_alias x JOIN asset_alias l ON l.id = x.alias_id
                                  WHERE x.event_id = e.id AND l.name = $3))
       AND ($4 IS NULL OR e.at >= $4) AND ($5 IS NULL OR e.at <= $5)
     ORDER BY CASE WHEN $6 THEN e.id END, CASE WHEN NOT $6 THEN e.id END DESC LIMIT $7"
}
