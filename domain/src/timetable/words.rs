use chrono_tz::Tz;

use super::{cron::Plan, days::Days};

/// What a cron expression means, as one would say it: `At 02:30 every day, Europe/Berlin`.
pub(super) fn describe(plan: &Plan, zone: Tz) -> String {
    let (time, needs_day) = time(plan);
    let days: Vec<String> = plan.days().filter_map(day).collect();
    let day = match days.is_empty() {
        true if needs_day => " every day".to_owned(),
        true => String::new(),
        false => format!(" on {}", days.join(" or on ")),
    };
    let month = match plan.months.len() {
        12 => String::new(),
        _ => format!(" in {}", ranges(&plan.months, |month| name(&MONTHS, month - 1))),
    };
    format!("{time}{day}{month}, {}", zone.name())
}

/// Most times of the day that are listed one by one.
const MOST_TIMES: usize = 6;

/// The time of the day, and whether "every day" reads well behind it.
fn time(plan: &Plan) -> (String, bool) {
    let Plan { seconds, minutes, hours, .. } = plan;
    if seconds.len() * minutes.len() * hours.len() <= MOST_TIMES {
        return (format!("At {}", times(plan)), true);
    }
    if *seconds != [0] {
        return (within_minutes(plan), false);
    }
    let often = match step(minutes, 60) {
        Some(1) => "Every minute".to_owned(),
        Some(step) => format!("Every {step} minutes"),
        None => return (within_hours(minutes, hours), false),
    };
    (format!("{often}{}", of_hours(hours)), false)
}

fn times(plan: &Plan) -> String {
    let mut all = Vec::new();
    for hour in &plan.hours {
        for minute in &plan.minutes {
            for second in &plan.seconds {
                all.push(match plan.seconds == [0] {
                    true => format!("{hour:02}:{minute:02}"),
                    false => format!("{hour:02}:{minute:02}:{second:02}"),
                });
            }
        }
    }
    sentence(&all)
}

fn within_minutes(plan: &Plan) -> String {
    let seconds = match step(&plan.seconds, 60) {
        Some(1) => "Every second".to_owned(),
        Some(step) => format!("Every {step} seconds"),
        None => format!("At second {}", ranges(&plan.seconds, |second| second.to_string())),
    };
    let minutes = match plan.minutes.len() {
        60 => String::new(),
        _ => format!(" of minute {}", ranges(&plan.minutes, |minute| minute.to_string())),
    };
    format!("{seconds}{minutes}{}", of_hours(&plan.hours))
}

/// Minutes that are no even step.
fn within_hours(minutes: &[u32], hours: &[u32]) -> String {
    let every = match step(hours, 24) {
        Some(1) => "hour".to_owned(),
        Some(step) => format!("{step} hours"),
        None => {
            let minutes = ranges(minutes, |minute| minute.to_string());
            return format!("At minute {minutes}{}", of_hours(hours));
        }
    };
    match minutes {
        [0] => format!("Every {every}"),
        _ => format!("At minute {} of every {every}", ranges(minutes, |minute| minute.to_string())),
    }
}

fn of_hours(hours: &[u32]) -> String {
    match hours {
        _ if hours.len() == 24 => String::new(),
        _ => format!(" of hour {}", ranges(hours, |hour| format!("{hour:02}"))),
    }
}

fn day(days: &Days) -> Option<String> {
    Some(match days {
        Days::Every => return None,
        Days::Month(days) => format!("day {} of the month", ranges(days, |day| day.to_string())),
        Days::Week(weekdays) => ranges(&monday_first(weekdays), |weekday| name(&WEEKDAYS, weekday % 7)),
        Days::Last => "the last day of the month".to_owned(),
        Days::Nearest(day) => format!("the working day nearest to day {day} of the month"),
        Days::Nth(weekday, nth) => {
            format!("the {} {} of the month", name(&ORDINALS, nth - 1), name(&WEEKDAYS, *weekday))
        }
        Days::LastWeekday(weekday) => format!("the last {} of the month", name(&WEEKDAYS, *weekday)),
    })
}

/// Sunday as 7, so that a weekend is one range.
fn monday_first(weekdays: &[u32]) -> Vec<u32> {
    let mut all: Vec<u32> = weekdays.iter().map(|weekday| if *weekday == 0 { 7 } else { *weekday }).collect();
    all.sort_unstable();
    all
}

/// The step of values that run evenly through the whole field from 0 on.
fn step(values: &[u32], size: u32) -> Option<u32> {
    let count = u32::try_from(values.len()).ok()?;
    let step = size.checked_div(count)?;
    let even =
        step * count == size && values.iter().zip(0_u32..).all(|(value, index)| *value == index * step);
    (even && count > 1).then_some(step)
}

/// `1 to 5, 8 and 10`.
fn ranges(values: &[u32], say: impl Fn(u32) -> String) -> String {
    let runs = values.chunk_by(|one, next| one + 1 == *next);
    let parts: Vec<String> = runs
        .flat_map(|run| match run {
            [first, .., last] if run.len() > 2 => vec![format!("{} to {}", say(*first), say(*last))],
            _ => run.iter().map(|value| say(*value)).collect(),
        })
        .collect();
    sentence(&parts)
}

/// `one, two and three`.
pub(super) fn sentence(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

fn name(names: &[&str], index: u32) -> String {
    let found = usize::try_from(index).ok().and_then(|index| names.get(index));
    found.copied().unwrap_or_default().to_owned()
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const ORDINALS: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];
