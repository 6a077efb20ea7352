//! Runs by the timetable of a plugin: the list of what it has named is all that the engine knows, and another one may come at any time.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    dag::Dag,
    engine::{event::Event, record::VersionId},
    timetable::{Catchup, Timetable},
};
use serde_json::json;

use crate::stage::{Stage, record};

fn at(minute: i64) -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::minutes(minute)
}

/// The timetable has been asked, now, and has named runs about the minutes before these.
fn name(stage: &mut Stage, catchup: Catchup, minutes: &[i64]) {
    let micros = |minute: i64| at(minute).timestamp_micros();
    let runs: Vec<[i64; 3]> =
        minutes.iter().map(|minute| [micros(minute - 1), micros(*minute), micros(*minute)]).collect();
    let listing = json!({"asked_at": stage.now.timestamp_micros(), "runs": runs});
    let schedule: Timetable = serde_json::from_value(json!({"class": "x.Y", "summary": "y"})).unwrap();
    let schedule = schedule.with_listing(serde_json::from_value(listing).unwrap());
    let dag = Dag { schedule, catchup, ..Dag::clone(&stage.dag) };
    stage.handle(Event::Dag(Box::new(record(VersionId(1), Arc::new(dag)))));
}

/// The minutes before which the runs are about, in the order in which they were created.
fn created(stage: &Stage) -> Vec<i64> {
    stage.runs.values().map(|run| (run.data_interval.unwrap().end - at(0)).num_minutes()).collect()
}

fn next(stage: &Stage) -> Option<i64> {
    stage.next.map(|next| (next.run_after - at(0)).num_minutes())
}

#[test]
fn another_list_goes_on_where_the_schedule_has_got_to() {
    let mut stage = Stage::new("tasks: {t: {bash: t}}");
    name(&mut stage, Catchup::None, &[1, 3]);
    assert_eq!((created(&stage), next(&stage)), (vec![], Some(1)));
    stage.pass(60);
    assert_eq!((created(&stage), next(&stage)), (vec![1], Some(3)));
    stage.pass(120);
    assert_eq!((created(&stage), next(&stage)), (vec![1, 3], None), "the list is used up");
    name(&mut stage, Catchup::None, &[1, 3, 4]);
    assert_eq!((created(&stage), next(&stage)), (vec![1, 3], Some(4)), "nothing runs twice");
    name(&mut stage, Catchup::None, &[5]);
    stage.pass(60);
    assert_eq!((created(&stage), next(&stage)), (vec![1, 3], Some(5)), "it has changed its mind");
}

#[test]
fn what_was_missed_is_asked_for_unless_it_is_made_up_for_anyway() {
    for (catchup, before, after) in
        [(Catchup::None, vec![], vec![9]), (Catchup::All, vec![1, 2, 3], vec![1, 2, 3, 9])]
    {
        let mut stage = Stage::new("tasks: {t: {bash: t}}");
        name(&mut stage, catchup, &[1, 2, 3]);
        stage.pass(600);
        assert_eq!((created(&stage), next(&stage)), (before, None), "{catchup:?}");
        name(&mut stage, catchup, &[9, 11]);
        assert_eq!((created(&stage), next(&stage)), (after, Some(11)), "{catchup:?}");
    }
}
