//! Loops, one law at a time.

use chrono::TimeDelta;
use domain::{
    engine::{
        Engine, Snapshot,
        event::Event,
        obstacle::{NextRound, Obstacle, Question},
    },
    intent::{MarkTasks, Wish},
    outcome::TryResult,
    repeat::{MAX_ROUNDS, OnExhausted, Repeat},
    span::Span,
    state::{RunState, TaskState},
};
use test_case::test_case;

use crate::{dagfile::load, stage::Stage};

const LOOP: &str = "tasks: {l: {bash: x, retries: 1, repeat: {until: '{{ result }}', max_rounds: 3}}, b: {bash: y, depends_on: l}}";
const PAUSED: &str = "tasks: {l: {bash: x, repeat: {until: '{{ result }}', max_rounds: 3, delay: 30s}}, b: {bash: y, depends_on: l}}";

fn begun(yaml: &str) -> Stage {
    let mut stage = Stage::new(yaml);
    stage.trigger("r", Some(2));
    stage
}

fn again(stage: &mut Stage, value: i32) {
    stage.end("r", "l", TryResult::Again, Some(0), Some(value.into()));
}

fn numbers(stage: &Stage) -> (u32, u32) {
    let ti = stage.ti("r", "l");
    (ti.try_number, ti.rounds)
}

#[test]
fn a_round_follows_until_the_condition_holds() {
    let mut stage = begun(LOOP);
    assert_eq!(numbers(&stage), (1, 0));
    again(&mut stage, 1);
    assert_eq!(
        (stage.states(&["l", "b"]), numbers(&stage)),
        (vec![TaskState::Queued, TaskState::None], (2, 1))
    );
    again(&mut stage, 2);
    assert_eq!(numbers(&stage), (3, 2));
    stage.print("l", 3);
    assert_eq!(stage.states(&["l", "b"]), [TaskState::Success, TaskState::Queued]);
    assert_eq!(numbers(&stage), (3, 2));
}

#[test_case("", TaskState::Failed; "fails")]
#[test_case(", on_exhausted: succeed", TaskState::Success; "is content")]
fn rounds_are_bounded(more: &str, end: TaskState) {
    let mut stage = begun(&LOOP.replace("max_rounds: 3", &format!("max_rounds: 2{more}")));
    again(&mut stage, 1);
    again(&mut stage, 2);
    assert_eq!((stage.state("l"), numbers(&stage)), (end, (2, 1)));
    let reason = stage.ti("r", "l").reason.clone().unwrap();
    assert_eq!(reason, "its condition `result` did not hold after 2 rounds");
}

#[test]
fn a_round_that_fails_uses_up_a_retry_and_no_round() {
    let mut stage = begun(LOOP);
    again(&mut stage, 1);
    stage.fail("l");
    assert_eq!((stage.state("l"), numbers(&stage)), (TaskState::UpForRetry, (2, 1)));
    stage.pass(300);
    assert_eq!((stage.state("l"), numbers(&stage)), (TaskState::Queued, (3, 1)));
    again(&mut stage, 2);
    assert_eq!(numbers(&stage), (4, 2), "the round that failed was repeated");
    stage.fail("l");
    assert_eq!(stage.states(&["l", "b"]), [TaskState::Failed, TaskState::UpstreamFailed]);
}

#[test]
fn rounds_do_not_lengthen_the_waits_between_retries() {
    let growing = LOOP.replace("retries: 1", "retries: 5, retry_delay: 10s, retry_exponential_backoff: true");
    let mut stage = begun(&growing.replace("max_rounds: 3", "max_rounds: 30"));
    (0..20).for_each(|round| again(&mut stage, round));
    stage.fail("l");
    let wait = stage.ti("r", "l").next_try_at.unwrap() - stage.now;
    assert!(wait < TimeDelta::seconds(20), "{wait}");
}

#[test]
fn a_round_that_is_lost_with_its_worker_is_repeated_and_counts_once() {
    let mut stage = begun(LOOP);
    again(&mut stage, 1);
    let attempt = stage.attempt("r", "l");
    let late = stage.outcome("r", "l");
    stage.handle(Event::WorkerLost { worker: uuid::Uuid::nil(), tries: vec![attempt] });
    assert_eq!((stage.state("l"), numbers(&stage)), (TaskState::Queued, (3, 1)));
    let late = domain::outcome::Outcome { result: TryResult::Again, ..late };
    stage.handle(Event::Outcome(Box::new(late)));
    assert_eq!(numbers(&stage), (3, 1), "the word of the lost worker comes too late");
}

#[test]
fn a_word_that_comes_twice_is_one_round() {
    let mut stage = begun(PAUSED);
    let outcome = domain::outcome::Outcome { result: TryResult::Again, ..stage.outcome("r", "l") };
    stage.handle(Event::Outcome(Box::new(outcome.clone())));
    stage.handle(Event::Outcome(Box::new(outcome)));
    assert_eq!((stage.state("l"), numbers(&stage)), (TaskState::UpForReschedule, (1, 1)));
}

#[test]
fn between_rounds_it_holds_nothing_and_says_what_it_waits_for() {
    let mut stage = begun(PAUSED);
    again(&mut stage, 1);
    assert_eq!(stage.states(&["l", "b"]), [TaskState::UpForReschedule, TaskState::None]);
    let until = stage.now + TimeDelta::seconds(30);
    assert_eq!(stage.engine.next_deadline(), Some(until));
    let question = Question {
        dag_id: stage.dag_id(),
        run_id: "r".parse().unwrap(),
        task_id: "l".parse().unwrap(),
        map_index: -1,
    };
    let answer = stage.engine.answer(&question, stage.now).unwrap();
    let round = Some(NextRound { number: 2, most: Some(3) });
    assert_eq!(answer.obstacles, [Obstacle::Rescheduled { next_try_at: Some(until), wait: None, round }]);
    let said = "It waits for its next round (2 of 3) until 2026-01-01 00:00:30 UTC.";
    assert_eq!(answer.obstacles[0].to_string(), said);
    stage.pass(29);
    assert_eq!(stage.state("l"), TaskState::UpForReschedule);
    stage.pass(1);
    assert_eq!((stage.state("l"), numbers(&stage)), (TaskState::Queued, (2, 1)));
}

