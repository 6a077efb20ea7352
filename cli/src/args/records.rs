//! `tradewind pools`, `variables` and `connections`

use clap::{Args, Subcommand, ValueEnum};
use domain::{engine::floor::Policy, id::PoolName};

use super::value::slots;

/// `tradewind pools`
#[derive(Subcommand)]
pub enum Pools {
    /// List pools.
    List,
    /// Show a pool.
    Get {
        /// The pool.
        pool: PoolName,
    },
    /// Create or change a pool.
    Set {
        /// The pool.
        pool: PoolName,
        /// How many tasks may run in it; -1 is without limit.
        #[arg(allow_negative_numbers = true, value_parser = slots)]
        slots: std::option::Option<u32>,
        /// What it is for.
        #[arg(default_value = "")]
        description: String,
        /// Deferred tasks keep their slots.
        #[arg(long)]
        include_deferred: bool,
        /// Who goes first among those that wait for it: fifo, priority, shortest, longest, fifo_shortest or critical_path.
        /// Without it the installation's policy counts.
        #[arg(long)]
        policy: Option<Policy>,
    },
    /// Delete a pool.
    Delete {
        /// The pool.
        pool: PoolName,
    },
    /// Create or change the pools of a JSON file: `{"name": {"slots": 5, "description": ""}}`.
    Import {
        /// The file; `-` is the standard input.
        file: String,
    },
    /// Write all pools to a JSON file.
    Export {
        /// The file; `-` is the standard output.
        file: String,
    },
}

/// `tradewind variables`
#[derive(Subcommand)]
pub enum Variables {
    /// List the keys of variables.
    List,
    /// Print a variable's value.
    Get {
        /// Its key.
        key: String,
        /// What to print when there is none.
        #[arg(long, short, value_name = "VALUE")]
        default: Option<String>,
        /// The value is JSON: print it indented.
        #[arg(long, short)]
        json: bool,
    },
    /// Create or change a variable.
    Set {
        /// Its key.
        key: String,
        /// Its value; `-` reads it from the standard input, so that it stays out of the list of processes.
        #[arg(allow_negative_numbers = true)]
        value: String,
        /// What it is for.
        #[arg(long)]
        description: Option<String>,
        /// The value must be JSON.
        #[arg(long, short)]
        json: bool,
    },
    /// Delete a variable.
    Delete {
        /// Its key.
        key: String,
    },
    /// Create variables from a JSON file: `{"key": value}` or `{"key": {"value": value, "description": ""}}`.
    Import(ImportVariables),
    /// Write all variables, in clear, to a JSON file.
    Export {
        /// The file; `-` is the standard output.
        file: String,
    },
}

/// Where variables come from.
#[derive(Args)]
pub struct ImportVariables {
    /// The file; `-` is the standard input.
    pub file: String,
    /// What becomes of a key that exists.
    #[arg(long, short, value_enum, default_value_t = OnExisting::Overwrite)]
    pub action_on_existing_key: OnExisting,
}

/// What becomes of a key that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnExisting {
    /// It gets the new value.
    Overwrite,
    /// Nothing is imported at all.
    Fail,
    /// It keeps its value.
    Skip,
}

/// `tradewind connections`
#[derive(Subcommand)]
pub enum Connections {
    /// List connections, without secrets.
    List,
    /// Show a connection, without secrets.
    Get {
        /// Its name.
        conn_id: String,
    },
    /// Create or change a connection.
    #[command(visible_alias = "add")]
    Set(Box<SetConnection>),
    /// Delete a connection.
    Delete {
        /// Its name.
        conn_id: String,
    },
    /// Create connections from a JSON file: `{"name": {"conn_type": "postgres", ...}}` or `{"name": "postgres://..."}`.
    Import {
        /// The file; `-` is the standard input.
        file: String,
        /// Change those that exist instead of leaving them as they are.
        #[arg(long)]
        overwrite: bool,
    },
    /// Write all connections, with their secrets, to a JSON file.
    Export {
        /// The file; `-` is the standard output.
        file: String,
        /// How each is written.
        #[arg(long, value_enum, default_value_t = Form::Json)]
        serialization_format: Form,
    },
}

/// How an exported connection is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// As an object with Airflow's field names.
    Json,
    /// As a URI.
    Uri,
}

/// A connection: a URI, a JSON object, or its parts.
#[derive(Args)]
#[command(group(clap::ArgGroup::new("written").required(true).args(["uri", "json", "conn_type"])))]
pub struct SetConnection {
    /// Its name.
    pub conn_id: String,
    /// `postgres://login:password@host:port/schema?key=value`; `-` reads it from the standard input.
    #[arg(long = "conn-uri", value_name = "URI")]
    pub uri: Option<String>,
    /// A JSON object with Airflow's field names; `-` reads it from the standard input.
    #[arg(long = "conn-json", value_name = "JSON")]
    pub json: Option<String>,
    /// The kind of system.
    #[arg(long)]
    pub conn_type: Option<String>,
    /// What it is for.
    #[arg(long)]
    pub conn_description: Option<String>,
    /// The host.
    #[arg(long, requires = "conn_type")]
    pub conn_host: Option<String>,
    /// Who signs in.
    #[arg(long, requires = "conn_type")]
    pub conn_login: Option<String>,
    /// With which password; `-` reads it from the standard input, so that it stays out of the list of processes.
    #[arg(long, requires = "conn_type")]
    pub conn_password: Option<String>,
    /// The database, or whatever the system calls so.
    #[arg(long, requires = "conn_type")]
    pub conn_schema: Option<String>,
    /// The port.
    #[arg(long, requires = "conn_type", value_parser = clap::value_parser!(u16).range(1..))]
    pub conn_port: Option<u16>,
    /// Whatever else it needs: a JSON object.
    #[arg(long, requires = "conn_type", value_name = "JSON")]
    pub conn_extra: Option<super::value::JsonObject>,
}
