//! `tradewind dags next-execution`

use std::path::Path;

use anyhow::{Context, Result};
use chrono::{DateTime, SecondsFormat, Utc};
use domain::{dag::Dag, id::DagId};
use runtime::clock::Clock;
use serde::Serialize;

use crate::{
    args::{Common, Output, dags::NextExecution},
    dagfiles, output, setup,
};

#[derive(Serialize)]
struct Executions {
    dag_id: String,
    executions: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    dag_id: String,
    execution: String,
}

/// Prints when DAGs run next.
pub async fn run(common: &Common, wanted: &NextExecution) -> Result<()> {
    let after = wanted.after.unwrap_or_else(|| Clock::system().now());
    let most = wanted.num_executions as usize;
    let dags = if dagfiles::is_path(&wanted.dag) {
        of_file(&wanted.dag)?
    } else {
        of_records(common, &wanted.dag).await?
    };
    let found: Vec<Executions> = dags.iter().map(|dag| executions(dag, after, most)).collect();
    match common.output {
        Output::Json | Output::Yaml => output::list(common.output, &found),
        Output::Table | Output::Plain => {
            let rows: Vec<Row> = found.into_iter().flat_map(rows).collect();
            output::list(common.output, &rows)
        }
    }
}

fn executions(dag: &Dag, after: DateTime<Utc>, most: usize) -> Executions {
    let bounds = dag.bounds();
    let times = dag.schedule.fire_times(after, &bounds).take(most);
    Executions {
        dag_id: dag.dag_id.to_string(),
        executions: times.map(|at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true)).collect(),
    }
}

fn rows(found: Executions) -> Vec<Row> {
    let Executions { dag_id, executions } = found;
    executions.into_iter().map(|execution| Row { dag_id: dag_id.clone(), execution }).collect()
}

fn of_file(file: &str) -> Result<Vec<Dag>> {
    let parsed = dagfiles::read_meant(Path::new(file));
    if !parsed.errors.is_empty() {
        return Err(dagfiles::report(file, &parsed.errors).into());
    }
    Ok(parsed.dags.into_iter().map(|loaded| loaded.dag).collect())
}

async fn of_records(common: &Common, dag_id: &str) -> Result<Vec<Dag>> {
    let dag_id = DagId::new(dag_id)?;
    let config = setup::command_config(common)?;
    let store = setup::command_store(&config)
        .await
        .context(format!("{dag_id} is no file, so the records are needed"))?;
    let (_, dag) = super::known(&store, &dag_id).await?;
    Ok(vec![dag.as_ref().clone()])
}
