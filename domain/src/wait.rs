//! Waiting without a worker: what a task may wait for, and what the records keep while it does.
//!
//! A moment, a delay and another DAG's run are watched by the engine itself. A file, an answer of a server and a row are looked for by a
//! worker now and then: a short try that says "not yet" and is taken up again under the same number, as Airflow's sensors in mode
//! `reschedule` do. What a triggered run comes to is watched by the engine again.

mod record;

use chrono::{DateTime, Days, NaiveDateTime, NaiveTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    id::{DagId, RunId, TaskId},
    span::Span,
    state::TaskState,
    timetable::first_at,
};

pub use self::record::{Awaited, Heard, OtherRun, RunStanding, Wait, Which, answer_of};

/// How long a task waits unless it says otherwise. Source: Airflow 3.3.2 `[sensors] default_timeout`.
pub const TIMEOUT: Span = Span::from_secs(7 * 86_400);
/// The pause between two looks unless the task says otherwise. Source: Airflow's `BaseSensorOperator`.
pub const POKE_INTERVAL: Span = Span::from_secs(60);
/// So many runs may have been triggered one by the other: DAGs that trigger each other in a circle come to an end.
pub const MAX_DEPTH: u32 = 32;
/// The XCom that names the triggered run (Airflow's name).
pub const TRIGGER_RUN_ID: &str = "trigger_run_id";
/// The XCom that names the DAG of the triggered run.
pub const TRIGGER_DAG_ID: &str = "trigger_dag_id";

/// A task that waits for something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaitFor {
    /// For what.
    pub until: Until,
    /// Counted from its beginning; then it has failed, and is not tried again.
    pub timeout: Span,
    /// It is skipped where it would fail.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub soft_fail: bool,
    /// How often a worker looks.
    #[serde(default)]
    pub poke: Poke,
}

/// What a task waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// A moment, or a time of the day.
    Time(Clock),
    /// So long, from when its dependencies are met.
    For(Span),
    /// A run of a DAG, or a task of it.
    Dag(OtherDag),
    /// A file; a template, relative to the DAG file's folder.
    File(String),
    /// An answer of a server.
    Http {
        /// The connection that gives host, credentials and headers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        conn_id: Option<String>,
        /// The whole URL, or the path when a connection is named; a template.
        url: String,
        /// Its status; otherwise every one below 400 will do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// A text that its body contains; a template.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contains: Option<String>,
    },
    /// A first row whose first value is neither empty, zero nor false.
    Sql {
        /// The connection; a template.
        conn_id: String,
        /// The query; a template.
        sql: String,
    },
}

impl Until {
    /// A worker looks for it; everything else the engine watches itself.
    #[must_use]
    pub const fn is_poked(&self) -> bool {
        match self {
            Self::Time(_) | Self::For(_) | Self::Dag(_) => false,
            Self::File(_) | Self::Http { .. } | Self::Sql { .. } => true,
        }
    }

    /// Airflow's name of the same thing.
    #[must_use]
    pub const fn class_name(&self) -> &'static str {
        match self {
            Self::Time(Clock::Daily(_)) => "TimeSensor",
            Self::Time(Clock::At(_) | Clock::Local(_)) => "DateTimeSensor",
            Self::For(_) => "WaitSensor",
            Self::Dag(_) => "ExternalTaskSensor",
            Self::File(_) => "FileSensor",
            Self::Http { .. } => "HttpSensor",
            Self::Sql { .. } => "SqlSensor",
        }
    }
}

/// How often a worker looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poke {
    /// The pause between two looks.
    pub interval: Span,
    /// Each pause is twice as long as the one before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exponential_backoff: bool,
    /// No pause is longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_wait: Option<Span>,
}

impl Default for Poke {
    fn default() -> Self {
        Self { interval: POKE_INTERVAL, exponential_backoff: false, max_wait: None }
    }
}

