//! `tradewind migrate-from-airflow`

use chrono::{DateTime, Utc};
use clap::Args;

use super::value::moment;

/// What moves, and from where.
#[derive(Args)]
pub struct MigrateFromAirflow {
    /// The metadata database of the Airflow (PostgreSQL, Airflow 2.2 to 3.x), as in its setting `sql_alchemy_conn`. It is only read.
    #[arg(long = "from", value_name = "URL", env = "TRADEWIND_AIRFLOW_DATABASE_URL", hide_env_values = true)]
    pub from: String,
    /// Its `fernet_key`, with which passwords, extras and variables are encrypted there; several are separated by commas.
    #[arg(long, value_name = "KEY", env = "TRADEWIND_AIRFLOW_FERNET_KEY", hide_env_values = true)]
    pub fernet_key: Option<String>,
    /// Move; without it, only what would happen is printed.
    #[arg(long)]
    pub apply: bool,
    /// Replace pools, variables and connections that are here already and differ; without it they stay as they are.
    #[arg(long)]
    pub overwrite: bool,
    /// Bring every DAG over paused, whatever it is there: nothing runs twice while Airflow still does.
    #[arg(long)]
    pub paused: bool,
    /// Bring the runs over, too, that have ended, with their task instances and tries. Needs the DAGs to have been read here.
    #[arg(long)]
    pub history: bool,
    /// Only runs that were due at this moment or later.
    #[arg(long, value_parser = moment, requires = "history")]
    pub since: Option<DateTime<Utc>>,
    /// At most so many runs of each DAG: the newest.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000), requires = "history")]
    pub last: u32,
    /// Their XComs, too.
    #[arg(long, requires = "history")]
    pub xcoms: bool,
}
