//! `tradewind dags`

mod next_execution;
mod records;
mod reserialize;
mod test;
mod trigger;
mod validate;

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context, Result};
use domain::{dag::Dag, id::DagId};
use store::{Store, view::dags::Line};

use super::control;
use crate::args::{Common, dags::Dags};

/// Works with DAGs and their runs.
pub async fn run(common: &Common, command: Dags) -> Result<ExitCode> {
    match command {
        Dags::Validate { files } => validate::run(common, &files).await,
        Dags::Test(test) => test::run(common, test).await,
        Dags::NextExecution(wanted) => next_execution::run(common, &wanted).await.map(succeeded),
        Dags::Trigger(trigger) => trigger::run(common, trigger).await,
        Dags::List(list) => records::list(common, &list).await.map(succeeded),
        Dags::Show { dag_id } => records::show(common, &dag_id).await.map(succeeded),
        Dags::Details { dag_id } => records::details(common, &dag_id).await.map(succeeded),
        Dags::Pause(named) => records::set_paused(common, &named.dag_id, true).await.map(succeeded),
        Dags::Unpause(named) => records::set_paused(common, &named.dag_id, false).await.map(succeeded),
        Dags::PauseRun(of) => control::pause_run(common, &of, true).await.map(succeeded),
        Dags::ResumeRun(of) => control::pause_run(common, &of, false).await.map(succeeded),
        Dags::StopRun { of, yes } => control::stop_run(common, &of, yes).await.map(succeeded),
        Dags::ListRuns(list) => records::list_runs(common, list).await.map(succeeded),
        Dags::ListImportErrors => records::list_import_errors(common).await,
        Dags::Delete(named) => records::delete(common, &named).await.map(succeeded),
        Dags::Reserialize => reserialize::run(common).await.map(succeeded),
    }
}

/// A DAG of the records with its newest version.
///
/// # Errors
/// When there is none.
pub async fn known(store: &Store, dag_id: &DagId) -> Result<(Line, Arc<Dag>)> {
    let none = || format!("there is no DAG `{dag_id}`; `tradewind dags list` shows those there are");
    let line = store.dag_line(dag_id, 1).await?.with_context(none)?;
    let (dag, _) = store.version(line.version).await?.with_context(none)?;
    Ok((line, dag))
}

const fn succeeded((): ()) -> ExitCode {
    ExitCode::SUCCESS
}
