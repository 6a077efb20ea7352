//! What waits on the floor, and what it has to pass.

use chrono::{DateTime, Utc};

use crate::id::{DagId, PoolName, QueueName, RunKey, TaskId, TiKey};

/// Something that has room for so much at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gate {
    /// A DAG: shut while it is paused.
    Dag(DagId),
    /// A run: `max_active_tasks`.
    Run(RunKey),
    /// A task within a run: `max_active_tis_per_dagrun`.
    TaskInRun(RunKey, TaskId),
    /// A task over all runs: `max_active_tis_per_dag`.
    Task(DagId, TaskId),
    /// A pool.
    Pool(PoolName),
}

/// A task instance that wants to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub ti: TiKey,
    /// Its DAG, whose share it uses.
    pub dag_id: DagId,
    /// Its task, whose duration is known from history.
    pub task_id: TaskId,
    /// Its mapped index, or -1.
    pub map_index: i32,
    /// Its effective priority.
    pub priority: i32,
    /// The date of its run: the older run goes first.
    pub since: DateTime<Utc>,
    /// When it became ready.
    pub ready: DateTime<Utc>,
    /// How long it will probably take, in milliseconds; `None` has the floor ask its table of durations.
    pub expected: Option<u64>,
    /// How long the longest chain of tasks from it to the end of the run will probably take, itself included, in
    /// milliseconds; 0 when nobody worked it out, which counts as its own duration.
    pub path: u64,
    /// The queue it goes to.
    pub queue: QueueName,
    /// The gates it passes and the room it takes at each, in order: the pool comes last.
    pub gates: Vec<(Gate, u32)>,
}

impl Candidate {
    // A DAG's gate is open or shut: it has no room to take.
    pub(super) fn gates_with_room(&self) -> impl Iterator<Item = &(Gate, u32)> {
        self.gates.iter().filter(|(gate, _)| !matches!(gate, Gate::Dag(_)))
    }
}

/// Why an instance keeps some of its room although it is not in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sleep {
    /// It waits for a trigger: counts at its task's gates, and in pools that include deferred instances.
    Deferred,
    /// It waits for a person's answer: counts at its task's gates, never in a pool.
    AwaitingInput,
}

/// In whose name an instance waits: accounts share the room fairly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// Everybody's, when there is no fair share.
    Everyone,
    /// A DAG's.
    Dag(DagId),
    /// A team's: its DAGs share one account.
    Team(std::sync::Arc<str>),
}
