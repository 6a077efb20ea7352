//! The law of the ticks, spelled out minute by minute, and how a schedule is written and said.

use std::collections::BTreeSet;

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use domain::{
    span::Span,
    timetable::{Bounds, Catchup, Cron, DataInterval, Every, Timetable},
};
use test_case::test_case;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn cron(expression: &str, zone: Tz) -> Cron {
    Cron::parse(expression, zone).unwrap()
}

// A day and a half on either side of a change of the clock in each zone (in UTC there is none).
#[test_case(Tz::UTC, "2026-03-29T01:00:00Z")]
#[test_case(Tz::Europe__Berlin, "2026-03-29T01:00:00Z"; "Berlin in spring")]
#[test_case(Tz::Europe__Berlin, "2026-10-25T01:00:00Z"; "Berlin in autumn")]
#[test_case(Tz::America__New_York, "2026-03-08T07:00:00Z"; "New York in spring")]
#[test_case(Tz::America__New_York, "2026-11-01T06:00:00Z"; "New York in autumn")]
#[test_case(Tz::Australia__Lord_Howe, "2026-10-03T15:30:00Z"; "half an hour left out")]
#[test_case(Tz::Australia__Lord_Howe, "2026-04-04T15:00:00Z"; "half an hour twice")]
#[test_case(Tz::America__Santiago, "2026-09-06T04:00:00Z"; "midnight left out")]
#[test_case(Tz::America__Santiago, "2026-04-05T03:00:00Z"; "the hour before midnight twice")]
#[test_case(Tz::Africa__Casablanca, "2026-02-15T02:00:00Z"; "winter time in Ramadan")]
#[test_case(Tz::Pacific__Apia, "2011-12-30T10:00:00Z"; "a whole day left out")]
fn every_tick_is_where_the_wall_clock_puts_it(zone: Tz, change: &str) {
    let (from, to) = (at(change) - TimeDelta::hours(36), at(change) + TimeDelta::hours(36));
    for expression in [
        "*/7 * * * *",
        "0 * * * *",
        "30 2 * * *",
        "0,40 1-3 * * *",
        "*/25 0-4 * * *",
        "0 0 * * *",
        "15 23 * * *",
        "45 */2 * * *",
        "30 * * * 0",
        "20,25,35 2 * * *",
    ] {
        let ours = cron(expression, zone);
        let expected = by_the_wall_clock(expression, zone, from, to);
        let timetable = Timetable::Cron(ours.clone());
        let forward: Vec<_> =
            timetable.fire_times(from, &Bounds::default()).take_while(|tick| *tick < to).collect();
        let back = std::iter::successors(ours.previous_before(to), |tick| ours.previous_before(*tick));
        let mut backward: Vec<_> = back.take_while(|tick| *tick >= from).collect();
        backward.reverse();
        assert_eq!(forward, expected, "{expression} forward");
        assert_eq!(backward, expected, "{expression} backward");
    }
}

