//! `approval`: a question to people.

use std::rc::Rc;

use indexmap::IndexMap;

use super::{
    diagnostic::Problem,
    fields::Fields,
    keys::Place,
    node::{Entry, Node, shown},
    param,
    reading::Reading,
    suggest::did_you_mean,
    tree::{Body, Item},
    values,
};
use crate::{
    approval::{APPROVE, AfterAnswer, Approval, MAX_OPTION, MAX_OPTIONS, MAX_USERS, Question, REJECT, Terms},
    dag::{Operator, Task},
};

/// What only an approval without options of its own has.
const OF_REJECT: [&str; 2] = ["fail_on_reject", "ignore_downstream_trigger_rules"];

/// Reads `approval`: a mapping, or its subject alone.
pub(super) fn read(entry: &Entry, owner: String, reading: &mut Reading<'_>) -> Option<Operator> {
    if entry.value.map().is_none() {
        let subject = reading.keep(values::text(&entry.value).map_err(|problem| problem.of(&owner)))?;
        let question = Question { subject, body: None };
        let terms = Terms {
            options: usual_options(),
            defaults: Vec::new(),
            multiple: false,
            params: IndexMap::new(),
            assigned_users: Vec::new(),
        };
        let then = AfterAnswer::Reject { fails: false, ignore_downstream_trigger_rules: false };
        return checked(Approval { question, terms, timeout: None, then }, entry, &owner, reading);
    }
    let fields = Fields::open(&entry.value, entry.key_at, owner, Place::Approval, reading)?;
    if !fields.has("subject") && !fields.has_strangers {
        let problem = Problem::new(entry.key_at, format!("{} needs a `subject`", fields.owner));
        reading.add(problem.hint("the question in one line"));
    }
    let subject = fields.get("subject", reading, |node| values::text(node));
    let body = fields.given("body", reading, |node| values::text(node)).flatten();
    let timeout = fields.given("timeout", reading, |node| values::positive_span(node)).flatten();
    let (terms, then) = (terms(&fields, reading), then(&fields, reading));
    let (terms, then) = (terms?, then?);
    check_branches(&fields, &terms, &then, reading)?;
    let question = Question { subject: subject?, body };
    checked(Approval { question, terms, timeout, then }, entry, &fields.owner, reading)
}

// What a worker renders is checked when it has been.
fn checked(approval: Approval, entry: &Entry, owner: &str, reading: &mut Reading<'_>) -> Option<Operator> {
    if !approval.question.is_template() {
        let problem = |why| Problem::new(entry.value.at, format!("{owner}: {why}"));
        reading.keep(approval.question.check().map_err(problem))?;
    }
    Some(Operator::Approval(Box::new(approval)))
}

fn usual_options() -> Vec<String> {
    [APPROVE, REJECT].map(str::to_owned).to_vec()
}

