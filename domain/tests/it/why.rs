//! "Why is it not running?", question by question.

use domain::{
    engine::{
        event::Event,
        obstacle::{Answer, Obstacle, Over, Question, Standing},
        record::{PoolRecord, WorkerRecord},
    },
    id::{PoolName, QueueName},
    intent::Wish,
    state::TaskState,
    trigger_rule::TriggerRule,
};
use uuid::Uuid;

use crate::stage::Stage;

fn ask(stage: &Stage, run_id: &str, task_id: &str) -> Answer {
    let question = Question {
        dag_id: stage.dag_id(),
        run_id: run_id.parse().unwrap(),
        task_id: task_id.parse().unwrap(),
        map_index: -1,
    };
    stage.engine.answer(&question, stage.now).unwrap()
}

fn said(stage: &Stage, run_id: &str, task_id: &str) -> Vec<String> {
    ask(stage, run_id, task_id).obstacles.iter().map(ToString::to_string).collect()
}

fn pool(slots: u32) -> Event {
    Event::Pools(vec![PoolRecord::new(PoolName::default_pool(), Some(slots))])
}

#[test]
fn an_instance_waits_for_what_comes_before_it() {
    let mut stage = Stage::new(
        "tasks: {a: {bash: x}, b: {bash: x}, c: {bash: x, depends_on: [a, b], trigger_rule: one_success}}",
    );
    stage.trigger("r", None);
    assert_eq!(
        said(&stage, "r", "c"),
        ["It runs once one task before it has succeeded (one_success); awaited: `a` (queued), `b` (queued)."]
    );
    stage.fail("a");
    let answer = ask(&stage, "r", "c");
    let [Obstacle::Upstream { trigger_rule: TriggerRule::OneSuccess, awaited }] = &answer.obstacles[..]
    else {
        panic!("{answer:#?}")
    };
    assert_eq!(awaited.named.len(), 1);
    assert_eq!((answer.state, answer.try_number), (TaskState::None, 0));
    stage.succeed("b");
    let answer = ask(&stage, "r", "c");
    assert!(matches!(answer.standing, Standing::HandedOut { has_worker: true, .. }), "{answer:?}");
    assert!(answer.obstacles.is_empty());
    stage.succeed("c");
    assert_eq!(stage.engine.active_runs(), 0);
}

#[test]
fn a_run_waits_for_its_moment_its_dag_and_its_place() {
    let mut stage = Stage::new("max_active_runs: 1\ntasks: {a: {bash: x}}");
    stage.trigger("r", None);
    stage.trigger("second", None);
    let full = "The run is queued: 1 of 1 runs are running (max_active_runs): r.";
    assert_eq!(said(&stage, "second", "a"), [full]);
    stage.handle(Event::Flags(vec![(stage.dag_id(), true)]));
    assert_eq!(said(&stage, "second", "a"), ["DAG `play` is paused.", full]);
    assert!(said(&stage, "r", "a").is_empty(), "it was handed out before");
    stage.succeed("a");
    assert_eq!(said(&stage, "second", "a"), ["DAG `play` is paused."]);
    stage.handle(Event::Flags(vec![(stage.dag_id(), false)]));
    assert!(matches!(ask(&stage, "second", "a").standing, Standing::HandedOut { .. }));
}

#[test]
fn a_full_pool_names_who_holds_it() {
    let mut stage = Stage::new("tasks: {a: {bash: x}, b: {bash: x, priority_weight: 9}, c: {bash: x}}");
    stage.handle(pool(1));
    stage.trigger("r", None);
    let answer = ask(&stage, "r", "c");
    let [Obstacle::PoolFull { used: 1, slots: 1, wanted: 1, holders, .. }, line] = &answer.obstacles[..]
    else {
        panic!("{answer:#?}")
    };
    assert_eq!(holders[0].task_id.as_str(), "b");
    assert_eq!(
        line.to_string(),
        "It is number 2 of 2 in line (policy priority, after fair shares between DAGs)."
    );
    assert_eq!(
        answer.obstacles[0].to_string(),
        "1 of 1 slots of pool `default_pool` are taken: `play` `r` `b`."
    );
    stage.handle(Event::Pools(Vec::new()));
    assert_eq!(said(&stage, "r", "c")[0], "There is no pool `default_pool`.");
}

