//! Deadlines, one law at a time.

use domain::{
    alert::AlertEvent,
    deadline::{Deadline, Reference},
    engine::{Engine, Snapshot, event::Event, record::RunSnapshot},
    intent::Wish,
    span::Span,
    state::RunState,
};
use test_case::test_case;

use crate::{dagfile::load, stage::Stage};

const HALF_AN_HOUR: &str = "deadline: {within: 30m}\non_deadline: [{slack: {conn_id: c}}, {slack: {conn_id: d}}]\ntasks: {a: {bash: x}}";

fn begun(yaml: &str) -> Stage {
    let mut stage = Stage::new(yaml);
    stage.trigger("r", Some(1));
    stage
}

// Has the run begin anew after its end.
fn run_again(stage: &mut Stage) {
    let run = stage.run("r").clone();
    let tis = stage.tis.values().filter(|ti| ti.key.run == run.key).cloned().collect();
    let dag = stage.dag.clone();
    let snapshot = RunSnapshot { run, dag, tis, lengths: Vec::new(), choices: Vec::new() };
    stage.engine.handle(Event::Run(Box::new(snapshot)), stage.now);
    stage.clear(&["a"]);
    assert_eq!(stage.run_state("r"), RunState::Running);
}

fn told(stage: &Stage) -> Vec<(u32, u32)> {
    let of_deadlines = stage.alerts.iter().filter(|alert| alert.facts.event == AlertEvent::Deadline);
    of_deadlines.map(|alert| (alert.number, alert.place)).collect()
}

#[test]
fn a_run_that_has_not_ended_in_time_is_told_of_once_and_goes_on() {
    let mut stage = begun(HALF_AN_HOUR);
    stage.pass(1799);
    assert!(told(&stage).is_empty() && stage.run("r").missed.is_empty());
    assert_eq!(stage.engine.next_deadline(), Some(stage.now + chrono::TimeDelta::seconds(1)));
    stage.pass(1);
    assert_eq!((told(&stage), stage.run_state("r")), (vec![(0, 0), (0, 1)], RunState::Running));
    let facts = &stage.alerts[0].facts;
    let why = "it had not ended by its deadline at 2026-01-01 00:30:00 UTC, 30m after it was queued";
    assert_eq!((facts.reason.as_deref(), facts.deadline), (Some(why), Some(stage.now)));
    assert_eq!(facts.headline(), "play: run has missed its deadline (r)");
    stage.pass(9999);
    stage.succeed("a");
    assert_eq!((told(&stage).len(), stage.run("r").missed.len()), (2, 1));
}

#[test]
fn a_run_that_ends_in_time_has_missed_nothing() {
    let mut stage = begun(HALF_AN_HOUR);
    stage.pass(1799);
    stage.succeed("a");
    stage.pass(9999);
    assert!(told(&stage).is_empty() && stage.run("r").missed.is_empty());
}

#[test]
fn an_end_that_comes_before_the_alarm_and_after_the_deadline_is_too_late() {
    let mut stage = begun(HALF_AN_HOUR);
    stage.now += chrono::TimeDelta::seconds(1801);
    stage.succeed("a");
    assert_eq!((told(&stage).len(), stage.run_state("r")), (2, RunState::Success));
}

#[test]
fn the_end_at_the_very_moment_is_in_time() {
    let mut stage = begun(HALF_AN_HOUR);
    stage.now += chrono::TimeDelta::seconds(1800);
    stage.succeed("a");
    assert!(told(&stage).is_empty());
}

#[test]
fn who_begins_anew_has_the_time_anew() {
    let mut stage = begun(HALF_AN_HOUR);
    stage.pass(1800);
    stage.succeed("a");
    run_again(&mut stage);
    assert!(stage.run("r").missed.is_empty());
    stage.pass(1800);
    assert_eq!(told(&stage), [(0, 0), (0, 1), (1, 0), (1, 1)]);
}

#[test]
fn a_logical_date_stays_so_its_deadline_is_missed_once() {
    let mut stage = begun(&HALF_AN_HOUR.replace("30m}", "30m, from: logical_date, name: sla}"));
    stage.pass(1800);
    assert_eq!(stage.run("r").missed[0].name.as_deref(), Some("sla"));
    stage.succeed("a");
    run_again(&mut stage);
    stage.pass(9999);
    assert_eq!((told(&stage).len(), stage.run("r").missed.len()), (2, 1));
}

