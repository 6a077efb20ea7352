//! The context of templates: Airflow's names.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use domain::dag::{Dag, Task};
use domain::outcome::RETURN_VALUE;
use domain::partition::Key;
use minijinja::Value;
use minijinja::value::{Enumerator, Object};
use serde_json::{Map, Value as Json};

use super::connections::Connections;
use super::dates::{Moment, moment, moment_or_none};
use super::instance::TaskInstance;
use super::json;
use super::lookups::Lookups;
use super::macros::Macros;
use super::record::Record;
use super::variables::Variables;
use crate::assignment::Assignment;
use crate::backend::Previous;

/// Names that runs without a logical date do not have (as in Airflow 3).
pub(super) const NEED_A_DATE: [&str; 8] = [
    "logical_date",
    "ds",
    "ds_nodash",
    "ts",
    "ts_nodash",
    "ts_nodash_with_tz",
    "data_interval_start",
    "data_interval_end",
];

/// Names whose values are only fetched when they are used.
const OF_PREVIOUS: [&str; 4] = [
    "prev_data_interval_start_success",
    "prev_data_interval_end_success",
    "prev_start_date_success",
    "prev_end_date_success",
];

/// In a loop, what the round before left; fetched when it is used, too.
const PREVIOUS: &str = "previous";

/// The context of one try.
#[derive(Debug)]
pub(super) struct Scope {
    names: Vec<(String, Value)>,
    lookups: Arc<Lookups>,
    assignment: Arc<Assignment>,
}

impl Scope {
    /// The context of `assignment`. `elements` are those of its mapped keys; they hide other names.
    pub(super) fn new(
        assignment: &Arc<Assignment>,
        elements: Vec<(String, Json)>,
        params: &Map<String, Json>,
        lookups: Arc<Lookups>,
        now: DateTime<Utc>,
    ) -> Scope {
        let mut names: Vec<(String, Value)> =
            elements.into_iter().map(|(name, value)| (name, json::value(value))).collect();
        names.extend(dates(assignment));
        let instance = Value::from_object(TaskInstance {
            fields: instance(assignment),
            assignment: Arc::clone(assignment),
            lookups: Arc::clone(&lookups),
        });
        let run = &assignment.run;
        let key = format!(
            "{}__{}__{}",
            assignment.dag.dag_id,
            assignment.task().task_id,
            run.logical_date.map_or_else(|| run.run_id.to_string(), |at| at.format("%Y%m%d").to_string())
        );
        let fixed = [
            ("run_id", Value::from(run.run_id.as_str())),
            ("dag", dag(&assignment.dag)),
            ("dag_run", dag_run(assignment)),
            ("task", task(assignment.task(), &assignment.dag)),
            ("ti", instance.clone()),
            ("task_instance", instance),
            ("task_instance_key_str", Value::from(key)),
            ("params", json::value(params)),
            ("var", Variables::value(Arc::clone(&lookups))),
            ("conn", Connections::value(Arc::clone(&lookups))),
            ("macros", Macros::value(now)),
            ("triggering_asset_events", json::value(run.events_by_asset())),
            ("test_mode", Value::from(false)),
        ];
        names.extend(fixed.map(|(name, value)| (name.to_owned(), value)));
        names.extend(assignment.round().map(|round| ("round".to_owned(), Value::from(round))));
        Scope { names, lookups, assignment: Arc::clone(assignment) }
    }

    /// What the round before this one left; nothing in the first.
    fn before(&self, round: u32) -> Value {
        if round == 1 {
            return Value::from(());
        }
        let task_id = self.assignment.task().task_id.as_str();
        match self.lookups.instance(task_id, RETURN_VALUE, self.assignment.map_index) {
            Ok(left) => left.map_or(Value::from(()), |value| json::value(&value)),
            Err(error) => Value::from(error),
        }
    }

    fn of_previous(&self, name: &str) -> Value {
        match self.lookups.previous() {
            Ok(previous) => moment_or_none(previous.and_then(|previous| part(&previous, name))),
            Err(error) => Value::from(error),
        }
    }
}

/// The names that the context has.
pub(super) fn names(scope: &Value) -> Vec<String> {
    let scope = scope.downcast_object_ref::<Scope>();
    let own = scope.into_iter().flat_map(|scope| scope.names.iter().map(|(name, _)| name.clone()));
    let before = scope.filter(|scope| scope.assignment.round().is_some()).map(|_| PREVIOUS.to_owned());
    own.chain(OF_PREVIOUS.map(str::to_owned)).chain(before).collect()
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        if OF_PREVIOUS.contains(&key) {
            return Some(self.of_previous(key));
        }
        let named = self.names.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        let round = self.assignment.round().filter(|_| key == PREVIOUS);
        named.or_else(|| round.map(|round| self.before(round)))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.names.iter().map(|(name, _)| Value::from(name.as_str())).collect())
    }
}

fn part(previous: &Previous, name: &str) -> Option<DateTime<Utc>> {
    match name {
        "prev_data_interval_start_success" => previous.data_interval.map(|interval| interval.start),
        "prev_data_interval_end_success" => previous.data_interval.map(|interval| interval.end),
        "prev_start_date_success" => previous.started_at,
        _ => previous.ended_at,
    }
}

