//! Numbers and times in words, the same on every page.

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use domain::state::{RunState, RunType};

use super::parts::Moment;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const TWO_DAYS: i64 = 2 * DAY;

/// A moment as the reader at `now` should see it: in UTC, with the year only where it is another one.
pub(crate) fn moment(at: DateTime<Utc>, now: DateTime<Utc>) -> Moment {
    let clock = if at.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
    let day = if at.year() == now.year() { "%-d %b" } else { "%-d %b %Y" };
    Moment {
        iso: at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        text: at.format(&format!("{day} {clock}")).to_string(),
        ago: ago(at, now),
        local: None,
    }
}

/// As [`moment`], with the wall clock of `zone` where that is not UTC.
pub(crate) fn moment_in(at: DateTime<Utc>, now: DateTime<Utc>, zone: Tz) -> Moment {
    let local =
        (zone != Tz::UTC).then(|| format!("{} {zone}", at.with_timezone(&zone).format("%-d %b %H:%M")));
    Moment { local, ..moment(at, now) }
}

/// A moment seen from `now`: `4 min ago`, `in 2 h`.
pub(crate) fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let past = now - at;
    let rough = rough(past.abs());
    match past.num_seconds() {
        0 => "now".to_owned(),
        1.. => format!("{rough} ago"),
        _ => format!("in {rough}"),
    }
}

/// A length of time to two units: `0.42 s`, `4 min 12 s`, `2 h 3 min`. Negative ones, from clocks that disagree, count as nothing.
pub(crate) fn duration(length: TimeDelta) -> String {
    let millis = length.num_milliseconds().max(0);
    match millis {
        ..SECOND => format!("{millis} ms"),
        SECOND..10_000 => format!("{}.{} s", millis / SECOND, millis % SECOND / 100),
        10_000..MINUTE => format!("{} s", millis / SECOND),
        MINUTE..HOUR => two(millis / MINUTE, "min", millis % MINUTE / SECOND, "s"),
        HOUR..DAY => two(millis / HOUR, "h", millis % HOUR / MINUTE, "min"),
        _ => two(millis / DAY, "d", millis % DAY / HOUR, "h"),
    }
}

/// From `start` to `end`; to `now`, and said so, while there is no end; nothing before the start.
pub(crate) fn took(start: Option<DateTime<Utc>>, end: Option<DateTime<Utc>>, now: DateTime<Utc>) -> String {
    match (start, end) {
        (Some(start), Some(end)) => duration(end - start),
        (Some(start), None) => format!("{} so far", duration(now - start)),
        (None, _) => "–".to_owned(),
    }
}

/// A number of bytes: `980 B`, `65.5 kB`, `400.0 MB`.
pub(crate) fn bytes(count: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", count / unit, count % unit * 10 / unit);
    match count {
        ..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{} kB", tenths(1_000)),
        1_000_000..1_000_000_000 => format!("{} MB", tenths(1_000_000)),
        _ => format!("{} GB", tenths(1_000_000_000)),
    }
}

/// `1 run`, `3 runs`.
pub(crate) fn plural(count: i64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// The current try, and how many there may be: `2 of 3`.
pub(crate) fn tries(number: i64, most_failures: i64) -> String {
    match (number, most_failures + 1) {
        (0, _) => "–".to_owned(),
        (number, most) if most > 1 && number <= most => format!("{number} of {most}"),
        (number, _) => number.to_string(),
    }
}

/// How a run came to be, for people.
pub(crate) const fn run_kind(kind: RunType) -> &'static str {
    match kind {
        RunType::Scheduled => "scheduled",
        RunType::Manual => "manual",
        RunType::Backfill => "backfill",
        RunType::AssetTriggered => "by assets",
        RunType::OperatorTriggered => "by another DAG",
        RunType::AssetMaterialization => "for an asset",
    }
}

/// A reason begins small and has no full stop, because it also stands within other texts.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.trim().chars();
    let mut whole: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
    if !whole.ends_with(['.', '!', '?', ':']) {
        whole.push('.');
    }
    whole
}

/// The icon of a run's kind.
pub(crate) const fn run_icon(kind: RunType) -> &'static str {
    match kind {
        RunType::Scheduled => "clock",
        RunType::Manual => "hand",
        RunType::Backfill => "clear",
        RunType::AssetTriggered | RunType::OperatorTriggered | RunType::AssetMaterialization => "asset",
    }
}

