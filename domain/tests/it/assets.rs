//! Assets, one law at a time.

use std::{collections::BTreeMap, sync::Arc};

use chrono::TimeDelta;
use domain::{
    asset::{AssetName, EventId, OutletEvent, emissions, parse_events},
    dagfile,
    engine::{
        decision::Decisions,
        event::Event,
        record::{AssetCursor, AssetStanding, AssetsRecord, DagRecord, VersionId},
    },
    id::{DagId, RunId},
    intent::{Intent, MarkTasks, Message, Trigger, Wish},
    outcome::TryResult,
    state::{RunState, RunType, TaskState},
};
use serde_json::{Map, json};
use uuid::Uuid;

use crate::{consuming::asset, stage::Stage};

const PLAY: &str = "
dag_id: play
tasks:
  make: {bash: 'true', outlets: [a], retries: 1}
  more: {bash: 'true', outlets: [b]}
";

/// A stage on which `play` makes the assets `a` and `b`, and `others` wait.
fn stage(others: &str) -> Stage {
    let mut stage = Stage::new(&format!("{PLAY}---\n{others}"));
    stage.trigger("r", None);
    stage
}

fn runs(stage: &Stage, dag_id: &str) -> Vec<String> {
    let runs = stage.runs.values().filter(|run| run.dag_id.as_str() == dag_id);
    runs.map(|run| run.run_id.to_string()).collect()
}

fn by_assets(stage: &Stage, dag_id: &str) -> usize {
    runs(stage, dag_id).iter().filter(|run| run.starts_with("asset_triggered__")).count()
}

fn update(stage: &mut Stage, name: &str) {
    let wish = Wish::CreateAssetEvent {
        asset: asset(name),
        extra: Map::new(),
        partition_key: None,
        request: Uuid::nil(),
    };
    stage.ask(wish);
}

fn pause(stage: &mut Stage, paused: &str) {
    let flag = |dag_id: &str| (DagId::new(dag_id).unwrap(), dag_id == paused);
    stage.handle(Event::Flags(vec![flag("play"), flag("report")]));
}

const REPORT: &str = "dag_id: report\nschedule: {assets: {all: [a, b]}}\ntasks: {t: {empty: {}}}";

#[test]
fn a_run_is_created_when_all_assets_are_updated() {
    let mut stage = stage(REPORT);
    stage.succeed("make");
    assert_eq!(by_assets(&stage, "report"), 0);
    stage.now += TimeDelta::seconds(60);
    stage.succeed("more");
    assert_eq!(by_assets(&stage, "report"), 1);
    let run = stage.runs.values().find(|run| run.run_type == RunType::AssetTriggered).unwrap();
    assert!(run.run_id.as_str().starts_with("asset_triggered__2026-01-01T00:01:00+00:00_"), "{run:?}");
    assert_eq!((run.logical_date, run.data_interval, run.run_after), (None, None, stage.now));
    let consumed = &stage.consumed[0];
    assert_eq!((consumed.run, consumed.after, consumed.upto), (run.key, EventId(0), EventId(2)));
    assert_eq!(stage.events.len(), 2);
    let source = stage.events[0].source.as_ref().unwrap();
    assert_eq!((source.run_id.as_str(), source.task_id.as_str(), source.map_index), ("r", "make", -1));
    assert!(stage.queued.is_empty(), "what was consumed is not queued any more");
}

#[test]
fn any_of_several_assets_will_do() {
    let mut stage = stage("dag_id: report\nschedule: {assets: {any: [b, c]}}\ntasks: {t: {empty: {}}}");
    stage.succeed("make");
    assert_eq!((by_assets(&stage, "report"), stage.events.len()), (0, 1));
    stage.succeed("more");
    assert_eq!(by_assets(&stage, "report"), 1);
}

