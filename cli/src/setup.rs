//! From flags and environment to what commands and processes work with: configuration, store, queue, log storage, keys.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use domain::engine::{floor::Policy, record::AdmissionRecord};
use queue::Queue;
use runtime::{
    config::{Config, Environment, Flags},
    postgres,
    secret_key::SecretKey,
};
use store::Store;

use crate::{args::Common, output};

/// The key that variables and connections are encrypted with is derived for this purpose.
pub const STORE_PURPOSE: &str = "store";
/// What all keys of the queue begin with in Redis.
pub const QUEUE_PREFIX: &str = "tradewind";

/// Connections to the database that one command needs at most.
const COMMAND_POOL: usize = 2;
/// How long a command waits for the database to answer.
const COMMAND_PATIENCE: Duration = Duration::from_secs(5);

/// The flags that every command has.
pub fn flags(common: &Common) -> Flags {
    Flags {
        home: common.home.clone(),
        database_url: common.database_url.clone(),
        redis_url: common.redis_url.clone(),
        dags_folder: common.dags_folder.clone(),
        logs_url: common.logs_url.clone(),
        base_url: common.base_url.clone(),
        ..Flags::default()
    }
}

/// Reads the configuration. What is strange about it is in its warnings.
///
/// # Errors
/// The first value that cannot be used.
pub fn config(flags: &Flags) -> Result<Config> {
    let config = Config::load(flags, &Environment::process())?;
    admission(&config)?;
    Ok(config)
}

/// By which rules task instances start in this installation.
///
/// # Errors
/// When the policy is none that there is.
pub fn admission(config: &Config) -> Result<AdmissionRecord> {
    let policy = match config.policy.as_deref() {
        Some(name) => name.parse().context("the policy of the installation (--policy, TRADEWIND_POLICY)")?,
        None => Policy::default(),
    };
    Ok(AdmissionRecord { policy, fair_share: *config.fair_share, ..AdmissionRecord::default() })
}

/// The Python environment that Airflow DAG files are read and run in; it need not exist.
pub fn python(config: &Config) -> python::Environment {
    python::Environment::of(config.home.path())
        .with_compat(*config.airflow_compat)
        .with_kept_files(*config.airflow_kept_files)
        .with_parse_memory(config.airflow_parse_memory.bytes())
        .with_plugins_folder(config.airflow_plugins_folder.value.clone())
}

/// The configuration of a command, which says on the standard error what is strange about it.
///
/// # Errors
/// The first value that cannot be used.
pub fn command_config(common: &Common) -> Result<Config> {
    let config = config(&flags(common))?;
    config.warnings.iter().for_each(|warning| output::note(&format!("warning: {warning}")));
    Ok(config)
}

/// The key of this installation; the home folder is made when the key must be kept there.
///
/// # Errors
/// When the home folder or the key in it cannot be used.
pub fn secret_key(config: &Config) -> Result<SecretKey> {
    if config.secret_key.is_none() {
        config.home.create()?;
    }
    Ok(SecretKey::open(config)?)
}

/// The URL of the database: the configured one, else that of a `standalone` which runs in the same home.
///
/// # Errors
/// When there is neither.
pub async fn database_url(config: &Config) -> Result<String> {
    if let Some(url) = &*config.database_url {
        return Ok(url.expose().to_owned());
    }
    let home = config.home.path().to_owned();
    let found = tokio::task::spawn_blocking(move || postgres::find_running(&home)).await??;
    let Some(address) = found else {
        bail!(
            "there is no database: no `tradewind standalone` runs in {}. Start one, or give the URL of a database with \
             --database-url or TRADEWIND_DATABASE_URL",
            config.home.path().display()
        );
    };
    let [database, _] = postgres::DATABASES;
    Ok(address.url(database))
}

/// The records of a command, whatever the tables are.
///
/// # Errors
/// When there is no database or it does not answer.
pub async fn bare_store(config: &Config) -> Result<Store> {
    let url = database_url(config).await?;
    let key = secret_key(config)?.derive(STORE_PURPOSE);
    let settings = store::Settings {
        pool_size: COMMAND_POOL,
        connect_timeout: COMMAND_PATIENCE,
        application_name: "tradewind cli".to_owned(),
        ..store::Settings::new(url, key)
    };
    Ok(Store::connect(settings).await?)
}

/// The records of a command, with current tables.
///
/// # Errors
/// When there is no database, it does not answer, or its tables belong to another version.
pub async fn command_store(config: &Config) -> Result<Store> {
    let store = bare_store(config).await?;
    store.check_schema().await?;
    Ok(store)
}

/// What most commands work with.
///
/// # Errors
/// Those of [`command_config`] and [`command_store`].
pub async fn for_command(common: &Common) -> Result<(Config, Store)> {
    let config = command_config(common)?;
    let store = command_store(&config).await?;
    Ok((config, store))
}

/// The queue, where other processes can reach it. Without one nobody can be rung: the scheduler looks into its inbox
/// once a second anyway.
///
/// # Errors
/// When its URL is none.
pub fn open_queue(config: &Config) -> Result<Option<Queue>> {
    let url = config.redis_url.as_ref();
    url.map(|url| Queue::redis(url.expose(), QUEUE_PREFIX).context("the queue cannot be used")).transpose()
}

/// Rings the scheduler, if there is a way to; when there is none, or nobody hears, it looks by itself soon.
pub async fn ring(config: &Config, bell: queue::Bell) -> Result<()> {
    if let Some(queue) = open_queue(config)?
        && let Err(error) = queue.ring(bell).await
    {
        output::note(&format!("note: the queue was not reached ({error}); this takes a second longer"));
    }
    Ok(())
}

/// Who asks, for the audit log: the name of the user at this terminal.
pub fn operator() -> String {
    let uid = nix::unistd::geteuid();
    let user = nix::unistd::User::from_uid(uid).ok().flatten();
    format!("{} (command line)", user.map_or_else(|| uid.to_string(), |user| user.name))
}

/// The name of this machine, as it is recorded with processes.
pub fn hostname() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| "unknown".to_owned())
}
