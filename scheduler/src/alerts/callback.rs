//! Callbacks of Airflow DAG files: `on_success_callback` and `on_failure_callback` of DAGs, and those of tasks whose process could not run
//! them. A child reads the file and calls them, as Airflow's DAG processor does. A callback of a deadline is called by such a child, too.
//!
//! Source: Airflow 3.3.2 `callbacks/callback_requests.py`, `dag_processing/processor.py`.

use std::time::Duration;

use domain::{
    alert::{AlertEvent, Facts},
    engine::record::{RunSnapshot, TiRecord},
    state::TaskState,
};
use python::{Failure, Limits, log};
use serde_json::{Value, json};
use store::Store;
use uuid::Uuid;

use super::fault::Fault;
use crate::bridge::{BUNDLE, Bridge, Records, Work};

/// How much of the log is kept, in bytes: its end.
const LOG: usize = 64 << 10;
/// What Airflow logs when a callback has raised an error.
const RAISED: [&str; 2] = ["Callback failed", "Error in callback at index"];
/// What Airflow logs when it could not come to the callbacks: their DAG or task is not in the file.
const MISSED: &str = "Failed to execute callback request";

/// What became of a call.
pub(super) struct Called {
    /// What it wrote.
    pub(super) log: String,
    /// Whether all went well.
    pub(super) result: Result<(), Fault>,
}

impl Called {
    /// It did not come to a call.
    pub(super) fn nothing(fault: Fault) -> Self {
        Self { log: String::new(), result: Err(fault) }
    }
}

/// Calls what the DAG file of a run has for an event.
pub(super) async fn call(store: &Store, bridge: &Bridge, facts: &Facts, time: Duration) -> Called {
    let (snapshot, file) = match find(store, facts).await {
        Ok(found) => found,
        Err(fault) => return Called::nothing(fault),
    };
    let request = request(&snapshot, &file, facts);
    run(store, bridge, &file, Work::Callbacks(&request), time).await
}

/// Runs callbacks in a DAG file.
pub(super) async fn run(
    store: &Store,
    bridge: &Bridge,
    file: &str,
    work: Work<'_>,
    time: Duration,
) -> Called {
    let zygote = match bridge.zygote().await {
        Ok(zygote) => zygote,
        Err(why) => return Called::nothing(Fault::passing(why)),
    };
    let records = Records::of(store);
    let limits = Limits { time, output: LOG, ..bridge.limits() };
    let run = bridge.run(&zygote, &bridge.path(file), work, limits, &records).await;
    let masker = records.into_masker();
    match run {
        Ok(parsed) => {
            let mut called = heard(&parsed.printed);
            called.log = masker.text(&called.log);
            called.result = called.result.map_err(|fault| fault.map(|words| masker.text(&words)));
            called
        }
        // It would be as slow the next time, and may have done its work.
        Err(failure @ Failure::TooSlow(_)) => Called::nothing(Fault::lasting(failure.to_string())),
        Err(failure @ (Failure::Start(_) | Failure::Died { .. } | Failure::Conversation(_))) => {
            Called::nothing(Fault::passing(masker.text(&failure.to_string())))
        }
    }
}

/// The run, and the DAG file that it was read from.
pub(super) async fn find(store: &Store, facts: &Facts) -> Result<(RunSnapshot, String), Fault> {
    let snapshot = store.run(&facts.dag_id, &facts.run_id).await?;
    let snapshot = snapshot.ok_or_else(|| Fault::lasting("the run was deleted".to_owned()))?;
    let file = snapshot.dag.python_file.clone();
    let file = file.ok_or_else(|| Fault::lasting("its DAG was not read from a Python file".to_owned()))?;
    Ok((snapshot, file))
}

fn request(snapshot: &RunSnapshot, file: &str, facts: &Facts) -> Value {
    let run = dag_run(snapshot, facts);
    let mut request = json!({
        "filepath": file, "bundle_name": BUNDLE, "bundle_version": null, "msg": facts.reason,
    });
    let own = match about(snapshot, facts) {
        Some(ti) => json!({
            "type": "TaskCallbackRequest",
            "ti": instance(ti, snapshot, facts.try_number.unwrap_or(ti.try_number)),
            "task_callback_type": if facts.event == AlertEvent::Retry { "up_for_retry" } else { "failed" },
            "context_from_server": {"dag_run": run, "max_tries": facts.max_tries, "task_reschedule_count": 0},
        }),
        None => json!({
            "type": "DagCallbackRequest", "dag_id": facts.dag_id, "run_id": facts.run_id,
            "is_failure_callback": facts.event != AlertEvent::Success,
            "context_from_server": {
                "dag_run": run,
                "last_ti": relevant(snapshot, facts.event).map(|ti| instance(ti, snapshot, ti.try_number)),
            },
        }),
    };
    if let (Value::Object(request), Value::Object(own)) = (&mut request, own) {
        request.extend(own);
    }
    request
}

