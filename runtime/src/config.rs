//! The configuration of every process: each value is a flag, else an environment variable, else a default, and
//! remembers which. It is read once, at the start, into types that cannot hold a wrong value.

mod address;
mod capacity;
mod environment;
mod home;
mod listener;
mod logging;
mod memory;
pub mod setting;
mod value;

use std::path::PathBuf;

pub use address::{BaseUrl, DatabaseUrl, LogsUrl, RedisUrl};
pub use capacity::{Parallelism, QueueName, Queues};
pub use environment::{Environment, Warning};
pub(crate) use home::make_private_folder;
pub use home::{Home, Unusable};
pub use listener::{Host, Port};
pub use logging::{LogFilter, LogFormat};
pub use memory::Memory;
pub use setting::Setting;
pub use value::{Given, Listed, Origin, Value};

use crate::secret::{MASK, Secret};
use value::{Expected, Sources};

/// Default of [`Config::airflow_kept_files`], and the most.
const KEPT_FILES: u8 = 8;
const MOST_KEPT_FILES: u8 = 64;

/// What was given on the command line, unread. Secrets have no flag: other users of the machine can see command
/// lines. It cannot be printed, because a URL in it may hold a password.
#[derive(Clone, Default)]
pub struct Flags {
    /// `--home`
    pub home: Option<String>,
    /// `--database-url`
    pub database_url: Option<String>,
    /// `--redis-url`
    pub redis_url: Option<String>,
    /// `--dags`
    pub dags_folder: Option<String>,
    /// `--logs-url`
    pub logs_url: Option<String>,
    /// `--host`
    pub host: Option<String>,
    /// `--port`
    pub port: Option<String>,
    /// `--parallelism`
    pub parallelism: Option<String>,
    /// `--queues`
    pub queues: Option<String>,
    /// `--policy`
    pub policy: Option<String>,
    /// `--fair-share`
    pub fair_share: Option<String>,
    /// `--base-url`
    pub base_url: Option<String>,
}

/// The whole configuration. Each field names its variable and default; [`setting`] has the same for people.
#[derive(Clone, Debug)]
pub struct Config {
    /// `TRADEWIND_HOME`, default `~/.tradewind`.
    pub home: Value<Home>,
    /// `TRADEWIND_DATABASE_URL`, default none: `standalone` runs a private PostgreSQL in the home.
    pub database_url: Value<Option<DatabaseUrl>>,
    /// `TRADEWIND_REDIS_URL`, default none: `standalone` keeps the queue in its own memory.
    pub redis_url: Value<Option<RedisUrl>>,
    /// `TRADEWIND_DAGS_FOLDER`, default `dags` in the home. Absolute.
    pub dags_folder: Value<PathBuf>,
    /// `TRADEWIND_LOGS_URL`, default `logs` in the home.
    pub logs_url: Value<LogsUrl>,
    /// `TRADEWIND_SECRET_KEY`, default none: see [`crate::secret_key::SecretKey::open`].
    pub secret_key: Value<Option<Secret>>,
    /// `TRADEWIND_HOST`, default `127.0.0.1`.
    pub host: Value<Host>,
    /// `TRADEWIND_PORT`, default 8080; 0 takes a free one.
    pub port: Value<Port>,
    /// `TRADEWIND_BASE_URL`, default none: links in alerts are paths.
    pub base_url: Value<Option<BaseUrl>>,
    /// `TRADEWIND_PARALLELISM`, default twice the number of processors, at least 8: tasks a worker runs at once.
    pub parallelism: Value<Parallelism>,
    /// `TRADEWIND_QUEUES`, default `default`: the queues a worker serves.
    pub queues: Value<Queues>,
    /// `TRADEWIND_POLICY`, default none: the name of a policy. Which there are is for the scheduler to say.
    pub policy: Value<Option<String>>,
    /// `TRADEWIND_FAIR_SHARE`, default true.
    pub fair_share: Value<bool>,
    /// `TRADEWIND_AIRFLOW_COMPAT`, default on: files written for Airflow 1.10 and 2 are understood.
    pub airflow_compat: Value<bool>,
    /// `TRADEWIND_AIRFLOW_KEPT_FILES`, default 8: for so many Airflow DAG files a worker keeps what it has read.
    pub airflow_kept_files: Value<u8>,
    /// `TRADEWIND_AIRFLOW_PARSE_MEMORY`, default 2G: so much memory may the process map that reads an Airflow DAG file.
    pub airflow_parse_memory: Value<Memory>,
    /// `TRADEWIND_AIRFLOW_PLUGINS_FOLDER`, default none: `AIRFLOW__CORE__PLUGINS_FOLDER`, or `python/airflow/plugins` in the home.
    pub airflow_plugins_folder: Value<Option<PathBuf>>,
    /// `TRADEWIND_ADMIN_PASSWORD`, default none: the password of the user `admin`, set at the first start.
    pub admin_password: Value<Option<Secret>>,
    /// `TRADEWIND_LOG`, default `info`.
    pub log: Value<LogFilter>,
    /// `TRADEWIND_LOG_FORMAT`, default `auto`.
    pub log_format: Value<LogFormat>,
    /// Variables that look like ours but are not.
    pub warnings: Vec<Warning>,
}

