//! Deferral: a task leaves its worker, and a trigger or people go on in its place until something happens (Airflow's deferrable operators,
//! and those with a human in the loop).
//!
//! A trigger is a piece of Python that waits beside many others in one process. What it says, or what people answer, wakes the task, under the
//! same try number, in a method of its operator that it has named. Source: Airflow 3.3.2 `sdk/exceptions.py` (`TaskDeferred`,
//! `TaskAwaitingInput`), `models/trigger.py`.

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    approval::{Question, Terms},
    id::TryKey,
    span::Span,
};

/// The method that fails the task in its own process, so that its callbacks run (Airflow's `TRIGGER_FAIL_REPR`).
pub const FAIL: &str = "__fail__";
/// Most bytes of JSON that one deferral, or one word of a trigger, may have.
pub const MAX_BYTES: usize = 1 << 20;
/// Longest name of a trigger's class.
pub const MAX_CLASSPATH: usize = 1_000;

/// What a task leaves behind when it defers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deferral {
    /// Who goes on in its place.
    pub to: LeftTo,
    /// When nothing was said or answered for so long, the task goes on with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// The method of the operator that goes on.
    pub next_method: String,
    /// What that method is given beside the event, as Airflow's serializer writes it.
    #[serde(default)]
    pub next_kwargs: Map<String, Value>,
}

/// Who goes on in the place of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftTo {
    /// A trigger.
    Trigger {
        /// Its class, as Python imports it.
        classpath: String,
        /// What it is made with, as Airflow's serializer writes it.
        #[serde(default)]
        kwargs: Map<String, Value>,
    },
    /// People, who are asked.
    People {
        /// What is asked.
        question: Question,
        /// What may be answered, and by whom.
        terms: Box<Terms>,
    },
}

impl LeftTo {
    /// Whether it can be recorded, and how many bytes it has.
    ///
    /// # Errors
    /// What is too long or missing, for people.
    pub fn check(&self) -> Result<usize, String> {
        match self {
            Self::Trigger { classpath, kwargs } => {
                if classpath.is_empty() || classpath.len() > MAX_CLASSPATH {
                    return Err(format!(
                        "the class of its trigger has a name of {} bytes; 1 to {MAX_CLASSPATH} are allowed",
                        classpath.len()
                    ));
                }
                Ok(size(kwargs))
            }
            Self::People { question, terms } => {
                let wrong = |reason: String| format!("its question cannot be put to people: {reason}");
                question.check().and_then(|()| terms.check()).map_err(wrong)?;
                Ok(serde_json::to_string(&terms.params).map_or(0, |text| text.len()))
            }
        }
    }
}

impl Deferral {
    /// Whether it can be recorded.
    ///
    /// # Errors
    /// What is too long, for people.
    pub fn check(&self) -> Result<(), String> {
        let size = self.to.check()? + size(&self.next_kwargs) + self.next_method.len();
        if size > MAX_BYTES {
            return Err(format!(
                "it defers with {size} bytes of arguments; at most {MAX_BYTES} are allowed: keep large values in files"
            ));
        }
        Ok(())
    }
}

fn size(map: &Map<String, Value>) -> usize {
    map.iter().map(|(key, value)| key.len() + value.to_string().len()).sum()
}

/// What became of a trigger, as the worker that holds it says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fired {
    /// The try that it waits for.
    pub attempt: TryKey,
    /// Which deferral of that try it is ([`crate::wait::Wait::pokes`]): a word about an earlier one is too late.
    pub number: u32,
    /// Who holds it.
    pub worker: Uuid,
    /// When it said so.
    pub at: DateTime<Utc>,
    /// What it said.
    pub word: Word,
}

/// What a trigger says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// What the task waits for has happened.
    Event(Value),
    /// It broke, or ended without an event; with the lines of its traceback, if there is one.
    Failed(Option<Vec<String>>),
    /// The task has ended, and no worker needs to go on with it. Source: Airflow's `BaseTaskEndEvent`.
    Ended {
        /// How.
        end: TaskEnd,
        /// What it leaves for others.
        #[serde(default)]
        xcoms: IndexMap<String, Value>,
    },
}

/// How a trigger ends its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskEnd {
    /// `TaskSuccessEvent`
    Success,
    /// `TaskFailedEvent`; it is tried again as after any failure.
    Failed,
    /// `TaskSkippedEvent`
    Skipped,
}

/// What wakes a task that has deferred.
#[derive(Debug, Clone, PartialEq)]
pub enum Resumption {
    /// Its trigger's event, or an answer in the form of one.
    Event(Value),
    /// Its trigger broke.
    Failed(Option<Vec<String>>),
    /// Its trigger took too long.
    TimedOut,
}

impl Resumption {
    /// The method that goes on and what it is given, where another one than the task has named. Source: Airflow 3.3.2 `models/trigger.py`
    /// (`submit_failure`, `TriggerFailureReason`) and `jobs/scheduler_job_runner.py` (`check_trigger_timeouts`).
    #[must_use]
    pub fn failure(&self) -> Option<Value> {
        match self {
            Self::Event(_) => None,
            Self::Failed(traceback) => Some(json!({"error": "Trigger failure", "traceback": traceback})),
            Self::TimedOut => Some(json!({"error": "Trigger timeout"})),
        }
    }
}