/// The instance that it is about, if it is about one.
fn about<'a>(snapshot: &'a RunSnapshot, facts: &Facts) -> Option<&'a TiRecord> {
    let (task_id, map_index) = (facts.task_id.as_ref()?, facts.map_index?);
    snapshot.tis.iter().find(|ti| ti.task_id == *task_id && ti.map_index == map_index)
}

/// The instance that a callback of a DAG finds in its context: the first one that failed, or the one that ended last.
fn relevant(snapshot: &RunSnapshot, event: AlertEvent) -> Option<&TiRecord> {
    let ended = snapshot.tis.iter().filter(|ti| ti.ended_at.is_some());
    match event {
        AlertEvent::Failure => {
            let failed = ended.clone().filter(|ti| ti.state == TaskState::Failed);
            failed.min_by_key(|ti| ti.ended_at).or_else(|| ended.max_by_key(|ti| ti.ended_at))
        }
        AlertEvent::Success | AlertEvent::Retry | AlertEvent::Skipped | AlertEvent::Deadline => {
            ended.max_by_key(|ti| ti.ended_at)
        }
    }
}

fn instance(ti: &TiRecord, snapshot: &RunSnapshot, try_number: u32) -> Value {
    json!({
        "id": Uuid::from_u64_pair(ti.key.run.0.cast_unsigned(), (u64::from(ti.key.index) << 32) | u64::from(try_number)),
        "task_id": ti.task_id, "dag_id": snapshot.run.dag_id, "run_id": snapshot.run.run_id,
        "try_number": try_number, "dag_version_id": Uuid::nil(), "map_index": ti.map_index,
    })
}

fn dag_run(snapshot: &RunSnapshot, facts: &Facts) -> Value {
    let run = &snapshot.run;
    let interval = run.data_interval;
    json!({
        "dag_id": run.dag_id, "run_id": run.run_id, "logical_date": run.logical_date,
        "data_interval_start": interval.map(|interval| interval.start),
        "data_interval_end": interval.map(|interval| interval.end),
        "run_after": run.run_after, "start_date": run.started_at, "end_date": run.ended_at,
        "clear_number": run.clear_number, "run_type": run.run_type,
        // What it was when this happened; a retry goes on, and the run may have been cleared since.
        "state": if facts.task_id.is_some() { "running" } else { facts.state.as_str() },
        "conf": run.conf, "triggering_user_name": run.triggered_by, "consumed_asset_events": [],
        "partition_key": run.partition.as_ref().map(|partition| &partition.key),
        "partition_date": run.partition.as_ref().and_then(|partition| partition.date),
    })
}

/// What a child has written, for people, and how the callbacks went.
fn heard(printed: &str) -> Called {
    let (mut log, mut result) = (String::new(), Ok(()));
    for line in printed.lines() {
        let Ok(event) = serde_json::from_str::<Value>(line) else {
            log.push_str(line);
            log.push('\n');
            continue;
        };
        let what = event.get("event").and_then(Value::as_str).unwrap_or_default();
        let (_, text) = log::line(&event);
        let last = text.lines().last().unwrap_or_default().to_owned();
        if RAISED.iter().any(|begin| what.starts_with(begin)) {
            result = Err(Fault::lasting(last));
        } else if what.starts_with(MISSED) {
            result = Err(Fault::passing(last));
        }
        log.push_str(&text);
        log.push('\n');
    }
    Called { log, result }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_that_raised_is_not_called_again_and_one_that_was_not_found_is() {
        let event = |event: &str| {
            json!({"level": "error", "logger": "task", "event": event, "exception": [{
                "exc_type": "ValueError", "exc_value": "no", "frames": [{"filename": "/d.py", "lineno": 3, "name": "f"}]}]})
            .to_string()
        };
        let called = heard(&format!("hello\n{}\n", event("Callback failed")));
        assert!(called.log.starts_with("hello\n") && called.log.contains("/d.py"), "{}", called.log);
        assert!(called.result.unwrap_err().is_lasting());
        let called = heard(&event("Error in callback at index 0: f (ti_id=1)"));
        assert_eq!(called.result.unwrap_err().into_words(), "ValueError: no");
        assert!(!heard(&event(MISSED)).result.unwrap_err().is_lasting());
        assert!(heard("all is well\n").result.is_ok());
    }
}
