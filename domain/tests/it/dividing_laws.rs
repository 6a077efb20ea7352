//! Partitions of DAGs, one law at a time.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    asset::{AssetName, EventId},
    dag::Dag,
    dagfile,
    engine::{event::Event, record::VersionId},
    id::{DagId, RunId},
    intent::{Trigger, Wish},
    partition::{Key, Mapper, Mappers, Partition, Partitions, Ticks},
    serialized::partition_mapper,
    state::RunType,
};
use serde_json::{Map, Value, json};
use test_case::test_case;
use uuid::Uuid;

use crate::{
    consuming::asset,
    stage::{Stage, record},
};

const FILE: &str = "
dag_id: play
schedule: {assets: {all: [a, b]}}
max_active_runs: 4
tasks: {t: {bash: 'true'}}
---
dag_id: make
tasks: {m: {empty: {}, outlets: [a]}}
";

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn dags(text: &str) -> Vec<Dag> {
    let parsed = dagfile::parse(text.as_bytes(), "play.yaml", &|_| Err(String::new()));
    assert!(parsed.errors.is_empty(), "{:#?}", parsed.errors);
    parsed.dags.into_iter().map(|loaded| loaded.dag).collect()
}

fn mapper(kind: &str, said: Value) -> Mapper {
    partition_mapper(&json!({"__type": format!("airflow.partition_mappers.{kind}"), "__var": said})).unwrap()
}

fn of_day() -> Value {
    let said = json!({"input_format": "%Y-%m-%dT%H", "output_format": "%Y-%m-%d", "timezone": "UTC"});
    json!({"__type": "airflow.partition_mappers.temporal.StartOfDayMapper", "__var": said})
}

fn mappers(usual: Mapper, of: &[(&str, &Mapper)]) -> Partitions {
    let of = of.iter().map(|(name, mapper)| (AssetName::new(name).unwrap(), (*mapper).clone()));
    Partitions::Assets(Mappers { usual, of: of.collect() })
}

/// `play` waits for `a` and `b`; `make` has whatever partitions it is given, and makes `a`.
fn stage(partitions: Partitions) -> Stage {
    let mut dags = dags(FILE);
    (dags[0].partitions, dags[1].partitions) = (Some(partitions), Some(Partitions::AtRuntime));
    Stage::of(dags)
}

fn update(stage: &mut Stage, name: &str, partition: Option<&str>) {
    let (asset, extra, request) = (asset(name), Map::new(), Uuid::nil());
    stage.ask(Wish::CreateAssetEvent { asset, extra, partition_key: partition.map(key), request });
}

fn runs(stage: &Stage) -> Vec<(String, Option<DateTime<Utc>>)> {
    let runs = stage.runs.values().filter(|run| run.run_type == RunType::AssetTriggered);
    let partition = |partition: &Partition| (partition.key.to_string(), partition.date);
    runs.map(|run| partition(run.partition.as_ref().unwrap())).collect()
}

fn keys(stage: &Stage) -> Vec<String> {
    runs(stage).into_iter().map(|(key, _)| key).collect()
}

fn told(stage: &Stage, event: &str) -> usize {
    stage.audit.iter().filter(|line| line.event == event).count()
}

fn trigger(stage: &mut Stage, dag_id: &str, partition: &str) {
    stage.ask(Wish::Trigger(Trigger {
        dag_id: DagId::new(dag_id).unwrap(),
        run_id: RunId::new(&format!("by_hand__{partition}")).unwrap(),
        logical_date: None,
        data_interval: None,
        run_after: stage.now,
        conf: Map::new(),
        note: None,
        partition_key: Some(key(partition)),
        materializes: false,
    }));
}