// Reads everything that is there, so that every mistake is told at once.
fn terms(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Option<Terms> {
    let given = fields.given("options", reading, |node| options(node));
    let multiple = fields.get("multiple", reading, |node| values::flag(node)).unwrap_or(false);
    let defaults = fields.given("defaults", reading, |node| one_or_several(node)).flatten();
    let params = param::read(fields, reading);
    let users = fields.given("assigned_users", reading, |node| users(node)).flatten();
    let options = match given {
        Some(options) => options,
        None if fields.has("options") => None,
        None => Some(branch_options(fields).unwrap_or_else(usual_options)),
    }?;
    if multiple && !fields.has("options") && !fields.has("branches") {
        let entry = fields.entry("multiple")?;
        let message = format!("{} cannot be both approved and rejected", fields.owner);
        reading.add(Problem::new(entry.key_at, message).hint("`multiple` needs `options` of your own"));
        return None;
    }
    if let (Some(defaults), Some(entry)) = (&defaults, fields.entry("defaults")) {
        let checked = check_defaults(defaults, &options, multiple, &entry.value);
        reading.keep(checked.map_err(|problem| problem.of(&fields.named("defaults"))))?;
    }
    Some(Terms {
        options,
        defaults: defaults.unwrap_or_default(),
        multiple,
        params,
        assigned_users: users.unwrap_or_default(),
    })
}

fn options(node: &Node) -> Result<Vec<String>, Problem> {
    let options = values::list(node, option)?;
    if options.is_empty() {
        return Err(Problem::new(node.at, "the list is empty: nothing could be chosen"));
    }
    if options.len() > MAX_OPTIONS {
        return Err(Problem::new(node.at, format!("a question has at most {MAX_OPTIONS} options")));
    }
    no_repetition(node, &options)?;
    Ok(options)
}

fn option(node: &Node) -> Result<String, Problem> {
    let option = values::any_text(node)?;
    if option.trim().is_empty() {
        return Err(Problem::new(node.at, "an option is empty"));
    }
    if option.chars().count() > MAX_OPTION {
        return Err(Problem::new(node.at, format!("an option has at most {MAX_OPTION} characters")));
    }
    if option.contains("{{") || option.contains("{%") {
        let problem = Problem::new(node.at, format!("`{}`: an option is no template", shown(&option)));
        return Err(problem.hint("what differs from run to run belongs into `subject` or `body`"));
    }
    Ok(option)
}

fn one_or_several(node: &Node) -> Result<Vec<String>, Problem> {
    let several = if node.list().is_some() {
        values::list(node, values::any_text)?
    } else {
        vec![values::any_text(node)?]
    };
    if several.is_empty() {
        return Err(Problem::new(node.at, "the list is empty").hint("leave the key out instead"));
    }
    no_repetition(node, &several)?;
    Ok(several)
}

fn users(node: &Node) -> Result<Vec<String>, Problem> {
    let users = one_or_several(node)?;
    if users.len() > MAX_USERS {
        return Err(Problem::new(node.at, format!("at most {MAX_USERS} users can be named")));
    }
    match users.iter().any(|user| user.trim().is_empty()) {
        true => Err(Problem::new(node.at, "the name of a user is empty")),
        false => Ok(users),
    }
}

fn no_repetition(node: &Node, names: &[String]) -> Result<(), Problem> {
    let again = (1..names.len()).find(|&place| names[..place].contains(&names[place]));
    let Some(again) = again else { return Ok(()) };
    let at = node.list().and_then(|list| list.get(again)).map_or(node.at, |node: &Rc<Node>| node.at);
    Err(Problem::new(at, format!("`{}` is there twice", shown(&names[again]))))
}

fn check_defaults(
    defaults: &[String],
    options: &[String],
    multiple: bool,
    node: &Node,
) -> Result<(), Problem> {
    if let Some(place) = defaults.iter().position(|default| !options.contains(default)) {
        let at = node.list().and_then(|list| list.get(place)).map_or(node.at, |node| node.at);
        let names = || options.iter().map(String::as_str);
        let problem = Problem::new(at, format!("`{}` is not one of the options", shown(&defaults[place])));
        return Err(problem.maybe(did_you_mean(&defaults[place], names())));
    }
    if defaults.len() > 1 && !multiple {
        let problem = Problem::new(node.at, "only one option can be chosen, so only one can be the default");
        return Err(problem.hint("keep one, or set `multiple: true`"));
    }
    Ok(())
}

fn then(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Option<AfterAnswer> {
    let mut flag = |name: &'static str| fields.get(name, reading, |node| values::flag(node)).unwrap_or(false);
    let (fails, ignore_downstream_trigger_rules) = (flag(OF_REJECT[0]), flag(OF_REJECT[1]));
    let own = ["branches", "options"].into_iter().find(|name| fields.has(name));
    let Some(own) = own else {
        return Some(AfterAnswer::Reject { fails, ignore_downstream_trigger_rules });
    };
    if let Some((name, entry)) = OF_REJECT.iter().find_map(|name| Some((name, fields.entry(name)?))) {
        let message = format!("`{name}` of {} means nothing with `{own}`", fields.owner);
        let hint = format!("without `{own}` the options are {APPROVE} and {REJECT}");
        reading.add(Problem::new(entry.key_at, message).hint(hint));
        return None;
    }
    if !fields.has("branches") {
        return Some(AfterAnswer::Nothing);
    }
    let targets = fields.get("branches", reading, |node| {
        let targets = values::texts_by_name(node, |_| Ok(()))?;
        match targets.is_empty() {
            true => Err(Problem::new(node.at, "the mapping is empty: no option leads anywhere")),
            false => Ok(targets),
        }
    })?;
    Some(AfterAnswer::Branch(targets.into_iter().collect()))
}

// Without options of their own, branches name them.
fn branch_options(fields: &Fields<'_>) -> Option<Vec<String>> {
    let map = fields.entry("branches")?.value.map()?;
    (!map.is_empty()).then(|| map.keys().cloned().collect())
}

fn check_branches(
    fields: &Fields<'_>,
    terms: &Terms,
    then: &AfterAnswer,
    reading: &mut Reading<'_>,
) -> Option<()> {
    let AfterAnswer::Branch(targets) = then else { return Some(()) };
    let Some(option) = targets.keys().find(|option| !terms.options.contains(option)) else {
        return Some(());
    };
    let map = fields.entry("branches")?.value.map()?;
    let at = map.get(option).map_or(fields.at, |entry| entry.key_at);
    let message = format!("{}: `{}` is not one of the options", fields.named("branches"), shown(option));
    let names = terms.options.iter().map(String::as_str);
    reading.add(Problem::new(at, message).maybe(did_you_mean(option, names)));
    None
}

/// What the settings of a task mean for its question. Source: Airflow's `HITLOperator`, for which an `execution_timeout` without a timeout of
/// its own is the time to answer.
pub(super) fn apply(task: &mut Task) {
    if let Operator::Approval(approval) = &mut task.operator
        && approval.timeout.is_none()
    {
        approval.timeout = task.execution_timeout.take();
    }
}

/// Refuses options that lead nowhere.
pub(super) fn check_targets(items: &[Item], reading: &mut Reading<'_>) {
    for item in items {
        let Body::Task(Some(task)) = &item.body else { continue };
        let Operator::Approval(approval) = &task.operator else { continue };
        let AfterAnswer::Branch(targets) = &approval.then else { continue };
        let target = |option| targets.get(option).unwrap_or(option);
        let lost = approval.terms.options.iter().find(|option| {
            let target = target(option);
            !items.iter().any(|item| item.id == *target)
        });
        if let Some(option) = lost {
            let id = target(option);
            let message = format!(
                "{}: option `{}` leads to `{}`, and there is no such task or group",
                item.named(),
                shown(option),
                shown(id)
            );
            let ids = items.iter().map(|item| item.id.as_str());
            reading.add(Problem::new(item.at, message).maybe(did_you_mean(id, ids)));
        }
    }
}
