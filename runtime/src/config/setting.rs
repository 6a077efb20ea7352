//! What can be configured, for messages and `config list`.

/// One thing that can be configured.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name in `config list` and `config get-value`.
    pub name: &'static str,
    /// Its environment variable.
    pub variable: &'static str,
    /// Its flag, where it has one.
    pub flag: Option<&'static str>,
    /// Whether its text is, or may hold, a secret and is never shown as it is.
    pub secret: bool,
    /// What it means, in one sentence.
    pub about: &'static str,
}

const fn plain(
    name: &'static str,
    variable: &'static str,
    flag: Option<&'static str>,
    about: &'static str,
) -> Setting {
    Setting { name, variable, flag, secret: false, about }
}

const fn secret(
    name: &'static str,
    variable: &'static str,
    flag: Option<&'static str>,
    about: &'static str,
) -> Setting {
    Setting { name, variable, flag, secret: true, about }
}

/// Tradewind's home folder.
pub static HOME: Setting = plain(
    "home",
    "TRADEWIND_HOME",
    Some("--home"),
    "The folder that holds everything Tradewind keeps on this machine.",
);
/// The database.
pub static DATABASE_URL: Setting = secret(
    "database_url",
    "TRADEWIND_DATABASE_URL",
    Some("--database-url"),
    "The PostgreSQL database; without it, standalone runs a private one.",
);
/// The queue.
pub static REDIS_URL: Setting = secret(
    "redis_url",
    "TRADEWIND_REDIS_URL",
    Some("--redis-url"),
    "The Redis server of the queue; without it, standalone keeps the queue in memory.",
);
/// The DAG files.
pub static DAGS_FOLDER: Setting =
    plain("dags_folder", "TRADEWIND_DAGS_FOLDER", Some("--dags"), "The folder with the DAG files.");
/// Log storage.
pub static LOGS_URL: Setting = plain(
    "logs_url",
    "TRADEWIND_LOGS_URL",
    Some("--logs-url"),
    "Where the logs and artifacts of tasks are kept: a folder or a bucket.",
);
/// The key that sessions, tokens and stored secrets are protected with.
pub static SECRET_KEY: Setting = secret(
    "secret_key",
    "TRADEWIND_SECRET_KEY",
    None,
    "The key that protects sessions, tokens and stored secrets; the same for all processes of one installation.",
);
/// Where the web server listens.
pub static HOST: Setting =
    plain("host", "TRADEWIND_HOST", Some("--host"), "The address the web server listens on.");
/// Which port the web server listens on.
pub static PORT: Setting = plain(
    "port",
    "TRADEWIND_PORT",
    Some("--port"),
    "The port the web server listens on; 0 takes a free one.",
);
/// Where people reach the web server.
pub static BASE_URL: Setting = plain(
    "base_url",
    "TRADEWIND_BASE_URL",
    Some("--base-url"),
    "The URL at which people reach the web server; links in alerts begin with it.",
);
/// How much a worker does at once.
pub static PARALLELISM: Setting = plain(
    "parallelism",
    "TRADEWIND_PARALLELISM",
    Some("--parallelism"),
    "How many tasks a worker runs at the same time.",
);
/// What a worker serves.
pub static QUEUES: Setting = plain(
    "queues",
    "TRADEWIND_QUEUES",
    Some("--queues"),
    "The queues a worker takes tasks from, separated by commas.",
);
/// The order in which task instances start.
pub static POLICY: Setting = plain(
    "policy",
    "TRADEWIND_POLICY",
    Some("--policy"),
    "The order among task instances that wait for the same room, where a pool names no other.",
);
/// Whether DAGs share the room.
pub static FAIR_SHARE: Setting = plain(
    "fair_share",
    "TRADEWIND_FAIR_SHARE",
    Some("--fair-share"),
    "Whether DAGs share the room fairly before the policy counts: true or false.",
);
/// Whether older Airflow DAG files are understood.
pub static AIRFLOW_COMPAT: Setting = plain(
    "airflow_compat",
    "TRADEWIND_AIRFLOW_COMPAT",
    None,
    "Whether Airflow DAG files may use what Airflow 3 removed: on or off.",
);
/// For how many DAG files what was read of them is kept.
pub static AIRFLOW_KEPT_FILES: Setting = plain(
    "airflow_kept_files",
    "TRADEWIND_AIRFLOW_KEPT_FILES",
    None,
    "For how many Airflow DAG files a worker keeps what it has read, for tasks that follow each other; 0 for none.",
);
/// How much memory reading a DAG file may take.
pub static AIRFLOW_PARSE_MEMORY: Setting = plain(
    "airflow_parse_memory",
    "TRADEWIND_AIRFLOW_PARSE_MEMORY",
    None,
    "How much memory the process may map that reads an Airflow DAG file, such as 512M or 2G; off for no limit.",
);
/// Where plugins of Airflow's are.
pub static AIRFLOW_PLUGINS_FOLDER: Setting = plain(
    "airflow_plugins_folder",
    "TRADEWIND_AIRFLOW_PLUGINS_FOLDER",
    None,
    "The folder with plugins of Airflow's, as in its setting plugins_folder.",
);
/// The first user's password.
pub static ADMIN_PASSWORD: Setting = secret(
    "admin_password",
    "TRADEWIND_ADMIN_PASSWORD",
    None,
    "The password of the user admin, set at the first start.",
);
/// What Tradewind logs about itself.
pub static LOG: Setting =
    plain("log", "TRADEWIND_LOG", None, "What Tradewind logs about itself: a level, or levels by module.");
/// How Tradewind logs about itself.
pub static LOG_FORMAT: Setting = plain(
    "log_format",
    "TRADEWIND_LOG_FORMAT",
    None,
    "How Tradewind logs about itself: text, json, or auto (text on a terminal).",
);

/// All of them, in the order of `config list`.
pub fn all() -> [&'static Setting; 20] {
    [
        &HOME,
        &DATABASE_URL,
        &REDIS_URL,
        &DAGS_FOLDER,
        &LOGS_URL,
        &SECRET_KEY,
        &HOST,
        &PORT,
        &BASE_URL,
        &PARALLELISM,
        &QUEUES,
        &POLICY,
        &FAIR_SHARE,
        &AIRFLOW_COMPAT,
        &AIRFLOW_KEPT_FILES,
        &AIRFLOW_PARSE_MEMORY,
        &AIRFLOW_PLUGINS_FOLDER,
        &ADMIN_PASSWORD,
        &LOG,
        &LOG_FORMAT,
    ]
}
