//! What Airflow's own timetables were recorded to do (`golden/timetable/record.py`), against ours.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use domain::timetable::{Bounds, Catchup, Cron, DataInterval, Timetable};
use serde::Deserialize;

type Moment = DateTime<Utc>;

#[derive(Deserialize)]
struct Recorded {
    ticks: Vec<(String, Tz, Moment, Vec<Moment>)>,
    next: Vec<Asked>,
}

/// Kind, expression, cursor, start, end, catchup, now, and the interval of the run that Airflow asks for.
#[derive(Deserialize)]
struct Asked(
    String,
    String,
    Option<(Moment, Moment)>,
    Option<Moment>,
    Option<Moment>,
    bool,
    Moment,
    Option<(Moment, Moment)>,
);

fn recorded() -> Recorded {
    serde_json::from_str(include_str!("golden/timetable/airflow.json")).unwrap()
}

fn cron(expression: &str, zone: Tz) -> Cron {
    Cron::parse(expression, zone).unwrap()
}

/// Airflow walks to the next tick of an every-hour expression in elapsed time. Where the clock changes by half an hour on
/// the way it arrives beside the expression (01:30 for minute 0); ours stays on it. The number is that of rows.
const OFF_THEIR_EXPRESSION: [(&str, &str, usize); 5] = [
    ("0 * * * *", "Australia/Lord_Howe", 1),
    ("15 * * * *", "Australia/Lord_Howe", 1),
    ("30 */1 * * *", "Australia/Lord_Howe", 2),
    ("30 0-23 * * *", "Australia/Lord_Howe", 2),
    ("@hourly", "Australia/Lord_Howe", 1),
];

#[test]
fn ticks_around_the_changes_of_the_clock_are_those_of_airflow() {
    let mut different: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (expression, zone, after, theirs) in recorded().ticks {
        let timetable = Timetable::Cron(cron(&expression, zone));
        let after = after + TimeDelta::seconds(1);
        let ours: Vec<_> = timetable.fire_times(after, &Bounds::default()).take(theirs.len()).collect();
        if ours != theirs {
            println!("{expression} {zone}\n ours   {ours:?}\n theirs {theirs:?}");
            *different.entry((expression, zone.name().to_owned())).or_default() += 1;
        }
    }
    let known = OFF_THEIR_EXPRESSION
        .map(|(expression, zone, times)| ((expression.to_owned(), zone.to_owned()), times));
    assert_eq!(different, BTreeMap::from(known));
}

#[test]
fn the_next_run_is_that_of_airflow() {
    let mut same = 0;
    for asked in recorded().next {
        let Asked(kind, expression, cursor, start, end, catchup, now, theirs) = &asked;
        let case = format!("{kind} {expression} {cursor:?} {start:?} {end:?} {catchup} {now}");
        let timetable = Timetable::Cron(cron(expression, Tz::UTC).with_data_interval(kind == "interval"));
        let before = cursor.map(|(start, end)| DataInterval { start, end });
        let mode = if *catchup { Catchup::All } else { Catchup::None };
        let ours = timetable.next_run(before.as_ref(), &Bounds { start: *start, end: *end }, mode, *now);
        let ours = ours.map(|run| (run.data_interval.start, run.data_interval.end));
        match on_purpose(&asked) {
            Some(expected) => assert_eq!(ours, expected, "{case}"),
            None => {
                assert_eq!(ours, *theirs, "{case}");
                same += 1;
            }
        }
    }
    assert_eq!(same, 576 - 40);
}

/// What we do where we differ from Airflow and mean to.
fn on_purpose(asked: &Asked) -> Option<Option<(Moment, Moment)>> {
    let Asked(kind, expression, cursor, start, end, catchup, now, _) = asked;
    if !catchup {
        return None;
    }
    let cron = cron(expression, Tz::UTC);
    match (kind.as_str(), cursor, start) {
        // A start date that was moved to after the last run is ignored there; here no run is due before it.
        ("trigger", Some((_, last)), Some(start)) if start > last => {
            let first = cron.next_after(*start - TimeDelta::seconds(1))?;
            Some(Some((first, first)).filter(|_| end.is_none_or(|end| first <= end)))
        }
        // With nothing to catch up from there is never a run there; here it is the last complete interval.
        ("interval", None, None) => {
            let last = cron.previous_before(*now + TimeDelta::seconds(1))?;
            let start = cron.previous_before(last)?;
            end.is_none_or(|end| start <= end).then_some(Some((start, last)))
        }
        _ => None,
    }
}
