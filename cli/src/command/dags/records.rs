//! The commands of `tradewind dags` that read and change the records.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use domain::{dag::Task, id::DagId};
use queue::Bell;
use serde::Serialize;
use serde_json::{Map, Value};
use store::{
    Store,
    view::{
        MOST_ROWS, Page,
        dags::{Filter, Line},
        run,
    },
};

use crate::{
    args::{
        Common,
        dags::{List, ListRuns, Named},
    },
    command::runs,
    output, setup,
};

/// Import errors that are shown at most.
const MOST_ERRORS: u32 = 10_000;

#[derive(Serialize)]
struct Row {
    dag_id: String,
    schedule: String,
    is_paused: bool,
    next_dagrun: Option<DateTime<Utc>>,
    last_run_state: Option<&'static str>,
    owners: String,
    tags: Vec<String>,
    fileloc: String,
}

#[derive(Serialize)]
struct TaskRow {
    task_id: String,
    operator: String,
    trigger_rule: Value,
    waits_for: Vec<String>,
}

#[derive(Serialize)]
struct Details {
    dag_id: String,
    description: Option<String>,
    file: String,
    version: i32,
    parsed_at: DateTime<Utc>,
    is_paused: bool,
    is_stale: bool,
    has_import_errors: bool,
    schedule: String,
    schedule_description: String,
    timezone: String,
    start_date: Option<DateTime<Utc>>,
    end_date: Option<DateTime<Utc>>,
    next_dagrun_logical_date: Option<DateTime<Utc>>,
    next_dagrun_run_after: Option<DateTime<Utc>>,
    catchup: Value,
    max_active_runs: u32,
    max_active_tasks: u32,
    dagrun_timeout: Option<String>,
    owner: String,
    tags: Vec<String>,
    params: Map<String, Value>,
    tasks: usize,
    running: i64,
    queued: i64,
    doc: Option<String>,
}

#[derive(Serialize)]
struct Problem {
    filepath: String,
    line: Option<i32>,
    column: Option<i32>,
    message: String,
    hint: Option<String>,
}

/// `dags list`
pub async fn list(common: &Common, list: &List) -> Result<()> {
    let (_, store) = setup::for_command(common).await?;
    let filter = Filter { search: list.search.clone(), ..Filter::default() };
    let mut lines = Vec::new();
    while lines.len() < list.limit as usize {
        let offset = u32::try_from(lines.len())?;
        let wanted = (list.limit - offset).min(MOST_ROWS);
        let page = store.dag_lines(&filter, 1, Page::new(wanted, offset)).await?.rows;
        let is_last = page.len() < wanted as usize;
        lines.extend(page);
        if is_last {
            break;
        }
    }
    output::list(common.output, &lines.into_iter().map(row).collect::<Vec<_>>())
}

/// `dags show`
pub async fn show(common: &Common, dag_id: &DagId) -> Result<()> {
    let (_, store) = setup::for_command(common).await?;
    let (_, dag) = super::known(&store, dag_id).await?;
    let rows = dag.tasks.iter().map(task_row).collect::<Result<Vec<_>>>()?;
    output::list(common.output, &rows)
}

/// `dags details`
pub async fn details(common: &Common, dag_id: &DagId) -> Result<()> {
    let (_, store) = setup::for_command(common).await?;
    let (line, dag) = super::known(&store, dag_id).await?;
    let defaults =
        dag.params.iter().map(|(name, param)| (name.clone(), param.default.clone().unwrap_or(Value::Null)));
    let details = Details {
        dag_id: line.dag_id.to_string(),
        description: line.description,
        file: line.file,
        version: line.version_number,
        parsed_at: line.parsed_at,
        is_paused: line.is_paused,
        is_stale: line.is_stale,
        has_import_errors: line.has_import_errors,
        schedule: line.schedule,
        schedule_description: line.schedule_description,
        timezone: dag.timezone.name().to_owned(),
        start_date: dag.start_date,
        end_date: dag.end_date,
        next_dagrun_logical_date: line.next_logical_date,
        next_dagrun_run_after: line.next_run_after,
        catchup: serde_json::to_value(dag.catchup)?,
        max_active_runs: dag.max_active_runs,
        max_active_tasks: dag.max_active_tasks,
        dagrun_timeout: dag.dagrun_timeout.map(|timeout| timeout.to_string()),
        owner: line.owner,
        tags: line.tags,
        params: defaults.collect(),
        tasks: dag.tasks.len(),
        running: line.running,
        queued: line.queued,
        doc: dag.doc.clone(),
    };
    output::record(common.output, &details)
}

