//! What children ask and tell, and the forms of the answers. Source: Airflow 3.3.2 `sdk/execution_time/comms.py`.

mod asked;
mod assets;
mod people;
mod runs;
mod states;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};

pub use self::{
    asked::{Asked, Unclear, asked},
    assets::{AssetKey, AssetRequest, Events, ToldEvent},
    people::{AwaitInputTask, PeopleRequest, ToldQuestion, ToldUser},
    runs::{RunRequest, Tis, TriggerDagRun},
    states::StateRequest,
};

/// The dated version of the messages that is spoken here (`sdk/execution_time/schema`).
pub const API_VERSION: &str = "2026-06-16";

/// What a child that reads a DAG file or runs a task asks of the records.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type")]
pub enum Request {
    /// The value of a variable.
    GetVariable {
        /// Its name.
        key: String,
    },
    /// The names of variables, in their order.
    GetVariableKeys {
        /// They begin with it.
        #[serde(default)]
        prefix: Option<String>,
        /// At most so many.
        #[serde(default)]
        limit: Option<u64>,
        /// Without the first so many.
        #[serde(default)]
        offset: Option<u64>,
    },
    /// Sets a variable.
    PutVariable {
        /// Its name.
        key: String,
        /// Its value.
        value: Option<String>,
        /// What it is for.
        #[serde(default)]
        description: Option<String>,
    },
    /// Deletes a variable.
    DeleteVariable {
        /// Its name.
        key: String,
    },
    /// A connection.
    GetConnection {
        /// Its name.
        conn_id: String,
    },
    /// From now on a text is a secret.
    MaskSecret {
        /// A text, or a structure that holds texts.
        value: Value,
        /// What it is called, where the name tells whether it is a secret.
        #[serde(default)]
        name: Option<String>,
    },
    /// What came of a DAG file.
    DagFileParsingResult {
        /// The DAGs, each as `{"data": the serialized DAG}`.
        serialized_dags: Vec<Value>,
        /// What could not be read, by file.
        #[serde(default)]
        import_errors: Option<serde_json::Map<String, Value>>,
        /// What is strange about it.
        #[serde(default)]
        warnings: Option<Vec<Value>>,
    },
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// What was asked for, or that it does not exist.
    Body(Value),
    /// The question cannot be answered: the child raises an error.
    Refusal(Value),
}

impl Reply {
    /// It is noted; there is nothing to say.
    #[must_use]
    pub const fn noted() -> Self {
        Self::Body(Value::Null)
    }

    /// It is done.
    #[must_use]
    pub fn done() -> Self {
        Self::Body(json!({"type": "OKResponse", "ok": true}))
    }

    /// A variable.
    #[must_use]
    pub fn variable(key: &str, value: Option<&str>) -> Self {
        Self::Body(match value {
            Some(value) => json!({"type": "VariableResult", "key": key, "value": value}),
            None => missing("VARIABLE_NOT_FOUND", &json!({"key": key})),
        })
    }

    /// The names of variables, and how many there are in all.
    #[must_use]
    pub fn variable_keys(keys: &[String], total: usize) -> Self {
        Self::Body(json!({"type": "VariableKeysResult", "keys": keys, "total_entries": total}))
    }

    /// A connection, from Airflow's JSON form of it (`{"conn_type": …, "host": …}`); `None` where there is none of that name.
    #[must_use]
    pub fn connection(conn_id: &str, form: Option<&Value>) -> Self {
        let Some(form) = form else {
            return Self::Body(missing("CONNECTION_NOT_FOUND", &json!({"conn_id": conn_id})));
        };
        let mut body = json!({"type": "ConnectionResult", "conn_id": conn_id});
        for name in ["conn_type", "host", "schema", "login", "password", "port"] {
            body[name] = form.get(name).cloned().unwrap_or(Value::Null);
        }
        // What is in a column of texts there is a text here, too.
        body["extra"] = match form.get("extra") {
            None | Some(Value::Null) => Value::Null,
            Some(Value::String(text)) => Value::String(text.clone()),
            Some(other) => Value::String(other.to_string()),
        };
        Self::Body(body)
    }

    /// The question cannot be answered.
    #[must_use]
    pub fn refusal(status: u16, message: &str) -> Self {
        let detail = json!({"status_code": status, "message": message});
        Self::Refusal(json!({"type": "ErrorResponse", "error": "API_SERVER_ERROR", "detail": detail}))
    }
}

