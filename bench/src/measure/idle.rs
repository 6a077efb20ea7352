//! (d) What the platform uses when there is nothing to do, and how soon it is there.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Plan, middle};
use crate::platform::Platform;
use crate::report::{Goal, Measure};
use crate::{dagfile, usage};

const PART: &str = "d";
/// Bytes.
pub const MEGA: f64 = 1e6;
/// What goes on just after the start is not idleness.
pub const SETTLE: Duration = Duration::from_secs(5);

/// Memory, processor time and time to the first page.
pub async fn measure(platform: &mut Platform, plan: &Plan) -> Result<Vec<Measure>> {
    platform.wait_until_idle().await?;
    platform.rest(SETTLE).await?;
    let pids: Vec<i32> = platform.pids().iter().map(|(_, pid)| *pid).collect();
    let (ours, servers) = idle_shares(platform, plan, &pids).await?;
    let mut measures = memory(platform, &pids)?;
    let seconds = plan.idle_seconds;
    measures.push(
        Measure::new(PART, format!("processor time when idle, over {seconds} s"), ours, "% of a core")
            .goal(Goal::Below(1.0)),
    );
    measures.push(Measure::new(
        PART,
        "processor time of PostgreSQL and Redis meanwhile",
        servers,
        "% of a core",
    ));

    let mut starts = Vec::new();
    for _ in 0..plan.repeat {
        let start = platform.start_webserver().await?.unwrap_or(platform.first_page);
        starts.push(start.as_secs_f64());
    }
    measures.push(
        Measure::new(PART, "start of the process to its first page", middle(&starts)?, "s")
            .goal(Goal::Below(0.5)),
    );
    Ok(measures)
}

/// Which part of a core Tradewind and its servers use, in percent.
pub async fn idle_shares(platform: &mut Platform, plan: &Plan, pids: &[i32]) -> Result<(f64, f64)> {
    let began = Instant::now();
    let before = (usage::processor_seconds(pids)?, usage::processor_seconds(&plan.servers)?);
    platform.rest(Duration::from_secs(u64::from(plan.idle_seconds))).await?;
    let after = (usage::processor_seconds(pids)?, usage::processor_seconds(&plan.servers)?);
    let percent = 100.0 / began.elapsed().as_secs_f64();
    Ok((percent * (after.0 - before.0), percent * (after.1 - before.1)))
}

fn memory(platform: &Platform, pids: &[i32]) -> Result<Vec<Measure>> {
    let whole = usage::memory(pids)?;
    let name = format!("memory with {} idle DAGs, proportional (PSS), all processes", dagfile::IDLE);
    let mut measures = vec![
        Measure::new(PART, name, whole.pss as f64 / MEGA, "MB").goal(Goal::Below(80.0)),
        Measure::new(
            PART,
            "memory, resident (RSS; shared pages count several times)",
            whole.rss as f64 / MEGA,
            "MB",
        ),
    ];
    for (name, pid) in platform.pids() {
        let one = usage::memory(&[pid])?;
        measures.push(Measure::new(
            PART,
            format!("PSS of the {name}, with its children"),
            one.pss as f64 / MEGA,
            "MB",
        ));
    }
    Ok(measures)
}
