//! The runs of a DAG.

use actix_web::{
    HttpResponse,
    web::{Path, Query},
};
use askama::Template;
use domain::{
    backfill::BackfillId,
    id::RunKey,
    state::{RunState, TaskState},
};
use serde::Deserialize;
use store::view::{Page, run};

use super::{DagHead, Seen, View, zone};
use crate::{
    error::Error,
    pages::{
        pager,
        parts::{Count, Moment, Pager, Shell, Tab},
        paths,
        tally::Tally,
        visit::Visit,
        words,
    },
};

/// What is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Params {
    #[serde(default)]
    state: String,
    page: Option<u32>,
}

/// The list of runs, or its live part (`as_runs`).
#[derive(Debug, Template)]
#[template(path = "dag_runs.html", blocks = ["runs"])]
pub(crate) struct DagRunsPage {
    pub(crate) shell: Shell,
    pub(crate) head: DagHead,
    pub(crate) states: Vec<Tab>,
    pub(crate) rows: Vec<RunRow>,
    pub(crate) pager: Pager,
}

/// One run of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunRow {
    pub(crate) run_id: String,
    /// What it is called on pages.
    pub(crate) name: String,
    pub(crate) href: String,
    pub(crate) state: &'static str,
    /// Scheduled, manual, backfill, ...
    pub(crate) kind: &'static str,
    pub(crate) by: Option<String>,
    pub(crate) note: Option<String>,
    /// The backfill that it belongs to.
    pub(crate) backfill: Option<BackfillId>,
    /// The key of what it is about.
    pub(crate) partition: Option<String>,
    pub(crate) logical: Option<Moment>,
    pub(crate) started: Option<Moment>,
    pub(crate) duration: String,
    pub(crate) counts: Vec<Count>,
}

/// Answers.
pub(crate) async fn show(
    visit: Visit,
    dag_id: Path<String>,
    params: Query<Params>,
) -> Result<HttpResponse, Error> {
    let seen = Seen::find(&visit, &dag_id).await?;
    let state = params.state.parse::<RunState>().ok();
    let filter = run::Filter {
        dag_id: Some(seen.line.dag_id.clone()),
        states: state.into_iter().collect(),
        ..run::Filter::default()
    };
    let store = &visit.state.store;
    let found = store.run_lines(&filter, Page::new(pager::ROWS, pager::offset(params.page))).await?;
    let keys: Vec<RunKey> = found.rows.iter().map(|run| run.key).collect();
    let counts = store.state_counts_of(&keys).await?;
    let path = format!("{}/runs", paths::dag(seen.line.dag_id.as_str()));
    let query = [("state", state.map_or("", RunState::as_str))];
    let row =
        |run: &run::Run| row(run, &visit, &seen, counts.get(&run.key).map(Vec::as_slice).unwrap_or_default());
    let page = DagRunsPage {
        shell: visit.shell("dags").await?,
        head: seen.head(&visit, View::Runs).await?,
        states: states(&path, state),
        pager: pager::pager(&path, &query, params.page, found.rows.len(), found.total),
        rows: found.rows.iter().map(row).collect(),
    };
    visit.answer(match visit.fragment() {
        Some("runs") => page.as_runs().render(),
        Some(_) | None => page.render(),
    })
}

fn states(path: &str, chosen: Option<RunState>) -> Vec<Tab> {
    let tab = |label: &str, state: Option<RunState>| Tab {
        label: label.to_owned(),
        href: paths::with_query(path, &[("state", state.map_or("", RunState::as_str))]),
        count: None,
        current: state == chosen,
    };
    vec![
        tab("All", None),
        tab("Running", Some(RunState::Running)),
        tab("Queued", Some(RunState::Queued)),
        tab("Success", Some(RunState::Success)),
        tab("Failed", Some(RunState::Failed)),
    ]
}

fn row(run: &run::Run, visit: &Visit, seen: &Seen, counts: &[(TaskState, i64)]) -> RunRow {
    let tally: Tally = counts.iter().copied().collect();
    let zone = zone(&seen.version.dag);
    RunRow {
        name: words::run_name(run.run_id.as_str(), visit.now),
        run_id: run.run_id.to_string(),
        href: paths::run(run.dag_id.as_str(), run.run_id.as_str()),
        state: run.state.as_str(),
        kind: words::run_kind(run.run_type),
        by: run.triggered_by.clone(),
        note: run.note.clone(),
        backfill: run.backfill,
        partition: run.partition.as_ref().map(|partition| partition.key.to_string()),
        logical: run.logical_date.map(|at| words::moment_in(at, visit.now, zone)),
        started: run.started_at.map(|at| words::moment(at, visit.now)),
        duration: words::took(run.started_at, run.ended_at, visit.now),
        counts: tally.counts(),
    }
}
