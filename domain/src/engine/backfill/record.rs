//! What is recorded of backfills, and what the engine asks the records about them.

use chrono::{DateTime, Utc};

use crate::{
    backfill::{BackfillId, Date, Deed, Order},
    id::{DagId, RunId, RunKey},
    state::RunState,
};

/// A run's place in the backfill that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The backfill.
    pub id: BackfillId,
    /// The number of its date in the order in which they run, from 0.
    pub ordinal: u32,
}

/// A backfill.
#[derive(Debug, Clone, PartialEq)]
pub struct BackfillRecord {
    /// Its number.
    pub id: BackfillId,
    /// What was asked for.
    pub order: Order,
    /// Who asked.
    pub by: String,
    /// No new run of it starts. True of one that was cancelled, as in Airflow.
    pub is_paused: bool,
    /// It was ended before all its dates had run.
    pub is_cancelled: bool,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last paused, let go on, cancelled or completed.
    pub updated_at: DateTime<Utc>,
    /// When its last run ended, or it was cancelled.
    pub completed_at: Option<DateTime<Utc>>,
}

/// A backfill to insert.
#[derive(Debug, Clone, PartialEq)]
pub struct NewBackfill {
    /// The backfill.
    pub record: BackfillRecord,
    /// Its dates in the order in which they run; the place of each is its ordinal.
    pub dates: Vec<Date>,
}

/// A date of a backfill that is done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateRecord {
    /// Whose date.
    pub place: Place,
    /// What became of it.
    pub deed: Deed,
    /// Its run; `None` when that was left alone.
    pub run: Option<RunKey>,
}

/// A backfill that is not over, with what is left of it.
#[derive(Debug, Clone)]
pub struct BackfillSnapshot {
    /// The backfill.
    pub record: BackfillRecord,
    /// Its dates that are not done with, by their ordinals.
    pub waiting: Vec<(u32, Date)>,
}

/// A question to the records: which of the dates of a backfill that are not done with have runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The backfill; goes back with the answer.
    pub backfill: BackfillId,
    /// Its DAG.
    pub dag_id: DagId,
}

/// A run that a date has already: one of its logical date, the one of its partition that started last, or one that is called as its own
/// would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The date.
    pub ordinal: u32,
    /// The run.
    pub run_id: RunId,
    /// Its state.
    pub state: RunState,
}

/// A question to the records: the whole of a run that has ended and is to run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recall {
    /// The backfill and the date; goes back with the answer.
    pub place: Place,
    /// Its DAG.
    pub dag_id: DagId,
    /// The run.
    pub run_id: RunId,
}