#[test]
fn only_a_success_is_an_event() {
    let mut stage = stage("dag_id: report\nschedule: {assets: a}\ntasks: {t: {empty: {}}}");
    stage.fail("make");
    stage.pass(3600);
    stage.end("r", "make", TryResult::Skipped, None, None);
    assert!(stage.events.is_empty());
    stage.clear(&["make"]);
    stage.end("r", "make", TryResult::FailedForGood, None, None);
    assert!(stage.events.is_empty(), "nor is a failure that is final");
    stage.clear(&["make"]);
    let selection = stage.selection("r", &["make"]);
    stage.ask(Wish::MarkTasks(MarkTasks { selection, state: TaskState::Success }));
    assert!(stage.events.is_empty(), "who marks a task by hand says nothing of assets");
    stage.clear(&["make"]);
    let outcome = stage.outcome("r", "make");
    stage.handle(Event::Outcome(Box::new(outcome.clone())));
    stage.handle(Event::Outcome(Box::new(outcome)));
    assert_eq!((stage.events.len(), by_assets(&stage, "report")), (1, 1), "and a try counts once");
}

#[test]
fn what_the_engine_carries_out_itself_makes_assets_too() {
    let mut stage = Stage::new("dag_id: play\ntasks: {t: {empty: {}, outlets: [a]}}");
    stage.trigger("r", None);
    assert_eq!(stage.events.len(), 1);
}

#[test]
fn a_paused_dag_is_not_told_but_consumes_later_what_it_missed() {
    let mut stage = stage("dag_id: report\nschedule: {assets: a}\ntasks: {t: {empty: {}}}");
    pause(&mut stage, "report");
    update(&mut stage, "a");
    pause(&mut stage, "nobody");
    assert_eq!(by_assets(&stage, "report"), 0);
    update(&mut stage, "a");
    assert_eq!(by_assets(&stage, "report"), 1);
    assert_eq!((stage.consumed[0].after, stage.consumed[0].upto), (EventId(0), EventId(2)));
}

#[test]
fn what_is_queued_when_a_dag_is_paused_waits() {
    let mut stage = stage(REPORT);
    update(&mut stage, "a");
    pause(&mut stage, "report");
    assert_eq!(stage.queued.len(), 1);
    pause(&mut stage, "nobody");
    update(&mut stage, "b");
    assert_eq!(by_assets(&stage, "report"), 1);
}

#[test]
fn events_without_room_are_consumed_together_when_there_is() {
    let report = "dag_id: report\nmax_active_runs: 1\nschedule: {assets: a}\ntasks: {t: {bash: 'true'}}";
    let mut stage = stage(report);
    update(&mut stage, "a");
    let first = runs(&stage, "report")[0].clone();
    for _ in 0..3 {
        stage.pass(10);
        update(&mut stage, "a");
    }
    assert_eq!((by_assets(&stage, "report"), stage.queued.len()), (1, 1));
    stage.end(&first, "t", TryResult::Success, Some(0), None);
    assert_eq!((by_assets(&stage, "report"), stage.queued.len()), (2, 0));
    assert_eq!((stage.consumed[1].after, stage.consumed[1].upto), (EventId(1), EventId(4)));
}

#[test]
fn what_arrives_within_a_second_is_consumed_together() {
    let mut stage = stage("dag_id: report\nschedule: {assets: a}\ntasks: {t: {empty: {}}}");
    (0..5).for_each(|_| update(&mut stage, "a"));
    assert_eq!(by_assets(&stage, "report"), 1);
    assert_eq!(stage.engine.next_deadline(), Some(stage.now + TimeDelta::seconds(1)));
    stage.pass(1);
    assert_eq!(by_assets(&stage, "report"), 2);
    assert_eq!((stage.consumed[1].after, stage.consumed[1].upto), (EventId(1), EventId(5)));
}

#[test]
fn dags_that_feed_each_other_leave_the_engine_time_to_breathe() {
    let mut stage = Stage::new("dag_id: play\nschedule: {assets: a}\ntasks: {t: {empty: {}, outlets: [a]}}");
    stage.trigger("r", None);
    for _ in 0..5 {
        stage.pass(1);
    }
    assert_eq!(by_assets(&stage, "play"), 6);
}

