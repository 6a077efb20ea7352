//! `tradewind tasks failed-deps`

use anyhow::{Context, Result};
use chrono::Utc;
use domain::{
    engine::obstacle::{Answer, Question, Source, Standing},
    id::{DagId, TaskId},
};
use runtime::clock::Clock;
use serde::Serialize;

use super::runs;
use crate::{args::Common, output, setup};

#[derive(Serialize)]
struct Row {
    dependency: &'static str,
    reason: String,
    remedy: Option<&'static str>,
}

/// Says why a task instance does not run.
///
/// # Errors
/// When there is no such instance.
pub async fn failed_deps(
    common: &Common,
    dag_id: &DagId,
    task_id: TaskId,
    called: &str,
    map_index: i32,
) -> Result<()> {
    let (config, store) = setup::for_command(common).await?;
    let run = runs::find_called(&store, dag_id, called).await?;
    let question = Question { dag_id: run.dag_id, run_id: run.run_id, task_id, map_index };
    let queue = setup::open_queue(&config)?;
    let now: chrono::DateTime<Utc> = Clock::system().now();
    let answer = webserver::why(&store, queue.as_ref(), &question, now).await?;
    let none = || format!("the run has no instance {map_index} of a task `{}`", question.task_id);
    tell(common, &answer.with_context(none)?)
}

fn tell(common: &Common, answer: &Answer) -> Result<()> {
    if answer.source == Source::Records && answer.standing == Standing::Waiting {
        output::note(
            "note: no scheduler could be asked, so this is what the records say; what other DAGs take of its pool is not known",
        );
    }
    let rows: Vec<Row> = answer
        .obstacles
        .iter()
        .map(|obstacle| Row {
            dependency: obstacle.dependency(),
            reason: obstacle.to_string(),
            remedy: obstacle.remedy(),
        })
        .collect();
    if rows.is_empty() {
        output::note(&answer.words());
    }
    output::list(common.output, &rows)
}
