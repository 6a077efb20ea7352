//! `deadline`: by when runs should have ended.

use super::{diagnostic::Problem, fields::Fields, keys::Place, node::Node, reading::Reading, values};
use crate::deadline::{Deadline, MAX_DEADLINES, Reference};

/// Longest name, in characters; the rest is left out.
const MAX_NAME: usize = 100;

/// Reads the deadline of a DAG, or the list of them.
pub(super) fn read(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Vec<Deadline> {
    let owner = fields.named("deadline");
    let entry = fields.entry("deadline").filter(|entry| !entry.value.is_null());
    let deadlines: Vec<Deadline> = match entry.map(|entry| (entry, entry.value.list())) {
        None => Vec::new(),
        Some((entry, Some(items))) => {
            if items.len() > MAX_DEADLINES {
                let message = format!("{owner} has more than {MAX_DEADLINES} deadlines");
                reading.add(Problem::new(entry.value.at, message));
                return Vec::new();
            }
            items.iter().filter_map(|item| one(item, &owner, reading)).collect()
        }
        Some((entry, None)) => one(&entry.value, &owner, reading).into_iter().collect(),
    };
    if let (None, Some(notices)) = (entry, fields.entry("on_deadline").filter(|entry| !entry.value.is_null()))
    {
        let message =
            format!("{} has `on_deadline` but no `deadline`: nobody would ever be told", fields.owner);
        reading.add(Problem::new(notices.key_at, message).hint("add `deadline: {within: 30m}`"));
    }
    deadlines
}

fn one(node: &Node, owner: &str, reading: &mut Reading<'_>) -> Option<Deadline> {
    if node.map().is_none() {
        let message = format!("{owner} must be a mapping, this is {}", node.describe());
        reading.add(Problem::new(node.at, message).hint("for example {within: 30m}"));
        return None;
    }
    let fields = Fields::open(node, node.at, owner.to_owned(), Place::Deadline, reading)?;
    if !fields.has("within") && !fields.has_strangers {
        let message = format!("{owner} needs `within`");
        reading.add(Problem::new(node.at, message).hint("the time that a run has, such as 30m"));
    }
    let within = fields.get("within", reading, |node| values::positive_span(node));
    let references = Reference::ALL.map(|reference| (reference.as_str(), reference));
    let from = fields.get("from", reading, |node| {
        values::one_of(node, "moment that deadlines count from", references.into_iter())
    });
    let name = fields.given("name", reading, |node| values::text(node)).flatten();
    let name = name.map(|name| name.trim().chars().take(MAX_NAME).collect());
    Some(Deadline { name, within: within?, from: from.unwrap_or_default() })
}
