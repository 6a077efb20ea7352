//! The tasks of a serialized DAG.

use serde_json::Value;

use super::{Refused, assets, expansion, fields::Fields, groups::Members, plugins::Said, wrapped};
use crate::{
    alert::Alerts,
    dag::{AirflowTask, Operator, Task, Teardown},
    id::{PoolName, QueueName, TaskId},
    retry::Retry,
    span::Span,
    trigger_rule::TriggerRule,
};

/// Who owns what nobody owns. Source: Airflow's `[operators] default_owner`.
pub(super) const OWNER: &str = "airflow";

/// Reads a task; who comes before it is not written with it.
pub(super) fn read(fields: &Fields<'_>, members: &Members, said: Said<'_>) -> Result<Task, Refused> {
    let id = fields.text("task_id").ok_or_else(|| Refused::new("it has no task_id"))?;
    let mapped = match fields.text("_expand_input_attr").and_then(|name| fields.get(name)) {
        Some(input) => expansion::read(input)?,
        None => expansion::Mapped::default(),
    };
    let teardown = fields
        .flag("is_teardown")
        .then(|| Teardown { on_failure_fail_dagrun: fields.flag("on_failure_fail_dagrun") });
    let (priority_weight, weight_rule) = said.weight(fields)?;
    Ok(Task {
        task_id: TaskId::new(id).map_err(named)?,
        group: members.get(id).cloned(),
        operator: operator(fields),
        upstream: Vec::new(),
        trigger_rule: trigger_rule(fields)?,
        setup: fields.flag("is_setup"),
        repeat: None,
        teardown,
        depends_on_past: fields.flag("depends_on_past"),
        wait_for_downstream: fields.flag("wait_for_downstream"),
        wait_for_past_depends_before_skipping: fields.flag("wait_for_past_depends_before_skipping"),
        retry: retry(fields)?,
        execution_timeout: fields.span("execution_timeout")?,
        pool: PoolName::new(fields.text("pool").unwrap_or("default_pool")).map_err(named)?,
        pool_slots: fields.count("pool_slots")?.unwrap_or(1).max(1),
        queue: QueueName::new(fields.text("queue").unwrap_or("default")).map_err(named)?,
        priority_weight,
        weight_rule,
        max_active_tis_per_dag: fields.count("max_active_tis_per_dag")?,
        max_active_tis_per_dagrun: fields.count("max_active_tis_per_dagrun")?,
        do_xcom_push: fields.flag_or("do_xcom_push", true),
        expand: mapped.expand,
        expand_kwargs: mapped.expand_kwargs,
        map_index_template: fields.text("map_index_template").map(str::to_owned),
        env: indexmap::IndexMap::new(),
        cwd: None,
        owner: fields.text("owner").map(str::to_owned),
        alerts: Alerts {
            on_failure: super::callback(fields, "has_on_failure_callback"),
            on_retry: super::callback(fields, "has_on_retry_callback"),
            ..Alerts::default()
        },
        outlets: assets::listed(fields.list("outlets"))?,
        inlets: assets::listed(fields.list("inlets"))?,
        doc: ["doc_md", "doc", "doc_rst", "doc_yaml", "doc_json"]
            .into_iter()
            .find_map(|name| fields.text(name))
            .map(str::to_owned),
    })
}

/// An empty task is carried out by the engine, unless Python wants to see it begin or end. Source: Airflow 3.3.2
/// `models/taskinstance.py:2358`.
fn operator(fields: &Fields<'_>) -> Operator {
    let is_seen = ["has_on_execute_callback", "has_on_success_callback"].iter().any(|name| fields.flag(name));
    let moves_assets = ["inlets", "outlets"].iter().any(|name| !fields.list(name).is_empty());
    if fields.flag("_is_empty") && !is_seen && !moves_assets {
        return Operator::Empty;
    }
    let text = |name: &str| fields.text(name).unwrap_or_default().to_owned();
    Operator::Airflow(Box::new(AirflowTask {
        class: text("task_type"),
        module: text("_task_module"),
        name: fields.text("_operator_name").map(str::to_owned),
        chooses: fields.flag("_can_skip_downstream"),
    }))
}

fn trigger_rule(fields: &Fields<'_>) -> Result<TriggerRule, Refused> {
    let Some(rule) = fields.get("trigger_rule").map(wrapped::inner) else {
        return Ok(TriggerRule::default());
    };
    serde_json::from_value(rule.clone())
        .map_err(|_| Refused::new(format!("its trigger rule {rule} is not known")))
}

fn retry(fields: &Fields<'_>) -> Result<Retry, Refused> {
    let usual = Retry::default();
    Ok(Retry {
        retries: fields.count("retries")?.unwrap_or(usual.retries),
        delay: fields.span("retry_delay")?.unwrap_or(usual.delay),
        backoff: backoff(fields.get("retry_exponential_backoff").map(wrapped::inner)),
        max_delay: fields.span("max_retry_delay")?.filter(|delay| *delay > Span::from_secs(0)),
    })
}

/// `true` is 2, as in Airflow.
fn backoff(value: Option<&Value>) -> f64 {
    match value {
        Some(Value::Bool(true)) => 2.0,
        Some(Value::Number(factor)) => factor.as_f64().unwrap_or(0.0),
        Some(Value::Null | Value::Bool(false) | Value::String(_) | Value::Array(_) | Value::Object(_))
        | None => 0.0,
    }
}

fn named(error: crate::id::Error) -> Refused {
    Refused::new(error.to_string())
}