/// The table of the documentation, applied to every minute; another library says which readings match.
fn by_the_wall_clock(
    expression: &str,
    zone: Tz,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Vec<DateTime<Utc>> {
    let witness: croner::Cron = expression.parse().unwrap();
    let every_hour = expression.split(' ').nth(1) == Some("*");
    let minutes = (to - from).num_minutes() + 4 * 24 * 60;
    let first = from.naive_utc() - TimeDelta::days(2);
    let readings = (0..minutes).map(|minute| first + TimeDelta::minutes(minute));
    let matching = readings.filter(|reading| witness.is_time_matching(&reading.and_utc()).unwrap());
    let ticks: BTreeSet<_> = matching.flat_map(|reading| moments(zone, reading, every_hour)).collect();
    ticks.range(from..to).copied().collect()
}

fn moments(zone: Tz, reading: NaiveDateTime, every_hour: bool) -> Vec<DateTime<Utc>> {
    match zone.from_local_datetime(&reading) {
        MappedLocalTime::Single(moment) => vec![moment.to_utc()],
        MappedLocalTime::Ambiguous(first, second) if every_hour => vec![first.to_utc(), second.to_utc()],
        MappedLocalTime::Ambiguous(_, second) => vec![second.to_utc()],
        // Read with the offset from before the gap, it is later by the gap.
        MappedLocalTime::None => {
            let long_before = reading.and_utc() - TimeDelta::hours(40);
            let offset = zone.offset_from_utc_datetime(&long_before.naive_utc()).fix().local_minus_utc();
            vec![reading.and_utc() - TimeDelta::seconds(offset.into())]
        }
    }
}

#[test]
fn a_schedule_beyond_the_calendar_ends_at_once() {
    let cron = cron("* * * * * *", Tz::Europe__Berlin);
    for (moment, next, previous) in [
        (DateTime::<Utc>::MIN_UTC, true, false),
        (DateTime::<Utc>::MAX_UTC, false, true),
        (at("2100-12-31T22:59:59Z"), false, true),
        (at("1969-12-31T23:00:00Z"), true, false),
    ] {
        assert_eq!(cron.next_after(moment).is_some(), next, "after {moment}");
        assert_eq!(cron.previous_before(moment).is_some(), previous, "before {moment}");
        let every = Timetable::Every(Every::new(Span::MAX).unwrap());
        assert!(every.fire_times(moment, &Bounds::default()).count() <= 2_700);
    }
    let never = Timetable::Cron(Cron::parse("* * 31W 2 *", Tz::UTC).unwrap());
    assert_eq!(never.next_run(None, &Bounds::default(), Catchup::All, at("2026-01-01T00:00:00Z")), None);
}

#[test]
fn bounds_are_part_of_the_schedule_at_both_ends() {
    let bounds = Bounds { start: Some(at("2026-01-01T00:00:00Z")), end: Some(at("2026-01-03T00:00:00Z")) };
    let early = at("2025-06-01T00:00:00Z");
    let count = |timetable: &Timetable| timetable.fire_times(early, &bounds).count();
    let daily = cron("@daily", Tz::UTC);
    assert_eq!(count(&Timetable::Cron(daily.clone())), 3);
    let over: Vec<_> = Timetable::Cron(daily.with_data_interval(true)).runs(early, &bounds).collect();
    assert_eq!(over.len(), 3);
    assert_eq!(
        over[0].data_interval,
        DataInterval { start: bounds.start.unwrap(), end: at("2026-01-02T00:00:00Z") }
    );
    let every = Every::new("12h".parse().unwrap()).unwrap();
    assert_eq!(count(&Timetable::Every(every)), 5);
    assert_eq!(count(&Timetable::Once), 1);
    assert_eq!(count(&Timetable::Null), 0);
}

#[test]
fn asking_again_later_gives_the_same_run_until_the_next_tick_has_passed() {
    let timetables = [
        Timetable::Cron(cron("*/15 * * * *", Tz::Europe__Berlin)),
        Timetable::Cron(cron("*/15 * * * *", Tz::UTC).with_data_interval(true)),
        Timetable::Every(Every::new("15m".parse().unwrap()).unwrap()),
        Timetable::Every(Every::new("15m".parse().unwrap()).unwrap().with_data_interval(true)),
    ];
    let cursor = DataInterval { start: at("2026-01-01T09:45:00Z"), end: at("2026-01-01T10:00:00Z") };
    for timetable in timetables {
        for catchup in [Catchup::None, Catchup::Last, Catchup::All, Catchup::Window("15m".parse().unwrap())] {
            for now in ["10:00:00.004", "10:14:59.999", "10:15:00", "10:15:00.000001", "10:29:59.999999"] {
                let now = at(&format!("2026-01-01T{now}Z"));
                let run = timetable.next_run(Some(&cursor), &Bounds::default(), catchup, now).unwrap();
                assert_eq!(run.run_after, at("2026-01-01T10:15:00Z"), "{timetable:?} {catchup:?} {now}");
            }
        }
    }
}

#[test]
fn a_run_by_hand_covers_what_the_schedule_would() {
    let now = at("2026-01-05T01:00:00Z");
    let daily = cron("@daily", Tz::UTC);
    let exact = Some(DataInterval::exact(now));
    let day = DataInterval { start: at("2026-01-04T00:00:00Z"), end: at("2026-01-05T00:00:00Z") };
    let hour = DataInterval { start: at("2026-01-05T00:00:00Z"), end: now };
    let hourly = Every::new("1h".parse().unwrap()).unwrap();
    assert_eq!(Timetable::Null.manual_interval(now), exact);
    assert_eq!(Timetable::Cron(daily.clone()).manual_interval(now), exact);
    assert_eq!(Timetable::Every(hourly).manual_interval(now), exact);
    assert_eq!(Timetable::Cron(daily.with_data_interval(true)).manual_interval(now), Some(day));
    assert_eq!(Timetable::Every(hourly.with_data_interval(true)).manual_interval(now), Some(hour));
}

#[test_case("30 2 * * *", "At 02:30 every day, America/New_York")]
#[test_case("0 8,17 * * mon-fri", "At 08:00 and 17:00 on Monday to Friday, America/New_York")]
#[test_case("0 0 1,15 * sun", "At 00:00 on day 1 and 15 of the month or on Sunday, America/New_York")]
#[test_case(
    "@quarterly",
    "At 00:00 on day 1 of the month in January, April, July and October, America/New_York"
)]
#[test_case("@hourly", "Every hour, America/New_York")]
#[test_case("5 * * * *", "At minute 5 of every hour, America/New_York"; "a minute of every hour")]
#[test_case("0 */2 * * *", "Every 2 hours, America/New_York"; "every second hour")]
#[test_case("*/15 9-17 * * *", "Every 15 minutes of hour 09 to 17, America/New_York"; "a working day")]
#[test_case("* * * * *", "Every minute, America/New_York"; "every minute")]
#[test_case("*/10 * * * * *", "Every 10 seconds, America/New_York"; "every ten seconds")]
#[test_case("0 0 L * 5#2", "At 00:00 on the last day of the month or on the second Friday of the month, America/New_York"; "special days")]
#[test_case("0 6 * 6-8 6,7", "At 06:00 on Saturday and Sunday in June to August, America/New_York"; "summer weekends")]
fn a_cron_is_said_in_words(expression: &str, expected: &str) {
    let timetable = Timetable::Cron(cron(expression, Tz::America__New_York));
    assert_eq!(timetable.description(), expected);
}

