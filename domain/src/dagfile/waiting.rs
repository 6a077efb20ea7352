//! `wait_for` and `trigger_dag`.

use std::{rc::Rc, str::FromStr};

use chrono::NaiveTime;
use serde_json::{Map, Value};

use super::{
    date,
    diagnostic::{Problem, alternatives},
    fields::Fields,
    keys::Place,
    node::{Entry, Node, shown},
    reading::Reading,
    values,
};
use crate::{
    dag::Operator,
    id::DagId,
    span::Span,
    state::TaskState,
    wait::{AfterTrigger, Clock, OtherDag, Poke, TIMEOUT, TriggerDag, Until, WaitFor},
};

/// What can be waited for, and which other keys say more of it.
const KINDS: [(&str, &[&str]); 6] = [
    ("time", &[]),
    ("for", &[]),
    ("dag", &["task", "states", "failed_states", "offset", "logical_date"]),
    ("file", &POKED),
    ("http", &["conn_id", "expect", "poke_interval", "exponential_backoff", "max_wait"]),
    ("sql", &["conn_id", "poke_interval", "exponential_backoff", "max_wait"]),
];

const POKED: [&str; 3] = ["poke_interval", "exponential_backoff", "max_wait"];

/// Reads `wait_for`.
pub(super) fn wait_for(entry: &Entry, owner: String, reading: &mut Reading<'_>) -> Option<Operator> {
    if entry.value.map().is_none() {
        let message = format!("{owner} must be a mapping, this is {}", entry.value.describe());
        reading.add(Problem::new(entry.value.at, message).hint("for example {for: 10m}"));
        return None;
    }
    let fields = Fields::open(&entry.value, entry.key_at, owner, Place::WaitFor, reading)?;
    let kind = kind(entry, &fields, reading);
    let poke = poke(&fields, reading);
    let timeout = fields.get("timeout", reading, |node| values::positive_span(node));
    let soft_fail = fields.get("soft_fail", reading, |node| values::flag(node));
    let until = until(&fields, kind, reading)?;
    let timeout = timeout.unwrap_or(TIMEOUT);
    let wait = WaitFor { until, timeout, soft_fail: soft_fail.unwrap_or(false), poke };
    kind.map(|_| Operator::WaitFor(Box::new(wait)))
}

fn kind(entry: &Entry, fields: &Fields<'_>, reading: &mut Reading<'_>) -> Option<&'static str> {
    let chosen: Vec<&'static str> =
        KINDS.iter().map(|(name, _)| *name).filter(|name| fields.has(name)).collect();
    let names = alternatives(KINDS.iter().map(|(name, _)| *name), "or");
    let Some(kind) = chosen.first().copied() else {
        if !fields.has_strangers {
            let message = format!("{} does not say what for", fields.owner);
            reading.add(Problem::new(entry.key_at, message).hint(format!("give it one of {names}")));
        }
        return None;
    };
    if let Some(second) = chosen.get(1).and_then(|name| fields.entry(name)) {
        let message = format!(
            "{} waits for more than one thing: {}",
            fields.owner,
            alternatives(chosen.into_iter(), "and")
        );
        reading.add(Problem::new(second.key_at, message).hint("make a task of each"));
        return None;
    }
    let allowed = KINDS.iter().find(|(name, _)| *name == kind).map_or(&[][..], |(_, keys)| *keys);
    let mut fits = true;
    for name in KINDS.iter().flat_map(|(_, keys)| keys.iter()).filter(|name| !allowed.contains(name)) {
        if let Some(entry) = fields.entry(name) {
            let message = format!("`{name}` of {} means nothing with `{kind}`", fields.owner);
            reading.add(Problem::new(entry.key_at, message).hint("remove it"));
            fits = false;
            break;
        }
    }
    fits.then_some(kind)
}

