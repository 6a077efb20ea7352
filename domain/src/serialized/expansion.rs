//! What tasks and groups are mapped over: `{"type": "dict-of-lists" | "list-of-dicts", "value": …}`.
//!
//! The engine needs to know how many instances there are; what each of them is given is worked out by Airflow's task runner.

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::{Refused, wrapped};
use crate::{dag::Expand, id::TaskId, outcome::RETURN_VALUE};

/// As [`crate::dag::Task`] and [`crate::dag::Group`] hold it.
#[derive(Debug, Default)]
pub(super) struct Mapped {
    pub(super) expand: IndexMap<String, Expand>,
    pub(super) expand_kwargs: Option<Expand>,
}

pub(super) fn read(input: &Value) -> Result<Mapped, Refused> {
    let (kind, value) =
        (input.get("type").and_then(Value::as_str), input.get("value").unwrap_or(&Value::Null));
    match kind {
        Some("dict-of-lists") => {
            let names = wrapped::inner(value).as_object().ok_or_else(|| unknown(value))?;
            let expand = names.iter().map(|(name, value)| Ok((name.clone(), source(value)?)));
            Ok(Mapped { expand: expand.collect::<Result<_, Refused>>()?, expand_kwargs: None })
        }
        Some("list-of-dicts") => Ok(Mapped { expand: IndexMap::new(), expand_kwargs: Some(source(value)?) }),
        Some(_) | None => Err(unknown(input)),
    }
}

/// A list, an object, or what other tasks leave.
fn source(value: &Value) -> Result<Expand, Refused> {
    if wrapped::kind(value) == Some("xcomref") {
        return reference(wrapped::inner(value));
    }
    match wrapped::plain(value) {
        Value::Array(items) => Ok(Expand::List(items)),
        Value::Object(map) => {
            Ok(Expand::List(map.into_iter().map(|(key, value)| json!([key, value])).collect()))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Err(unknown(value)),
    }
}

/// What a task leaves, or what is made of that. Source: Airflow 3.3.2 `serialization/definitions/xcom_arg.py`.
fn reference(value: &Value) -> Result<Expand, Refused> {
    let value = wrapped::inner(value);
    let all = || -> Result<Vec<Expand>, Refused> {
        let args = value.get("args").map(wrapped::inner).and_then(Value::as_array);
        args.ok_or_else(|| unknown(value))?.iter().map(reference).collect()
    };
    match value.get("type").and_then(Value::as_str) {
        None => {
            let id = value.get("task_id").and_then(Value::as_str).ok_or_else(|| unknown(value))?;
            let task_id = TaskId::new(id).map_err(|error| Refused::new(error.to_string()))?;
            let key = value.get("key").and_then(Value::as_str).unwrap_or(RETURN_VALUE).to_owned();
            Ok(Expand::XCom { task_id, key })
        }
        // Whatever is done to each element, there are as many.
        Some("map") => reference(value.get("arg").ok_or_else(|| unknown(value))?),
        Some("zip") => {
            let given = value.get("fillvalue").filter(|value| wrapped::kind(value) != Some("arg_not_set"));
            Ok(Expand::Zip { of: all()?, fillvalue: given.map(wrapped::plain) })
        }
        Some("concat") => Ok(Expand::Concat(all()?)),
        Some(_) => Err(unknown(value)),
    }
}

fn unknown(value: &Value) -> Refused {
    let shown: String = value.to_string().chars().take(200).collect();
    Refused::new(format!("it is mapped over something unknown: {shown}"))
}