/// That something does not exist is an answer, not an error of the conversation.
fn missing(code: &str, detail: &Value) -> Value {
    json!({"type": "ErrorResponse", "error": code, "detail": detail})
}

/// What only a child that runs a task asks or tells.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type")]
pub enum TaskRequest {
    /// What its templates became.
    SetRenderedFields {
        /// By field.
        rendered_fields: Map<String, Value>,
    },
    /// What the instance is called beside its mapped index.
    SetRenderedMapIndex {
        /// The name.
        rendered_map_index: Option<String>,
    },
    /// Leaves an XCom.
    SetXCom {
        /// Whose.
        #[serde(flatten)]
        of: XComOf,
        /// Of which instance; that of an unmapped task without it.
        #[serde(default)]
        map_index: Option<i32>,
        /// Its value, serialized by Airflow.
        value: Value,
    },
    /// One XCom.
    GetXCom {
        /// Whose.
        #[serde(flatten)]
        of: XComOf,
        /// Of which instance; that of an unmapped task without it.
        #[serde(default)]
        map_index: Option<i32>,
        /// If the run has none, that of an earlier one.
        #[serde(default)]
        include_prior_dates: bool,
    },
    /// How many instances left an XCom.
    GetXComCount {
        /// Whose.
        #[serde(flatten)]
        of: XComOf,
    },
    /// That of the instance at a place in their order, from the end when it is negative.
    GetXComSequenceItem {
        /// Whose.
        #[serde(flatten)]
        of: XComOf,
        /// The place.
        offset: i64,
    },
    /// Those of some instances, as a slice of Python's.
    GetXComSequenceSlice {
        /// Whose.
        #[serde(flatten)]
        of: XComOf,
        /// From here.
        #[serde(default)]
        start: Option<i64>,
        /// Up to here.
        #[serde(default)]
        stop: Option<i64>,
        /// In steps of so many.
        #[serde(default)]
        step: Option<i64>,
        /// Those of earlier runs, too.
        #[serde(default)]
        include_prior_dates: bool,
    },
    /// Takes back an XCom.
    DeleteXCom {
        /// Whose.
        #[serde(flatten)]
        of: XComOf,
        /// Of which instance; that of an unmapped task without it.
        #[serde(default)]
        map_index: Option<i32>,
    },
    /// The tasks behind it that it has skipped. Its XCom says so, too.
    SkipDownstreamTasks,
    /// It has succeeded.
    SucceedTask {
        /// What it says of the assets that it has made.
        #[serde(default)]
        outlet_events: Option<Vec<ToldEvent>>,
        /// What the instance is called beside its mapped index.
        #[serde(default)]
        rendered_map_index: Option<String>,
    },
    /// It has failed for good, or was skipped.
    TaskState {
        /// `failed`, `skipped` or `removed`.
        state: String,
        /// What the instance is called beside its mapped index.
        #[serde(default)]
        rendered_map_index: Option<String>,
    },
    /// It looks again later, under the same number.
    RescheduleTask {
        /// When.
        reschedule_date: DateTime<Utc>,
    },
    /// It leaves its worker until a trigger says something.
    DeferTask(DeferTask),
    /// When the first look of this try began.
    GetTaskRescheduleStartDate,
    /// It has failed and may be tried again.
    RetryTask {
        /// Why.
        #[serde(default)]
        retry_reason: Option<String>,
    },
}

/// What a task leaves behind that defers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct DeferTask {
    /// The class of its trigger.
    pub classpath: String,
    /// What that is made with: an object, or a text that holds one.
    #[serde(default)]
    pub trigger_kwargs: Value,
    /// The longest time that the trigger may take, in ISO 8601 (`PT30S`).
    #[serde(default)]
    pub trigger_timeout: Option<String>,
    /// The method that goes on.
    pub next_method: String,
    /// What that is given beside the event.
    #[serde(default)]
    pub next_kwargs: Option<Map<String, Value>>,
    /// What the instance is called beside its mapped index.
    #[serde(default)]
    pub rendered_map_index: Option<String>,
}

/// Whose XComs are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct XComOf {
    /// The DAG.
    pub dag_id: String,
    /// The run.
    pub run_id: String,
    /// The task.
    pub task_id: String,
    /// The key.
    pub key: String,
}

impl Reply {
    /// An XCom; one that does not exist is null.
    #[must_use]
    pub fn xcom(key: &str, value: Option<Value>) -> Self {
        Self::Body(json!({"type": "XComResult", "key": key, "value": value}))
    }

