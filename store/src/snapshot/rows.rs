//! The rows behind the engine's records.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Json, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use domain::{
    asset::{AssetName, EventId},
    engine::record::{
        AssetCursor, AssetStanding, DagRecord, Placement, TiRecord, VersionId, XComLength, XComRecord,
    },
    id::{DagId, PoolName, QueueName, RunKey, TaskId, TiKey},
    outcome::CHOICE,
    state::TaskState,
    wait::Wait,
};
use serde_json::Value;
use uuid::Uuid;

use super::Versions;
use crate::{
    Error,
    column::{FromJson, Parsed, count, interval},
};

#[derive(QueryableByName)]
pub(crate) struct DagRow {
    #[diesel(sql_type = Text)]
    dag_id: Parsed<DagId>,
    #[diesel(sql_type = BigInt)]
    version_id: i64,
    #[diesel(sql_type = Bool)]
    is_paused: bool,
    #[diesel(sql_type = Bool)]
    is_stale: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    cursor_start: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    cursor_end: Option<DateTime<Utc>>,
    #[diesel(sql_type = Array<Text>)]
    disabled: Vec<Parsed<TaskId>>,
    #[diesel(sql_type = Integer)]
    failed_runs: i32,
    #[diesel(sql_type = Array<Timestamptz>)]
    taken: Vec<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<BigInt>)]
    asset_event: Option<i64>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    asset_run_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Array<Text>)]
    queued_assets: Vec<Parsed<AssetName>>,
    #[diesel(sql_type = Array<Timestamptz>)]
    queued_since: Vec<DateTime<Utc>>,
}

impl DagRow {
    pub(crate) const fn version(&self) -> VersionId {
        VersionId(self.version_id)
    }

    /// None, with a line in the log, when its version cannot be read.
    pub(crate) fn record(self, versions: &Versions) -> Option<DagRecord> {
        let version = self.version();
        let Some(dag) = versions.get(&version).map(Arc::clone) else {
            tracing::error!(dag_id = %self.dag_id.0, version = version.0, "the DAG cannot be read");
            return None;
        };
        let cursor = interval(self.cursor_start, self.cursor_end);
        Some(DagRecord {
            version,
            dag,
            is_paused: self.is_paused,
            is_stale: self.is_stale,
            cursor,
            disabled: self.disabled.into_iter().map(|id| id.0).collect(),
            failed_runs: count(self.failed_runs),
            taken: self.taken.into_iter().collect(),
            assets: AssetStanding {
                cursor: self
                    .asset_event
                    .map(|event| AssetCursor { event: EventId(event), at: self.asset_run_at }),
                pending: Default::default(),
                queued: self.queued_assets.into_iter().map(|name| name.0).zip(self.queued_since).collect(),
            },
        })
    }
}

#[derive(QueryableByName)]
pub(crate) struct TiRow {
    #[diesel(sql_type = BigInt)]
    pub(crate) run_key: i64,
    #[diesel(sql_type = Integer)]
    index: i32,
    #[diesel(sql_type = Text)]
    task_id: String,
    #[diesel(sql_type = Integer)]
    map_index: i32,
    #[diesel(sql_type = Text)]
    state: Parsed<TaskState>,
    #[diesel(sql_type = Integer)]
    try_number: i32,
    #[diesel(sql_type = Integer)]
    max_tries: i32,
    #[diesel(sql_type = SmallInt)]
    lost: i16,
    #[diesel(sql_type = Integer)]
    rounds: i32,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    scheduled_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    queued_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    started_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ended_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    next_try_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    worker: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
    #[diesel(sql_type = Text)]
    pool: String,
    #[diesel(sql_type = Integer)]
    pool_slots: i32,
    #[diesel(sql_type = Text)]
    queue: String,
    #[diesel(sql_type = Integer)]
    priority: i32,
    #[diesel(sql_type = Text)]
    operator: String,
    #[diesel(sql_type = Bool)]
    is_held: bool,
    #[diesel(sql_type = Nullable<Json>)]
    wait: Option<FromJson<Wait>>,
    #[diesel(sql_type = Nullable<Text>)]
    rendered_map_index: Option<String>,
}

