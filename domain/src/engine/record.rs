//! The records that the engine keeps in its memory and the store keeps for good: the same shape in both, so that
//! memory can be thrown away and rebuilt.

mod assets;
mod deferrals;
mod partitions;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    backfill::Place,
    floor::{Account, Policy},
};
use crate::{
    approval::{Ending, Question, Terms},
    dag::Dag,
    deadline::{Basis, Missed, Needs},
    id::{DagId, PoolName, QueueName, RunId, RunKey, TaskId, TiKey, TryKey},
    partition::Partition,
    state::{RunState, RunType, TaskState},
    timetable::{DataInterval, NextRun},
    wait::{RunStanding, Wait, Which},
};

pub use self::assets::{
    AssetCursor, AssetCursorRecord, AssetEventRecord, AssetStanding, AssetsRecord, Consumption, EventSource,
    QueuedAsset,
};
pub use self::deferrals::{DeferralRecord, ResumptionRecord};
pub use self::partitions::{Begun, PartitionEnd, PartitionEvent, PartitionRecord, Pending};

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
    /// Its tasks that an operator switched off: their instances are skipped.
    pub disabled: BTreeSet<TaskId>,
    /// How many of its runs in a row, in the order of their ends, failed; kept only with `max_consecutive_failed_dag_runs`.
    pub failed_runs: u32,
    /// Logical dates behind that of the cursor that backfills have run already: its schedule passes them over.
    pub taken: BTreeSet<DateTime<Utc>>,
    /// How it stands to the assets that it waits for.
    pub assets: AssetStanding,
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
    /// What it is about, in a partitioned DAG.
    pub partition: Option<Partition>,
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
    /// So many runs before it triggered one the other, the last of them this one.
    pub depth: u32,
    /// Nothing new starts in it until an operator lets it go on; what is in flight ends. Its timeout goes on counting.
    pub is_paused: bool,
    /// The backfill that it belongs to: the one that created it, or the last one that had it run again.
    pub backfill: Option<Place>,
    /// The deadlines that it has missed since it was last queued, and those missed before whose moment has stayed.
    pub missed: Vec<Missed>,
    /// What was found out about its deadlines when it was created, and which of Airflow's it has behind itself.
    pub bases: Vec<Basis>,
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
    /// How many rounds of its loop have ended without the condition holding; 0 outside of loops.
    pub rounds: u32,
    /// When its dependencies were met.
    pub scheduled_at: Option<DateTime<Utc>>,
    /// When it was handed to the ready queue.
    pub queued_at: Option<DateTime<Utc>>,
    /// When its current or last try was claimed.
    pub started_at: Option<DateTime<Utc>>,
    /// When its last try ended, or it was decided without one.
    pub ended_at: Option<DateTime<Utc>>,
    /// When it may try again, while it is up for retry; when a worker looks again, while it is up for reschedule.
    pub next_try_at: Option<DateTime<Utc>>,
    /// What it waits for, while its try has begun and no worker has it; and between two looks of workers.
    pub wait: Option<Box<Wait>>,
    /// The worker of its current or last try.
    pub worker: Option<Uuid>,
    /// Why it is in its state, in words, where that is worth saying.
    pub reason: Option<String>,
    /// What it is called beside its index, by its task's `map_index_template`.
    pub rendered_map_index: Option<String>,
    /// An operator holds it: it does not start until it is released.
    pub is_held: bool,
    /// What the engine decided for its place in the queues; changes only when an operator changes its priority.
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
    pub operator: Arc<str>,
}

/// A try that has ended, for the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TryRecord {
    /// Which try.
    pub attempt: TryKey,
    /// The state it ended in; `up_for_reschedule` when another round of its loop followed.
    pub state: TaskState,
    /// The round of its task's loop that it was or was part of, from 1.
    pub round: Option<u32>,
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

/// A question that is put to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuestionRecord {
    /// The try that asks.
    pub attempt: TryKey,
    /// Which question of that try it is: see [`Wait::pokes`].
    pub number: u32,
    /// What is asked, rendered.
    pub question: Question,
    /// What may be answered, and by whom.
    pub terms: Box<Terms>,
    /// When it was asked.
    pub asked_at: DateTime<Utc>,
    /// Nobody's answer counts after that.
    pub deadline: Option<DateTime<Utc>>,
}

/// The end of a question that was open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosingRecord {
    /// The try that asked.
    pub attempt: TryKey,
    /// When.
    pub at: DateTime<Utc>,
    /// How.
    pub ending: Ending,
}