fn dates(assignment: &Assignment) -> Vec<(String, Value)> {
    let mut dates = Vec::new();
    if let Some(at) = assignment.run.logical_date {
        let shown = Moment(at.with_timezone(&Tz::UTC));
        dates.push(("logical_date".to_owned(), moment(at)));
        for form in ["ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz"] {
            dates.push((form.to_owned(), Value::from(shown.short(form).unwrap_or_default())));
        }
    }
    if let Some(interval) = assignment.run.data_interval {
        dates.push(("data_interval_start".to_owned(), moment(interval.start)));
        dates.push(("data_interval_end".to_owned(), moment(interval.end)));
    }
    dates
}

fn dag(dag: &Dag) -> Value {
    let task_ids: Vec<&str> = dag.tasks.iter().map(|task| task.task_id.as_str()).collect();
    let fields = vec![
        ("dag_id", Value::from(dag.dag_id.as_str())),
        ("description", text_or_none(dag.description.as_deref())),
        ("doc_md", text_or_none(dag.doc.as_deref())),
        ("owner", Value::from(dag.owner.as_str())),
        ("tags", dag.tags.iter().map(String::as_str).map(Value::from).collect()),
        ("timezone", Value::from(dag.timezone.name())),
        ("start_date", moment_or_none(dag.start_date)),
        ("end_date", moment_or_none(dag.end_date)),
        ("max_active_runs", Value::from(dag.max_active_runs)),
        ("max_active_tasks", Value::from(dag.max_active_tasks)),
        ("task_ids", json::value(task_ids)),
    ];
    Record::value(format!("<DAG: {}>", dag.dag_id), fields)
}

fn dag_run(assignment: &Assignment) -> Value {
    let run = &assignment.run;
    let fields = vec![
        ("conf", json::value(&run.conf)),
        ("run_id", Value::from(run.run_id.as_str())),
        ("dag_id", Value::from(assignment.dag.dag_id.as_str())),
        ("run_type", Value::from(run.run_type.as_str())),
        ("logical_date", moment_or_none(run.logical_date)),
        ("data_interval_start", moment_or_none(run.data_interval.map(|interval| interval.start))),
        ("data_interval_end", moment_or_none(run.data_interval.map(|interval| interval.end))),
        ("partition_key", text_or_none(run.partition_key().map(Key::as_str))),
        ("partition_date", moment_or_none(run.partition_date())),
        ("run_after", moment(run.run_after)),
        ("start_date", moment_or_none(run.started_at)),
        ("end_date", Value::from(())),
        ("state", Value::from("running")),
        ("triggering_user_name", text_or_none(run.triggered_by.as_deref())),
        ("external_trigger", Value::from(run.triggered_by.is_some())),
    ];
    Record::value(format!("<DagRun {} @ {}>", assignment.dag.dag_id, run.run_id), fields)
}

fn task(task: &Task, dag: &Dag) -> Value {
    let upstream: Vec<&str> = task.upstream.iter().map(domain::id::TaskId::as_str).collect();
    let fields = vec![
        ("task_id", Value::from(task.task_id.as_str())),
        ("dag_id", Value::from(dag.dag_id.as_str())),
        ("owner", Value::from(task.owner.as_deref().unwrap_or(&dag.owner))),
        ("task_type", Value::from(task.operator.class_name())),
        ("operator_name", Value::from(task.operator.class_name())),
        ("retries", Value::from(task.retry.retries)),
        ("queue", Value::from(task.queue.as_str())),
        ("pool", Value::from(task.pool.as_str())),
        ("pool_slots", Value::from(task.pool_slots)),
        ("priority_weight", Value::from(task.priority_weight)),
        ("upstream_task_ids", json::value(upstream)),
        ("doc_md", text_or_none(task.doc.as_deref())),
    ];
    Record::value(format!("<Task({}): {}>", task.operator.class_name(), task.task_id), fields)
}

fn instance(assignment: &Assignment) -> Value {
    let task = assignment.task();
    let (dag_id, run_id) = (&assignment.dag.dag_id, &assignment.run.run_id);
    let fields = vec![
        ("task_id", Value::from(task.task_id.as_str())),
        ("dag_id", Value::from(dag_id.as_str())),
        ("run_id", Value::from(run_id.as_str())),
        ("map_index", Value::from(assignment.map_index)),
        ("try_number", Value::from(assignment.attempt.try_number)),
        ("max_tries", Value::from(assignment.max_tries)),
        ("round", assignment.round().map_or(Value::from(()), Value::from)),
        ("start_date", moment(assignment.started_at)),
        ("state", Value::from("running")),
        ("operator", Value::from(task.operator.class_name())),
        ("queue", Value::from(task.queue.as_str())),
        ("pool", Value::from(task.pool.as_str())),
        ("priority_weight", Value::from(task.priority_weight)),
        ("logical_date", moment_or_none(assignment.run.logical_date)),
    ];
    Record::value(format!("<TaskInstance: {dag_id}.{} {run_id} [running]>", task.task_id), fields)
}

fn text_or_none(text: Option<&str>) -> Value {
    text.map_or(Value::from(()), Value::from)
}
