//! What children ask and tell, and the forms of the answers. Source: Airflow 3.3.2 `sdk/execution_time/comms.py`.

use serde::Deserialize;
use serde_json::{Value, json};

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
