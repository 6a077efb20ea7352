//! Deferral to triggers, and tasks that say themselves when they look again, one law at a time.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    deferral::{Deferral, Fired, LeftTo, MAX_BYTES, Resumption, TaskEnd, Word},
    engine::{event::Event, obstacle, record::TiRecord},
    intent::{MarkTasks, Message, Wish},
    outcome::{Outcome, TryResult},
    span::Span,
    state::TaskState::{
        self, Deferred, Failed, None as Untouched, Queued, Scheduled, Skipped, Success, UpForReschedule,
        UpForRetry,
    },
};
use serde_json::{Map, Value, json};
use test_case::test_case;
use uuid::Uuid;

use crate::stage::Stage;

fn begun(yaml: &str) -> Stage {
    let mut stage = Stage::new(yaml);
    stage.trigger("r", None);
    stage
}

/// A task with one retry and something behind it.
fn task() -> Stage {
    begun("tasks: {t: {bash: a, retries: 1, retry_delay: 10s}, b: {bash: b, depends_on: t}}")
}

fn deferral(timeout: Option<u64>) -> Box<Deferral> {
    Box::new(Deferral {
        to: LeftTo::Trigger { classpath: "m.Trigger".into(), kwargs: Map::new() },
        timeout: timeout.map(Span::from_secs),
        next_method: "execute_complete".into(),
        next_kwargs: Map::new(),
    })
}

fn deferred(stage: &Stage, timeout: Option<u64>) -> Outcome {
    let deferral = Some(deferral(timeout));
    Outcome { result: TryResult::Deferred, deferral, ..stage.outcome("r", "t") }
}

fn defer(stage: &mut Stage, timeout: Option<u64>) {
    let outcome = deferred(stage, timeout);
    stage.handle(Event::Outcome(Box::new(outcome)));
}

fn fired(ti: &TiRecord, at: DateTime<Utc>, word: Word) -> Fired {
    let attempt = domain::id::TryKey { ti: ti.key, try_number: ti.try_number };
    let number = ti.wait.as_ref().map_or(0, |wait| wait.pokes);
    Fired { attempt, number, worker: Uuid::nil(), at, word }
}

fn fire(stage: &mut Stage, word: Word) {
    let fired = fired(stage.ti("r", "t"), stage.now, word);
    stage.handle(Event::Fired(Box::new(fired)));
}

fn reschedule(stage: &mut Stage, seconds: i64) {
    let resume_at = Some(stage.now + TimeDelta::seconds(seconds));
    let outcome = Outcome { result: TryResult::Rescheduled, resume_at, ..stage.outcome("r", "t") };
    stage.handle(Event::Outcome(Box::new(outcome)));
}

fn number(stage: &Stage) -> u32 {
    stage.ti("r", "t").try_number
}

#[test]
fn a_task_looks_again_when_it_has_said_so_under_its_number() {
    let mut stage = task();
    let since = stage.now;
    for look in 1..=3 {
        reschedule(&mut stage, 60);
        let ti = stage.ti("r", "t");
        assert_eq!(
            (ti.state, ti.try_number, ti.next_try_at),
            (UpForReschedule, 1, Some(stage.now + TimeDelta::seconds(60)))
        );
        let wait = ti.wait.as_ref().unwrap();
        assert_eq!((wait.pokes, wait.since, wait.deadline), (look, since, None));
        stage.pass(59);
        assert_eq!(stage.state("t"), UpForReschedule);
        stage.pass(1);
        assert_eq!((stage.state("t"), number(&stage)), (Queued, 1));
    }
    stage.succeed("t");
    let ti = stage.ti("r", "t");
    assert_eq!((ti.state, ti.started_at, ti.wait.is_none()), (Success, Some(since), true));
    assert_eq!(stage.state("b"), Queued);
}

#[test]
fn a_moment_that_has_passed_is_now_and_a_failure_after_looks_uses_a_retry() {
    let mut stage = task();
    reschedule(&mut stage, -10);
    assert_eq!((stage.state("t"), number(&stage)), (Queued, 1));
    stage.fail("t");
    assert_eq!(stage.state("t"), UpForRetry);
    stage.pass(10);
    assert_eq!((stage.state("t"), number(&stage)), (Queued, 2));
    assert!(stage.ti("r", "t").wait.is_none(), "another try counts its looks anew");
}

#[test]
fn whoever_does_not_say_when_fails_for_good() {
    let mut stage = task();
    stage.end("r", "t", TryResult::Rescheduled, None, None);
    assert_eq!(stage.state("t"), Failed);
}

