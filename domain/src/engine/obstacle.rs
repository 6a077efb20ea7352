//! What keeps a task instance from starting: the question, the answer, and everything that can be in the way.
//!
//! An answer travels between processes as JSON, so every list in it has a limit.

mod words;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::floor::Policy;
use crate::{
    backfill::BackfillId,
    id::{DagId, PoolName, QueueName, RunId, TaskId},
    state::TaskState,
    trigger_rule::TriggerRule,
    wait::Wait,
};

/// At most this many tasks or runs that are waited for are named in one obstacle.
pub const NAMED: usize = 50;

/// Why does this task instance not run?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Its DAG.
    pub dag_id: DagId,
    /// Its run.
    pub run_id: RunId,
    /// Its task.
    pub task_id: TaskId,
    /// Its place among the instances of a mapped task, or -1.
    pub map_index: i32,
}

/// Where a task instance stands and what is in its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Its state.
    pub state: TaskState,
    /// The number of its current or last try; 0 before the first.
    pub try_number: u32,
    /// How far it has come.
    pub standing: Standing,
    /// Everything that keeps it from starting, in the order in which it is checked. Only one that waits has obstacles, and one that
    /// waits has at least one: when the last of them is gone it starts at once.
    pub obstacles: Vec<Obstacle>,
    /// Who answers.
    pub source: Source,
    /// The moment that the answer is about.
    pub at: DateTime<Utc>,
}

impl Answer {
    /// The same from an engine that was restored from a part of the records to be read: what only the memory of the one that
    /// decides knows is left out. When nobody leads, that is in the way before everything else.
    #[must_use]
    pub fn of_records(mut self, is_led: bool) -> Self {
        let is_memory =
            |obstacle: &Obstacle| matches!(obstacle, Obstacle::InLine { .. } | Obstacle::PoolReserved { .. });
        self.obstacles.retain(|obstacle| !is_memory(obstacle));
        if !is_led && self.standing == Standing::Waiting {
            self.obstacles.insert(0, Obstacle::NoScheduler);
        }
        self.source = Source::Records;
        self
    }
}

/// How far an instance has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Standing {
    /// It has not been handed out.
    Waiting,
    /// It is in the ready queue and goes to the next worker that has a free slot.
    HandedOut {
        /// The queue.
        queue: QueueName,
        /// Since when.
        since: Option<DateTime<Utc>>,
        /// A live worker listens to that queue.
        has_worker: bool,
    },
    /// A worker runs it.
    Running {
        /// Since when.
        since: Option<DateTime<Utc>>,
    },
    /// It has ended.
    Ended,
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The scheduler that decides, from its memory.
    Scheduler,
    /// Nobody who decides: this is what the records of its DAG say. Who else takes room in its pool, places in line and reserved room
    /// are not known.
    Records,
}

/// A task whose instances are waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    /// The task.
    pub task_id: TaskId,
    /// How many of its instances are in which state; those that have ended well are left out.
    pub states: Vec<(TaskState, u32)>,
}

/// Tasks that are waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitedTasks {
    /// At most [`NAMED`] of them.
    pub named: Vec<Awaited>,
    /// How many more there are.
    pub more: usize,
}

/// An instance that holds room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its DAG.
    pub dag_id: DagId,
    /// Its run.
    pub run_id: RunId,
    /// Its task.
    pub task_id: TaskId,
    /// Its mapped index, or -1.
    pub map_index: i32,
    /// The slots it takes of its pool.
    pub pool_slots: u32,
}

/// A round of a loop that has not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextRound {
    /// Its number, from 1.
    pub number: u32,
    /// How many there may be, if its task still says so.
    pub most: Option<u32>,
}

/// Over what a limit of a task counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// All runs of the DAG: `max_active_tis_per_dag`.
    Dag,
    /// One run: `max_active_tis_per_dagrun`.
    Run,
}

