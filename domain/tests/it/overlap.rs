//! Runs by schedule that meet others, and runs that follow each other: one play each, with a tick every minute.

use chrono::TimeDelta;
use domain::{
    outcome::TryResult,
    state::{RunState, RunType},
};
use test_case::test_case;

use crate::stage::Stage;

fn play(overlap: &str, more: &str) -> Stage {
    Stage::new(&format!("schedule: '* * * * *'\noverlap: {overlap}\n{more}\ntasks: {{t: {{bash: t}}}}"))
}

fn tick(minute: u32) -> String {
    format!("scheduled__2026-01-01T00:{minute:02}:00+00:00")
}

/// The runs by schedule: the minute of each tick, and its state.
fn runs(stage: &Stage) -> Vec<(u32, RunState)> {
    let by_schedule = stage.runs.values().filter(|run| run.run_type == RunType::Scheduled);
    let minute = |id: &str| (0..60).find(|minute| tick(*minute) == id).unwrap();
    by_schedule.map(|run| (minute(run.run_id.as_str()), run.state)).collect()
}

fn succeed(stage: &mut Stage, run_id: &str) {
    stage.end(run_id, "t", TryResult::Success, Some(0), None);
}

fn audited(stage: &Stage, event: &str) -> Vec<String> {
    let lines = stage.audit.iter().filter(|line| line.event == event);
    lines.map(|line| line.extra["reason"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn allow_starts_beside_up_to_max_active_runs() {
    let mut stage = play("allow", "max_active_runs: 2");
    (0..3).for_each(|_| stage.pass(60));
    assert_eq!(runs(&stage), [(0, RunState::Running), (1, RunState::Running)]);
    succeed(&mut stage, &tick(0));
    assert_eq!(runs(&stage)[2], (3, RunState::Running), "without catch-up the latest of those that waited");
}

#[test]
fn queue_starts_one_after_the_other_and_loses_none() {
    let mut stage = play("queue", "");
    (0..2).for_each(|_| stage.pass(60));
    assert_eq!(runs(&stage), [(0, RunState::Running), (1, RunState::Queued), (2, RunState::Queued)]);
    succeed(&mut stage, &tick(0));
    assert_eq!(runs(&stage), [(0, RunState::Success), (1, RunState::Running), (2, RunState::Queued)]);
    succeed(&mut stage, &tick(1));
    assert_eq!(runs(&stage)[2], (2, RunState::Running));
}

#[test]
fn queue_waits_for_a_run_that_a_person_started_before_but_that_one_never_waits() {
    let mut stage = play("queue", "");
    stage.trigger("mine", None);
    stage.pass(60);
    assert_eq!(stage.run_state("mine"), RunState::Running, "beside the first run by schedule");
    succeed(&mut stage, &tick(0));
    assert_eq!(runs(&stage)[1], (1, RunState::Queued));
    stage.trigger("another", None);
    assert_eq!(stage.run_state("another"), RunState::Running, "past the one that waits");
    succeed(&mut stage, "mine");
    assert_eq!(runs(&stage)[1], (1, RunState::Running), "what came later holds nothing up");
}

#[test_case(""; "of those that were missed the latest")]
#[test_case("catchup: true"; "with catch-up")]
fn skip_drops_what_is_due_while_a_run_is_active(catchup: &str) {
    let mut stage = play("skip", catchup);
    (0..2).for_each(|_| stage.pass(60));
    assert_eq!(runs(&stage), [(0, RunState::Running)]);
    let because = format!("`{}` was active (overlap: skip)", tick(0));
    assert_eq!(
        audited(&stage, "skip_run"),
        [1, 2].map(|minute| format!("the run due at 2026-01-01T00:0{minute}:00Z was dropped: {because}"))
    );
    stage.pass(30);
    succeed(&mut stage, &tick(0));
    assert_eq!(runs(&stage).len(), 1, "what was dropped is not made up for");
    stage.pass(30);
    assert_eq!(runs(&stage)[1], (3, RunState::Running));
}

#[test]
fn skip_tells_once_of_all_that_were_dropped_at_once() {
    let mut stage = play("skip", "catchup: true");
    stage.pass(1500);
    assert_eq!((runs(&stage).len(), audited(&stage, "skip_run").len()), (1, 1));
    succeed(&mut stage, &tick(0));
    stage.pass(60);
    assert_eq!(runs(&stage)[1], (26, RunState::Running));
}

#[test]
fn once_is_not_skipped_but_waits() {
    let mut stage =
        Stage::new("schedule: '@once'\nstart_date: 2026-01-01T00:01\noverlap: skip\ntasks: {t: {bash: t}}");
    stage.trigger("mine", None);
    stage.pass(60);
    assert_eq!(runs(&stage), []);
    succeed(&mut stage, "mine");
    assert_eq!(runs(&stage), [(1, RunState::Running)]);
}

#[test]
fn cancel_running_stops_the_earlier_run_and_says_why() {
    let mut stage = play("cancel_running", "");
    let attempt = stage.attempt(&tick(0), "t");
    stage.trigger("mine", None);
    stage.pass(60);
    assert_eq!(runs(&stage), [(0, RunState::Failed), (1, RunState::Running)]);
    assert_eq!(stage.run_state("mine"), RunState::Running, "not what a person started");
    let reason = "stopped for the run due at 2026-01-01T00:01:00Z (overlap: cancel_running)";
    assert_eq!(stage.ti(&tick(0), "t").reason.as_deref(), Some(reason));
    assert_eq!(
        (stage.stopped.as_slice(), audited(&stage, "cancel_run")),
        ([attempt].as_slice(), vec![reason.to_owned()])
    );
    stage.pass(600);
    assert_eq!(
        runs(&stage)[1..],
        [(1, RunState::Failed), (11, RunState::Running)],
        "only the latest in its place"
    );
}

#[test]
fn cancelled_runs_count_as_failures_and_a_paused_dag_creates_none() {
    let mut stage = play("cancel_running", "max_consecutive_failed_dag_runs: 2");
    (0..3).for_each(|_| stage.pass(60));
    assert_eq!(runs(&stage), [(0, RunState::Failed), (1, RunState::Failed)]);
    assert!(stage.flags.last().unwrap().pause);
}

#[test]
fn a_run_is_called_after_its_tick_however_late_it_starts() {
    let stage = |seconds: i64| {
        let mut stage = Stage::new(
            "dag_id: late\nschedule: {cron: '0 1 * * *', jitter: 50m}\ncatchup: true\ntasks: {t: {bash: t}}",
        );
        stage.pass(seconds);
        stage
    };
    let due = stage(0).next.unwrap();
    let late = (due.run_after - due.tick()).num_seconds();
    assert!(late > 0, "the jitter of this DAG is not nothing");
    let before = stage(3600 + late - 1);
    assert_eq!(before.runs.len(), 0);
    let after = stage(3600 + late);
    assert_eq!(after.run("scheduled__2026-01-01T01:00:00+00:00").run_after, due.run_after);
}

#[test]
fn continuous_runs_follow_each_other_and_are_announced_only_when_none_is_active() {
    let mut stage = Stage::new("schedule: '@continuous'\ntasks: {t: {bash: t}}");
    assert_eq!((stage.runs.len(), stage.next), (1, None));
    stage.pass(90);
    assert_eq!((stage.runs.len(), stage.next), (1, None));
    let first = stage.runs.values().next().unwrap().run_id.to_string();
    succeed(&mut stage, &first);
    assert_eq!((stage.runs.len(), stage.next), (2, None));
    let second = stage.runs.values().nth(1).unwrap();
    let interval = second.data_interval.unwrap();
    let gap = TimeDelta::microseconds(1);
    assert_eq!((interval.end, interval.end - interval.start), (stage.now, TimeDelta::seconds(90) - gap));
    assert_eq!(second.state, RunState::Running);
}

#[test]
fn continuous_runs_that_end_at_once_start_a_second_apart() {
    let mut stage = Stage::new("schedule: '@continuous'\ntasks: {t: {empty: {}}}");
    for count in 1..4 {
        assert_eq!(stage.runs.len(), count);
        assert!(stage.runs.values().all(|run| run.state == RunState::Success));
        let next = stage.next.unwrap().run_after;
        assert_eq!(next, stage.now + TimeDelta::seconds(1));
        assert_eq!(stage.engine.next_deadline(), Some(next), "nothing to do until then");
        stage.poll();
        assert_eq!(stage.runs.len(), count);
        stage.pass(1);
    }
}
