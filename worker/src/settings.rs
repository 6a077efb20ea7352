//! How a worker is set up.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::id::QueueName;
use python::Zygote;
use store::connection::Connection;
use tokio::sync::Mutex;

/// How a worker is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The queues it listens to.
    pub queues: Vec<QueueName>,
    /// How many tries it runs at the same time.
    pub slots: usize,
    /// The name of this machine, for people.
    pub hostname: String,
    /// The folder of DAG files: a task starts in the folder of its file, where there is one.
    pub dags_folder: PathBuf,
    /// Where logs and temporary files of running tries are kept. On the file system of the log storage, storing a log
    /// costs nothing.
    pub scratch: PathBuf,
    /// The environment of this process, of which tasks get what is not secret.
    pub environment: Vec<(OsString, OsString)>,
    /// The Python environment that runs tasks of Airflow DAG files; it need not exist before there are any.
    pub python: Option<python::Environment>,
    /// The fork server of such tasks; tries in the foreground that are given the same settings share it.
    pub fork_server: ForkServer,
    /// The program and arguments that run [`crate::warden::main`]; without it, what was running goes on for a while when
    /// this process is killed.
    pub warden: Option<Vec<OsString>>,
    /// How long running tries may go on after shutdown was asked for.
    pub drain_timeout: Duration,
    /// The time between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// The most bytes of one log that are kept.
    pub log_limit: u64,
}

/// A fork server that is started with the first task that needs it. Copies of it are one and the same.
#[derive(Debug, Clone, Default)]
pub struct ForkServer(pub(crate) Arc<Mutex<Option<Arc<Zygote>>>>);

/// Default of [`Settings::drain_timeout`].
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Default of [`Settings::grace`].
pub const GRACE: Duration = Duration::from_secs(5);
/// Default of [`Settings::log_limit`].
pub const LOG_LIMIT: u64 = 4 << 30;

impl Settings {
    /// The usual settings for a worker on the queue `default`. The environment is that of this process.
    #[must_use]
    pub fn new(slots: usize, hostname: String, dags_folder: PathBuf, scratch: PathBuf) -> Settings {
        Settings {
            queues: vec![QueueName::default_queue()],
            slots,
            hostname,
            dags_folder,
            scratch,
            environment: std::env::vars_os().collect(),
            python: None,
            fork_server: ForkServer::default(),
            warden: None,
            drain_timeout: DRAIN_TIMEOUT,
            grace: GRACE,
            log_limit: LOG_LIMIT,
        }
    }
}

/// Connections and variables that the environment gives: they go before those of the records, as in Airflow.
///
/// `TRADEWIND_CONN_<ID>`, `AIRFLOW_CONN_<ID>`, `TRADEWIND_VAR_<KEY>` and `AIRFLOW_VAR_<KEY>`, the name in capitals.
#[derive(Clone, Default)]
pub struct Overrides {
    connections: HashMap<String, String>,
    variables: HashMap<String, String>,
}

impl std::fmt::Debug for Overrides {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Overrides({} connections, {} variables)", self.connections.len(), self.variables.len())
    }
}

impl Overrides {
    /// Those in `environment`.
    #[must_use]
    pub fn of(environment: &[(OsString, OsString)]) -> Overrides {
        let mut overrides = Overrides::default();
        // Airflow's first, so that ours replace them.
        for prefix in ["AIRFLOW", "TRADEWIND"] {
            for (name, value) in environment {
                let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else {
                    continue;
                };
                let Some(rest) = name.strip_prefix(prefix) else {
                    continue;
                };
                if let Some(id) = rest.strip_prefix("_CONN_") {
                    overrides.connections.insert(id.to_uppercase(), value.to_owned());
                } else if let Some(key) = rest.strip_prefix("_VAR_") {
                    overrides.variables.insert(key.to_uppercase(), value.to_owned());
                }
            }
        }
        overrides
    }

    /// A variable that the environment gives.
    #[must_use]
    pub fn variable(&self, key: &str) -> Option<String> {
        self.variables.get(&key.to_uppercase()).cloned()
    }

    /// A connection that the environment gives.
    ///
    /// # Errors
    /// When the environment has something else in its place; in words.
    #[must_use]
    pub fn connection(&self, conn_id: &str) -> Option<Result<Connection, String>> {
        let name = conn_id.to_uppercase();
        let text = self.connections.get(&name)?;
        let wrong = |error: store::Error| {
            format!("the variable for {name} in the worker's environment cannot be used: {error}")
        };
        Some(Connection::parse(conn_id, text).map_err(wrong))
    }
}