/// A value that cannot be used. The text names where it came from, what it is and what is allowed; the text of a
/// secret is not shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The value of a flag or variable is not one of those allowed.
    #[error("{given} is {shown}, but it must be {expected}")]
    Invalid {
        /// The flag or variable.
        given: Given,
        /// The value in quotes, or that it is hidden.
        shown: String,
        /// What is allowed.
        expected: String,
    },
    /// A variable holds bytes that are not text.
    #[error("{variable} is not valid UTF-8 text")]
    NotText {
        /// The variable.
        variable: String,
    },
    /// There is no home folder to put `.tradewind` in.
    #[error("cannot tell your home folder because HOME is not set: set TRADEWIND_HOME or give --home")]
    NoHome,
}

impl Config {
    /// Reads the whole configuration of a process. The first wrong value is the error.
    pub fn load(flags: &Flags, environment: &Environment) -> Result<Config, Error> {
        let from = Sources::new(environment);
        let user_home = || environment.get("HOME").map(PathBuf::from);
        let home =
            match from.find(&setting::HOME, flags.home.as_deref(), |text| Home::parse(text, user_home()))? {
                Some(home) => home,
                None => Value::default(Home::below(&user_home().ok_or(Error::NoHome)?)),
            };
        let folder = |text: &str| home::parse_folder(text, user_home());
        let logs = |text: &str| LogsUrl::parse(text, user_home());
        Ok(Config {
            database_url: from.optional(
                &setting::DATABASE_URL,
                flags.database_url.as_deref(),
                DatabaseUrl::parse,
            )?,
            redis_url: from.optional(&setting::REDIS_URL, flags.redis_url.as_deref(), RedisUrl::parse)?,
            dags_folder: from
                .find(&setting::DAGS_FOLDER, flags.dags_folder.as_deref(), folder)?
                .unwrap_or_else(|| Value::default(home.dags())),
            logs_url: from
                .find(&setting::LOGS_URL, flags.logs_url.as_deref(), logs)?
                .unwrap_or_else(|| Value::default(LogsUrl::folder(&home.logs()))),
            secret_key: from.optional(&setting::SECRET_KEY, None, parse_secret_key)?,
            host: from.or_default(&setting::HOST, flags.host.as_deref(), Host::parse)?,
            port: from.or_default(&setting::PORT, flags.port.as_deref(), Port::parse)?,
            base_url: from.optional(&setting::BASE_URL, flags.base_url.as_deref(), BaseUrl::parse)?,
            parallelism: from.or_default(
                &setting::PARALLELISM,
                flags.parallelism.as_deref(),
                Parallelism::parse,
            )?,
            queues: from.or_default(&setting::QUEUES, flags.queues.as_deref(), Queues::parse)?,
            policy: from.optional(&setting::POLICY, flags.policy.as_deref(), parse_name)?,
            fair_share: from
                .find(&setting::FAIR_SHARE, flags.fair_share.as_deref(), parse_bool)?
                .unwrap_or_else(|| Value::default(true)),
            airflow_compat: from
                .find(&setting::AIRFLOW_COMPAT, None, parse_switch)?
                .unwrap_or_else(|| Value::default(true)),
            airflow_kept_files: from
                .find(&setting::AIRFLOW_KEPT_FILES, None, parse_kept_files)?
                .unwrap_or_else(|| Value::default(KEPT_FILES)),
            airflow_parse_memory: from
                .find(&setting::AIRFLOW_PARSE_MEMORY, None, Memory::parse)?
                .unwrap_or_else(|| Value::default(Memory::TWO_GIB)),
            airflow_plugins_folder: from.optional(&setting::AIRFLOW_PLUGINS_FOLDER, None, folder)?,
            admin_password: from.optional(&setting::ADMIN_PASSWORD, None, parse_password)?,
            log: from.or_default(&setting::LOG, None, LogFilter::parse)?,
            log_format: from.or_default(&setting::LOG_FORMAT, None, LogFormat::parse)?,
            warnings: environment.warnings(),
            home,
        })
    }