#[test]
fn limits_of_a_run_and_of_a_task_are_told_apart() {
    let mut stage = Stage::new(
        "max_active_tasks: 2\n\
         tasks: {m: {bash: x, expand: {n: [1, 2, 3]}, max_active_tis_per_dagrun: 1, pool_slots: 2}, z: {bash: x}}",
    );
    stage.trigger("r", None);
    let question = Question {
        dag_id: stage.dag_id(),
        run_id: "r".parse().unwrap(),
        task_id: "m".parse().unwrap(),
        map_index: 2,
    };
    let answer = stage.engine.answer(&question, stage.now).unwrap();
    let kinds: Vec<bool> = answer
        .obstacles
        .iter()
        .map(|obstacle| {
            matches!(
                obstacle,
                Obstacle::MaxActiveTasks { used: 2, limit: 2, .. }
                    | Obstacle::MaxActiveTis { over: Over::Run, used: 1, limit: 1, .. }
                    | Obstacle::InLine { place: 2, of: 2, .. }
            )
        })
        .collect();
    assert_eq!(kinds, [true, true, true], "{answer:#?}");
    stage.handle(pool(1));
    assert!(said(&stage, "r", "z").is_empty());
    let answer = stage.engine.answer(&question, stage.now).unwrap();
    assert!(
        answer.obstacles.iter().any(|o| matches!(o, Obstacle::TooBigForPool { slots: 1, wanted: 2, .. }))
    );
}

#[test]
fn what_an_operator_did_is_said() {
    let mut stage = Stage::new("tasks: {a: {bash: x}, b: {bash: x, depends_on: a}}");
    stage.trigger("r", None);
    let selection = stage.selection("r", &["b"]);
    let (dag_id, run_id) = (stage.dag_id(), "r".parse().unwrap());
    stage.ask(Wish::Hold { selection: selection.clone(), held: true });
    stage.ask(Wish::PauseRun { dag_id: dag_id.clone(), run_id, paused: true });
    let task_id: domain::id::TaskId = "b".parse().unwrap();
    stage.ask(Wish::SwitchTask { dag_id, task_id, enabled: false });
    assert_eq!(
        said(&stage, "r", "b"),
        [
            "An operator paused the run.",
            "It runs once all tasks before it have succeeded (all_success); awaited: `a` (queued).",
            "An operator holds it: it does not start until it is released.",
            "Task `b` is switched off: it is skipped when its turn comes."
        ]
    );
}

#[test]
fn a_retry_waits_for_its_time() {
    let mut stage = Stage::new("tasks: {a: {bash: x, retries: 1, retry_delay: 1m}}");
    stage.trigger("r", None);
    stage.fail("a");
    let at = stage.ti("r", "a").next_try_at.unwrap();
    assert_eq!(ask(&stage, "r", "a").obstacles, [Obstacle::RetryDelay { next_try_at: at }]);
    stage.pass(3600);
    assert!(matches!(ask(&stage, "r", "a").standing, Standing::HandedOut { .. }));
}

#[test]
fn a_task_that_looks_back_names_what_it_waits_for() {
    let mut stage = Stage::new("catchup: false\ntasks: {a: {bash: x, depends_on_past: true}, b: {bash: x}}");
    stage.trigger("first", Some(1));
    stage.trigger("second", Some(2));
    assert_eq!(
        said(&stage, "second", "a"),
        [
            "In the previous run of 2026-01-01 00:00:00 UTC not all has succeeded or been skipped (depends_on_past): a."
        ]
    );
}

#[test]
fn a_queue_without_a_worker_is_said_before_and_after_the_handing_out() {
    let mut stage =
        Stage::new("tasks: {a: {bash: x}, b: {bash: x, depends_on: a}, c: {bash: x, queue: gpu}}");
    stage.trigger("r", None);
    assert_eq!(said(&stage, "r", "c"), ["No live worker listens to queue `gpu`."]);
    stage.handle(Event::Workers(Vec::new()));
    let answer = ask(&stage, "r", "a");
    assert!(matches!(answer.standing, Standing::HandedOut { has_worker: false, .. }), "{answer:?}");
    assert_eq!(
        answer.words(),
        "It is in the ready queue `default`, and no live worker listens to that queue."
    );
    assert_eq!(said(&stage, "r", "b").len(), 2, "its room is told before its turn has come, too");
    let queues = vec![QueueName::new("gpu").unwrap()];
    stage.handle(Event::Workers(vec![WorkerRecord { id: Uuid::nil(), queues, slots: 1 }]));
    assert!(matches!(ask(&stage, "r", "c").standing, Standing::HandedOut { .. }));
}

#[test]
fn what_is_not_in_memory_is_not_answered() {
    let mut stage = Stage::new("tasks: {a: {bash: x}}");
    stage.trigger("r", None);
    let mut question = Question {
        dag_id: stage.dag_id(),
        run_id: "r".parse().unwrap(),
        task_id: "a".parse().unwrap(),
        map_index: 0,
    };
    assert!(stage.engine.answer(&question, stage.now).is_none(), "a is not mapped");
    question.map_index = -1;
    assert!(stage.engine.answer(&question, stage.now).is_some());
    stage.succeed("a");
    assert!(stage.engine.answer(&question, stage.now).is_none(), "the run has ended");
}
