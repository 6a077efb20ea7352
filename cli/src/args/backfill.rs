//! `tradewind backfill`

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use domain::{
    backfill::{BackfillId, MOST_ACTIVE, Reprocess, USUAL_ACTIVE},
    id::DagId,
};

use super::value::{JsonObject, backfill_id, moment};

/// `tradewind backfill`
#[derive(Subcommand)]
pub enum Backfill {
    /// Create a backfill: run a DAG for the dates of its schedule in a range that has passed.
    Create(Create),
    /// List the backfills of a DAG.
    List {
        /// The DAG.
        #[arg(long)]
        dag_id: DagId,
        /// At most so many, the newest.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: u32,
    },
    /// Start no new run of a backfill; those that run go on.
    Pause(Which),
    /// Go on after a pause.
    Unpause(Which),
    /// End a backfill: its queued runs are ended, those that run go on.
    Cancel(Which),
}

/// A backfill.
#[derive(Args)]
pub struct Which {
    /// Its number, as `backfill list` shows it.
    #[arg(value_parser = backfill_id)]
    pub id: BackfillId,
}

/// A backfill to create, with Airflow's flags.
#[derive(Args)]
pub struct Create {
    /// The DAG.
    #[arg(long)]
    pub dag_id: DagId,
    /// The first logical date, itself included.
    #[arg(long, value_parser = moment)]
    pub from_date: DateTime<Utc>,
    /// The last logical date, itself included.
    #[arg(long, value_parser = moment)]
    pub to_date: DateTime<Utc>,
    /// What every run is given: a JSON object.
    #[arg(long, value_name = "JSON")]
    pub dag_run_conf: Option<JsonObject>,
    /// The latest date first; not for tasks with depends_on_past.
    #[arg(long)]
    pub run_backwards: bool,
    /// How many of its runs are active at the same time; they do not count against the DAG's own max_active_runs.
    #[arg(long, default_value_t = USUAL_ACTIVE, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_ACTIVE)))]
    pub max_active_runs: u32,
    /// What becomes of runs that exist: none, failed or completed.
    #[arg(long, default_value_t = Reprocess::None)]
    pub reprocess_behavior: Reprocess,
    /// Runs that run again do so on the newest version of the DAG.
    #[arg(long, overrides_with = "no_run_on_latest_version")]
    pub run_on_latest_version: bool,
    /// Runs that run again do so on the version that they had.
    #[arg(long)]
    pub no_run_on_latest_version: bool,
    /// Only show which dates would run.
    #[arg(long)]
    pub dry_run: bool,
}
