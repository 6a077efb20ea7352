//! When runs are due: tables of what people expect, the changes of the clock, and another cron library as a witness.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use domain::{
    span::Span,
    timetable::{Bounds, Catchup, Cron, DataInterval, Every, Timetable},
};
use proptest::prelude::*;
use test_case::test_case;

const ALWAYS: Bounds = Bounds { start: None, end: None };

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn cron(expression: &str, zone: &str) -> Timetable {
    Timetable::Cron(Cron::parse(expression, zone.parse::<Tz>().unwrap()).unwrap())
}

fn fires(timetable: &Timetable, after: &str, count: usize) -> Vec<String> {
    let times = timetable.fire_times(at(after), &ALWAYS).take(count);
    times.map(|time| time.format("%FT%TZ").to_string()).collect()
}

#[test_case("0 3 * * *", "2026-01-01T00:00:00Z", &["2026-01-01T03:00:00Z", "2026-01-02T03:00:00Z"])]
#[test_case("*/20 * * * *", "2026-01-01T00:00:00Z", &["2026-01-01T00:00:00Z", "2026-01-01T00:20:00Z"]; "the moment itself counts")]
#[test_case("0 0 * * 1", "2026-11-20T00:00:00Z", &["2026-11-23T00:00:00Z"]; "one is Monday")]
#[test_case("0 0 * * 0", "2026-11-20T00:00:00Z", &["2026-11-22T00:00:00Z"]; "zero is Sunday")]
#[test_case("0 0 * * 7", "2026-11-20T00:00:00Z", &["2026-11-22T00:00:00Z"]; "and so is seven")]
#[test_case("0 0 13 * 5", "2026-11-01T00:00:00Z", &["2026-11-06T00:00:00Z", "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"]; "either day")]
#[test_case("*/10 * * * * *", "2026-01-01T00:00:05Z", &["2026-01-01T00:00:10Z", "2026-01-01T00:00:20Z"]; "seconds first")]
#[test_case("0 0 L * *", "2026-02-01T00:00:00Z", &["2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"]; "last day")]
#[test_case("0 9 * * 5#2", "2026-11-01T00:00:00Z", &["2026-11-13T09:00:00Z", "2026-12-11T09:00:00Z"]; "second Friday")]
#[test_case("0 0 30 2 *", "2026-01-01T00:00:00Z", &[]; "never, and that is found out")]
#[test_case("0 0 29 2 *", "2026-01-01T00:00:00Z", &["2028-02-29T00:00:00Z"])]
#[test_case("@daily", "2026-01-01T12:00:00Z", &["2026-01-02T00:00:00Z"])]
#[test_case("0 22-2/2 * * *", "2026-01-01T00:00:00Z", &["2026-01-01T00:00:00Z", "2026-01-01T02:00:00Z", "2026-01-01T22:00:00Z"]; "round midnight")]
fn cron_fires(expression: &str, after: &str, expected: &[&str]) {
    assert_eq!(fires(&cron(expression, "UTC"), after, expected.len().max(1)), expected);
}

// The clocks of Berlin go from 02:00 to 03:00 on 2026-03-29 and from 03:00 to 02:00 on 2026-10-25.
#[test_case("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", &["2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]; "left out: later by an hour")]
#[test_case("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", &["2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"]; "twice: once, the second time")]
#[test_case("30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", &["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"]; "every hour: both times")]
#[test_case("30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", &["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z", "2026-03-29T02:30:00Z"]; "every hour: none is lost")]
#[test_case("0 3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", &["2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z"]; "just after the gap")]
#[test_case("0 12 * * *", "America/New_York", "2026-03-07T00:00:00Z", &["2026-03-07T17:00:00Z", "2026-03-08T16:00:00Z"]; "noon stays noon")]
#[test_case("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", &["2026-10-03T15:45:00Z", "2026-10-04T15:15:00Z"]; "a gap of half an hour")]
#[test_case("0 0 * * *", "Africa/Cairo", "2026-04-23T00:00:00Z", &["2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"]; "midnight left out")]
fn cron_fires_when_the_clocks_change(expression: &str, zone: &str, after: &str, expected: &[&str]) {
    assert_eq!(fires(&cron(expression, zone), after, expected.len()), expected);
}

