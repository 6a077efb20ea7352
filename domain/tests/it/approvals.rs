//! Questions to people, one law at a time.

use chrono::TimeDelta;
use domain::{
    approval::{Answer, Ending, MAX_REMARK, Question, Reply},
    engine::{event::Event, obstacle},
    intent::{MarkTasks, Wish},
    outcome::{Outcome, TryResult},
    state::{
        RunState,
        TaskState::{self, AwaitingInput, Failed, None as Untouched, Queued, Skipped, Success, UpForRetry},
    },
};
use serde_json::{Map, Value, json};
use test_case::test_case;
use uuid::Uuid;

use crate::{dagfile::load, stage::Stage};

fn begun(yaml: &str) -> Stage {
    let mut stage = Stage::new(yaml);
    stage.trigger("r", Some(2));
    stage
}

/// An approval with something behind it.
fn approval(more: &str) -> Stage {
    begun(&format!(
        "tasks: {{q: {{retries: 1, retry_delay: 10s, approval: {{subject: Well?{more}}}}}, b: {{bash: b, depends_on: q}}}}"
    ))
}

fn answer(stage: &Stage, options: &[&str]) -> Answer {
    let ti = stage.ti("r", "q");
    Answer {
        id: Uuid::nil(),
        dag_id: stage.dag_id(),
        run_id: "r".parse().unwrap(),
        task_id: ti.task_id.clone(),
        map_index: ti.map_index,
        number: 0,
        try_number: ti.try_number,
        reply: Reply {
            chosen_options: options.iter().map(|&option| option.to_owned()).collect(),
            params_input: Map::new(),
            remark: None,
        },
    }
}

fn say(stage: &mut Stage, options: &[&str]) {
    let answer = answer(stage, options);
    stage.ask(Wish::Answer(answer));
}

fn result(stage: &Stage, task: &str) -> Option<Value> {
    let left = stage.xcoms.iter().rev();
    let mut left = left.filter(|xcom| xcom.task_id.as_str() == task && xcom.key == "return_value");
    left.next().map(|xcom| xcom.value.clone())
}

#[test]
fn a_question_is_asked_without_a_worker_and_answered_once() {
    let mut stage = approval("");
    assert_eq!(stage.states(&["q", "b"]), [AwaitingInput, Untouched]);
    assert_eq!((stage.asked.len(), stage.ti("r", "q").try_number), (1, 1));
    assert_eq!(stage.asked[0].question, Question { subject: "Well?".into(), body: None });
    assert_eq!(stage.asked[0].terms.options, ["Approve", "Reject"]);
    assert_eq!(stage.engine.next_deadline(), None, "it waits for ever");
    let (mut first, second) = (answer(&stage, &["Approve"]), answer(&stage, &["Reject"]));
    first.reply.remark = Some("looks good".into());
    stage.ask(Wish::Answer(first.clone()));
    assert_eq!(stage.states(&["q", "b"]), [Success, Queued]);
    let wanted = json!({
        "chosen_options": ["Approve"], "params_input": {}, "responded_at": "2026-01-01T00:00:00.000000+00:00",
        "responded_by_user": {"id": "ada", "name": "ada"},
    });
    assert_eq!(result(&stage, "q"), Some(wanted));
    let ending = Ending::Answered { by: Some("ada".into()), reply: first.reply };
    assert_eq!(stage.closed.iter().map(|closing| &closing.ending).collect::<Vec<_>>(), [&ending]);
    stage.ask(Wish::Answer(second));
    assert_eq!(stage.refusal().as_deref(), Some("the question is not open any more: the task is success"));
    assert_eq!((stage.closed.len(), stage.states(&["q", "b"])), (1, vec![Success, Queued]));
}

#[test]
fn of_two_answers_in_one_turn_the_first_counts() {
    let mut stage = approval("");
    let wish = |options: &[&str]| Wish::Answer(answer(&stage, options));
    let (no, yes) = (wish(&["Reject"]), wish(&["Approve"]));
    for wish in [no, yes] {
        let intent = domain::intent::Intent { by: "ada".into(), wish };
        stage.engine.handle(Event::Intent(Box::new(intent)), stage.now);
    }
    stage.poll();
    assert_eq!(stage.states(&["q", "b"]), [Success, Skipped]);
    let results: Vec<&Value> = stage.audit.iter().map(|line| &line.extra["result"]).collect();
    assert_eq!(results[results.len() - 2..], ["done", "refused"]);
}

