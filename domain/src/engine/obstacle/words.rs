//! Answers in words, and in the names that Airflow has for dependencies.

use std::fmt;

use chrono::{DateTime, Utc};

use super::{Answer, Awaited, AwaitedTasks, Holder, NextRound, Obstacle, Over, Standing};
use crate::wait::{Wait, answer_of};

/// At most this many names stand in a sentence.
const SAID: usize = 5;

impl Answer {
    /// Where the instance stands, in one sentence.
    #[must_use]
    pub fn words(&self) -> String {
        match &self.standing {
            Standing::Waiting => match self.obstacles.first() {
                Some(first) => first.to_string(),
                None => "Nothing keeps it from starting.".to_owned(),
            },
            Standing::HandedOut { queue, has_worker: true, .. } => {
                format!("It is in the ready queue `{queue}` and waits for a worker with a free slot.")
            }
            Standing::HandedOut { queue, has_worker: false, .. } => {
                format!("It is in the ready queue `{queue}`, and no live worker listens to that queue.")
            }
            Standing::Running { .. } => "It is running.".to_owned(),
            Standing::Ended => format!("It has ended: {}.", self.state),
        }
    }
}

impl Obstacle {
    /// The name of the dependency that is not met. Source of those that Airflow has: Airflow 3.3.2 `ti_deps/deps`.
    #[must_use]
    pub const fn dependency(&self) -> &'static str {
        match self {
            Self::NoScheduler => "Scheduler Running",
            Self::DagPaused { .. } => "Dag Not Paused",
            Self::RunNotDue { .. } => "Execution Date",
            Self::BackfillPaused { .. }
            | Self::BackfillFull { .. }
            | Self::MaxActiveRuns { .. }
            | Self::EarlierRun { .. }
            | Self::RunQueued
            | Self::RunPaused => "Dagrun Running",
            Self::Upstream { .. } | Self::Setup { .. } | Self::Scope { .. } => "Trigger Rule",
            Self::PreviousRun { .. } | Self::PreviousRunUnknown => "Previous Dagrun State",
            Self::MappedOver { .. } => "Mapped dependencies have succeeded",
            Self::Held => "Not Held",
            Self::SwitchedOff { .. } => "Task Switched On",
            Self::RetryDelay { .. } => "Not In Retry Period",
            Self::Rescheduled { .. } => "Ready To Reschedule",
            Self::Deferred { .. } | Self::AwaitingInput { .. } => "Task Instance State",
            Self::MaxActiveTasks { .. } => "Task Instance Slots Available",
            Self::MaxActiveTis { .. } => "Task Concurrency",
            Self::NoPool { .. }
            | Self::TooBigForPool { .. }
            | Self::PoolFull { .. }
            | Self::PoolReserved { .. } => "Pool Slots Available",
            Self::NoWorker { .. } => "Worker Available",
            Self::QueueFull { .. } => "Worker Slots Available",
            Self::InLine { .. } => "Place In Line",
        }
    }

    /// What a person can do about it, where there is something.
    #[must_use]
    pub const fn remedy(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoScheduler => "Start a scheduler: `tradewind scheduler`, or `tradewind standalone`.",
            Self::DagPaused { .. } => "Unpause the DAG.",
            Self::MaxActiveRuns { .. } => "End one of those runs, or raise max_active_runs of the DAG.",
            Self::BackfillPaused { .. } => "Unpause the backfill.",
            Self::RunPaused => "Let the run go on.",
            Self::Held => "Release it.",
            Self::SwitchedOff { .. } => "Switch the task on.",
            Self::MaxActiveTasks { .. } => "Raise max_active_tasks of the DAG.",
            Self::MaxActiveTis { over: Over::Dag, .. } => "Raise max_active_tis_per_dag of the task.",
            Self::MaxActiveTis { over: Over::Run, .. } => "Raise max_active_tis_per_dagrun of the task.",
            Self::NoPool { .. } => "Create the pool, or let the task use another one.",
            Self::TooBigForPool { .. } => "Give the pool more slots, or lower pool_slots of the task.",
            Self::PoolFull { .. } => "Give the pool more slots, or end what holds them.",
            Self::NoWorker { .. } => "Start a worker that listens to the queue.",
            Self::QueueFull { .. } => "Start more workers, or give them more slots.",
            Self::InLine { .. } => "A higher priority may bring it forward.",
            Self::PreviousRun { .. } => "Run those tasks of the previous run again, or mark them as success.",
            Self::RunNotDue { .. }
            | Self::BackfillFull { .. }
            | Self::EarlierRun { .. }
            | Self::RunQueued
            | Self::Upstream { .. }
            | Self::Setup { .. }
            | Self::Scope { .. }
            | Self::PreviousRunUnknown
            | Self::MappedOver { .. }
            | Self::RetryDelay { .. }
            | Self::Rescheduled { .. }
            | Self::Deferred { .. }
            | Self::AwaitingInput { .. }
            | Self::PoolReserved { .. } => return None,
        })
    }
}

