//! From flags and environment to what commands and processes work with: configuration, store, queue, log storage, keys.

use std::{sync::Once, time::Duration};

use anyhow::{Context, Result, bail};
use queue::Queue;
use runtime::{
    config::{Config, Environment, Flags},
    logs::LogStore,
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
        ..Flags::default()
    }
}

/// Reads the configuration. What is strange about it is said on the standard error, once in this process.
///
/// # Errors
/// The first value that cannot be used.
pub fn config(flags: &Flags) -> Result<Config> {
    static WARNED: Once = Once::new();
    let config = Config::load(flags, &Environment::process())?;
    WARNED.call_once(|| config.warnings.iter().for_each(|warning| output::note(&format!("warning: {warning}"))));
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
pub fn database_url(config: &Config) -> Result<String> {
    if let Some(url) = &*config.database_url {
        return Ok(url.expose().to_owned());
    }
    let home = config.home.path();
    let Some(address) = postgres::find_running(home)? else {
        bail!(
            "there is no database: no `tradewind standalone` runs in {}. Start one, or give the URL of a database with \
             --database-url or TRADEWIND_DATABASE_URL",
            home.display()
        );
    };
    let [database, _] = postgres::DATABASES;
    Ok(address.url(database))
}

/// How a command reaches the database.
///
/// # Errors
/// When there is no database, or no key to read its secrets with.
pub fn store_settings(config: &Config) -> Result<store::Settings> {
    let url = database_url(config)?;
    let key = secret_key(config)?.derive(STORE_PURPOSE);
    Ok(store::Settings {
        pool_size: COMMAND_POOL,
        connect_timeout: COMMAND_PATIENCE,
        application_name: "tradewind cli".to_owned(),
        ..store::Settings::new(url, key)
    })
}

/// The database of a command, whatever its tables are.
///
/// # Errors
/// When there is none or it does not answer.
pub async fn connect(config: &Config) -> Result<Store> {
    Ok(Store::connect(store_settings(config)?).await?)
}

/// The database of a command, with current tables.
///
/// # Errors
/// When there is none, it does not answer, or its tables belong to another version.
pub async fn open_store(config: &Config) -> Result<Store> {
    let store = connect(config).await?;
    store.check_schema().await?;
    Ok(store)
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

/// Where logs and artifacts are kept.
///
/// # Errors
/// When the folder cannot be used or the kind of storage is unknown.
pub fn open_logs(config: &Config) -> Result<LogStore> {
    Ok(LogStore::open(&config.logs_url)?)
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