/// A pool of slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolRecord {
    /// Its name.
    pub name: PoolName,
    /// How many slots it has; `None` is without limit (Airflow's -1).
    pub slots: Option<u32>,
    /// Instances that are deferred take their slots, too (Airflow's `include_deferred`).
    pub include_deferred: bool,
    /// The order in which those that wait for it go; `None` leaves it to the installation's.
    pub policy: Option<Policy>,
}

impl PoolRecord {
    /// A pool that does not count deferred instances and has no policy of its own.
    #[must_use]
    pub const fn new(name: PoolName, slots: Option<u32>) -> Self {
        Self { name, slots, include_deferred: false, policy: None }
    }
}

/// The rules by which the whole installation lets instances start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmissionRecord {
    /// The order among those that wait, where a pool does not say otherwise.
    pub policy: Policy,
    /// DAGs share the room by weight, and the policy orders within each. Otherwise the policy orders everything.
    pub fair_share: bool,
    /// The weights of DAGs and teams; 1 where nothing is said, and at least 1. What DAG files say is added by the engine.
    pub shares: BTreeMap<Account, u32>,
    /// The DAGs that share one account.
    pub teams: BTreeMap<DagId, Arc<str>>,
    /// Seconds after which an instance in line has waited too long: every fourth place goes to the oldest of these.
    pub patience: u32,
    /// Room is kept for a task of several slots after so many passed its pool while it waited there,
    pub passed_over: u32,
    /// or after so many seconds.
    pub held_up: u32,
}

impl Default for AdmissionRecord {
    fn default() -> Self {
        Self {
            policy: Policy::Priority,
            fair_share: true,
            shares: BTreeMap::new(),
            teams: BTreeMap::new(),
            patience: 1800,
            passed_over: 16,
            held_up: 300,
        }
    }
}

impl AdmissionRecord {
    /// In whose name a DAG waits.
    #[must_use]
    pub fn account(&self, dag_id: &DagId) -> Account {
        if !self.fair_share {
            return Account::Everyone;
        }
        let team = self.teams.get(dag_id).cloned();
        team.map_or_else(|| Account::Dag(dag_id.clone()), Account::Team)
    }

    /// The weight of an account.
    #[must_use]
    pub fn share(&self, account: &Account) -> u32 {
        self.shares.get(account).copied().unwrap_or(1).max(1)
    }
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
    /// How many elements the XComs have over which its tasks and groups are mapped.
    pub lengths: Vec<XComLength>,
    /// Its XComs of the key [`crate::outcome::CHOICE`].
    pub choices: Vec<XComRecord>,
}

/// How a run stands that has ended, as far as the next one waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The run. Of several with the same logical date the newest is the previous one of those that come later.
    pub run: RunKey,
    /// Its logical date.
    pub logical_date: DateTime<Utc>,
    /// The tasks that have an instance which is neither success, skipped nor removed.
    pub unmet: BTreeSet<TaskId>,
}

/// A question to the records: of the finished runs of a DAG whose logical date is before a given one, the latest; of
/// several with the same date, the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastQuestion {
    /// The run that wants to know; goes back with the answer.
    pub run: RunKey,
    /// Its DAG.
    pub dag_id: DagId,
    /// Only runs with an earlier logical date count.
    pub before: DateTime<Utc>,
    /// Manual runs do not count, because the DAG catches up.
    pub without_manual: bool,
}

/// A question to the records: from what a deadline of a new run counts, as far as the run does not know it by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadlineQuestion {
    /// The run; goes back with the answer.
    pub run: RunKey,
    /// Its DAG.
    pub dag_id: DagId,
    /// The deadline's place among those of the DAG; goes back with the answer.
    pub place: u32,
    /// What is needed; goes back with the answer.
    pub needs: Needs,
}

/// A question to the records: how a run stands that is not in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunQuestion {
    /// Who waits for it; goes back with the answer.
    pub asker: TryKey,
    /// Its DAG.
    pub dag_id: DagId,
    /// Which of its runs.
    pub which: Which,
    /// The task of it whose instances matter.
    pub task_id: Option<TaskId>,
}

/// The answer to a [`RunQuestion`]; `None` when there is no such run.
pub type RunAnswer = Option<RunStanding>;

/// A flag of a DAG that the engine changes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DagFlags {
    /// The DAG.
    pub dag_id: DagId,
    /// How many of its runs in a row failed.
    pub failed_runs: u32,
    /// It is paused because those were too many; `false` changes nothing.
    pub pause: bool,
    /// The tasks of it that are switched off from now on, when that changed.
    pub disabled: Option<BTreeSet<TaskId>>,
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
