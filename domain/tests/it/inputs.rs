//! Tasks that ask people and go on with the answer, one law at a time.

use domain::{
    approval::{Answer, Ending, Question, Reply, Terms, silence},
    deferral::{Deferral, LeftTo, Resumption},
    engine::event::Event,
    intent::{Intent, MarkTasks, Wish},
    outcome::{Outcome, TryResult},
    span::Span,
    state::TaskState::{self, AwaitingInput, Failed, Queued, Success, UpForRetry},
};
use serde_json::Map;
use test_case::test_case;
use uuid::Uuid;

use crate::stage::Stage;

/// A task with one retry and something behind it.
fn task() -> Stage {
    let mut stage =
        Stage::new("tasks: {q: {bash: a, retries: 1, retry_delay: 10s}, b: {bash: b, depends_on: q}}");
    stage.trigger("r", None);
    stage
}

fn terms(defaults: &[&str]) -> Terms {
    Terms {
        options: ["Approve", "Reject"].map(str::to_owned).to_vec(),
        defaults: defaults.iter().map(|&option| option.to_owned()).collect(),
        multiple: false,
        params: indexmap::IndexMap::new(),
        assigned_users: vec!["ada".to_owned()],
    }
}

fn asked(stage: &Stage, timeout: Option<u64>, terms: Terms) -> Outcome {
    let question = Question { subject: "Well?".to_owned(), body: None };
    let deferral = Deferral {
        to: LeftTo::People { question, terms: Box::new(terms) },
        timeout: timeout.map(Span::from_secs),
        next_method: "execute_complete".to_owned(),
        next_kwargs: Map::new(),
    };
    let deferral = Some(Box::new(deferral));
    Outcome { result: TryResult::Deferred, deferral, ..stage.outcome("r", "q") }
}

fn ask(stage: &mut Stage, timeout: Option<u64>, defaults: &[&str]) {
    let outcome = asked(stage, timeout, terms(defaults));
    stage.handle(Event::Outcome(Box::new(outcome)));
}

fn answer(stage: &Stage, number: u32, option: &str) -> Wish {
    let ti = stage.ti("r", "q");
    Wish::Answer(Answer {
        id: Uuid::nil(),
        dag_id: stage.dag_id(),
        run_id: "r".parse().unwrap(),
        task_id: ti.task_id.clone(),
        map_index: ti.map_index,
        try_number: ti.try_number,
        number,
        reply: Reply { chosen_options: vec![option.to_owned()], ..Reply::default() },
    })
}

fn say(stage: &mut Stage, number: u32, option: &str) {
    let wish = answer(stage, number, option);
    stage.ask(wish);
}

fn number(stage: &Stage) -> (TaskState, u32) {
    (stage.state("q"), stage.ti("r", "q").try_number)
}

#[test]
fn an_answer_wakes_the_task_under_its_number() {
    let mut stage = task();
    ask(&mut stage, None, &[]);
    let (ti, question) = (stage.ti("r", "q"), &stage.asked[0]);
    assert_eq!((ti.state, ti.try_number, ti.next_try_at), (AwaitingInput, 1, None));
    assert_eq!(ti.reason.as_deref(), Some("waits for an answer by ada"));
    assert_eq!((question.number, question.deadline, question.question.subject.as_str()), (1, None, "Well?"));
    assert_eq!(stage.deferrals.len(), 1, "with what it goes on is kept");
    let wish = answer(&stage, 1, "Approve");
    stage.handle(Event::Intent(Box::new(Intent { by: "bob".into(), wish })));
    assert_eq!(number(&stage), (AwaitingInput, 1), "somebody else is asked");
    say(&mut stage, 1, "Approve");
    assert_eq!(number(&stage), (Queued, 1));
    let Ending::Answered { by, reply } = &stage.closed[0].ending else { panic!("it was withdrawn") };
    assert_eq!(by.as_deref(), Some("ada"));
    assert_eq!(stage.resumptions[0].resumption, Resumption::Event(reply.event(Some("ada"), stage.now)));
    assert!(stage.xcoms.is_empty(), "what it leaves it says itself");
    say(&mut stage, 1, "Reject");
    assert!(stage.refusal().unwrap().contains("not open any more: the task is queued"));
    assert!(stage.over.is_empty(), "a worker needs it still");
    stage.succeed("q");
    assert_eq!((stage.states(&["q", "b"]), stage.over.len()), (vec![Success, Queued], 1));
    assert_eq!((stage.asked.len(), stage.closed.len()), (1, 1));
}

