//! The records that the engine keeps in its memory and the store keeps for good: the same shape in both, so that
//! memory can be thrown away and rebuilt.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    dag::Dag,
    id::{DagId, PoolName, QueueName, RunId, RunKey, TaskId, TiKey, TryKey},
    state::{RunState, RunType, TaskState},
    timetable::{DataInterval, NextRun},
};

/// The number of a DAG version in the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionId(pub i64);

/// A DAG as the scheduler last loaded it, with what the records know of it.
#[derive(Debug, Clone)]
pub struct DagRecord {
    /// Its newest version.
    pub version: VersionId,
    /// The contents of that version.
    pub dag: Arc<Dag>,
    /// No new runs, and nothing new starts in existing ones.
    pub is_paused: bool,
    /// Its file is gone: no new runs by schedule; existing ones continue.
    pub is_stale: bool,
    /// The data interval of the last run that its schedule created.
    pub cursor: Option<DataInterval>,
}

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    /// Its key.
    pub key: RunKey,
    /// Its DAG.
    pub dag_id: DagId,
    /// Its name.
    pub run_id: RunId,
    /// How it came to be.
    pub run_type: RunType,
    /// Its state.
    pub state: RunState,
    /// The version of the DAG that it runs.
    pub version: VersionId,
    /// Its logical date; none for some manual runs.
    pub logical_date: Option<DateTime<Utc>>,
    /// Its data interval.
    pub data_interval: Option<DataInterval>,
    /// It does not start before.
    pub run_after: DateTime<Utc>,
    /// When it was created or last queued again.
    pub queued_at: DateTime<Utc>,
    /// When it started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// What it was given.
    pub conf: Arc<Map<String, Value>>,
    /// Who triggered it, when a person did.
    pub triggered_by: Option<String>,
    /// A remark.
    pub note: Option<String>,
    /// How often it was cleared.
    pub clear_number: u32,
}

/// A task instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TiRecord {
    /// Its key.
    pub key: TiKey,
    /// Its task.
    pub task_id: TaskId,
    /// Its place among the instances of a mapped task; -1 when the task is not mapped, or not expanded yet.
    pub map_index: i32,
    /// Its state.
    pub state: TaskState,
    /// The number of its current or last try; 0 before the first.
    pub try_number: u32,
    /// It is tried again while `try_number <= max_tries`.
    pub max_tries: u32,
    /// How many tries in a row were lost with their worker.
    pub lost: u32,
    /// When its dependencies were met.
    pub scheduled_at: Option<DateTime<Utc>>,
    /// When it was handed to the ready queue.
    pub queued_at: Option<DateTime<Utc>>,
    /// When its current or last try was claimed.
    pub started_at: Option<DateTime<Utc>>,
    /// When its last try ended, or it was decided without one.
    pub ended_at: Option<DateTime<Utc>>,
    /// When it may try again, while it is up for retry.
    pub next_try_at: Option<DateTime<Utc>>,
    /// The worker of its current or last try.
    pub worker: Option<Uuid>,
    /// Why it is in its state, in words, where that is worth saying.
    pub reason: Option<String>,
    /// What the engine decided for its place in the queues, written once for pages to show.
    pub placement: Placement,
}

/// Where a task instance queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Its pool.
    pub pool: PoolName,
    /// The slots it takes there.
    pub pool_slots: u32,
    /// Its queue.
    pub queue: QueueName,
    /// Its effective priority: higher goes first.
    pub priority: i32,
    /// The operator's name, as the API shows it.
    pub operator: &'static str,
}

/// A try that has ended, for the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TryRecord {
    /// Which try.
    pub attempt: TryKey,
    /// The state it ended in.
    pub state: TaskState,
    /// When it was handed to the ready queue.
    pub queued_at: Option<DateTime<Utc>>,
    /// When it was claimed.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// Who ran it.
    pub worker: Option<Uuid>,
    /// The process's exit code.
    pub exit_code: Option<i32>,
    /// Why it ended so, in words.
    pub reason: Option<String>,
}

/// An XCom to keep.
#[derive(Debug, Clone, PartialEq)]
pub struct XComRecord {
    /// Who left it.
    pub ti: TiKey,
    /// The task's id.
    pub task_id: TaskId,
    /// Its mapped index, or -1.
    pub map_index: i32,
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Value,
}

/// A pool of slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolRecord {
    /// Its name.
    pub name: PoolName,
    /// How many slots it has; `None` is without limit (Airflow's -1).
    pub slots: Option<u32>,
}

/// A live worker, as far as admission needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerRecord {
    /// Its id.
    pub id: Uuid,
    /// The queues it listens to.
    pub queues: Vec<QueueName>,
    /// How many tasks it runs at the same time.
    pub slots: u32,
}

/// A line of the audit log.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRecord {
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub by: String,
    /// What, in Airflow's event names where it has one.
    pub event: &'static str,
    /// About which DAG.
    pub dag_id: Option<DagId>,
    /// About which run.
    pub run_id: Option<RunId>,
    /// About which task.
    pub task_id: Option<TaskId>,
    /// The wish, and what became of it.
    pub extra: Value,
}

/// What the schedule of a DAG has done and will do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorRecord {
    /// The DAG.
    pub dag_id: DagId,
    /// The data interval of the last run that the schedule created.
    pub cursor: Option<DataInterval>,
    /// The next one, for pages to show.
    pub next: Option<NextRun>,
}

/// An active run with everything needed to go on with it.
#[derive(Debug, Clone)]
pub struct RunSnapshot {
    /// The run.
    pub run: RunRecord,
    /// The DAG version that it runs.
    pub dag: Arc<Dag>,
    /// Its task instances, ordered by index.
    pub tis: Vec<TiRecord>,
    /// How many elements the XComs have over which its unexpanded tasks are mapped.
    pub lengths: Vec<XComLength>,
}

/// The number of elements of an XCom that is a list or an object; `None` for any other value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XComLength {
    /// The task that left it.
    pub task_id: TaskId,
    /// Its mapped index, or -1.
    pub map_index: i32,
    /// The XCom's key.
    pub key: String,
    /// The number of its elements.
    pub length: Option<usize>,
}
