//! Timetables as people say them.

use chrono::Weekday;
use chrono_tz::Tz;

use super::{
    Blackout, CONTINUOUS, Calendar, Composed, Dates, Interval, Listed, ONCE, OnBlackout, OnHoliday, Program,
    Timetable, Window, words::sentence,
};

/// Most parts that a text about a timetable lists one by one; the rest is counted.
const MOST: usize = 5;

pub(super) fn zone(timetable: &Timetable) -> Option<Tz> {
    match timetable {
        Timetable::Cron(cron) => Some(cron.zone()),
        Timetable::Composed(composed) => {
            let mut zones = composed.any().iter().filter_map(zone).collect::<Vec<_>>();
            zones.extend(composed.calendar().map(Calendar::zone));
            zones.extend(composed.blackout().map(Blackout::zone));
            let first = zones.first().copied()?;
            zones.iter().all(|zone| *zone == first).then_some(first)
        }
        Timetable::Null
        | Timetable::Once
        | Timetable::Continuous
        | Timetable::Every(_)
        | Timetable::Dates(_)
        | Timetable::Listed(_) => None,
    }
}

pub(super) fn summary(timetable: &Timetable) -> String {
    match timetable {
        Timetable::Null => "None".to_owned(),
        Timetable::Once => ONCE.to_owned(),
        Timetable::Continuous => CONTINUOUS.to_owned(),
        Timetable::Cron(cron) => cron.expression().to_owned(),
        Timetable::Every(every) => format!("every {}", every.span()),
        Timetable::Dates(dates) => match dates.moments() {
            [one] => format!("at {}", one.format("%Y-%m-%d %H:%M UTC")),
            all => format!("{} dates", all.len()),
        },
        Timetable::Composed(composed) => composed_summary(composed),
        Timetable::Listed(listed) => listed.program().summary.clone(),
    }
}

fn composed_summary(composed: &Composed) -> String {
    let mut parts: Vec<String> = composed.any().iter().take(MOST).map(summary).collect();
    let untold = composed.any().len() - parts.len();
    if untold > 0 {
        parts.push(format!("{untold} more"));
    }
    let mut notes = Vec::new();
    notes.extend(composed.calendar().map(|_| "business days".to_owned()));
    notes.extend(composed.blackout().map(|_| "blackout".to_owned()));
    notes.extend(composed.jitter().map(|jitter| format!("jitter {}", jitter.within())));
    let list = parts.join(", ");
    if notes.is_empty() { list } else { format!("{list} ({})", notes.join(", ")) }
}

pub(super) fn description(timetable: &Timetable) -> String {
    match timetable {
        Timetable::Null => "Never by schedule, only when triggered".to_owned(),
        Timetable::Once => "Once, as soon as possible".to_owned(),
        Timetable::Continuous => "Again and again, as soon as the last run has ended".to_owned(),
        Timetable::Cron(cron) => cron.description(),
        Timetable::Every(every) => format!("Every {}", every.span()),
        Timetable::Dates(dates) => dates_description(dates),
        Timetable::Composed(composed) => composed_description(composed),
        Timetable::Listed(listed) => listed_description(listed),
    }
}

fn dates_description(dates: &Dates) -> String {
    let all = dates.moments().iter().map(|moment| moment.format("%Y-%m-%d %H:%M").to_string());
    format!("On {}, UTC", shortened(all.collect()))
}

fn composed_description(composed: &Composed) -> String {
    let mut parts: Vec<String> = composed.any().iter().take(MOST).map(description).collect();
    parts.iter_mut().skip(1).for_each(|part| lower_first(part));
    let untold = composed.any().len() - parts.len();
    if untold > 0 {
        parts.push(format!("{untold} more"));
    }
    let mut text = parts.join("; and ");
    let notes = [
        composed.calendar().map(calendar_description),
        composed.blackout().map(blackout_description),
        interval_description(composed.data_interval()),
        composed.jitter().map(|jitter| {
            format!("started {}s later (jitter {})", jitter.delay().num_seconds(), jitter.within())
        }),
    ];
    for note in notes.into_iter().flatten() {
        text.push_str("; ");
        text.push_str(&note);
    }
    text
}

fn listed_description(listed: &Listed) -> String {
    let Program { class, summary, description, .. } = listed.program();
    let own = if description.is_empty() { summary } else { description };
    let text = format!("{own}, as {class} says");
    match listed.listing().fault() {
        Some(fault) => format!("{text}; it could not name all its runs: {fault}"),
        None => text,
    }
}

fn lower_first(text: &mut str) {
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_lowercase();
    }
}

fn calendar_description(calendar: &Calendar) -> String {
    let rule = match calendar.on_holiday() {
        OnHoliday::Skip => "not on",
        OnHoliday::NextBusinessDay => "on the next business day instead of",
        OnHoliday::PreviousBusinessDay => "on the business day before instead of",
    };
    let mut days: Vec<String> = calendar.weekend().iter().map(|day| weekday(*day).to_owned()).collect();
    match calendar.holidays().len() {
        0 => {}
        1 => days.push("1 holiday".to_owned()),
        count => days.push(format!("{count} holidays")),
    }
    let days = if days.is_empty() { "no day".to_owned() } else { sentence(&days) };
    format!("{rule} {days}, {}", calendar.zone().name())
}

fn blackout_description(blackout: &Blackout) -> String {
    let windows = blackout.windows().iter().map(|window| match window {
        Window::Daily { from, to } => format!("from {} to {}", from.format("%H:%M"), to.format("%H:%M")),
        Window::Once { from, to } => {
            let said = |moment: &chrono::DateTime<chrono::Utc>| {
                moment.with_timezone(&blackout.zone()).format("%Y-%m-%d %H:%M").to_string()
            };
            format!("from {} to {}", said(from), said(to))
        }
        Window::Minutes { cron } => format!("in the minutes of `{cron}`"),
    });
    let windows = format!("{}, {}", shortened(windows.collect()), blackout.zone().name());
    match blackout.on_blackout() {
        OnBlackout::Skip => format!("never {windows}"),
        OnBlackout::Delay => format!("when due {windows}, only afterwards"),
    }
}

fn interval_description(interval: Interval) -> Option<String> {
    match interval {
        Interval::Moment => None,
        Interval::SinceLast => Some("about the time since the one before".to_owned()),
        Interval::Length(length) => Some(format!("about the {length} before")),
    }
}

/// The first few, and how many there are besides.
fn shortened(mut all: Vec<String>) -> String {
    if all.len() > MOST {
        let untold = all.len() - MOST;
        all.truncate(MOST);
        all.push(format!("{untold} more"));
    }
    sentence(&all)
}

const fn weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Mon => "Monday",
        Weekday::Tue => "Tuesday",
        Weekday::Wed => "Wednesday",
        Weekday::Thu => "Thursday",
        Weekday::Fri => "Friday",
        Weekday::Sat => "Saturday",
        Weekday::Sun => "Sunday",
    }
}
