//! Everything else that is known about a task.

use actix_web::{
    HttpResponse,
    web::{Path, Query},
};
use askama::Template;
use domain::{dag::Task, state::TaskState};
use store::view::task::Instance;

use super::{Params, Seen, TaskHead, View, rounds};
use crate::{
    error::Error,
    pages::{
        parts::{Fact, Shell},
        prose::Prose,
        visit::Visit,
        words,
    },
};

/// Everything else that is known; live part `as_head`.
#[derive(Debug, Template)]
#[template(path = "task_details.html", blocks = ["head"])]
pub(crate) struct TaskDetailsPage {
    pub(crate) shell: Shell,
    pub(crate) head: TaskHead,
    pub(crate) groups: Vec<FactGroup>,
    pub(crate) doc: Option<Prose>,
}

/// Facts that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FactGroup {
    pub(crate) title: &'static str,
    pub(crate) facts: Vec<Fact>,
}

/// Answers.
pub(crate) async fn show(
    visit: Visit,
    names: Path<(String, String, String)>,
    params: Query<Params>,
) -> Result<HttpResponse, Error> {
    let seen = Seen::find(&visit, &names, params.map_index).await?;
    let mut groups = Vec::new();
    if let Some(instance) = &seen.instance {
        groups.push(FactGroup { title: "In this run", facts: of_instance(instance, &visit) });
    }
    if let Some(task) = seen.spec() {
        groups.push(FactGroup { title: "In the file", facts: of_task(task, &seen.run.version.dag.owner) });
    }
    let page = TaskDetailsPage {
        shell: visit.shell("dags").await?,
        head: seen.head(&visit, View::Details).await?,
        groups,
        doc: seen.spec().and_then(|task| task.doc.as_deref()).map(Prose::from_markdown),
    };
    visit.answer(match visit.fragment() {
        Some("head") => page.as_head().render(),
        Some(_) | None => page.render(),
    })
}

fn of_instance(instance: &Instance, visit: &Visit) -> Vec<Fact> {
    let fact = |name, value: String| Some(Fact { name, value });
    let moment =
        |name, at: Option<_>| at.map(|at| Fact { name, value: words::moment(at, visit.now).title() });
    let facts = [
        fact("Pool", format!("{} ({})", instance.pool, words::plural(instance.pool_slots.into(), "slot"))),
        fact("Queue", instance.queue.clone()),
        fact("Priority", instance.priority.to_string()),
        instance.is_held.then_some("yes").and_then(|text| fact("Held", text.to_owned())),
        moment("Ready", instance.scheduled_at),
        moment("Queued", instance.queued_at),
        moment("Started", instance.started_at),
        moment("Ended", instance.ended_at),
        moment(next(instance), instance.next_try_at),
        instance.hostname.clone().and_then(|host| fact("Worker's machine", host)),
        instance.worker.and_then(|worker| fact("Worker", worker.to_string())),
        instance.pid.and_then(|pid| fact("Process", pid.to_string())),
        instance.reason.clone().and_then(|reason| fact("Reason", reason)),
        instance.note.clone().and_then(|note| fact("Note", note)),
    ];
    facts.into_iter().flatten().collect()
}

/// What happens at the moment for which an instance has set its alarm.
const fn next(instance: &Instance) -> &'static str {
    match instance.state {
        TaskState::UpForReschedule if instance.rounds > 0 => "Next round",
        TaskState::UpForReschedule => "Next look",
        TaskState::Deferred | TaskState::AwaitingInput => "Waits until, at the latest",
        TaskState::None
        | TaskState::Scheduled
        | TaskState::Queued
        | TaskState::Running
        | TaskState::Restarting
        | TaskState::Success
        | TaskState::Failed
        | TaskState::UpForRetry
        | TaskState::UpstreamFailed
        | TaskState::Skipped
        | TaskState::Removed => "Next try",
    }
}

fn of_task(task: &Task, owner: &str) -> Vec<Fact> {
    let fact = |name, value: String| Some(Fact { name, value });
    let upstream: Vec<&str> = task.upstream.iter().map(|id| id.as_str()).collect();
    let over: Vec<&str> = task.expand.keys().map(String::as_str).collect();
    let limit = |name, limit: Option<u32>| limit.map(|limit| Fact { name, value: limit.to_string() });
    let facts = [
        fact("Operator", format!("{} ({})", task.operator.key(), task.operator.class_name())),
        fact("Waits for", if upstream.is_empty() { "nothing".to_owned() } else { upstream.join(", ") }),
        fact("Trigger rule", task.trigger_rule.as_str().to_owned()),
        part(task).and_then(|text| fact("Part", text.to_owned())),
        looks_back(task).and_then(|text| fact("In the run before", text.to_owned())),
        (!over.is_empty()).then(|| over.join(", ")).and_then(|over| fact("One instance for each", over)),
        fact("Retries", retries(task)),
        task.repeat.as_ref().and_then(|repeat| fact("Repeated", rounds::words(repeat))),
        task.execution_timeout.and_then(|limit| fact("Time limit", limit.to_string())),
        limit("At once over all runs", task.max_active_tis_per_dag),
        limit("At once in a run", task.max_active_tis_per_dagrun),
        fact("Weight", task.priority_weight.to_string()),
        task.cwd.clone().and_then(|folder| fact("Folder", folder)),
        fact("Owner", task.owner.clone().unwrap_or_else(|| owner.to_owned())),
    ];
    facts.into_iter().flatten().collect()
}

/// What a task does for its neighbours, where that is special.
fn part(task: &Task) -> Option<&'static str> {
    match (task.setup, task.teardown) {
        (true, _) => Some("setup: prepares what others need"),
        (false, Some(teardown)) if teardown.on_failure_fail_dagrun => {
            Some("teardown: cleans up; the run fails when it fails")
        }
        (false, Some(_)) => Some("teardown: cleans up; whether it fails does not matter to the run"),
        (false, None) => None,
    }
}

const fn looks_back(task: &Task) -> Option<&'static str> {
    match (task.wait_for_downstream, task.depends_on_past) {
        (true, _) => Some("it and what waits for it directly must have succeeded (wait_for_downstream)"),
        (false, true) => Some("it must have succeeded (depends_on_past)"),
        (false, false) => None,
    }
}

fn retries(task: &Task) -> String {
    let retry = &task.retry;
    if retry.retries == 0 {
        return "none".to_owned();
    }
    let backoff = if retry.backoff > 0.0 { ", longer each time" } else { "" };
    format!("{}, {} apart{backoff}", retry.retries, retry.delay)
}
