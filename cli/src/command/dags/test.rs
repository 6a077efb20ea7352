//! `tradewind dags test`

use std::process::ExitCode;

use anyhow::{Context, Result};
use domain::{engine::record::TiRecord, state::RunState};
use runtime::shutdown::Shutdown;
use serde::Serialize;

use crate::{
    args::{Common, Output, dags::Test},
    dagfiles, output,
    trial::{Played, Trial, play},
};

#[derive(Serialize)]
struct Run {
    dag_id: String,
    run_id: String,
    state: &'static str,
    seconds: f64,
    tasks: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    task_id: String,
    map_index: Option<i32>,
    state: &'static str,
    tries: u32,
    reason: Option<String>,
}

/// Runs a DAG of a file here and now.
pub async fn run(common: &Common, test: Test) -> Result<ExitCode> {
    let found = dagfiles::find(common, &test.dag, test.dag_id.as_ref()).await?;
    let conf = test.conf.unwrap_or_default().0;
    let trial = Trial::new(common, found, conf, (test.logical_date, test.partition_key))?;
    let shutdown = Shutdown::on_signals().context("cannot listen for signals")?;
    let played = play(trial, &shutdown).await?;
    let is_good = played.run.state == RunState::Success;
    report(common.output, played)?;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(output: Output, played: Played) -> Result<()> {
    let Played { run, tasks } = played;
    let ended = run.ended_at.unwrap_or(run.run_after);
    let run = Run {
        dag_id: run.dag_id.to_string(),
        run_id: run.run_id.to_string(),
        state: run.state.as_str(),
        seconds: (ended - run.started_at.unwrap_or(ended)).as_seconds_f64(),
        tasks: tasks.into_iter().map(row).collect(),
    };
    match output {
        Output::Json | Output::Yaml => output::record(output, &run),
        Output::Table | Output::Plain => {
            output::say("")?;
            output::list(output, &run.tasks)?;
            output::say(&format!("\n{} {}: {} after {:.1} s", run.dag_id, run.run_id, run.state, run.seconds))
        }
    }
}

fn row(task: TiRecord) -> Row {
    Row {
        task_id: task.task_id.to_string(),
        map_index: (task.map_index >= 0).then_some(task.map_index),
        state: task.state.as_str(),
        tries: task.try_number,
        reason: task.reason,
    }
}
