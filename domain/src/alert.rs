//! Alerts: what other systems and people are told when a task or run ends, and by which channel.
//!
//! A DAG file asks for notifications by event ([`Alerts`]); the engine decides for each event which are due and gives them
//! out as [`AlertRecord`]s, part of the transaction that records the event. Sending them is somebody else's work.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    deadline,
    engine::record::{RunRecord, TiRecord},
    id::{DagId, RunId, RunKey, TaskId},
    state::TaskState,
};

/// Most notifications that one event of a task or DAG may ask for.
pub const MAX_NOTIFICATIONS: usize = 10;
/// Most recipients of one e-mail.
pub const MAX_RECIPIENTS: usize = 50;
/// Longest reason that an alert repeats, in characters.
const MAX_REASON: usize = 1_000;
/// Most failed tasks that the reason of a run names.
const MOST_NAMED: usize = 5;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertEvent {
    /// A try, or a run, succeeded.
    Success,
    /// A try failed and is the last one, or a run failed.
    Failure,
    /// A try failed and another one follows.
    Retry,
    /// A try skipped itself.
    Skipped,
    /// A run has missed a deadline.
    Deadline,
}

impl AlertEvent {
    /// All events, in the order of the documentation.
    pub const ALL: [Self; 5] = [Self::Success, Self::Failure, Self::Retry, Self::Skipped, Self::Deadline];

    /// What the state says that a try ended in.
    #[must_use]
    pub const fn of_try(state: TaskState) -> Option<Self> {
        match state {
            TaskState::Success => Some(Self::Success),
            TaskState::Failed => Some(Self::Failure),
            TaskState::UpForRetry => Some(Self::Retry),
            TaskState::Skipped => Some(Self::Skipped),
            TaskState::None
            | TaskState::Scheduled
            | TaskState::Queued
            | TaskState::Running
            | TaskState::Restarting
            | TaskState::UpForReschedule
            | TaskState::UpstreamFailed
            | TaskState::Removed
            | TaskState::Deferred
            | TaskState::AwaitingInput => None,
        }
    }

    /// Its name in records and payloads.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Retry => "retry",
            Self::Skipped => "skipped",
            Self::Deadline => "deadline",
        }
    }

    /// The key of a DAG file that asks for it.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Success => "on_success",
            Self::Failure => "on_failure",
            Self::Retry => "on_retry",
            Self::Skipped => "on_skipped",
            Self::Deadline => "on_deadline",
        }
    }
}

impl fmt::Display for AlertEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No event has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an event that alerts tell of")]
pub struct UnknownEvent(String);

impl FromStr for AlertEvent {
    type Err = UnknownEvent;

    fn from_str(name: &str) -> Result<Self, UnknownEvent> {
        Self::ALL
            .into_iter()
            .find(|event| event.as_str() == name)
            .ok_or_else(|| UnknownEvent(name.to_owned()))
    }
}

/// The notifications of a task or DAG, by event.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Alerts {
    /// When it succeeded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_success: Vec<Notification>,
    /// When it failed for good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_failure: Vec<Notification>,
    /// When a try failed and another one follows; never for a DAG.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_retry: Vec<Notification>,
    /// When a try skipped itself; never for a DAG.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_skipped: Vec<Notification>,
    /// When a run has missed a deadline; never for a task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_deadline: Vec<Notification>,
}

impl Alerts {
    /// The notifications of an event.
    #[must_use]
    pub fn of(&self, event: AlertEvent) -> &[Notification] {
        match event {
            AlertEvent::Success => &self.on_success,
            AlertEvent::Failure => &self.on_failure,
            AlertEvent::Retry => &self.on_retry,
            AlertEvent::Skipped => &self.on_skipped,
            AlertEvent::Deadline => &self.on_deadline,
        }
    }

    /// Nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        AlertEvent::ALL.iter().all(|event| self.of(*event).is_empty())
    }
}

