//! (c) Many tasks: 10,000 that run nothing, and 100 DAGs of 10 shell tasks.

use anyhow::{Context, Result, ensure};

use super::{Plan, middle};
use crate::baseline::xargs;
use crate::dagfile::DagFile;
use crate::platform::{CLOSE_LOOK, LOOK, Platform};
use crate::report::{Goal, Measure};
use crate::{dagfile, records};

const EMPTY: usize = 10_000;
const DAGS: usize = 100;
const LENGTH: usize = 10;
const PART: &str = "c";

/// Both rates.
pub async fn measure(platform: &mut Platform, plan: &Plan) -> Result<Vec<Measure>> {
    let mut measures = empty(platform, plan).await?;
    measures.extend(chains(platform, plan).await?);
    Ok(measures)
}

async fn empty(platform: &mut Platform, plan: &Plan) -> Result<Vec<Measure>> {
    let rates = empties(platform, plan).await?;
    let name = format!("{EMPTY} empty tasks in one DAG, from the trigger to the committed end");
    let measure = Measure::new(PART, name, middle(&rates)?, "tasks/s");
    Ok(vec![measure.against(plan.baseline.rows, "rows inserted and updated").goal(Goal::AtLeast(15_000.0))])
}

/// Empty tasks per second, from the trigger until everybody can see the end in the records. The times in them do not show how long it
/// took: the engine ends the whole run in one turn, and writes that turn's time everywhere.
pub async fn empties(platform: &mut Platform, plan: &Plan) -> Result<Vec<f64>> {
    let files = [dagfile::empty("bench_empty", EMPTY)];
    platform.add(&files).await?;
    let mut rates = Vec::new();
    for _ in 0..plan.repeat {
        let triggered = platform.run_to_end(&files, CLOSE_LOOK).await?;
        let run = triggered.runs.first().context("no run")?;
        records::run(platform.records(), run, EMPTY).await?;
        rates.push(EMPTY as f64 / triggered.seen);
    }
    Ok(rates)
}

async fn chains(platform: &mut Platform, plan: &Plan) -> Result<Vec<Measure>> {
    let files: Vec<DagFile> =
        (0..DAGS).map(|number| dagfile::chain(&format!("bench_many_{number:03}"), LENGTH)).collect();
    platform.add(&files).await?;
    let (mut rates, mut whole, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.repeat {
        bare.push(xargs(plan.slots, DAGS * LENGTH, "sh").await?);
        let logs = platform.log_files();
        let triggered = platform.run_to_end(&files, LOOK).await?;
        let mut spans = Vec::new();
        let mut tasks = Vec::new();
        for run in &triggered.runs {
            spans.push(records::run(platform.records(), run, LENGTH).await?);
            tasks.extend(records::tasks(platform.records(), run, "t_").await?);
        }
        ensure!(
            tasks.len() == DAGS * LENGTH,
            "there are {} of {} tasks in the records",
            tasks.len(),
            DAGS * LENGTH
        );
        rates.push(tasks.len() as f64 / records::whole(&tasks).context("no task")?);
        let last = spans.iter().map(|span| span.ended).max_by(f64::total_cmp).context("no run")?;
        whole.push(tasks.len() as f64 / (last - triggered.at));
        platform.wait_for_log_files(logs + DAGS * LENGTH).await?;
    }
    let name = format!("{DAGS} DAGs x {LENGTH} shell tasks in a chain, all at once, {} slots", plan.slots);
    let baseline = format!("xargs -P{} sh -c true", plan.slots);
    let bare = middle(&bare)?;
    Ok(vec![
        Measure::new(PART, name, middle(&rates)?, "tasks/s").against(bare, &baseline),
        Measure::new(
            PART,
            "the same 100 DAGs, from the first trigger to the last end",
            middle(&whole)?,
            "tasks/s",
        )
        .against(bare, &baseline),
    ])
}
