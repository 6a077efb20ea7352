//! (f) Large DAGs: 10,000 tasks that run nothing in several shapes, and the time per task as a DAG grows.

use std::time::Instant;

use anyhow::{Context, Result};

use super::{Plan, middle};
use crate::dagfile::Shape;
use crate::platform::{CLOSE_LOOK, Platform};
use crate::records;
use crate::report::{Goal, Measure};

const PART: &str = "f";
const LARGE: usize = 10_000;
/// The sizes at which the time per task is taken; the last is the most that a DAG may have.
const SIZES: [usize; 3] = [1000, LARGE, 50_000];
const MICRO: f64 = 1e6;

/// How long they take to load and to run.
pub async fn measure(platform: &mut Platform, plan: &Plan) -> Result<Vec<Measure>> {
    platform.wait_until_idle().await?;
    let mut measures = Vec::new();
    for shape in [Shape::Wide, Shape::Deep, Shape::Grid] {
        let (loading, running) = time(platform, plan, shape, LARGE).await?;
        let name = format!("{LARGE} empty tasks, {}", shape.name());
        measures.push(Measure::new(PART, format!("{name}: from the file to the records"), loading, "s"));
        let measure = Measure::new(PART, format!("{name}: from the trigger to the end"), running, "s");
        measures
            .push(measure.against(LARGE as f64 / plan.baseline.rows, "as many rows inserted and updated"));
    }
    let mut each = Vec::new();
    for size in SIZES {
        let (_, running) = time(platform, plan, Shape::Loose, size).await?;
        each.push(MICRO * running / size as f64);
    }
    for (size, time) in SIZES.iter().zip(&each) {
        measures.push(Measure::new(
            PART,
            format!("time per task in a run of {size} empty tasks"),
            *time,
            "us",
        ));
    }
    if let [_, middle, last] = each[..] {
        let name = "the same: the largest against the middle one (1 is linear)";
        measures.push(Measure::new(PART, name, last / middle, "x").goal(Goal::Below(1.5)));
    }
    Ok(measures)
}

/// The seconds that a DAG takes to load, and the median of its runs.
async fn time(platform: &mut Platform, plan: &Plan, shape: Shape, count: usize) -> Result<(f64, f64)> {
    let files = [shape.file(&format!("bench_{}_{count}", shape.name()), count)];
    let began = Instant::now();
    platform.add(&files).await?;
    let loading = began.elapsed().as_secs_f64();
    let mut running = Vec::new();
    for _ in 0..plan.repeat {
        let triggered = platform.run_to_end(&files, CLOSE_LOOK).await?;
        let run = triggered.runs.first().context("no run")?;
        records::run(platform.records(), run, count).await?;
        running.push(triggered.seen);
    }
    platform.remove(&files)?;
    Ok((loading, middle(&running)?))
}
