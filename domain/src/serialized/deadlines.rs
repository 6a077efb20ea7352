//! Deadlines of Airflow DAG files: what is counted from, the interval, and what is called.
//!
//! Source: Airflow 3.3.2 `serialization/encoders.py` (`encode_deadline_alert`), `sdk/definitions/deadline.py`, `sdk/definitions/callback.py`.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::{Refused, fields, wrapped};
use crate::{
    deadline::{Callback, Deadline, Interval, MAX_AVERAGED, MAX_DEADLINES, Reference, USUAL_AVERAGED},
    span::Span,
};

const SYNC: &str = "airflow.sdk.definitions.callback.SyncCallback";
const ASYNC: &str = "airflow.sdk.definitions.callback.AsyncCallback";
const FIXED: &str = "datetime.timedelta";
const VARIABLE: [&str; 2] = [
    "airflow.sdk.definitions.deadline.VariableInterval",
    "airflow.serialization.definitions.deadline.SerializedVariableInterval",
];
/// Longest name, in characters: the width of Airflow's column.
const MAX_NAME: usize = 250;
/// Longest path of a callback, and key of a variable, in bytes.
const MAX_PATH: usize = 1_000;
/// Most that a callback may be given, in bytes of JSON.
const MAX_KWARGS: usize = 64 << 10;

/// Reads the deadline of a DAG, or the list of them.
pub(super) fn read(written: Option<&Value>) -> Result<Vec<Deadline>, Refused> {
    let Some(written) = written else { return Ok(Vec::new()) };
    let alone = std::slice::from_ref(written);
    let alerts = written.as_array().map_or(alone, Vec::as_slice);
    if alerts.len() > MAX_DEADLINES {
        let number = alerts.len();
        return Err(Refused::new(format!("it has {number} deadlines; at most {MAX_DEADLINES} are allowed")));
    }
    alerts.iter().map(one).collect()
}

fn one(written: &Value) -> Result<Deadline, Refused> {
    let written = wrapped::inner(written);
    let name = written.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
    let name: Option<String> = name.map(|name| name.chars().take(MAX_NAME).collect());
    let owner =
        name.as_ref().map_or_else(|| "its deadline".to_owned(), |name| format!("its deadline `{name}`"));
    let wrong = |what: String| Refused::new(format!("{owner} {what}"));
    Ok(Deadline {
        from: reference(written.get("reference").unwrap_or(&Value::Null)).map_err(wrong)?,
        within: interval(written.get("interval").unwrap_or(&Value::Null)).map_err(wrong)?,
        callback: Some(Box::new(callback(written.get("callback").unwrap_or(&Value::Null)).map_err(wrong)?)),
        name,
    })
}

fn reference(written: &Value) -> Result<Reference, String> {
    match written.get("reference_type").and_then(Value::as_str).unwrap_or_default() {
        // A class of somebody's may have the name of one of Airflow's.
        name if written.get("__class_path").is_some() => Err(format!(
            "counts from `{name}`, a class of its own, which is evaluated with a session of Airflow's database; known are \
             DAGRUN_QUEUED_AT, DAGRUN_LOGICAL_DATE, FIXED_DATETIME and AVERAGE_RUNTIME"
        )),
        "DagRunQueuedAtDeadline" => Ok(Reference::Queued),
        "DagRunLogicalDateDeadline" => Ok(Reference::LogicalDate),
        "FixedDatetimeDeadline" => {
            let seconds = written.get("datetime").and_then(Value::as_f64);
            let moment = seconds.and_then(moment);
            moment.map(Reference::At).ok_or_else(|| "counts from what is no moment".to_owned())
        }
        "AverageRuntimeDeadline" => average(written),
        name => Err(format!("counts from `{name}`, which is not known")),
    }
}

fn average(written: &Value) -> Result<Reference, String> {
    let count = |name: &str, usual: u32| match written.get(name).filter(|value| !value.is_null()) {
        None => Ok(usual),
        Some(value) => value
            .as_u64()
            .and_then(|count| u32::try_from(count).ok())
            .filter(|count| (1..=MAX_AVERAGED).contains(count))
            .ok_or_else(|| format!("has a {name} of {value}; it must be a number from 1 to {MAX_AVERAGED}")),
    };
    let max_runs = count("max_runs", USUAL_AVERAGED)?;
    Ok(Reference::AverageRuntime { max_runs, min_runs: count("min_runs", max_runs)? })
}

/// A `timedelta`, or the name of a variable; older versions write the seconds alone.
fn interval(written: &Value) -> Result<Interval, String> {
    let class = written.get("__classname__").and_then(Value::as_str);
    let data = written.get("__data__").unwrap_or(&Value::Null);
    match class {
        None => fixed(written),
        Some(FIXED) => fixed(data),
        Some(class) if VARIABLE.contains(&class) => {
            let key = data.get("key").and_then(Value::as_str).filter(|key| !key.is_empty());
            let key = key.filter(|key| key.len() <= MAX_PATH && !key.contains('\0'));
            let variable = key.ok_or_else(|| "names no variable for its interval".to_owned())?;
            Ok(Interval::Variable { variable: variable.to_owned() })
        }
        Some(class) => Err(format!("has an interval of class {class}, which is not known")),
    }
}

fn fixed(seconds: &Value) -> Result<Interval, String> {
    let length = seconds.as_f64().and_then(|seconds| fields::span("interval", &seconds.abs().into()).ok());
    let wrong = || format!("has the interval {seconds}, which is no length of time");
    let length: Span = length.ok_or_else(wrong)?;
    let is_before = seconds.as_f64().is_some_and(|seconds| seconds < 0.0);
    Ok(if is_before { Interval::Before { before: length } } else { Interval::After(length) })
}

fn callback(written: &Value) -> Result<Callback, String> {
    let class = written.get("__classname__").and_then(Value::as_str).unwrap_or_default();
    let data = written.get("__data__").unwrap_or(&Value::Null);
    let is_async = match class {
        ASYNC => true,
        SYNC => false,
        class => {
            return Err(format!("has a callback of class {class}; known are AsyncCallback and SyncCallback"));
        }
    };
    let path = data.get("path").and_then(Value::as_str).unwrap_or_default();
    let is_path = path.contains('.') && path.len() <= MAX_PATH && !path.contains('\0');
    if !is_path {
        return Err("has a callback that is no function of a module".to_owned());
    }
    let kwargs = data.get("kwargs").and_then(Value::as_object).cloned().unwrap_or_default();
    check_size(&kwargs)?;
    Ok(Callback { path: path.to_owned(), kwargs, is_async })
}

fn check_size(kwargs: &Map<String, Value>) -> Result<(), String> {
    let size = serde_json::to_string(kwargs).map_or(usize::MAX, |text| text.len());
    if size > MAX_KWARGS {
        return Err(format!("gives its callback {size} bytes; at most {MAX_KWARGS} are allowed"));
    }
    Ok(())
}

/// A moment in seconds since 1970, to the microsecond.
#[expect(clippy::cast_possible_truncation, reason = "what does not fit has been ruled out")]
fn moment(seconds: f64) -> Option<DateTime<Utc>> {
    let micros = (seconds * 1e6).round();
    let since = (micros.is_finite() && micros.abs() < 1e18).then(|| TimeDelta::microseconds(micros as i64));
    DateTime::UNIX_EPOCH.checked_add_signed(since?)
}
