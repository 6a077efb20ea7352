//! Callbacks of deadlines that are written in an Airflow DAG file. They are given the run, as Airflow's API shows it, and the deadline.
//!
//! Source: Airflow 3.3.2 `models/deadline.py` (`handle_miss`), `api_fastapi/core_api/datamodels/dag_run.py` (`DAGRunResponse`).

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use domain::{alert::Facts, deadline::Callback};
use serde_json::{Value, json};
use store::{Store, view::api_run::RunRow};
use uuid::Uuid;

use super::{
    callback::{Called, find, run},
    fault::Fault,
};
use crate::bridge::{BUNDLE, Bridge, Work};

/// Calls what a deadline has called when it is missed. `id` is what programs call the deadline of the run by.
pub(super) async fn call(
    store: &Store,
    bridge: &Bridge,
    facts: &Facts,
    (id, callback): (Uuid, &Callback),
    time: Duration,
) -> Called {
    let (file, run_row) = match prepare(store, facts).await {
        Ok(prepared) => prepared,
        Err(fault) => return Called::nothing(fault),
    };
    let asked = json!({
        "path": callback.path, "kwargs": callback.kwargs, "is_async": callback.is_async,
        "context": {
            "dag_run": dag_run(&run_row, facts),
            "deadline": {"id": id, "deadline_time": facts.deadline.map(moment)},
        },
    });
    run(store, bridge, &file, Work::Deadline(&asked), time).await
}

async fn prepare(store: &Store, facts: &Facts) -> Result<(String, RunRow), Fault> {
    let (_, file) = find(store, facts).await?;
    let row = store.api_run(&facts.dag_id, &facts.run_id).await?;
    Ok((file, row.ok_or_else(|| Fault::lasting("the run was deleted".to_owned()))?))
}

/// The run when the deadline was missed; it may have gone on since.
fn dag_run(row: &RunRow, facts: &Facts) -> Value {
    let at = |at: Option<DateTime<Utc>>| at.map(moment);
    let lasted = facts.started_at.zip(facts.ended_at).map(|(start, end)| (end - start).as_seconds_f64());
    json!({
        "dag_run_id": row.run_id, "dag_id": row.dag_id, "dag_display_name": row.dag_id,
        "logical_date": at(row.logical_date), "queued_at": moment(row.queued_at),
        "start_date": at(facts.started_at), "end_date": at(facts.ended_at), "duration": lasted,
        "data_interval_start": at(row.interval_start), "data_interval_end": at(row.interval_end),
        "run_after": moment(row.run_after), "last_scheduling_decision": null,
        "run_type": row.run_type, "state": facts.state, "triggered_by": row.triggered_through(),
        "triggering_user_name": row.triggered_by, "conf": row.conf(), "note": row.note,
        "dag_versions": [version(row)], "bundle_version": null,
        "partition_key": row.partition_key, "partition_date": at(row.partition_date),
    })
}

fn version(row: &RunRow) -> Value {
    json!({
        "id": Uuid::from_u64_pair(row.version_id.cast_unsigned(), 0), "version_number": row.version_number,
        "dag_id": row.dag_id, "bundle_name": BUNDLE, "bundle_version": null,
        "created_at": moment(row.version_created_at), "dag_display_name": row.dag_id, "bundle_url": null,
    })
}

/// As Airflow's models write moments.
fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
