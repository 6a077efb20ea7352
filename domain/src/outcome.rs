//! What a worker reports when a try has ended.

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{approval::Question, asset::OutletEvent, deferral::Deferral, id::TryKey, wait::TriggerRequest};

/// The XCom key of a task's result (Airflow's name).
pub const RETURN_VALUE: &str = "return_value";
/// The XCom key under which a task's choice among those behind it is kept (Airflow's name): `{"followed": [ids]}` when it
/// named whom to follow, `{"skipped": [ids]}` when it named whom to skip.
pub const CHOICE: &str = "skipmixin_key";
/// Most bytes of JSON that one try may leave as XComs.
pub const MAX_XCOM_BYTES: usize = 1 << 20;
/// The exit code by which a process says that it was skipped (Airflow's BashOperator default).
pub const SKIP_EXIT_CODE: i32 = 99;

/// The end of one try, as its worker saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which try it was.
    pub attempt: TryKey,
    /// How it ended.
    pub result: TryResult,
    /// When the worker claimed it.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// Who ran it.
    pub worker: Uuid,
    /// The process's exit code, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// In words, for people: why it failed or was skipped. At most a few lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the instance is called beside its index, by its task's `map_index_template`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendered_map_index: Option<String>,
    /// What it left for others, by key; that of a try that failed is kept until the next one begins.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub xcoms: IndexMap<String, Value>,
    /// What it says of the assets that it made; kept only on success.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asset_events: Vec<OutletEvent>,
    /// How often a worker had looked under this try number when this one began ([`crate::wait::Wait::pokes`]); the report counts only
    /// if that is still so. `None` when its worker does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pokes: Option<u32>,
    /// The run that it asks for, with [`TryResult::Deferred`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Box<TriggerRequest>>,
    /// The question that it puts to people, with [`TryResult::Deferred`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<Box<Question>>,
    /// The trigger that it waits for, or the question with whose answer it goes on, with [`TryResult::Deferred`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferral: Option<Box<Deferral>>,
    /// When it looks again, with [`TryResult::Rescheduled`] of a task that says so itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_at: Option<DateTime<Utc>>,
}

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TryResult {
    /// It did what it should.
    Success,
    /// It failed and may be retried.
    Failed,
    /// It failed in a way that a retry cannot mend, for example an unknown connection.
    FailedForGood,
    /// It said that there was nothing to do.
    Skipped,
    /// The worker gave it back unharmed before it began, because it was draining.
    Returned,
    /// What it looked for is not there yet: it looks again later, under the same number (Airflow's `AirflowRescheduleException`).
    Rescheduled,
    /// Its worker has done its part, and the engine goes on with it.
    Deferred,
    /// It did what it should, and the condition of its loop does not hold: another round follows ([`crate::repeat`]).
    Again,
}
