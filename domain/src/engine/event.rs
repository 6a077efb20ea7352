//! What the engine is told.

use uuid::Uuid;

use super::record::{DagRecord, PoolRecord, RunSnapshot, WorkerRecord};
use crate::{
    id::{DagId, TryKey},
    intent::Intent,
    outcome::Outcome,
};

/// Something happened. Events change the engine's memory; what follows from them is asked for with `poll`.
#[derive(Debug, Clone)]
pub enum Event {
    /// A DAG was loaded, changed, paused, unpaused, or its file went away.
    Dag(Box<DagRecord>),
    /// These are now all DAGs, and whether each is paused. A DAG that is not among them was deleted with its history.
    Flags(Vec<(DagId, bool)>),
    /// These are now all pools.
    Pools(Vec<PoolRecord>),
    /// These are now all live workers.
    Workers(Vec<WorkerRecord>),
    /// A run that the engine did not hold in memory, because an intent is about it.
    Run(Box<RunSnapshot>),
    /// A worker reports the end of a try.
    Outcome(Box<Outcome>),
    /// A person or a program asks for something.
    Intent(Box<Intent>),
    /// A worker's lease has expired; these tries were running on it.
    WorkerLost {
        /// The worker.
        worker: Uuid,
        /// What it was running.
        tries: Vec<TryKey>,
    },
}
