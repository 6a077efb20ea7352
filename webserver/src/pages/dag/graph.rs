//! A DAG's graph, with the states of one of its runs.

use actix_web::{
    HttpResponse,
    web::{Path, Query},
};
use askama::Template;
use serde::Deserialize;
use store::view::{Page, run};

use super::{DagHead, Seen, View};
use crate::{
    error::Error,
    graph::Picture,
    pages::{
        drawing::{self, Folds},
        parts::Shell,
        paths,
        visit::Visit,
        words,
    },
};

/// Runs offered.
const RUNS: u32 = 25;

/// What is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Params {
    /// The run whose states are shown; empty for none, absent for the newest.
    run: Option<String>,
    /// The open groups.
    #[serde(default)]
    open: String,
}

/// The graph, or its live part (`as_graph`).
#[derive(Debug, Template)]
#[template(path = "dag_graph.html", blocks = ["graph"])]
pub(crate) struct DagGraphPage {
    pub(crate) shell: Shell,
    pub(crate) head: DagHead,
    pub(crate) runs: Vec<RunChoice>,
    /// Whether no run's states are shown.
    pub(crate) no_run: bool,
    pub(crate) folds: Folds,
    pub(crate) picture: Picture,
}

/// A run whose states the graph can show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunChoice {
    pub(crate) run_id: String,
    pub(crate) label: String,
    pub(crate) current: bool,
}

/// Answers.
pub(crate) async fn show(
    visit: Visit,
    dag_id: Path<String>,
    params: Query<Params>,
) -> Result<HttpResponse, Error> {
    let seen = Seen::find(&visit, &dag_id).await?;
    let filter = run::Filter { dag_id: Some(seen.line.dag_id.clone()), ..run::Filter::default() };
    let runs = visit.state.store.run_lines(&filter, Page::first(RUNS)).await?.rows;
    let chosen = match params.run.as_deref() {
        Some(wanted) => runs.iter().find(|run| run.run_id.as_str() == wanted),
        None => runs.first(),
    };
    let open = drawing::open_groups(&params.open);
    let version = chosen.map_or(seen.line.version, |run| run.version);
    let path = format!("{}/graph", paths::dag(seen.line.dag_id.as_str()));
    let path = match params.run.as_deref() {
        // Without a run is something else than without a word about the run.
        Some("") => format!("{path}?run="),
        Some(run) => paths::with_query(&path, &[("run", run)]),
        None => path,
    };
    let drawn = drawing::draw(&visit, version, chosen, &open, &path).await?;
    let choice = |run: &run::Run| RunChoice {
        current: chosen.is_some_and(|chosen| chosen.key == run.key),
        label: format!("{}, {}", words::run_name(run.run_id.as_str(), visit.now), run.state),
        run_id: run.run_id.to_string(),
    };
    let page = DagGraphPage {
        shell: visit.shell("dags").await?,
        head: seen.head(&visit, View::Graph).await?,
        runs: runs.iter().map(choice).collect(),
        no_run: chosen.is_none(),
        folds: drawn.folds,
        picture: drawn.picture,
    };
    visit.answer(match visit.fragment() {
        Some("graph") => page.as_graph().render(),
        Some(_) | None => page.render(),
    })
}