    /// How many instances left an XCom.
    #[must_use]
    pub fn xcom_count(count: usize) -> Self {
        Self::Body(json!({"type": "XComCountResponse", "len": count}))
    }

    /// The XCom at a place, in the order of mapped indexes; from the end when the place is negative.
    #[must_use]
    pub fn xcom_item(values: &[Value], offset: i64) -> Self {
        let length = i64::try_from(values.len()).unwrap_or(i64::MAX);
        let place = if offset < 0 { offset.checked_add(length) } else { Some(offset) };
        let found = place.and_then(|place| usize::try_from(place).ok()).and_then(|place| values.get(place));
        Self::Body(match found {
            Some(value) => json!({"type": "XComSequenceIndexResult", "root": value}),
            None => missing("XCOM_NOT_FOUND", &json!({"offset": offset})),
        })
    }

    /// Some XComs, in the order of mapped indexes.
    #[must_use]
    pub fn xcom_slice(values: &[Value], start: Option<i64>, stop: Option<i64>, step: Option<i64>) -> Self {
        let root: Vec<&Value> = slice(values.len(), start, stop, step).map(|place| &values[place]).collect();
        Self::Body(json!({"type": "XComSequenceSliceResult", "root": root}))
    }
}

/// The places that a slice of Python's takes of a list. Source: the Python Language Reference, "Sequences", and `slice.indices`.
fn slice(
    length: usize,
    start: Option<i64>,
    stop: Option<i64>,
    step: Option<i64>,
) -> impl Iterator<Item = usize> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let step = step.filter(|step| *step != 0).unwrap_or(1);
    let (least, most) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let bound = |given: Option<i64>, usual: i64| match given {
        Some(at) if at < 0 => (at.saturating_add(length)).max(least),
        Some(at) => at.min(most),
        None => usual,
    };
    let (start, stop) = if step > 0 {
        (bound(start, 0), bound(stop, length))
    } else {
        (bound(start, length - 1), bound(stop, -1))
    };
    let goes_on = move |at: &i64| if step > 0 { *at < stop } else { *at > stop };
    std::iter::successors(Some(start).filter(goes_on), move |at| at.checked_add(step).filter(goes_on))
        .filter_map(|at| usize::try_from(at).ok())
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(None, None, None, &[0, 1, 2, 3, 4])]
    #[test_case(Some(1), Some(3), None, &[1, 2])]
    #[test_case(Some(-2), None, None, &[3, 4])]
    #[test_case(None, None, Some(2), &[0, 2, 4])]
    #[test_case(None, None, Some(-1), &[4, 3, 2, 1, 0])]
    #[test_case(Some(-1), Some(-4), Some(-2), &[4, 2])]
    #[test_case(Some(9), None, None, &[])]
    #[test_case(Some(-9), Some(2), None, &[0, 1])]
    #[test_case(Some(3), Some(1), None, &[]; "backwards without a step")]
    fn slices_are_pythons(start: Option<i64>, stop: Option<i64>, step: Option<i64>, places: &[usize]) {
        assert_eq!(slice(5, start, stop, step).collect::<Vec<_>>(), places);
    }

    #[test]
    fn a_connection_is_answered_in_airflows_form() {
        let form =
            json!({"conn_type": "postgres", "host": "db", "extra": {"sslmode": "require"}, "port": 5432});
        let Reply::Body(body) = Reply::connection("w", Some(&form)) else { panic!() };
        assert_eq!(
            (&body["conn_id"], &body["port"], &body["password"]),
            (&json!("w"), &json!(5432), &Value::Null)
        );
        assert_eq!(body["extra"], json!("{\"sslmode\":\"require\"}"));
        let Reply::Body(body) = Reply::connection("w", None) else { panic!() };
        assert_eq!(
            (&body["type"], &body["error"]),
            (&json!("ErrorResponse"), &json!("CONNECTION_NOT_FOUND"))
        );
    }

    #[test]
    fn items_count_from_both_ends() {
        let values = [json!("a"), json!("b")];
        for (offset, root) in [(0, json!("a")), (1, json!("b")), (-1, json!("b")), (-2, json!("a"))] {
            let Reply::Body(body) = Reply::xcom_item(&values, offset) else { panic!() };
            assert_eq!(body["root"], root);
        }
        let Reply::Body(body) = Reply::xcom_item(&values, 2) else { panic!() };
        assert_eq!(body["error"], json!("XCOM_NOT_FOUND"));
    }
}
