//! The rest that is known about a run.

use actix_web::{HttpResponse, web::Path};
use askama::Template;
use domain::state::RunType;
use serde_json::{Map, Value};

use super::{RunHead, Seen, View};
use crate::{
    error::Error,
    pages::{
        assets::{self, EventLine},
        dag::zone,
        parts::{Fact, Shell},
        paths,
        visit::Visit,
        words,
    },
};

/// Events that are shown, the newest first.
const EVENTS: usize = 100;

/// Longest conf that an address carries, in bytes.
const LONGEST_CONF: usize = 1_500;

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
    /// What the run was created for, when assets asked for it.
    pub(crate) events: Vec<EventLine>,
    /// The form that starts a run with the same values, unless they are too long for an address.
    pub(crate) again: Option<String>,
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
        events: events(&seen, &visit).await?,
        again: again(&seen),
    };
    visit.answer(match visit.fragment() {
        Some("head") => page.as_head().render(),
        Some(_) | None => page.render(),
    })
}

async fn events(seen: &Seen, visit: &Visit) -> Result<Vec<EventLine>, Error> {
    if seen.run.run_type != RunType::AssetTriggered {
        return Ok(Vec::new());
    }
    let mut rows = visit.state.store.consumed_events(&seen.run.dag_id, &seen.run.run_id).await?;
    rows.reverse();
    rows.truncate(EVENTS);
    assets::lines(visit, &rows, true).await
}

fn again(seen: &Seen) -> Option<String> {
    let conf = serde_json::to_string(&seen.run.conf).ok().filter(|conf| conf.len() <= LONGEST_CONF)?;
    let path = format!("{}/trigger", paths::dag(seen.run.dag_id.as_str()));
    Some(if seen.run.conf.is_empty() { path } else { paths::with_query(&path, &[("conf", &conf)]) })
}

fn pretty(values: &Map<String, Value>) -> String {
    serde_json::to_string_pretty(values).unwrap_or_default()
}

fn facts(seen: &Seen, visit: &Visit) -> Vec<Fact> {
    let run = &seen.run;
    let zone = zone(&seen.version.dag);
    let fact = |name, value: String| Some(Fact { name, value });
    let zoned = |at| words::moment_in(at, visit.now, zone).title();
    let moment = |at| words::moment(at, visit.now).title();
    let interval = run.data_interval;
    let (counted, deadlines) = (run.counted(), (0..).zip(&seen.version.dag.deadlines));
    let deadlines = deadlines.filter_map(|(place, deadline)| Some(moment(deadline.moment(place, &counted)?)));
    let deadlines: Vec<String> = deadlines.collect();
    let without =
        run.bases.iter().filter_map(|basis| basis.why_none.as_deref()).collect::<Vec<_>>().join("; ");
    let date = run.partition.as_ref().and_then(|partition| partition.date);
    let facts = [
        fact("Run id", run.run_id.to_string()),
        fact("Kind", words::run_kind(run.run_type).to_owned()),
        run.triggered_by.clone().and_then(|by| fact("Triggered by", by)),
        run.partition.as_ref().and_then(|partition| fact("Partition", partition.key.to_string())),
        date.and_then(|at| fact("Partition date", zoned(at))),
        run.logical_date.and_then(|at| fact("Logical date", zoned(at))),
        interval.and_then(|interval| fact("Data from", zoned(interval.start))),
        interval.and_then(|interval| fact("Data up to", zoned(interval.end))),
        fact("Due", moment(run.run_after)),
        fact("Queued", moment(run.queued_at)),
        run.started_at.and_then(|at| fact("Started", moment(at))),
        run.ended_at.and_then(|at| fact("Ended", moment(at))),
        (!deadlines.is_empty()).then(|| deadlines.join(", ")).and_then(|at| fact("To end by", at)),
        (!without.is_empty()).then_some(without).and_then(|why| fact("Without a deadline, because", why)),
        fact("DAG version", run.version_number.to_string()),
        fact("Cleared", words::plural(i64::from(run.clear_number), "time")),
        run.note.clone().and_then(|note| fact("Note", note)),
    ];
    facts.into_iter().flatten().collect()
}
