//! What makes a task special: it sets up, tears down, or chooses among the tasks behind it.

use super::{
    approval,
    diagnostic::Problem,
    fields::Fields,
    keys::Place,
    node::{Entry, shown},
    reading::Reading,
    tree::{Body, Item},
    values,
};
use crate::{
    dag::{Operator, Task, Teardown},
    trigger_rule::TriggerRule,
    wait::Until,
};

/// What a task says of its part.
pub(super) struct Special {
    setup: bool,
    teardown: Option<Teardown>,
}

/// Reads `setup` and `teardown` of a task.
pub(super) fn read(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Special {
    let setup = fields.get("setup", reading, |node| values::flag(node)).unwrap_or(false);
    let teardown = fields.entry("teardown").and_then(|entry| teardown(entry, fields, reading));
    if let (true, Some(_), Some(entry)) = (setup, teardown, fields.entry("teardown")) {
        let message = format!("{} is both a setup and a teardown", fields.owner);
        reading.add(Problem::new(entry.key_at, message).hint("make two tasks of it"));
    }
    Special { setup, teardown }
}

/// Gives a task its part, and what that implies.
pub(super) fn apply(special: &Special, fields: &Fields<'_>, task: &mut Task, reading: &mut Reading<'_>) {
    (task.setup, task.teardown) = (special.setup, special.teardown);
    // A rule that defaults give is not meant for teardowns.
    if task.teardown.is_some() && !fields.has("trigger_rule") {
        task.trigger_rule = TriggerRule::AllDoneSetupSuccess;
    }
    // What a query finds is what is waited for.
    if matches!(&task.operator, Operator::WaitFor(wait) if matches!(wait.until, Until::Sql { .. })) {
        task.do_xcom_push = true;
    }
    approval::apply(task);
    if task.operator.chooses() {
        task.do_xcom_push = true;
        if let Some(entry) = fields.entry("expand").or_else(|| fields.entry("expand_kwargs")) {
            let message = format!("{}: `{}` cannot be mapped", fields.owner, task.operator.key());
            let hint = if matches!(task.operator, Operator::Approval(_)) {
                "give it `options` alone, so that an answer skips nothing, or map a group around it"
            } else {
                "map the tasks behind it, or let each of them skip itself with exit code 99"
            };
            reading.add(Problem::new(entry.key_at, message).hint(hint));
        }
    }
}

fn teardown(entry: &Entry, fields: &Fields<'_>, reading: &mut Reading<'_>) -> Option<Teardown> {
    if entry.value.map().is_none() {
        let is_one = fields.get("teardown", reading, |node| values::flag(node)).unwrap_or(false);
        return is_one.then(Teardown::default);
    }
    let owner = fields.named("teardown");
    let fields = Fields::open(&entry.value, entry.key_at, owner, Place::Teardown, reading)?;
    let fails = fields.get("on_failure_fail_dagrun", reading, |node| values::flag(node));
    Some(Teardown { on_failure_fail_dagrun: fails.unwrap_or(false) })
}

/// Refuses what a DAG that fails fast cannot have: other rules would run tasks that are meant to be skipped. Source: Airflow
/// 3.3.2, `FailFastDagInvalidTriggerRule`.
pub(super) fn check_fail_fast(items: &[Item], reading: &mut Reading<'_>) {
    for item in items {
        let Body::Task(Some(task)) = &item.body else { continue };
        if !matches!(task.trigger_rule, TriggerRule::AllSuccess | TriggerRule::AllDoneSetupSuccess) {
            let message = format!(
                "{} has the trigger rule `{}`, but its DAG is to `fail_fast`",
                item.named(),
                task.trigger_rule.as_str()
            );
            reading.add(Problem::new(item.at, message).hint("use `all_success`, or remove `fail_fast`"));
        }
    }
}

/// Reads the program of `branch` or `short_circuit`.
pub(super) fn program<'n>(
    entry: &'n Entry,
    owner: String,
    place: Place,
    reading: &mut Reading<'_>,
) -> Option<(Fields<'n>, &'static str, &'n Entry)> {
    if entry.value.map().is_none() {
        let problem = Problem::new(
            entry.value.at,
            format!("{owner} must be a mapping, this is {}", entry.value.describe()),
        );
        let hint = match entry.value.scalar() {
            Some(scalar) if !entry.value.is_null() => format!("write {{bash: {}}}", shown(&scalar.text)),
            Some(_) | None => "for example {bash: ./choose.sh}".to_owned(),
        };
        reading.add(problem.hint(hint));
        return None;
    }
    let fields = Fields::open(&entry.value, entry.key_at, owner, place, reading)?;
    match (fields.entry("bash"), fields.entry("python")) {
        (Some(bash), None) => Some((fields, "bash", bash)),
        (None, Some(python)) => Some((fields, "python", python)),
        (Some(_), Some(second)) => {
            let message = format!("{} has both `bash` and `python`", fields.owner);
            reading.add(Problem::new(second.key_at, message).hint("keep one"));
            None
        }
        (None, None) => {
            if !fields.has_strangers {
                let message = format!("{} needs a program: `bash` or `python`", fields.owner);
                reading.add(Problem::new(entry.key_at, message));
            }
            None
        }
    }
}

/// The operator of a short circuit around its program.
pub(super) fn short_circuit(fields: &Fields<'_>, program: Operator, reading: &mut Reading<'_>) -> Operator {
    let ignores = fields.get("ignore_downstream_trigger_rules", reading, |node| values::flag(node));
    Operator::ShortCircuit {
        program: Box::new(program),
        ignore_downstream_trigger_rules: ignores.unwrap_or(true),
    }
}
