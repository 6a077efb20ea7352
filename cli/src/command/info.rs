//! `tradewind info`

use std::env::consts::{ARCH, OS};

use anyhow::Result;
use runtime::config::Config;
use serde::Serialize;

use crate::{args::Common, output, setup};

#[derive(Serialize)]
struct Info {
    version: &'static str,
    platform: String,
    hostname: String,
    home: String,
    dags_folder: String,
    logs: String,
    database: String,
    schema: String,
    queue: String,
    processes: Vec<String>,
}

/// Shows what this installation consists of, and which parts of it answer.
pub async fn run(common: &Common) -> Result<()> {
    let config = setup::command_config(common)?;
    let (database, schema, processes) = database(&config).await;
    let info = Info {
        version: env!("CARGO_PKG_VERSION"),
        platform: format!("{OS} {ARCH}"),
        hostname: setup::hostname(),
        home: config.home.path().display().to_string(),
        dags_folder: config.dags_folder.display().to_string(),
        logs: config.logs_url.to_string(),
        database,
        schema,
        queue: queue(&config).await,
        processes,
    };
    output::record(common.output, &info)
}

// What does not answer is part of the information, not a failure.
async fn database(config: &Config) -> (String, String, Vec<String>) {
    let store = match setup::bare_store(config).await {
        Ok(store) => store,
        Err(error) => return (format!("{error:#}"), "unknown".to_owned(), Vec::new()),
    };
    let version = store.server_version().await.unwrap_or_else(|error| error.to_string());
    let schema = store.check_schema().await.map_or_else(|error| error.to_string(), |()| "current".to_owned());
    let jobs = store.jobs().await.unwrap_or_default();
    let alive = jobs.into_iter().filter(|job| job.is_alive);
    let processes =
        alive.map(|job| format!("{} on {} (process {})", job.kind.as_str(), job.hostname, job.pid)).collect();
    (format!("PostgreSQL {version} at {}", store.place()), schema, processes)
}

async fn queue(config: &Config) -> String {
    match setup::open_queue(config) {
        Ok(None) => "in the memory of standalone".to_owned(),
        Ok(Some(queue)) => match queue.ping().await {
            Ok(()) => format!("Redis at {}", queue.address()),
            Err(error) => format!("Redis at {} does not answer: {error}", queue.address()),
        },
        Err(error) => format!("{error:#}"),
    }
}
