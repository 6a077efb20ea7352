//! (a) One root, 500 parallel shell tasks, one join.

use anyhow::{Context, Result, ensure};

use super::{Plan, middle};
use crate::baseline::xargs;
use crate::platform::{LOOK, Platform};
use crate::report::{Goal, Measure};
use crate::{dagfile, process, records};

const WIDTH: usize = 500;
const PART: &str = "a";

/// The rate of the 500, from the first start to the last end, against `xargs` just before.
pub async fn measure(platform: &mut Platform, plan: &Plan) -> Result<Vec<Measure>> {
    let files = [dagfile::fan("bench_fan", WIDTH)];
    platform.add(&files).await?;
    let has_bash = process::find("bash", &[]).is_some();
    let (mut rates, mut whole, mut sh, mut bash) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.repeat {
        sh.push(xargs(plan.slots, WIDTH, "sh").await?);
        if has_bash {
            bash.push(xargs(plan.slots, WIDTH, "bash").await?);
        }
        let logs = platform.log_files();
        let triggered = platform.run_to_end(&files, LOOK).await?;
        let run = triggered.runs.first().context("no run")?;
        let span = records::run(platform.records(), run, WIDTH + 2).await?;
        let tasks = records::tasks(platform.records(), run, "fan_").await?;
        ensure!(tasks.len() == WIDTH, "there are {} of {WIDTH} tasks in the records", tasks.len());
        rates.push(WIDTH as f64 / records::whole(&tasks).context("no task")?);
        whole.push(span.ended - triggered.at);
        platform.wait_for_log_files(logs + WIDTH + 2).await?;
    }
    let rate = middle(&rates)?;
    let name = format!("fan of {WIDTH} x `sh -c true`, {} slots", plan.slots);
    let mut measures = vec![
        Measure::new(PART, name, rate, "tasks/s")
            .against(middle(&sh)?, &format!("xargs -P{} sh -c true", plan.slots))
            .goal(Goal::RatioAtLeast(0.75)),
    ];
    if has_bash {
        let measure = Measure::new(PART, "the same fan, against the shell that workers use", rate, "tasks/s");
        measures.push(measure.against(middle(&bash)?, &format!("xargs -P{} bash -c true", plan.slots)));
    }
    measures.push(Measure::new(
        PART,
        "the same fan, from the trigger to the end of its run",
        middle(&whole)?,
        "s",
    ));
    Ok(measures)
}