#[test_case("", [Success, Skipped]; "skips what is behind it")]
#[test_case(", fail_on_reject: true", [UpForRetry, Untouched]; "fails where that is wanted and asks again")]
fn a_reject(more: &str, ends: [TaskState; 2]) {
    let mut stage = approval(more);
    say(&mut stage, &["Reject"]);
    assert_eq!(stage.states(&["q", "b"]), ends);
    if ends[0] == UpForRetry {
        assert_eq!(stage.ti("r", "q").reason.as_deref(), Some("rejected by ada"));
        stage.pass(10);
        assert_eq!((stage.state("q"), stage.ti("r", "q").try_number), (AwaitingInput, 2));
        say(&mut stage, &["Approve"]);
        assert_eq!(stage.states(&["q", "b"]), [Success, Queued]);
        assert_eq!((stage.asked.len(), stage.closed.len()), (2, 2));
    }
}

#[test_case("false", Queued; "by their rules")]
#[test_case("true", Skipped; "whatever their rules say")]
fn what_is_further_behind_a_reject_is_skipped(ignores: &str, end: TaskState) {
    let mut stage = begun(&format!(
        "tasks: {{q: {{approval: {{subject: Well?, ignore_downstream_trigger_rules: {ignores}}}}}, \
         b: {{bash: b, depends_on: q}}, c: {{bash: c, depends_on: b, trigger_rule: all_done}}}}"
    ));
    say(&mut stage, &["Reject"]);
    assert_eq!(stage.states(&["q", "b", "c"]), [Success, Skipped, end]);
}

#[test]
fn options_of_ones_own_skip_nothing() {
    let mut stage = approval(", options: [Approve, Reject]");
    say(&mut stage, &["Reject"]);
    assert_eq!(stage.states(&["q", "b"]), [Success, Queued]);
}

#[test]
fn an_answer_may_choose_the_way() {
    let yaml = "tasks: {q: {approval: {subject: Where?, options: [left, middle, right], multiple: true, \
                branches: {middle: m}}}, left: {bash: l, depends_on: q}, m: {bash: m, depends_on: q}, \
                right: {bash: r, depends_on: q}}";
    let mut stage = begun(yaml);
    say(&mut stage, &["middle", "left"]);
    assert_eq!(stage.states(&["q", "left", "m", "right"]), [Success, Queued, Queued, Skipped]);
    assert_eq!(result(&stage, "q"), Some(json!(["m", "left"])), "as Airflow's branch operators leave it");
}

#[test]
fn the_defaults_answer_when_the_time_is_up() {
    let mut stage = approval(", timeout: 10m, defaults: Reject, params: {n: 3, m: {type: string}}");
    assert_eq!(stage.engine.next_deadline(), Some(stage.now + TimeDelta::seconds(600)));
    stage.pass(599);
    assert_eq!(stage.state("q"), AwaitingInput);
    stage.pass(1);
    assert_eq!(stage.states(&["q", "b"]), [Success, Skipped]);
    let left = result(&stage, "q").unwrap();
    assert_eq!((&left["chosen_options"], &left["responded_by_user"]), (&json!(["Reject"]), &Value::Null));
    assert_eq!(left["params_input"], json!({"n": 3, "m": null}));
    assert!(matches!(&stage.closed[0].ending, Ending::Answered { by: None, .. }));
}

#[test]
fn without_defaults_the_try_has_failed_when_the_time_is_up() {
    let mut stage = approval(", timeout: 10m");
    stage.pass(600);
    assert_eq!(stage.states(&["q", "b"]), [UpForRetry, Untouched]);
    assert_eq!(stage.ti("r", "q").reason.as_deref(), Some("nobody has answered within 10m"));
    stage.pass(10);
    assert_eq!((stage.state("q"), stage.asked.len()), (AwaitingInput, 2));
    stage.pass(600);
    assert_eq!((stage.state("q"), stage.run_state("r")), (Failed, RunState::Failed));
    assert!(stage.closed.iter().all(|closing| closing.ending == Ending::Withdrawn));
}

#[test]
fn the_execution_timeout_is_the_time_to_answer_unless_there_is_one() {
    let time = |more: &str, own: &str| {
        let stage =
            begun(&format!("tasks: {{q: {{execution_timeout: {more}, approval: {{subject: Well?{own}}}}}}}"));
        let task = stage.dag.task("q").unwrap().clone();
        (stage.asked[0].deadline.unwrap() - stage.now, task.execution_timeout.is_some())
    };
    assert_eq!(time("5m", ""), (TimeDelta::seconds(300), false));
    assert_eq!(time("5m", ", timeout: 1h"), (TimeDelta::seconds(3600), true));
}

