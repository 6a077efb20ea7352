//! What is read of assets.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Bool, Integer, Json, Nullable, Text, Timestamptz},
};
use domain::{
    asset::{AliasName, Asset, AssetName},
    partition::Key,
    state::RunState,
};
use serde_json::{Map, Value};

use crate::column::{FromJson, Parsed};

/// An asset, and what last happened to it.
#[derive(Debug, Clone, QueryableByName)]
pub struct AssetRow {
    /// Its number.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    #[diesel(sql_type = Text)]
    name: Parsed<AssetName>,
    /// Where it is.
    #[diesel(sql_type = Text)]
    pub uri: String,
    /// What kind of thing it is.
    #[diesel(sql_type = Text)]
    pub group: String,
    #[diesel(sql_type = Json)]
    extra: FromJson<Map<String, Value>>,
    /// When it was first heard of.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// When a DAG file last described it anew.
    #[diesel(sql_type = Timestamptz)]
    pub updated_at: DateTime<Utc>,
    /// Its last event.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub last_event: Option<i64>,
    /// When that was.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub last_event_at: Option<DateTime<Utc>>,
}

impl AssetRow {
    /// The asset.
    #[must_use]
    pub fn asset(&self) -> Asset {
        let (uri, group) = (self.uri.clone(), self.group.clone());
        Asset { name: self.name.0.clone(), uri, group, extra: self.extra.0.clone() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.0.as_str()
    }

    /// Whatever else people want to know of it.
    #[must_use]
    pub const fn extra(&self) -> &Map<String, Value> {
        &self.extra.0
    }
}

/// An alias.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct AliasRow {
    /// Its number.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// Its name.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// What kind of things it stands for.
    #[diesel(sql_type = Text)]
    pub group: String,
    /// The asset that events have put under it, where one is asked about.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub asset_id: Option<i64>,
}

/// A place in a DAG that names an asset.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct PlaceRow {
    /// The asset.
    #[diesel(sql_type = BigInt)]
    pub asset_id: i64,
    /// `schedule`, `outlet` or `inlet`.
    #[diesel(sql_type = Text)]
    pub part: String,
    /// The DAG.
    #[diesel(sql_type = Text)]
    pub dag_id: String,
    /// The task; empty for a schedule.
    #[diesel(sql_type = Text)]
    pub task_id: String,
    /// Since when the DAG names it.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// When that was last written.
    #[diesel(sql_type = Timestamptz)]
    pub updated_at: DateTime<Utc>,
}

/// Something that happened to an asset.
#[derive(Debug, Clone, QueryableByName)]
pub struct EventRow {
    /// Its number.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// The asset.
    #[diesel(sql_type = BigInt)]
    pub asset_id: i64,
    /// Its name.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Its URI.
    #[diesel(sql_type = Text)]
    pub uri: String,
    /// Its group.
    #[diesel(sql_type = Text)]
    pub group: String,
    /// When.
    #[diesel(sql_type = Timestamptz)]
    pub at: DateTime<Utc>,
    #[diesel(sql_type = Json)]
    extra: FromJson<Map<String, Value>>,
    /// The DAG it comes from.
    #[diesel(sql_type = Nullable<Text>)]
    pub source_dag_id: Option<String>,
    /// The run.
    #[diesel(sql_type = Nullable<Text>)]
    pub source_run_id: Option<String>,
    /// The task.
    #[diesel(sql_type = Nullable<Text>)]
    pub source_task_id: Option<String>,
    /// Its mapped index, or -1.
    #[diesel(sql_type = Integer)]
    pub source_map_index: i32,
    /// The partition of the asset that it is about.
    #[diesel(sql_type = Nullable<Text>)]
    pub partition_key: Option<String>,
    /// Who said so, when it comes from no task.
    #[diesel(sql_type = Nullable<Text>)]
    pub created_by: Option<String>,
}

impl EventRow {
    /// What there is to know of it.
    #[must_use]
    pub const fn extra(&self) -> &Map<String, Value> {
        &self.extra.0
    }
}

/// A run that consumed an event.
#[derive(Debug, Clone, QueryableByName)]
pub struct ConsumerRow {
    /// The event.
    #[diesel(sql_type = BigInt)]
    pub event_id: i64,
    /// The DAG of the run.
    #[diesel(sql_type = Text)]
    pub dag_id: String,
    /// Its name.
    #[diesel(sql_type = Text)]
    pub run_id: String,
    #[diesel(sql_type = Text)]
    state: Parsed<RunState>,
    /// When it was created.
    #[diesel(sql_type = Timestamptz)]
    pub queued_at: DateTime<Utc>,
    /// When it started.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub ended_at: Option<DateTime<Utc>>,
    /// What the run is about.
    #[diesel(sql_type = Nullable<Text>)]
    pub partition_key: Option<String>,
    /// The event is the newest that it consumed.
    #[diesel(sql_type = Bool)]
    pub is_newest: bool,
}

impl ConsumerRow {
    /// How the run stands.
    #[must_use]
    pub const fn state(&self) -> RunState {
        self.state.0
    }
}

/// An asset that is queued for a DAG.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct QueuedRow {
    /// The DAG that waits for it.
    #[diesel(sql_type = Text)]
    pub dag_id: String,
    /// The asset.
    #[diesel(sql_type = BigInt)]
    pub asset_id: i64,
    /// Its name.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Since when.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
}

/// What a DAG that waits for assets has got.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// The assets that have been updated since its last run by assets, and when first.
    pub queued: Vec<(AssetName, DateTime<Utc>)>,
    /// What events have put under aliases, of these assets.
    pub members: Vec<(AliasName, AssetName)>,
    /// The assets and aliases of its condition that no task of any DAG has among its outlets.
    pub unmade: Vec<String>,
}

impl Waiting {
    /// An asset has been updated.
    #[must_use]
    pub fn has(&self, asset: &AssetName) -> bool {
        self.queued.iter().any(|(name, _)| name == asset)
    }

    /// An asset under an alias has been updated.
    #[must_use]
    pub fn has_under(&self, alias: &AliasName) -> bool {
        self.assets_under(alias).any(|asset| self.has(asset))
    }

    /// The assets under an alias.
    pub fn assets_under<'a>(&'a self, alias: &'a AliasName) -> impl Iterator<Item = &'a AssetName> {
        self.members.iter().filter(move |(of, _)| of == alias).map(|(_, asset)| asset)
    }
}

/// The partition of a DAG that has waited for the longest time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldestPartition {
    /// Its name.
    pub key: Key,
    /// How many partitions of the DAG wait, with it.
    pub total: i64,
    /// Of each asset that it has heard of, the partitions that it was told.
    pub told: BTreeMap<AssetName, BTreeSet<Key>>,
}

/// A partition of a DAG that waits for assets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingPartition {
    /// Its key.
    pub key: Key,
    /// When it heard of something first.
    pub since: DateTime<Utc>,
    /// The partitions of one asset that it has heard of.
    pub told: BTreeSet<Key>,
}
