//! `tradewind tasks`

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use domain::{
    engine::record::{RunSnapshot, TiRecord},
    id::DagId,
    intent::{self, SelectedTask, Selection, Wish},
};
use runtime::{config::Config, shutdown::Shutdown};
use serde::Serialize;
use store::Store;

use super::{control, dags, inbox, runs, why};
use crate::{
    args::{
        Common,
        tasks::{Clear, Tasks, Try},
    },
    dagfiles, output, setup,
    trial::Trial,
};

/// Runs that one `tasks clear` clears at most.
const MOST_RUNS: u32 = 1_000;

#[derive(Serialize)]
struct TaskRow {
    task_id: String,
    operator: String,
    pool: String,
    queue: String,
    is_mapped: bool,
}

#[derive(Serialize)]
struct StateRow {
    dag_id: String,
    logical_date: Option<DateTime<Utc>>,
    task_id: String,
    map_index: i32,
    state: &'static str,
    try_number: u32,
    start_date: Option<DateTime<Utc>>,
    end_date: Option<DateTime<Utc>>,
    reason: Option<String>,
}

/// Works with tasks and their instances.
pub async fn run(common: &Common, command: Tasks) -> Result<ExitCode> {
    match command {
        Tasks::Test(test) => return self::test(common, test).await,
        Tasks::Render(test) => render(common, test).await?,
        Tasks::List { dag_id } => list(common, &dag_id).await?,
        Tasks::State { dag_id, task_id, run, map_index } => {
            let (_, store) = setup::for_command(common).await?;
            let run = whole_run(&store, &dag_id, &run).await?;
            let is_it = |ti: &&TiRecord| ti.task_id == task_id && ti.map_index == map_index;
            let found = run.tis.iter().find(is_it);
            let none = || format!("the run has no instance {map_index} of a task `{task_id}`");
            output::say(found.with_context(none)?.state.as_str())?;
        }
        Tasks::StatesForDagRun { dag_id, run } => {
            let (_, store) = setup::for_command(common).await?;
            let RunSnapshot { run, tis, .. } = whole_run(&store, &dag_id, &run).await?;
            let rows: Vec<StateRow> =
                tis.into_iter().map(|ti| state_row(&dag_id, run.logical_date, ti)).collect();
            output::list(common.output, &rows)?;
        }
        Tasks::FailedDeps { dag_id, task_id, run, map_index } => {
            why::failed_deps(common, &dag_id, task_id, &run, map_index).await?;
        }
        Tasks::Hold(chosen) => control::hold(common, &chosen, true).await?,
        Tasks::Release(chosen) => control::hold(common, &chosen, false).await?,
        Tasks::Prioritize { chosen, priority } => control::prioritize(common, &chosen, priority).await?,
        Tasks::Mark { chosen, state } => control::mark(common, &chosen, state).await?,
        Tasks::SwitchOff { dag_id, task_id } => control::switch(common, dag_id, task_id, false).await?,
        Tasks::SwitchOn { dag_id, task_id } => control::switch(common, dag_id, task_id, true).await?,
        Tasks::Clear(clear) => self::clear(common, &clear).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn test(common: &Common, test: Try) -> Result<ExitCode> {
    let (task_id, map_index) = (test.task_id.clone(), test.map_index);
    let trial = trial(common, test).await?;
    let shutdown = Shutdown::on_signals().context("cannot listen for signals")?;
    let is_good = trial.test_task(&task_id, map_index, &shutdown.drain).await?;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn render(common: &Common, test: Try) -> Result<()> {
    let (task_id, map_index) = (test.task_id.clone(), test.map_index);
    let fields = trial(common, test).await?.render(&task_id, map_index).await?;
    output::record(common.output, &fields)
}

async fn trial(common: &Common, test: Try) -> Result<Trial> {
    let found = dagfiles::find(common, &test.dag, test.dag_id.as_ref()).await?;
    Trial::new(common, found, test.conf.unwrap_or_default().0, (test.logical_date, None))
}

async fn list(common: &Common, dag_id: &DagId) -> Result<()> {
    let (_, store) = setup::for_command(common).await?;
    let (_, dag) = dags::known(&store, dag_id).await?;
    let row = |task: &domain::dag::Task| TaskRow {
        task_id: task.task_id.to_string(),
        operator: task.operator.class_name().to_owned(),
        pool: task.pool.to_string(),
        queue: task.queue.to_string(),
        is_mapped: task.is_mapped(),
    };
    output::list(common.output, &dag.tasks.iter().map(row).collect::<Vec<_>>())
}

async fn clear(common: &Common, clear: &Clear) -> Result<()> {
    let (config, store) = setup::for_command(common).await?;
    let runs = match &clear.run_id {
        Some(run_id) => vec![runs::find(&store, &clear.dag_id, run_id).await?],
        None => runs::between(&store, &clear.dag_id, clear.start_date, clear.end_date, MOST_RUNS + 1).await?,
    };
    if runs.is_empty() {
        bail!("no run of {} has a logical date between these", clear.dag_id);
    }
    if runs.len() > MOST_RUNS as usize {
        bail!("these are more than {MOST_RUNS} runs: clear them in several steps");
    }
    let (_, dag) = dags::known(&store, &clear.dag_id).await?;
    let tasks = chosen(&dag, clear)?;
    let what = if tasks.is_empty() { "all tasks".to_owned() } else { names(&tasks) };
    let around = match (clear.upstream, clear.downstream) {
        (true, true) => " with everything upstream and downstream",
        (true, false) => " with everything upstream",
        (false, true) => " with everything downstream",
        (false, false) => "",
    };
    let only = if clear.only_failed { ", as far as it failed," } else { "" };
    output::confirm(
        &format!("Run {what}{around}{only} again in {} runs of {}?", runs.len(), dag.dag_id),
        clear.yes,
    )?;
    for run in runs {
        let selection = Selection {
            dag_id: run.dag_id,
            run_id: run.run_id,
            tasks: tasks.clone(),
            upstream: clear.upstream,
            downstream: clear.downstream,
        };
        ask(&config, &store, intent::Clear { selection, only_failed: clear.only_failed }).await?;
    }
    Ok(())
}

async fn ask(config: &Config, store: &Store, clear: intent::Clear) -> Result<()> {
    let run_id = clear.selection.run_id.clone();
    if inbox::ask(config, store, Wish::Clear(clear)).await? {
        return output::say(&format!("{run_id}: cleared."));
    }
    output::say(&format!("{run_id}: no scheduler has taken this in yet; the first one that runs will."))
}

fn chosen(dag: &domain::dag::Dag, clear: &Clear) -> Result<Vec<SelectedTask>> {
    let selected = |task_id: &domain::id::TaskId| SelectedTask { task_id: task_id.clone(), map_index: None };
    let Some(pattern) = &clear.task_regex else {
        return Ok(clear.task_id.iter().flat_map(|id| dag.named(id)).map(|id| selected(&id)).collect());
    };
    let ids = dag.tasks.iter().map(|task| &task.task_id).filter(|id| pattern.is_match(id.as_str()));
    let tasks: Vec<SelectedTask> = ids.map(selected).collect();
    if tasks.is_empty() {
        bail!("no task of {} matches `{pattern}`", dag.dag_id);
    }
    Ok(tasks)
}

fn names(tasks: &[SelectedTask]) -> String {
    tasks.iter().map(|task| task.task_id.as_str()).collect::<Vec<_>>().join(", ")
}

async fn whole_run(store: &Store, dag_id: &DagId, called: &str) -> Result<RunSnapshot> {
    let run = runs::find_called(store, dag_id, called).await?;
    store.run(&run.dag_id, &run.run_id).await?.context("the run was deleted")
}

fn state_row(dag_id: &DagId, logical_date: Option<DateTime<Utc>>, ti: TiRecord) -> StateRow {
    StateRow {
        dag_id: dag_id.to_string(),
        logical_date,
        task_id: ti.task_id.to_string(),
        map_index: ti.map_index,
        state: ti.state.as_str(),
        try_number: ti.try_number,
        start_date: ti.started_at,
        end_date: ti.ended_at,
        reason: ti.reason,
    }
}
