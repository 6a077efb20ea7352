//! Backfills of DAGs whose runs are about partitions, and of those whose timetable is a program of somebody else's.

use chrono::TimeDelta;
use domain::{
    backfill::{BackfillId, Date, Deed, Order, Refusal, Reprocess, plan},
    dag::Dag,
    dagfile,
    engine::{backfill::Found, event::Event},
    intent::Wish,
    outcome::TryResult,
    partition::{Partitions, Ticks},
    state::{RunState, RunType},
    timetable::{Cron, DataInterval, NextRun, Timetable},
};
use serde_json::json;
use test_case::test_case;

use crate::{
    backfills::{self, at},
    stage::Stage,
};

fn order(from: &str, to: &str) -> Order {
    Order { max_active_runs: 1, ..backfills::order(from, to) }
}

fn dag() -> Dag {
    let yaml = "dag_id: play\nmax_active_runs: 1\nstart_date: 2026-01-01T00:30\ntasks: {t: {bash: t}}";
    let parsed = dagfile::parse(yaml.as_bytes(), "play.yaml", &|_| Err("no files here".into()));
    parsed.dags[0].dag.clone()
}

/// A DAG whose every tick is a partition, `offset` ticks away.
fn ticking(cron: &str, zone: &str, offset: i32, format: &str) -> Dag {
    Dag {
        schedule: Timetable::Cron(Cron::parse(cron, zone.parse().unwrap()).unwrap()),
        partitions: Some(Partitions::Cron(Ticks::new(offset, format).unwrap())),
        ..dag()
    }
}

fn key(date: &Date) -> String {
    format!("{} of {}", date.key.as_ref().unwrap(), date.moment().format("%d %H:%M"))
}

// The keys, dates and `run_after` that Airflow 3.3.2 gives with the same arguments (`CronPartitionTimetable.iter_partition_dagrun_infos`).
#[test_case("0 0 * * *", "Asia/Taipei", 0, "2025-03-01T00:00:00Z", "2025-03-03T00:00:00Z",
    &["2025-03-01 of 28 16:00", "2025-03-02 of 01 16:00", "2025-03-03 of 02 16:00"]; "both ends are read on the clock of the schedule")]
#[test_case("0 0 * * *", "UTC", -1, "2025-03-01T00:00:00Z", "2025-03-02T23:00:00Z",
    &["2025-03-01 of 01 00:00", "2025-03-02 of 02 00:00"]; "the offset moves runs and not partitions")]
#[test_case("0 * * * *", "UTC", 0, "2025-03-01T08:00:00Z", "2025-03-01T09:59:59Z",
    &["2025-03-01 of 01 08:00", "2025-03-01 of 01 09:00"]; "a stretch of a day has its own partitions only")]
fn partitions_are_those_of_the_schedule(
    cron: &str,
    zone: &str,
    offset: i32,
    from: &str,
    to: &str,
    expected: &[&str],
) {
    let dag = ticking(cron, zone, offset, "%Y-%m-%d");
    let dates = plan(&dag, &order(from, to), None, at("2026-01-01T00:00:00Z")).unwrap();
    assert_eq!(dates.iter().map(key).collect::<Vec<_>>(), expected);
    assert!(dates.iter().all(|date| date.run_after == date.moment() && date.next().is_none()));
}

#[test]
fn partitions_to_come_do_not_count() {
    let dag = ticking("0 * * * *", "UTC", 0, "%H");
    let order = order("2025-03-01T00:00:00Z", "2025-03-02T00:00:00Z");
    let dates = plan(&dag, &order, None, at("2025-03-01T02:00:00Z")).unwrap();
    assert_eq!(dates.len(), 2, "{dates:?}");
}

#[test]
fn other_partitioned_dags_have_no_dates() {
    for partitions in [
        Partitions::AtRuntime,
        Partitions::Assets(domain::partition::Mappers {
            usual: domain::partition::Mapper::identity(),
            of: [].into(),
        }),
    ] {
        let dag = Dag { partitions: Some(partitions), ..dag() };
        let order = order("2025-03-01T00:00:00Z", "2025-03-02T00:00:00Z");
        let refused = plan(&dag, &order, None, at("2026-01-01T00:00:00Z")).unwrap_err();
        assert_eq!(refused, Refusal::NonPeriodic("play".parse().unwrap()));
    }
}

/// The stage at which a backfill of the two partitions before now was asked for, with the states of runs about the first of them, of
/// which the last started last.
fn stage(reprocess: Reprocess, found: Option<RunState>) -> Stage {
    let mut stage = Stage::of(vec![ticking("0 * * * *", "UTC", 0, "%Y-%m-%dT%H")]);
    let order = Order { reprocess, ..order("2025-12-31T00:00:00Z", "2025-12-31T01:00:00Z") };
    stage.ask(Wish::CreateBackfill { id: BackfillId(1), order, named: None });
    let survey = stage.surveys.pop().unwrap();
    let found = found.map(|state| Found { ordinal: 0, run_id: "before".parse().unwrap(), state });
    let found = found.into_iter().collect();
    stage.handle(Event::Surveyed { dag_id: survey.dag_id, backfill: survey.backfill, found });
    stage
}

fn created(stage: &Stage) -> Vec<String> {
    let runs = stage.runs.values().filter(|run| run.run_type == RunType::Backfill);
    runs.map(|run| run.partition.as_ref().unwrap().key.to_string()).collect()
}