#[test]
fn held_between_rounds_it_goes_on_when_it_is_released() {
    let mut stage = begun(PAUSED);
    again(&mut stage, 1);
    let selection = stage.selection("r", &["l"]);
    stage.ask(Wish::Hold { selection: selection.clone(), held: true });
    stage.pass(60);
    assert_eq!(stage.state("l"), TaskState::UpForReschedule);
    stage.ask(Wish::Hold { selection, held: false });
    assert_eq!((stage.state("l"), numbers(&stage)), (TaskState::Queued, (2, 1)));
}

#[test]
fn marked_between_rounds_it_is_over() {
    let mut stage = begun(PAUSED);
    again(&mut stage, 1);
    let mark = MarkTasks { selection: stage.selection("r", &["l"]), state: TaskState::Success };
    stage.ask(Wish::MarkTasks(mark));
    assert_eq!(stage.states(&["l", "b"]), [TaskState::Success, TaskState::Queued]);
    stage.pass(60);
    assert_eq!(numbers(&stage), (1, 1));
}

#[test]
fn cleared_it_begins_with_the_first_round_and_all_its_retries() {
    let mut stage = begun(LOOP);
    again(&mut stage, 1);
    again(&mut stage, 2);
    stage.clear(&["l"]);
    assert_eq!((stage.state("l"), numbers(&stage)), (TaskState::Queued, (4, 0)));
    again(&mut stage, 1);
    again(&mut stage, 2);
    stage.print("l", 3);
    assert_eq!((stage.state("l"), numbers(&stage)), (TaskState::Success, (6, 2)));
}

#[test]
fn the_end_of_its_run_ends_it_between_rounds() {
    let mut stage = begun(PAUSED);
    again(&mut stage, 1);
    let (dag_id, run_id) = (stage.dag_id(), "r".parse().unwrap());
    stage.ask(Wish::MarkRun { dag_id, run_id, state: RunState::Failed });
    assert_eq!((stage.state("l"), stage.run_state("r")), (TaskState::Skipped, RunState::Failed));
}

#[test]
fn an_engine_that_starts_anew_knows_the_round() {
    let mut stage = begun(PAUSED);
    again(&mut stage, 1);
    let run = domain::engine::record::RunSnapshot {
        run: stage.run("r").clone(),
        dag: stage.dag.clone(),
        tis: stage.tis.values().cloned().collect(),
        lengths: Vec::new(),
        choices: Vec::new(),
    };
    let engine = Engine::restore(Snapshot { runs: vec![run], ..Snapshot::default() }, stage.now);
    assert_eq!(engine.next_deadline(), Some(stage.now + TimeDelta::seconds(30)));
}

#[test]
fn what_a_file_says_of_a_loop() {
    let text = "tasks: {l: {bash: x, repeat: {until: \" {{ result > 3 }} \", max_rounds: 9, delay: 1m, on_exhausted: succeed}}}";
    let dag = load(text).dags[0].dag.clone();
    let repeat = Repeat {
        until: "result > 3".into(),
        max_rounds: 9,
        delay: Some(Span::from_secs(60)),
        on_exhausted: OnExhausted::Succeed,
    };
    assert_eq!(dag.tasks[0].repeat, Some(repeat));
}

#[test_case("{until: '{{ x }}'}", "needs `max_rounds`")]
#[test_case("{max_rounds: 3}", "needs `until`")]
#[test_case("{until: x, max_rounds: 3}", "is not one Jinja expression in braces")]
#[test_case("{until: '{{ a }} or {{ b }}', max_rounds: 3}", "is not one Jinja expression")]
#[test_case("{until: '{{ }}', max_rounds: 3}", "is not one Jinja expression"; "nothing in the braces")]
#[test_case("{until: '{{ x }}', max_rounds: 0}", "`max_rounds`"; "no round")]
#[test_case("{until: '{{ x }}', max_rounds: 1001}", "`max_rounds`"; "too many rounds")]
#[test_case("{until: '{{ x }}', max_round: 3}", "did you mean `max_rounds`?")]
#[test_case("{until: '{{ x }}', max_rounds: 3, on_exhausted: suceed}", "did you mean `succeed`?")]
#[test_case("3", "must be a mapping")]
fn what_a_file_may_not_say(repeat: &str, told: &str) {
    let errors = load(&format!("tasks: {{l: {{bash: x, repeat: {repeat}}}}}")).errors;
    let said: String = errors.iter().map(ToString::to_string).collect();
    assert!(said.contains(told), "{said}");
    assert!(u64::from(MAX_ROUNDS) == 1_000);
}

#[test]
fn only_what_a_worker_runs_is_repeated() {
    let repeat = "repeat: {until: '{{ x }}', max_rounds: 3}";
    for operator in ["empty: {}", "wait_for: {for: 1m}", "branch: {bash: x}", "trigger_dag: b"] {
        let errors = load(&format!("tasks: {{l: {{{operator}, {repeat}}}}}")).errors;
        assert!(errors[0].to_string().contains("cannot be repeated"), "{errors:#?}");
    }
    let errors = load(&format!("tasks: {{g: {{tasks: {{t: {{bash: x}}}}, {repeat}}}}}")).errors;
    assert!(errors[0].to_string().contains("a group cannot be repeated"), "{errors:#?}");
}
