//! What the record of an instance says while it waits.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    approval::Terms,
    id::{DagId, RunId, TaskId},
    state::{RunState, TaskState},
};

/// An instance's wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// For what.
    pub until: Awaited,
    /// From when.
    pub since: DateTime<Utc>,
    /// It has taken too long then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<DateTime<Utc>>,
    /// How often a worker has looked, or has left it to a trigger or to people, under this try number; fences what workers, triggers and people say
    /// of it.
    #[serde(default)]
    pub pokes: u32,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Awaited {
    /// This moment.
    Time(DateTime<Utc>),
    /// The end of a run, or of a task in it.
    Run(OtherRun),
    /// What a worker looks for.
    Poke,
    /// A person's answer on these terms.
    Answer(Box<Terms>),
    /// The same for a task that goes on with the answer ([`crate::deferral`]); and while a worker goes on after it.
    Input(Box<Terms>),
    /// The word of a trigger ([`crate::deferral`]); and while a worker goes on after it.
    Trigger {
        /// Its class.
        classpath: String,
    },
}

/// Another run, and the ends of it that count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherRun {
    /// Its DAG.
    pub dag_id: DagId,
    /// Which of its runs.
    pub which: Which,
    /// The task; without one the run itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// The ends that are waited for.
    pub states: Vec<TaskState>,
    /// The ends with which the wait has failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_states: Vec<TaskState>,
}

/// Which run of a DAG.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// That of a logical date; it need not exist yet.
    Date(DateTime<Utc>),
    /// That of this name, which existed when the wait began.
    Id(RunId),
}

/// How a run stands, as far as somebody waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStanding {
    /// Its state.
    pub state: RunState,
    /// The states of the instances of the task that is waited for; `None` when it has no such task, or none is waited for.
    pub tasks: Option<Vec<TaskState>>,
}

/// What a run's end means for who waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// It is what was waited for.
    Met,
    /// The wait has failed.
    Failed(String),
}

impl OtherRun {
    /// What a run's standing means, if that is decided.
    #[must_use]
    pub fn judge(&self, standing: &RunStanding) -> Option<Heard> {
        let Some(task_id) = &self.task_id else {
            let state = ended(standing.state)?;
            return self.verdict(&[state]);
        };
        match &standing.tasks {
            Some(states) => self.verdict(states),
            None => Some(Heard::Failed(format!("DAG `{}` has no task `{task_id}`", self.dag_id))),
        }
    }

    fn verdict(&self, states: &[TaskState]) -> Option<Heard> {
        let bad = states.iter().find(|state| self.failed_states.contains(state));
        if let Some(state) = bad {
            return Some(Heard::Failed(format!("{} ended as {state}", self.words())));
        }
        let all = !states.is_empty() && states.iter().all(|state| self.states.contains(state));
        all.then_some(Heard::Met)
    }

    /// What is waited for, in words.
    #[must_use]
    pub fn words(&self) -> String {
        let run = match &self.which {
            Which::Date(date) => format!("the run of {} of DAG `{}`", said(*date), self.dag_id),
            Which::Id(run_id) => format!("run `{run_id}` of DAG `{}`", self.dag_id),
        };
        self.task_id.as_ref().map_or(run.clone(), |task_id| format!("task `{task_id}` in {run}"))
    }
}

impl Wait {
    /// What is waited for, and until when, in words.
    #[must_use]
    pub fn words(&self) -> String {
        let latest = self.deadline.map(|at| format!(", until {} at the latest", said(at)));
        let latest = latest.unwrap_or_default();
        match &self.until {
            Awaited::Time(at) => format!("waits until {}", said(*at)),
            Awaited::Run(run) => {
                let states: Vec<&str> = run.states.iter().map(|state| state.as_str()).collect();
                format!("waits for {} to be {}{latest}", run.words(), states.join(" or "))
            }
            Awaited::Poke => format!("looked {} times without success{latest}", self.pokes),
            Awaited::Answer(terms) | Awaited::Input(terms) => {
                format!("waits for {}{latest}", answer_of(&terms.assigned_users))
            }
            Awaited::Trigger { classpath } => format!("waits for the trigger {classpath}{latest}"),
        }
    }

    /// The records keep with what the task goes on afterwards.
    #[must_use]
    pub const fn is_deferral(&self) -> bool {
        match &self.until {
            Awaited::Trigger { .. } | Awaited::Input(_) => true,
            Awaited::Time(_) | Awaited::Run(_) | Awaited::Poke | Awaited::Answer(_) => false,
        }
    }

    /// When it ends by the clock, if nothing else happens. Looks of a worker are not meant.
    #[must_use]
    pub const fn ends_at(&self) -> Option<DateTime<Utc>> {
        match &self.until {
            Awaited::Time(at) => match self.deadline {
                Some(deadline) if deadline.timestamp_millis() < at.timestamp_millis() => Some(deadline),
                Some(_) | None => Some(*at),
            },
            Awaited::Run(_)
            | Awaited::Poke
            | Awaited::Answer(_)
            | Awaited::Input(_)
            | Awaited::Trigger { .. } => self.deadline,
        }
    }
}

/// Whose answer is waited for, in words.
#[must_use]
pub fn answer_of(users: &[String]) -> String {
    const SAID: usize = 3;
    let said: Vec<&str> = users.iter().take(SAID).map(String::as_str).collect();
    match (said.is_empty(), users.len().saturating_sub(SAID)) {
        (true, _) => "a person's answer".to_owned(),
        (false, 0) => format!("an answer by {}", said.join(" or ")),
        (false, more) => format!("an answer by {} or {more} more", said.join(", ")),
    }
}

fn said(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

const fn ended(state: RunState) -> Option<TaskState> {
    match state {
        RunState::Success => Some(TaskState::Success),
        RunState::Failed => Some(TaskState::Failed),
        RunState::Queued | RunState::Running => None,
    }
}