#[test_case("0 0 * 13 *", "month 13 is not in 1-12 or jan-dec (field 4 of `0 0 * 13 *`)")]
#[test_case("0 60 0 * * *", "minute 60 is not in 0-59 (field 2 of `0 60 0 * * *`)")]
#[test_case("0 0 0 * *", "day of the month 0 is not in 1-31 (field 3 of `0 0 0 * *`)")]
#[test_case("0 0 * jne *", "`jne` is not a month")]
#[test_case("1,,2 * * * *", "`` is not a minute")]
#[test_case("1-2-3 * * * *", "`2-3` is not a minute")]
#[test_case("*/90 * * * *", "write {every: 90m}"; "a step beyond the hour")]
#[test_case("0 0 * * 5#6", "fri#2 for the second Friday"; "a sixth Friday")]
#[test_case("0 0 1 1 * * 2027", "years cannot be given"; "seven fields")]
#[test_case("99999999999 * * * *", "minute 99999999999 is not in 0-59"; "more than a number")]
#[test_case("é * * * *", "`é` is not a minute"; "not ASCII")]
fn a_bad_field_is_named(expression: &str, expected: &str) {
    let error = Cron::parse(expression, Tz::UTC).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn catchup_is_written_as_in_a_dag_file() {
    let window = Catchup::Window("6h".parse().unwrap());
    for (catchup, json) in [
        (Catchup::None, "false"),
        (Catchup::All, "true"),
        (Catchup::Last, r#""last""#),
        (window, r#"{"window":"6h"}"#),
    ] {
        assert_eq!(serde_json::to_string(&catchup).unwrap(), json);
        assert_eq!(serde_json::from_str::<Catchup>(json).unwrap(), catchup);
    }
    assert!(serde_json::from_str::<Catchup>(r#""lst""#).is_err());
}
