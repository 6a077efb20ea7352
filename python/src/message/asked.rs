//! What a task says, whatever it is about.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{AssetRequest, PeopleRequest, Request, RunRequest, StateRequest, TaskRequest};

/// What a task asks or tells, by its subject.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// XComs, and how it goes on with itself.
    Task(TaskRequest),
    /// Variables, connections, secrets.
    Records(Request),
    /// Other runs.
    Runs(RunRequest),
    /// Assets.
    Assets(AssetRequest),
    /// What it keeps.
    States(StateRequest),
    /// Another socket to log to, which goes with the answer.
    Log,
    /// Questions to people.
    People(PeopleRequest),
}

/// Something that is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// Nobody has heard of it.
    #[error("`{0}` is not known")]
    Unknown(String),
    /// A request that lacks something, or has something in a strange form.
    #[error("`{kind}` is malformed: {reason}")]
    Malformed {
        /// Which request.
        kind: String,
        /// What is wrong.
        reason: String,
    },
}

/// One subject's way to read a request; `None` when it is about something else.
type Reading = fn(&Value) -> Option<Result<Asked, String>>;

/// Reads a request.
///
/// # Errors
/// When nobody has heard of it, or it is malformed.
pub fn asked(body: &Value) -> Result<Asked, Unclear> {
    let kind = body.get("type").and_then(Value::as_str).unwrap_or("something without a type");
    if kind == "ResendLoggingFD" {
        return Ok(Asked::Log);
    }
    let readings: [Reading; 6] = [
        |body| read(body).map(|read| read.map(Asked::Task)),
        |body| read(body).map(|read| read.map(Asked::Records)),
        |body| read(body).map(|read| read.map(Asked::Runs)),
        |body| read(body).map(|read| read.map(Asked::Assets)),
        |body| read(body).map(|read| read.map(Asked::States)),
        |body| read(body).map(|read| read.map(Asked::People)),
    ];
    for reading in readings {
        match reading(body) {
            Some(Ok(asked)) => return Ok(asked),
            Some(Err(reason)) => return Err(Unclear::Malformed { kind: kind.to_owned(), reason }),
            None => {}
        }
    }
    Err(Unclear::Unknown(kind.to_owned()))
}

/// One reading; `None` when the request is about something else.
fn read<T: DeserializeOwned>(body: &Value) -> Option<Result<T, String>> {
    match T::deserialize(body) {
        Ok(asked) => Some(Ok(asked)),
        Err(error) => {
            let reason = error.to_string();
            let is_other =
                reason.starts_with("unknown variant") || reason.starts_with("missing field `type`");
            (!is_other).then_some(Err(reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_are_known_by_their_subjects() {
        let of = |body: Value| asked(&body);
        let count = json!({"type": "GetDRCount", "dag_id": "d", "logical_dates": ["2026-01-01T00:00:00Z"], "states": null});
        assert!(matches!(of(count), Ok(Asked::Runs(RunRequest::GetDRCount { .. }))));
        let states = json!({"type": "GetTaskStates", "dag_id": "d", "map_index": null, "task_group_id": "g"});
        assert!(matches!(of(states), Ok(Asked::Runs(RunRequest::GetTaskStates { .. }))));
        assert_eq!(of(json!({"type": "ResendLoggingFD"})), Ok(Asked::Log));
        let unknown = of(json!({"type": "Nonsense"})).unwrap_err();
        assert_eq!(unknown.to_string(), "`Nonsense` is not known");
        assert!(matches!(of(json!({})), Err(Unclear::Unknown(_))));
        let malformed = of(json!({"type": "GetDag"})).unwrap_err().to_string();
        assert_eq!(malformed, "`GetDag` is malformed: missing field `dag_id`");
    }
}
