//! When runs are due: `schedule` and `catchup`.

use chrono_tz::Tz;

use super::{
    diagnostic::Problem,
    fields::Fields,
    keys::Place,
    node::{At, Node},
    reading::Reading,
    values,
};
use crate::{
    span::Span,
    timetable::{self, Catchup, Cron, Every, Timetable},
};

/// Reads `schedule`; none means manual runs only.
pub(super) fn read(fields: &Fields<'_>, zone: Tz, reading: &mut Reading<'_>) -> Option<Timetable> {
    let Some(entry) = fields.entry("schedule") else {
        return Some(Timetable::Null);
    };
    let node = &entry.value;
    if node.is_null() {
        return Some(Timetable::Null);
    }
    let owner = fields.named("schedule");
    if node.map().is_some() {
        return mapping(node, entry.key_at, owner, zone, reading);
    }
    reading.keep(written(node, zone).map_err(|problem| problem.of(&owner)))
}

fn written(node: &Node, zone: Tz) -> Result<Timetable, Problem> {
    let forms = "write a cron expression, a preset such as @daily, {every: 15m} or null";
    if node.list().is_some() {
        return Err(Problem::new(node.at, "a list of schedules is not supported by this version"));
    }
    if node.scalar().is_some_and(|scalar| !scalar.value.is_string()) {
        return Err(Problem::new(node.at, format!("{} is not a schedule", node.describe())).hint(forms));
    }
    let text = values::text(node)?;
    match text.trim() {
        "None" | "none" | "null" => Ok(Timetable::Null),
        "@continuous" => Err(Problem::new(node.at, "@continuous is not supported by this version")),
        expression => Timetable::parse(expression, zone).map_err(|error| explain(node, expression, &error)),
    }
}

fn explain(node: &Node, expression: &str, error: &timetable::Error) -> Problem {
    let duration = expression.parse::<Span>().is_ok();
    Problem::new(node.at, error.to_string())
        .maybe(duration.then(|| format!("did you mean {{every: {expression}}}?")))
}

fn mapping(node: &Node, at: At, owner: String, zone: Tz, reading: &mut Reading<'_>) -> Option<Timetable> {
    let fields = Fields::open(node, at, owner, Place::Schedule, reading)?;
    let data_interval = fields.get("data_interval", reading, |node| values::flag(node)).unwrap_or(false);
    let zone = fields.get("timezone", reading, |node| values::zone(node)).unwrap_or(zone);
    match (fields.entry("cron"), fields.entry("every")) {
        (Some(_), Some(every)) => {
            reading.add(
                Problem::new(every.key_at, format!("{} has both `cron` and `every`", fields.owner))
                    .hint("keep one"),
            );
            None
        }
        (Some(_), None) => {
            let cron = fields.get("cron", reading, |node| cron(node, zone))?;
            Some(Timetable::Cron(cron.with_data_interval(data_interval)))
        }
        (None, Some(_)) => {
            if let Some(zone) = fields.entry("timezone") {
                reading.add(
                    Problem::new(zone.key_at, format!("{}: `timezone` needs `cron`", fields.owner))
                        .hint("a fixed distance is the same in every zone"),
                );
            }
            let every = fields.get("every", reading, |node| every(node))?;
            Some(Timetable::Every(every.with_data_interval(data_interval)))
        }
        (None, None) => {
            if !fields.has_strangers {
                reading.add(Problem::new(at, format!("{} needs `cron` or `every`", fields.owner)));
            }
            None
        }
    }
}

fn cron(node: &Node, zone: Tz) -> Result<Cron, Problem> {
    let text = values::text(node)?;
    Cron::parse(text.trim(), zone).map_err(|error| explain(node, text.trim(), &error))
}

fn every(node: &Node) -> Result<Every, Problem> {
    Every::new(values::span(node)?).map_err(|error| Problem::new(node.at, error.to_string()))
}

/// Reads `catchup`; none is made up for unless it says so.
pub(super) fn catchup(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Option<Catchup> {
    let Some(entry) = fields.entry("catchup") else {
        return Some(Catchup::None);
    };
    let owner = fields.named("catchup");
    if entry.value.map().is_some() {
        let fields = Fields::open(&entry.value, entry.key_at, owner, Place::Catchup, reading)?;
        if !fields.has("window") && !fields.has_strangers {
            reading.add(
                Problem::new(entry.key_at, format!("{} needs a `window`", fields.owner))
                    .hint("for example {window: 6h}"),
            );
        }
        return fields.get("window", reading, |node| values::positive_span(node)).map(Catchup::Window);
    }
    let last = entry.value.scalar().is_some_and(|scalar| scalar.text == "last");
    if last {
        return Some(Catchup::Last);
    }
    let read = values::flag(&entry.value).map(|all| if all { Catchup::All } else { Catchup::None });
    let wanted = |_| {
        Problem::new(
            entry.value.at,
            format!("{owner} must be true, false, last or {{window: 6h}}, not {}", entry.value.describe()),
        )
    };
    reading.keep(read.map_err(wanted))
}
