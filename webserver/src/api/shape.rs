//! The shapes of Airflow's answers. Every field that its schema requires is there; what Tradewind does not have is null.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use domain::{
    asset::{Condition, USUAL_GROUP},
    dag::{Dag, Param, Task, WeightRule},
    engine::backfill::BackfillRecord,
    params::Params,
};
use serde_json::{Map, Value, json};
use store::{
    import_error::ImportError,
    pool::Pool,
    view::{
        api_dag::{DagRow, VersionRow},
        api_lists::{DagWarning, EventRow, XComRow},
        api_run::RunRow,
        api_ti::TiRow,
        approvals::QuestionRow,
    },
};
use uuid::Uuid;

/// The name of the one place that DAG files come from (Airflow's default).
pub(super) const BUNDLE: &str = "dags-folder";

const VERSION_KIND: u64 = 1;
const INSTANCE_KIND: u64 = 2;

/// A moment in RFC 3339.
pub(super) fn moment(at: DateTime<Utc>) -> Value {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true).into()
}

fn maybe(at: Option<DateTime<Utc>>) -> Value {
    at.map_or(Value::Null, moment)
}

fn seconds(from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> Value {
    let Some(took) = from.zip(to).and_then(|(from, to)| (to - from).num_microseconds()) else {
        return Value::Null;
    };
    #[expect(clippy::cast_precision_loss, reason = "exact up to 285 years")]
    let seconds = took as f64 / 1e6;
    seconds.into()
}

// Airflow's ids are UUIDs; these are made from our numbers, so that the same thing always has the same one.
fn uuid(kind: u64, number: i64, part: u64) -> Value {
    let high = (number.unsigned_abs() << 16) | (0x8 << 12) | kind;
    Uuid::from_u64_pair(high, (0b10 << 62) | part).to_string().into()
}

fn version(id: i64, number: i32, dag_id: &str, created_at: DateTime<Utc>) -> Value {
    json!({
        "id": uuid(VERSION_KIND, id, 0), "version_number": number, "dag_id": dag_id, "bundle_name": BUNDLE,
        "bundle_version": null, "created_at": moment(created_at), "dag_display_name": dag_id, "bundle_url": null,
    })
}

/// `DagVersionResponse`
pub(super) fn dag_version(row: &VersionRow) -> Value {
    version(row.id, row.number, &row.dag_id, row.created_at)
}

/// `DAGResponse`
pub(super) fn dag(row: &DagRow, folder: &str) -> Value {
    let mut tags = row.tags.clone();
    tags.sort();
    let tags: Vec<Value> = tags
        .iter()
        .map(|tag| json!({"name": tag, "dag_id": row.dag_id, "dag_display_name": row.dag_id}))
        .collect();
    let summary = (row.schedule != "None").then_some(&row.schedule);
    json!({
        "dag_id": row.dag_id, "dag_display_name": row.dag_id, "is_paused": row.is_paused, "is_stale": row.is_stale,
        "last_parsed_time": moment(row.parsed_at), "last_parse_duration": null, "last_expired": null,
        "bundle_name": BUNDLE, "bundle_version": null, "relative_fileloc": row.file,
        "fileloc": format!("{folder}/{}", row.file), "description": row.description,
        "timetable_summary": summary, "timetable_description": row.schedule_description,
        "timetable_partitioned": row.is_partitioned, "timetable_periodic": row.is_periodic, "tags": tags,
        "max_active_tasks": row.max_active_tasks, "max_active_runs": row.max_active_runs,
        "max_consecutive_failed_dag_runs": 0, "has_task_concurrency_limits": row.limits_tasks,
        "has_import_errors": row.has_import_errors, "next_dagrun_logical_date": maybe(row.next_logical_date),
        "next_dagrun_data_interval_start": maybe(row.next_interval_start),
        "next_dagrun_data_interval_end": maybe(row.next_interval_end),
        "next_dagrun_run_after": maybe(row.next_run_after), "allowed_run_types": null,
        "owners": row.owner.split(',').map(str::trim).collect::<Vec<_>>(), "is_backfillable": row.is_periodic,
        "file_token": row.file,
    })
}

/// `DAGDetailsResponse`
pub(super) fn dag_details(row: &DagRow, dag: &Dag, folder: &str) -> Value {
    let mut details = self::dag(row, folder);
    let more = json!({
        "catchup": dag.catchup != domain::timetable::Catchup::None,
        "dag_run_timeout": dag.dagrun_timeout.map(|span| iso_duration(span.delta())),
        "asset_expression": dag.asset_condition.as_ref().map(asset_expression), "doc_md": dag.doc, "start_date": maybe(dag.start_date), "end_date": maybe(dag.end_date),
        "is_paused_upon_creation": dag.is_paused_upon_creation, "params": params(&dag.params),
        "render_template_as_native_obj": false, "template_search_path": null, "timezone": dag.timezone.name(),
        "last_parsed": moment(row.parsed_at), "default_args": {}, "rerun_with_latest_version": null, "owner_links": null,
        "max_consecutive_failed_dag_runs": dag.max_consecutive_failed_dag_runs, "is_favorite": false, "active_runs_count": row.active_runs, "concurrency": row.max_active_tasks,
        "latest_dag_version": version(row.version_id, row.version_number, &row.dag_id, row.version_created_at),
    });
    merge(&mut details, more);
    details
}

/// Airflow's `asset_expression`.
fn asset_expression(condition: &Condition) -> Value {
    match condition {
        Condition::Asset(asset) => {
            json!({"asset": {"uri": asset.uri, "name": asset.name, "group": asset.group}})
        }
        Condition::Alias(alias) => json!({"alias": {"name": alias, "group": USUAL_GROUP}}),
        Condition::Any(parts) => json!({"any": parts.iter().map(asset_expression).collect::<Vec<_>>()}),
        Condition::All(parts) => json!({"all": parts.iter().map(asset_expression).collect::<Vec<_>>()}),
    }
}

fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(into), Value::Object(more)) = (into, more) {
        into.extend(more);
    }
}