#[test]
fn a_run_without_a_date_has_no_deadline_from_it() {
    let mut stage = Stage::new(&HALF_AN_HOUR.replace("30m}", "30m, from: logical_date}"));
    stage.trigger("r", None);
    stage.pass(99_999);
    assert!(told(&stage).is_empty());
}

#[test]
fn time_in_the_queue_counts_only_from_there() {
    for (from, is_told) in [("queued", true), ("start", false)] {
        let yaml = HALF_AN_HOUR.replace("30m}", &format!("30m, from: {from}}}\nmax_active_runs: 1"));
        let mut stage = begun(&yaml);
        stage.trigger("second", Some(2));
        stage.pass(1500);
        stage.succeed("a");
        assert_eq!(stage.run_state("second"), RunState::Running);
        stage.pass(300);
        assert_eq!(!told(&stage).is_empty(), is_told, "{from}");
        stage.pass(1500);
        assert_eq!(stage.run("second").missed.len(), 1, "{from}");
    }
}

#[test]
fn several_deadlines_are_missed_one_after_the_other() {
    let two = HALF_AN_HOUR.replace("{within: 30m}", "[{within: 10m}, {within: 20m, from: start}]");
    let mut stage = begun(&two);
    stage.pass(600);
    assert_eq!(told(&stage), [(0, 0), (0, 1)]);
    stage.pass(600);
    assert_eq!(told(&stage), [(0, 0), (0, 1), (0, 10), (0, 11)]);
}

#[test]
fn an_engine_that_starts_anew_knows_what_was_missed() {
    let mut stage = begun(&HALF_AN_HOUR.replace("{within: 30m}", "[{within: 30m}, {within: 1h}]"));
    stage.pass(1800);
    let run = RunSnapshot {
        run: stage.run("r").clone(),
        dag: stage.dag.clone(),
        tis: stage.tis.values().cloned().collect(),
        lengths: Vec::new(),
        choices: Vec::new(),
    };
    let mut engine = Engine::restore(Snapshot { runs: vec![run], ..Snapshot::default() }, stage.now);
    assert!(engine.poll(stage.now).alerts.is_empty());
    let next = stage.now + chrono::TimeDelta::seconds(1800);
    assert_eq!(engine.next_deadline(), Some(next));
    assert_eq!(engine.poll(next).alerts.len(), 2);
}

#[test]
fn a_run_that_is_stopped_after_its_deadline_has_missed_it() {
    let mut stage = begun(HALF_AN_HOUR);
    stage.now += chrono::TimeDelta::seconds(1801);
    let (dag_id, run_id) = (stage.dag_id(), "r".parse().unwrap());
    stage.ask(Wish::MarkRun { dag_id, run_id, state: RunState::Failed });
    assert_eq!(stage.run("r").missed.len(), 1);
}

#[test]
fn what_a_file_says_of_deadlines() {
    let dag =
        load("deadline: {within: 1h, from: start, name: n}\ntasks: {t: {empty: {}}}").dags[0].dag.clone();
    let deadline = Deadline { name: Some("n".into()), within: Span::from_secs(3600), from: Reference::Start };
    assert_eq!(dag.deadlines, [deadline]);
}

#[test_case("deadline: 30m", "must be a mapping")]
#[test_case("deadline: {}", "needs `within`")]
#[test_case("deadline: {within: 0s}", "`within`"; "no time at all")]
#[test_case("deadline: {within: 1h, from: queud}", "did you mean `queued`?")]
#[test_case("deadline: {withn: 1h}", "did you mean `within`?")]
#[test_case("on_deadline: [{slack: {conn_id: c}}]", "nobody would ever be told")]
#[test_case("default_args: {on_deadline: []}", "on_deadline"; "tasks have none")]
fn what_a_file_may_not_say(header: &str, wanted: &str) {
    let errors = load(&format!("{header}\ntasks: {{t: {{empty: {{}}}}}}")).errors;
    let said: String = errors.iter().map(ToString::to_string).collect();
    assert!(said.contains(wanted), "{said}");
}
