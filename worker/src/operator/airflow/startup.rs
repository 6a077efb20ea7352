//! The first word to a task runner: which task it is, of which run. Source: Airflow 3.3.2 `StartupDetails` and `TIRunContext`.

use domain::id::TryKey;
use serde_json::{Value, json};
use uuid::Uuid;

use super::nursery::BUNDLE;
use crate::assignment::Assignment;

/// The whole message.
///
/// # Errors
/// When the DAG was not read from a Python file.
pub(super) fn details(assignment: &Assignment, hostname: &str) -> Result<Value, String> {
    let (dag, task, run, attempt) = (&assignment.dag, assignment.task(), &assignment.run, assignment.attempt);
    let file = dag.python_file.as_ref().ok_or("its DAG was not read from a Python file")?;
    let interval = run.data_interval;
    let next = assignment.resumption.as_ref();
    Ok(json!({
        "type": "StartupDetails",
        "ti": {
            "id": id(attempt), "task_id": task.task_id, "dag_id": dag.dag_id, "run_id": run.run_id,
            "try_number": attempt.try_number, "dag_version_id": Uuid::nil(), "map_index": assignment.map_index,
            "hostname": hostname, "queue": task.queue,
        },
        "dag_rel_path": file,
        "bundle_info": {"name": BUNDLE, "version": null},
        "start_date": assignment.started_at,
        "sentry_integration": "",
        "ti_context": {
            "dag_run": {
                "dag_id": dag.dag_id, "run_id": run.run_id, "logical_date": run.logical_date,
                "data_interval_start": interval.map(|interval| interval.start),
                "data_interval_end": interval.map(|interval| interval.end),
                "run_after": run.run_after, "start_date": run.started_at, "end_date": null, "clear_number": 0,
                "run_type": run.run_type, "state": "running", "conf": run.conf,
                "triggering_user_name": run.triggered_by, "consumed_asset_events": consumed(&run.asset_events),
                "partition_key": run.partition_key(), "partition_date": run.partition_date(),
            },
            "task_reschedule_count": assignment.pokes,
            "max_tries": assignment.max_tries,
            "should_retry": may_retry(assignment),
            "next_method": next.map(|next| &next.method), "next_kwargs": next.map(|next| &next.kwargs),
            "variables": [], "connections": [], "xcom_keys_to_clear": [],
        },
    }))
}

/// What the run was created for, in Airflow's form (`AssetEventDagRunReference`).
pub(crate) fn consumed(events: &[Value]) -> Vec<Value> {
    let events = events.iter().map(|event| {
        json!({
            "asset": {"name": event["name"], "uri": event["uri"], "extra": event["asset_extra"]},
            "extra": event["extra"], "source_task_id": event["source_task_id"],
            "source_dag_id": event["source_dag_id"], "source_run_id": event["source_run_id"],
            "source_map_index": event["source_map_index"],
            "source_aliases": event["aliases"].as_array().into_iter().flatten()
                .map(|alias| json!({"name": alias})).collect::<Vec<_>>(),
            "timestamp": event["timestamp"], "partition_key": event["partition_key"],
        })
    });
    events.collect()
}

/// A failure is tried again. Source: Airflow 3.3.2 `_is_eligible_to_retry`.
pub(super) const fn may_retry(assignment: &Assignment) -> bool {
    assignment.max_tries > 0 && assignment.attempt.try_number <= assignment.max_tries
}

/// Airflow wants an id of 128 bits: run, place and try are one.
pub(crate) fn id(attempt: TryKey) -> Uuid {
    let (ti, number) = (attempt.ti, attempt.try_number);
    Uuid::from_u64_pair(ti.run.0.cast_unsigned(), (u64::from(ti.index) << 32) | u64::from(number))
}
