//! `repeat`: a task that runs in rounds.

use super::{
    diagnostic::{Problem, alternatives},
    fields::Fields,
    keys::Place,
    node::{Entry, Node, shown},
    reading::Reading,
    values,
};
use crate::{
    dag::Operator,
    repeat::{MAX_CONDITION, MAX_ROUNDS, OnExhausted, Repeat},
};

/// The operators that may be repeated: those whose result only their worker knows, and that choose for nobody else.
const REPEATED: [&str; 4] = ["bash", "python", "sql", "http"];

/// Reads `repeat` of a task that does this.
pub(super) fn read(
    fields: &Fields<'_>,
    operator: Option<&Operator>,
    reading: &mut Reading<'_>,
) -> Option<Repeat> {
    let entry = fields.entry("repeat").filter(|entry| !entry.value.is_null())?;
    let owner = fields.named("repeat");
    if entry.value.map().is_none() {
        let message = format!("{owner} must be a mapping, this is {}", entry.value.describe());
        let hint = "for example {until: \"{{ result == 'done' }}\", max_rounds: 10}";
        reading.add(Problem::new(entry.value.at, message).hint(hint));
        return None;
    }
    if let Some(operator) = operator.filter(|operator| !REPEATED.contains(&operator.key())) {
        let message = format!("{}: `{}` cannot be repeated", fields.owner, operator.key());
        let names = alternatives(REPEATED, "and");
        reading.add(Problem::new(entry.key_at, message).hint(format!("only {names} can")));
    }
    of(entry, owner, reading)
}

fn of(entry: &Entry, owner: String, reading: &mut Reading<'_>) -> Option<Repeat> {
    let fields = Fields::open(&entry.value, entry.key_at, owner, Place::Repeat, reading)?;
    for (name, why) in
        [("until", "the condition that ends it"), ("max_rounds", "how many rounds there may be")]
    {
        if !fields.has(name) && !fields.has_strangers {
            let message = format!("{} needs `{name}`", fields.owner);
            reading.add(Problem::new(entry.key_at, message).hint(why));
        }
    }
    let until = fields.get("until", reading, |node| condition(node));
    let rounds = |node: &std::rc::Rc<Node>| values::whole(node, 1, i64::from(MAX_ROUNDS));
    let max_rounds = fields.get("max_rounds", reading, rounds);
    let delay = fields.given("delay", reading, |node| values::span(node)).flatten();
    let ends = OnExhausted::ALL.map(|end| (end.as_str(), end));
    let end = |node: &std::rc::Rc<Node>| values::one_of(node, "end of a loop", ends.into_iter());
    let on_exhausted = fields.get("on_exhausted", reading, end).unwrap_or_default();
    Some(Repeat { until: until?, max_rounds: max_rounds?, delay, on_exhausted })
}

/// The expression between the braces. Whether it can be read is known to who evaluates it.
fn condition(node: &Node) -> Result<String, Problem> {
    let text = values::text(node)?;
    if text.len() > MAX_CONDITION {
        return Err(Problem::new(node.at, format!("a condition has at most {MAX_CONDITION} bytes")));
    }
    let inner = text.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).map(str::trim);
    let whole = inner.filter(|inner| !inner.is_empty() && !inner.contains("{{") && !inner.contains("{%"));
    whole.map(str::to_owned).ok_or_else(|| {
        let message = format!("`{}` is not one Jinja expression in braces", shown(&text));
        Problem::new(node.at, message).hint("for example \"{{ result == 'done' }}\"")
    })
}