// Airflow serialises each param as its value, its schema and its description.
fn params(params: &Params) -> Value {
    let param = |param: &Param| json!({"value": param.default, "schema": param.schema, "description": param.description, "source": null});
    Value::Object(params.iter().map(|(name, value)| (name.clone(), param(value))).collect())
}

fn iso_duration(length: TimeDelta) -> String {
    let millis = length.num_milliseconds();
    let days = millis / 86_400_000;
    let days = if days == 0 { String::new() } else { format!("{days}D") };
    let rest = millis % 86_400_000;
    match (rest / 1_000, rest % 1_000) {
        (0, 0) if !days.is_empty() => format!("P{days}"),
        (seconds, 0) => format!("P{days}T{seconds}S"),
        (seconds, millis) => format!("P{days}T{seconds}.{millis:03}S"),
    }
}

fn time_delta(length: TimeDelta) -> Value {
    let millis = length.num_milliseconds();
    json!({
        "__type": "TimeDelta", "days": millis / 86_400_000, "seconds": millis % 86_400_000 / 1_000,
        "microseconds": millis % 1_000 * 1_000,
    })
}

/// `TaskResponse`
pub(super) fn task(dag: &Dag, task: &Task) -> Value {
    let downstream = dag.tasks.iter().filter(|other| other.upstream.contains(&task.task_id));
    let mut downstream: Vec<&str> = downstream.map(|other| other.task_id.as_str()).collect();
    downstream.sort_unstable();
    let weight_rule = match task.weight_rule {
        WeightRule::Downstream => "downstream",
        WeightRule::Upstream => "upstream",
        WeightRule::Absolute => "absolute",
    };
    json!({
        "task_id": task.task_id, "task_display_name": task.task_id, "owner": task.owner.as_ref().unwrap_or(&dag.owner),
        "start_date": maybe(dag.start_date), "end_date": maybe(dag.end_date), "trigger_rule": task.trigger_rule,
        "depends_on_past": task.looks_back(), "wait_for_downstream": task.wait_for_downstream, "retries": task.retry.retries, "queue": task.queue,
        "pool": task.pool, "pool_slots": task.pool_slots,
        "execution_timeout": task.execution_timeout.map(|span| time_delta(span.delta())),
        "retry_delay": time_delta(task.retry.delay.delta()), "retry_exponential_backoff": task.retry.backoff,
        "priority_weight": task.priority_weight, "weight_rule": weight_rule, "ui_color": "#fff", "ui_fgcolor": "#000",
        "template_fields": [], "downstream_task_ids": downstream, "doc_md": task.doc,
        "operator_name": task.operator.class_name(), "params": {},
        "class_ref": {"module_path": null, "class_name": task.operator.class_name()}, "is_mapped": task.is_mapped(),
        "extra_links": [],
    })
}

