//! `tradewind dags next-execution`

use std::path::Path;

use anyhow::{Context, Result};
use chrono::{DateTime, SecondsFormat, Utc};
use domain::{dag::Dag, id::DagId, partition::Key, timetable::NextRun};
use runtime::clock::Clock;
use serde::Serialize;
use store::view::assets::Waiting;

use crate::{
    args::{Common, Output, dags::NextExecution},
    dagfiles, output,
    pythonfiles::Reader,
    setup,
};

#[derive(Serialize)]
struct Executions {
    dag_id: String,
    executions: Vec<String>,
    /// What they are about, each in its place, when every tick is a partition.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    partition_keys: Vec<Key>,
    /// What asks for runs besides the clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    assets: Option<Assets>,
}

#[derive(Serialize)]
struct Assets {
    condition: String,
    /// What has not been updated since the last run that assets asked for; only the records know.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<Vec<String>>,
}

/// A DAG, and what it has got of the assets that it waits for, as far as that is known.
struct Known {
    dag: Dag,
    waiting: Option<Waiting>,
}

#[derive(Serialize)]
struct Row {
    dag_id: String,
    execution: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition_key: Option<Key>,
}

/// Prints when DAGs run next.
pub async fn run(common: &Common, wanted: &NextExecution) -> Result<()> {
    let after = wanted.after.unwrap_or_else(|| Clock::system().now());
    let most = wanted.num_executions as usize;
    let dags = if dagfiles::is_path(&wanted.dag) {
        of_file(common, &wanted.dag).await?
    } else {
        of_records(common, &wanted.dag).await?
    };
    let found: Vec<Executions> = dags.iter().map(|known| executions(known, after, most)).collect();
    match common.output {
        Output::Json | Output::Yaml => output::list(common.output, &found),
        Output::Table | Output::Plain => {
            for (dag_id, assets) in found.iter().filter_map(|one| Some((&one.dag_id, one.assets.as_ref()?))) {
                output::note(&format!("note: {dag_id} {}", words(assets)));
            }
            let rows: Vec<Row> = found.into_iter().flat_map(rows).collect();
            output::list(common.output, &rows)
        }
    }
}

fn words(assets: &Assets) -> String {
    let condition = &assets.condition;
    match assets.missing.as_deref() {
        None => format!("runs when these assets have been updated: {condition}"),
        Some([]) => format!("has all assets that it waits for: {condition}"),
        Some(missing) => format!("waits for assets: {condition}; not updated yet: {}", missing.join(", ")),
    }
}

fn assets(Known { dag, waiting }: &Known) -> Option<Assets> {
    let condition = dag.asset_condition.as_ref()?;
    let missing = waiting.as_ref().map(|waiting| {
        let assets = condition.assets().into_iter().filter(|asset| !waiting.has(&asset.name));
        let aliases = condition.aliases().into_iter().filter(|alias| !waiting.has_under(alias));
        let aliases = aliases.map(|alias| format!("alias {alias}"));
        assets.map(|asset| asset.name.to_string()).chain(aliases).collect()
    });
    Some(Assets { condition: condition.summary(), missing })
}

fn executions(known: &Known, after: DateTime<Utc>, most: usize) -> Executions {
    let dag = &known.dag;
    let bounds = dag.bounds();
    let runs: Vec<NextRun> = dag.schedule.runs(after, &bounds).take(most).collect();
    let key = |run: &NextRun| dag.partition_at(run.tick()).map(|partition| partition.key);
    let at = |run: &NextRun| run.run_after.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    Executions {
        dag_id: dag.dag_id.to_string(),
        executions: runs.iter().map(at).collect(),
        partition_keys: runs.iter().filter_map(key).collect(),
        assets: assets(known),
    }
}

fn rows(found: Executions) -> Vec<Row> {
    let Executions { dag_id, executions, partition_keys, .. } = found;
    let mut keys = partition_keys.into_iter();
    let row = |execution| Row { dag_id: dag_id.clone(), execution, partition_key: keys.next() };
    executions.into_iter().map(row).collect()
}

async fn of_file(common: &Common, file: &str) -> Result<Vec<Known>> {
    let python = Reader::new(common);
    let parsed = dagfiles::read_meant(&python, Path::new(file)).await.parsed;
    if !parsed.errors.is_empty() {
        return Err(dagfiles::report(file, &parsed.errors).into());
    }
    Ok(parsed.dags.into_iter().map(|loaded| Known { dag: loaded.dag, waiting: None }).collect())
}

async fn of_records(common: &Common, dag_id: &str) -> Result<Vec<Known>> {
    let dag_id = DagId::new(dag_id)?;
    let config = setup::command_config(common)?;
    let store = setup::command_store(&config)
        .await
        .context(format!("{dag_id} is no file, so the records are needed"))?;
    let (_, dag) = super::known(&store, &dag_id).await?;
    let waiting = match dag.asset_condition {
        Some(_) => Some(store.waiting_for_assets(&dag_id).await?),
        None => None,
    };
    Ok(vec![Known { dag: dag.as_ref().clone(), waiting }])
}
