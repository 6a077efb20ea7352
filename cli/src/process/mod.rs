//! The long-running processes, and `standalone`, which is all of them in one.

mod database;
mod first_start;
mod parts;
mod standalone;

use std::time::Duration;

use anyhow::{Context, Result};
use queue::Queue;
use runtime::{config::Config, health::Health, shutdown::Shutdown, trace};

use store::Store;

use self::parts::Parts;
use crate::args::{self, Common};
use crate::setup;

pub use standalone::standalone;

/// How long a starting process waits for the database.
const PATIENCE: Duration = Duration::from_secs(60);

/// `tradewind scheduler`
pub async fn scheduler(common: &Common, scheduler: &args::Scheduler) -> Result<()> {
    let mut flags = setup::flags(common);
    flags.policy.clone_from(&scheduler.policy);
    flags.fair_share.clone_from(&scheduler.fair_share);
    let (parts, shutdown) = connect(&flags).await?;
    parts.scheduler().run(shutdown).await;
    Ok(())
}

/// `tradewind worker`
pub async fn worker(common: &Common, worker: &args::Worker) -> Result<()> {
    let mut flags = setup::flags(common);
    flags.parallelism.clone_from(&worker.parallelism);
    flags.queues.clone_from(&worker.queues);
    let (parts, shutdown) = connect(&flags).await?;
    parts.run_worker(worker, shutdown).await
}

/// `tradewind webserver`
pub async fn webserver(common: &Common, webserver: &args::Webserver) -> Result<()> {
    let mut flags = setup::flags(common);
    flags.host.clone_from(&webserver.host);
    flags.port.clone_from(&webserver.port);
    let (parts, shutdown) = connect(&flags).await?;
    let listener = parts::bind(&parts.config)?;
    first_start::accounts(&parts).await?;
    parts.webserver(listener)?.run(shutdown).await
}

// What a single process stands on: the database must be there and current, Redis may come later.
async fn connect(flags: &runtime::config::Flags) -> Result<(Parts, Shutdown)> {
    let config = setup::config(flags)?;
    start_tracing(&config)?;
    config.home.create()?;
    let store = open(&config, setup::database_url(&config).await?)?;
    store.wait_until_ready(PATIENCE).await?;
    store.check_schema().await?;
    let shutdown = Shutdown::on_signals().context("cannot listen for signals")?;
    let queue = setup::open_queue(&config)?
        .context("this process needs Redis: set TRADEWIND_REDIS_URL or give --redis-url (`tradewind standalone` does without)")?;
    try_out(&queue).await?;
    Ok((Parts::new(config, store, queue, Health::new())?, shutdown))
}

// Redis may be away and come later, but a password does not become right by waiting.
async fn try_out(queue: &Queue) -> Result<()> {
    match queue.ping().await {
        Ok(()) => Ok(()),
        Err(error @ queue::Error::LockedOut { .. }) => Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, queue = queue.address(), "starting without Redis; using it as soon as it answers");
            Ok(())
        }
    }
}

// The records, as a long-running process uses them.
fn open(config: &Config, url: String) -> Result<Store> {
    let key = setup::secret_key(config)?.derive(setup::STORE_PURPOSE);
    Ok(Store::open(store::Settings::new(url, key))?)
}

fn start_tracing(config: &Config) -> Result<()> {
    trace::init(&config.log, *config.log_format)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    Ok(())
}
