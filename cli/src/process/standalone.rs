//! The whole platform in one process: private PostgreSQL, queue in memory, scheduler, worker and web server.

use std::net::TcpListener;

use anyhow::{Context, Result};
use queue::Queue;
use runtime::{health::Health, shutdown::Shutdown};
use tokio::task::JoinHandle;

use super::{
    PATIENCE,
    database::Database,
    first_start, open,
    parts::{self, Parts},
    start_tracing, try_out,
};
use crate::{
    args::{self, Common},
    output, setup,
};

/// `tradewind standalone`
pub async fn standalone(common: &Common, args: &args::Standalone) -> Result<()> {
    let mut flags = setup::flags(common);
    flags.host.clone_from(&args.web.host);
    flags.port.clone_from(&args.web.port);
    flags.parallelism.clone_from(&args.worker.parallelism);
    flags.queues.clone_from(&args.worker.queues);
    flags.policy.clone_from(&args.scheduler.policy);
    flags.fair_share.clone_from(&args.scheduler.fair_share);
    let config = setup::config(&flags)?;
    start_tracing(&config)?;
    config.home.create()?;
    std::fs::create_dir_all(&*config.dags_folder).with_context(|| {
        let folder = config.dags_folder.display();
        format!("cannot create the DAGs folder {folder}; choose another with --dags or TRADEWIND_DAGS_FOLDER")
    })?;
    let listener = parts::bind(&config)?;
    let shutdown = Shutdown::on_signals().context("cannot listen for signals")?;
    let database = Database::start(&config).await?;
    let store = open(&config, database.url.clone())?;
    store.wait_until_ready(PATIENCE).await?;
    store.migrate().await?;
    let queue = setup::open_queue(&config)?.unwrap_or_else(Queue::memory);
    try_out(&queue).await?;
    let parts = Parts::new(config, store, queue, Health::new())?;
    let result = serve(&parts, listener, &database, &args.worker, shutdown).await;
    drop(parts);
    database.stop().await.and(result)
}

async fn serve(
    parts: &Parts,
    listener: TcpListener,
    database: &Database,
    worker: &args::Worker,
    shutdown: Shutdown,
) -> Result<()> {
    first_start::accounts(parts).await?;
    if let Some(url) = &database.warehouse {
        first_start::warehouse(&parts.store, url).await?;
    }
    let server = parts.webserver(listener)?;
    announce(parts, &server.url()).await?;

    // The worker drains first, while the scheduler still takes its reports.
    let rest = Shutdown::new();
    let scheduler = tokio::spawn(parts.scheduler().run(rest.clone()));
    let web = tokio::spawn(server.run(rest.clone()));
    let scheduling = until_the_end("scheduler", scheduler, &rest, &shutdown);
    let showing = until_the_end("web server", web, &rest, &shutdown);
    let working = async {
        let result = parts.run_worker(worker, shutdown.clone()).await;
        shutdown.drain.cancel();
        rest.drain.cancel();
        result
    };
    let (worked, (), scheduled, showed) =
        tokio::join!(working, database.keep_alive(&shutdown), scheduling, showing);
    scheduled?;
    worked.and(showed?)
}

// A part that ends although nobody asked it to takes the others with it: half a platform helps nobody.
async fn until_the_end<T>(name: &str, part: JoinHandle<T>, asked: &Shutdown, all: &Shutdown) -> Result<T> {
    let result = part.await.with_context(|| format!("the {name} broke down"));
    if !asked.drain.is_cancelled() {
        tracing::error!(name, "ended by itself; stopping everything");
        all.drain.cancel();
    }
    result
}

async fn announce(parts: &Parts, url: &str) -> Result<()> {
    output::say(&format!("Tradewind is ready on {url}"))?;
    if parts.config.admin_password.is_none()
        && let Some(token) = first_start::sign_in_token(&parts.store).await?
    {
        output::say(&format!("Sign in once with {url}/auth/link/{token}"))?;
    }
    Ok(())
}