fn poke(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Poke {
    let default = Poke::default();
    let interval = fields.get("poke_interval", reading, |node| values::positive_span(node));
    let exponential_backoff = fields.get("exponential_backoff", reading, |node| values::flag(node));
    let max_wait = fields.given("max_wait", reading, |node| values::positive_span(node)).flatten();
    Poke {
        interval: interval.unwrap_or(default.interval),
        exponential_backoff: exponential_backoff.unwrap_or(false),
        max_wait,
    }
}

// Reads everything that is there, so that every mistake is told at once.
fn until(fields: &Fields<'_>, kind: Option<&str>, reading: &mut Reading<'_>) -> Option<Until> {
    let time = fields.get("time", reading, |node| clock(node));
    let delay = fields.get("for", reading, |node| values::span(node));
    let dag = other_dag(fields, reading);
    let file = fields.get("file", reading, |node| values::text(node));
    let conn_id = fields.given("conn_id", reading, |node| values::text(node)).flatten();
    let url = fields.get("http", reading, |node| values::text(node));
    let (status, contains) = expect(fields, reading);
    let sql = fields.get("sql", reading, |node| values::text(node));
    match kind? {
        "time" => time.map(Until::Time),
        "for" => delay.map(Until::For),
        "dag" => dag.map(Until::Dag),
        "file" => file.map(Until::File),
        "http" => {
            let url = url?;
            if conn_id.is_none() {
                let entry = fields.entry("http")?;
                let checked = super::operator::check_url(url.clone(), &entry.value);
                reading.keep(checked.map_err(|problem| problem.of(&fields.named("http"))))?;
            }
            Some(Until::Http { conn_id, url, status, contains })
        }
        _ => {
            if conn_id.is_none() && !fields.has("conn_id") && !fields.has_strangers {
                let message = format!("{} needs a `conn_id`", fields.owner);
                let problem = Problem::new(fields.at, message).hint("the connection the query runs on");
                reading.add(problem);
            }
            Some(Until::Sql { conn_id: conn_id?, sql: sql? })
        }
    }
}

fn other_dag(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Option<OtherDag> {
    let dag_id = fields.get("dag", reading, |node| values::name::<DagId>(node));
    let task_id = fields.get("task", reading, |node| values::name(node));
    let of_task = fields.has("task");
    let states = fields.get("states", reading, |node| states(node, of_task));
    let failed_states = fields.get("failed_states", reading, |node| states_or_none(node, of_task));
    let offset = fields.get("offset", reading, |node| values::span(node));
    let logical_date = fields.get("logical_date", reading, |node| moment(node));
    if let (Some(_), Some(entry)) = (fields.entry("offset"), fields.entry("logical_date")) {
        let message = format!("{} has both `offset` and `logical_date`", fields.owner);
        reading.add(Problem::new(entry.key_at, message).hint("keep one"));
    }
    Some(OtherDag {
        dag_id: dag_id?,
        task_id,
        states: states.unwrap_or_else(|| vec![TaskState::Success]),
        failed_states: failed_states.unwrap_or_default(),
        offset: offset.unwrap_or(Span::from_secs(0)),
        logical_date,
    })
}

fn expect(fields: &Fields<'_>, reading: &mut Reading<'_>) -> (Option<u16>, Option<String>) {
    let Some(entry) = fields.entry("expect") else { return (None, None) };
    let owner = fields.named("expect");
    let Some(fields) = Fields::open(&entry.value, entry.key_at, owner, Place::Expect, reading) else {
        return (None, None);
    };
    let status = fields.get("status", reading, |node| values::whole(node, 100, 599));
    (status, fields.get("contains", reading, |node| values::text(node)))
}

fn states(node: &Rc<Node>, of_task: bool) -> Result<Vec<TaskState>, Problem> {
    let found = states_or_none(node, of_task)?;
    if found.is_empty() {
        return Err(Problem::new(node.at, "the list is empty: nothing could ever be what is waited for"));
    }
    Ok(found)
}

fn states_or_none(node: &Rc<Node>, of_task: bool) -> Result<Vec<TaskState>, Problem> {
    let one = |node: &Node| end(node, of_task);
    let mut found = if node.list().is_some() { values::list(node, one)? } else { vec![one(node)?] };
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn end(node: &Node, of_task: bool) -> Result<TaskState, Problem> {
    let ends = TaskState::ALL.iter().copied().filter(|state| state.is_finished());
    let of_runs = [TaskState::Success, TaskState::Failed];
    let known: Vec<(&'static str, TaskState)> = ends
        .filter(|state| of_task || of_runs.contains(state))
        .map(|state| (state.as_str(), state))
        .collect();
    values::one_of(
        node,
        if of_task { "final state of a task" } else { "final state of a run" },
        known.into_iter(),
    )
}

fn clock(node: &Node) -> Result<Clock, Problem> {
    let written = values::text(node)?;
    let time = written.trim();
    let daily =
        NaiveTime::parse_from_str(time, "%H:%M").or_else(|_| NaiveTime::parse_from_str(time, "%H:%M:%S"));
    match daily {
        Ok(time) => Ok(Clock::Daily(time)),
        Err(_) => moment(node).map_err(|_| {
            Problem::new(node.at, format!("`{}` is neither a time of the day nor a moment", shown(&written)))
                .hint("write 06:30, 2026-01-31T06:30 or 2026-01-31T06:30+02:00")
        }),
    }
}

fn moment(node: &Node) -> Result<Clock, Problem> {
    date::clock(node)
}

/// Reads `trigger_dag`.
pub(super) fn trigger_dag(entry: &Entry, owner: String, reading: &mut Reading<'_>) -> Option<Operator> {
    let then = AfterTrigger {
        allowed_states: vec![TaskState::Success],
        failed_states: vec![TaskState::Failed],
        ..AfterTrigger::default()
    };
    if entry.value.map().is_none() {
        let dag_id = values::text(&entry.value).and_then(|text| check_dag_id(text, &entry.value));
        let dag_id = reading.keep(dag_id.map_err(|problem| problem.of(&owner)))?;
        let task = TriggerDag { dag_id, conf: Map::new(), run_id: None, logical_date: None, then };
        return Some(Operator::TriggerDag(Box::new(task)));
    }
    let fields = Fields::open(&entry.value, entry.key_at, owner, Place::TriggerDag, reading)?;
    if !fields.has("dag_id") && !fields.has_strangers {
        reading.add(Problem::new(entry.key_at, format!("{} needs a `dag_id`", fields.owner)));
    }
    let dag_id = fields.get("dag_id", reading, |node| check_dag_id(values::text(node)?, node));
    let conf = fields.given("conf", reading, |node| object(node)).flatten();
    let run_id = fields.given("run_id", reading, |node| values::text(node)).flatten();
    let logical_date = fields.given("logical_date", reading, |node| values::text(node)).flatten();
    let then = after(&fields, then, reading);
    let conf = conf.unwrap_or_default();
    Some(Operator::TriggerDag(Box::new(TriggerDag { dag_id: dag_id?, conf, run_id, logical_date, then })))
}

fn after(fields: &Fields<'_>, default: AfterTrigger, reading: &mut Reading<'_>) -> AfterTrigger {
    let mut flag = |name: &'static str| fields.get(name, reading, |node| values::flag(node)).unwrap_or(false);
    let wait_for_completion = flag("wait_for_completion");
    let skip_when_already_exists = flag("skip_when_already_exists");
    let reset_dag_run = flag("reset_dag_run");
    let output = fields.given("output", reading, |node| values::name(node)).flatten();
    if let (false, Some(_), Some(entry)) = (wait_for_completion, &output, fields.entry("output")) {
        let message = format!("{} has an `output` but does not wait for it", fields.owner);
        reading.add(Problem::new(entry.key_at, message).hint("add `wait_for_completion: true`"));
    }
    let allowed = fields.get("allowed_states", reading, |node| states(node, false));
    let failed = fields.get("failed_states", reading, |node| states_or_none(node, false));
    if let (true, true, Some(entry)) =
        (skip_when_already_exists, reset_dag_run, fields.entry("reset_dag_run"))
    {
        let message = format!("{} cannot both skip and reset a run that exists", fields.owner);
        reading.add(Problem::new(entry.key_at, message).hint("keep one"));
    }
    AfterTrigger {
        wait_for_completion,
        allowed_states: allowed.unwrap_or(default.allowed_states),
        failed_states: failed.unwrap_or(default.failed_states),
        skip_when_already_exists,
        reset_dag_run,
        output,
    }
}

/// Unless a template will say it, the id must be one.
fn check_dag_id(text: String, node: &Node) -> Result<String, Problem> {
    if text.contains("{{") || text.contains("{%") {
        return Ok(text);
    }
    DagId::from_str(&text).map(|_| text).map_err(|error| Problem::new(node.at, error.to_string()))
}

fn object(node: &Node) -> Result<Map<String, Value>, Problem> {
    match node.json() {
        Value::Object(map) => Ok(map),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Problem::new(
                node.at,
                format!("this must be a mapping of names to values, not {}", node.describe()),
            ))
        }
    }
}
