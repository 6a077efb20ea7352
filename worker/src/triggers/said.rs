//! What the process of triggers tells of them, once a second. Source: Airflow 3.3.2 `messages.TriggerStateChanges`.

use domain::deferral::{MAX_BYTES, TaskEnd, Word};
use domain::outcome::MAX_XCOM_BYTES;
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Value, json};

/// What has changed since it last told.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Changes {
    #[serde(default)]
    events: Option<Vec<(i64, Value, Option<i64>)>>,
    #[serde(default)]
    failures: Option<Vec<(i64, Option<Vec<String>>)>>,
}

impl Changes {
    /// Reads a message, if it is one.
    pub(crate) fn of(body: &Value) -> Option<Changes> {
        let is_one = body.get("type").and_then(Value::as_str) == Some("TriggerStateChanges");
        is_one.then(|| Changes::deserialize(body).unwrap_or_default())
    }

    /// What each trigger has said, in this order.
    pub(crate) fn words(self) -> Vec<(i64, Word)> {
        let events = self.events.into_iter().flatten().map(|(id, event, _)| (id, word(event)));
        let failures = self.failures.into_iter().flatten();
        events.chain(failures.map(|(id, traceback)| (id, Word::Failed(traceback.map(short))))).collect()
    }
}

/// What it is to do next.
pub(crate) fn orders(to_create: Vec<Value>, to_cancel: &[i64]) -> Value {
    json!({"type": "TriggerStateSync", "to_create": to_create, "to_cancel": to_cancel})
}

// An event of a task's end has a state where others have a payload.
fn word(event: Value) -> Word {
    let Some(state) = event.get("task_instance_state").and_then(Value::as_str) else {
        let payload = event.get("payload").cloned().unwrap_or(Value::Null);
        return checked(payload);
    };
    let end = match state {
        "success" => TaskEnd::Success,
        "skipped" => TaskEnd::Skipped,
        "failed" => TaskEnd::Failed,
        other => {
            return failed(format!("its trigger ended the task as {other:?}, which is no end of a task"));
        }
    };
    let xcoms: IndexMap<String, Value> =
        event.get("xcoms").cloned().and_then(|xcoms| serde_json::from_value(xcoms).ok()).unwrap_or_default();
    let size: usize = xcoms.iter().map(|(key, value)| key.len() + value.to_string().len()).sum();
    if size > MAX_XCOM_BYTES {
        return failed(format!(
            "its trigger left {size} bytes of XComs; at most {MAX_XCOM_BYTES} are allowed"
        ));
    }
    if let Some(error) = xcoms.keys().find_map(|key| store::xcom::check_key(key).err()) {
        return failed(error.to_string());
    }
    Word::Ended { end, xcoms }
}

fn checked(payload: Value) -> Word {
    let size = payload.to_string().len();
    if size > MAX_BYTES {
        return failed(format!("the event of its trigger has {size} bytes; at most {MAX_BYTES} are allowed"));
    }
    Word::Event(payload)
}

fn failed(reason: String) -> Word {
    Word::Failed(Some(vec![reason]))
}

// The end of a traceback says what happened.
fn short(lines: Vec<String>) -> Vec<String> {
    const MOST: usize = 64 << 10;
    let mut left = MOST;
    let mut kept: Vec<String> = lines
        .into_iter()
        .rev()
        .take_while(|line| {
            let fits = line.len() <= left;
            left = left.saturating_sub(line.len());
            fits
        })
        .collect();
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(changes: Value) -> Vec<(i64, Word)> {
        Changes::of(&changes).unwrap().words()
    }

    #[test]
    fn events_ends_and_failures_are_told_apart() {
        let said = words(json!({
            "type": "TriggerStateChanges",
            "events": [
                [1, {"payload": {"status": "done"}}, null],
                [2, {"task_instance_state": "skipped", "xcoms": {"a": 1}}, 7],
                [3, {"task_instance_state": "success", "xcoms": null}, null],
                [4, {"task_instance_state": "running", "xcoms": null}, null],
            ],
            "failures": [[5, ["Traceback", "ValueError"]], [6, null]],
            "finished": [1, 5],
        }));
        assert_eq!(said[0], (1, Word::Event(json!({"status": "done"}))));
        let xcoms = IndexMap::from([("a".to_owned(), json!(1))]);
        assert_eq!(said[1], (2, Word::Ended { end: TaskEnd::Skipped, xcoms }));
        assert_eq!(said[2], (3, Word::Ended { end: TaskEnd::Success, xcoms: IndexMap::new() }));
        assert!(matches!(&said[3], (4, Word::Failed(Some(lines))) if lines[0].contains("running")));
        assert_eq!(said[4], (5, Word::Failed(Some(vec!["Traceback".into(), "ValueError".into()]))));
        assert_eq!(said[5], (6, Word::Failed(None)));
    }

    #[test]
    fn nothing_new_is_a_message_too_and_others_are_not() {
        let nothing =
            json!({"type": "TriggerStateChanges", "events": null, "failures": null, "finished": null});
        assert!(words(nothing).is_empty());
        assert!(Changes::of(&json!({"type": "GetVariable", "key": "k"})).is_none());
    }

    #[test]
    fn what_cannot_be_recorded_is_a_failure() {
        let event = |event: Value| json!({"type": "TriggerStateChanges", "events": [[1, event, null]]});
        let large = words(event(json!({"payload": "x".repeat(MAX_BYTES)})));
        assert!(matches!(&large[0].1, Word::Failed(Some(lines)) if lines[0].contains("at most")));
        let key = "k".repeat(2_000);
        let bad = words(event(json!({"task_instance_state": "success", "xcoms": {key: 1}})));
        assert!(matches!(&bad[0].1, Word::Failed(Some(_))));
    }

    #[test]
    fn a_traceback_keeps_its_end() {
        let kept = short(vec!["a".repeat(60 << 10), "b".repeat(10 << 10), "the error".into()]);
        assert_eq!(kept.len(), 2);
        assert_eq!(kept[1], "the error");
    }
}