#[test_case("61 * * * *", "minute 61 is not in 0-59 (field 1 of `61 * * * *`)")]
#[test_case("* * *", "`* * *` has 3 fields")]
#[test_case("", "a schedule cannot be empty")]
#[test_case("@dayly", "@daily")]
#[test_case("0 0 * * 8", "weekday 8 is not in 0-7")]
#[test_case("*/0 * * * *", "step `0` does not fit")]
#[test_case("0 25 * * *", "hour 25 is not in 0-23 (field 2")]
#[test_case("a * * * *", "`a` is not a minute")]
fn a_bad_cron_says_what_is_wrong(expression: &str, expected: &str) {
    let error = Cron::parse(expression, Tz::UTC).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

struct Case {
    cursor: Option<&'static str>,
    start: Option<&'static str>,
    catchup: Catchup,
    expected: Option<&'static str>,
}

// It is noon on January 10th; the schedule is every midnight.
#[test_case(Case { cursor: None, start: None, catchup: Catchup::None, expected: Some("2026-01-11") }; "unknown before: the next one")]
#[test_case(Case { cursor: None, start: Some("2026-01-01"), catchup: Catchup::None, expected: Some("2026-01-10") }; "no catchup: the last one missed")]
#[test_case(Case { cursor: None, start: Some("2026-01-01"), catchup: Catchup::All, expected: Some("2026-01-01") }; "catchup: from the start")]
#[test_case(Case { cursor: Some("2026-01-03"), start: Some("2026-01-01"), catchup: Catchup::All, expected: Some("2026-01-04") }; "catchup goes on")]
#[test_case(Case { cursor: Some("2026-01-03"), start: None, catchup: Catchup::None, expected: Some("2026-01-10") }; "after a pause: the last one missed")]
#[test_case(Case { cursor: Some("2026-01-10"), start: None, catchup: Catchup::None, expected: Some("2026-01-11") }; "nothing was missed")]
#[test_case(Case { cursor: Some("2026-01-03"), start: None, catchup: Catchup::Last, expected: Some("2026-01-10") })]
#[test_case(Case { cursor: Some("2026-01-03"), start: None, catchup: Catchup::Window(Span::from_secs(3 * 86_400)), expected: Some("2026-01-08") }; "those of three days")]
#[test_case(Case { cursor: None, start: Some("2026-02-01"), catchup: Catchup::All, expected: Some("2026-02-01") }; "not before the start")]
#[test_case(Case { cursor: Some("2026-01-31"), start: None, catchup: Catchup::All, expected: None }; "not after the end")]
fn the_next_run_follows_from_the_cursor(case: Case) {
    let midnight = |day: &str| at(&format!("{day}T00:00:00Z"));
    let bounds = Bounds { start: case.start.map(midnight), end: Some(at("2026-01-31T12:00:00Z")) };
    let bounds = if case.start == Some("2026-02-01") { Bounds { end: None, ..bounds } } else { bounds };
    let cursor = case.cursor.map(|day| DataInterval::exact(midnight(day)));
    let now = at("2026-01-10T12:00:00Z");
    let next = cron("0 0 * * *", "UTC").next_run(cursor.as_ref(), &bounds, case.catchup, now);
    assert_eq!(next.map(|next| next.run_after), case.expected.map(midnight));
    assert!(next.is_none_or(|next| next.logical_date == next.run_after));
}

#[test]
fn with_data_intervals_a_run_is_about_the_time_before() {
    let daily = Timetable::Cron(Cron::parse("0 0 * * *", Tz::UTC).unwrap().with_data_interval(true));
    let start = Bounds { start: Some(at("2026-01-01T00:00:00Z")), end: None };
    let now = at("2026-01-03T12:00:00Z");
    let first = daily.next_run(None, &start, Catchup::All, now).unwrap();
    assert_eq!(
        (first.logical_date, first.run_after),
        (at("2026-01-01T00:00:00Z"), at("2026-01-02T00:00:00Z"))
    );
    let second = daily.next_run(Some(&first.data_interval), &start, Catchup::All, now).unwrap();
    assert_eq!(
        (second.logical_date, second.run_after),
        (at("2026-01-02T00:00:00Z"), at("2026-01-03T00:00:00Z"))
    );
    let last = daily.next_run(None, &start, Catchup::None, now).unwrap();
    assert_eq!(last, second);
}

#[test]
fn an_interval_keeps_its_grid_however_late_a_run_is() {
    let every = Timetable::Every(Every::new(Span::from_secs(900)).unwrap());
    let start = Bounds { start: Some(at("2026-01-01T00:00:00Z")), end: None };
    let first = every.next_run(None, &start, Catchup::All, at("2026-01-01T10:00:00Z")).unwrap();
    assert_eq!(first.run_after, at("2026-01-01T00:00:00Z"));
    let cursor = DataInterval::exact(at("2026-01-01T09:45:00Z"));
    let next = every.next_run(Some(&cursor), &start, Catchup::None, at("2026-01-01T10:07:31Z")).unwrap();
    assert_eq!(next.run_after, at("2026-01-01T10:00:00Z"));
    assert!(Every::new(Span::from_millis(10)).is_err());
}

#[test]
fn once_is_once() {
    let now = at("2026-01-10T12:00:00Z");
    let run = Timetable::Once.next_run(None, &ALWAYS, Catchup::None, now).unwrap();
    assert_eq!(run.run_after, now);
    assert_eq!(Timetable::Once.next_run(Some(&run.data_interval), &ALWAYS, Catchup::All, now), None);
}

#[test]
fn every_timetable_reads_back_from_its_normal_form() {
    let every = Every::new(Span::from_secs(90)).unwrap();
    let all =
        [Timetable::Null, Timetable::Once, cron("5 4 * * 1-5", "Europe/Berlin"), Timetable::Every(every)];
    for timetable in all {
        let json = serde_json::to_string(&timetable).unwrap();
        assert_eq!(serde_json::from_str::<Timetable>(&json).unwrap(), timetable, "{json}");
    }
}

fn expression() -> impl Strategy<Value = String> {
    let minute =
        prop_oneof!["[1-5]?[0-9]", Just("*".to_owned()), Just("*/7".to_owned()), Just("10-20".to_owned())];
    let hour = prop_oneof!["1?[0-9]", Just("*".to_owned()), Just("*/5".to_owned()), Just("8,17".to_owned())];
    let day = prop_oneof![Just("*".to_owned()), "[1-9]", Just("28-31".to_owned())];
    let month = prop_oneof![Just("*".to_owned()), "[1-9]"];
    let weekday = prop_oneof![Just("*".to_owned()), "[0-6]", Just("1-5".to_owned())];
    (minute, hour, day, month, weekday).prop_map(|(a, b, c, d, e)| format!("{a} {b} {c} {d} {e}"))
}

proptest! {
    #[test]
    fn another_library_agrees_where_no_clock_changes(text in expression(), from in 1_700_000_000_i64..1_900_000_000) {
        let after = DateTime::from_timestamp(from, 0).unwrap();
        let ours: Vec<_> = cron(&text, "UTC").fire_times(after, &ALWAYS).take(20).collect();
        let witness: croner::Cron = text.parse().unwrap();
        let theirs: Vec<_> = witness.iter_from(after, croner::Direction::Forward).take(20).collect();
        prop_assert_eq!(ours, theirs, "{}", text);
    }

    #[test]
    fn ticks_only_go_forward_and_none_is_jumped(
        text in expression(),
        zone in prop_oneof![Just("Europe/Berlin"), Just("America/New_York"), Just("Australia/Lord_Howe"), Just("Africa/Cairo")],
        from in 1_700_000_000_i64..1_900_000_000,
    ) {
        let timetable = cron(&text, zone);
        let after = DateTime::from_timestamp(from, 0).unwrap();
        let ticks: Vec<_> = timetable.fire_times(after, &ALWAYS).take(60).collect();
        prop_assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", ticks);
        for pair in ticks.windows(2) {
            let between = timetable.fire_times(pair[0] + TimeDelta::seconds(1), &ALWAYS).next();
            prop_assert_eq!(between, Some(pair[1]));
        }
    }

    #[test]
    fn the_last_tick_is_found_again(text in expression(), from in 1_700_000_000_i64..1_900_000_000) {
        let timetable = cron(&text, "America/New_York");
        let now = DateTime::from_timestamp(from, 0).unwrap();
        let bounds = Bounds { start: Some(now - TimeDelta::days(800)), end: None };
        let last = timetable.next_run(None, &bounds, Catchup::Last, now).map(|run| run.run_after);
        if let Some(last) = last.filter(|last| *last <= now) {
            let next = timetable.fire_times(last + TimeDelta::seconds(1), &ALWAYS).next();
            prop_assert!(next.is_none_or(|next| next > now), "{} {} {:?}", text, last, next);
        }
    }
}