/// `dags pause` and `dags unpause`
pub async fn set_paused(common: &Common, dag_id: &DagId, is_paused: bool) -> Result<()> {
    let (config, store) = setup::for_command(common).await?;
    if !store.set_paused(dag_id, is_paused, &setup::operator()).await? {
        bail!("there is no DAG `{dag_id}`; `tradewind dags list` shows those there are");
    }
    setup::ring(&config, Bell::Config).await?;
    output::say(&format!("{dag_id} is {}.", if is_paused { "paused" } else { "no longer paused" }))
}

/// `dags list-runs`
pub async fn list_runs(common: &Common, list: ListRuns) -> Result<()> {
    let (_, store) = setup::for_command(common).await?;
    let dag_id = list.dag_id.or(list.dag).context("no DAG was named")?;
    super::known(&store, &dag_id).await?;
    let filter = run::Filter {
        dag_id: Some(dag_id),
        states: list.state.into_iter().collect(),
        ..run::Filter::default()
    };
    let rows: Vec<_> = runs::pages(&store, &filter, list.limit).await?.into_iter().map(runs::row).collect();
    output::list(common.output, &rows)
}

/// `dags list-import-errors`; fails when there are any, as Airflow's does.
pub async fn list_import_errors(common: &Common) -> Result<ExitCode> {
    let (_, store) = setup::for_command(common).await?;
    let problems = import_errors(&store).await?;
    output::list(common.output, &problems)?;
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `dags delete`
pub async fn delete(common: &Common, named: &Named) -> Result<()> {
    let (config, store) = setup::for_command(common).await?;
    let dag_id = &named.dag_id;
    super::known(&store, dag_id).await?;
    output::confirm(&format!("Delete {dag_id} with all its runs?"), named.yes)?;
    if !store.delete_dag(dag_id, &setup::operator()).await? {
        bail!("there is no DAG `{dag_id}` any more");
    }
    setup::ring(&config, Bell::Config).await?;
    output::say(&format!(
        "{dag_id} is deleted. If its file is still in the DAGs folder, it comes back without its history."
    ))
}

async fn import_errors(store: &Store) -> Result<Vec<Problem>> {
    let found = store.import_errors(None, MOST_ERRORS, 0).await?;
    let problem = |error: store::import_error::ImportError| Problem {
        filepath: error.file,
        line: error.line,
        column: error.column,
        message: error.message,
        hint: error.hint,
    };
    Ok(found.into_iter().map(problem).collect())
}

fn row(line: Line) -> Row {
    Row {
        dag_id: line.dag_id.to_string(),
        schedule: line.schedule,
        is_paused: line.is_paused,
        next_dagrun: line.next_run_after,
        last_run_state: line.recent.first().map(|run| run.state.as_str()),
        owners: line.owner,
        tags: line.tags,
        fileloc: line.file,
    }
}

fn task_row(task: &Task) -> Result<TaskRow> {
    Ok(TaskRow {
        task_id: task.task_id.to_string(),
        operator: task.operator.class_name().to_owned(),
        trigger_rule: serde_json::to_value(task.trigger_rule)?,
        waits_for: task.upstream.iter().map(ToString::to_string).collect(),
    })
}