#[test]
fn only_those_who_are_named_may_answer() {
    let mut stage = approval(", assigned_users: [bob, eve]");
    say(&mut stage, &["Approve"]);
    let told = "user `ada` is not among those who may answer: `bob`, `eve`";
    assert_eq!(stage.refusal().as_deref(), Some(told));
    assert_eq!((stage.state("q"), stage.closed.len()), (AwaitingInput, 0));
    let mut stage = approval(", assigned_users: ada");
    say(&mut stage, &["Approve"]);
    assert_eq!(stage.state("q"), Success);
}

#[test]
fn what_is_filled_in_is_checked_and_completed() {
    let mut stage = approval(", params: {day: {type: string, format: date}, rows: 5}");
    let with = |stage: &mut Stage, params: Value, remark: usize| {
        let mut answer = answer(stage, &["Approve"]);
        answer.reply.params_input = params.as_object().unwrap().clone();
        answer.reply.remark = (remark > 0).then(|| "x".repeat(remark));
        stage.ask(Wish::Answer(answer));
        stage.refusal().unwrap_or_default()
    };
    assert_eq!(with(&mut stage, json!({}), 0), "param `day` is required: it has no default");
    assert!(with(&mut stage, json!({"day": "soon"}), 0).starts_with("param `day` must be a date"));
    assert_eq!(with(&mut stage, json!({"day": "2026-01-01", "x": 1}), 0), "param `x` is not asked for");
    assert!(with(&mut stage, json!({"day": "2026-01-01"}), MAX_REMARK + 1).starts_with("a remark has"));
    assert_eq!(with(&mut stage, json!({"day": "2026-01-01"}), MAX_REMARK), "");
    let left = result(&stage, "q").unwrap();
    assert_eq!(left["params_input"], json!({"day": "2026-01-01", "rows": 5}));
}

const TEMPLATE: &str =
    "tasks: {q: {retries: 1, retry_delay: 10s, approval: {subject: 'Load {{ ds }}?', timeout: 10m}}}";

fn rendered(stage: &Stage, subject: &str) -> Outcome {
    let question = Question { subject: subject.into(), body: Some("of `day`".into()) };
    let question = Some(Box::new(question));
    Outcome { result: TryResult::Deferred, question, ..stage.outcome("r", "q") }
}

#[test]
fn a_template_is_rendered_by_a_short_try_of_a_worker() {
    let mut stage = begun(TEMPLATE);
    assert_eq!((stage.state("q"), stage.asked.len()), (Queued, 0));
    let outcome = rendered(&stage, "Load 2026-01-02?");
    stage.pass(60);
    stage.handle(Event::Outcome(Box::new(outcome.clone())));
    assert_eq!((stage.state("q"), stage.ti("r", "q").try_number), (AwaitingInput, 1));
    assert_eq!(stage.asked[0].question.subject, "Load 2026-01-02?");
    assert_eq!(
        stage.asked[0].deadline,
        Some(stage.now + TimeDelta::seconds(600)),
        "counted from the question"
    );
    stage.handle(Event::Outcome(Box::new(outcome)));
    assert_eq!(stage.asked.len(), 1, "what a worker says twice counts once");
    say(&mut stage, &["Approve"]);
    assert_eq!(stage.run_state("r"), RunState::Success);
}

#[test]
fn a_question_that_cannot_be_put_fails_its_task_for_good() {
    let mut stage = begun(TEMPLATE);
    let outcome = rendered(&stage, "  ");
    stage.handle(Event::Outcome(Box::new(outcome)));
    assert_eq!((stage.state("q"), stage.asked.len()), (Failed, 0));
    assert_eq!(stage.ti("r", "q").reason.as_deref(), Some("its subject is empty"));
}

#[test]
fn a_try_that_is_cleared_asks_anew_and_takes_no_late_answer() {
    let mut stage = approval("");
    let late = answer(&stage, &["Approve"]);
    stage.clear(&["q"]);
    assert_eq!((stage.state("q"), stage.ti("r", "q").try_number), (AwaitingInput, 2));
    assert_eq!((stage.closed.len(), &stage.closed[0].ending), (1, &Ending::Withdrawn));
    stage.ask(Wish::Answer(late));
    let told = "the question was that of try 1, and the task is at try 2";
    assert_eq!(stage.refusal().as_deref(), Some(told));
    say(&mut stage, &["Approve"]);
    assert_eq!(stage.states(&["q", "b"]), [Success, Queued]);
    stage.clear(&["q"]);
    let states = stage.states(&["q", "b"]);
    assert_eq!((states, stage.asked.len()), (vec![AwaitingInput, Queued], 3), "what is handed out goes on");
}

