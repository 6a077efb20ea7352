//! What the engine decides. The shell writes a batch of decisions in one transaction, then acts on the rest.

use super::backfill::{BackfillRecord, DateRecord, NewBackfill, Recall, Survey};
use super::durations::DurationRecord;
use super::record::{
    AssetCursorRecord, AssetEventRecord, AuditRecord, ClosingRecord, Consumption, CursorRecord, DagFlags,
    DeadlineQuestion, DeferralRecord, PartitionEnd, PartitionEvent, PartitionRecord, PastQuestion,
    QuestionRecord, QueuedAsset, ResumptionRecord, RunQuestion, RunRecord, TiRecord, TryRecord, XComRecord,
};
use crate::{
    alert::{AlertRecord, Withdrawn},
    id::{DagId, QueueName, RunId, RunKey, TaskId, TiKey, TryKey},
    state::{RunState, TaskState},
};
use chrono::{DateTime, Utc};

/// Everything that one turn decided, each entity at most once, in its final form.
///
/// Everything down to `audit` is written in one transaction, in the order of the fields; then `ready`, `stop` and
/// `changed` are handed to the queue and `questions` are answered. All of it is recomputed if the transaction fails.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decisions {
    /// Runs to insert.
    pub runs_created: Vec<RunRecord>,
    /// Runs to update.
    pub runs_changed: Vec<Expected<RunRecord, RunState>>,
    /// Task instances to insert.
    pub tis_created: Vec<TiRecord>,
    /// Task instances to update.
    pub tis_changed: Vec<Expected<TiRecord, Persisted>>,
    /// Tries to add to the history.
    pub tries: Vec<TryRecord>,
    /// Task instances whose XComs are to be deleted, because they run again.
    pub xcoms_cleared: Vec<(RunKey, TaskId, i32)>,
    /// XComs to write; replaces the one of the same key.
    pub xcoms: Vec<XComRecord>,
    /// Questions to insert, none of which was there before.
    pub questions_asked: Vec<QuestionRecord>,
    /// Questions that end. All of them were open, or are asked in the same turn.
    pub questions_closed: Vec<ClosingRecord>,
    /// What instances leave for triggers and for people; replaces what they left for earlier ones.
    pub deferrals: Vec<DeferralRecord>,
    /// With what instances go on that have waited for a trigger or for people. Each has left something, here or before.
    pub resumptions: Vec<ResumptionRecord>,
    /// Instances of which nothing is left of a deferral.
    pub deferrals_closed: Vec<TiKey>,
    /// Backfills to insert, with all their dates.
    pub backfills_created: Vec<NewBackfill>,
    /// Backfills to update. None of them was over before.
    pub backfills_changed: Vec<BackfillRecord>,
    /// Dates of backfills that are done with. None of them was before. The runs of those that are reprocessed belong to the
    /// backfill from now on: its number, its type and its conf, if it has one, are theirs.
    pub dates: Vec<DateRecord>,
    /// Asset events to insert, in the order of their numbers. What they say about their assets and aliases counts where nothing else is
    /// recorded of these.
    pub asset_events: Vec<AssetEventRecord>,
    /// Assets that are queued for DAGs from now on, or no longer.
    pub assets_queued: Vec<QueuedAsset>,
    /// What new runs consume of the asset events.
    pub consumed: Vec<Consumption>,
    /// Partitions that wait from now on, or no longer.
    pub partitions: Vec<PartitionRecord>,
    /// The events of these that waiting partitions have heard of.
    pub partition_events: Vec<PartitionEvent>,
    /// What becomes of the events that partitions have heard of, in this order.
    pub partition_ends: Vec<PartitionEnd>,
    /// How far DAGs have consumed asset events.
    pub asset_cursors: Vec<AssetCursorRecord>,
    /// Schedules that moved on, each once.
    pub cursors: Vec<CursorRecord>,
    /// Flags of DAGs that changed.
    pub dags: Vec<DagFlags>,
    /// What was learned of how long tasks take: replaces what is recorded of the same task.
    pub durations: Vec<DurationRecord>,
    /// Messages that are due, none of which was there before.
    pub alerts: Vec<AlertRecord>,
    /// Messages that are not due any more: to delete, unless they were sent.
    pub alerts_withdrawn: Vec<Withdrawn>,
    /// Lines for the audit log.
    pub audit: Vec<AuditRecord>,

    /// Tries to push to the ready queue.
    pub ready: Vec<Ready>,
    /// Tries whose processes are to be stopped.
    pub stop: Vec<TryKey>,
    /// Runs that pages may want to show anew.
    pub changed: Vec<(DagId, RunId)>,
    /// What the records are to be asked, once these decisions are written; each answer is an [`super::event::Event::Past`].
    pub questions: Vec<PastQuestion>,
    /// The runs that are waited for and not in memory; each answer is an [`super::event::Event::Other`].
    pub lookups: Vec<RunQuestion>,
    /// What deadlines of new runs count from; each answer is an [`super::event::Event::Measured`].
    pub measures: Vec<DeadlineQuestion>,
    /// More questions: which dates have runs; each answer is an [`super::event::Event::Surveyed`].
    pub surveys: Vec<Survey>,
    /// More questions: runs that are to run again; each answer is an [`super::event::Event::Recalled`].
    pub recalls: Vec<Recall>,
}

/// A new form of a record, and what the record must still be for it to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected<T, E> {
    /// The new form.
    pub new: T,
    /// What the record was when it was last read or written.
    pub old: E,
}

/// The part of a task instance's record that a change is conditional on.
///
/// A record that the engine knows as queued may meanwhile be running: the worker's claim is the one change that is not
/// the engine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Persisted {
    /// Its state.
    pub state: TaskState,
    /// Its try number.
    pub try_number: u32,
}

/// A try to push to the ready queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The queue.
    pub queue: QueueName,
    /// The try.
    pub attempt: TryKey,
    /// When it was released: whoever was released earlier starts earlier. Of one moment, the order of the list counts.
    pub released_at: DateTime<Utc>,
}

impl Decisions {
    /// Nothing was decided.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.is_clean()
            && self.ready.is_empty()
            && self.stop.is_empty()
            && self.changed.is_empty()
            && !self.asks()
    }

    /// The records are asked something.
    #[must_use]
    pub const fn asks(&self) -> bool {
        !self.questions.is_empty()
            || !self.lookups.is_empty()
            || !self.measures.is_empty()
            || !self.surveys.is_empty()
            || !self.recalls.is_empty()
    }

    /// Nothing is to be written.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.runs_created.is_empty()
            && self.runs_changed.is_empty()
            && self.tis_created.is_empty()
            && self.tis_changed.is_empty()
            && self.tries.is_empty()
            && self.xcoms_cleared.is_empty()
            && self.xcoms.is_empty()
            && self.questions_asked.is_empty()
            && self.questions_closed.is_empty()
            && self.deferrals.is_empty()
            && self.resumptions.is_empty()
            && self.deferrals_closed.is_empty()
            && self.backfills_created.is_empty()
            && self.backfills_changed.is_empty()
            && self.dates.is_empty()
            && self.asset_events.is_empty()
            && self.assets_queued.is_empty()
            && self.consumed.is_empty()
            && self.partitions.is_empty()
            && self.partition_events.is_empty()
            && self.partition_ends.is_empty()
            && self.asset_cursors.is_empty()
            && self.cursors.is_empty()
            && self.durations.is_empty()
            && self.dags.is_empty()
            && self.alerts.is_empty()
            && self.alerts_withdrawn.is_empty()
            && self.audit.is_empty()
    }
}