/// One message by one channel. Texts are templates unless said otherwise; their names are the fields of [`Facts`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notification {
    /// A POST of the facts, or of a body of one's own.
    Webhook {
        /// The whole URL, or the path when a connection is named; not a template.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
        /// The connection that gives host, credentials and headers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        conn_id: Option<String>,
        /// Further headers; not templates.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        headers: IndexMap<String, String>,
        /// A text, or anything else sent as JSON; the facts unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<Value>,
    },
    /// A message to an incoming webhook as Slack has them.
    Slack {
        /// The whole URL; not a template.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
        /// The connection that gives the URL; its password is the secret part at the end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        conn_id: Option<String>,
        /// What is said; one line about the event unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    /// An e-mail.
    Email {
        /// The connection of the mail server.
        conn_id: String,
        /// The recipients; not templates.
        to: Vec<String>,
        /// One line about the event unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
        /// The facts as text unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<String>,
    },
    /// The callbacks that an Airflow DAG file has for the event: a child that reads the file runs them. Those of a task are run by the
    /// process of its try; this is for a try whose process did not come to that.
    Callback,
    /// What an Airflow DAG file has called when a run misses a deadline.
    DeadlineCallback {
        /// What the deadline is called by.
        id: Uuid,
        /// What is called.
        callback: Box<deadline::Callback>,
    },
}

impl Notification {
    /// The key of a DAG file that chooses the channel.
    #[must_use]
    pub const fn channel(&self) -> &'static str {
        match self {
            Self::Webhook { .. } => "webhook",
            Self::Slack { .. } => "slack",
            Self::Email { .. } => "email",
            Self::Callback | Self::DeadlineCallback { .. } => "callback",
        }
    }

    /// Where it goes, without anything secret: the connection's id, or the host of the URL. What goes to the same place is sent
    /// a few at a time.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            Self::Webhook { url, conn_id, .. } | Self::Slack { url, conn_id, .. } => match (conn_id, url) {
                (Some(conn_id), _) => conn_id.clone(),
                (None, url) => host(url.as_deref().unwrap_or_default()).to_owned(),
            },
            Self::Email { conn_id, .. } => conn_id.clone(),
            Self::Callback => "its DAG file".to_owned(),
            Self::DeadlineCallback { callback, .. } => callback.path.clone(),
        }
    }
}

/// Host and port of a URL, without the name and password that may stand in front of them.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

/// What an alert says: the documented payload of a webhook, apart from the link. All fields are always there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What happened.
    pub event: AlertEvent,
    /// When the engine decided so.
    pub at: DateTime<Utc>,
    /// The DAG.
    pub dag_id: DagId,
    /// Who looks after it.
    pub owner: String,
    /// The run.
    pub run_id: RunId,
    /// How the run came to be.
    pub run_type: String,
    /// The run's logical date, if it has one.
    pub logical_date: Option<DateTime<Utc>>,
    /// The task; none when it is about the run.
    pub task_id: Option<TaskId>,
    /// The task's mapped index, -1 when it is not mapped.
    pub map_index: Option<i32>,
    /// The number of the try.
    pub try_number: Option<u32>,
    /// It is tried again while `try_number <= max_tries`.
    pub max_tries: Option<u32>,
    /// The state that it is in now.
    pub state: String,
    /// Why, in words.
    pub reason: Option<String>,
    /// When the try, or the run, started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// When it is tried again.
    pub next_try_at: Option<DateTime<Utc>>,
    /// The deadline that was missed.
    #[serde(default)]
    pub deadline: Option<DateTime<Utc>>,
}

impl Facts {
    /// About the end of a try.
    #[must_use]
    pub fn of_try(event: AlertEvent, owner: &str, run: &RunRecord, ti: &TiRecord, at: DateTime<Utc>) -> Self {
        Self {
            task_id: Some(ti.task_id.clone()),
            map_index: Some(ti.map_index),
            try_number: Some(ti.try_number),
            max_tries: Some(ti.max_tries),
            state: ti.state.as_str().to_owned(),
            reason: ti.reason.as_deref().map(shortened),
            started_at: ti.started_at,
            ended_at: ti.ended_at,
            next_try_at: ti.next_try_at,
            ..Self::of_run(event, owner, run, None, at)
        }
    }

