//! The list of DAGs.

use actix_web::{HttpResponse, http::header::LOCATION, web::Query};
use askama::Template;
use domain::state::RunState;
use serde::Deserialize;
use store::view::{
    Page,
    dags::{self, Counts, Line, Recent},
};

use super::{
    pager,
    parts::{Moment, Pager, Shell, Tab, TagLink},
    paths,
    visit::Visit,
    words,
};
use crate::error::Error;

/// Runs shown for each DAG.
const RECENT: u32 = 10;
/// Tags offered.
const MOST_TAGS: u32 = 60;

/// What is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Params {
    #[serde(default)]
    q: String,
    #[serde(default)]
    tag: String,
    #[serde(default)]
    status: String,
    page: Option<u32>,
}

/// The list, or its live part (`as_dags`).
#[derive(Debug, Template)]
#[template(path = "dags.html", blocks = ["dags"])]
pub(crate) struct DagsPage {
    pub(crate) shell: Shell,
    pub(crate) filter: Filter,
    pub(crate) tabs: Vec<Tab>,
    pub(crate) tags: Vec<TagLink>,
    pub(crate) rows: Vec<DagRow>,
    pub(crate) pager: Pager,
    /// Where DAG files go; said when there are none.
    pub(crate) dags_folder_text: String,
}

/// What the list is narrowed to; empty texts are no condition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Filter {
    pub(crate) q: String,
    pub(crate) tag: String,
    pub(crate) status: String,
}

impl Filter {
    fn is_any(&self) -> bool {
        [&self.q, &self.tag, &self.status].iter().any(|text| !text.is_empty())
    }

    fn link(&self, tag: &str, status: &str) -> String {
        paths::with_query("/dags", &[("q", &self.q), ("tag", tag), ("status", status)])
    }
}

/// One DAG of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DagRow {
    pub(crate) dag_id: String,
    pub(crate) href: String,
    pub(crate) description: String,
    pub(crate) tags: Vec<TagLink>,
    /// The schedule as written in the file, where that says more than the words.
    pub(crate) schedule: Option<String>,
    /// The schedule in words.
    pub(crate) schedule_title: String,
    pub(crate) paused: bool,
    /// Whether the file has an error now.
    pub(crate) broken: bool,
    /// The latest runs, newest last.
    pub(crate) runs: Vec<RunDot>,
    pub(crate) last: Option<Moment>,
    pub(crate) last_took: Option<String>,
    pub(crate) next: Option<Moment>,
}

/// A run as a small tile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunDot {
    pub(crate) state: &'static str,
    pub(crate) href: String,
    pub(crate) title: String,
}

/// Answers.
pub(crate) async fn show(visit: Visit, params: Query<Params>) -> Result<HttpResponse, Error> {
    let params = params.into_inner();
    let filter = Filter { q: params.q.trim().to_owned(), tag: params.tag, status: params.status };
    let store = &visit.state.store;
    let counts = store.dag_counts().await?;
    let tags = store.dag_tags("", Page::first(MOST_TAGS)).await?.rows;
    let part = Page::new(pager::ROWS, pager::offset(params.page));
    let found = store.dag_lines(&wanted(&filter), RECENT, part).await?;
    if found.rows.is_empty() && found.total > 0 {
        // A page behind the last one: the list has become shorter.
        let first = filter.link(&filter.tag, &filter.status);
        return Ok(HttpResponse::SeeOther().insert_header((LOCATION, first)).finish());
    }
    let query = [("q", filter.q.as_str()), ("tag", &filter.tag), ("status", &filter.status)];
    let pager = pager::pager("/dags", &query, params.page, found.rows.len(), found.total);
    let page = DagsPage {
        shell: visit.shell("dags").await?,
        tabs: tabs(&filter, counts),
        tags: tags.into_iter().map(|tag| filter_tag(&filter, tag)).collect(),
        rows: found.rows.into_iter().map(|line| row(line, &filter, &visit)).collect(),
        pager,
        filter,
        dags_folder_text: format!(
            "Put a .yaml file into {}; it appears here within two seconds.",
            visit.state.settings.dags_folder
        ),
    };
    visit.answer(match visit.fragment() {
        Some("dags") => page.as_dags().render(),
        Some(_) | None => page.render(),
    })
}

fn wanted(filter: &Filter) -> dags::Filter {
    let (is_paused, last_run) = match filter.status.as_str() {
        "active" => (Some(false), None),
        "paused" => (Some(true), None),
        "running" => (None, Some(RunState::Running)),
        "failed" => (None, Some(RunState::Failed)),
        _ => (None, None),
    };
    dags::Filter {
        search: Some(filter.q.clone()),
        tags: Some(filter.tag.clone()).filter(|tag| !tag.is_empty()).into_iter().collect(),
        is_paused,
        last_run,
        ..dags::Filter::default()
    }
}

fn tabs(filter: &Filter, counts: Counts) -> Vec<Tab> {
    let tab = |label: &str, status: &str, count: i64| Tab {
        label: label.to_owned(),
        href: filter.link(&filter.tag, status),
        count: Some(count),
        current: filter.status == status,
    };
    vec![
        tab("All", "", counts.all),
        tab("Active", "active", counts.active),
        tab("Paused", "paused", counts.paused),
        tab("Running", "running", counts.running),
        tab("Failed", "failed", counts.failed),
    ]
}

/// A tag above the list: pressing the chosen one again lifts the condition.
fn filter_tag(filter: &Filter, tag: String) -> TagLink {
    let current = filter.tag == tag;
    let href = filter.link(if current { "" } else { &tag }, &filter.status);
    TagLink { label: tag, href, current }
}

fn row(line: Line, filter: &Filter, visit: &Visit) -> DagRow {
    let dag_id = line.dag_id.as_str();
    let newest = line.recent.first();
    DagRow {
        href: paths::dag(dag_id),
        runs: line.recent.iter().rev().map(|run| dot(dag_id, run, visit)).collect(),
        last: newest.and_then(|run| run.started_at).map(|at| words::moment(at, visit.now)),
        last_took: newest.filter(|run| run.ended_at.is_some()).map(|run| took(run, visit)),
        next: line.next_run_after.map(|at| words::moment(at, visit.now)),
        dag_id: dag_id.to_owned(),
        description: line.description.unwrap_or_default(),
        tags: line
            .tags
            .into_iter()
            .map(|tag| TagLink { href: filter.link(&tag, &filter.status), label: tag, current: false })
            .collect(),
        schedule: Some(line.schedule).filter(|written| says_more(written, &line.schedule_description)),
        schedule_title: line.schedule_description,
        paused: line.is_paused,
        broken: line.has_import_errors,
    }
}

/// Whether a schedule as written is worth a line of its own beside its words.
fn says_more(written: &str, words: &str) -> bool {
    written != "None" && !written.eq_ignore_ascii_case(words)
}

fn dot(dag_id: &str, run: &Recent, visit: &Visit) -> RunDot {
    RunDot {
        state: run.state.as_str(),
        href: paths::run(dag_id, &run.run_id),
        title: words::run_title(&words::run_name(&run.run_id, visit.now), run.state, &took(run, visit)),
    }
}

fn took(run: &Recent, visit: &Visit) -> String {
    words::took(run.started_at, run.ended_at, visit.now)
}
