//! How the platform itself is: who leads, which workers there are, and what waits.

use actix_web::HttpResponse;
use askama::Template;
use chrono::TimeDelta;
use domain::state::{RunState, TaskState};
use store::{
    job::{Job, Kind, State},
    view::health::{Health, Load},
};

use super::{
    parts::{Fact, Moment, Shell},
    visit::Visit,
    words,
};
use crate::error::Error;

/// Processes shown; the newest.
const MOST: usize = 100;
/// How long a process that was stopped in good order is still shown, in hours.
const STOPPED_HOURS: i64 = 1;

/// How the platform is; live part `as_platform`.
#[derive(Debug, Template)]
#[template(path = "platform.html", blocks = ["platform"])]
pub(crate) struct PlatformPage {
    pub(crate) shell: Shell,
    /// The state of the whole in figures.
    pub(crate) figures: Vec<Fact>,
    /// Those that live come first, then by kind.
    pub(crate) rows: Vec<ProcessRow>,
    /// How many more there are than are shown.
    pub(crate) hidden: usize,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProcessRow {
    /// Its whole id.
    pub(crate) id: String,
    /// Scheduler, worker or web server.
    pub(crate) kind: &'static str,
    /// Its machine.
    pub(crate) host: String,
    pub(crate) pid: i32,
    /// The sign of its state: one of those of tasks.
    pub(crate) sign: &'static str,
    /// Its state in words.
    pub(crate) state: &'static str,
    /// The queues it listens to, and how many tasks it takes at once; empty where it takes none.
    pub(crate) takes: String,
    pub(crate) started: Moment,
    pub(crate) renewed: Moment,
}

/// Answers.
pub(crate) async fn show(visit: Visit) -> Result<HttpResponse, Error> {
    let store = &visit.state.store;
    let (health, load, mut jobs) = (store.health().await?, store.platform_load().await?, store.jobs().await?);
    let since = visit.now - TimeDelta::hours(STOPPED_HOURS);
    jobs.retain(|job| job.state != State::Stopped || job.renewed_at > since);
    jobs.sort_by_key(|job| (!job.is_alive, kind(job)));
    let page = PlatformPage {
        shell: visit.shell("platform").await?,
        figures: figures(&health, &load),
        hidden: jobs.len().saturating_sub(MOST),
        rows: jobs.into_iter().take(MOST).map(|job| row(job, &visit)).collect(),
    };
    visit.answer(match visit.fragment() {
        Some("platform") => page.as_platform().render(),
        Some(_) | None => page.render(),
    })
}

fn figures(health: &Health, load: &Load) -> Vec<Fact> {
    let runs =
        |state: RunState| load.runs.iter().find(|(known, _)| *known == state).map_or(0, |(_, count)| *count);
    let tasks = |state: TaskState| {
        load.tasks.iter().find(|(known, _)| *known == state).map_or(0, |(_, count)| *count)
    };
    let queued = tasks(TaskState::Queued);
    let standbys = health.schedulers - i64::from(health.is_led);
    let scheduler = match (health.is_led, standbys) {
        (false, _) => "none leads".to_owned(),
        (true, ..=0) => "leading".to_owned(),
        (true, standbys) => format!("leading, {} ready", words::plural(standbys, "standby")),
    };
    vec![
        Fact { name: "Scheduler", value: scheduler },
        Fact {
            name: "Workers",
            value: format!("{} with {}", health.workers, words::plural(health.slots, "slot")),
        },
        Fact {
            name: "Runs under way",
            value: (runs(RunState::Running) + runs(RunState::Queued)).to_string(),
        },
        Fact { name: "Tasks running", value: tasks(TaskState::Running).to_string() },
        Fact { name: "Tasks queued", value: waiting(queued, load.queued_age) },
        Fact { name: "Messages to the engine", value: waiting(load.inbox, load.inbox_age) },
    ]
}

/// A number of things that wait, and for how long the oldest does.
fn waiting(count: i64, seconds: f64) -> String {
    let oldest = TimeDelta::try_milliseconds((seconds * 1_000.0) as i64).unwrap_or_default();
    if count == 0 { "none".to_owned() } else { format!("{count}, for {}", words::duration(oldest)) }
}

fn row(job: Job, visit: &Visit) -> ProcessRow {
    let (sign, state) = condition(&job);
    ProcessRow {
        kind: kind(&job),
        takes: match job.kind {
            Kind::Worker => format!("{} at once from {}", job.slots, job.queues.join(", ")),
            Kind::Scheduler | Kind::Webserver => String::new(),
        },
        sign,
        state,
        host: job.hostname,
        pid: job.pid,
        started: words::moment(job.started_at, visit.now),
        renewed: words::moment(job.renewed_at, visit.now),
        id: job.id.to_string(),
    }
}

fn kind(job: &Job) -> &'static str {
    match job.kind {
        Kind::Scheduler => "Scheduler",
        Kind::Worker => "Worker",
        Kind::Webserver => "Web server",
    }
}

fn condition(job: &Job) -> (&'static str, &'static str) {
    match (job.state, job.is_alive) {
        (State::Running, true) => ("success", "at work"),
        (State::Draining, true) => ("deferred", "ends what it has"),
        (State::Running | State::Draining, false) => ("failed", "silent"),
        (State::Lost, _) => ("failed", "lost"),
        (State::Stopped, _) => ("removed", "stopped"),
    }
}

#[cfg(test)]
mod tests {
    use super::waiting;

    #[test]
    fn what_waits_is_told_with_its_age() {
        assert_eq!(waiting(0, 3.0), "none");
        assert_eq!(waiting(3, 62.5), "3, for 1 min 2 s");
        assert_eq!(waiting(1, f64::NAN), "1, for 0 ms");
    }
}
