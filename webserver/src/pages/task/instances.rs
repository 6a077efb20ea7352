//! The instances of a mapped task.

use actix_web::{
    HttpResponse,
    web::{Path, Query},
};
use askama::Template;
use domain::state::TaskState;
use serde::Deserialize;
use store::view::{
    Page,
    task::{self, Instance},
};

use super::{Seen, TaskHead, View, element};
use crate::{
    error::Error,
    pages::{
        pager,
        parts::{Moment, Pager, Shell, Tab},
        paths, tally,
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

/// The instances of a mapped task; live parts `as_head` and `as_instances`.
#[derive(Debug, Template)]
#[template(path = "task_instances.html", blocks = ["head", "instances"])]
pub(crate) struct TaskInstancesPage {
    pub(crate) shell: Shell,
    pub(crate) head: TaskHead,
    pub(crate) states: Vec<Tab>,
    pub(crate) rows: Vec<InstanceRow>,
    pub(crate) pager: Pager,
}

/// One instance of a mapped task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InstanceRow {
    pub(crate) map_index: i32,
    /// What it is called, or the element that it works on where that is written in the file.
    pub(crate) label: Option<String>,
    pub(crate) href: String,
    pub(crate) state: &'static str,
    pub(crate) reason: Option<String>,
    pub(crate) tries: String,
    pub(crate) started: Option<Moment>,
    pub(crate) duration: String,
}

/// Answers.
pub(crate) async fn show(
    visit: Visit,
    names: Path<(String, String, String)>,
    params: Query<Params>,
) -> Result<HttpResponse, Error> {
    let seen = Seen::find(&visit, &names, None).await?;
    let state = params.state.parse::<TaskState>().ok();
    let filter = task::Filter {
        run: Some(seen.run.run.key),
        task_id: Some(seen.task_id.clone()),
        states: state.into_iter().collect(),
        ..task::Filter::default()
    };
    let part = Page::new(pager::ROWS, pager::offset(params.page));
    let found = visit.state.store.instances(&filter, part).await?;
    let path = format!("{}/instances", seen.href());
    let query = [("state", state.map_or("", TaskState::as_str))];
    let page = TaskInstancesPage {
        shell: visit.shell("dags").await?,
        head: seen.head(&visit, View::Instances).await?,
        states: states(&seen, &path, state),
        pager: pager::pager(&path, &query, params.page, found.rows.len(), found.total),
        rows: found.rows.iter().map(|instance| row(instance, &seen, &visit)).collect(),
    };
    visit.answer(match visit.fragment() {
        Some("head") => page.as_head().render(),
        Some("instances") => page.as_instances().render(),
        Some(_) | None => page.render(),
    })
}

/// All, and each state that occurs or is chosen.
fn states(seen: &Seen, path: &str, chosen: Option<TaskState>) -> Vec<Tab> {
    let tab = |label: String, state: Option<TaskState>, count: i64| Tab {
        label,
        href: paths::with_query(path, &[("state", state.map_or("", TaskState::as_str))]),
        count: Some(count),
        current: state == chosen,
    };
    let mut tabs = vec![tab("All".to_owned(), None, seen.tally.total())];
    tabs.extend(seen.tally.present().map(|(state, count)| tab(tally::words(state), Some(state), count)));
    if let Some(state) = chosen.filter(|state| seen.tally.of(*state) == 0) {
        tabs.push(tab(tally::words(state), Some(state), 0));
    }
    tabs
}

fn row(instance: &Instance, seen: &Seen, visit: &Visit) -> InstanceRow {
    InstanceRow {
        map_index: instance.map_index,
        label: element::at_hand(seen, instance),
        href: paths::with_instance(&seen.href(), instance.map_index),
        state: instance.state.as_str(),
        reason: instance.reason.clone(),
        tries: words::tries(instance.try_number.into(), instance.max_tries.into()),
        started: instance.started_at.map(|at| words::moment(at, visit.now)),
        duration: words::took(instance.started_at, instance.ended_at, visit.now),
    }
}
