//! `tradewind tasks`

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use domain::{
    id::{DagId, RunId, TaskId},
    state::TaskState,
};

use super::value::{JsonObject, moment, pattern};

/// `tradewind tasks`
#[derive(Subcommand)]
pub enum Tasks {
    /// List the tasks of a DAG.
    List {
        /// The DAG.
        dag_id: DagId,
    },
    /// Print the state of a task instance.
    State {
        /// The DAG.
        dag_id: DagId,
        /// The task.
        task_id: TaskId,
        /// The run, or its logical date.
        #[arg(value_name = "RUN_ID")]
        run: String,
        /// Which instance of a mapped task.
        #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
        map_index: i32,
    },
    /// List the states of a run's task instances.
    StatesForDagRun {
        /// The DAG.
        dag_id: DagId,
        /// The run, or its logical date.
        #[arg(value_name = "RUN_ID")]
        run: String,
    },
    /// Say why a task instance does not run: everything that is in its way, in the order in which it is checked.
    FailedDeps {
        /// The DAG.
        dag_id: DagId,
        /// The task.
        task_id: TaskId,
        /// The run, or its logical date.
        #[arg(value_name = "RUN_ID")]
        run: String,
        /// Which instance of a mapped task.
        #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
        map_index: i32,
    },
    /// Keep a task that waits from starting, until it is released.
    Hold(Chosen),
    /// Let a task go that is held.
    Release(Chosen),
    /// Give a task that waits another place in line.
    Prioritize {
        #[command(flatten)]
        chosen: Chosen,
        /// Its effective priority from now on: higher goes first.
        #[arg(long, allow_negative_numbers = true)]
        priority: i32,
    },
    /// Set the state of a task by hand; one that runs is ended.
    Mark {
        #[command(flatten)]
        chosen: Chosen,
        /// success, failed or skipped.
        #[arg(long)]
        state: TaskState,
    },
    /// Skip a task in all runs of its DAG that have not come to it, without changing the file.
    SwitchOff {
        /// The DAG.
        dag_id: DagId,
        /// The task.
        task_id: TaskId,
    },
    /// Let a task run again that was switched off.
    SwitchOn {
        /// The DAG.
        dag_id: DagId,
        /// The task.
        task_id: TaskId,
    },
    /// Run task instances again.
    Clear(Clear),
    /// Run one task of a DAG file here and now, without server or database.
    Test(Try),
    /// Show what a task's templates become.
    Render(Try),
}

/// A task of a run.
#[derive(Args)]
pub struct Chosen {
    /// The DAG.
    pub dag_id: DagId,
    /// The task.
    pub task_id: TaskId,
    /// The run, or its logical date.
    #[arg(value_name = "RUN_ID")]
    pub run: String,
    /// Only this instance of a mapped task.
    #[arg(long)]
    pub map_index: Option<u32>,
    /// And everything upstream of it.
    #[arg(long, short)]
    pub upstream: bool,
    /// And everything downstream of it.
    #[arg(long, short)]
    pub downstream: bool,
}

/// Which task instances run again.
#[derive(Args)]
#[command(group(clap::ArgGroup::new("runs").required(true).multiple(true).args(["run_id", "start_date", "end_date"])))]
pub struct Clear {
    /// The DAG.
    pub dag_id: DagId,
    /// The run.
    #[arg(long, conflicts_with_all = ["start_date", "end_date"])]
    pub run_id: Option<RunId>,
    /// The runs with this logical date or a later one.
    #[arg(long, short, value_parser = moment)]
    pub start_date: Option<DateTime<Utc>>,
    /// The runs with this logical date or an earlier one.
    #[arg(long, short, value_parser = moment)]
    pub end_date: Option<DateTime<Utc>>,
    /// The tasks in whose id this pattern is found; all unless given.
    #[arg(long, short, value_name = "REGEX", value_parser = pattern)]
    pub task_regex: Option<regex::Regex>,
    /// This task, or every task of this group; may be given several times.
    #[arg(long, conflicts_with = "task_regex")]
    pub task_id: Vec<TaskId>,
    /// And everything upstream of them.
    #[arg(long, short)]
    pub upstream: bool,
    /// And everything downstream of them.
    #[arg(long, short)]
    pub downstream: bool,
    /// Only what failed.
    #[arg(long, short = 'f')]
    pub only_failed: bool,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
}

/// One task to try out here.
#[derive(Args)]
pub struct Try {
    /// A DAG file, or a DAG of the DAGs folder.
    #[arg(value_name = "FILE")]
    pub dag: String,
    /// The task.
    pub task_id: TaskId,
    /// The run's logical date; now unless given.
    #[arg(value_parser = moment)]
    pub logical_date: Option<DateTime<Utc>>,
    /// Which DAG, if the file has several.
    #[arg(long)]
    pub dag_id: Option<DagId>,
    /// The run's parameters: a JSON object.
    #[arg(long, short, visible_short_alias = 't', visible_alias = "task-params", value_name = "JSON")]
    pub conf: Option<JsonObject>,
    /// Which instance of a mapped task.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..10_000))]
    pub map_index: u32,
}