impl Obstacle {
    /// The instances that hold the room it lacks, as far as they are named.
    #[must_use]
    pub fn holders(&self) -> &[Holder] {
        match self {
            Self::MaxActiveTasks { holders, .. }
            | Self::MaxActiveTis { holders, .. }
            | Self::PoolFull { holders, .. } => holders,
            Self::PoolReserved { by, .. } => by.as_slice(),
            Self::NoScheduler
            | Self::DagPaused { .. }
            | Self::RunNotDue { .. }
            | Self::BackfillPaused { .. }
            | Self::BackfillFull { .. }
            | Self::MaxActiveRuns { .. }
            | Self::EarlierRun { .. }
            | Self::RunQueued
            | Self::RunPaused
            | Self::Upstream { .. }
            | Self::Setup { .. }
            | Self::Scope { .. }
            | Self::PreviousRun { .. }
            | Self::PreviousRunUnknown
            | Self::MappedOver { .. }
            | Self::Held
            | Self::SwitchedOff { .. }
            | Self::RetryDelay { .. }
            | Self::Rescheduled { .. }
            | Self::Deferred { .. }
            | Self::AwaitingInput { .. }
            | Self::NoPool { .. }
            | Self::TooBigForPool { .. }
            | Self::NoWorker { .. }
            | Self::QueueFull { .. }
            | Self::InLine { .. } => &[],
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoScheduler => f.write_str("No scheduler answers, so nothing starts anywhere."),
            Self::DagPaused { dag_id } => write!(f, "DAG `{dag_id}` is paused."),
            Self::RunNotDue { run_after } => {
                write!(f, "The run starts at {}, not before.", moment(*run_after))
            }
            Self::BackfillPaused { id } => write!(f, "The run is queued: backfill {id} is paused."),
            Self::BackfillFull { id, running, limit } => {
                write!(f, "The run is queued: {running} of {limit} runs of backfill {id} are running.")
            }
            Self::MaxActiveRuns { running, limit, runs } => {
                let runs = list(runs);
                write!(f, "The run is queued: {running} of {limit} runs are running (max_active_runs){runs}.")
            }
            Self::EarlierRun { run_id } => {
                let rule = "which was created before it, has ended (overlap: queue)";
                write!(f, "The run is queued until `{run_id}`, {rule}.")
            }
            Self::RunQueued => f.write_str("The run is queued and the scheduler has not come to it yet."),
            Self::RunPaused => f.write_str("An operator paused the run."),
            Self::Upstream { trigger_rule, awaited } => {
                write!(f, "It runs once {} ({}){awaited}.", trigger_rule.words(), trigger_rule.as_str())
            }
            Self::Setup { awaited } => write!(f, "A setup around it has not succeeded yet{awaited}."),
            Self::Scope { awaited } => {
                write!(f, "It tears down what other tasks still use: they have not ended{awaited}.")
            }
            Self::MappedOver { awaited } => {
                write!(f, "What it is mapped over is not complete{awaited}.")
            }
            Self::Held => f.write_str("An operator holds it: it does not start until it is released."),
            Self::SwitchedOff { task_id } => {
                write!(f, "Task `{task_id}` is switched off: it is skipped when its turn comes.")
            }
            Self::RetryDelay { next_try_at } => {
                write!(f, "Its last try failed; the next one begins at {}.", moment(*next_try_at))
            }
            Self::Rescheduled { next_try_at, wait, round } => {
                of_pause(f, *next_try_at, wait.as_deref(), *round)
            }
            Self::Deferred { wait } => {
                write!(f, "It is deferred and holds no worker{}.", of_wait(wait.as_deref()))
            }
            Self::AwaitingInput { users, until } => {
                let latest =
                    until.map(|at| format!(", until {} at the latest", moment(at))).unwrap_or_default();
                write!(f, "It waits for {}{latest}.", answer_of(users))
            }
            Self::PreviousRun { .. } | Self::PreviousRunUnknown => self.of_the_past(f),
            Self::MaxActiveTasks { .. }
            | Self::MaxActiveTis { .. }
            | Self::NoPool { .. }
            | Self::TooBigForPool { .. }
            | Self::PoolFull { .. }
            | Self::PoolReserved { .. }
            | Self::NoWorker { .. }
            | Self::QueueFull { .. }
            | Self::InLine { .. } => self.of_room(f),
        }
    }
}

impl Obstacle {
    fn of_the_past(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::PreviousRun { logical_date, tasks, wait_for_downstream } = self else {
            return f.write_str("It waits for the previous run, and how that one ended is being looked up.");
        };
        let date = logical_date.map(|date| format!(" of {}", moment(date))).unwrap_or_default();
        let key = if *wait_for_downstream { "wait_for_downstream" } else { "depends_on_past" };
        write!(f, "In the previous run{date} not all has succeeded or been skipped ({key}){}.", list(tasks))
    }