#[test]
fn a_deferred_task_holds_no_slot_and_goes_on_with_its_event() {
    let mut stage = task();
    let since = stage.now;
    defer(&mut stage, None);
    let ti = stage.ti("r", "t");
    assert_eq!((ti.state, ti.try_number, ti.next_try_at), (Deferred, 1, None));
    assert_eq!((stage.deferrals.len(), stage.deferrals[0].number, stage.deferrals[0].deadline), (1, 1, None));
    let question = obstacle::Question {
        dag_id: stage.dag_id(),
        run_id: "r".parse().unwrap(),
        task_id: ti.task_id.clone(),
        map_index: -1,
    };
    let words = stage.engine.answer(&question, stage.now).unwrap().words();
    assert!(words.contains("waits for the trigger m.Trigger"), "{words:?}");

    stage.pass(3600);
    fire(&mut stage, Word::Event(json!({"status": "done"})));
    assert_eq!((stage.state("t"), number(&stage)), (Queued, 1));
    assert_eq!(stage.resumptions[0].resumption, Resumption::Event(json!({"status": "done"})));
    assert!(stage.over.is_empty(), "the worker must still find it");
    stage.succeed("t");
    let ti = stage.ti("r", "t");
    assert_eq!((ti.state, ti.started_at, stage.over.len()), (Success, Some(since), 1));
    assert_eq!(stage.state("b"), Queued);
}

#[test]
fn only_the_first_word_about_the_trigger_that_is_waited_for_counts() {
    let mut stage = task();
    defer(&mut stage, None);
    let first = fired(stage.ti("r", "t"), stage.now, Word::Event(json!(1)));
    stage.handle(Event::Fired(Box::new(first.clone())));
    stage.handle(Event::Fired(Box::new(first.clone())));
    assert_eq!((stage.state("t"), stage.resumptions.len()), (Queued, 1));
    // The same try defers once more: another deferral, which the old word is not about.
    defer(&mut stage, None);
    assert_eq!((stage.state("t"), stage.deferrals[1].number), (Deferred, 2));
    stage.handle(Event::Fired(Box::new(first)));
    assert_eq!((stage.state("t"), stage.resumptions.len()), (Deferred, 1));
    let other_try = fired(stage.ti("r", "t"), stage.now, Word::Event(json!(2)));
    let other_try = Fired { attempt: domain::id::TryKey { try_number: 2, ..other_try.attempt }, ..other_try };
    stage.handle(Event::Fired(Box::new(other_try)));
    assert_eq!(stage.state("t"), Deferred);
    fire(&mut stage, Word::Event(json!(2)));
    assert_eq!((stage.state("t"), number(&stage)), (Queued, 1));
}

#[test]
fn a_trigger_that_breaks_or_takes_too_long_lets_the_task_fail_in_its_own_process() {
    let mut stage = task();
    defer(&mut stage, Some(30));
    fire(&mut stage, Word::Failed(Some(vec!["Traceback".into()])));
    assert_eq!(stage.state("t"), Queued);
    let failure = stage.resumptions[0].resumption.failure();
    assert_eq!(failure, Some(json!({"error": "Trigger failure", "traceback": ["Traceback"]})));
    defer(&mut stage, Some(30));
    stage.pass(29);
    assert_eq!(stage.state("t"), Deferred);
    stage.pass(1);
    assert_eq!((stage.state("t"), number(&stage)), (Queued, 1));
    assert_eq!(stage.resumptions[1].resumption, Resumption::TimedOut);
    stage.pass(300);
    assert_eq!(stage.resumptions.len(), 2);
}

#[test_case(TaskEnd::Success, Success, Queued)]
#[test_case(TaskEnd::Skipped, Skipped, Skipped)]
#[test_case(TaskEnd::Failed, UpForRetry, Untouched)]
fn a_trigger_can_end_its_task(end: TaskEnd, state: TaskState, behind: TaskState) {
    let mut stage = task();
    defer(&mut stage, None);
    let xcoms = [("return_value".to_owned(), json!(7))].into();
    fire(&mut stage, Word::Ended { end, xcoms });
    assert_eq!((stage.state("t"), stage.state("b"), stage.over.len()), (state, behind, 1));
    let left: Vec<Value> = stage.xcoms.iter().map(|xcom| xcom.value.clone()).collect();
    assert_eq!((left, stage.cleared.len()), (vec![json!(7)], 0));
    stage.pass(10);
    let is_retried = end == TaskEnd::Failed;
    assert_eq!(stage.cleared.len(), usize::from(is_retried), "the next try finds nothing of it");
    assert_eq!(number(&stage), if is_retried { 2 } else { 1 });
}