impl TiRow {
    pub(crate) fn record(self, names: &mut Names) -> Result<TiRecord, Error> {
        Ok(TiRecord {
            key: TiKey { run: RunKey(self.run_key), index: count(self.index) },
            task_id: Names::get(&mut names.tasks, &self.task_id, TaskId::new)?,
            map_index: self.map_index,
            state: self.state.0,
            try_number: count(self.try_number),
            max_tries: count(self.max_tries),
            lost: u32::try_from(self.lost).unwrap_or(0),
            rounds: count(self.rounds),
            scheduled_at: self.scheduled_at,
            queued_at: self.queued_at,
            started_at: self.started_at,
            ended_at: self.ended_at,
            next_try_at: self.next_try_at,
            worker: self.worker,
            reason: self.reason,
            rendered_map_index: self.rendered_map_index,
            is_held: self.is_held,
            wait: self.wait.map(|wait| Box::new(wait.0)),
            placement: Placement {
                pool: Names::get(&mut names.pools, &self.pool, PoolName::new)?,
                pool_slots: count(self.pool_slots),
                queue: Names::get(&mut names.queues, &self.queue, QueueName::new)?,
                priority: self.priority,
                operator: names.operator(&self.operator),
            },
        })
    }
}

/// Names that occur again and again: every record shares the same text.
#[derive(Default)]
pub(crate) struct Names {
    tasks: HashMap<String, TaskId>,
    pools: HashMap<String, PoolName>,
    queues: HashMap<String, QueueName>,
    operators: HashMap<String, Arc<str>>,
}

impl Names {
    fn operator(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.operators.get(name) {
            return Arc::clone(known);
        }
        let shared: Arc<str> = Arc::from(name);
        self.operators.insert(name.to_owned(), Arc::clone(&shared));
        shared
    }

    fn get<T: Clone>(
        known: &mut HashMap<String, T>,
        text: &str,
        make: impl FnOnce(&str) -> Result<T, domain::id::Error>,
    ) -> Result<T, Error> {
        if let Some(name) = known.get(text) {
            return Ok(name.clone());
        }
        let name = make(text)
            .map_err(|error| Error::Invalid(format!("a task instance in the database: {error}")))?;
        known.insert(text.to_owned(), name.clone());
        Ok(name)
    }
}

#[derive(QueryableByName)]
pub(crate) struct LengthRow {
    #[diesel(sql_type = BigInt)]
    run_key: i64,
    #[diesel(sql_type = Text)]
    task_id: Parsed<TaskId>,
    #[diesel(sql_type = Integer)]
    map_index: i32,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Nullable<Integer>)]
    length: Option<i32>,
}

impl LengthRow {
    pub(crate) fn record(self) -> (i64, XComLength) {
        let length = self.length.and_then(|length| usize::try_from(length).ok());
        (
            self.run_key,
            XComLength { task_id: self.task_id.0, map_index: self.map_index, key: self.key, length },
        )
    }
}

#[derive(QueryableByName)]
pub(crate) struct ChoiceRow {
    #[diesel(sql_type = BigInt)]
    run_key: i64,
    #[diesel(sql_type = Integer)]
    index: i32,
    #[diesel(sql_type = Text)]
    task_id: Parsed<TaskId>,
    #[diesel(sql_type = Integer)]
    map_index: i32,
    #[diesel(sql_type = Json)]
    value: FromJson<Value>,
}

impl ChoiceRow {
    pub(crate) fn record(self) -> XComRecord {
        XComRecord {
            ti: TiKey { run: RunKey(self.run_key), index: count(self.index) },
            task_id: self.task_id.0,
            map_index: self.map_index,
            key: CHOICE.to_owned(),
            value: self.value.0,
        }
    }
}

#[derive(QueryableByName)]
pub(crate) struct NextKey {
    #[diesel(sql_type = BigInt)]
    pub(crate) key: i64,
}