#[test]
fn whoever_ends_the_instance_or_its_run_withdraws_the_question() {
    let mark =
        |stage: &Stage, state| Wish::MarkTasks(MarkTasks { selection: stage.selection("r", &["q"]), state });
    let stop = |stage: &Stage, _| {
        let (dag_id, run_id) = (stage.dag_id(), "r".parse().unwrap());
        Wish::MarkRun { dag_id, run_id, state: RunState::Failed }
    };
    let off = |stage: &Stage, _| Wish::SwitchTask {
        dag_id: stage.dag_id(),
        task_id: "q".parse().unwrap(),
        enabled: false,
    };
    type Make = fn(&Stage, TaskState) -> Wish;
    let cases: [(Make, TaskState); 4] = [(mark, Success), (mark, Failed), (stop, Skipped), (off, Skipped)];
    for (wish, state) in cases {
        let mut stage = approval("");
        let late = answer(&stage, &["Approve"]);
        let wish = wish(&stage, state);
        stage.ask(wish);
        assert_eq!(stage.state("q"), state);
        assert_eq!(stage.closed.iter().map(|c| &c.ending).collect::<Vec<_>>(), [&Ending::Withdrawn]);
        stage.ask(Wish::Answer(late));
        assert!(stage.refusal().is_some(), "an answer after the end");
    }
    let mut stage = begun("fail_fast: true\ntasks: {q: {approval: Well?}, b: {bash: b}}");
    stage.fail("b");
    assert_eq!((stage.state("q"), stage.closed.len()), (Skipped, 1));
}

#[test]
fn a_paused_run_takes_the_answer_and_starts_nothing_behind_it() {
    let mut stage = approval("");
    let pause = |paused| Wish::PauseRun { dag_id: stage.dag_id(), run_id: "r".parse().unwrap(), paused };
    let (stop, go) = (pause(true), pause(false));
    stage.ask(stop);
    say(&mut stage, &["Approve"]);
    assert_eq!(stage.states(&["q", "b"]), [Success, Untouched]);
    stage.ask(go);
    assert_eq!(stage.state("b"), Queued);
}

#[test]
fn an_open_question_takes_no_slot_but_counts_for_its_task() {
    let stage = begun("max_active_tasks: 1\ntasks: {q: {approval: Well?}, b: {bash: b}}");
    assert_eq!(stage.states(&["q", "b"]), [AwaitingInput, Queued]);
    let mut stage = begun(
        "tasks: {a: {bash: a}, q: {depends_on: a, max_active_tis_per_dag: 1, approval: 'Load {{ ds }}?'}}",
    );
    stage.trigger("again", Some(3));
    stage.succeed("a");
    let outcome = rendered(&stage, "Load?");
    stage.handle(Event::Outcome(Box::new(outcome)));
    stage.end("again", "a", TryResult::Success, None, None);
    assert_eq!(stage.ti("again", "q").state, TaskState::Scheduled, "as Airflow counts");
    say(&mut stage, &["Approve"]);
    assert_eq!(stage.ti("again", "q").state, Queued);
}

#[test]
fn it_says_for_whose_answer_it_waits() {
    let why = |stage: &Stage| {
        let ti = stage.ti("r", "q");
        let question = obstacle::Question {
            dag_id: stage.dag_id(),
            run_id: "r".parse().unwrap(),
            task_id: ti.task_id.clone(),
            map_index: ti.map_index,
        };
        stage.engine.answer(&question, stage.now).unwrap().words()
    };
    assert_eq!(why(&approval("")), "It waits for a person's answer.");
    let told = "It waits for an answer by bob or eve, until 2026-01-01 01:00:00 UTC at the latest.";
    assert_eq!(why(&approval(", assigned_users: [bob, eve], timeout: 1h")), told);
}

#[test]
fn another_version_without_the_task_withdraws_the_question() {
    let mut stage = approval("");
    let parsed = load("dag_id: play\ntasks: {b: {bash: b}}");
    let version = domain::engine::record::VersionId(9);
    let record = crate::stage::record(version, std::sync::Arc::new(parsed.dags[0].dag.clone()));
    stage.handle(Event::Dag(Box::new(record)));
    stage.ask(Wish::AdoptVersion { dag_id: stage.dag_id(), run_id: "r".parse().unwrap() });
    assert_eq!(stage.state("q"), TaskState::Removed);
    assert_eq!(stage.closed.iter().map(|c| &c.ending).collect::<Vec<_>>(), [&Ending::Withdrawn]);
}
