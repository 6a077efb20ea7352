//! The records of partitions that wait for their assets.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::{
    asset::{AssetName, EventId},
    id::{DagId, RunKey},
    partition::Key,
};

/// A partition of a DAG of which assets have told something since its last run (Airflow's `AssetPartitionDagRun`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// What is recorded of it by itself.
    pub begun: Begun,
    /// The assets that have told something, each with the partitions of it that they told of, as far as their number matters. In the
    /// records this follows from the events.
    pub seen: BTreeMap<AssetName, BTreeSet<Key>>,
}

/// How a partition began to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// With its first event.
    pub since: DateTime<Utc>,
    /// The date of the runs that its events come from, where the mapper leaves the key as it is and they agree.
    pub date: Option<DateTime<Utc>>,
    /// The fingerprint of the mappers that chose it.
    pub mappers: String,
}

/// A partition that waits from now on, or no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionRecord {
    /// The DAG.
    pub dag_id: DagId,
    /// Its partition.
    pub key: Key,
    /// How it began; `None` when it does not wait.
    pub begun: Option<Begun>,
}

/// An event that a waiting partition has heard of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionEvent {
    /// The DAG.
    pub dag_id: DagId,
    /// Its partition.
    pub key: Key,
    /// The event.
    pub event: EventId,
}

/// What a partition has heard of goes to its run, or is forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionEnd {
    /// The DAG.
    pub dag_id: DagId,
    /// Its partition.
    pub key: Key,
    /// Every event up to this one.
    pub upto: EventId,
    /// The run that consumes them, if there is one.
    pub run: Option<RunKey>,
}
