//! The tries of a task instance.

use actix_web::{
    HttpResponse,
    web::{Path, Query},
};
use askama::Template;
use domain::engine::record::TryRecord;
use store::view::task::Instance;
use uuid::Uuid;

use super::{Params, Seen, TaskHead, View};
use crate::{
    error::Error,
    pages::{
        parts::{Moment, Shell},
        paths,
        visit::Visit,
        words,
    },
};

/// Digits of a worker's id that are shown.
const WORKER_DIGITS: usize = 8;

/// All tries; live parts `as_head` and `as_attempts`.
#[derive(Debug, Template)]
#[template(path = "task_attempts.html", blocks = ["head", "attempts"])]
pub(crate) struct TaskAttemptsPage {
    pub(crate) shell: Shell,
    pub(crate) head: TaskHead,
    /// Newest first.
    pub(crate) rows: Vec<AttemptRow>,
}

/// One try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttemptRow {
    pub(crate) number: u32,
    pub(crate) log_href: String,
    pub(crate) state: &'static str,
    /// Exit status, signal, time limit: in words.
    pub(crate) why: String,
    pub(crate) started: Option<Moment>,
    pub(crate) duration: String,
    pub(crate) worker: String,
}

/// Answers.
pub(crate) async fn show(
    visit: Visit,
    names: Path<(String, String, String)>,
    params: Query<Params>,
) -> Result<HttpResponse, Error> {
    let seen = Seen::find(&visit, &names, params.map_index).await?;
    let Some(instance) = &seen.instance else {
        return Ok(seen.to_instances());
    };
    let mut tries = visit.state.store.tries(instance.key).await?;
    tries.retain(|ended| ended.attempt.try_number != instance.try_number || instance.state.is_finished());
    let mut rows: Vec<AttemptRow> = tries.iter().map(|ended| past(ended, &seen, &visit)).collect();
    if !rows.iter().any(|row| row.number == instance.try_number) && instance.try_number > 0 {
        rows.push(current(instance, &seen, &visit));
    }
    rows.reverse();
    let page = TaskAttemptsPage {
        shell: visit.shell("dags").await?,
        head: seen.head(&visit, View::Attempts).await?,
        rows,
    };
    visit.answer(match visit.fragment() {
        Some("head") => page.as_head().render(),
        Some("attempts") => page.as_attempts().render(),
        Some(_) | None => page.render(),
    })
}

/// The log of a try.
pub(super) fn log_href(seen: &Seen, number: u32) -> String {
    paths::with_query(&seen.view(""), &[("try", &number.to_string())])
}

/// The end of a worker's id: its beginning is the time, which workers that start together share.
fn short_id(worker: Uuid) -> String {
    let id = worker.simple().to_string();
    format!("…{}", &id[id.len() - WORKER_DIGITS..])
}

fn past(ended: &TryRecord, seen: &Seen, visit: &Visit) -> AttemptRow {
    let number = ended.attempt.try_number;
    let code = ended.exit_code.filter(|code| *code != 0).map(|code| format!("exit code {code}"));
    AttemptRow {
        number,
        log_href: log_href(seen, number),
        state: ended.state.as_str(),
        why: ended.reason.clone().or(code).unwrap_or_default(),
        started: ended.started_at.map(|at| words::moment(at, visit.now)),
        duration: words::took(ended.started_at, Some(ended.ended_at), visit.now),
        worker: ended.worker.map(short_id).unwrap_or_default(),
    }
}

fn current(instance: &Instance, seen: &Seen, visit: &Visit) -> AttemptRow {
    AttemptRow {
        number: instance.try_number,
        log_href: log_href(seen, instance.try_number),
        state: instance.state.as_str(),
        why: instance.reason.clone().unwrap_or_default(),
        started: instance.started_at.map(|at| words::moment(at, visit.now)),
        duration: words::took(instance.started_at, instance.ended_at, visit.now),
        worker: instance.worker.map(short_id).unwrap_or_default(),
    }
}
