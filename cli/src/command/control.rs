//! What an operator does to what waits or runs: `tradewind tasks hold` and its like, and `tradewind dags pause-run` and its like.

use anyhow::Result;
use domain::{
    id::{DagId, TaskId},
    intent::{MarkTasks, SelectedTask, Selection, Wish},
    state::{RunState, TaskState},
};
use runtime::config::Config;
use store::Store;

use super::{inbox, runs};
use crate::{
    args::{Common, dags::OfRun, tasks::Chosen},
    output, setup,
};

/// Holds a task that waits, or lets it go.
pub async fn hold(common: &Common, chosen: &Chosen, held: bool) -> Result<()> {
    let (config, store) = setup::for_command(common).await?;
    let selection = selection(&store, chosen).await?;
    let said = if held { "held: it does not start until it is released" } else { "released" };
    ask(&config, &store, Wish::Hold { selection, held }, &format!("{}: {said}.", chosen.task_id)).await
}

/// Gives a task that waits another place in line.
pub async fn prioritize(common: &Common, chosen: &Chosen, priority: i32) -> Result<()> {
    let (config, store) = setup::for_command(common).await?;
    let selection = selection(&store, chosen).await?;
    let said = format!("{}: waits with priority {priority}.", chosen.task_id);
    ask(&config, &store, Wish::Prioritize { selection, priority }, &said).await
}

/// Sets the state of a task by hand.
pub async fn mark(common: &Common, chosen: &Chosen, state: TaskState) -> Result<()> {
    let (config, store) = setup::for_command(common).await?;
    let selection = selection(&store, chosen).await?;
    let said = format!("{}: marked {state}.", chosen.task_id);
    ask(&config, &store, Wish::MarkTasks(MarkTasks { selection, state }), &said).await
}

/// Switches a task of a DAG off or on.
pub async fn switch(common: &Common, dag_id: DagId, task_id: TaskId, enabled: bool) -> Result<()> {
    let (config, store) = setup::for_command(common).await?;
    let said = if enabled {
        format!("{task_id}: switched on.")
    } else {
        format!("{task_id}: switched off. It is skipped in every run of {dag_id} until it is switched on.")
    };
    ask(&config, &store, Wish::SwitchTask { dag_id, task_id, enabled }, &said).await
}

/// Lets nothing new start in a run, or lets it go on.
pub async fn pause_run(common: &Common, of: &OfRun, paused: bool) -> Result<()> {
    let (config, store) = setup::for_command(common).await?;
    let run = runs::find_called(&store, &of.dag_id, &of.run).await?;
    let said = if paused { "paused: what runs ends, nothing new starts" } else { "goes on" };
    let said = format!("{}: {said}.", run.run_id);
    ask(&config, &store, Wish::PauseRun { dag_id: run.dag_id, run_id: run.run_id, paused }, &said).await
}

/// Ends a run and everything in it.
pub async fn stop_run(common: &Common, of: &OfRun, yes: bool) -> Result<()> {
    let (config, store) = setup::for_command(common).await?;
    let run = runs::find_called(&store, &of.dag_id, &of.run).await?;
    output::confirm(&format!("End run {} of {} and everything in it?", run.run_id, run.dag_id), yes)?;
    let said = format!("{}: stopped.", run.run_id);
    let wish = Wish::MarkRun { dag_id: run.dag_id, run_id: run.run_id, state: RunState::Failed };
    ask(&config, &store, wish, &said).await
}

async fn selection(store: &Store, chosen: &Chosen) -> Result<Selection> {
    let run = runs::find_called(store, &chosen.dag_id, &chosen.run).await?;
    let map_index = chosen.map_index.map(|index| i32::try_from(index).unwrap_or(i32::MAX));
    Ok(Selection {
        dag_id: run.dag_id,
        run_id: run.run_id,
        tasks: vec![SelectedTask { task_id: chosen.task_id.clone(), map_index }],
        upstream: chosen.upstream,
        downstream: chosen.downstream,
    })
}

async fn ask(config: &Config, store: &Store, wish: Wish, said: &str) -> Result<()> {
    if inbox::ask(config, store, wish).await? {
        return output::say(said);
    }
    output::say("No scheduler has taken this in yet; the first one that runs will.")
}
