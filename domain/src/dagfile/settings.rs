//! The settings of a task that `default_args` can give too, and how they lie over each other.

use std::rc::Rc;

use indexmap::IndexMap;

use super::{
    diagnostic::Problem,
    fields::{Fields, Given},
    keys::{Key, Place, SETTINGS, Shape},
    node::{Entry, Node, shown},
    notices::Notices,
    reading::Reading,
    values,
};
use crate::{
    dag::{Task, WeightRule},
    id::{PoolName, QueueName},
    retry::Retry,
    span::Span,
    trigger_rule::TriggerRule,
};

/// What one mapping says; whatever it leaves out comes from the one below. An explicit `null` is said.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    retries: Option<u32>,
    retry_delay: Option<Span>,
    backoff: Option<f64>,
    max_retry_delay: Given<Span>,
    execution_timeout: Given<Span>,
    trigger_rule: Option<TriggerRule>,
    depends_on_past: Option<bool>,
    wait_for_downstream: Option<bool>,
    wait_for_past_depends_before_skipping: Option<bool>,
    pool: Option<PoolName>,
    pool_slots: Option<u32>,
    queue: Option<QueueName>,
    priority_weight: Option<i32>,
    weight_rule: Option<WeightRule>,
    max_active_tis_per_dag: Given<u32>,
    max_active_tis_per_dagrun: Given<u32>,
    do_xcom_push: Option<bool>,
    env: IndexMap<String, String>,
    cwd: Given<String>,
    owner: Given<String>,
    notices: Notices,
}

impl Settings {
    /// Reads the `default_args` of a DAG or group, if it has any, over `below`.
    pub(super) fn defaults(
        entry: Option<&Entry>,
        owner: &str,
        below: &Self,
        reading: &mut Reading<'_>,
    ) -> Self {
        let Some(entry) = entry.filter(|entry| !entry.value.is_null()) else {
            return below.clone();
        };
        let owner = format!("`default_args` of {owner}");
        match Fields::open(&entry.value, entry.key_at, owner, Place::Defaults, reading) {
            Some(fields) => Self::read(&fields, reading).over(below),
            None => below.clone(),
        }
    }

