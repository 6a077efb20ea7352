//! Deadlines: moments by which a run should have ended, counted from something that is known of it.
//!
//! A deadline ends nothing. Who missed it is told, once, and the run says so. Source: Airflow 3.3.2 `models/deadline.py`, whose references
//! are `DAGRUN_QUEUED_AT` and `DAGRUN_LOGICAL_DATE`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{engine::record::RunRecord, span::Span};

/// Most deadlines of one DAG.
pub const MAX_DEADLINES: usize = 10;

/// By when runs of a DAG should have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// What it is called in messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The time that a run has.
    pub within: Span,
    /// Counted from here.
    #[serde(default)]
    pub from: Reference,
}

/// What a deadline counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// When the run was created, or queued again.
    #[default]
    Queued,
    /// Its logical date. A run without one has no such deadline, and neither has one of a backfill: its date has long passed.
    LogicalDate,
    /// When it started.
    Start,
}

impl Reference {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::Queued, Self::LogicalDate, Self::Start];
    /// Their names, in the same order.
    pub const NAMES: [&'static str; 3] =
        [Self::Queued.as_str(), Self::LogicalDate.as_str(), Self::Start.as_str()];

    /// Its name in DAG files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::LogicalDate => "logical_date",
            Self::Start => "start",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Queued => "it was queued",
            Self::LogicalDate => "its logical date",
            Self::Start => "it started",
        }
    }
}

impl Deadline {
    /// The moment for a run, as far as it is known.
    #[must_use]
    pub fn moment(&self, run: &Counted) -> Option<DateTime<Utc>> {
        let from = match self.from {
            Reference::Queued => Some(run.queued_at),
            Reference::LogicalDate => run.logical_date.filter(|_| !run.is_backfill),
            Reference::Start => run.started_at,
        };
        from?.checked_add_signed(self.within.delta())
    }

    /// What was missed, in words.
    #[must_use]
    pub fn words(&self, moment: DateTime<Utc>) -> String {
        let name = self.name.as_ref().map(|name| format!(" `{name}`")).unwrap_or_default();
        let (within, from) = (self.within, self.from.words());
        let at = moment.format("%Y-%m-%d %H:%M:%S UTC");
        format!("it had not ended by its deadline{name} at {at}, {within} after {from}")
    }
}

/// What is known of a run from which its deadlines count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// When it was created, or queued again.
    pub queued_at: DateTime<Utc>,
    /// Its logical date.
    pub logical_date: Option<DateTime<Utc>>,
    /// When it started.
    pub started_at: Option<DateTime<Utc>>,
    /// It belongs to a backfill.
    pub is_backfill: bool,
}

impl From<&RunRecord> for Counted {
    fn from(run: &RunRecord) -> Self {
        Self {
            queued_at: run.queued_at,
            logical_date: run.logical_date,
            started_at: run.started_at,
            is_backfill: run.backfill.is_some(),
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
    /// The moment.
    pub deadline: DateTime<Utc>,
}
