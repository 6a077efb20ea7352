//! Airflow's serialized DAGs: what its parser makes of a Python DAG file, read into our [`Dag`].
//!
//! The format is version 3 of Airflow's `serialization/schema.json`. A value stands for itself, or is wrapped as `{"__type", "__var"}`;
//! what is left out has the schema's default. Upstream tasks are not written: they are whoever names a task downstream. What cannot be
//! carried out as Airflow would is refused in clear words, never left out silently.
//!
//! Source: Airflow 3.3.2 `serialization/serialized_objects.py`, `serialization/encoders.py`, `serialization/schema.json`.

mod assets;
mod deadlines;
mod expansion;
mod fields;
mod groups;
mod params;
mod partitions;
pub mod places;
mod plugins;
mod tasks;
mod timetables;
mod wrapped;

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;
use serde_json::Value;

use self::{fields::Fields, plugins::Said};
use crate::{
    alert::{Alerts, Notification},
    dag::{Dag, MAX_TASKS, Task, USUAL_MAPPED},
    id::{DagId, TaskId},
    partition::Mapper,
    timetable::{Catchup, Overlap},
};

/// The version of the format that is understood.
const VERSION: i64 = 3;

/// A DAG that cannot be carried out here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}", self.place())]
pub struct Refused {
    /// Its id, as far as it has one.
    pub dag_id: Option<String>,
    /// The task that it is about, when it is about one.
    pub task_id: Option<String>,
    /// What is wrong, and what to do.
    pub what: String,
}

impl Refused {
    fn new(what: impl Into<String>) -> Self {
        Self { dag_id: None, task_id: None, what: what.into() }
    }

    fn place(&self) -> String {
        match (&self.dag_id, &self.task_id) {
            (Some(dag), Some(task)) => format!("DAG `{dag}`, task `{task}`: "),
            (Some(dag), None) => format!("DAG `{dag}`: "),
            (None, Some(task)) => format!("task `{task}`: "),
            (None, None) => String::new(),
        }
    }
}

/// Reads a serialized DAG (`{"__version": 3, "dag": {…}}`). `file` is its DAG file's path relative to the DAGs folder.
///
/// # Errors
/// When it is of another version, or says something that cannot be carried out here.
pub fn read(serialized: &Value, file: &str) -> Result<Dag, Refused> {
    let version = serialized.get("__version").and_then(Value::as_i64);
    if version != Some(VERSION) {
        let version = version.map_or_else(|| "none".to_owned(), |version| version.to_string());
        return Err(Refused::new(format!(
            "version {version} of serialized DAGs is not known, only {VERSION} is"
        )));
    }
    let dag = serialized.get("dag").and_then(Value::as_object);
    let dag = Fields::new(dag.ok_or_else(|| Refused::new("it holds no DAG"))?);
    let id = dag.text("dag_id").map(str::to_owned);
    read_dag(&dag, Said::beside(serialized), file).map_err(|refused| Refused { dag_id: id, ..refused })
}

/// Reads a partition mapper by itself.
///
/// # Errors
/// When it is none of Airflow's own.
pub fn partition_mapper(serialized: &Value) -> Result<Mapper, Refused> {
    partitions::mapper(serialized, 0)
}

fn read_dag(fields: &Fields<'_>, said: Said<'_>, file: &str) -> Result<Dag, Refused> {
    let id = fields.text("dag_id").ok_or_else(|| Refused::new("it has no dag_id"))?;
    let timezone = zone(fields.get("timezone"))?;
    let (groups, members) = groups::read(fields)?;
    let timetables::Read { schedule, asset_condition, partitions } =
        timetables::read(fields.get("timetable"), said)?;
    let tasks = read_tasks(fields, &members, said)?;
    let catchup = if fields.flag("catchup") { Catchup::All } else { Catchup::None };
    Ok(Dag {
        dag_id: DagId::new(id).map_err(|error| Refused::new(error.to_string()))?,
        description: fields.text("description").map(str::to_owned),
        doc: fields.text("doc_md").map(str::to_owned),
        schedule,
        asset_condition,
        partitions,
        timezone,
        start_date: fields.moment("start_date")?,
        end_date: fields.moment("end_date")?,
        catchup,
        overlap: Overlap::default(),
        max_active_runs: fields.count("max_active_runs")?.unwrap_or(16),
        max_active_tasks: fields.count("max_active_tasks")?.unwrap_or(16),
        max_map_length: USUAL_MAPPED,
        dagrun_timeout: fields.span("dagrun_timeout")?,
        fail_fast: fields.flag("fail_fast"),
        max_consecutive_failed_dag_runs: fields.count("max_consecutive_failed_dag_runs")?.unwrap_or(0),
        share: 1,
        team: None,
        tags: fields.texts("tags"),
        owner: owners(&tasks),
        params: params::read(fields.get("params"))?,
        is_paused_upon_creation: fields.flag("is_paused_upon_creation"),
        alerts: Alerts {
            on_success: callback(fields, "has_on_success_callback"),
            on_failure: callback(fields, "has_on_failure_callback"),
            ..Alerts::default()
        },
        deadlines: deadlines::read(fields.get("deadline"))?,
        tasks,
        groups,
        python_file: Some(file.to_owned()),
    })
}

