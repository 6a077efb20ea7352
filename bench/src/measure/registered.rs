//! (g) 5,000 DAGs that are registered and have nothing to do.

use std::time::Instant;

use anyhow::Result;

use super::Plan;
use super::idle::{MEGA, SETTLE, idle_shares};
use crate::dagfile::{self, DagFile};
use crate::platform::Platform;
use crate::report::{Goal, Measure};
use crate::usage;

const PART: &str = "g";
/// With those that are there from the start.
const DAGS: usize = 5000;

/// The time to load them, memory and processor time.
pub async fn measure(platform: &mut Platform, plan: &Plan) -> Result<Vec<Measure>> {
    platform.wait_until_idle().await?;
    let files: Vec<DagFile> = (dagfile::IDLE..DAGS).map(dagfile::idle).collect();
    let began = Instant::now();
    platform.add(&files).await?;
    let loading = began.elapsed().as_secs_f64();
    platform.rest(SETTLE).await?;
    let pids: Vec<i32> = platform.pids().iter().map(|(_, pid)| *pid).collect();
    let (ours, servers) = idle_shares(platform, plan, &pids).await?;
    let memory = usage::memory(&pids)?.pss as f64 / MEGA;
    platform.remove(&files)?;
    // The others are not to be measured while these are taken out of the records.
    platform.rest(SETTLE).await?;
    let seconds = plan.idle_seconds;
    let name = |what: &str| format!("{DAGS} DAGs, nothing to do: {what}");
    Ok(vec![
        Measure::new(PART, format!("{} more DAGs: from the files to the records", files.len()), loading, "s"),
        Measure::new(PART, name(&format!("processor time over {seconds} s")), ours, "% of a core")
            .goal(Goal::Below(2.0)),
        Measure::new(PART, name("that of PostgreSQL and Redis"), servers, "% of a core"),
        Measure::new(PART, name("memory (PSS) of all processes"), memory, "MB").goal(Goal::Below(250.0)),
    ])
}
