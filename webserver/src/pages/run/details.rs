//! The rest that is known about a run.

use actix_web::{HttpResponse, web::Path};
use askama::Template;
use serde_json::{Map, Value};

use super::{RunHead, Seen, View};
use crate::{
    error::Error,
    pages::{
        dag::zone,
        parts::{Fact, Shell},
        visit::Visit,
        words,
    },
};

/// The rest; live part `as_head`.
#[derive(Debug, Template)]
#[template(path = "run_details.html", blocks = ["head"])]
pub(crate) struct RunDetailsPage {
    pub(crate) shell: Shell,
    pub(crate) head: RunHead,
    pub(crate) facts: Vec<Fact>,
    /// What the run was given, as JSON.
    pub(crate) conf: String,
    /// The values of its params, defaults included, as JSON.
    pub(crate) params: String,
}

/// Answers.
pub(crate) async fn show(visit: Visit, path: Path<(String, String)>) -> Result<HttpResponse, Error> {
    let seen = Seen::find(&visit, &path.0, &path.1).await?;
    let resolved = domain::params::resolve(&seen.version.dag.params, &seen.run.conf).unwrap_or_default();
    let page = RunDetailsPage {
        shell: visit.shell("dags").await?,
        head: seen.head(&visit, View::Details).await?,
        facts: facts(&seen, &visit),
        conf: pretty(&seen.run.conf),
        params: pretty(&resolved),
    };
    visit.answer(match visit.fragment() {
        Some("head") => page.as_head().render(),
        Some(_) | None => page.render(),
    })
}

fn pretty(values: &Map<String, Value>) -> String {
    serde_json::to_string_pretty(values).unwrap_or_default()
}

fn facts(seen: &Seen, visit: &Visit) -> Vec<Fact> {
    let run = &seen.run;
    let zone = zone(&seen.version.dag);
    let fact = |name, value: String| Some(Fact { name, value });
    let moment = |at| words::moment_in(at, visit.now, zone).title();
    let interval = run.data_interval;
    let facts = [
        fact("Run id", run.run_id.to_string()),
        fact("Kind", words::run_kind(run.run_type).to_owned()),
        run.triggered_by.clone().and_then(|by| fact("Triggered by", by)),
        run.logical_date.and_then(|at| fact("Logical date", moment(at))),
        interval.and_then(|interval| fact("Data from", moment(interval.start))),
        interval.and_then(|interval| fact("Data up to", moment(interval.end))),
        fact("Due", moment(run.run_after)),
        fact("Queued", moment(run.queued_at)),
        run.started_at.and_then(|at| fact("Started", moment(at))),
        run.ended_at.and_then(|at| fact("Ended", moment(at))),
        fact("DAG version", run.version_number.to_string()),
        fact("Cleared", words::plural(i64::from(run.clear_number), "time")),
        run.note.clone().and_then(|note| fact("Note", note)),
    ];
    facts.into_iter().flatten().collect()
}