/// Something that keeps an instance from starting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Obstacle {
    /// No scheduler answered, so nothing starts anywhere.
    NoScheduler,
    /// Its DAG is paused.
    DagPaused {
        /// The DAG.
        dag_id: DagId,
    },
    /// Its run may not start before a moment: its interval is not over, or it was ordered for later.
    RunNotDue {
        /// The moment.
        run_after: DateTime<Utc>,
    },
    /// The backfill that the run is part of is paused.
    BackfillPaused {
        /// The backfill.
        id: BackfillId,
    },
    /// As many runs of its backfill are active as may be at a time.
    BackfillFull {
        /// The backfill.
        id: BackfillId,
        /// How many run.
        running: usize,
        /// How many may.
        limit: u32,
    },
    /// Its run is queued, because as many runs of the DAG are running as may be.
    MaxActiveRuns {
        /// How many run.
        running: usize,
        /// How many may.
        limit: u32,
        /// Which, as far as they are named.
        runs: Vec<RunId>,
    },
    /// Its run is queued, because an earlier one is running and they follow each other (`overlap: queue`).
    EarlierRun {
        /// The earlier run.
        run_id: RunId,
    },
    /// Its run is queued and nothing in the records keeps it so: the scheduler has not come to it.
    RunQueued,
    /// An operator paused its run.
    RunPaused,
    /// Its trigger rule cannot tell yet.
    Upstream {
        /// The rule.
        trigger_rule: TriggerRule,
        /// The upstream tasks that have not ended.
        awaited: AwaitedTasks,
    },
    /// A setup around it has not succeeded.
    Setup {
        /// The setups.
        awaited: AwaitedTasks,
    },
    /// It is a teardown, and something between it and its setups has not ended.
    Scope {
        /// What has not ended.
        awaited: AwaitedTasks,
    },
    /// It waits for the previous run: `depends_on_past` or `wait_for_downstream`.
    PreviousRun {
        /// The logical date of that run.
        logical_date: Option<DateTime<Utc>>,
        /// The tasks of that run that have neither succeeded nor been skipped, as far as they are named.
        tasks: Vec<TaskId>,
        /// Those that depend on it count, too.
        wait_for_downstream: bool,
    },
    /// It waits for the previous run, and how that one ended is being looked up.
    PreviousRunUnknown,
    /// What it is mapped over has not ended, so it is not known how many instances there are.
    MappedOver {
        /// The tasks it is mapped over.
        awaited: AwaitedTasks,
    },
    /// An operator holds it.
    Held,
    /// Its task is switched off: it is skipped when its turn comes.
    SwitchedOff {
        /// The task.
        task_id: TaskId,
    },
    /// Its last try failed; the next one begins later.
    RetryDelay {
        /// When.
        next_try_at: DateTime<Utc>,
    },
    /// It looks again later whether what it waits for has happened, or the next round of its loop begins later.
    Rescheduled {
        /// When, if that is known.
        next_try_at: Option<DateTime<Utc>>,
        /// For what it waits, if its record says so.
        wait: Option<Box<Wait>>,
        /// The round that comes next, when that is all it waits for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        round: Option<NextRound>,
    },
    /// It waits for something outside of its run, without a worker.
    Deferred {
        /// For what, if its record says so.
        wait: Option<Box<Wait>>,
    },
    /// It waits for a person's answer.
    AwaitingInput {
        /// Who may answer; empty for everybody who may operate its DAG.
        users: Vec<String>,
        /// Until when, if not for ever.
        until: Option<DateTime<Utc>>,
    },
    /// As many of its run are in flight as may be (`max_active_tasks`).
    MaxActiveTasks {
        /// How many are.
        used: u32,
        /// How many may be.
        limit: u32,
        /// Who they are, as far as they are named.
        holders: Vec<Holder>,
    },
    /// As many instances of its task are active as may be.
    MaxActiveTis {
        /// Over what they count.
        over: Over,
        /// How many are.
        used: u32,
        /// How many may be.
        limit: u32,
        /// Who is in flight, as far as they are named.
        holders: Vec<Holder>,
    },
    /// There is no such pool.
    NoPool {
        /// The name.
        pool: PoolName,
    },
    /// It takes more slots than its pool has at all: it can never start.
    TooBigForPool {
        /// The pool.
        pool: PoolName,
        /// How many slots it has.
        slots: u32,
        /// How many the instance takes.
        wanted: u32,
    },
    /// Its pool has too few open slots.
    PoolFull {
        /// The pool.
        pool: PoolName,
        /// How many slots are taken.
        used: u32,
        /// How many it has.
        slots: u32,
        /// How many the instance takes.
        wanted: u32,
        /// Who holds them, as far as they are named; deferred instances are not.
        holders: Vec<Holder>,
    },
    /// The open slots of its pool are kept for a bigger instance that was passed over too often.
    PoolReserved {
        /// The pool.
        pool: PoolName,
        /// How many slots are open.
        free: u32,
        /// For whom they are kept.
        by: Option<Holder>,
    },
    /// No live worker listens to its queue.
    NoWorker {
        /// The queue.
        queue: QueueName,
    },
    /// Its queue has been given as much as its workers can take.
    QueueFull {
        /// The queue.
        queue: QueueName,
        /// How many tries are queued or running.
        in_flight: u32,
        /// How many may be.
        capacity: u32,
    },
    /// Its place among those that wait for the same room.
    InLine {
        /// Its place, from 1. It holds if nobody comes, leaves or changes.
        place: usize,
        /// How many wait there.
        of: usize,
        /// The order among them.
        policy: Policy,
        /// DAGs share the room fairly before that order counts.
        fair_share: bool,
    },
}
