//! Runs in the records: finding them by what people call them, and showing them.

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use domain::id::{DagId, RunId};
use serde::Serialize;
use serde_json::{Map, Value};
use store::{
    Store,
    view::{
        MOST_ROWS, Page,
        run::{Filter, Run},
    },
};

use crate::args::value::moment;

/// A run as it is shown, with Airflow's names.
#[derive(Serialize)]
pub struct Row {
    dag_id: String,
    run_id: String,
    state: &'static str,
    run_type: &'static str,
    run_after: DateTime<Utc>,
    logical_date: Option<DateTime<Utc>>,
    start_date: Option<DateTime<Utc>>,
    end_date: Option<DateTime<Utc>>,
    conf: Map<String, Value>,
}

/// A run as it is shown.
pub fn row(run: Run) -> Row {
    Row {
        dag_id: run.dag_id.to_string(),
        run_id: run.run_id.to_string(),
        state: run.state.as_str(),
        run_type: run.run_type.as_str(),
        run_after: run.run_after,
        logical_date: run.logical_date,
        start_date: run.started_at,
        end_date: run.ended_at,
        conf: run.conf,
    }
}

/// A run by its name.
///
/// # Errors
/// When there is none.
pub async fn find(store: &Store, dag_id: &DagId, run_id: &RunId) -> Result<Run> {
    let found = store.run_line(dag_id, run_id).await?;
    found.with_context(|| format!("there is no run `{run_id}` of {dag_id}"))
}

/// A run by its name or its logical date.
///
/// # Errors
/// When there is none.
pub async fn find_called(store: &Store, dag_id: &DagId, text: &str) -> Result<Run> {
    if let Ok(run_id) = RunId::new(text)
        && let Some(run) = store.run_line(dag_id, &run_id).await?
    {
        return Ok(run);
    }
    let Ok(date) = moment(text) else { bail!("there is no run `{text}` of {dag_id}") };
    let found = between(store, dag_id, Some(date), Some(date), 1).await?;
    found
        .into_iter()
        .next()
        .with_context(|| format!("there is no run of {dag_id} with the logical date {text}"))
}

/// The runs with a logical date between two moments, both included, newest first; at most `limit`.
///
/// # Errors
/// Only when the database fails.
pub async fn between(
    store: &Store,
    dag_id: &DagId,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    limit: u32,
) -> Result<Vec<Run>> {
    let filter =
        Filter { dag_id: Some(dag_id.clone()), logical_from: from, logical_to: to, ..Filter::default() };
    pages(store, &filter, limit).await
}

/// The runs that fit, at most `limit`.
///
/// # Errors
/// Only when the database fails.
pub async fn pages(store: &Store, filter: &Filter, limit: u32) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    while runs.len() < limit as usize {
        let offset = u32::try_from(runs.len())?;
        let wanted = (limit - offset).min(MOST_ROWS);
        let page = store.run_lines(filter, Page::new(wanted, offset)).await?.rows;
        let is_last = page.len() < wanted as usize;
        runs.extend(page);
        if is_last {
            break;
        }
    }
    Ok(runs)
}
