//! Timetables whose rules are a program of somebody else's: what it answered is what they do.

use chrono::{DateTime, TimeDelta, Utc};
use domain::timetable::{
    Bounds, Catchup, DataInterval, Listed, Listing, NextRun, Program, Timetable,
    asked::{Answer, Question},
};
use serde_json::json;
use test_case::test_case;

/// The hour `hours` of the time in which these tests play.
fn at(hours: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + hours * 3600, 0).unwrap()
}

/// Runs about an hour each, which may start a minute after it.
fn run(hour: i64) -> NextRun {
    let data_interval = DataInterval { start: at(hour), end: at(hour + 1) };
    NextRun { logical_date: at(hour), data_interval, run_after: at(hour + 1) + TimeDelta::minutes(1) }
}

fn micros(run: &NextRun) -> [i64; 3] {
    [run.data_interval.start, run.data_interval.end, run.run_after].map(|at| at.timestamp_micros())
}

fn listing(asked_at: DateTime<Utc>, runs: &[NextRun], has_more: bool) -> Listing {
    let runs: Vec<_> = runs.iter().map(micros).collect();
    let written = json!({"asked_at": asked_at.timestamp_micros(), "runs": runs, "has_more": has_more});
    serde_json::from_value(written).unwrap()
}

fn program() -> Program {
    Program {
        class: "shop.OpeningHours".to_owned(),
        arguments: json!({"opens": 9}),
        summary: "opening hours".to_owned(),
        description: String::new(),
        names_runs: false,
        is_aperiodic: false,
    }
}

fn listed(listing: Listing) -> Listed {
    Listed::new(program(), listing)
}

fn timetable(listing: Listing) -> Timetable {
    Timetable::Listed(Box::new(listed(listing)))
}

fn next(
    timetable: &Timetable,
    cursor: Option<NextRun>,
    catchup: Catchup,
    now: DateTime<Utc>,
) -> Option<NextRun> {
    let cursor = cursor.map(|run| run.data_interval);
    timetable.next_run(cursor.as_ref(), &Bounds::default(), catchup, now)
}

#[test]
fn runs_follow_each_other_as_the_program_named_them() {
    let named = [run(0), run(3), run(4)];
    let timetable = timetable(listing(at(0), &named, false));
    let mut cursor = None;
    for expected in named {
        cursor = next(&timetable, cursor, Catchup::All, at(0));
        assert_eq!(cursor, Some(expected));
    }
    assert_eq!(next(&timetable, cursor, Catchup::All, at(9)), None);
    assert_eq!(
        next(&timetable, Some(run(1)), Catchup::All, at(0)),
        Some(run(3)),
        "a cursor that it never named"
    );
    let known: Vec<NextRun> = timetable.runs(run(3).run_after, &Bounds::default()).collect();
    assert_eq!(known, named[1..]);
}

#[test_case(Catchup::None, 0, 2, true; "on time")]
#[test_case(Catchup::None, 0, 62, false; "missed, and asked long before")]
#[test_case(Catchup::None, 59, 62, true; "missed, and asked since")]
#[test_case(Catchup::All, 0, 62, true; "missed, but made up for anyway")]
fn a_program_says_itself_what_becomes_of_missed_runs(
    catchup: Catchup,
    asked_at: i64,
    now: i64,
    is_believed: bool,
) {
    let due = NextRun { run_after: at(0), ..run(-1) };
    let minutes = |minutes| at(0) + TimeDelta::minutes(minutes);
    let listing = listing(minutes(asked_at), &[due], false);
    let found = next(&timetable(listing.clone()), None, catchup, minutes(now));
    assert_eq!(found.is_some(), is_believed);
    if !is_believed {
        let listed = listed(listing);
        assert!(listed.is_outworn(None, catchup, false, minutes(now)), "who waits for an answer asks for it");
    }
}

#[test]
fn it_is_asked_again_before_its_answer_is_used_up() {
    let named: Vec<NextRun> = (0..200).map(run).collect();
    let outworn = |listing: Listing, cursor: NextRun, is_paused, now| {
        listed(listing).is_outworn(Some(&cursor.data_interval), Catchup::All, is_paused, now)
    };
    let some = |has_more| listing(at(0), &named, has_more);
    assert!(!outworn(some(true), run(149), false, at(0)), "50 are left");
    assert!(outworn(some(true), run(150), false, at(0)), "49 are left");
    assert!(!outworn(some(false), run(150), false, at(0)), "there are no more than these");
    assert!(outworn(some(true), run(0), true, at(1)), "what it goes by may have changed");
    assert!(!outworn(some(true), run(0), true, at(1) - TimeDelta::seconds(1)));
    let soon = at(0) + TimeDelta::minutes(5);
    assert!(outworn(some(false), run(199), false, soon), "there may be one now");
    assert!(!outworn(some(false), run(199), false, soon - TimeDelta::seconds(1)));
    let missed = listed(listing(at(0), &[run(-9)], false));
    let later = at(0) + TimeDelta::minutes(6);
    assert!(missed.is_outworn(None, Catchup::None, false, later));
    assert!(!missed.is_outworn(None, Catchup::None, true, later), "nothing is created for a paused DAG");
}

