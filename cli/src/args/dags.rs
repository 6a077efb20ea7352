//! `tradewind dags`

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use domain::{
    id::{DagId, RunId},
    partition::Key,
    state::RunState,
};

use super::value::{JsonObject, moment};

/// `tradewind dags`
#[derive(Subcommand)]
pub enum Dags {
    /// List DAGs.
    List(List),
    /// Show a DAG's tasks and what they wait for.
    Show {
        /// The DAG.
        dag_id: DagId,
    },
    /// Show everything about a DAG.
    Details {
        /// The DAG.
        dag_id: DagId,
    },
    /// Create a run.
    Trigger(Trigger),
    /// Start no new runs, and nothing new in existing ones.
    Pause(Named),
    /// Go on after a pause.
    Unpause(Named),
    /// Let nothing new start in a run, while what runs ends.
    PauseRun(OfRun),
    /// Let a run go on that was paused.
    ResumeRun(OfRun),
    /// End a run and everything in it; it counts as failed.
    StopRun {
        #[command(flatten)]
        of: OfRun,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
    /// Run a DAG of a file here and now, without server or database.
    Test(Test),
    /// Check DAG files, without server or database.
    Validate {
        /// DAG files, or folders of them.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<String>,
    },
    /// Print when a DAG runs next.
    NextExecution(NextExecution),
    /// List the runs of a DAG.
    ListRuns(ListRuns),
    /// List what is wrong with DAG files.
    ListImportErrors,
    /// Delete a DAG with all its history.
    Delete(Named),
    /// Bring the records in step with the DAGs folder now, if no scheduler does.
    Reserialize,
}

/// A DAG, and that nobody is to be asked.
#[derive(Args)]
pub struct Named {
    /// The DAG.
    pub dag_id: DagId,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
}

/// A run.
#[derive(Args)]
pub struct OfRun {
    /// The DAG.
    pub dag_id: DagId,
    /// The run, or its logical date.
    #[arg(value_name = "RUN_ID")]
    pub run: String,
}

/// Which DAGs are listed.
#[derive(Args)]
pub struct List {
    /// Only DAGs whose id contains this.
    #[arg(long)]
    pub search: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

/// A run to create.
#[derive(Args)]
pub struct Trigger {
    /// The DAG.
    pub dag_id: DagId,
    /// The run's name.
    #[arg(long, short)]
    pub run_id: Option<RunId>,
    /// Its parameters: a JSON object.
    #[arg(long, short, value_name = "JSON")]
    pub conf: Option<JsonObject>,
    /// Its logical date.
    #[arg(long, short = 'l', visible_short_alias = 'e', visible_alias = "exec-date", value_parser = moment)]
    pub logical_date: Option<DateTime<Utc>>,
    /// Not before this moment.
    #[arg(long, value_parser = moment)]
    pub run_after: Option<DateTime<Utc>>,
    /// What it is about, if the DAG is partitioned.
    #[arg(long)]
    pub partition_key: Option<Key>,
    /// A remark.
    #[arg(long)]
    pub note: Option<String>,
    /// Wait until the run has ended; the exit status tells how.
    #[arg(long)]
    pub wait: bool,
}

/// A run to try out here.
#[derive(Args)]
pub struct Test {
    /// A DAG file, or a DAG of the DAGs folder.
    #[arg(value_name = "FILE")]
    pub dag: String,
    /// Its logical date; now unless given.
    #[arg(value_parser = moment)]
    pub logical_date: Option<DateTime<Utc>>,
    /// Which DAG, if the file has several.
    #[arg(long)]
    pub dag_id: Option<DagId>,
    /// Its parameters: a JSON object.
    #[arg(long, short, value_name = "JSON")]
    pub conf: Option<JsonObject>,
    /// What it is about, if the DAG is partitioned. Then it has no logical date unless one is given.
    #[arg(long)]
    pub partition_key: Option<Key>,
}

/// Which moments are printed.
#[derive(Args)]
pub struct NextExecution {
    /// A DAG, or a DAG file.
    #[arg(value_name = "DAG_ID|FILE")]
    pub dag: String,
    /// How many.
    #[arg(long, short, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub num_executions: u32,
    /// Count from this moment, itself included; now unless given.
    #[arg(long, value_parser = moment)]
    pub after: Option<DateTime<Utc>>,
}

/// Which runs are listed.
#[derive(Args)]
pub struct ListRuns {
    /// The DAG.
    #[arg(required_unless_present = "dag")]
    pub dag_id: Option<DagId>,
    /// The DAG, as Airflow 2 has it.
    #[arg(long = "dag-id", short = 'd', value_name = "DAG_ID", hide = true, conflicts_with = "dag_id")]
    pub dag: Option<DagId>,
    /// Only runs in this state.
    #[arg(long)]
    pub state: Option<RunState>,
    /// At most so many, the newest.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}