/// What an event asks for of which the file has callbacks.
fn callback(fields: &Fields<'_>, flag: &str) -> Vec<Notification> {
    if fields.flag(flag) { vec![Notification::Callback] } else { Vec::new() }
}

fn read_tasks(fields: &Fields<'_>, members: &groups::Members, said: Said<'_>) -> Result<Vec<Task>, Refused> {
    let written = fields.list("tasks");
    if written.len() > MAX_TASKS {
        return Err(Refused::new(format!("it has {} tasks; at most {MAX_TASKS} are allowed", written.len())));
    }
    let mut tasks = Vec::with_capacity(written.len());
    let mut upstream: BTreeMap<TaskId, Vec<TaskId>> = BTreeMap::new();
    for task in written {
        let task = wrapped::inner(task);
        let own = Fields::new(task.as_object().ok_or_else(|| Refused::new("a task is no object"))?);
        let id = own.text("task_id").unwrap_or_default();
        let refused = |refused: Refused| Refused { task_id: Some(id.to_owned()), ..refused };
        let read = tasks::read(&own, members, said).map_err(refused)?;
        for next in own.list("downstream_task_ids").iter().filter_map(Value::as_str) {
            let next = TaskId::new(next).map_err(|error| refused(Refused::new(error.to_string())))?;
            upstream.entry(next).or_default().push(read.task_id.clone());
        }
        tasks.push(read);
    }
    let mut ids = BTreeSet::new();
    if let Some(twice) = tasks.iter().find(|task| !ids.insert(&task.task_id)) {
        return Err(Refused::new(format!("two tasks have the same task_id `{}`", twice.task_id)));
    }
    for task in &mut tasks {
        task.upstream = upstream.remove(&task.task_id).unwrap_or_default();
        task.upstream.sort_unstable();
        task.upstream.dedup();
    }
    if let Some((next, from)) = upstream.pop_first() {
        let from = from.first().map(ToString::to_string);
        let refused = Refused::new(format!("`{next}`, which comes after it, is no task of this DAG"));
        return Err(Refused { task_id: from, ..refused });
    }
    check_order(&tasks)?;
    Ok(tasks)
}

/// Airflow refuses cycles itself; an engine that met one would wait for ever, so it is looked at once more.
fn check_order(tasks: &[Task]) -> Result<(), Refused> {
    let mut open: BTreeMap<&TaskId, usize> =
        tasks.iter().map(|task| (&task.task_id, task.upstream.len())).collect();
    let mut downstream: BTreeMap<&TaskId, Vec<&TaskId>> = BTreeMap::new();
    for task in tasks {
        for before in &task.upstream {
            downstream.entry(before).or_default().push(&task.task_id);
        }
    }
    let mut ready: Vec<&TaskId> = open.iter().filter(|(_, count)| **count == 0).map(|(id, _)| *id).collect();
    while let Some(id) = ready.pop() {
        open.remove(id);
        for next in downstream.remove(id).unwrap_or_default() {
            if let Some(count) = open.get_mut(next) {
                *count -= 1;
                if *count == 0 {
                    ready.push(next);
                }
            }
        }
    }
    match open.pop_first() {
        Some((id, _)) => Err(Refused::new(format!("`{id}` waits for itself, over other tasks"))),
        None => Ok(()),
    }
}

/// Airflow shows the owners of all tasks as those of the DAG.
fn owners(tasks: &[Task]) -> String {
    let mut owners: Vec<&str> = tasks.iter().filter_map(|task| task.owner.as_deref()).collect();
    owners.sort_unstable();
    owners.dedup();
    if owners.is_empty() { tasks::OWNER.to_owned() } else { owners.join(", ") }
}

/// A zone by its name, or by its distance from UTC in seconds.
fn zone(value: Option<&Value>) -> Result<Tz, Refused> {
    let value = value.map(wrapped::inner);
    let name = match value {
        None | Some(Value::Null) => return Ok(Tz::UTC),
        Some(Value::String(name)) => name.clone(),
        // The names of fixed zones count westwards.
        Some(seconds) => match seconds.as_i64() {
            Some(seconds) if seconds % 3600 == 0 => format!("Etc/GMT{:+}", -(seconds / 3600)),
            Some(_) | None => seconds.to_string(),
        },
    };
    name.parse().map_err(|_| Refused::new(format!("`{name}` is no time zone of the IANA database")))
}
