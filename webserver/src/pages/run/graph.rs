//! The graph of a run.

use actix_web::{
    HttpResponse,
    web::{Path, Query},
};
use askama::Template;
use serde::Deserialize;

use super::{RunHead, Seen, View};
use crate::{
    error::Error,
    graph::Picture,
    pages::{
        drawing::{self, Folds},
        parts::Shell,
        paths,
        visit::Visit,
    },
};

/// What is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Params {
    /// The open groups.
    #[serde(default)]
    open: String,
}

/// The graph with the run's states; live parts `as_head` and `as_graph`.
#[derive(Debug, Template)]
#[template(path = "run_graph.html", blocks = ["head", "graph"])]
pub(crate) struct RunGraphPage {
    pub(crate) shell: Shell,
    pub(crate) head: RunHead,
    pub(crate) folds: Folds,
    pub(crate) picture: Picture,
}

/// Answers.
pub(crate) async fn show(
    visit: Visit,
    path: Path<(String, String)>,
    params: Query<Params>,
) -> Result<HttpResponse, Error> {
    let seen = Seen::find(&visit, &path.0, &path.1).await?;
    let open = drawing::open_groups(&params.open);
    let address = format!("{}/graph", paths::run(seen.run.dag_id.as_str(), seen.run.run_id.as_str()));
    let drawn = drawing::draw(&visit, seen.run.version, Some(&seen.run), &open, &address).await?;
    let page = RunGraphPage {
        shell: visit.shell("dags").await?,
        head: seen.head(&visit, View::Graph).await?,
        folds: drawn.folds,
        picture: drawn.picture,
    };
    visit.answer(match visit.fragment() {
        Some("head") => page.as_head().render(),
        Some("graph") => page.as_graph().render(),
        Some(_) | None => page.render(),
    })
}
