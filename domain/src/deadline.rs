//! Deadlines: moments by which a run should have ended, counted from something that is known of it.
//!
//! A deadline ends nothing. Who missed it is told, once, and the run says so. Source: Airflow 3.3.2 `models/deadline.py`,
//! `serialization/definitions/deadline.py`.

mod basis;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

pub use self::basis::{Basis, Found, Needs};
use crate::{engine::record::RunRecord, id::RunKey, span::Span};

/// Most deadlines of one DAG.
pub const MAX_DEADLINES: usize = 10;
/// Most runs of which an average is taken.
pub const MAX_AVERAGED: u32 = 1_000;
/// Of how many runs an average is taken where nothing else is said. Source: Airflow's `AverageRuntimeDeadline.DEFAULT_LIMIT`.
pub const USUAL_AVERAGED: u32 = 10;

/// By when runs of a DAG should have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// What it is called in messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The time that a run has.
    pub within: Interval,
    /// Counted from here.
    #[serde(default)]
    pub from: Reference,
    /// What an Airflow DAG file has called when it is missed, instead of the DAG's notifications. The deadline then follows Airflow's
    /// rules: see [`Deadline::is_airflows`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<Box<Callback>>,
}

/// The time that a run has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Interval {
    /// So much after what is counted from.
    After(Span),
    /// So much before: Airflow's intervals may be negative.
    Before {
        /// How much.
        before: Span,
    },
    /// As many seconds as a variable says when the run is created. Source: Airflow's `VariableInterval`.
    Variable {
        /// Its key.
        variable: String,
    },
}

/// What a deadline counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// When the run was created, or queued again.
    #[default]
    Queued,
    /// Its logical date. A run without one has no such deadline, and neither has one of a backfill, whose date has long passed: but for
    /// a deadline of Airflow's, which does not tell the two apart.
    LogicalDate,
    /// When it started.
    Start,
    /// When a run would end that was created when this one was, and takes as long as the last ones took that succeeded.
    AverageRuntime {
        /// The average is taken of the last runs, at most so many.
        max_runs: u32,
        /// While there are fewer, there is no deadline.
        min_runs: u32,
    },
    /// The same moment for all runs.
    At(DateTime<Utc>),
}

/// A callable of a DAG file or of a module. Source: Airflow 3.3.2 `sdk/definitions/callback.py`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// Module and name, with dots.
    pub path: String,
    /// What it is given besides the context, as Airflow's `sdk/serde` writes it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub kwargs: Map<String, Value>,
    /// It is awaited: Airflow's `AsyncCallback`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_async: bool,
}

impl Interval {
    fn delta(&self, basis: Option<&Basis>) -> Option<TimeDelta> {
        match self {
            Self::After(span) => Some(span.delta()),
            Self::Before { before } => Some(-before.delta()),
            Self::Variable { .. } => TimeDelta::try_seconds(basis?.seconds?),
        }
    }
}

impl Reference {
    const fn words(self) -> &'static str {
        match self {
            Self::Queued => "it was queued",
            Self::LogicalDate => "its logical date",
            Self::Start => "it started",
            Self::AverageRuntime { .. } => "its usual end",
            Self::At(_) => "a fixed moment",
        }
    }
}

impl Deadline {
    /// It was written in Python, and follows Airflow's rules: only success keeps a run from missing it, it is missed once and never anew, its time is not counted anew when the run
    /// is cleared (but when it counts from the queueing), and a run that succeeded in time has it behind itself for good.
    #[must_use]
    pub const fn is_airflows(&self) -> bool {
        self.callback.is_some()
    }

    /// The moment for a run, as far as it is known. `place` is that among the deadlines of its DAG.
    #[must_use]
    pub fn moment(&self, place: u32, run: &Counted<'_>) -> Option<DateTime<Utc>> {
        let basis = Basis::at(run.bases, place);
        if basis.is_some_and(|basis| basis.is_met) {
            return None;
        }
        let from = match self.from {
            Reference::Queued => Some(run.queued_at),
            Reference::LogicalDate => run.logical_date.filter(|_| !run.is_backfill || self.is_airflows()),
            Reference::Start => run.started_at,
            Reference::AverageRuntime { .. } => basis?.usual_end,
            Reference::At(moment) => Some(moment),
        };
        from?.checked_add_signed(self.within.delta(basis)?)
    }

    /// The moment, when it is the same for all runs.
    #[must_use]
    pub fn fixed(&self) -> Option<DateTime<Utc>> {
        match self.from {
            Reference::At(at) => at.checked_add_signed(self.within.delta(None)?),
            Reference::Queued
            | Reference::LogicalDate
            | Reference::Start
            | Reference::AverageRuntime { .. } => None,
        }
    }

    /// Whether the moment stays the same when the run begins anew.
    #[must_use]
    pub const fn is_lasting(&self) -> bool {
        match self.from {
            Reference::LogicalDate | Reference::At(_) => true,
            Reference::Queued | Reference::Start | Reference::AverageRuntime { .. } => self.is_airflows(),
        }
    }

    /// What was missed, in words.
    #[must_use]
    pub fn words(&self, moment: DateTime<Utc>) -> String {
        let name = self.name.as_ref().map(|name| format!(" `{name}`")).unwrap_or_default();
        let at = moment.format("%Y-%m-%d %H:%M:%S UTC");
        let is_the_moment =
            matches!(self.from, Reference::At(_)) && self.within == Interval::After(Span::from_millis(0));
        let counted = if is_the_moment { String::new() } else { format!(", {}", self.counted()) };
        let done = if self.is_airflows() { "succeeded" } else { "ended" };
        format!("it had not {done} by its deadline{name} at {at}{counted}")
    }

    /// What it counts from, in words: `30m after it was queued`.
    #[must_use]
    pub fn counted(&self) -> String {
        let from = self.from.words();
        match &self.within {
            Interval::After(span) => format!("{span} after {from}"),
            Interval::Before { before } => format!("{before} before {from}"),
            Interval::Variable { variable } => {
                format!("as many seconds after {from} as the variable `{variable}` says")
            }
        }
    }
}

/// What is known of a run from which its deadlines count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted<'a> {
    /// When it was created, or queued again.
    pub queued_at: DateTime<Utc>,
    /// Its logical date.
    pub logical_date: Option<DateTime<Utc>>,
    /// When it started.
    pub started_at: Option<DateTime<Utc>>,
    /// It belongs to a backfill.
    pub is_backfill: bool,
    /// What was found out when it was created.
    pub bases: &'a [Basis],
}

impl<'a> From<&'a RunRecord> for Counted<'a> {
    fn from(run: &'a RunRecord) -> Self {
        Self {
            queued_at: run.queued_at,
            logical_date: run.logical_date,
            started_at: run.started_at,
            is_backfill: run.backfill.is_some(),
            bases: &run.bases,
        }
    }
}

/// A deadline that a run has missed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// Its place among those of the DAG.
    pub place: u32,
    /// What it was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The moment. Of a run that has failed it may be one to come.
    pub deadline: DateTime<Utc>,
}

/// What programs call a deadline of a run by. Airflow's are rows with an id each; here the id says of which run and which deadline it is.
#[must_use]
pub fn id(run: RunKey, place: u32) -> Uuid {
    numbered(run.0, place)
}

/// What programs call a deadline of a version of a DAG by.
#[must_use]
pub fn alert_id(version_number: i32, place: u32) -> Uuid {
    numbered(i64::from(version_number), place)
}

fn numbered(of: i64, place: u32) -> Uuid {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&of.to_be_bytes());
    bytes[12..].copy_from_slice(&place.to_be_bytes());
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
