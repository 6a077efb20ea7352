//! `deadline`: by when runs should have ended.

use chrono_tz::Tz;

use super::{date, diagnostic::Problem, fields::Fields, keys::Place, node::Node, reading::Reading, values};
use crate::{
    deadline::{Deadline, Interval, MAX_AVERAGED, MAX_DEADLINES, Reference, USUAL_AVERAGED},
    span::Span,
};

/// Longest name, in characters; the rest is left out.
const MAX_NAME: usize = 100;

/// What `from` may say.
pub(super) const FROM: [&str; 4] = ["queued", "logical_date", "start", "average_runtime"];

/// Reads the deadline of a DAG, or the list of them. Moments without a zone are in `zone`.
pub(super) fn read(fields: &Fields<'_>, zone: Tz, reading: &mut Reading<'_>) -> Vec<Deadline> {
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
            items.iter().filter_map(|item| one(item, &owner, zone, reading)).collect()
        }
        Some((entry, None)) => one(&entry.value, &owner, zone, reading).into_iter().collect(),
    };
    if let (None, Some(notices)) = (entry, fields.entry("on_deadline").filter(|entry| !entry.value.is_null()))
    {
        let message =
            format!("{} has `on_deadline` but no `deadline`: nobody would ever be told", fields.owner);
        reading.add(Problem::new(notices.key_at, message).hint("add `deadline: {within: 30m}`"));
    }
    deadlines
}

fn one(node: &Node, owner: &str, zone: Tz, reading: &mut Reading<'_>) -> Option<Deadline> {
    if node.map().is_none() {
        let message = format!("{owner} must be a mapping, this is {}", node.describe());
        reading.add(Problem::new(node.at, message).hint("for example {within: 30m}"));
        return None;
    }
    let fields = Fields::open(node, node.at, owner.to_owned(), Place::Deadline, reading)?;
    let name = fields.given("name", reading, |node| values::text(node)).flatten();
    let name = name.map(|name| name.trim().chars().take(MAX_NAME).collect());
    let (within, from) = if fields.has("at") {
        (Span::from_millis(0), at(&fields, zone, reading)?)
    } else {
        counted(&fields, node, reading)?
    };
    Some(Deadline { name, within: Interval::After(within), from, callback: None })
}

/// A moment by itself.
fn at(fields: &Fields<'_>, zone: Tz, reading: &mut Reading<'_>) -> Option<Reference> {
    refuse(fields, &["within", "from", "runs", "min_runs"], "`at` is the moment itself", reading);
    fields.get("at", reading, |node| date::date(node, zone)).map(Reference::At)
}

/// A length of time after something.
fn counted(fields: &Fields<'_>, node: &Node, reading: &mut Reading<'_>) -> Option<(Span, Reference)> {
    if !fields.has("within") && !fields.has_strangers {
        let message = format!("{} needs `within`, or `at`", fields.owner);
        reading.add(Problem::new(node.at, message).hint("the time that a run has, such as 30m"));
    }
    let within = fields.get("within", reading, |node| values::positive_span(node));
    let from = fields.get("from", reading, |node| {
        values::one_of(node, "moment that deadlines count from", FROM.into_iter().zip(FROM))
    });
    let reference = match from {
        Some("logical_date") => Reference::LogicalDate,
        Some("start") => Reference::Start,
        Some("average_runtime") => average(fields, reading),
        Some(_) | None => Reference::Queued,
    };
    if from != Some("average_runtime") {
        refuse(fields, &["runs", "min_runs"], "only `from: average_runtime` looks at other runs", reading);
    }
    Some((within?, reference))
}

fn average(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Reference {
    let most = i64::from(MAX_AVERAGED);
    let max_runs = fields.get("runs", reading, |node| values::whole(node, 1, most)).unwrap_or(USUAL_AVERAGED);
    let least = fields.get("min_runs", reading, |node| values::whole(node, 1, i64::from(max_runs)));
    Reference::AverageRuntime { max_runs, min_runs: least.unwrap_or(max_runs) }
}

fn refuse(fields: &Fields<'_>, keys: &[&str], why: &str, reading: &mut Reading<'_>) {
    for key in keys {
        if let Some(entry) = fields.entry(key) {
            let message = format!("{}: {why}", fields.named(key));
            reading.add(Problem::new(entry.key_at, message).hint(format!("remove `{key}`")));
        }
    }
}