    fn of_room(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxActiveTasks { used, limit, holders } => {
                write!(
                    f,
                    "{used} of {limit} tasks of the run are active (max_active_tasks){}.",
                    list(holders)
                )
            }
            Self::MaxActiveTis { over, used, limit, holders } => {
                let over = over.words();
                write!(f, "{used} of {limit} instances of the task are active {over}{}.", list(holders))
            }
            Self::NoPool { pool } => write!(f, "There is no pool `{pool}`."),
            Self::TooBigForPool { pool, slots, wanted } => {
                write!(f, "It takes {wanted} slots and pool `{pool}` has {slots} in all: it can never start.")
            }
            Self::PoolFull { pool, used, slots, wanted, holders } => {
                let takes = if *wanted == 1 { String::new() } else { format!(", and it takes {wanted}") };
                write!(f, "{used} of {slots} slots of pool `{pool}` are taken{takes}{}.", list(holders))
            }
            Self::PoolReserved { pool, free, by } => {
                let by = by.as_ref().map_or_else(|| "a bigger instance".to_owned(), Holder::to_string);
                write!(
                    f,
                    "The open slots of pool `{pool}` ({free}) are kept for {by}, passed over too often."
                )
            }
            Self::NoWorker { queue } => write!(f, "No live worker listens to queue `{queue}`."),
            Self::QueueFull { queue, in_flight, capacity } => {
                write!(
                    f,
                    "The workers of queue `{queue}` are busy: {in_flight} of {capacity} tries are handed out."
                )
            }
            Self::InLine { place, of, policy, fair_share } => {
                let share = if *fair_share { ", after fair shares between DAGs" } else { "" };
                write!(f, "It is number {place} of {of} in line (policy {policy}{share}).")
            }
            Self::NoScheduler
            | Self::DagPaused { .. }
            | Self::RunNotDue { .. }
            | Self::BackfillPaused { .. }
            | Self::BackfillFull { .. }
            | Self::MaxActiveRuns { .. }
            | Self::EarlierRun { .. }
            | Self::RunQueued
            | Self::RunPaused
            | Self::Upstream { .. }
            | Self::Setup { .. }
            | Self::Scope { .. }
            | Self::PreviousRun { .. }
            | Self::PreviousRunUnknown
            | Self::MappedOver { .. }
            | Self::Held
            | Self::SwitchedOff { .. }
            | Self::RetryDelay { .. }
            | Self::Rescheduled { .. }
            | Self::Deferred { .. }
            | Self::AwaitingInput { .. } => Ok(()),
        }
    }
}

fn of_pause(
    f: &mut fmt::Formatter<'_>,
    at: Option<DateTime<Utc>>,
    wait: Option<&Wait>,
    round: Option<NextRound>,
) -> fmt::Result {
    let Some(NextRound { number, most }) = round else {
        let again = at.map_or_else(|| "later".to_owned(), |at| format!("at {}", moment(at)));
        return write!(f, "It looks again {again}{}.", of_wait(wait));
    };
    let of = most.map(|most| format!(" of {most}")).unwrap_or_default();
    let until = at.map(|at| format!(" until {}", moment(at))).unwrap_or_default();
    write!(f, "It waits for its next round ({number}{of}){until}.")
}

fn of_wait(wait: Option<&Wait>) -> String {
    wait.map(|wait| format!(": it {}", wait.words())).unwrap_or_default()
}

impl fmt::Display for AwaitedTasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unnamed = self.more + self.named.len().saturating_sub(SAID);
        let named: Vec<String> = self.named.iter().take(SAID).map(Awaited::to_string).collect();
        match (named.is_empty(), unnamed) {
            (true, _) => Ok(()),
            (false, 0) => write!(f, "; awaited: {}", named.join(", ")),
            (false, more) => write!(f, "; awaited: {} and {more} more", named.join(", ")),
        }
    }
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |state: crate::state::TaskState| {
            if state == crate::state::TaskState::None { "not started".to_owned() } else { state.to_string() }
        };
        let states: Vec<String> = match self.states.as_slice() {
            [(state, 1)] => vec![name(*state)],
            states => states.iter().map(|(state, count)| format!("{count} {}", name(*state))).collect(),
        };
        write!(f, "`{}` ({})", self.task_id, states.join(", "))
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` `{}` `{}`", self.dag_id, self.run_id, self.task_id)?;
        if self.map_index >= 0 { write!(f, "[{}]", self.map_index) } else { Ok(()) }
    }
}

impl Over {
    const fn words(self) -> &'static str {
        match self {
            Self::Dag => "in all runs (max_active_tis_per_dag)",
            Self::Run => "in the run (max_active_tis_per_dagrun)",
        }
    }
}

fn list<T: fmt::Display>(names: &[T]) -> String {
    let said: Vec<String> = names.iter().take(SAID).map(ToString::to_string).collect();
    match (said.is_empty(), names.len().saturating_sub(SAID)) {
        (true, _) => String::new(),
        (false, 0) => format!(": {}", said.join(", ")),
        (false, more) => format!(": {} and {more} more", said.join(", ")),
    }
}

fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}
