//! Times at which nothing starts: `blackout` and `on_blackout`.

use chrono::{DateTime, NaiveTime, Utc};
use chrono_tz::Tz;

use crate::{
    dagfile::{
        date,
        diagnostic::Problem,
        fields::Fields,
        keys::Place,
        node::{At, Node, shown},
        reading::Reading,
        values,
    },
    timetable::{Blackout, OnBlackout, Window},
};

/// Reads the blackout of a schedule, if it has one, by the clock of `zone`.
pub(super) fn read(fields: &Fields<'_>, zone: Tz, reading: &mut Reading<'_>) -> Option<Blackout> {
    let choices = OnBlackout::ALL.iter().map(|choice| (choice.as_str(), *choice));
    let on_blackout = fields
        .get("on_blackout", reading, |node| values::one_of(node, "rule for blackouts", choices))
        .unwrap_or_default();
    let Some(entry) = fields.entry("blackout") else {
        if let Some(entry) = fields.entry("on_blackout") {
            reading.add(
                Problem::new(entry.key_at, format!("{}: `on_blackout` needs a `blackout`", fields.owner))
                    .hint(r#"for example blackout: [{from: "22:00", to: "06:00"}]"#),
            );
        }
        return None;
    };
    let owner = fields.named("blackout");
    let before = reading.report.count();
    let mut windows = Vec::new();
    match entry.value.list() {
        Some(list) if list.len() <= Blackout::MOST => {
            for (index, node) in list.iter().enumerate() {
                windows.extend(window(
                    node,
                    node.at,
                    format!("element {} of {owner}", index + 1),
                    zone,
                    reading,
                ));
            }
        }
        // Too many: not worth judging one by one.
        Some(list) => windows.resize(list.len(), Window::Minutes { cron: "* * * * *".to_owned() }),
        None => windows.extend(window(&entry.value, entry.key_at, owner.clone(), zone, reading)),
    }
    if reading.report.count() > before {
        return None;
    }
    let blackout = Blackout::new(zone, windows, on_blackout)
        .map_err(|error| Problem::new(entry.value.at, error.to_string()).of(&owner));
    reading.keep(blackout)
}

fn window(node: &Node, at: At, owner: String, zone: Tz, reading: &mut Reading<'_>) -> Option<Window> {
    let fields = Fields::open(node, at, owner, Place::Blackout, reading)?;
    let window = match (fields.has("cron"), fields.has("from") && fields.has("to")) {
        (true, false) if !fields.has("from") && !fields.has("to") => {
            Window::Minutes { cron: fields.get("cron", reading, |node| values::text(node))? }
        }
        (false, true) => {
            let from = fields.get("from", reading, |node| bound(node, zone));
            let to = fields.get("to", reading, |node| bound(node, zone));
            between(from?, to?).or_else(|| {
                let problem = format!(
                    "{}: `from` and `to` must both be times of the day or both be dates",
                    fields.owner
                );
                reading.add(Problem::new(at, problem).hint("for example {from: \"22:00\", to: \"06:00\"}"));
                None
            })?
        }
        _ => {
            if !fields.has_strangers {
                let problem = format!("{} needs `from` and `to`, or `cron`", fields.owner);
                reading.add(Problem::new(at, problem).hint("for example {from: \"22:00\", to: \"06:00\"}"));
            }
            return None;
        }
    };
    let sound = Blackout::new(zone, vec![window.clone()], OnBlackout::Skip)
        .map_err(|error| Problem::new(at, error.to_string()).of(&fields.owner));
    reading.keep(sound).map(|_| window)
}

enum Bound {
    Time(NaiveTime),
    Moment(DateTime<Utc>),
}

fn between(from: Bound, to: Bound) -> Option<Window> {
    match (from, to) {
        (Bound::Time(from), Bound::Time(to)) => Some(Window::Daily { from, to }),
        (Bound::Moment(from), Bound::Moment(to)) => Some(Window::Once { from, to }),
        (Bound::Time(_), Bound::Moment(_)) | (Bound::Moment(_), Bound::Time(_)) => None,
    }
}

/// A time of the day, or a date.
fn bound(node: &Node, zone: Tz) -> Result<Bound, Problem> {
    let written = values::text(node)?;
    let text = written.trim();
    if !text.contains(':') || text.contains('-') {
        return date::date(node, zone).map(Bound::Moment);
    }
    let text = if text == "24:00" { "00:00" } else { text };
    let read = |format| NaiveTime::parse_from_str(text, format);
    read("%H:%M").or_else(|_| read("%H:%M:%S")).map(Bound::Time).map_err(|_| {
        Problem::new(node.at, format!("`{}` is not a time of the day", shown(text)))
            .hint("write 22:00, or a date such as 2026-12-24")
    })
}