#[test_case(&[0, 1, 1], "which does not lie behind it"; "the same again")]
#[test_case(&[0, 2, 1], "which does not lie behind it"; "backwards")]
fn a_program_that_does_not_get_on_is_left_where_it_stopped(hours: &[i64], told: &str) {
    let named: Vec<NextRun> = hours.iter().copied().map(run).collect();
    let listing = listing(at(0), &named, true);
    assert_eq!(listing.runs(), &named[..2]);
    assert!(listing.fault().unwrap().contains(told), "{listing:?}");
    assert!(timetable(listing.clone()).description().contains(told));
    assert!(!listed(listing).is_outworn(None, Catchup::All, false, at(0)), "it would say the same again");
}

#[test]
fn the_interval_of_a_run_by_hand_is_not_made_up() {
    let timetable = timetable(listing(at(0), &[run(0)], false));
    assert_eq!(timetable.given_interval(at(7)), None);
    assert_eq!(Timetable::Null.given_interval(at(7)), Some(DataInterval::exact(at(7))));
}

fn with_names(runs: &[NextRun], names: &[&str]) -> Listing {
    let runs: Vec<_> = runs.iter().map(micros).collect();
    serde_json::from_value(json!({"asked_at": 0, "runs": runs, "names": names})).unwrap()
}

#[test]
fn a_program_may_have_names_for_its_runs() {
    let named = with_names(&[run(0), run(3)], &["first", "second"]);
    assert_eq!(named.name_of(&run(3)).unwrap().as_str(), "second");
    assert_eq!(named.name_of(&run(4)), None);
    let to_come: Vec<&str> =
        named.named(Some(&run(0).data_interval)).map(|(name, _)| name.as_str()).collect();
    assert_eq!(to_come, ["second"]);
    let written = serde_json::to_value(&named).unwrap();
    assert_eq!(serde_json::from_value::<Listing>(written).unwrap(), named);
    let without = named.without_names(&"second".parse().unwrap());
    assert_eq!((without.name_of(&run(3)), without.runs().len()), (None, 2));
    assert!(without.fault().unwrap().contains("`second`"));
}

#[test_case(&["same", "same"], "two runs `same`"; "of two runs")]
#[test_case(&["fine", "not fine"], "cannot be a name"; "with a space")]
#[test_case(&["fine"], "cannot be a name"; "that is missing")]
fn a_name_that_cannot_be_ends_the_list(names: &[&str], told: &str) {
    let listing = with_names(&[run(0), run(1)], names);
    assert_eq!(listing.runs(), [run(0)]);
    assert!(listing.fault().unwrap().contains(told), "{listing:?}");
}

fn answer(written: serde_json::Value) -> Option<Answer> {
    Some(serde_json::from_value(written).unwrap())
}

#[test]
fn a_program_is_asked_about_runs_by_hand() {
    let listed = listed(listing(at(0), &[], false));
    let question = Question::by_hand(&listed, Some(at(7)), None, at(8), "manual");
    let micros = |hour| at(hour).timestamp_micros();
    let said = question
        .read_by_hand(answer(json!({"data_interval": [micros(1), micros(2)], "run_id": "mine"})))
        .unwrap();
    assert_eq!(said.data_interval, Some(DataInterval { start: at(1), end: at(2) }));
    assert_eq!(said.run_id.unwrap().as_str(), "mine");
    let refused = |written| question.read_by_hand(written).unwrap_err().to_string();
    assert!(refused(None).contains("no scheduler answered"));
    assert!(refused(answer(json!({"fault": "boom"}))).contains("shop.OpeningHours cannot say it: boom"));
    assert!(refused(answer(json!({"data_interval": [micros(2), micros(1)]}))).contains("before it starts"));
    assert!(refused(answer(json!({"run_id": "a b"}))).contains("no name"));
}

#[test]
fn a_program_is_asked_for_the_runs_of_a_while() {
    let question = Question::between(&listed(listing(at(0), &[], false)), at(0), at(9), 100);
    let runs = |hours: &[i64]| {
        answer(json!({"runs": hours.iter().map(|hour| micros(&run(*hour))).collect::<Vec<_>>()}))
    };
    assert_eq!(question.read_between(runs(&[0, 2])).unwrap(), [run(0), run(2)]);
    assert!(question.read_between(runs(&[2, 0])).unwrap_err().to_string().contains("does not lie behind it"));
}

#[test]
fn an_interval_that_ends_before_it_starts_is_none() {
    let upside_down = NextRun { data_interval: DataInterval { start: at(2), end: at(1) }, ..run(1) };
    let listing = listing(at(0), &[run(0), upside_down, run(5)], false);
    assert_eq!(listing.runs(), [run(0)]);
    assert!(listing.fault().unwrap().contains("ends at"), "{listing:?}");
}

#[test]
fn the_answer_is_no_part_of_the_contents() {
    let asked = timetable(listing(at(0), &[run(0)], true));
    let later = timetable(listing(at(5), &[run(5)], false));
    let normal = serde_json::to_value(&asked).unwrap();
    assert_eq!(normal, serde_json::to_value(&later).unwrap());
    let written =
        json!({"class": "shop.OpeningHours", "arguments": {"opens": 9}, "summary": "opening hours"});
    assert_eq!(normal, written);
    let read: Timetable = serde_json::from_value(normal).unwrap();
    assert_eq!(next(&read, None, Catchup::All, at(0)), None);
    assert_eq!(read.with_listing(listing(at(5), &[run(5)], false)), later);
    let kept = serde_json::to_value(later.listed().unwrap().listing()).unwrap();
    assert_eq!(serde_json::from_value::<Listing>(kept).unwrap(), *later.listed().unwrap().listing());
}