#[test]
fn each_partition_waits_by_itself() {
    let mut stage = stage(mappers(Mapper::identity(), &[]));
    update(&mut stage, "a", Some("us"));
    update(&mut stage, "b", Some("eu"));
    assert!(keys(&stage).is_empty());
    update(&mut stage, "b", Some("us"));
    assert_eq!(keys(&stage), ["us"]);
    let run = stage.runs.values().find(|run| run.partition.is_some()).unwrap();
    assert_eq!((run.logical_date, run.data_interval, run.run_after), (None, None, stage.now));
    let end = &stage.partition_ends[0];
    assert_eq!((end.key.as_str(), end.upto, end.run), ("us", EventId(3), Some(run.key)));
    assert_eq!(stage.waiting.iter().map(|(_, key)| key.as_str()).collect::<Vec<_>>(), ["eu"]);
    stage.pass(5);
    update(&mut stage, "a", Some("us"));
    assert_eq!(keys(&stage), ["us"], "what is told after the run begins anew");
    update(&mut stage, "b", Some("us"));
    assert_eq!(keys(&stage), ["us", "us"]);
}

#[test]
fn an_event_is_either_about_a_part_or_about_the_whole() {
    let mut dags =
        dags(&format!("{FILE}---\ndag_id: plain\nschedule: {{assets: a}}\ntasks: {{t: {{empty: {{}}}}}}"));
    dags[0].partitions = Some(mappers(Mapper::identity(), &[]));
    let mut stage = Stage::of(dags);
    update(&mut stage, "a", Some("us"));
    assert!(stage.consumed.is_empty() && stage.queued.is_empty());
    update(&mut stage, "a", None);
    assert_eq!((stage.consumed.len(), stage.waiting.len()), (1, 1));
    assert_eq!(told(&stage, "missing partition key"), 1);
}

#[test]
fn a_whole_waits_for_its_parts_and_knows_its_date() {
    let rollup = mapper(
        "base.RollupMapper",
        json!({"upstream_mapper": of_day(), "window": {"__type": "airflow.partition_mappers.window.DayWindow", "__var": {}}}),
    );
    let day = partition_mapper(&of_day()).unwrap();
    let mut stage = stage(mappers(day, &[("a", &rollup)]));
    update(&mut stage, "b", Some("2026-02-01T07"));
    for hour in 0..24 {
        assert!(keys(&stage).is_empty(), "{hour}");
        update(&mut stage, "a", Some(&format!("2026-02-01T{hour:02}")));
        update(&mut stage, "a", Some("2026-02-01T00"));
    }
    let date = "2026-02-01T00:00:00Z".parse().unwrap();
    assert_eq!(runs(&stage), [("2026-02-01".to_owned(), Some(date))]);
}

#[test]
fn one_event_can_be_about_several_partitions() {
    let fan_out = mapper(
        "temporal.FanOutMapper",
        json!({
            "upstream_mapper": {"__type": "airflow.partition_mappers.identity.IdentityMapper", "__var": {}},
            "window": {"__type": "airflow.partition_mappers.window.SegmentWindow", "__var": {"segments": ["x", "y", "z"]}},
            "downstream_mapper": {"__type": "airflow.partition_mappers.identity.IdentityMapper", "__var": {}},
            "max_downstream_keys": 3,
        }),
    );
    let narrow = Mapper { most: Some(2), ..fan_out.clone() };
    let mut stage = stage(mappers(Mapper::identity(), &[("a", &fan_out), ("b", &narrow)]));
    update(&mut stage, "a", Some("all"));
    assert_eq!(stage.waiting.len(), 3);
    update(&mut stage, "b", Some("all"));
    assert_eq!((stage.waiting.len(), told(&stage, "partition fan-out exceeded")), (3, 1));
}

#[test]
fn what_a_mapper_does_not_understand_is_told_and_left_out() {
    let day = partition_mapper(&of_day()).unwrap();
    let mut stage = stage(mappers(day, &[]));
    update(&mut stage, "a", Some("yesterday"));
    assert_eq!((stage.waiting.len(), told(&stage, "failed to map partition_key")), (0, 1));
    let line = stage.audit.iter().find(|line| line.event == "failed to map partition_key").unwrap();
    assert_eq!(line.extra["target_dag"], "play");
}

#[test]
fn the_events_of_a_run_are_about_its_partition() {
    let mut stage = stage(mappers(Mapper::identity(), &[]));
    trigger(&mut stage, "make", "eu");
    assert_eq!(stage.events[0].partition_key, Some(key("eu")));
    update(&mut stage, "b", Some("eu"));
    assert_eq!(keys(&stage), ["eu"]);
}

