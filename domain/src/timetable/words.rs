use chrono_tz::Tz;

const WEEKDAYS: [&str; 8] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A cron expression in words where it has a usual shape, else the expression itself; with the zone unless that is UTC.
pub(super) fn describe(expression: &str, zone: Tz) -> String {
    let words = in_words(expression).unwrap_or_else(|| format!("Cron `{expression}`"));
    if zone == Tz::UTC { words } else { format!("{words}, {zone}") }
}

fn in_words(expression: &str) -> Option<String> {
    let preset = super::PRESETS.iter().find(|(word, _)| *word == expression).map(|(_, text)| *text);
    let fields: Vec<&str> = preset.unwrap_or(expression).split_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields[..] else { return None };
    let when = days(day, month, weekday)?;
    let number = |text: &str| text.parse::<u32>().ok();
    let step = |text: &str| text.strip_prefix("*/").and_then(number);
    match (number(minute), number(hour)) {
        (Some(minute), Some(hour)) => Some(format!("At {hour:02}:{minute:02} {when}")),
        (Some(0), None) if hour == "*" => Some(format!("Every hour {when}")),
        (Some(minute), None) if hour == "*" => Some(format!("At minute {minute} of every hour {when}")),
        (Some(minute), None) => step(hour).map(|n| format!("At minute {minute} of every {n} hours {when}")),
        (None, None) if minute == "*" && hour == "*" => Some(format!("Every minute {when}")),
        (None, None) if hour == "*" => step(minute).map(|n| format!("Every {n} minutes {when}")),
        (None, _) => None,
    }
}

fn days(day: &str, month: &str, weekday: &str) -> Option<String> {
    match (day, month, weekday) {
        ("*", "*", "*") => Some("every day".to_owned()),
        ("*", "*", "1-5" | "mon-fri" | "MON-FRI") => Some("from Monday to Friday".to_owned()),
        ("*", "*", weekday) => {
            let index: usize = weekday.parse().ok()?;
            WEEKDAYS.get(index).map(|name| format!("every {name}"))
        }
        (day, "*", "*") => day.parse::<u32>().ok().map(|day| format!("on day {day} of every month")),
        (_, _, _) => None,
    }
}
