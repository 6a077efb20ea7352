//! Business days: `calendar` and `on_holiday`.

use std::collections::BTreeSet;

use chrono::{NaiveDate, Weekday};
use chrono_tz::Tz;

use crate::{
    dagfile::{
        diagnostic::Problem,
        fields::Fields,
        keys::Place,
        node::{Node, shown},
        reading::Reading,
        suggest::did_you_mean,
        values,
    },
    timetable::{Calendar, OnHoliday},
};

/// Reads the calendar of a schedule, if it has one, by the days of `zone`.
pub(super) fn read(fields: &Fields<'_>, zone: Tz, reading: &mut Reading<'_>) -> Option<Calendar> {
    let choices = OnHoliday::ALL.iter().map(|choice| (choice.as_str(), *choice));
    let on_holiday = fields
        .get("on_holiday", reading, |node| values::one_of(node, "rule for holidays", choices))
        .unwrap_or_default();
    let Some(entry) = fields.entry("calendar") else {
        if let Some(entry) = fields.entry("on_holiday") {
            reading.add(
                Problem::new(entry.key_at, format!("{}: `on_holiday` needs a `calendar`", fields.owner))
                    .hint("for example calendar: {weekend: [sat, sun]}"),
            );
        }
        return None;
    };
    let owner = fields.named("calendar");
    let fields = Fields::open(&entry.value, entry.key_at, owner, Place::Calendar, reading)?;
    let weekend = fields.get("weekend", reading, |node| values::list(node, weekday));
    let holidays = fields.get("holidays", reading, |node| values::list(node, holiday)).unwrap_or_default();
    let weekend = if fields.has("weekend") { weekend? } else { vec![Weekday::Sat, Weekday::Sun] };
    let calendar = Calendar::new(zone, weekend, BTreeSet::from_iter(holidays), on_holiday)
        .map_err(|error| Problem::new(entry.value.at, error.to_string()).of(&fields.owner));
    reading.keep(calendar)
}

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

fn weekday(node: &Node) -> Result<Weekday, Problem> {
    let name = values::text(node)?;
    name.trim().parse().map_err(|_| {
        Problem::new(node.at, format!("`{}` is not a weekday", shown(&name)))
            .hint("write mon, tue, wed, thu, fri, sat or sun")
            .maybe(did_you_mean(&name, WEEKDAYS))
    })
}

fn holiday(node: &Node) -> Result<NaiveDate, Problem> {
    let day = values::text(node)?;
    NaiveDate::parse_from_str(day.trim(), "%Y-%m-%d").map_err(|_| {
        Problem::new(node.at, format!("`{}` is not a day", shown(&day)))
            .hint("a holiday is a whole day: write 2026-12-25")
    })
}
