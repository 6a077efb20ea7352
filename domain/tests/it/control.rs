//! What an operator can do to what waits.

use domain::{
    intent::Wish,
    outcome::TryResult,
    state::{
        RunState,
        TaskState::{None as Untouched, Queued, Scheduled, Skipped, UpForRetry},
    },
};

use crate::stage::Stage;

const TWO: &str =
    "tasks: {first: {bash: f}, second: {bash: s, depends_on: first, retries: 1, retry_delay: 10s}}";

#[test]
fn a_held_instance_does_not_start_until_it_is_released() {
    let mut stage = Stage::new(TWO);
    stage.trigger("r", None);
    let selection = stage.selection("r", &["second"]);
    stage.ask(Wish::Hold { selection: selection.clone(), held: true });
    stage.succeed("first");
    assert_eq!(stage.state("second"), Untouched);
    assert_eq!(
        stage.ti("r", "second").reason.as_deref(),
        Some("held by an operator: it does not start until it is released")
    );
    stage.ask(Wish::Hold { selection: selection.clone(), held: false });
    assert_eq!((stage.state("second"), stage.ti("r", "second").reason.clone()), (Queued, None));
    stage.ask(Wish::Hold { selection, held: true });
    assert!(stage.refusal().unwrap().contains("handed to workers"), "{:?}", stage.refusal());
}

#[test]
fn a_held_instance_does_not_retry_either() {
    let mut stage = Stage::new(TWO);
    stage.trigger("r", None);
    stage.succeed("first");
    stage.fail("second");
    let selection = stage.selection("r", &["second"]);
    stage.ask(Wish::Hold { selection: selection.clone(), held: true });
    stage.pass(3600);
    assert_eq!(stage.state("second"), UpForRetry);
    stage.ask(Wish::Hold { selection, held: false });
    assert_eq!(stage.state("second"), Queued);
}

#[test]
fn a_paused_run_lets_what_runs_end_and_starts_nothing() {
    let mut stage = Stage::new(TWO);
    stage.trigger("r", None);
    let (dag_id, run_id) = (stage.dag_id(), "r".parse().unwrap());
    let pause = |paused| Wish::PauseRun { dag_id: stage.dag_id(), run_id: "r".parse().unwrap(), paused };
    let (stop, go) = (pause(true), pause(false));
    stage.ask(stop);
    stage.succeed("first");
    assert_eq!((stage.state("second"), stage.run_state("r")), (Untouched, RunState::Running));
    assert!(stage.run("r").is_paused);
    stage.ask(go);
    assert_eq!(stage.state("second"), Queued);
    stage.end("r", "second", TryResult::FailedForGood, None, None);
    stage.ask(Wish::PauseRun { dag_id, run_id, paused: true });
    assert!(stage.refusal().is_some());
}

#[test]
fn a_task_that_is_switched_off_is_skipped_in_every_run_until_it_is_switched_on() {
    let mut stage = Stage::new(TWO);
    stage.trigger("r", None);
    let task =
        |enabled| Wish::SwitchTask { dag_id: stage.dag_id(), task_id: "second".parse().unwrap(), enabled };
    let (off, on) = (task(false), task(true));
    stage.ask(off);
    let flags = stage.flags.last().unwrap();
    assert_eq!(flags.disabled, Some(["second".parse().unwrap()].into()));
    stage.succeed("first");
    assert_eq!((stage.state("second"), stage.run_state("r")), (Skipped, RunState::Success));
    stage.trigger("again", None);
    stage.ask(on);
    stage.end("again", "first", TryResult::Success, None, None);
    assert_eq!(stage.ti("again", "second").state, Queued);
    let (dag_id, task_id) = (stage.dag_id(), "third".parse().unwrap());
    stage.ask(Wish::SwitchTask { dag_id, task_id, enabled: false });
    assert_eq!(stage.refusal().as_deref(), Some("DAG `play` has no task `third`"));
}

#[test]
fn a_raised_priority_counts_while_an_instance_waits() {
    let mut stage = Stage::new("max_active_tasks: 1\ntasks: {a: {bash: a}, b: {bash: b}, c: {bash: c}}");
    stage.trigger("r", None);
    assert_eq!(stage.states(&["a", "b", "c"]), [Queued, Scheduled, Scheduled]);
    let selection = stage.selection("r", &["c"]);
    stage.ask(Wish::Prioritize { selection, priority: 9 });
    stage.succeed("a");
    assert_eq!(stage.states(&["b", "c"]), [Scheduled, Queued]);
    assert_eq!(stage.ti("r", "c").placement.priority, 9);
}
