//! (j) How soon a standby takes over from a leader that is killed, and from one that steps down.

use anyhow::{Result, bail};

use super::{Plan, at, middle};
use crate::dagfile;
use crate::platform::Platform;
use crate::process::Running;
use crate::report::{Goal, Measure};

const PART: &str = "j";

/// From the end of the leader until a run that was triggered after it has ended.
pub async fn measure(platform: &mut Platform, plan: &Plan) -> Result<Vec<Measure>> {
    platform.wait_until_idle().await?;
    let files = [dagfile::empty("bench_take_over", 1)];
    platform.add(&files).await?;
    let (mut killed, mut asked) = (Vec::new(), Vec::new());
    for _ in 0..plan.repeat {
        for (times, end) in [(&mut killed, Running::kill as fn(Running)), (&mut asked, drop as fn(Running))] {
            if !platform.start_standby().await? {
                bail!("there is no standby in `standalone`");
            }
            times.push(platform.take_over(&files[0], end).await?);
        }
    }
    let measure = |name: &str, value| Measure::new(PART, name, value, "s");
    Ok(vec![
        measure("kill -9 of the leader to the end of a run triggered then, median", middle(&killed)?),
        measure("the same, longest", at(&killed, 100.0)?).goal(Goal::Below(5.0)),
        measure("SIGTERM of the leader to the end of a run triggered then, median", middle(&asked)?),
        measure("the same, longest", at(&asked, 100.0)?).goal(Goal::Below(0.5)),
    ])
}