#[test]
fn only_partitioned_dags_take_keys_and_only_their_own() {
    let mut dags = dags(FILE);
    dags[0].partitions = Some(mappers(partition_mapper(&of_day()).unwrap(), &[]));
    let mut stage = Stage::of(dags);
    trigger(&mut stage, "make", "eu");
    assert!(stage.refusal().unwrap().contains("`make` is not partitioned"));
    trigger(&mut stage, "play", "2026-13-01");
    assert!(stage.refusal().unwrap().contains("is not written as \"%Y-%m-%d\""));
    trigger(&mut stage, "play", "2026-02-01");
    let date = "2026-02-01T00:00:00Z".parse().unwrap();
    assert_eq!(
        stage.run("by_hand__2026-02-01").partition,
        Some(Partition { key: key("2026-02-01"), date: Some(date) })
    );
}

fn with_schedule(offset: i32, format: &str) -> Dag {
    let file = "dag_id: play\nschedule: '0 6 * * *'\ntimezone: Asia/Taipei\nstart_date: 2025-12-31\ncatchup: true\ntasks: {t: {empty: {}}}";
    let mut dag = dags(file).remove(0);
    dag.partitions = Some(Partitions::Cron(Ticks::new(offset, format).unwrap()));
    dag
}

#[test_case(0, "%Y-%m-%d", "2025-12-31", "2025-12-30T22:00:00Z"; "the tick itself, by the clock of its zone")]
#[test_case(1, "%Y/%m/%d", "2026/01/01", "2025-12-31T22:00:00Z"; "the next")]
#[test_case(-2, "%Y-%m-%dT%H", "2025-12-29T06", "2025-12-28T22:00:00Z"; "two before")]
fn a_tick_is_a_partition(offset: i32, format: &str, expected: &str, date: &str) {
    let stage = Stage::of(vec![with_schedule(offset, format)]);
    let run = stage.runs.values().next().unwrap();
    assert_eq!((run.logical_date, run.data_interval), (None, None));
    assert_eq!(run.run_after, "2025-12-30T22:00:00Z".parse::<DateTime<Utc>>().unwrap());
    let partition = run.partition.clone().unwrap();
    assert_eq!(partition, Partition { key: key(expected), date: Some(date.parse().unwrap()) });
    let name = format!("scheduled__2025-12-30T22:00:00+00:00__{}__", expected.replace('/', "_"));
    assert!(run.run_id.as_str().starts_with(&name), "{}", run.run_id);
    let read = stage.dag.partition_of(key(expected)).map(|partition| partition.date);
    assert!(format.contains("%H") == (read.unwrap() == partition.date), "a day is read as its midnight");
}

#[test]
fn ticks_that_are_no_keys_are_refused() {
    let said = |offset, format: &str| Ticks::new(offset, format).unwrap_err().to_string();
    assert!(said(0, "  ").contains("no partition key: a partition key cannot be empty"));
    assert!(said(0, &"x".repeat(201)).contains("at most 200"));
    assert!(said(9_999, "%Y").contains("at most 1000 ticks away, not 9999"));
}

