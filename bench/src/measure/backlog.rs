//! (i) How late a cron DAG of one task starts while 1,000 ready tasks of 100 other DAGs wait for slots.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Plan, at, middle};
use crate::dagfile::{self, DagFile};
use crate::platform::{LOOK, Platform};
use crate::records;
use crate::report::{Goal, Measure};

const PART: &str = "i";
const DAGS: usize = 100;
const TASKS: usize = 10;
/// What each of them does; together they take some seconds on 16 slots.
const SCRIPT: &str = "sleep 0.1";
/// How late the last ticks may be before they count as missed.
const GRACE: Duration = Duration::from_secs(5);

/// The delays of the ticks that were due while the others waited.
pub async fn measure(platform: &mut Platform, plan: &Plan) -> Result<Vec<Measure>> {
    let files: Vec<DagFile> =
        (0..DAGS).map(|number| dagfile::wide(&format!("bench_backlog_{number:03}"), TASKS, SCRIPT)).collect();
    let cron = [dagfile::every_second("bench_late")];
    platform.wait_until_idle().await?;
    platform.add(&files).await?;
    platform.add(&cron).await?;
    let delays = delays(platform, plan, &files, &cron[0].dag_id).await;
    platform.remove(&files)?;
    platform.remove(&cron)?;
    let (delays, seconds) = delays?;
    let name = |what: &str| {
        format!("cron tick behind {} ready tasks of {DAGS} DAGs to its start, {what}", DAGS * TASKS)
    };
    Ok(vec![
        Measure::new(
            PART,
            format!("the backlog: {} x `{SCRIPT}`, {} slots", DAGS * TASKS, plan.slots),
            seconds,
            "s",
        ),
        Measure::new(PART, name(&format!("median of {}", delays.len())), middle(&delays)?, "s"),
        Measure::new(PART, name("longest"), at(&delays, 100.0)?, "s").goal(Goal::Below(1.0)),
    ])
}

/// Seconds from due to started, and how long the backlog lasted.
async fn delays(
    platform: &mut Platform,
    plan: &Plan,
    files: &[DagFile],
    cron: &str,
) -> Result<(Vec<f64>, f64)> {
    let mut delays = Vec::new();
    let mut lasted = Vec::new();
    for _ in 0..plan.repeat {
        let triggered = platform.run_to_end(files, LOOK).await?;
        let mut tasks = Vec::new();
        for run in &triggered.runs {
            tasks.extend(records::tasks(platform.records(), run, "w_").await?);
        }
        ensure!(tasks.len() == DAGS * TASKS, "there are {} tasks of the backlog in the records", tasks.len());
        let last = tasks.iter().map(|task| task.started).max_by(f64::total_cmp).context("no task")?;
        let first = tasks.iter().map(|task| task.started).min_by(f64::total_cmp).context("no task")?;
        lasted.push(last - first);
        // A tick that is late must not be left out for that.
        platform.rest(GRACE).await?;
        let ticks = records::ticks(platform.records(), &[cron.to_owned()], first, last).await?;
        let due = (last.ceil() - first.ceil()) as usize;
        ensure!(ticks.len() >= due, "{} of {due} ticks ran within {} s", ticks.len(), GRACE.as_secs());
        delays.extend(ticks.iter().map(|tick| tick.started - tick.due));
    }
    ensure!(!delays.is_empty(), "no tick was due while the backlog lasted");
    Ok((delays, middle(&lasted)?))
}
