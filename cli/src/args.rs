//! The command line, in Airflow's grammar: `airflow dags trigger` becomes `tradewind dags trigger`.
//!
//! Everything that can be checked without asking anybody is checked here, so that wrong usage is found first and ends with
//! exit status 2.

pub mod approvals;
pub mod assets;
pub mod backfill;
pub mod dags;
pub mod db;
pub mod migrate;
pub mod python;
pub mod records;
pub mod tasks;
pub mod users;
pub mod value;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Workflows for people who run Airflow: scheduler, workers and web UI in one binary.
#[derive(Parser)]
#[command(name = "tradewind", version, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    /// Flags that every command understands.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command understands; each has an environment variable (see `tradewind config list`).
#[derive(Args, Clone, Default)]
pub struct Common {
    /// The folder that holds everything Tradewind keeps on this machine.
    #[arg(long, global = true, value_name = "DIR", help_heading = "Where things are")]
    pub home: Option<String>,
    /// The PostgreSQL database; without it, the private one in the home folder.
    #[arg(long, global = true, value_name = "URL", help_heading = "Where things are")]
    pub database_url: Option<String>,
    /// The Redis server; without it, `standalone` keeps the queue in memory.
    #[arg(long, global = true, value_name = "URL", help_heading = "Where things are")]
    pub redis_url: Option<String>,
    /// The folder of DAG files.
    #[arg(long = "dags", global = true, value_name = "DIR", help_heading = "Where things are")]
    pub dags_folder: Option<String>,
    /// Where logs and artifacts are kept.
    #[arg(long, global = true, value_name = "URL", help_heading = "Where things are")]
    pub logs_url: Option<String>,
    /// The URL at which people reach the web server, for links in alerts.
    #[arg(long, global = true, value_name = "URL", help_heading = "Where things are")]
    pub base_url: Option<String>,
    /// How results are printed.
    #[arg(long, short, global = true, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Columns with a header.
    #[default]
    Table,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// Tab-separated lines without a header.
    Plain,
}

/// Everything that `tradewind` can do.
#[derive(Subcommand)]
pub enum Command {
    /// Run everything in one process, with a private PostgreSQL.
    Standalone(Standalone),
    /// Run a scheduler: one leads, any number stand by.
    Scheduler(Scheduler),
    /// Run a worker.
    Worker(Worker),
    /// Run the web server.
    Webserver(Webserver),
    /// Work with DAGs and their runs.
    #[command(subcommand)]
    Dags(dags::Dags),
    /// Run DAGs for dates that have passed.
    #[command(subcommand)]
    Backfill(backfill::Backfill),
    /// Work with tasks and their instances.
    #[command(subcommand)]
    Tasks(tasks::Tasks),
    /// List and answer the questions that tasks put to people.
    #[command(subcommand)]
    Approvals(approvals::Approvals),
    /// Work with assets: the data that tasks make and DAGs wait for.
    #[command(subcommand)]
    Assets(assets::Assets),
    /// Work with pools.
    #[command(subcommand)]
    Pools(records::Pools),
    /// Work with variables.
    #[command(subcommand)]
    Variables(records::Variables),
    /// Work with connections.
    #[command(subcommand)]
    Connections(records::Connections),
    /// Work with accounts.
    #[command(subcommand)]
    Users(users::Users),
    /// Work with the database.
    #[command(subcommand)]
    Db(db::Db),
    /// Look after the Python environment for Airflow DAG files.
    #[command(subcommand)]
    Python(python::Python),
    /// Bring over what an Airflow keeps in its database: DAG states, pools, variables, connections.
    MigrateFromAirflow(migrate::MigrateFromAirflow),
    /// Show the configuration and where each value comes from.
    #[command(subcommand)]
    Config(Config),
    /// Look after the long-running processes.
    #[command(subcommand)]
    Jobs(Jobs),
    /// Print the JSON Schema of DAG files, for editors.
    Schema,
    /// Show what this installation consists of.
    Info,
    /// Print the version.
    Version,
    /// Ends process groups whose worker died; started by the worker itself.
    #[command(hide = true)]
    Warden,
}

/// Flags of `standalone`: those of its web server, its scheduler and its worker.
#[derive(Args, Clone)]
pub struct Standalone {
    /// Those of its web server.
    #[command(flatten)]
    pub web: Webserver,
    /// Those of its scheduler.
    #[command(flatten)]
    pub scheduler: Scheduler,
    /// Those of its worker.
    #[command(flatten)]
    pub worker: Worker,
}

/// Flags of a scheduler. All schedulers of an installation should have the same.
#[derive(Args, Clone, Default)]
pub struct Scheduler {
    /// The order among task instances that wait for the same room, where a pool names no other.
    #[arg(long, value_name = "NAME")]
    pub policy: Option<String>,
    /// Whether DAGs share the room fairly before the policy counts.
    #[arg(long, value_name = "true|false")]
    pub fair_share: Option<String>,
}

/// Flags of a web server.
#[derive(Args, Clone, Default)]
pub struct Webserver {
    /// The address to listen on.
    #[arg(long)]
    pub host: Option<String>,
    /// The port to listen on; 0 takes a free one.
    #[arg(long, short)]
    pub port: Option<String>,
}

/// Flags of a worker.
#[derive(Args, Clone)]
pub struct Worker {
    /// How many tasks run at the same time.
    #[arg(long, visible_alias = "concurrency", short = 'c', value_name = "N")]
    pub parallelism: Option<String>,
    /// The queues to take work from, separated by commas.
    #[arg(long, short, value_name = "NAMES")]
    pub queues: Option<String>,
    /// How long running tasks may go on after SIGTERM.
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub drain_timeout: domain::span::Span,
}

/// `tradewind config`
#[derive(Subcommand)]
pub enum Config {
    /// List every setting, its value and where it came from.
    List,
    /// Print one value.
    GetValue {
        /// A name as `config list` shows it, or its variable.
        name: String,
    },
}

/// `tradewind jobs`
#[derive(Subcommand)]
pub enum Jobs {
    /// List the processes that have not been forgotten.
    List,
    /// Succeed if a process of a kind is alive.
    Check(JobsCheck),
}

/// Which processes `jobs check` looks for.
#[derive(Args)]
pub struct JobsCheck {
    /// `scheduler`, `worker` or `webserver`; Airflow's `SchedulerJob` is understood too.
    #[arg(long, value_parser = value::job_kind)]
    pub job_type: Option<store::job::Kind>,
    /// Only on the machine of this name.
    #[arg(long, value_name = "NAME", conflicts_with = "local")]
    pub hostname: Option<String>,
    /// Only on this machine.
    #[arg(long)]
    pub local: bool,
    /// Succeed also when several are alive; without this flag that is no failure either, as several are normal here.
    #[arg(long, hide = true)]
    pub allow_multiple: bool,
    /// How many are looked at; all are looked at here.
    #[arg(long, hide = true)]
    pub limit: Option<u32>,
}
