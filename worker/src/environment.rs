//! The environment variables of a task's process.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::assignment::Assignment;
use crate::warden::MARK;

/// Variables of the worker whose names begin so are no business of tasks: they hold the platform's own secrets and
/// settings. A task gets its own `TRADEWIND_*`.
const KEPT_BACK: [&str; 4] = ["TRADEWIND_", "AIRFLOW_CONN_", "AIRFLOW_VAR_", "AIRFLOW__"];

/// What every task of a worker is given.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    variables: Vec<(OsString, OsString)>,
    mark: String,
}

/// Where the task finds and leaves things.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places<'a> {
    /// The file in which it may leave XComs.
    pub(crate) output: &'a Path,
    /// The file in which it may say what it made.
    pub(crate) asset_events: &'a Path,
    /// The folder in which it may leave files to be kept.
    pub(crate) artifacts: &'a Path,
}

impl Base {
    /// The variables of this process that tasks may see, and the worker's mark.
    pub(crate) fn new(environment: &[(OsString, OsString)], mark: String) -> Base {
        Base { variables: inherited(environment), mark }
    }

    /// Everything for one try: the worker's own, then those of the context, then the task's own `env`.
    pub(crate) fn of(
        &self,
        assignment: &Assignment,
        params: &Map<String, Value>,
        places: Places<'_>,
        own: &IndexMap<String, String>,
    ) -> Vec<(OsString, OsString)> {
        let mut all = self.variables.clone();
        let mut put = |name: String, value: &OsStr| all.push((OsString::from(name), value.to_owned()));
        put(MARK.to_owned(), self.mark.as_ref());
        put("TRADEWIND_OUTPUT".to_owned(), places.output.as_os_str());
        put("TRADEWIND_ASSET_EVENTS".to_owned(), places.asset_events.as_os_str());
        put("TRADEWIND_ARTIFACTS".to_owned(), places.artifacts.as_os_str());
        if let Some(folder) = &assignment.folder {
            put("TRADEWIND_DAG_DIR".to_owned(), folder.as_os_str());
        }
        for (name, value) in of_context(assignment) {
            put(name.to_owned(), value.as_ref());
        }
        for (name, value) in params {
            put(format!("TRADEWIND_PARAM_{}", param_name(name)), as_text(value).as_ref());
        }
        for (name, value) in own {
            put(name.clone(), value.as_ref());
        }
        // A NUL ends every text that goes to the kernel.
        all.retain(|(name, value)| !has_nul(name) && !has_nul(value));
        all
    }
}

/// The variables of this process that its children may see.
pub(crate) fn inherited(environment: &[(OsString, OsString)]) -> Vec<(OsString, OsString)> {
    let is_kept_back = |name: &OsStr| {
        let name = name.to_string_lossy();
        KEPT_BACK.iter().any(|prefix| name.starts_with(prefix))
    };
    environment.iter().filter(|(name, _)| !is_kept_back(name)).cloned().collect()
}

fn of_context(assignment: &Assignment) -> Vec<(&'static str, String)> {
    let (run, task) = (&assignment.run, assignment.task());
    let (dag_id, task_id, run_id) =
        (assignment.dag.dag_id.to_string(), task.task_id.to_string(), run.run_id.to_string());
    let (map_index, try_number) =
        (assignment.map_index.to_string(), assignment.attempt.try_number.to_string());
    let date = |at: Option<DateTime<Utc>>| {
        at.map(|at| at.to_rfc3339_opts(SecondsFormat::AutoSi, false)).unwrap_or_default()
    };
    let (start, end) = (date(run.data_interval.map(|i| i.start)), date(run.data_interval.map(|i| i.end)));
    let logical_date = date(run.logical_date);
    let round = assignment.round().map(|round| ("TRADEWIND_ROUND", round.to_string()));
    let fixed = vec![
        ("TRADEWIND_DAG_ID", dag_id.clone()),
        ("TRADEWIND_TASK_ID", task_id.clone()),
        ("TRADEWIND_RUN_ID", run_id.clone()),
        ("TRADEWIND_MAP_INDEX", map_index.clone()),
        ("TRADEWIND_TRY_NUMBER", try_number.clone()),
        ("TRADEWIND_LOGICAL_DATE", logical_date.clone()),
        ("TRADEWIND_DATA_INTERVAL_START", start),
        ("TRADEWIND_DATA_INTERVAL_END", end),
        ("TRADEWIND_TRIGGERING_ASSET_EVENTS", Value::Object(run.events_by_asset()).to_string()),
        ("AIRFLOW_CTX_DAG_ID", dag_id),
        ("AIRFLOW_CTX_TASK_ID", task_id),
        ("AIRFLOW_CTX_DAG_RUN_ID", run_id),
        ("AIRFLOW_CTX_MAP_INDEX", map_index),
        ("AIRFLOW_CTX_TRY_NUMBER", try_number),
        ("AIRFLOW_CTX_LOGICAL_DATE", logical_date),
        ("AIRFLOW_CTX_DAG_OWNER", task.owner.as_ref().unwrap_or(&assignment.dag.owner).clone()),
    ];
    fixed.into_iter().chain(round).collect()
}

/// A param's name as part of a variable's: in capitals, with `_` for what shells do not allow.
fn param_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// A text as it is, anything else as JSON.
fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

fn has_nul(text: &OsStr) -> bool {
    text.as_encoded_bytes().contains(&0)
}