#[test]
fn every_partition_gets_a_run_without_a_logical_date() {
    let mut stage = stage(Reprocess::None, None);
    assert_eq!(created(&stage), ["2025-12-31T00"]);
    let run = stage.runs.values().find(|run| run.run_type == RunType::Backfill).unwrap().clone();
    let expected = (None, None, at("2025-12-31T00:00:00Z"));
    assert_eq!((run.logical_date, run.data_interval, run.run_after), expected);
    assert_eq!(run.partition.unwrap().date, Some(expected.2));
    let name = run.run_id.as_str();
    assert!(name.starts_with("backfill__2025-12-31T00:00:00+00:00__2025-12-31T00__"), "{name}");
    stage.end(name, "t", TryResult::Success, Some(0), None);
    assert_eq!(created(&stage), ["2025-12-31T00", "2025-12-31T01"]);
}

#[test_case(Reprocess::None, RunState::Failed, Some(Deed::AlreadyExists))]
#[test_case(Reprocess::Failed, RunState::Success, Some(Deed::AlreadyExists))]
#[test_case(Reprocess::Completed, RunState::Running, Some(Deed::InFlight))]
#[test_case(Reprocess::Failed, RunState::Failed, None)]
#[test_case(Reprocess::Completed, RunState::Success, None)]
fn what_exists_is_left_alone_or_gets_another_run_beside_it(
    reprocess: Reprocess,
    state: RunState,
    left: Option<Deed>,
) {
    let stage = stage(reprocess, Some(state));
    let first = if left.is_some() { "2025-12-31T01" } else { "2025-12-31T00" };
    assert_eq!(created(&stage), [first]);
    assert!(stage.recalls.is_empty(), "nothing is cleared");
    let deeds: Vec<Deed> = stage.dates.iter().map(|date| date.deed).collect();
    assert_eq!(deeds, left.into_iter().chain([Deed::Created]).collect::<Vec<_>>());
}

fn program() -> Dag {
    let written = json!({"class": "plugin.Steps", "summary": "steps"});
    Dag { schedule: serde_json::from_value(written).unwrap(), ..dag() }
}

fn named(from: &str, minutes: &[i64]) -> Vec<NextRun> {
    let start = |offset: &i64| at(from) + TimeDelta::minutes(*offset);
    let run = |offset| {
        let data_interval = DataInterval { start: start(offset), end: start(offset) + TimeDelta::minutes(5) };
        NextRun {
            logical_date: data_interval.start,
            data_interval,
            run_after: data_interval.end + TimeDelta::minutes(1),
        }
    };
    minutes.iter().map(run).collect()
}

#[test]
fn the_dates_of_a_program_are_those_that_it_names() {
    let order = order("2025-03-01T00:00:00Z", "2025-03-01T01:00:00Z");
    let runs = named("2025-03-01T00:00:00Z", &[0, 7, 60, 61]);
    let now = at("2025-03-01T02:00:00Z");
    let dates = plan(&program(), &order, Some(&runs), now).unwrap();
    let expected: Vec<Date> =
        runs[..3].iter().map(|run| Date::of(run.data_interval, run.run_after)).collect();
    assert_eq!(dates, expected);
    assert_eq!(dates[1].run_id(BackfillId(1)).unwrap().as_str(), "backfill__2025-03-01T00:13:00+00:00");
    let early = plan(&program(), &order, Some(&runs), runs[1].data_interval.end).unwrap();
    assert_eq!(early, expected[..1], "what has not passed does not count");
    assert_eq!(plan(&program(), &order, None, now), Err(Refusal::Unasked("plugin.Steps".to_owned())));
    let twice = named("2025-03-01T00:00:00Z", &[0, 0]);
    assert!(matches!(plan(&program(), &order, Some(&twice), now), Err(Refusal::Nothing { .. })));
}

#[test]
fn a_program_may_have_no_dates_of_its_own() {
    let written = json!({"class": "plugin.Steps", "summary": "steps", "is_aperiodic": true});
    let dag = Dag { schedule: serde_json::from_value(written).unwrap(), ..dag() };
    let order = order("2025-03-01T00:00:00Z", "2025-03-01T01:00:00Z");
    let refused = plan(&dag, &order, Some(&[]), at("2026-01-01T00:00:00Z"));
    assert_eq!(refused, Err(Refusal::NonPeriodic("play".parse().unwrap())));
}

#[test]
fn a_backfill_of_a_program_runs_what_it_named() {
    let mut stage = Stage::of(vec![program()]);
    let order = order("2025-03-01T00:00:00Z", "2025-03-01T01:00:00Z");
    let runs = named("2025-03-01T00:00:00Z", &[0, 7]);
    stage.ask(Wish::CreateBackfill { id: BackfillId(1), order, named: Some(runs.clone()) });
    let survey = stage.surveys.pop().unwrap();
    stage.handle(Event::Surveyed { dag_id: survey.dag_id, backfill: survey.backfill, found: Vec::new() });
    let run = stage.run("backfill__2025-03-01T00:06:00+00:00");
    assert_eq!((run.data_interval, run.run_after), (Some(runs[0].data_interval), runs[0].run_after));
    let told = stage.audit.iter().find(|line| line.event == "create_backfill").unwrap();
    assert_eq!((&told.extra["wish"]["id"], &told.extra["wish"]["named"]), (&json!(1), &json!(null)));
}

#[test]
fn a_run_can_be_about_no_partition_any_more() {
    let mut stage = stage(Reprocess::None, None);
    let run = stage.runs.values().find(|run| run.run_type == RunType::Backfill).unwrap().clone();
    stage.ask(Wish::ForgetPartition { dag_id: run.dag_id.clone(), run_id: run.run_id.clone() });
    assert_eq!(stage.run(run.run_id.as_str()).partition, None);
    let unknown = Wish::ForgetPartition { dag_id: run.dag_id, run_id: "other".parse().unwrap() };
    stage.ask(unknown);
    assert!(stage.refusal().is_some());
}