    /// Every value as people may see it, with where it came from: secrets and passwords are masked.
    pub fn list(&self) -> Vec<Listed> {
        let private = || "(private PostgreSQL in the home)".to_owned();
        let memory = || "(in memory)".to_owned();
        let key_file = || format!("{MASK} ({})", self.home.secret_key_file().display());
        let hidden = |_: &Secret| MASK.to_owned();
        vec![
            self.home.listed(&setting::HOME, |home| home.path().display().to_string()),
            self.database_url.listed(&setting::DATABASE_URL, |url| url.as_ref().map_or_else(private, shown)),
            self.redis_url.listed(&setting::REDIS_URL, |url| url.as_ref().map_or_else(memory, shown)),
            self.dags_folder.listed(&setting::DAGS_FOLDER, |folder| folder.display().to_string()),
            self.logs_url.listed(&setting::LOGS_URL, shown),
            self.secret_key.listed(&setting::SECRET_KEY, |key| key.as_ref().map_or_else(key_file, hidden)),
            self.host.listed(&setting::HOST, shown),
            self.port.listed(&setting::PORT, shown),
            self.base_url.listed(&setting::BASE_URL, |url| url.as_ref().map_or_else(String::new, shown)),
            self.parallelism.listed(&setting::PARALLELISM, shown),
            self.queues.listed(&setting::QUEUES, shown),
            self.policy.listed(&setting::POLICY, |policy| policy.clone().unwrap_or_default()),
            self.fair_share.listed(&setting::FAIR_SHARE, shown),
            self.airflow_compat
                .listed(&setting::AIRFLOW_COMPAT, |on| if *on { "on" } else { "off" }.to_owned()),
            self.airflow_kept_files.listed(&setting::AIRFLOW_KEPT_FILES, shown),
            self.airflow_parse_memory.listed(&setting::AIRFLOW_PARSE_MEMORY, shown),
            self.airflow_plugins_folder.listed(&setting::AIRFLOW_PLUGINS_FOLDER, |folder| {
                folder.as_ref().map_or_else(String::new, |folder| folder.display().to_string())
            }),
            self.admin_password.listed(&setting::ADMIN_PASSWORD, |password| {
                password.as_ref().map_or_else(String::new, hidden)
            }),
            self.log.listed(&setting::LOG, shown),
            self.log_format.listed(&setting::LOG_FORMAT, shown),
        ]
    }
}

fn shown(value: &impl ToString) -> String {
    value.to_string()
}

/// Short keys can be guessed; whatever is longer is hashed to the size needed.
fn parse_secret_key(text: &str) -> Result<Secret, Expected> {
    if text.chars().count() >= 16 && text.len() <= 4096 {
        Ok(Secret::new(text))
    } else {
        Err(Expected::new(
            "16 to 4096 characters that nobody can guess, such as `openssl rand -base64 32` prints",
        ))
    }
}

fn parse_name(text: &str) -> Result<String, Expected> {
    let ok = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    ok.then(|| text.to_owned()).ok_or_else(|| Expected::new("a name of small letters and _"))
}

fn parse_bool(text: &str) -> Result<bool, Expected> {
    text.trim().to_ascii_lowercase().parse().map_err(|_| Expected::new("true or false"))
}

fn parse_switch(text: &str) -> Result<bool, Expected> {
    match text.trim().to_ascii_lowercase().as_str() {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err(Expected::new("on or off")),
    }
}

fn parse_kept_files(text: &str) -> Result<u8, Expected> {
    let number = text.trim().parse().ok().filter(|number| *number <= MOST_KEPT_FILES);
    number.ok_or_else(|| Expected::new(format!("a whole number from 0 to {MOST_KEPT_FILES}")))
}

fn parse_password(text: &str) -> Result<Secret, Expected> {
    if text.len() <= 256 { Ok(Secret::new(text)) } else { Err(Expected::new("at most 256 bytes long")) }
}
