//! What the file of a DAG says, and what follows from it.

use actix_web::{HttpResponse, web::Path};
use askama::Template;
use chrono::{DateTime, Utc};
use domain::{
    dag::{Dag, Param},
    id::TaskId,
    timetable::{Catchup, Overlap},
};
use serde_json::Value;
use store::dag_version;

use super::{DagHead, Seen, View, zone};
use crate::{
    error::Error,
    pages::{
        parts::{Fact, Moment, Shell},
        prose::Prose,
        visit::Visit,
        words,
    },
};

/// Times of the schedule that are shown.
const UPCOMING: usize = 5;
/// Versions that are shown.
const VERSIONS: u32 = 20;
/// Digits of a version's hash that are shown.
const HASH_DIGITS: usize = 12;

/// What the file says.
#[derive(Debug, Template)]
#[template(path = "dag_details.html")]
pub(crate) struct DagDetailsPage {
    pub(crate) shell: Shell,
    pub(crate) head: DagHead,
    pub(crate) facts: Vec<Fact>,
    pub(crate) upcoming: Vec<Moment>,
    pub(crate) params: Vec<ParamRow>,
    pub(crate) versions: Vec<VersionRow>,
    pub(crate) doc: Option<Prose>,
    pub(crate) file: String,
    pub(crate) source: Option<String>,
}

/// A param of the DAG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParamRow {
    pub(crate) name: String,
    pub(crate) description: String,
    /// As JSON; nothing when a run must name a value.
    pub(crate) default: Option<String>,
    /// The schema as JSON.
    pub(crate) schema: String,
}

/// A version of the DAG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VersionRow {
    pub(crate) number: i32,
    pub(crate) since: Moment,
    /// The beginning of its hash.
    pub(crate) hash: String,
    pub(crate) file: String,
}

/// Answers.
pub(crate) async fn show(visit: Visit, dag_id: Path<String>) -> Result<HttpResponse, Error> {
    let seen = Seen::find(&visit, &dag_id).await?;
    let store = &visit.state.store;
    let versions = store.versions_of(&seen.line.dag_id, VERSIONS, 0).await?;
    let source = store.source(seen.line.version).await?;
    let off = store.switched_off(&seen.line.dag_id).await?;
    let dag = &seen.version.dag;
    let page = DagDetailsPage {
        shell: visit.shell("dags").await?,
        head: seen.head(&visit, View::Details).await?,
        facts: facts(&seen, &visit, &off),
        upcoming: upcoming(&seen, &visit),
        params: dag.params.iter().map(|(name, param)| param_row(name, param)).collect(),
        versions: versions.into_iter().map(|version| version_row(version, &visit)).collect(),
        doc: dag.doc.as_deref().map(Prose::from_markdown),
        file: seen.line.file.clone(),
        source: source.filter(|source| !source.is_empty()),
    };
    visit.answer(page.render())
}

fn facts(seen: &Seen, visit: &Visit, off: &[TaskId]) -> Vec<Fact> {
    let (line, dag) = (&seen.line, &seen.version.dag);
    let fact = |name, value: String| Some(Fact { name, value });
    let moment = |at| words::moment_in(at, visit.now, zone(dag)).title();
    let facts = [
        fact("Schedule", line.schedule_description.clone()),
        fact("Time zone", dag.timezone.to_string()),
        dag.start_date.and_then(|at| fact("Starts", moment(at))),
        dag.end_date.and_then(|at| fact("Ends", moment(at))),
        fact("Catch-up", catchup(dag.catchup)),
        fact("Runs at once", dag.max_active_runs.to_string()),
        fact("Tasks at once in a run", dag.max_active_tasks.to_string()),
        dag.dagrun_timeout.and_then(|limit| fact("Longest run", limit.to_string())),
        deadlines(dag, &moment).and_then(|text| fact("Runs should end", text)),
        overlap(dag.overlap).and_then(|text| fact("A run is due while another is active", text.to_owned())),
        dag.fail_fast.then_some("the run ends").and_then(|text| fact("A task fails", text.to_owned())),
        failures(dag.max_consecutive_failed_dag_runs).and_then(|text| fact("Pauses itself", text)),
        fact("Tasks", task_words(dag)),
        switched_off(off).and_then(|names| fact("Switched off by an operator", names)),
        fact("Version", line.version_number.to_string()),
        fact("File last read", words::moment(line.parsed_at, visit.now).title()),
    ];
    facts.into_iter().flatten().collect()
}

fn switched_off(off: &[TaskId]) -> Option<String> {
    let names: Vec<&str> = off.iter().map(TaskId::as_str).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn task_words(dag: &Dag) -> String {
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let tasks = words::plural(count(dag.tasks.len()), "task");
    if dag.groups.is_empty() {
        tasks
    } else {
        format!("{tasks} in {}", words::plural(count(dag.groups.len()), "group"))
    }
}

fn deadlines(dag: &Dag, moment: &dyn Fn(DateTime<Utc>) -> String) -> Option<String> {
    let named = dag.deadlines.iter().map(|deadline| {
        let at = deadline.fixed().map_or_else(|| deadline.counted(), moment);
        deadline.name.as_ref().map_or_else(|| at.clone(), |name| format!("{name}: {at}"))
    });
    let named: Vec<String> = named.collect();
    (!named.is_empty()).then(|| named.join("; "))
}

/// Nothing for the usual rule.
const fn overlap(overlap: Overlap) -> Option<&'static str> {
    match overlap {
        Overlap::Allow => None,
        Overlap::Queue => Some("it waits until the others have ended"),
        Overlap::Skip => Some("it is left out"),
        Overlap::CancelRunning => Some("the others are stopped"),
    }
}

fn failures(most: u32) -> Option<String> {
    (most > 0).then(|| format!("after {} in a row that failed", words::plural(most.into(), "run")))
}

fn catchup(catchup: Catchup) -> String {
    match catchup {
        Catchup::None => "no: of missed times only the newest is made up for".to_owned(),
        Catchup::All => "yes: every missed time is made up for".to_owned(),
        Catchup::Last => "the last missed time".to_owned(),
        Catchup::Window(window) => format!("times missed within {window}"),
    }
}

fn upcoming(seen: &Seen, visit: &Visit) -> Vec<Moment> {
    let dag = &seen.version.dag;
    if seen.line.is_stale {
        return Vec::new();
    }
    let times = dag.schedule.fire_times(visit.now, &dag.bounds());
    times.take(UPCOMING).map(|at| words::moment_in(at, visit.now, zone(dag))).collect()
}

fn param_row(name: &str, param: &Param) -> ParamRow {
    let json = |value: &Value| serde_json::to_string(value).unwrap_or_default();
    ParamRow {
        name: name.to_owned(),
        description: param.description.clone().unwrap_or_default(),
        default: param.default.as_ref().map(json),
        schema: json(&param.schema),
    }
}

fn version_row(version: dag_version::Version, visit: &Visit) -> VersionRow {
    VersionRow {
        number: version.number,
        since: words::moment(version.created_at, visit.now),
        hash: version.hash.chars().take(HASH_DIGITS).collect(),
        file: version.file,
    }
}
