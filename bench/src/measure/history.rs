//! (h) What a long history changes: the hop of a chain and the rate of empty tasks, before and after.

use anyhow::Result;

use super::{Plan, chain, many, middle};
use crate::platform::Platform;
use crate::records;
use crate::report::{Goal, Measure};

const PART: &str = "h";
/// Runs in the history, each of as many task instances as the chain has tasks: a million in all.
const RUNS: i64 = 20_000;

/// Both figures and what became of them.
pub async fn measure(platform: &mut Platform, plan: &Plan) -> Result<Vec<Measure>> {
    platform.wait_until_idle().await?;
    let (hop, rate) = figures(platform, plan).await?;
    let tasks = i32::try_from(chain::LENGTH)?;
    records::write_history(platform.records(), &chain::file().dag_id, RUNS, tasks).await?;
    let (later_hop, later_rate) = figures(platform, plan).await?;
    let instances = RUNS * i64::from(tasks);
    let measure = |name: &str, before: f64, after: f64, unit| {
        let name = format!("{name}, with {instances} task instances in the history");
        Measure::new(PART, name, after, unit).against(before, "the same figure before")
    };
    let change = |before: f64, after: f64| 100.0 * (after / before - 1.0);
    let slower = |name: &str, percent| Measure::new(PART, name, percent, "%").goal(Goal::Below(10.0));
    Ok(vec![
        measure("a task's end to the next one's start, median", hop, later_hop, "ms"),
        slower("that is slower by", change(hop, later_hop).max(0.0)),
        measure("empty tasks", rate, later_rate, "tasks/s"),
        slower("that is slower by", change(later_rate, rate).max(0.0)),
    ])
}

async fn figures(platform: &mut Platform, plan: &Plan) -> Result<(f64, f64)> {
    let (hops, _) = chain::distances(platform, plan).await?;
    let rates = many::empties(platform, plan).await?;
    Ok((middle(&hops)?, middle(&rates)?))
}