impl Poke {
    /// The pause after so many looks, counted from 1.
    #[must_use]
    pub fn pause(&self, pokes: u32) -> Span {
        let factor = if self.exponential_backoff { 1_u64 << pokes.saturating_sub(1).min(32) } else { 1 };
        let pause = Span::from_millis(self.interval.as_millis().saturating_mul(factor));
        self.max_wait.map_or(pause, |most| pause.min(most))
    }
}

/// A moment as a DAG file names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// This moment.
    At(DateTime<Utc>),
    /// When the clock of the DAG's zone first reads this, or something later where it leaves this out.
    Local(NaiveDateTime),
    /// The first time that it reads this at or after a run's data interval's end.
    Daily(NaiveTime),
}

impl Clock {
    /// The moment, for a run that counts from `from`.
    #[must_use]
    pub fn moment(self, zone: Tz, from: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(moment) => moment,
            Self::Local(reading) => first_at(zone, reading),
            Self::Daily(time) => {
                let today = from.with_timezone(&zone).date_naive();
                let days = (0..3).filter_map(|days| today.checked_add_days(Days::new(days)));
                let moments = days.map(|day| first_at(zone, day.and_time(time)));
                moments.into_iter().find(|moment| *moment >= from).unwrap_or(from)
            }
        }
    }
}

/// A run of a DAG by its logical date, or a task of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherDag {
    /// The DAG.
    pub dag_id: DagId,
    /// The task; without one the run is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// The ends that are waited for.
    pub states: Vec<TaskState>,
    /// The ends with which the wait has failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_states: Vec<TaskState>,
    /// The run whose logical date is so much earlier than that of the run that waits. Source: Airflow's `execution_delta`.
    #[serde(default = "none", skip_serializing_if = "is_none")]
    pub offset: Span,
    /// The run of this logical date instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logical_date: Option<Clock>,
}

const fn none() -> Span {
    Span::from_secs(0)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_none(span: &Span) -> bool {
    span.as_millis() == 0
}

impl OtherDag {
    /// The run that a run with this date waits for.
    #[must_use]
    pub fn of(&self, zone: Tz, date: DateTime<Utc>) -> OtherRun {
        let date = self.logical_date.map_or(date - self.offset.delta(), |clock| clock.moment(zone, date));
        OtherRun {
            dag_id: self.dag_id.clone(),
            which: Which::Date(date),
            task_id: self.task_id.clone(),
            states: self.states.clone(),
            failed_states: self.failed_states.clone(),
        }
    }
}

/// A task that starts a run of a DAG. Its texts are templates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerDag {
    /// The DAG.
    pub dag_id: String,
    /// The run's conf.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub conf: Map<String, Value>,
    /// The run's name; made up when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The run's logical date; without one it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logical_date: Option<String>,
    /// What follows.
    #[serde(default)]
    pub then: AfterTrigger,
}

/// What a task does about the run that it starts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AfterTrigger {
    /// It waits for the run's end, without a worker.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wait_for_completion: bool,
    /// The ends of the run that are a success of the task.
    #[serde(default)]
    pub allowed_states: Vec<TaskState>,
    /// The ends of the run that are a failure of the task; with any other it goes on waiting.
    #[serde(default)]
    pub failed_states: Vec<TaskState>,
    /// It is skipped when there is a run of that name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_when_already_exists: bool,
    /// A run of that name runs again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset_dag_run: bool,
    /// The task of the run whose result becomes the result of this one; only with `wait_for_completion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<TaskId>,
}

/// A run that a task asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriggerRequest {
    /// Of which DAG.
    pub dag_id: DagId,
    /// Its name; made up when not given.
    #[serde(default)]
    pub run_id: Option<RunId>,
    /// Its logical date, if it has one.
    #[serde(default)]
    pub logical_date: Option<DateTime<Utc>>,
    /// What it is given.
    #[serde(default)]
    pub conf: Map<String, Value>,
    /// What follows.
    pub then: AfterTrigger,
}