/// `DAGRunResponse`, and `backfill_id`, which is Tradewind's own.
pub(super) fn run(row: &RunRow) -> Value {
    json!({
        "dag_run_id": row.run_id, "dag_id": row.dag_id, "logical_date": maybe(row.logical_date),
        "queued_at": moment(row.queued_at), "start_date": maybe(row.started_at), "end_date": maybe(row.ended_at),
        "duration": seconds(row.started_at, row.ended_at), "data_interval_start": maybe(row.interval_start),
        "data_interval_end": maybe(row.interval_end), "run_after": moment(row.run_after), "last_scheduling_decision": null,
        "run_type": row.run_type, "state": row.state, "triggered_by": row.triggered_through(),
        "triggering_user_name": row.triggered_by, "conf": row.conf(), "note": row.note,
        "dag_versions": [version(row.version_id, row.version_number, &row.dag_id, row.version_created_at)],
        "bundle_version": null, "dag_display_name": row.dag_id, "partition_key": row.partition_key,
        "partition_date": maybe(row.partition_date),
        "backfill_id": row.backfill_id,
    })
}

/// `BackfillResponse`
pub(super) fn backfill(record: &BackfillRecord) -> Value {
    let order = &record.order;
    json!({
        "id": record.id, "dag_id": order.dag_id, "from_date": moment(order.from), "to_date": moment(order.to),
        "dag_run_conf": order.conf, "is_paused": record.is_paused, "reprocess_behavior": order.reprocess,
        "max_active_runs": order.max_active_runs, "created_at": moment(record.created_at),
        "completed_at": maybe(record.completed_at), "updated_at": moment(record.updated_at),
        "dag_display_name": order.dag_id,
    })
}

/// The id of a task instance.
pub(super) fn ti_id(row: &TiRow) -> Value {
    uuid(INSTANCE_KIND, row.run_key, u64::from(row.index.unsigned_abs()))
}

/// `TaskInstanceResponse`
pub(super) fn ti(row: &TiRow) -> Value {
    let mut shape = ti_history(row);
    let more = json!({
        "id": ti_id(row), "logical_date": maybe(row.logical_date),
        "run_after": moment(row.run_after), "note": row.note, "rendered_map_index": map_name(row),
        "rendered_fields": row.rendered().cloned().unwrap_or_else(|| json!({})), "trigger": null, "triggerer_job": null,
    });
    merge(&mut shape, more);
    shape
}

// What its `map_index_template` made, else its index; nothing of a task that is not mapped.
fn map_name(row: &TiRow) -> Option<String> {
    let number = || (row.map_index >= 0).then(|| row.map_index.to_string());
    row.rendered_map_index.clone().or_else(number)
}

/// `TaskInstanceHistoryResponse`
pub(super) fn ti_history(row: &TiRow) -> Value {
    let state = (row.state != "none").then_some(&row.state);
    json!({
        "task_id": row.task_id, "dag_id": row.dag_id, "dag_run_id": row.run_id, "map_index": row.map_index,
        "start_date": maybe(row.started_at), "end_date": maybe(row.ended_at),
        "duration": seconds(row.started_at, row.ended_at), "state": state, "try_number": row.try_number,
        "max_tries": row.max_tries, "task_display_name": row.task_id, "dag_display_name": row.dag_id,
        "hostname": row.hostname, "unixname": null, "pool": row.pool, "pool_slots": row.pool_slots, "queue": row.queue,
        "priority_weight": row.priority, "operator": row.operator, "operator_name": row.operator,
        "queued_when": maybe(row.queued_at), "scheduled_when": maybe(row.scheduled_at), "pid": row.pid, "executor": null,
        "executor_config": "{}",
        "dag_version": version(row.version_id, row.version_number, &row.dag_id, row.version_created_at),
    })
}

/// `HITLDetail`, or `HITLDetailHistory` with the history of the instance; and `remark`, `deadline` and `withdrawn_at`, which are Tradewind's own.
pub(super) fn question(row: &QuestionRow, task_instance: Value) -> Value {
    let (question, terms, reply) = (row.question(), row.terms(), row.reply());
    let users: Vec<Value> = terms.assigned_users.iter().map(|name| user(name)).collect();
    json!({
        "options": terms.options, "subject": question.subject, "body": question.body,
        "defaults": (!terms.defaults.is_empty()).then_some(&terms.defaults), "multiple": terms.multiple,
        "params": params(&terms.params), "assigned_users": users, "created_at": moment(row.asked_at),
        "responded_by_user": row.responded_by.as_deref().map(user), "responded_at": maybe(row.responded_at()),
        "chosen_options": reply.map(|reply| &reply.chosen_options),
        "params_input": reply.map(|reply| reply.params_input.clone()).unwrap_or_default(),
        "response_received": reply.is_some(), "task_instance": task_instance,
        "remark": reply.and_then(|reply| reply.remark.as_ref()), "deadline": maybe(row.deadline),
        "withdrawn_at": maybe(row.closed_at.filter(|_| reply.is_none())),
    })
}