#[test]
fn the_backlog_is_replayed_only_by_who_catches_up() {
    let parsed = |text: &str| {
        dagfile::parse(text.as_bytes(), "late.yaml", &|_| Err(String::new())).dags[0].dag.clone()
    };
    for (catchup, after) in [(true, 0), (false, 2)] {
        let mut stage = stage("dag_id: other\ntasks: {t: {empty: {}}}");
        update(&mut stage, "a");
        update(&mut stage, "a");
        let late = format!(
            "dag_id: late\ncatchup: {catchup}\nschedule: {{assets: a}}\ntasks: {{t: {{empty: {{}}}}}}"
        );
        let record = DagRecord {
            version: VersionId(9),
            dag: Arc::new(parsed(&late)),
            is_paused: false,
            is_stale: false,
            cursor: None,
            disabled: Default::default(),
            failed_runs: 0,
            taken: Default::default(),
            assets: AssetStanding::default(),
        };
        stage.handle(Event::Dag(Box::new(record)));
        assert_eq!(by_assets(&stage, "late"), 0, "only a new event asks for a run");
        update(&mut stage, "a");
        assert_eq!((stage.consumed[0].after, stage.consumed[0].upto), (EventId(after), EventId(3)));
    }
}

#[test]
fn assets_or_time_do_both() {
    let report = "dag_id: report\nstart_date: 2026-01-01\nschedule: {assets: a, or: '0 6 * * *'}\ntasks: {t: {empty: {}}}";
    let mut stage = stage(report);
    update(&mut stage, "a");
    stage.pass(6 * 3600);
    assert_eq!(by_assets(&stage, "report"), 1);
    assert!(runs(&stage, "report").contains(&"scheduled__2026-01-01T06:00:00+00:00".to_owned()));
}

#[test]
fn an_alias_asks_for_runs_with_assets_that_nobody_named() {
    let yaml = "dag_id: play\ntasks: {make: {bash: 'true', outlets: [{alias: files}]}}\n---\ndag_id: report\nschedule: {assets: {alias: files}}\ntasks: {t: {empty: {}}}";
    let mut stage = Stage::new(yaml);
    stage.trigger("r", None);
    let mut outcome = stage.outcome("r", "make");
    let dag = stage.dag.clone();
    let text = r#"{"alias": "files", "asset": "s3://x/1"} {"alias": "files", "asset": {"name": "two"}, "extra": {"n": 2}}"#;
    outcome.asset_events = parse_events(text, &dag.tasks[0].outlets).unwrap();
    stage.handle(Event::Outcome(Box::new(outcome)));
    assert_eq!(stage.events.len(), 2);
    assert_eq!(stage.events[1].aliases[0].as_str(), "files");
    assert_eq!(stage.events[1].extra["n"], json!(2));
    assert_eq!(by_assets(&stage, "report"), 1);
    // An asset under the alias that is updated on its own account is none of its business.
    stage.pass(5);
    update(&mut stage, "two");
    assert_eq!(by_assets(&stage, "report"), 1);
}

#[test]
fn an_alias_without_events_makes_nothing() {
    let mut stage = Stage::new("dag_id: play\ntasks: {make: {bash: 'true', outlets: [{alias: files}]}}");
    stage.trigger("r", None);
    stage.succeed("make");
    assert!(stage.events.is_empty());
}

#[test]
fn what_is_queued_can_be_forgotten() {
    let mut stage = stage(REPORT);
    let drop = |asset: &str| Wish::DropQueuedAssets {
        dag_id: Some(DagId::new("report").unwrap()),
        asset: Some(AssetName::new(asset).unwrap()),
        before: None,
    };
    update(&mut stage, "a");
    stage.ask(drop("b"));
    assert_eq!(stage.refusal().as_deref(), Some("no such event is queued"));
    stage.ask(drop("a"));
    assert_eq!(stage.refusal(), None);
    assert!(stage.queued.is_empty());
    update(&mut stage, "b");
    assert_eq!(by_assets(&stage, "report"), 0);
}

