//! The parts of the benchmark: each adds its DAGs to the running platform, runs them, and reads the results from the records.

mod backlog;
mod chain;
mod cron;
mod fan;
mod history;
mod idle;
mod many;
mod registered;
mod shape;
mod standby;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::baseline::Baseline;
use crate::platform::Platform;
use crate::report::Measure;
use crate::sample::{median, percentile};

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Fan-out of 500 shell tasks.
    A,
    /// A chain of 50 shell tasks.
    B,
    /// 10,000 empty tasks; 100 DAGs of 10 shell tasks.
    C,
    /// Memory and processor time when idle; time to the first page.
    D,
    /// Delay from the cron tick to the process.
    E,
    /// Large DAGs of several shapes, and time per task as they grow.
    F,
    /// 5,000 DAGs with nothing to do.
    G,
    /// What a million task instances in the history change.
    H,
    /// A cron tick behind the backlog of other DAGs.
    I,
    /// How soon a standby takes over.
    J,
}

/// How the parts are measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The bare machine.
    pub baseline: Baseline,
    /// How many tasks run at once, in Tradewind and in `xargs`.
    pub slots: usize,
    /// How often runs are repeated; the median counts.
    pub repeat: usize,
    /// How long processor time is measured when idle, in seconds.
    pub idle_seconds: u32,
    /// How many seconds the cron DAGs are watched.
    pub ticks: u32,
    /// What else uses the processor on Tradewind's behalf: PostgreSQL and Redis.
    pub servers: [i32; 2],
}

impl Part {
    /// Measures this part.
    pub async fn measure(self, platform: &mut Platform, plan: &Plan) -> Result<Vec<Measure>> {
        match self {
            Part::A => fan::measure(platform, plan).await,
            Part::B => chain::measure(platform, plan).await,
            Part::C => many::measure(platform, plan).await,
            Part::D => idle::measure(platform, plan).await,
            Part::E => cron::measure(platform, plan).await,
            Part::F => shape::measure(platform, plan).await,
            Part::G => registered::measure(platform, plan).await,
            Part::H => history::measure(platform, plan).await,
            Part::I => backlog::measure(platform, plan).await,
            Part::J => standby::measure(platform, plan).await,
        }
    }
}

fn middle(sample: &[f64]) -> Result<f64> {
    median(sample).context("nothing was measured")
}

fn at(sample: &[f64], percent: f64) -> Result<f64> {
    percentile(sample, percent).context("nothing was measured")
}
