//! What the engine is told.

use uuid::Uuid;

use super::{
    backfill::Found,
    record::{
        AdmissionRecord, DagRecord, DeadlineQuestion, PoolRecord, RunAnswer, RunSnapshot, Standing,
        WorkerRecord,
    },
};
use crate::{
    backfill::BackfillId,
    deadline,
    deferral::Fired,
    id::{DagId, RunKey, TryKey},
    intent::Intent,
    outcome::Outcome,
};

/// How long a try may be queued while a worker could claim it. Source: Airflow 3.3.2 `[scheduler] task_queued_timeout`.
pub const MAX_QUEUED: std::time::Duration = std::time::Duration::from_secs(600);

/// Something happened. Events change the engine's memory; what follows from them is asked for with `poll`.
#[derive(Debug, Clone)]
pub enum Event {
    /// A DAG was loaded, changed, paused, unpaused, or its file went away.
    Dag(Box<DagRecord>),
    /// These are now all DAGs, and whether each is paused. A DAG that is not among them was deleted with its history.
    Flags(Vec<(DagId, bool)>),
    /// These are now all pools.
    Pools(Vec<PoolRecord>),
    /// These are now the installation's rules of admission.
    Admission(Box<AdmissionRecord>),
    /// These are now all live workers.
    Workers(Vec<WorkerRecord>),
    /// A run that the engine did not hold in memory, because an intent is about it.
    Run(Box<RunSnapshot>),
    /// A worker reports the end of a try.
    Outcome(Box<Outcome>),
    /// What became of a trigger.
    Fired(Box<Fired>),
    /// A person or a program asks for something.
    Intent(Box<Intent>),
    /// The answer to a question of [`super::decision::Decisions::questions`]: how the run before this one ended, if there was one.
    Past {
        /// Who asked.
        run: RunKey,
        /// The answer.
        before: Option<Standing>,
    },
    /// The answer to a question of [`super::decision::Decisions::lookups`]: how the run stands that a try waits for.
    Other {
        /// Who asked.
        asker: TryKey,
        /// The answer.
        found: RunAnswer,
    },
    /// The answer to a question of [`super::decision::Decisions::measures`].
    Measured {
        /// The question.
        question: DeadlineQuestion,
        /// The answer.
        found: deadline::Found,
    },
    /// The answer to a question of [`super::decision::Decisions::surveys`].
    Surveyed {
        /// The DAG of the backfill.
        dag_id: DagId,
        /// The backfill that asked.
        backfill: BackfillId,
        /// The runs that its dates have; of several runs of one date the one that counts comes last.
        found: Vec<Found>,
    },
    /// The answer to a question of [`super::decision::Decisions::recalls`].
    Recalled {
        /// The DAG of the backfill.
        dag_id: DagId,
        /// The backfill that asked.
        backfill: BackfillId,
        /// The date that it is about.
        ordinal: u32,
        /// The run; none when it was deleted meanwhile.
        run: Option<Box<RunSnapshot>>,
    },
    /// These tries are still queued in the records [`MAX_QUEUED`] after they were handed to the ready queue, although a
    /// live worker of their queue has had a free slot: something keeps workers from claiming them.
    Unclaimed(Vec<TryKey>),
    /// A worker's lease has expired; these tries were running on it.
    WorkerLost {
        /// The worker.
        worker: Uuid,
        /// What it was running.
        tries: Vec<TryKey>,
    },
}