#[test]
fn a_dag_that_no_longer_waits_for_an_asset_forgets_it() {
    let mut stage = stage(REPORT);
    update(&mut stage, "a");
    let text = "dag_id: report\nschedule: {assets: {all: [b, c]}}\ntasks: {t: {empty: {}}}";
    let dag = dagfile::parse(text.as_bytes(), "r.yaml", &|_| Err(String::new())).dags[0].dag.clone();
    let record = DagRecord {
        version: VersionId(7),
        dag: Arc::new(dag),
        is_paused: false,
        is_stale: false,
        cursor: None,
        disabled: Default::default(),
        failed_runs: 0,
        taken: Default::default(),
        assets: AssetStanding {
            cursor: Some(AssetCursor { event: EventId(0), at: None }),
            queued: BTreeMap::new(),
            pending: BTreeMap::new(),
        },
    };
    stage.handle(Event::Dag(Box::new(record.clone())));
    assert!(stage.queued.is_empty());
    update(&mut stage, "a");
    assert!(stage.queued.is_empty(), "nobody waits for it any more");
    stage.handle(Event::Dag(Box::new(DagRecord { is_stale: true, ..record })));
    update(&mut stage, "b");
    assert!(stage.queued.is_empty(), "nor does a DAG whose file is gone");
}

#[test]
fn a_run_that_is_wanted_for_an_asset_says_so() {
    let mut stage = stage(REPORT);
    let run_id = RunId::new("asset_materialization__1").unwrap();
    let trigger = |materializes| {
        Wish::Trigger(Trigger {
            dag_id: DagId::new("play").unwrap(),
            run_id: run_id.clone(),
            logical_date: None,
            data_interval: None,
            run_after: "2026-01-01T00:00:00Z".parse().unwrap(),
            conf: Map::new(),
            note: None,
            partition_key: None,
            materializes,
        })
    };
    stage.ask(trigger(false));
    assert!(stage.refusal().unwrap().contains("are given by the scheduler"));
    stage.ask(trigger(true));
    let run = stage.run("asset_materialization__1");
    assert_eq!((run.run_type, run.state), (RunType::AssetMaterialization, RunState::Running));
}

#[test]
fn what_a_try_says_is_checked() {
    let dag = dagfile::parse(PLAY.as_bytes(), "p.yaml", &|_| Err(String::new())).dags[0].dag.clone();
    let outlets = &dag.task("make").unwrap().outlets;
    let told = parse_events(r#"[{"asset": "a", "extra": {"rows": 3}}, {"asset": "a"}]"#, outlets).unwrap();
    let events = emissions(outlets, told, None);
    assert_eq!((events.len(), &events[0].extra["rows"]), (2, &json!(3)));
    assert_eq!(emissions(outlets, Vec::new(), None).len(), 1);
    let refused = |text: &str| parse_events(text, outlets).unwrap_err();
    assert!(refused("{").contains("not JSON"));
    assert!(refused(r#"{"asset": "aa"}"#).contains("not among the task's outlets; did you mean `a`?"));
    assert!(refused(r#"{"asset": "a", "extre": {}}"#).contains("event 1: unknown field `extre`"));
    assert!(refused(r#"{"asset": "a", "alias": "f"}"#).contains("alias `f` is not among"));
    assert!(refused(r#"{"asset": {}}"#).contains("needs a name or a URI"));
    let long = format!(r#"{{"asset": "a", "extra": {{"x": "{}"}}}}"#, "y".repeat(20_000));
    assert!(refused(&long).contains("at most 16384 bytes"));
    assert!(refused(&r#"{"asset": "a"} "#.repeat(1001)).contains("at most 1000 asset events"));
    let elsewhere = OutletEvent { asset: asset("b"), alias: None, extra: Map::new(), partition_key: None };
    assert_eq!(emissions(outlets, vec![elsewhere], None).len(), 1, "what is about no outlet is left out");
}

#[test]
fn messages_of_before_still_mean_what_they_meant() {
    let text = r#"{"kind": "intent", "by": "ann", "wish": {"wish": "trigger", "dag_id": "d", "run_id": "r", "run_after": "2026-01-01T00:00:00Z"}}"#;
    let message: Message = serde_json::from_str(text).unwrap();
    let Message::Intent(Intent { wish: Wish::Trigger(trigger), .. }) = message else { panic!("{message:?}") };
    assert!(!trigger.materializes);
    assert!(Decisions::default().is_clean() && AssetsRecord::default().members.is_empty());
}
