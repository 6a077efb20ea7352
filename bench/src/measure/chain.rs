//! (b) A chain of 50 shell tasks.

use anyhow::{Context, Result, ensure};

use super::{Plan, at, middle};
use crate::dagfile::DagFile;
use crate::platform::{LOOK, Platform};
use crate::records::Span;
use crate::report::{Goal, Measure};
use crate::{dagfile, records};

/// How many tasks the chain has.
pub const LENGTH: usize = 50;
const PART: &str = "b";
const MILLI: f64 = 1000.0;

/// How long after a task's end the next one starts.
pub async fn measure(platform: &mut Platform, plan: &Plan) -> Result<Vec<Measure>> {
    let (hops, periods) = distances(platform, plan).await?;
    let commit = MILLI / plan.baseline.commits;
    let measure =
        |name: &str, value| Measure::new(PART, name, value, "ms").against(commit, "one single-row commit");
    Ok(vec![
        measure(&format!("chain of {LENGTH}: a task's end to the next one's start, median"), middle(&hops)?)
            .goal(Goal::Below(4.0)),
        measure(&format!("chain of {LENGTH}: a task's end to the next one's start, p95"), at(&hops, 95.0)?)
            .goal(Goal::Below(10.0)),
        measure(&format!("chain of {LENGTH}: a task's end to the next one's end, median"), middle(&periods)?),
    ])
}

/// The DAG of the chain.
pub fn file() -> DagFile {
    dagfile::chain("bench_chain", LENGTH)
}

/// From each task's end to the next one's start, and to the next one's end, in milliseconds.
pub async fn distances(platform: &mut Platform, plan: &Plan) -> Result<(Vec<f64>, Vec<f64>)> {
    let files = [file()];
    platform.add(&files).await?;
    let (mut hops, mut periods) = (Vec::new(), Vec::new());
    for _ in 0..plan.repeat {
        let triggered = platform.run_to_end(&files, LOOK).await?;
        let run = triggered.runs.first().context("no run")?;
        records::run(platform.records(), run, LENGTH).await?;
        let tasks = records::tasks(platform.records(), run, "t_").await?;
        ensure!(tasks.len() == LENGTH, "there are {} of {LENGTH} tasks in the records", tasks.len());
        hops.extend(pairs(&tasks, |before, after| after.started - before.ended));
        periods.extend(pairs(&tasks, |before, after| after.ended - before.ended));
    }
    Ok((hops, periods))
}

/// In milliseconds.
fn pairs(tasks: &[Span], distance: impl Fn(&Span, &Span) -> f64) -> Vec<f64> {
    tasks.iter().zip(tasks.iter().skip(1)).map(|(before, after)| MILLI * distance(before, after)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_compared() {
        let span = |started, ended| Span { started, ended };
        let tasks = [span(0.0, 1.0), span(1.5, 2.0), span(2.25, 3.0)];
        assert_eq!(pairs(&tasks, |before, after| after.started - before.ended), vec![500.0, 250.0]);
    }
}