    /// Reads what the mapping itself says.
    pub(super) fn read(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Self {
        Self {
            retries: fields.get("retries", reading, whole("retries")),
            retry_delay: fields.get("retry_delay", reading, |node| values::span(node)),
            backoff: fields.get("retry_exponential_backoff", reading, |node| values::backoff(node)),
            max_retry_delay: fields.given("max_retry_delay", reading, |node| values::positive_span(node)),
            execution_timeout: fields.given("execution_timeout", reading, |node| values::positive_span(node)),
            trigger_rule: fields.get("trigger_rule", reading, |node| values::trigger_rule(node)),
            depends_on_past: fields.get("depends_on_past", reading, |node| values::flag(node)),
            wait_for_downstream: fields.get("wait_for_downstream", reading, |node| values::flag(node)),
            wait_for_past_depends_before_skipping: fields.get(
                "wait_for_past_depends_before_skipping",
                reading,
                |node| values::flag(node),
            ),
            pool: fields.get("pool", reading, |node| values::name(node)),
            pool_slots: fields.get("pool_slots", reading, whole("pool_slots")),
            queue: fields.get("queue", reading, |node| values::name(node)),
            priority_weight: fields.get("priority_weight", reading, whole("priority_weight")),
            weight_rule: fields.get("weight_rule", reading, |node| values::weight_rule(node)),
            max_active_tis_per_dag: fields.given(
                "max_active_tis_per_dag",
                reading,
                whole("max_active_tis_per_dag"),
            ),
            max_active_tis_per_dagrun: fields.given(
                "max_active_tis_per_dagrun",
                reading,
                whole("max_active_tis_per_dagrun"),
            ),
            do_xcom_push: fields.get("do_xcom_push", reading, |node| values::flag(node)),
            env: fields
                .get("env", reading, |node| values::texts_by_name(node, check_variable))
                .unwrap_or_default()
                .into_iter()
                .collect(),
            cwd: fields.given("cwd", reading, |node| values::text(node)),
            owner: fields.given("owner", reading, |node| values::text(node)),
            notices: Notices::of_task(fields, reading),
        }
    }

    /// What is said here, and below it what `base` says; environments are joined.
    pub(super) fn over(self, base: &Self) -> Self {
        let mut env = base.env.clone();
        env.extend(self.env);
        env.sort_unstable_keys();
        Self {
            retries: self.retries.or(base.retries),
            retry_delay: self.retry_delay.or(base.retry_delay),
            backoff: self.backoff.or(base.backoff),
            max_retry_delay: self.max_retry_delay.or(base.max_retry_delay),
            execution_timeout: self.execution_timeout.or(base.execution_timeout),
            trigger_rule: self.trigger_rule.or(base.trigger_rule),
            depends_on_past: self.depends_on_past.or(base.depends_on_past),
            wait_for_downstream: self.wait_for_downstream.or(base.wait_for_downstream),
            wait_for_past_depends_before_skipping: self
                .wait_for_past_depends_before_skipping
                .or(base.wait_for_past_depends_before_skipping),
            pool: self.pool.or_else(|| base.pool.clone()),
            pool_slots: self.pool_slots.or(base.pool_slots),
            queue: self.queue.or_else(|| base.queue.clone()),
            priority_weight: self.priority_weight.or(base.priority_weight),
            weight_rule: self.weight_rule.or(base.weight_rule),
            max_active_tis_per_dag: self.max_active_tis_per_dag.or(base.max_active_tis_per_dag),
            max_active_tis_per_dagrun: self.max_active_tis_per_dagrun.or(base.max_active_tis_per_dagrun),
            do_xcom_push: self.do_xcom_push.or(base.do_xcom_push),
            env,
            cwd: self.cwd.or_else(|| base.cwd.clone()),
            owner: self.owner.or_else(|| base.owner.clone()),
            notices: self.notices.over(&base.notices),
        }
    }

    /// Gives the task its settings; what nobody said is Airflow's default.
    pub(super) fn apply(self, task: &mut Task) {
        let usual = Retry::default();
        task.retry = Retry {
            retries: self.retries.unwrap_or(usual.retries),
            delay: self.retry_delay.unwrap_or(usual.delay),
            backoff: self.backoff.unwrap_or(usual.backoff),
            max_delay: self.max_retry_delay.flatten(),
        };
        task.execution_timeout = self.execution_timeout.flatten();
        task.trigger_rule = self.trigger_rule.unwrap_or_default();
        task.depends_on_past = self.depends_on_past.unwrap_or(false);
        task.wait_for_downstream = self.wait_for_downstream.unwrap_or(false);
        task.wait_for_past_depends_before_skipping =
            self.wait_for_past_depends_before_skipping.unwrap_or(false);
        task.pool = self.pool.unwrap_or_else(PoolName::default_pool);
        task.pool_slots = self.pool_slots.unwrap_or(1);
        task.queue = self.queue.unwrap_or_else(QueueName::default_queue);
        task.priority_weight = self.priority_weight.unwrap_or(1);
        task.weight_rule = self.weight_rule.unwrap_or_default();
        task.max_active_tis_per_dag = self.max_active_tis_per_dag.flatten();
        task.max_active_tis_per_dagrun = self.max_active_tis_per_dagrun.flatten();
        task.do_xcom_push = self.do_xcom_push.unwrap_or(true);
        task.env = self.env;
        task.cwd = self.cwd.flatten();
        task.owner = self.owner.flatten();
        task.alerts = self.notices.alerts();
    }
}

/// Reads the number within the bounds that the table of keys gives.
fn whole<T: TryFrom<i64>>(name: &'static str) -> impl FnOnce(&Rc<Node>) -> Result<T, Problem> {
    move |node| {
        let (least, most) = bounds(SETTINGS, name);
        values::whole(node, least, most)
    }
}

/// The bounds of a whole number in a table of keys.
pub(super) fn bounds(table: &[Key], name: &str) -> (i64, i64) {
    match table.iter().find(|key| key.name == name).map(|key| key.shape) {
        Some(Shape::Whole(least, most)) => (least, most),
        _ => (0, i64::from(u32::MAX)),
    }
}

fn check_variable(name: &str) -> Result<(), String> {
    if values::is_identifier(name) {
        return Ok(());
    }
    Err(format!("`{}` cannot name an environment variable: use letters, digits and `_`", shown(name)))
}
