//! (e) How late a process starts after the moment it was due.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Plan, at, middle};
use crate::dagfile::{self, DagFile};
use crate::platform::Platform;
use crate::records::{self, Tick};
use crate::report::{Goal, Measure};

/// So many DAGs are due at the same moments.
const DAGS: usize = 3;
const PART: &str = "e";
const MILLI: f64 = 1000.0;
/// Seconds that are not counted after the DAGs appeared.
const WARM_UP: f64 = 2.0;
/// Seconds that the last ticks may be late before they count as missed.
const GRACE: f64 = 10.0;
const LOOK: Duration = Duration::from_millis(500);

/// The delay of every tick.
pub async fn measure(platform: &mut Platform, plan: &Plan) -> Result<Vec<Measure>> {
    let files: Vec<DagFile> =
        (0..DAGS).map(|number| dagfile::every_second(&format!("bench_tick_{number}"))).collect();
    platform.wait_until_idle().await?;
    platform.add(&files).await?;
    let ticks = watch(platform, plan, &files).await;
    platform.remove(&files)?;
    judge(&ticks?, DAGS * plan.ticks as usize)
}

async fn watch(platform: &mut Platform, plan: &Plan, files: &[DagFile]) -> Result<Vec<Tick>> {
    let dag_ids: Vec<String> = files.iter().map(|file| file.dag_id.clone()).collect();
    let from = records::now(platform.records()).await?.ceil() + WARM_UP;
    let until = from + f64::from(plan.ticks);
    loop {
        platform.rest(LOOK).await?;
        let now = records::now(platform.records()).await?;
        if now < until {
            continue;
        }
        let ticks = records::ticks(platform.records(), &dag_ids, from, until).await?;
        let complete = ticks.len() >= files.len() * plan.ticks as usize
            && ticks.iter().all(|tick| tick.own_clock.is_some());
        if complete || now > until + GRACE {
            return Ok(ticks);
        }
    }
}

fn judge(ticks: &[Tick], expected: usize) -> Result<Vec<Measure>> {
    ensure!(!ticks.is_empty(), "no tick ran: {expected} were due");
    let recorded: Vec<f64> = ticks.iter().map(|tick| MILLI * (tick.started - tick.due)).collect();
    let own: Vec<f64> = ticks.iter().filter_map(|tick| Some(MILLI * (tick.own_clock? - tick.due))).collect();
    ensure!(!own.is_empty(), "{} ticks ran, but none has left the time as its result", ticks.len());
    let ran = 100.0 * own.len() as f64 / expected as f64;
    let measure = |name: String, value| Measure::new(PART, name, value, "ms");
    Ok(vec![
        measure(
            format!("cron tick to the task's own `date`, {DAGS} DAGs each second, median"),
            middle(&own)?,
        ),
        measure("cron tick to the task's own `date`, p99".to_owned(), at(&own, 99.0)?)
            .goal(Goal::Below(50.0)),
        measure("cron tick to the start in the records, median".to_owned(), middle(&recorded)?),
        measure("cron tick to the start in the records, p99".to_owned(), at(&recorded, 99.0)?),
        Measure::new(PART, format!("ticks that ran, of {expected}"), ran, "%").goal(Goal::AtLeast(100.0)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(due: f64, late: f64) -> Tick {
        Tick { due, started: due + late, own_clock: Some(due + late + 0.5) }
    }

    #[test]
    fn a_missed_tick_is_not_hidden() {
        let measures = judge(&[tick(10.0, 0.25), tick(11.0, 0.25), tick(12.0, 0.25)], 4).unwrap();
        let values: Vec<f64> = measures.iter().map(|measure| measure.value).collect();
        assert_eq!(values, vec![750.0, 750.0, 250.0, 250.0, 75.0]);
        assert_eq!(measures.last().unwrap().met, Some(false));
    }

    #[test]
    fn nothing_is_not_a_result() {
        assert!(judge(&[], 4).is_err());
        assert!(judge(&[Tick { due: 1.0, started: 1.1, own_clock: None }], 4).is_err());
    }
}