#[test]
fn whoever_ends_or_clears_it_cancels_its_trigger() {
    for (wish, state) in [(0, Failed), (1, Queued), (2, Success)] {
        let mut stage = task();
        defer(&mut stage, None);
        let attempt = stage.deferrals[0].attempt;
        let late = fired(stage.ti("r", "t"), stage.now, Word::Event(json!(1)));
        let selection = stage.selection("r", &["t"]);
        match wish {
            0 => stage.ask(Wish::MarkTasks(MarkTasks { selection, state: Failed })),
            1 => stage.clear(&["t"]),
            _ => stage.ask(Wish::MarkTasks(MarkTasks { selection, state: Success })),
        }
        assert_eq!((stage.state("t"), &*stage.stopped, stage.over.len()), (state, &[attempt][..], 1));
        stage.handle(Event::Fired(Box::new(late)));
        assert_eq!((stage.state("t"), stage.resumptions.len()), (state, 0));
    }
}

#[test]
fn a_retry_begins_anew_and_forgets_what_was_left() {
    let mut stage = task();
    let outcome = Outcome { xcoms: [("job".to_owned(), json!(5))].into(), ..deferred(&stage, None) };
    stage.handle(Event::Outcome(Box::new(outcome)));
    assert_eq!((stage.xcoms.len(), stage.cleared.len()), (1, 0), "others see it while the task waits");
    fire(&mut stage, Word::Event(json!(1)));
    stage.fail("t");
    assert_eq!((stage.state("t"), stage.over.len(), stage.cleared.len()), (UpForRetry, 1, 0));
    stage.pass(10);
    assert_eq!(stage.cleared, ["t"]);
    assert!(stage.ti("r", "t").wait.is_none());
}

#[test]
fn a_worker_that_is_lost_after_the_event_does_not_lose_the_event() {
    let mut stage = task();
    defer(&mut stage, None);
    fire(&mut stage, Word::Event(json!(1)));
    let attempt = stage.attempt("r", "t");
    stage.handle(Event::WorkerLost { worker: Uuid::nil(), tries: vec![attempt] });
    assert_eq!((stage.state("t"), number(&stage)), (Queued, 2));
    assert!(stage.over.is_empty() && stage.ti("r", "t").wait.as_ref().unwrap().is_deferral());
    // What it asks then, too, is answered after the trigger.
    reschedule(&mut stage, 60);
    assert!(stage.over.is_empty() && stage.state("t") == UpForReschedule);
    stage.pass(60);
    stage.succeed("t");
    assert_eq!((stage.state("t"), stage.over.len()), (Success, 1));
}

#[test]
fn a_pool_has_room_while_a_task_is_deferred() {
    let mut stage = begun("max_active_tasks: 1\ntasks: {t: {bash: a}, u: {bash: b, depends_on: []}}");
    assert_eq!(stage.states(&["t", "u"]), [Queued, Scheduled]);
    defer(&mut stage, None);
    assert_eq!(stage.states(&["t", "u"]), [Deferred, Queued]);
    fire(&mut stage, Word::Event(Value::Null));
    assert_eq!(stage.states(&["t", "u"]), [Scheduled, Queued], "it queues again for its place");
    stage.succeed("u");
    assert_eq!(stage.state("t"), Queued);
}

#[test]
fn what_is_too_large_to_record_is_refused() {
    let mut stage = task();
    let mut outcome = deferred(&stage, None);
    let large = deferral(None);
    let kwargs = Map::from_iter([("text".to_owned(), Value::from("x".repeat(MAX_BYTES)))]);
    outcome.deferral =
        Some(Box::new(Deferral { to: LeftTo::Trigger { classpath: "m.Trigger".into(), kwargs }, ..*large }));
    stage.handle(Event::Outcome(Box::new(outcome)));
    assert_eq!(stage.state("t"), Failed);
    assert!(stage.ti("r", "t").reason.as_deref().unwrap().contains("at most 1048576 are allowed"));
}

#[test]
fn words_of_triggers_survive_the_inbox() {
    let stage = task();
    for word in [
        Word::Event(json!([1, {"a": null}])),
        Word::Failed(None),
        Word::Failed(Some(vec!["line".into()])),
        Word::Ended { end: TaskEnd::Skipped, xcoms: [("k".to_owned(), json!(1))].into() },
    ] {
        let message = Message::Fired(fired(stage.ti("r", "t"), stage.now, word));
        let text = serde_json::to_string(&message).unwrap();
        assert_eq!(serde_json::from_str::<Message>(&text).unwrap(), message, "{text}");
    }
}