#[test]
fn carried_dates_must_agree() {
    let mut dags = dags(FILE);
    let file = "dag_id: other\nschedule: '0 0 * * *'\nstart_date: 2026-01-01\ncatchup: true\ntasks: {m: {empty: {}, outlets: [b]}}";
    dags.push(self::dags(file).remove(0));
    dags[0].partitions = Some(mappers(Mapper::identity(), &[]));
    dags[1].partitions = Some(Partitions::AtRuntime);
    dags[2].partitions = Some(Partitions::Cron(Ticks::new(0, "%m").unwrap()));
    let mut stage = Stage::of(dags);
    trigger(&mut stage, "make", "01");
    let first = Some("2026-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(runs(&stage), [("01".to_owned(), first)]);
    stage.pass(86_400 * 2);
    stage.pass(1);
    trigger(&mut stage, "make", "01x");
    assert_eq!(runs(&stage).len(), 1, "`a` has told nothing since");
    update(&mut stage, "a", Some("01"));
    assert_eq!(runs(&stage)[1], ("01".to_owned(), None), "two days were about the same key");
}

fn changed(stage: &mut Stage, partitions: Partitions) {
    let mut dag = (*stage.dag).clone();
    dag.partitions = Some(partitions);
    stage.handle(Event::Dag(Box::new(record(VersionId(9), Arc::new(dag)))));
}

#[test]
fn other_mappers_begin_anew() {
    let identity = || mappers(Mapper::identity(), &[]);
    let mut stage = stage(identity());
    update(&mut stage, "a", Some("us"));
    changed(&mut stage, identity());
    assert_eq!(stage.waiting.len(), 1, "another version with the same mappers goes on");
    let allowed = mapper("allowed_key.AllowedKeyMapper", json!({"allowed_keys": ["us"]}));
    changed(&mut stage, mappers(Mapper::identity(), &[("b", &allowed)]));
    assert!(stage.waiting.is_empty());
    assert_eq!((stage.partition_ends.len(), stage.partition_ends[0].run), (1, None));
    update(&mut stage, "b", Some("us"));
    assert!(keys(&stage).is_empty());
}

#[test]
fn runs_wait_for_room_and_dags_in_a_circle_for_their_turn() {
    let mut dags =
        dags("dag_id: play\nschedule: {assets: a}\nmax_active_runs: 2\ntasks: {t: {bash: 'true'}}");
    dags[0].partitions = Some(mappers(Mapper::identity(), &[]));
    let mut stage = Stage::of(dags);
    for name in ["x", "y", "z"] {
        update(&mut stage, "a", Some(name));
        stage.pass(1);
    }
    assert_eq!(keys(&stage), ["x", "y"]);
    update(&mut stage, "a", Some("z"));
    let run = stage.runs.values().next().unwrap().run_id.to_string();
    stage.end(&run, "t", domain::outcome::TryResult::Success, Some(0), None);
    assert_eq!(keys(&stage), ["x", "y", "z"]);
    assert_eq!(stage.partition_ends[2].upto, EventId(4), "what was told while it waited is its own");

    let mut dags = self::dags("dag_id: play\nschedule: {assets: a}\ntasks: {t: {empty: {}, outlets: [a]}}");
    dags[0].partitions = Some(mappers(Mapper::identity(), &[]));
    let mut stage = Stage::of(dags);
    update(&mut stage, "a", Some("x"));
    for _ in 0..5 {
        stage.pass(1);
    }
    assert_eq!(keys(&stage).len(), 6);
}

#[test]
fn too_many_partitions_give_up_the_oldest() {
    let mut stage = stage(mappers(Mapper::identity(), &[]));
    update(&mut stage, "a", Some("oldest"));
    for number in 0..10_000 {
        if number % 1_000 == 0 {
            stage.now += TimeDelta::seconds(1);
        }
        let (asset, extra, request) = (asset("a"), Map::new(), Uuid::nil());
        let partition_key = Some(key(&number.to_string()));
        let wish = Wish::CreateAssetEvent { asset, extra, partition_key, request };
        stage
            .engine
            .handle(Event::Intent(Box::new(domain::intent::Intent { by: "ada".into(), wish })), stage.now);
    }
    stage.poll();
    assert_eq!((stage.waiting.len(), told(&stage, "partition dropped")), (10_000, 1));
    assert!(stage.waiting.iter().all(|(_, key)| key.as_str() != "oldest"));
}

#[test]
fn what_waits_can_be_dropped_by_hand() {
    let mut stage = stage(mappers(Mapper::identity(), &[]));
    update(&mut stage, "a", Some("us"));
    let dag_id = Some(DagId::new("play").unwrap());
    stage.ask(Wish::DropQueuedAssets { dag_id, asset: None, before: None });
    assert!(stage.waiting.is_empty());
    update(&mut stage, "b", Some("us"));
    assert!(keys(&stage).is_empty());
}

#[test]
fn keys_have_limits() {
    assert!(Key::new(&"k".repeat(250)).is_ok());
    let said = |text: &str| Key::new(text).unwrap_err().to_string();
    assert!(said(&"k".repeat(251)).contains("at most 250 characters, this one has 251"));
    assert!(said(" ").contains("cannot be empty"));
    assert!(said("a\nb").contains("'\\n'"));
}
