//! What tries leave for others, and the runs that they start while they go on.

use domain::{
    engine::record::TiRecord,
    id::{RunId, TryKey},
    intent::{TaskTrigger, Trigger, Wish},
    outcome::TryResult,
    state::{RunState, RunType, TaskState},
    wait::MAX_DEPTH,
};
use serde_json::json;
use uuid::Uuid;

use crate::{stage::Stage, world::World};

/// What the note of a run begins with that a try has asked for while it went on.
pub const ASKED: &str = "asked under ";

/// The wish of a try for a run.
pub fn asked_by_task(asker: TryKey, run: Trigger) -> Wish {
    let id = Uuid::from_u64_pair(asker.ti.run.0 as u64, run.run_id.as_str().len() as u64 ^ 7);
    let note = Some(format!("{ASKED}{asker} for {}/{}", run.dag_id, run.run_id));
    Wish::TriggerByTask(TaskTrigger { id, asker, resets: false, run: Trigger { note, ..run } })
}

impl World {
    /// A try that begins finds nothing that another one of its instance has left.
    pub fn check_begun_anew(&self, before: &[TiRecord]) {
        for old in before {
            let new = &self.records.tis[&old.key];
            let waits_for_worker = matches!(new.state, TaskState::Scheduled | TaskState::Queued);
            let is_another = new.try_number > old.try_number && new.rounds == 0 && new.wait.is_none();
            if !(waits_for_worker && is_another) {
                continue;
            }
            let is_own = |(run, task, at, _): &&(_, String, i32, String)| {
                *run == new.key.run && *task == new.task_id.as_str() && *at == new.map_index
            };
            let left: Vec<_> = self.records.xcoms.keys().filter(is_own).collect();
            assert!(left.is_empty(), "{new:?}, before {old:?}, finds {left:?}");
        }
    }
}

const RETRIED: &str = "
dag_id: play
tasks:
  one: {bash: x, retries: 1, retry_delay: 10s}
  two: {bash: x, depends_on: one, trigger_rule: all_done}
";

#[test]
fn what_a_failed_try_left_stands_until_the_next_one_begins() {
    let mut stage = Stage::new(RETRIED);
    stage.trigger("r", None);
    stage.end("r", "one", TryResult::Failed, Some(1), Some(json!("half")));
    assert_eq!((stage.xcoms.len(), &stage.xcoms[0].value), (1, &json!("half")));
    assert!(stage.cleared.is_empty());
    stage.pass(10);
    assert_eq!((stage.state("one"), stage.cleared.as_slice()), (TaskState::Queued, &["one".to_owned()][..]));
    stage.end("r", "one", TryResult::FailedForGood, Some(1), Some(json!("nearly")));
    assert_eq!(stage.xcoms.last().unwrap().value, json!("nearly"));
    assert_eq!((stage.state("two"), stage.cleared.len()), (TaskState::Queued, 1), "it can be read");
}

#[test]
fn what_a_lost_try_left_goes_with_it() {
    let mut stage = Stage::new(RETRIED);
    stage.trigger("r", None);
    stage.end("r", "one", TryResult::Returned, None, None);
    assert_eq!(stage.cleared, ["one"]);
}

const PLAY: &str = "
dag_id: play
tasks: {one: {bash: x}}
---
dag_id: other
schedule: '0 6 * * *'
params: {size: {type: integer, default: 1}}
tasks: {it: {bash: x}}
";

fn wish(stage: &Stage, run_id: &str, change: impl FnOnce(&mut TaskTrigger)) -> Wish {
    let run = Trigger {
        dag_id: "other".parse().unwrap(),
        run_id: RunId::new(run_id).unwrap(),
        logical_date: None,
        data_interval: None,
        run_after: stage.now,
        conf: serde_json::Map::new(),
        note: None,
        partition_key: None,
        materializes: false,
    };
    let asker = stage.attempt("r", "one");
    let mut asked = TaskTrigger { id: Uuid::nil(), asker, resets: false, run };
    change(&mut asked);
    Wish::TriggerByTask(asked)
}