/// `HITLDetailResponse`
pub(super) fn answer(row: &QuestionRow) -> Value {
    let reply = row.reply().cloned().unwrap_or_default();
    json!({
        "responded_by": row.responded_by.as_deref().map(user), "responded_at": maybe(row.responded_at()),
        "chosen_options": reply.chosen_options, "params_input": reply.params_input,
    })
}

// `HITLUser`: users have no other id than their name.
fn user(name: &str) -> Value {
    json!({"id": name, "name": name})
}

/// `XComResponse`; with a value `XComResponseNative` or `XComResponseString`.
pub(super) fn xcom(row: &XComRow) -> Value {
    json!({
        "key": row.key, "timestamp": moment(row.created_at), "logical_date": maybe(row.logical_date),
        "map_index": row.map_index, "task_id": row.task_id, "dag_id": row.dag_id, "run_id": row.run_id,
        "dag_display_name": row.dag_id, "task_display_name": row.task_id, "run_after": moment(row.run_after),
    })
}

/// `ImportErrorResponse`
pub(super) fn import_error(row: &ImportError) -> Value {
    let place =
        [row.line, row.column].iter().flatten().map(|number| format!(":{number}")).collect::<String>();
    let mut trace = format!("{}{place}: {}", row.file, row.message);
    if let Some(snippet) = &row.snippet {
        trace = format!("{trace}\n\n{snippet}");
    }
    if let Some(hint) = &row.hint {
        trace = format!("{trace}\n\n{hint}");
    }
    json!({
        "import_error_id": row.id, "timestamp": moment(row.seen_at), "filename": row.file, "bundle_name": BUNDLE,
        "stack_trace": trace,
    })
}

/// `DAGWarningResponse`
pub(super) fn dag_warning(row: &DagWarning) -> Value {
    json!({
        "dag_id": row.dag_id, "warning_type": row.warning_type, "message": row.message,
        "timestamp": moment(row.timestamp), "dag_display_name": row.dag_id,
    })
}

/// `EventLogResponse`
pub(super) fn event(row: &EventRow) -> Value {
    json!({
        "event_log_id": row.id, "when": moment(row.at), "dag_id": row.dag_id, "task_id": row.task_id, "run_id": row.run_id,
        "map_index": row.map_index, "try_number": row.try_number, "event": row.event,
        "logical_date": maybe(row.logical_date), "owner": row.owner, "extra": row.extra(),
        "dag_display_name": row.dag_id, "task_display_name": row.task_id,
    })
}

/// `PoolResponse`, and `policy`, which is Tradewind's own. Slots without a limit are Airflow's -1; open ones are then as many as it has numbers for.
pub(super) fn pool(pool: &Pool) -> Value {
    json!({
        "name": pool.name, "slots": pool.slots, "description": pool.description, "include_deferred": pool.include_deferred,
        "occupied_slots": pool.occupied(), "running_slots": pool.running, "queued_slots": pool.queued,
        "scheduled_slots": pool.scheduled, "open_slots": pool.open().unwrap_or(-1), "deferred_slots": pool.deferred,
        "team_name": null, "policy": pool.policy,
    })
}

/// A page of a list that also has cursors, which are null when pages are asked for by offset.
pub(super) fn page(name: &str, rows: Vec<Value>, total: i64) -> Value {
    let mut page = Map::new();
    page.insert(name.to_owned(), rows.into());
    page.insert("total_entries".to_owned(), total.into());
    for null in ["total_entries_limit", "next_cursor", "previous_cursor"] {
        page.insert(null.to_owned(), Value::Null);
    }
    page.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_and_differ() {
        let ids: std::collections::HashSet<String> = [(1, 7, 0), (2, 7, 0), (2, 7, 1), (2, 8, 0)]
            .map(|(kind, number, part)| uuid(kind, number, part).to_string())
            .into();
        assert_eq!(ids.len(), 4);
        let id: Uuid = serde_json::from_value(uuid(2, 71, 3)).unwrap();
        assert_eq!(id.get_version_num(), 8);
        assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
    }

    #[test]
    fn durations_are_iso_8601() {
        for (millis, text) in [
            (0, "PT0S"),
            (90_000, "PT90S"),
            (1_500, "PT1.500S"),
            (86_400_000, "P1D"),
            (90_000_000, "P1DT3600S"),
        ] {
            assert_eq!(iso_duration(TimeDelta::milliseconds(millis)), text);
        }
        assert_eq!(time_delta(TimeDelta::milliseconds(90_061_500))["seconds"], 3_661);
    }
}