/// What a run is called on a page: a name that was made from a time is told as a kind and that time, any other is told as it is.
pub(crate) fn run_name(run_id: &str, now: DateTime<Utc>) -> String {
    let made = || {
        let (kind, rest) = run_id.split_once("__")?;
        let kind = run_noun(kind.parse().ok()?);
        let at = DateTime::parse_from_rfc3339(rest.split('_').next()?).ok()?;
        Some(format!("{kind} {}", moment(at.to_utc(), now).text))
    };
    made().unwrap_or_else(|| run_id.to_owned())
}

/// Name of the run, its state and length: what a small tile stands for.
pub(crate) fn run_title(name: &str, state: RunState, took: &str) -> String {
    match state {
        RunState::Queued => format!("{name}: queued"),
        RunState::Running | RunState::Success | RunState::Failed => format!("{name}: {state}, {took}"),
    }
}

const fn run_noun(kind: RunType) -> &'static str {
    match kind {
        RunType::Scheduled => "Scheduled run",
        RunType::Manual => "Manual run",
        RunType::Backfill => "Backfill run",
        RunType::AssetTriggered => "Asset run",
        RunType::OperatorTriggered => "Called run",
        RunType::AssetMaterialization => "Run for an asset",
    }
}

fn rough(length: TimeDelta) -> String {
    let millis = length.num_milliseconds();
    match millis {
        ..MINUTE => format!("{} s", millis / SECOND),
        MINUTE..HOUR => format!("{} min", millis / MINUTE),
        HOUR..TWO_DAYS => format!("{} h", millis / HOUR),
        _ => format!("{} d", millis / DAY),
    }
}

fn two(large: i64, large_unit: &str, small: i64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large} {large_unit}")
    } else {
        format!("{large} {large_unit} {small} {small_unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn lengths_have_at_most_two_units() {
        let cases = [
            (-5, "0 ms"),
            (420, "420 ms"),
            (1_234, "1.2 s"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (252_000, "4 min 12 s"),
            (7_380_000, "2 h 3 min"),
            (90_000_000, "1 d 1 h"),
        ];
        for (millis, words) in cases {
            assert_eq!(duration(TimeDelta::milliseconds(millis)), words);
        }
    }

    #[test]
    fn moments_are_told_from_now() {
        let now = at("2026-03-01T12:00:00Z");
        assert_eq!(ago(now, now), "now");
        assert_eq!(ago(at("2026-03-01T11:56:00Z"), now), "4 min ago");
        assert_eq!(ago(at("2026-03-01T14:00:30Z"), now), "in 2 h");
        assert_eq!(ago(at("2026-02-20T12:00:00Z"), now), "9 d ago");
    }

    #[test]
    fn the_year_is_told_when_it_is_another_one() {
        let now = at("2026-03-01T12:00:00Z");
        assert_eq!(moment(at("2026-01-09T04:05:06Z"), now).text, "9 Jan 04:05:06");
        assert_eq!(moment(at("2025-12-31T04:05:00Z"), now).text, "31 Dec 2025 04:05");
    }

    #[test]
    fn another_zone_adds_its_wall_clock() {
        let now = at("2026-03-01T12:00:00Z");
        let zoned = moment_in(at("2026-03-02T07:30:00Z"), now, Tz::America__New_York);
        assert_eq!(zoned.local.as_deref(), Some("2 Mar 02:30 America/New_York"));
        assert_eq!(moment_in(now, now, Tz::UTC).local, None);
    }

    #[test]
    fn tries_are_counted_where_there_may_be_several() {
        assert_eq!(
            [tries(0, 2), tries(1, 0), tries(2, 2), tries(5, 2)],
            ["–", "1", "2 of 3", "5"].map(str::to_owned)
        );
    }

    #[test]
    fn names_made_from_a_time_are_told_as_one() {
        let now = at("2026-03-01T12:00:00Z");
        let cases = [
            ("scheduled__2026-02-28T04:05:00+00:00", "Scheduled run 28 Feb 04:05"),
            ("manual__2026-03-01T11:00:07.123456+00:00_aHnd_y7i", "Manual run 1 Mar 11:00:07"),
            ("scheduled__2025-12-31T19:05:00-05:00", "Scheduled run 1 Jan 00:05"),
            ("manual__tomorrow", "manual__tomorrow"),
            ("nightly__2026-02-28T04:05:00+00:00", "nightly__2026-02-28T04:05:00+00:00"),
            ("one", "one"),
        ];
        for (run_id, name) in cases {
            assert_eq!(run_name(run_id, now), name);
        }
    }

    #[test]
    fn bytes_are_short() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(65_536), "65.5 kB");
        assert_eq!(bytes(400_000_000), "400.0 MB");
        assert_eq!(bytes(2_500_000_000), "2.5 GB");
    }
}
