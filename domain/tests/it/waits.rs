//! Waits and triggered runs, one law at a time.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    engine::{
        event::Event,
        record::{RunAnswer, VersionId},
        triggering::Origin,
    },
    id::{DagId, RunId},
    intent::{Clear, Intent, MarkTasks, Wish},
    outcome::TryResult,
    span::Span,
    state::{RunState, RunType, TaskState},
    wait::{AfterTrigger, Awaited, Clock, MAX_DEPTH, Poke, RunStanding, TriggerRequest},
};
use test_case::test_case;

use crate::{
    dagfile::load,
    stage::{Stage, record},
};

fn begun(yaml: &str) -> Stage {
    let mut stage = Stage::new(yaml);
    stage.trigger("r", Some(2));
    stage
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[test]
fn a_delay_ends_at_its_moment_and_not_before() {
    let mut stage = begun("tasks: {w: {wait_for: {for: 10m}}, b: {bash: 'true', depends_on: w}}");
    assert_eq!(stage.states(&["w", "b"]), [TaskState::Deferred, TaskState::None]);
    assert_eq!(stage.ti("r", "w").try_number, 1);
    assert_eq!(stage.engine.next_deadline(), Some(stage.now + TimeDelta::seconds(600)));
    stage.pass(599);
    assert_eq!(stage.state("w"), TaskState::Deferred);
    stage.pass(1);
    assert_eq!(stage.states(&["w", "b"]), [TaskState::Success, TaskState::Queued]);
    assert!(stage.ti("r", "w").wait.is_none() && stage.ti("r", "w").reason.is_none());
}

#[test_case("06:30", "Europe/Berlin", "2026-01-02T05:30:00Z"; "later that day")]
#[test_case("00:30", "Europe/Berlin", "2026-01-02T23:30:00Z"; "only the next day")]
#[test_case("2026-01-05T06:00", "America/New_York", "2026-01-05T11:00:00Z"; "a moment in the zone")]
#[test_case("2026-01-05T06:00+00:00", "America/New_York", "2026-01-05T06:00:00Z"; "a moment with its own zone")]
fn a_time_is_read_in_the_zone_of_the_dag(time: &str, zone: &str, until: &str) {
    let stage = begun(&format!("timezone: {zone}\ntasks: {{w: {{wait_for: {{time: '{time}'}}}}}}"));
    let wait = stage.ti("r", "w").wait.clone().unwrap();
    assert_eq!(wait.until, Awaited::Time(at(until)));
}

#[test]
fn a_time_of_the_day_that_the_clocks_skip_is_the_first_after_the_gap() {
    let daily = Clock::Daily("02:30:00".parse().unwrap());
    let berlin = "Europe/Berlin".parse().unwrap();
    assert_eq!(daily.moment(berlin, at("2026-03-28T23:30:00Z")), at("2026-03-29T01:00:00Z"));
    assert_eq!(daily.moment(berlin, at("2026-03-28T01:30:00Z")), at("2026-03-28T01:30:00Z"));
}

#[test]
fn a_moment_that_has_passed_is_no_wait() {
    let stage = begun("tasks: {w: {wait_for: {time: 2025-12-31T06:00Z}}}");
    assert_eq!((stage.state("w"), stage.run_state("r")), (TaskState::Success, RunState::Success));
}

#[test_case("", TaskState::Failed; "fails")]
#[test_case(", soft_fail: true", TaskState::Skipped; "is skipped")]
fn who_waits_too_long(more: &str, end: TaskState) {
    let mut stage = begun(&format!(
        "tasks: {{w: {{retries: 3, wait_for: {{for: 2h, timeout: 1h{more}}}}}, b: {{bash: x, depends_on: w}}}}"
    ));
    stage.pass(3599);
    assert_eq!(stage.state("w"), TaskState::Deferred);
    stage.pass(1);
    assert_eq!(stage.state("w"), end);
    assert!(stage.ti("r", "w").reason.as_deref().unwrap().contains("timeout of 1h"));
}

const TWO: &str = "dag_id: a\ntasks: {w: {wait_for: {dag: b, failed_states: failed}}}\n---\n\
                   dag_id: b\ntasks: {x: {bash: x}, y: {bash: y, depends_on: x}}";

fn other() -> DagId {
    DagId::new("b").unwrap()
}

#[test]
fn the_end_of_another_dags_run_wakes_who_waits_for_it() {
    let mut stage = begun(TWO);
    assert_eq!(stage.lookups.len(), 1, "a run that is not in memory is asked for once");
    let asker = stage.lookups[0].asker;
    stage.handle(Event::Other { asker, found: None });
    stage.trigger_of(other(), "yesterday", Some(1));
    stage.trigger_of(other(), "today", Some(2));
    for task in ["x", "y"] {
        stage.end("yesterday", task, TryResult::Success, None, None);
    }
    assert_eq!(stage.state("w"), TaskState::Deferred, "that was another day");
    stage.end("today", "x", TryResult::Success, None, None);
    assert_eq!(stage.state("w"), TaskState::Deferred);
    stage.end("today", "y", TryResult::Success, None, None);
    assert_eq!(stage.state("w"), TaskState::Success);
    assert_eq!(stage.lookups.len(), 1);
}

#[test]
fn a_run_that_ended_long_ago_is_found_in_the_records() {
    for (state, end) in [(RunState::Success, TaskState::Success), (RunState::Failed, TaskState::Failed)] {
        let mut stage = begun(TWO);
        let asker = stage.lookups[0].asker;
        let found: RunAnswer = Some(RunStanding { state, tasks: None });
        stage.handle(Event::Other { asker, found });
        assert_eq!(stage.state("w"), end);
    }
}

#[test]
fn a_task_of_a_run_that_goes_on_is_enough() {
    let mut stage = begun(&TWO.replace("dag: b,", "dag: b, task: x,"));
    stage.trigger_of(other(), "today", Some(2));
    stage.end("today", "x", TryResult::Success, None, None);
    assert_eq!((stage.state("w"), stage.run_state("today")), (TaskState::Success, RunState::Running));
    let mut stage = begun(&TWO.replace("dag: b,", "dag: b, task: z,"));
    stage.trigger_of(other(), "today", Some(2));
    assert_eq!(stage.state("w"), TaskState::Failed);
    assert_eq!(stage.ti("r", "w").reason.as_deref(), Some("DAG `b` has no task `z`"));
}

#[test]
fn the_run_before_is_meant_by_an_offset() {
    let mut stage = begun(&TWO.replace("dag: b,", "dag: b, offset: 1d,"));
    stage.trigger_of(other(), "yesterday", Some(1));
    for task in ["x", "y"] {
        stage.end("yesterday", task, TryResult::Success, None, None);
    }
    assert_eq!(stage.state("w"), TaskState::Success);
}

const POKE: &str = "tasks: {w: {retries: 1, wait_for: {file: there, poke_interval: 1m, timeout: 5m}}}";

fn not_yet(stage: &mut Stage) {
    stage.end("r", "w", TryResult::Rescheduled, None, None);
}

#[test]
fn a_look_in_vain_is_repeated_under_the_same_number() {
    let mut stage = begun(POKE);
    let first = stage.outcome("r", "w");
    not_yet(&mut stage);
    let ti = stage.ti("r", "w").clone();
    assert_eq!((ti.state, ti.try_number), (TaskState::UpForReschedule, 1));
    assert_eq!(ti.next_try_at, Some(stage.now + TimeDelta::seconds(60)));
    stage.pass(59);
    assert_eq!(stage.state("w"), TaskState::UpForReschedule);
    stage.pass(1);
    assert_eq!((stage.state("w"), stage.ti("r", "w").try_number), (TaskState::Queued, 1));
    stage.handle(Event::Outcome(Box::new(first)));
    assert_eq!(stage.state("w"), TaskState::Queued, "the word about the first look came twice");
    stage.end("r", "w", TryResult::Success, None, None);
    assert_eq!((stage.state("w"), stage.run_state("r")), (TaskState::Success, RunState::Success));
    assert_eq!(stage.ti("r", "w").started_at, Some(stage.now - TimeDelta::seconds(60)));
}

#[test]
fn a_task_that_is_switched_off_while_a_worker_looks_is_not_looked_for_again() {
    let mut stage = begun(POKE);
    let task_id = "w".parse().unwrap();
    stage.ask(Wish::SwitchTask { dag_id: stage.dag_id(), task_id, enabled: false });
    assert_eq!(stage.state("w"), TaskState::Queued);
    not_yet(&mut stage);
    stage.pass(60);
    assert_eq!(stage.state("w"), TaskState::Skipped);
}

#[test]
fn the_last_look_is_at_the_deadline_and_is_not_retried() {
    let mut stage = begun(POKE);
    let mut looks = 0;
    while stage.state("w") == TaskState::Queued {
        not_yet(&mut stage);
        looks += 1;
        stage.pass(60);
    }
    assert_eq!((looks, stage.state("w")), (6, TaskState::Failed));
    assert_eq!(stage.ti("r", "w").try_number, 1);
}

#[test]
fn a_lost_look_does_not_begin_the_wait_anew() {
    let mut stage = begun(POKE);
    let since = stage.now;
    not_yet(&mut stage);
    stage.pass(60);
    let tries = vec![stage.attempt("r", "w")];
    stage.handle(Event::WorkerLost { worker: uuid::Uuid::nil(), tries });
    assert_eq!((stage.state("w"), stage.ti("r", "w").try_number), (TaskState::Queued, 2));
    not_yet(&mut stage);
    assert_eq!(stage.ti("r", "w").wait.as_ref().map(|wait| wait.since), Some(since));
}

#[test_case(false, None, [60, 60, 60, 60])]
#[test_case(true, None, [60, 120, 240, 480])]
#[test_case(true, Some(200), [60, 120, 200, 200])]
fn pauses(exponential_backoff: bool, most: Option<u64>, pauses: [u64; 4]) {
    let max_wait = most.map(Span::from_secs);
    let poke = Poke { interval: Span::from_secs(60), exponential_backoff, max_wait };
    assert_eq!([1, 2, 3, 4].map(|pokes| poke.pause(pokes)), pauses.map(Span::from_secs));
}

#[test]
fn a_failed_look_uses_up_a_retry_and_the_wait_begins_anew() {
    let mut stage = begun(POKE);
    not_yet(&mut stage);
    stage.pass(60);
    stage.end("r", "w", TryResult::Failed, None, None);
    assert_eq!((stage.state("w"), stage.ti("r", "w").wait.clone()), (TaskState::UpForRetry, None));
    stage.pass(300);
    assert_eq!((stage.state("w"), stage.ti("r", "w").try_number), (TaskState::Queued, 2));
}

#[test]
fn a_person_ends_a_wait() {
    let mut stage = begun("tasks: {w: {wait_for: {for: 1d}}, b: {bash: x, depends_on: w}}");
    let selection = stage.selection("r", &["w"]);
    stage.ask(Wish::MarkTasks(MarkTasks { selection, state: TaskState::Success }));
    assert_eq!(stage.states(&["w", "b"]), [TaskState::Success, TaskState::Queued]);
    stage.clear(&["w"]);
    assert_eq!((stage.state("w"), stage.ti("r", "w").try_number), (TaskState::Deferred, 2));
}

const TRIGGER: &str = "dag_id: a\ntasks: {t: {trigger_dag: b, retries: 1}, after: {bash: x, depends_on: t}}\n---\n\
                       dag_id: b\nparams: {n: {type: integer, default: 1}}\ntasks: {x: {bash: x}}";

fn request(run_id: Option<&str>, then: AfterTrigger) -> TriggerRequest {
    let run_id = run_id.map(|id| RunId::new(id).unwrap());
    let conf = [("n".to_owned(), 7.into())].into_iter().collect();
    TriggerRequest { dag_id: other(), run_id, logical_date: None, conf, then }
}

fn waiting() -> AfterTrigger {
    AfterTrigger {
        wait_for_completion: true,
        allowed_states: vec![TaskState::Success],
        failed_states: vec![TaskState::Failed],
        ..AfterTrigger::default()
    }
}

fn start(stage: &mut Stage, run_id: &str, request: TriggerRequest) {
    let mut outcome = stage.outcome(run_id, "t");
    (outcome.result, outcome.trigger) = (TryResult::Deferred, Some(Box::new(request)));
    stage.handle(Event::Outcome(Box::new(outcome.clone())));
    stage.handle(Event::Outcome(Box::new(outcome)));
}

fn triggered(stage: &Stage) -> Vec<String> {
    let runs = stage.runs.values().filter(|run| run.run_type == RunType::OperatorTriggered);
    runs.map(|run| run.run_id.to_string()).collect()
}

#[test]
fn a_try_starts_one_run_and_goes_on() {
    let mut stage = begun(TRIGGER);
    start(&mut stage, "r", request(None, AfterTrigger::default()));
    assert_eq!(stage.states(&["t", "after"]), [TaskState::Success, TaskState::Queued]);
    let runs = triggered(&stage);
    assert_eq!(runs.len(), 1, "the word came twice: {runs:?}");
    let run = stage.run(&runs[0]);
    assert_eq!((run.conf["n"].clone(), run.depth), (7.into(), 1));
    assert_eq!(run.note.as_deref(), Some("triggered by task `t` of run `r` of DAG `a`"));
}

#[test_case(TryResult::Success, TaskState::Success)]
#[test_case(TryResult::Failed, TaskState::UpForRetry)]
fn a_try_may_wait_for_its_run(result: TryResult, end: TaskState) {
    let mut stage = begun(TRIGGER);
    start(&mut stage, "r", request(Some("mine"), waiting()));
    assert_eq!(stage.states(&["t", "after"]), [TaskState::Deferred, TaskState::None]);
    stage.end("mine", "x", result, None, None);
    assert_eq!(stage.state("t"), end);
}

#[test_case(TRIGGER, false; "which has the task")]
#[test_case(TRIGGER, true; "which has it, after a clearing")]
#[test_case("dag_id: a\ntasks: {after: {bash: x}}", false; "which does not have it")]
fn another_version_does_not_lose_a_run_that_nobody_waits_for(yaml: &str, clears: bool) {
    let mut stage = begun(TRIGGER);
    start(&mut stage, "r", request(Some("mine"), waiting()));
    let changed = record(VersionId(9), Arc::new(load(yaml).dags[0].dag.clone()));
    stage.engine.handle(Event::Dag(Box::new(changed)), stage.now);
    let ask = |stage: &mut Stage, wish| {
        stage.engine.handle(Event::Intent(Box::new(Intent { by: "ada".into(), wish })), stage.now);
    };
    if clears {
        let selection = stage.selection("r", &["t"]);
        ask(&mut stage, Wish::Clear(Clear { selection, only_failed: false }));
    }
    let wish = Wish::AdoptVersion { dag_id: stage.dag_id(), run_id: "r".parse().unwrap() };
    ask(&mut stage, wish);
    stage.poll();
    let goes_on = stage.state("t") == TaskState::Deferred;
    assert_eq!(goes_on, yaml == TRIGGER && !clears);
    assert_eq!(stage.run_state("mine"), if goes_on { RunState::Running } else { RunState::Failed });
}

#[test]
fn a_run_that_exists_is_left_alone_skipped_or_reset() {
    for (then, end, state) in [
        (AfterTrigger::default(), TaskState::UpForRetry, RunState::Running),
        (
            AfterTrigger { skip_when_already_exists: true, ..AfterTrigger::default() },
            TaskState::Skipped,
            RunState::Running,
        ),
        (AfterTrigger { reset_dag_run: true, ..waiting() }, TaskState::Deferred, RunState::Running),
    ] {
        let mut stage = begun(TRIGGER);
        stage.trigger_of(other(), "mine", None);
        let resets = then.reset_dag_run;
        start(&mut stage, "r", request(Some("mine"), then));
        assert_eq!((stage.state("t"), stage.run_state("mine")), (end, state));
        assert_eq!(stage.ti("mine", "x").try_number, if resets { 2 } else { 1 });
    }
}

#[test]
fn what_cannot_be_started_says_why() {
    let mut stage = begun(TRIGGER);
    let unknown = TriggerRequest { dag_id: DagId::new("c").unwrap(), ..request(None, waiting()) };
    start(&mut stage, "r", unknown);
    assert_eq!(stage.ti("r", "t").reason.as_deref(), Some("there is no DAG `c`"));
    assert_eq!(stage.state("t"), TaskState::UpForRetry);
    stage.pass(300);
    let conf = [("n".to_owned(), "seven".into())].into_iter().collect();
    start(&mut stage, "r", TriggerRequest { conf, ..request(None, waiting()) });
    assert_eq!(stage.state("t"), TaskState::Failed);
    assert!(stage.ti("r", "t").reason.as_deref().unwrap().starts_with("DAG `b` refuses the conf: "));
}

#[test]
fn a_dag_that_triggers_itself_comes_to_an_end() {
    let mut stage = begun("dag_id: b\nmax_active_runs: 100\ntasks: {t: {trigger_dag: b}}");
    let mut run_id = "r".to_owned();
    for depth in 1..=MAX_DEPTH {
        let known = triggered(&stage);
        start(
            &mut stage,
            &run_id,
            TriggerRequest { conf: serde_json::Map::new(), ..request(None, waiting()) },
        );
        run_id = triggered(&stage).into_iter().find(|id| !known.contains(id)).unwrap();
        assert_eq!(stage.run(&run_id).depth, depth);
    }
    start(&mut stage, &run_id, TriggerRequest { conf: serde_json::Map::new(), ..request(None, waiting()) });
    assert_eq!(stage.ti(&run_id, "t").state, TaskState::Failed);
    assert!(stage.ti(&run_id, "t").reason.as_deref().unwrap().contains("in a circle"));
    assert!(stage.runs.values().all(|run| run.state == RunState::Failed), "who waits hears of it");
}

#[test]
fn a_run_cannot_be_reset_by_a_task_in_it() {
    let mut stage = begun("dag_id: b\ntasks: {t: {trigger_dag: b}}");
    let again = AfterTrigger { reset_dag_run: true, ..AfterTrigger::default() };
    let request = TriggerRequest { conf: serde_json::Map::new(), ..request(Some("r"), again) };
    start(&mut stage, "r", request);
    assert_eq!(stage.state("t"), TaskState::Failed);
}

const OWN: &str = "dag_id: b\nmax_active_runs: 1\ntasks: {t: {trigger_dag: b}}";

#[test]
fn a_wait_for_a_run_of_its_own_dag_that_could_never_start_is_refused() {
    let own = || TriggerRequest { conf: serde_json::Map::new(), ..request(None, waiting()) };
    let mut stage = begun(OWN);
    start(&mut stage, "r", own());
    assert_eq!(stage.state("t"), TaskState::Failed);
    let reason = stage.ti("r", "t").reason.clone().unwrap();
    assert!(reason.contains("own DAG `b`") && reason.contains("max_active_runs is 1"), "{reason}");
    let mut stage = begun(&OWN.replace("max_active_runs: 1", "max_active_runs: 2"));
    start(&mut stage, "r", own());
    assert_eq!(stage.state("t"), TaskState::Deferred);
    let mut stage = begun(OWN);
    let then = AfterTrigger::default();
    start(&mut stage, "r", TriggerRequest { then, ..own() });
    assert_eq!(stage.state("t"), TaskState::Success, "who does not wait is in nobody's way");
}

#[test]
fn a_run_that_nobody_waits_for_any_more_is_stopped() {
    for (wish, end) in
        [(0, RunState::Failed), (1, RunState::Failed), (2, RunState::Failed), (3, RunState::Running)]
    {
        let mut stage = begun(TRIGGER);
        start(&mut stage, "r", request(Some("mine"), waiting()));
        let selection = stage.selection("r", &["t"]);
        let mark = |state| Wish::MarkTasks(MarkTasks { selection: selection.clone(), state });
        match wish {
            0 => {
                let (dag_id, run_id) = (stage.dag_id(), RunId::new("r").unwrap());
                stage.ask(Wish::MarkRun { dag_id, run_id, state: RunState::Failed });
            }
            1 => stage.ask(mark(TaskState::Skipped)),
            2 => stage.clear(&["t"]),
            _ => stage.ask(mark(TaskState::Success)),
        }
        assert_eq!(stage.run_state("mine"), end, "{wish}");
    }
}

#[test]
fn the_result_of_a_task_of_the_run_is_fetched_when_it_has_ended() {
    let output = "dag_id: a\ntasks: {t: {trigger_dag: {dag_id: b, wait_for_completion: true, output: x}}, after: {bash: x, depends_on: t}}";
    let mut stage = begun(&TRIGGER.replace(TRIGGER.split("\n---").next().unwrap(), output));
    let then = AfterTrigger { output: Some("x".parse().unwrap()), ..waiting() };
    start(&mut stage, "r", request(Some("mine"), then));
    stage.end("mine", "x", TryResult::Success, None, Some(7.into()));
    assert_eq!(stage.states(&["t", "after"]), [TaskState::Queued, TaskState::None]);
    assert_eq!(stage.ti("r", "t").try_number, 1, "the try goes on");
    stage.print("t", 7);
    assert_eq!(stage.states(&["t", "after"]), [TaskState::Success, TaskState::Queued]);
}

#[test]
fn who_has_started_a_run_is_read_from_its_note() {
    let mut stage = begun(TRIGGER);
    start(&mut stage, "r", request(Some("mine"), waiting()));
    let origin = Origin::of(stage.run("mine").note.as_deref().unwrap()).unwrap();
    assert_eq!((origin.task_id.as_str(), origin.run_id.as_str(), origin.dag_id.as_str()), ("t", "r", "a"));
    assert_eq!(Origin::of("triggered by hand"), None);
}
