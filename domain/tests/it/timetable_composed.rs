//! Timetables beyond a plain cron, each by a table: what fires when, also when the clocks change, and how it is said.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc, Weekday};
use chrono_tz::Tz;
use domain::{
    span::Span,
    timetable::{
        Blackout, Bounds, Calendar, Catchup, Composed, Cron, DataInterval, Dates, Every, Interval, Jitter,
        NextRun, OnBlackout, OnHoliday, Timetable, Window,
    },
};
use test_case::test_case;

fn at(text: &str) -> DateTime<Utc> {
    let full = if text.len() == 16 { format!("{text}:00Z") } else { text.to_owned() };
    full.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn cron(expression: &str, zone: Tz) -> Timetable {
    Timetable::Cron(Cron::parse(expression, zone).unwrap())
}

fn every(span: &str) -> Timetable {
    Timetable::Every(Every::new(span.parse().unwrap()).unwrap())
}

fn dates(moments: &[&str]) -> Timetable {
    Timetable::Dates(Dates::new(moments.iter().map(|moment| at(moment)).collect()).unwrap())
}

fn composed(any: Vec<Timetable>) -> Composed {
    Composed::new(any).unwrap()
}

fn whole(composed: Composed) -> Timetable {
    Timetable::Composed(Box::new(composed))
}

fn fires(timetable: &Timetable, after: &str, count: usize) -> Vec<String> {
    let times = timetable.fire_times(at(after), &Bounds::default()).take(count);
    times.map(|time| time.format("%FT%H:%M").to_string()).collect()
}

fn business(zone: Tz, on_holiday: OnHoliday, holidays: &[&str]) -> Calendar {
    let holidays = holidays.iter().map(|day| day.parse::<NaiveDate>().unwrap()).collect();
    Calendar::new(zone, vec![Weekday::Sun, Weekday::Sat], holidays, on_holiday).unwrap()
}

fn daily(from: &str, to: &str) -> Window {
    let time = |text: &str| format!("{text}:00").parse().unwrap();
    Window::Daily { from: time(from), to: time(to) }
}

fn minutes(cron: &str) -> Window {
    Window::Minutes { cron: cron.to_owned() }
}

#[test]
fn several_schedules_are_one_row_of_ticks() {
    let both = whole(composed(vec![
        cron("0 6 * * *", Tz::UTC),
        cron("0 6,18 * * 1-5", Tz::UTC),
        dates(&["2026-05-09T12:00"]),
    ]));
    // The 8th is a Friday; what two of them name is one run.
    assert_eq!(
        fires(&both, "2026-05-08T00:00", 5),
        ["2026-05-08T06:00", "2026-05-08T18:00", "2026-05-09T06:00", "2026-05-09T12:00", "2026-05-10T06:00"]
    );
    let since = whole(
        composed(vec![cron("0 6 * * *", Tz::UTC), cron("0 18 * * *", Tz::UTC)])
            .with_data_interval(Interval::SinceLast),
    );
    let run = since.runs(at("2026-05-08T12:00"), &Bounds::default()).next().unwrap();
    assert_eq!(
        run.data_interval,
        DataInterval { start: at("2026-05-08T06:00"), end: at("2026-05-08T18:00") }
    );
    let grid = whole(composed(vec![every("7h"), cron("0 0 1 1 *", Tz::UTC)]));
    let start = Bounds { start: Some(at("2026-05-08T01:00")), end: None };
    let next = grid.next_run(
        Some(&DataInterval::exact(at("2026-05-08T08:00"))),
        &start,
        Catchup::All,
        at("2026-05-09T00:00"),
    );
    assert_eq!(next.unwrap().run_after, at("2026-05-08T15:00"), "the grid goes through the start date");
}

#[test_case(None, None, "2026-01-10T12:00", Some(("2026-01-10T12:00", "2026-01-10T12:00")); "as soon as it is known")]
#[test_case(None, Some("2026-01-10T09:00"), "2026-01-10T12:00", Some(("2026-01-10T09:00", "2026-01-10T12:00")); "from the start date on")]
#[test_case(None, Some("2026-01-11T00:00"), "2026-01-10T12:00", Some(("2026-01-11T00:00", "2026-01-11T00:00")); "not before the start date")]
#[test_case(Some(("2026-01-10T09:00", "2026-01-10T12:00")), None, "2026-01-10T12:30", Some(("2026-01-10T12:00", "2026-01-10T12:30")); "where the last one ended")]
#[test_case(Some(("2026-01-10T12:00", "2026-01-10T12:00")), None, "2026-01-10T12:00", Some(("2026-01-10T12:00:00.000001Z", "2026-01-10T12:00:01Z")); "never the same date twice, and a second apart")]
#[test_case(Some(("2026-01-10T12:00", "2026-01-20T12:00")), None, "2026-01-20T13:00", None; "not after the end")]
fn continuous_runs_follow_each_other(
    cursor: Option<(&str, &str)>,
    start: Option<&str>,
    now: &str,
    expected: Option<(&str, &str)>,
) {
    let bounds = Bounds { start: start.map(at), end: Some(at("2026-01-15T00:00")) };
    let interval = |(start, end): (&str, &str)| DataInterval { start: at(start), end: at(end) };
    for catchup in [Catchup::None, Catchup::All, Catchup::Last, Catchup::Window(Span::from_secs(60))] {
        let next = Timetable::Continuous.next_run(cursor.map(interval).as_ref(), &bounds, catchup, at(now));
        assert_eq!(next.map(|run| run.data_interval), expected.map(interval));
        assert!(next.is_none_or(|run| run.run_after == run.data_interval.end));
    }
    let known = Timetable::Continuous.runs(at(now), &bounds).count();
    assert_eq!(known, usize::from(at(now) <= bounds.end.unwrap()), "no more than the first");
}

#[test]
fn listed_dates_fire_once_each() {
    let listed = dates(&["2026-12-24T18:00", "2026-03-01T08:00", "2026-12-24T18:00"]);
    assert_eq!(fires(&listed, "2026-01-01T00:00", 9), ["2026-03-01T08:00", "2026-12-24T18:00"]);
    assert_eq!(fires(&listed, "2026-12-25T00:00", 9), [""; 0]);
    let next = |start: Option<&str>, catchup, now| {
        let bounds = Bounds { start: start.map(at), end: None };
        let run: Option<NextRun> = listed.next_run(None, &bounds, catchup, at(now));
        run.map(|run| run.run_after)
    };
    assert_eq!(next(None, Catchup::None, "2026-01-01T00:00"), Some(at("2026-03-01T08:00")));
    assert_eq!(next(None, Catchup::None, "2026-03-01T08:04"), Some(at("2026-03-01T08:00")), "just now");
    assert_eq!(next(None, Catchup::None, "2027-03-01T08:04"), None, "long ago, before it was known");
    assert_eq!(
        next(Some("2026-01-01T00:00"), Catchup::All, "2027-01-01T00:00"),
        Some(at("2026-03-01T08:00"))
    );
    assert_eq!(
        next(Some("2026-01-01T00:00"), Catchup::None, "2027-01-01T00:00"),
        Some(at("2026-12-24T18:00"))
    );
    let window = Catchup::Window("3d".parse().unwrap());
    assert_eq!(next(Some("2026-01-01T00:00"), window, "2026-12-25T00:00"), Some(at("2026-12-24T18:00")));
    assert_eq!(next(Some("2026-01-01T00:00"), window, "2027-01-01T00:00"), None);
    let between = whole(composed(vec![listed]).with_data_interval(Interval::SinceLast));
    let only: Vec<_> = between.runs(at("2026-01-01T00:00"), &Bounds::default()).collect();
    assert_eq!(only.len(), 1, "the first date only opens the interval");
    assert_eq!(only[0].logical_date, at("2026-03-01T08:00"));
}

#[test]
fn an_interval_of_a_length_ends_with_the_tick() {
    let daily = whole(
        composed(vec![cron("0 6 * * *", Tz::UTC)])
            .with_data_interval(Interval::Length("1d".parse().unwrap())),
    );
    let bounds = Bounds { start: Some(at("2026-01-02T06:00")), end: Some(at("2026-01-03T06:00")) };
    let all: Vec<_> = daily.runs(at("2026-01-01T00:00"), &bounds).collect();
    // Start and end date are compared with the tick, as Airflow's trigger timetables do.
    assert_eq!(all.len(), 2);
    assert_eq!(
        all[0].data_interval,
        DataInterval { start: at("2026-01-01T06:00"), end: at("2026-01-02T06:00") }
    );
    assert_eq!((all[0].logical_date, all[0].run_after), (at("2026-01-01T06:00"), at("2026-01-02T06:00")));
    // A schedule that was about moments before: the date of the last run is taken.
    let cursor = DataInterval::exact(at("2026-01-05T06:00"));
    let next = daily.next_run(Some(&cursor), &Bounds::default(), Catchup::All, at("2026-01-05T07:00"));
    assert_eq!(next.unwrap().run_after, at("2026-01-07T06:00"));
    let manual = daily.manual_interval(at("2026-01-05T07:30")).unwrap();
    assert_eq!(manual, DataInterval { start: at("2026-01-04T07:30"), end: at("2026-01-05T07:30") });
}

// Friday the 1st of May is a holiday, the 2nd and 3rd are a weekend.
#[test_case("0 6 * * *", OnHoliday::Skip, &["2026-04-30T06:00", "2026-05-04T06:00", "2026-05-05T06:00"])]
#[test_case("0 6 * * *", OnHoliday::NextBusinessDay, &["2026-04-30T06:00", "2026-05-04T06:00", "2026-05-05T06:00"]; "those that meet are one")]
#[test_case("0 6 1-3 * *", OnHoliday::NextBusinessDay, &["2026-05-04T06:00", "2026-06-01T06:00", "2026-06-02T06:00"])]
#[test_case("0 6 1-3 * *", OnHoliday::PreviousBusinessDay, &["2026-04-30T06:00", "2026-06-01T06:00", "2026-06-02T06:00"])]
#[test_case("0 6 1-3 * *", OnHoliday::Skip, &["2026-06-01T06:00", "2026-06-02T06:00", "2026-06-03T06:00"])]
#[test_case("0 0 L * *", OnHoliday::PreviousBusinessDay, &["2026-04-30T00:00", "2026-05-29T00:00", "2026-06-30T00:00"]; "last business day of the month")]
#[test_case("0 6 * * 6", OnHoliday::Skip, &[]; "never, and that is found out")]
fn business_days(expression: &str, on_holiday: OnHoliday, expected: &[&str]) {
    let calendar = business(Tz::UTC, on_holiday, &["2026-05-01"]);
    let timetable = whole(composed(vec![cron(expression, Tz::UTC)]).with_calendar(Some(calendar)));
    assert_eq!(fires(&timetable, "2026-04-30T00:00", expected.len().max(1)), expected);
}

#[test]
fn what_is_moved_may_overtake() {
    let calendar = business(Tz::UTC, OnHoliday::NextBusinessDay, &[]);
    let timetable = whole(
        composed(vec![cron("0 18 * * 6", Tz::UTC), cron("0 6 * * 7", Tz::UTC)]).with_calendar(Some(calendar)),
    );
    assert_eq!(
        fires(&timetable, "2026-05-02T00:00", 3),
        ["2026-05-04T06:00", "2026-05-04T18:00", "2026-05-11T06:00"]
    );
    // On the Sunday on which the clock of Berlin reads the hour from two to three twice: 02:40, then 02:10.
    let zone = Tz::Europe__Berlin;
    let calendar = business(zone, OnHoliday::NextBusinessDay, &[]);
    let twice =
        composed(vec![dates(&["2026-10-25T00:40", "2026-10-25T01:10"])]).with_calendar(Some(calendar));
    assert_eq!(fires(&whole(twice), "2026-10-24T00:00", 3), ["2026-10-26T01:10", "2026-10-26T01:40"]);
}

// The clocks of Berlin go from 02:00 to 03:00 on Sunday 2026-03-29 and from 03:00 to 02:00 on Sunday 2026-10-25;
// business is from Sunday to Thursday.
#[test_case("30 2 * * 6", "2026-03-28T00:00", &["2026-03-29T01:30", "2026-04-05T00:30"]; "to a day that leaves the time out: later")]
#[test_case("30 2 * * 6", "2026-10-24T00:00", &["2026-10-25T01:30", "2026-11-01T01:30"]; "to a day that reads it twice: the second time")]
#[test_case("30 2 * * 6,7", "2026-03-28T00:00", &["2026-03-29T01:30", "2026-04-05T00:30"]; "two that meet there are one")]
fn business_days_when_the_clocks_change(expression: &str, after: &str, expected: &[&str]) {
    let zone = Tz::Europe__Berlin;
    let weekend = vec![Weekday::Fri, Weekday::Sat];
    let calendar = Calendar::new(zone, weekend, [].into(), OnHoliday::NextBusinessDay).unwrap();
    let timetable = whole(composed(vec![cron(expression, zone)]).with_calendar(Some(calendar)));
    assert_eq!(fires(&timetable, after, expected.len()), expected);
}

#[test_case(&[daily("22:00", "06:00")], OnBlackout::Skip, &["2026-05-08T10:00", "2026-05-08T16:00", "2026-05-09T10:00"])]
#[test_case(&[daily("22:00", "06:00")], OnBlackout::Delay, &["2026-05-08T06:00", "2026-05-08T10:00", "2026-05-08T16:00", "2026-05-09T06:00"]; "22:00 and 04:00 meet at 06:00")]
#[test_case(&[daily("22:00", "06:00"), daily("06:00", "11:00")], OnBlackout::Delay, &["2026-05-08T11:00", "2026-05-08T16:00", "2026-05-09T11:00"]; "windows that touch are one")]
#[test_case(&[minutes("* * 8-10 * *")], OnBlackout::Delay, &["2026-05-11T00:00", "2026-05-11T04:00"]; "by cron, to its end")]
#[test_case(&[minutes("0-30 10 * * *"), minutes("* 16-23 * * *")], OnBlackout::Skip, &["2026-05-08T04:00", "2026-05-09T04:00"]; "by cron")]
#[test_case(&[daily("00:00", "12:00"), daily("12:00", "00:00")], OnBlackout::Skip, &[]; "always dark: skipped for ever")]
#[test_case(&[daily("00:00", "12:00"), daily("12:00", "00:00")], OnBlackout::Delay, &[]; "always dark: delayed for ever")]
#[test_case(&[minutes("* * * * *")], OnBlackout::Delay, &[]; "every minute is dark")]
#[test_case(&[daily("21:00", "17:00")], OnBlackout::Skip, &[]; "every tick is dark")]
fn blackouts(windows: &[Window], on_blackout: OnBlackout, expected: &[&str]) {
    let blackout = Blackout::new(Tz::UTC, windows.to_vec(), on_blackout).unwrap();
    let timetable = whole(composed(vec![cron("0 4,10,16,22 * * *", Tz::UTC)]).with_blackout(Some(blackout)));
    let after =
        if expected.first() == Some(&"2026-05-08T06:00") { "2026-05-08T05:00" } else { "2026-05-08T00:00" };
    assert_eq!(fires(&timetable, after, expected.len().max(1)), expected);
}

#[test]
fn a_holiday_freeze_is_over_at_its_end() {
    let freeze = Window::Once { from: at("2026-12-24T00:00"), to: at("2027-01-02T00:00") };
    let with = |rule| {
        let blackout = Blackout::new(Tz::UTC, vec![freeze.clone()], rule).unwrap();
        whole(composed(vec![cron("0 6 * * *", Tz::UTC)]).with_blackout(Some(blackout)))
    };
    assert_eq!(
        fires(&with(OnBlackout::Skip), "2026-12-23T00:00", 2),
        ["2026-12-23T06:00", "2027-01-02T06:00"]
    );
    assert_eq!(
        fires(&with(OnBlackout::Delay), "2026-12-23T00:00", 3),
        ["2026-12-23T06:00", "2027-01-02T00:00", "2027-01-02T06:00"]
    );
    // Within it the last run is the one before; at its end the delayed one is due.
    let delayed = with(OnBlackout::Delay);
    let cursor = DataInterval::exact(at("2026-12-23T06:00"));
    for (now, expected) in
        [("2026-12-30T00:00", "2027-01-02T00:00"), ("2027-01-05T07:00", "2027-01-05T06:00")]
    {
        let next = delayed.next_run(Some(&cursor), &Bounds::default(), Catchup::None, at(now));
        assert_eq!(next.unwrap().run_after, at(expected));
    }
}

// From 02:15 to 02:45 by the clock of Berlin.
#[test_case("2026-03-29T00:00", &["2026-03-29T00:30", "2026-03-29T01:30", "2026-03-29T02:30"]; "a window that the clock leaves out")]
#[test_case("2026-10-24T23:00", &["2026-10-24T23:30", "2026-10-25T00:45", "2026-10-25T01:45", "2026-10-25T02:30"]; "a window that it reads twice")]
#[test_case("2026-05-07T23:00", &["2026-05-07T23:30", "2026-05-08T00:45", "2026-05-08T01:30"]; "on any other day")]
fn blackouts_when_the_clocks_change(after: &str, expected: &[&str]) {
    let zone = Tz::Europe__Berlin;
    let blackout = Blackout::new(zone, vec![daily("02:15", "02:45")], OnBlackout::Delay).unwrap();
    let timetable = whole(composed(vec![cron("30 * * * *", zone)]).with_blackout(Some(blackout)));
    assert_eq!(fires(&timetable, after, expected.len()), expected);
}

#[test]
fn elapsed_time_does_not_follow_the_clock() {
    let hourly = whole(composed(vec![every("1d"), dates(&["2026-03-29T01:30"])]));
    assert_eq!(
        fires(&hourly, "2026-03-28T12:00", 3),
        ["2026-03-29T00:00", "2026-03-29T01:30", "2026-03-30T00:00"]
    );
}

#[test]
fn jitter_delays_the_start_and_nothing_else() {
    let jitter = Jitter::new("5m".parse().unwrap(), "sales").unwrap();
    let delay = jitter.delay();
    assert!(delay > TimeDelta::zero(), "choose another seed for this test");
    let timetable = whole(composed(vec![cron("*/2 * * * *", Tz::UTC)]).with_jitter(Some(jitter.clone())));
    let run = timetable.runs(at("2026-05-08T00:00") + delay, &Bounds::default()).next().unwrap();
    assert_eq!((run.tick(), run.logical_date), (at("2026-05-08T00:00"), at("2026-05-08T00:00")));
    assert_eq!(run.run_after, at("2026-05-08T00:00") + delay);
    // Also where the delay is longer than the distance of two ticks, every tick has its run.
    let mut cursor = run.data_interval;
    for minute in 1..=10 {
        let now = run.run_after + TimeDelta::minutes(2 * minute);
        for catchup in [Catchup::None, Catchup::Last, Catchup::All] {
            let next = timetable.next_run(Some(&cursor), &Bounds::default(), catchup, now).unwrap();
            assert_eq!((next.tick(), next.run_after), (run.tick() + TimeDelta::minutes(2 * minute), now));
        }
        cursor = DataInterval::exact(run.tick() + TimeDelta::minutes(2 * minute));
    }
    let delays: std::collections::BTreeSet<_> = (0..200)
        .map(|dag| Jitter::new("5m".parse().unwrap(), &format!("dag_{dag}")).unwrap().delay())
        .collect();
    assert!(delays.len() > 120, "spread over {} seconds", delays.len());
    assert!(Jitter::new(Span::from_millis(999), "sales").is_err());
}

#[test]
fn all_of_it_at_once() {
    let zone = Tz::Europe__Berlin;
    let timetable = whole(
        composed(vec![cron("0 7 * * *", zone), cron("30 23 * * 5", zone)])
            .with_calendar(Some(business(zone, OnHoliday::NextBusinessDay, &["2026-12-25"])))
            .with_blackout(Some(
                Blackout::new(zone, vec![daily("22:00", "08:00")], OnBlackout::Delay).unwrap(),
            ))
            .with_jitter(Some(Jitter::new("10s".parse().unwrap(), "sales").unwrap())),
    );
    let ticks: Vec<_> = timetable.runs(at("2026-12-24T00:00"), &Bounds::default()).take(3).collect();
    let ticks: Vec<_> = ticks.iter().map(|run| run.tick().format("%FT%H:%M").to_string()).collect();
    // Friday 23:30 is a holiday: Monday 23:30, which is dark until Tuesday 08:00, as is Tuesday's own 07:00.
    assert_eq!(ticks, ["2026-12-24T07:00", "2026-12-28T07:00", "2026-12-29T07:00"]);
    assert_eq!(timetable.summary(), "0 7 * * *, 30 23 * * 5 (business days, blackout, jitter 10s)");
    assert_eq!(timetable.zone(), Some(zone));
    let delay = Jitter::new("10s".parse().unwrap(), "sales").unwrap().delay().num_seconds();
    assert_eq!(
        timetable.description(),
        format!(
            "At 07:00 every day, Europe/Berlin; and at 23:30 on Friday, Europe/Berlin; on the next business day instead of \
             Saturday, Sunday and 1 holiday, Europe/Berlin; when due from 22:00 to 08:00, Europe/Berlin, only afterwards; \
             started {delay}s later (jitter 10s)"
        )
    );
}

#[test_case(Timetable::Continuous, "@continuous", "Again and again, as soon as the last run has ended")]
#[test_case(dates(&["2026-12-24T18:00"]), "at 2026-12-24 18:00 UTC", "On 2026-12-24 18:00, UTC"; "one date")]
#[test_case(dates(&["2026-12-24T18:00", "2027-01-01T00:00"]), "2 dates", "On 2026-12-24 18:00 and 2027-01-01 00:00, UTC"; "two dates")]
#[test_case(whole(composed(vec![every("7h"), every("5h")]).with_data_interval(Interval::Length("1h".parse().unwrap()))), "every 7h, every 5h", "Every 7h; and every 5h; about the 1h before"; "two grids")]
#[test_case(whole(composed(vec![every("7h")]).with_blackout(Some(Blackout::new(Tz::UTC, vec![minutes("* * 1 * *")], OnBlackout::Skip).unwrap()))), "every 7h (blackout)", "Every 7h; never in the minutes of `* * 1 * *`, UTC"; "a blackout")]
#[test_case(whole(composed(vec![every("7h")]).with_calendar(Some(business(Tz::UTC, OnHoliday::Skip, &[])))), "every 7h (business days)", "Every 7h; not on Saturday and Sunday, UTC"; "a calendar")]
fn timetables_are_said(timetable: Timetable, summary: &str, description: &str) {
    assert_eq!((timetable.summary().as_str(), timetable.description().as_str()), (summary, description));
}

#[test]
fn far_from_everything_it_ends_at_once() {
    let blackout = Blackout::new(Tz::UTC, vec![daily("02:00", "03:00")], OnBlackout::Delay).unwrap();
    let timetable = whole(
        composed(vec![cron("@daily", Tz::Europe__Berlin), every("1h")])
            .with_calendar(Some(business(Tz::UTC, OnHoliday::NextBusinessDay, &[])))
            .with_blackout(Some(blackout))
            .with_jitter(Some(Jitter::new(Span::MAX, "sales").unwrap())),
    );
    for moment in
        [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC, at("2100-12-31T23:59"), at("1970-01-01T00:00")]
    {
        for catchup in [Catchup::None, Catchup::All, Catchup::Window(Span::MAX)] {
            let cursor = DataInterval::exact(moment);
            for cursor in [None, Some(&cursor)] {
                for start in [None, Some(moment)] {
                    let bounds = Bounds { start, end: None };
                    for timetable in [&timetable, &Timetable::Continuous] {
                        let run = timetable.next_run(cursor, &bounds, catchup, moment);
                        assert!(
                            run.is_none_or(|run| cursor.is_none_or(|cursor| run.logical_date > cursor.start))
                        );
                    }
                }
            }
        }
        assert!(timetable.fire_times(moment, &Bounds::default()).take(3).count() <= 3);
        assert_eq!(timetable.manual_interval(moment), Some(DataInterval::exact(moment)));
    }
}