    /// About a run.
    #[must_use]
    pub fn of_run(
        event: AlertEvent,
        owner: &str,
        run: &RunRecord,
        reason: Option<&str>,
        at: DateTime<Utc>,
    ) -> Self {
        Self {
            event,
            at,
            dag_id: run.dag_id.clone(),
            owner: owner.to_owned(),
            run_id: run.run_id.clone(),
            run_type: run.run_type.as_str().to_owned(),
            logical_date: run.logical_date,
            task_id: None,
            map_index: None,
            try_number: None,
            max_tries: None,
            state: run.state.as_str().to_owned(),
            reason: reason.map(shortened),
            started_at: run.started_at,
            ended_at: run.ended_at,
            next_try_at: None,
            deadline: None,
        }
    }

    /// One line about the event, for subjects and messages.
    #[must_use]
    pub fn headline(&self) -> String {
        let subject = match (&self.task_id, self.map_index) {
            (Some(task_id), Some(index)) if index >= 0 => format!("task {task_id}[{index}]"),
            (Some(task_id), _) => format!("task {task_id}"),
            (None, _) => "run".to_owned(),
        };
        let what = match self.event {
            AlertEvent::Success => "succeeded",
            AlertEvent::Failure => "failed",
            AlertEvent::Retry => "failed and is tried again",
            AlertEvent::Skipped => "was skipped",
            AlertEvent::Deadline => "has missed its deadline",
        };
        format!("{}: {subject} {what} ({})", self.dag_id, self.run_id)
    }
}

/// One message that is due. Run, index, number, event and place together occur once.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertRecord {
    /// About which run.
    pub run: RunKey,
    /// About which of its instances; none when it is about the run.
    pub index: Option<u32>,
    /// The number of the try; for a run how often it was cleared before.
    pub number: u32,
    /// Its place among the notifications of the event.
    pub place: u32,
    /// Where it goes.
    pub notification: Notification,
    /// What it says.
    pub facts: Facts,
    /// It is not sent before; at once, unless given.
    pub not_before: Option<DateTime<Utc>>,
}

/// A message about a deadline of a run that is not due any more, because the run begins anew before its moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawn {
    /// About which run.
    pub run: RunKey,
    /// How often the run had been cleared.
    pub number: u32,
    /// Its place among the notifications of the event.
    pub place: u32,
}

/// Why a run failed whose tasks say so: their names, as far as they are not too many.
#[must_use]
pub fn failed_tasks<'a>(failed: impl Iterator<Item = &'a TaskId>) -> Option<String> {
    let mut named: Vec<String> = Vec::new();
    for task_id in failed {
        let name = format!("`{task_id}`");
        if named.last() == Some(&name) {
            continue;
        }
        if named.len() == MOST_NAMED {
            return Some(format!("{} and others failed", named.join(", ")));
        }
        named.push(name);
    }
    (!named.is_empty()).then(|| format!("{} failed", named.join(", ")))
}

fn shortened(reason: &str) -> String {
    let short: String = reason.chars().take(MAX_REASON).collect();
    if short.len() < reason.len() { short + "…" } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_goes_is_told_without_secrets() {
        let webhook = |url: &str, conn_id: Option<&str>| Notification::Webhook {
            url: Some(url.to_owned()),
            conn_id: conn_id.map(str::to_owned),
            headers: IndexMap::new(),
            body: None,
        };
        for (url, conn_id, target) in [
            ("https://me:secret@example.org:8443/hook/t0ken?key=1", None, "example.org:8443"),
            ("https://example.org?key=1", None, "example.org"),
            ("/path", Some("pager"), "pager"),
        ] {
            assert_eq!(webhook(url, conn_id).target(), target);
        }
    }

    #[test]
    fn a_few_failed_tasks_are_named() {
        let ids: Vec<TaskId> = ["a", "b", "b", "c", "d", "e", "f"].map(|id| id.parse().unwrap()).into();
        assert_eq!(failed_tasks(ids[..3].iter()).as_deref(), Some("`a`, `b` failed"));
        assert_eq!(failed_tasks(ids.iter()).as_deref(), Some("`a`, `b`, `c`, `d`, `e` and others failed"));
        assert_eq!(failed_tasks([].iter()), None);
    }
}
