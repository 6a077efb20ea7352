//! `tradewind jobs`

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use serde::Serialize;
use store::job::{Job, Kind};

use crate::{
    args::{Common, Jobs, JobsCheck},
    output, setup,
};

#[derive(Serialize)]
struct Row {
    kind: &'static str,
    state: &'static str,
    alive: bool,
    hostname: String,
    pid: i32,
    queues: Vec<String>,
    slots: u32,
    started_at: DateTime<Utc>,
    renewed_at: DateTime<Utc>,
    id: String,
}

/// Looks after the long-running processes.
pub async fn run(common: &Common, command: Jobs) -> Result<()> {
    let (_, store) = setup::for_command(common).await?;
    let jobs = store.jobs().await?;
    match command {
        Jobs::List => output::list(common.output, &jobs.into_iter().map(row).collect::<Vec<_>>()),
        Jobs::Check(check) => {
            let alive = jobs.iter().filter(|job| is_wanted(job, &check)).count();
            match alive {
                0 => bail!("no {} is alive{}", noun(check.job_type), place(&check)),
                1 => output::say("Found one alive job."),
                _ => output::say(&format!("Found {alive} alive jobs.")),
            }
        }
    }
}

fn is_wanted(job: &Job, check: &JobsCheck) -> bool {
    let here = wanted_host(check).is_none_or(|host| job.hostname == host);
    job.is_alive && here && check.job_type.is_none_or(|kind| job.kind == kind)
}

fn wanted_host(check: &JobsCheck) -> Option<String> {
    if check.local { Some(setup::hostname()) } else { check.hostname.clone() }
}

fn noun(kind: Option<Kind>) -> &'static str {
    kind.map_or("process", Kind::as_str)
}

fn place(check: &JobsCheck) -> String {
    wanted_host(check).map(|host| format!(" on {host}")).unwrap_or_default()
}

fn row(job: Job) -> Row {
    Row {
        kind: job.kind.as_str(),
        state: job.state.as_str(),
        alive: job.is_alive,
        hostname: job.hostname,
        pid: job.pid,
        queues: job.queues,
        slots: job.slots,
        started_at: job.started_at,
        renewed_at: job.renewed_at,
        id: job.id.to_string(),
    }
}