#[test]
fn a_try_starts_a_run_and_goes_on() {
    let mut stage = Stage::new(PLAY);
    stage.trigger("r", None);
    let date = "2026-01-05T06:00:00Z".parse().unwrap();
    stage.ask(wish(&stage, "mine", |asked| {
        asked.run.logical_date = Some(date);
        asked.run.conf.insert("size".to_owned(), json!(4));
    }));
    assert_eq!(stage.refusal(), None);
    let run = stage.run("mine");
    assert_eq!(
        (run.run_type, run.depth, run.conf["size"].clone()),
        (RunType::OperatorTriggered, 1, json!(4))
    );
    assert_eq!(run.note.as_deref(), Some("triggered by task `one` of run `r` of DAG `play`"));
    assert_eq!(run.triggered_by.as_deref(), Some("ada"), "whoever started the run of the task");
    assert_eq!(run.data_interval.map(|interval| interval.end), Some(date));
    assert_eq!(stage.state("one"), TaskState::Queued, "it goes on");
}

#[test]
fn a_run_that_exists_is_refused_or_runs_again() {
    let mut stage = Stage::new(PLAY);
    stage.trigger("r", None);
    stage.ask(wish(&stage, "mine", |asked| asked.run.note = Some("by hand".to_owned())));
    assert_eq!(stage.run("mine").note.as_deref(), Some("by hand"));
    stage.ask(wish(&stage, "mine", |_| ()));
    assert_eq!(stage.refusal().unwrap(), "run `mine` of DAG `other` exists already");
    stage.end("mine", "it", TryResult::Success, Some(0), None);
    assert_eq!(stage.run_state("mine"), RunState::Success);
    let again = wish(&stage, "again", |asked| asked.resets = true);
    stage.ask(again);
    assert_eq!((stage.refusal(), stage.run("again").depth), (None, 1), "there was none to reset");
    stage.ask(wish(&stage, "again", |asked| asked.resets = true));
    assert_eq!((stage.refusal(), stage.run("again").clear_number), (None, 0), "nothing of it had run");
    stage.end("again", "it", TryResult::Failed, Some(1), None);
    assert_eq!(stage.run_state("again"), RunState::Failed);
}

#[test]
fn a_run_that_cannot_be_is_refused() {
    let mut stage = Stage::new(PLAY);
    stage.trigger("r", None);
    let mut refused = |change: &dyn Fn(&mut TaskTrigger)| {
        stage.ask(wish(&stage, "x", |asked| change(asked)));
        stage.refusal().unwrap_or_default()
    };
    assert_eq!(refused(&|asked| asked.run.dag_id = "none".parse().unwrap()), "there is no DAG `none`");
    assert!(refused(&|asked| drop(asked.run.conf.insert("size".into(), json!("x")))).contains("`size`"));
    assert!(refused(&|asked| asked.run.run_id = "backfill__x".parse().unwrap()).contains("backfill__"));
    assert!(
        refused(&|asked| {
            (asked.resets, asked.run.dag_id) = (true, "play".parse().unwrap());
            asked.run.run_id = "r".parse().unwrap();
        })
        .contains("part of")
    );
}

#[test]
fn tasks_that_start_each_other_come_to_an_end() {
    let mut stage = Stage::new(PLAY);
    stage.trigger("r", None);
    let mut asker = stage.attempt("r", "one");
    for number in 1..=MAX_DEPTH + 1 {
        let name = format!("run{number}");
        stage.ask(wish(&stage, &name, |asked| asked.asker = asker));
        if number > MAX_DEPTH {
            assert!(stage.refusal().unwrap().contains("in a circle"));
            continue;
        }
        assert_eq!(stage.run(&name).depth, number);
        let ti = stage.ti(&name, "it");
        asker = TryKey { ti: ti.key, try_number: 1 };
    }
}