#[test]
fn an_answer_is_to_one_question_of_the_try() {
    let mut stage = task();
    ask(&mut stage, None, &[]);
    say(&mut stage, 1, "Approve");
    ask(&mut stage, None, &[]);
    assert_eq!((number(&stage), stage.asked[1].number), ((AwaitingInput, 1), 2));
    say(&mut stage, 1, "Approve");
    assert!(stage.refusal().unwrap().contains("the task asks another one"));
    say(&mut stage, 2, "Reject");
    assert_eq!((number(&stage), stage.resumptions.len(), stage.over.len()), ((Queued, 1), 2, 0));
}

#[test_case(&["Reject"], true; "with the defaults")]
#[test_case(&[], false; "without an answer")]
fn when_the_time_is_up_the_task_goes_on(defaults: &[&str], is_answered: bool) {
    let mut stage = task();
    ask(&mut stage, Some(60), defaults);
    stage.pass(59);
    assert_eq!(number(&stage), (AwaitingInput, 1));
    stage.pass(1);
    assert_eq!(number(&stage), (Queued, 1));
    let reply = Reply { chosen_options: vec!["Reject".to_owned()], ..Reply::default() };
    let (event, ending) = if is_answered {
        (reply.event(None, stage.now), Ending::Answered { by: None, reply })
    } else {
        (silence(), Ending::Withdrawn)
    };
    assert_eq!(stage.resumptions[0].resumption, Resumption::Event(event));
    assert_eq!(stage.closed.iter().map(|closing| &closing.ending).collect::<Vec<_>>(), [&ending]);
    stage.fail("q");
    assert_eq!((number(&stage), stage.over.len()), ((UpForRetry, 1), 1));
    stage.pass(10);
    assert_eq!(number(&stage), (Queued, 2));
}

#[test]
fn whoever_clears_or_marks_the_task_withdraws_the_question() {
    type Act = fn(&mut Stage);
    let mark: Act = |stage| {
        let selection = stage.selection("r", &["q"]);
        stage.ask(Wish::MarkTasks(MarkTasks { selection, state: Failed }));
    };
    let clear: Act = |stage| stage.clear(&["q"]);
    for (act, end) in [(mark, (Failed, 1)), (clear, (Queued, 2))] {
        let mut stage = task();
        ask(&mut stage, None, &[]);
        act(&mut stage);
        assert_eq!((number(&stage), stage.over.len()), (end, 1));
        assert_eq!(
            stage.closed.iter().map(|closing| &closing.ending).collect::<Vec<_>>(),
            [&Ending::Withdrawn]
        );
        let wish = answer(&stage, 1, "Approve");
        stage.ask(wish);
        assert!(stage.refusal().is_some() && stage.resumptions.is_empty());
    }
}

#[test]
fn a_question_that_cannot_be_put_fails_its_task_for_good() {
    let mut stage = task();
    let outcome = asked(&stage, None, Terms { options: Vec::new(), ..terms(&[]) });
    stage.handle(Event::Outcome(Box::new(outcome)));
    assert_eq!(number(&stage), (Failed, 1));
    let reason = stage.ti("r", "q").reason.clone().unwrap();
    assert_eq!(reason, "its question cannot be put to people: it has 0 options; 1 to 100 are allowed");
    assert_eq!(stage.state("b"), TaskState::UpstreamFailed);
}
