//! The tasks of a run.

use actix_web::{
    HttpResponse,
    web::{Path, Query},
};
use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use store::view::{page_run::RunTask, run::Run};

use super::{RunHead, Seen, View};
use crate::{
    error::Error,
    pages::{
        parts::{Count, Moment, Pager, Shell},
        paths,
        question::{self, Card},
        tally::Tally,
        visit::Visit,
        words,
    },
};

/// Tasks of one page.
const TASKS: u32 = 300;
/// Questions of one page.
const QUESTIONS: u32 = 5;
/// Longest reason in the list, in characters; the task's own page has all of it.
const LONGEST_REASON: usize = 140;

/// What is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Params {
    page: Option<u32>,
}

/// The tasks of the run; live parts `as_head` and `as_tasks`.
#[derive(Debug, Template)]
#[template(path = "run.html", blocks = ["head", "tasks"])]
pub(crate) struct RunPage {
    pub(crate) shell: Shell,
    pub(crate) head: RunHead,
    /// What its tasks ask people.
    pub(crate) questions: Vec<Card>,
    /// Where the others are, when there are more.
    pub(crate) more_questions: Option<String>,
    pub(crate) rows: Vec<TaskRow>,
    pub(crate) more: Option<Pager>,
}

/// One task of the run; a mapped task is one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskRow {
    /// Tells rows apart: the task id.
    pub(crate) key: String,
    pub(crate) href: String,
    pub(crate) state: &'static str,
    /// States of the instances, for mapped tasks.
    pub(crate) counts: Vec<Count>,
    pub(crate) operator: String,
    /// Why it is not running, or why it failed, in a few words.
    pub(crate) reason: Option<String>,
    /// For example `1` or `2 of 3`.
    pub(crate) tries: String,
    pub(crate) started: Option<Moment>,
    pub(crate) duration: String,
    pub(crate) bar: Option<TimeBar>,
}

/// When a task waited and ran, in percent of the run's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeBar {
    pub(crate) wait_x: i64,
    pub(crate) wait_width: i64,
    pub(crate) x: i64,
    pub(crate) width: i64,
}

/// Answers.
pub(crate) async fn show(
    visit: Visit,
    path: Path<(String, String)>,
    params: Query<Params>,
) -> Result<HttpResponse, Error> {
    let seen = Seen::find(&visit, &path.0, &path.1).await?;
    let number = params.page.unwrap_or(1).clamp(1, 1_000);
    let all = seen.version.dag.tasks.len();
    let tasks = visit.state.store.run_tasks(seen.run.key, &[], TASKS, (number - 1) * TASKS).await?;
    let (questions, open) = question::of_run(&visit, seen.run.key.0, QUESTIONS).await?;
    let has_more = open > i64::from(QUESTIONS);
    let page = RunPage {
        shell: visit.shell("dags").await?,
        head: seen.head(&visit, View::Tasks).await?,
        questions,
        more_questions: has_more
            .then(|| paths::with_query("/approvals", &[("dag", seen.run.dag_id.as_str())])),
        more: more(&seen, number, tasks.len(), all),
        rows: tasks.iter().map(|task| row(task, &seen, &visit)).collect(),
    };
    visit.answer(match visit.fragment() {
        Some("head") => page.as_head().render(),
        Some("tasks") => page.as_tasks().render(),
        Some(_) | None => page.render(),
    })
}

fn more(seen: &Seen, number: u32, shown: usize, all: usize) -> Option<Pager> {
    let most = usize::try_from(TASKS).unwrap_or(usize::MAX);
    if number == 1 && shown < most {
        return None;
    }
    let path = paths::run(seen.run.dag_id.as_str(), seen.run.run_id.as_str());
    let link = |number: u32| paths::with_query(&path, &[("page", &number.to_string())]);
    Some(Pager {
        text: format!("page {number} of {}", all.div_ceil(most).max(1)),
        previous: (number > 1).then(|| link(number - 1)),
        next: (shown == most).then(|| link(number + 1)),
    })
}

fn row(task: &RunTask, seen: &Seen, visit: &Visit) -> TaskRow {
    let tally: Tally = task.states.iter().copied().collect();
    let run = &seen.run;
    let spec = seen.version.task(&task.task_id);
    TaskRow {
        key: task.task_id.clone(),
        href: paths::task(run.dag_id.as_str(), run.run_id.as_str(), &task.task_id),
        state: tally.state().unwrap_or(domain::state::TaskState::None).as_str(),
        counts: if task.is_expanded { tally.counts() } else { Vec::new() },
        operator: spec.map_or_else(|| task.operator.clone(), |spec| spec.operator.key().to_owned()),
        reason: task.reason.as_deref().map(short),
        tries: words::tries(task.try_number.into(), task.max_tries.into()),
        started: task.started_at.map(|at| words::moment(at, visit.now)),
        duration: words::took(task.started_at, task.ended_at, visit.now),
        bar: bar(run, task, visit.now),
    }
}

fn short(reason: &str) -> String {
    let line = reason.lines().next().unwrap_or_default();
    let short: String = line.chars().take(LONGEST_REASON).collect();
    if short.len() < reason.len() { format!("{short}…") } else { short }
}

fn bar(run: &Run, task: &RunTask, now: DateTime<Utc>) -> Option<TimeBar> {
    let began = run.started_at?;
    let whole = run.ended_at.unwrap_or(now) - began;
    let percent = |at: DateTime<Utc>| share(at - began, whole);
    let start = percent(task.started_at?);
    let queued = task.queued_at.map_or(start, percent).min(start);
    let end = percent(task.ended_at.unwrap_or(now)).max(start);
    Some(TimeBar {
        wait_x: queued,
        wait_width: start - queued,
        x: start.min(99),
        width: (end - start).max(1),
    })
}

fn share(part: TimeDelta, whole: TimeDelta) -> i64 {
    (part.num_milliseconds() * 100 / whole.num_milliseconds().max(1)).clamp(0, 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_stay_within_the_run() {
        let second = TimeDelta::seconds;
        assert_eq!(share(second(5), second(20)), 25);
        assert_eq!(share(second(-5), second(20)), 0);
        assert_eq!(share(second(50), second(20)), 100);
        assert_eq!(share(second(1), second(0)), 100);
    }

    #[test]
    fn reasons_are_one_short_line() {
        assert_eq!(short("exit code 3"), "exit code 3");
        assert_eq!(short("one\ntwo"), "one…");
        assert_eq!(short(&"x".repeat(200)).chars().count(), LONGEST_REASON + 1);
    }
}
