//! The records of assets.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Pending;
use crate::{
    asset::{AliasName, Asset, AssetName, EventId},
    id::{DagId, RunId, RunKey, TaskId},
    partition::Key,
};

/// How a DAG stands to the assets that it waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssetStanding {
    /// What it has consumed; none before it waited for any.
    pub cursor: Option<AssetCursor>,
    /// The assets that have been updated since the last run that assets asked for, each with the moment of the first time
    /// (Airflow's `asset_dag_run_queue`).
    pub queued: BTreeMap<AssetName, DateTime<Utc>>,
    /// Its partitions that wait, if partitions of assets say what its runs are about.
    pub pending: BTreeMap<Key, Pending>,
}

/// How far a DAG has consumed events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssetCursor {
    /// Every event up to this one is consumed, or was there before the DAG waited for it.
    pub event: EventId,
    /// When the last run was created that assets asked for.
    pub at: Option<DateTime<Utc>>,
}

/// What the engine starts from, beside what each DAG waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssetsRecord {
    /// What events have put under aliases.
    pub members: Vec<(AliasName, AssetName)>,
    /// A number that is higher than those of all events and cursors; at least 1.
    pub next_event: i64,
}

/// Something that happened to an asset.
#[derive(Debug, Clone, PartialEq)]
pub struct AssetEventRecord {
    /// Its number.
    pub id: EventId,
    /// The asset, as whoever made it describes it.
    pub asset: Asset,
    /// The outlets that it happened in the name of, when they are aliases.
    pub aliases: Vec<AliasName>,
    /// What consumers may want to know.
    pub extra: Map<String, Value>,
    /// The partition of the asset that it is about.
    pub partition_key: Option<Key>,
    /// When.
    pub at: DateTime<Utc>,
    /// The task instance that succeeded, unless somebody just said so.
    pub source: Option<EventSource>,
    /// Who said so, else.
    pub by: Option<String>,
    /// What the one who said so finds it by.
    pub request: Option<Uuid>,
}

/// Where an event comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSource {
    /// The DAG.
    pub dag_id: DagId,
    /// The run.
    pub run_id: RunId,
    /// The task.
    pub task_id: TaskId,
    /// Its mapped index, or -1.
    pub map_index: i32,
}

/// An asset that is queued for a DAG, or no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedAsset {
    /// The DAG that waits for it.
    pub dag_id: DagId,
    /// The asset.
    pub asset: AssetName,
    /// Since when; `None` when it no longer is.
    pub at: Option<DateTime<Utc>>,
}

/// What a run consumes that assets asked for: every event behind one and up to another that is about one of these assets, or in the name
/// of one of these aliases, and about no partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumption {
    /// The run.
    pub run: RunKey,
    /// Only later events.
    pub after: EventId,
    /// Up to this one.
    pub upto: EventId,
    /// Events of these assets,
    pub assets: Vec<AssetName>,
    /// and of these aliases.
    pub aliases: Vec<AliasName>,
}

/// How far a DAG has consumed events from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetCursorRecord {
    /// The DAG.
    pub dag_id: DagId,
    /// So far.
    pub cursor: AssetCursor,
}
