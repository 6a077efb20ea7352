//! Dates as people write them: `2026-01-01`, `2026-01-01T06:00`, `2026-01-01 06:00:00+02:00`.

use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;

use super::{
    diagnostic::Problem,
    node::{Node, shown},
    values::text,
};
use crate::wait::Clock;

/// The moment `node` names, read in `zone` when it names none itself.
///
/// A local time that occurs twice, when the clocks go back, is the first of the two. One that the clocks skip is an error:
/// nobody can know which moment was meant.
pub(super) fn date(node: &Node, zone: Tz) -> Result<DateTime<Utc>, Problem> {
    let written = text(node)?;
    let problem = |message: String| Problem::new(node.at, message);
    let Some(moment) = parse(written.trim()) else {
        return Err(problem(format!("`{}` is not a date", shown(&written)))
            .hint("write 2026-01-31, 2026-01-31T06:00 or 2026-01-31T06:00+02:00"));
    };
    match moment {
        Moment::Absolute(instant) => Ok(instant),
        Moment::Local(local) => match zone.from_local_datetime(&local) {
            LocalResult::Single(instant) | LocalResult::Ambiguous(instant, _) => Ok(instant.to_utc()),
            LocalResult::None => Err(problem(format!(
                "{} does not exist in {zone}: the clocks go forward over it",
                local.format("%Y-%m-%d %H:%M")
            ))
            .hint("choose another time or add an offset such as +00:00")),
        },
    }
}

/// The moment `node` names, to be read in the DAG's zone when it names none itself.
pub(super) fn clock(node: &Node) -> Result<Clock, Problem> {
    let written = text(node)?;
    match parse(written.trim()) {
        Some(Moment::Absolute(instant)) => Ok(Clock::At(instant)),
        Some(Moment::Local(local)) => Ok(Clock::Local(local)),
        None => Err(Problem::new(node.at, format!("`{}` is not a date", shown(&written)))
            .hint("write 2026-01-31, 2026-01-31T06:00 or 2026-01-31T06:00+02:00")),
    }
}

enum Moment {
    Absolute(DateTime<Utc>),
    Local(NaiveDateTime),
}

fn parse(text: &str) -> Option<Moment> {
    // Four digits of the year keep everything within what PostgreSQL and people understand.
    let year = text.get(..5)?;
    if !year.ends_with('-') || !year.bytes().take(4).all(|byte| byte.is_ascii_digit()) || year == "0000-" {
        return None;
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return day.and_hms_opt(0, 0, 0).map(Moment::Local);
    }
    let (day, time) = text.split_once(['T', 't', ' '])?;
    let time = time.trim_start();
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return local(day, time).map(|local| Moment::Absolute(local.and_utc()));
    }
    let zoned = |format| DateTime::parse_from_str(&format!("{day} {time}"), format).ok();
    if let Some(instant) = zoned("%Y-%m-%d %H:%M%:z").or_else(|| zoned("%Y-%m-%d %H:%M:%S%.f%:z")) {
        return Some(Moment::Absolute(instant.to_utc()));
    }
    local(day, time).map(Moment::Local)
}

fn local(day: &str, time: &str) -> Option<NaiveDateTime> {
    let together = format!("{day} {}", time.trim_end());
    let read = |format| NaiveDateTime::parse_from_str(&together, format).ok();
    read("%Y-%m-%d %H:%M").or_else(|| read("%Y-%m-%d %H:%M:%S%.f"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str, zone: &str) -> Option<String> {
        match parse(text)? {
            Moment::Absolute(instant) => Some(instant.to_rfc3339()),
            Moment::Local(local) => {
                let zone: Tz = zone.parse().unwrap();
                Some(zone.from_local_datetime(&local).earliest()?.to_utc().to_rfc3339())
            }
        }
    }

    #[test]
    fn dates_in_every_spelling() {
        for (text, shown) in [
            ("2026-01-01", "2026-01-01T05:00:00+00:00"),
            ("2026-01-01T06:00", "2026-01-01T11:00:00+00:00"),
            ("2026-01-01 06:00:30", "2026-01-01T11:00:30+00:00"),
            ("2026-07-01 06:00", "2026-07-01T10:00:00+00:00"),
            ("2026-01-01T06:00Z", "2026-01-01T06:00:00+00:00"),
            ("2026-01-01T06:00:00+02:00", "2026-01-01T04:00:00+00:00"),
            ("2026-01-01 06:00 -03:00", "2026-01-01T09:00:00+00:00"),
            ("2026-11-01 01:30", "2026-11-01T05:30:00+00:00"),
        ] {
            assert_eq!(utc(text, "America/New_York").as_deref(), Some(shown), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_dates() {
        for text in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-30",
            "01-01-2026",
            "+12026-01-01",
            "0000-01-01",
            "2026-01-01T25:00",
            "today",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
