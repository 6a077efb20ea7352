//! Deadlines, one law at a time.

use domain::{
    alert::{AlertEvent, Notification, Withdrawn},
    deadline::{Basis, Callback, Deadline, Found, Interval, Reference},
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
    let within = Interval::After(Span::from_secs(3600));
    let deadline = Deadline { name: Some("n".into()), within, from: Reference::Start, callback: None };
    assert_eq!(dag.deadlines, [deadline]);
}

#[test_case("{within: 1h, from: average_runtime}", Reference::AverageRuntime { max_runs: 10, min_runs: 10 }, "1h")]
#[test_case("{within: 1h, from: average_runtime, runs: 5, min_runs: 2}", Reference::AverageRuntime { max_runs: 5, min_runs: 2 }, "1h"; "of few runs")]
#[test_case("{at: 2026-02-01 06:00}", Reference::At("2026-02-01T05:00:00Z".parse().unwrap()), "0s"; "in the zone of the DAG")]
fn what_else_it_may_count_from(deadline: &str, from: Reference, within: &str) {
    let file = load(&format!("timezone: Europe/Berlin\ndeadline: {deadline}\ntasks: {{t: {{empty: {{}}}}}}"));
    assert!(file.errors.is_empty(), "{:?}", file.errors);
    let found = &file.dags[0].dag.deadlines[0];
    assert_eq!((found.from, &found.within), (from, &Interval::After(within.parse().unwrap())));
}

#[test_case("deadline: 30m", "must be a mapping")]
#[test_case("deadline: {within: 1h, at: 2026-01-01}", "the moment itself"; "two moments")]
#[test_case("deadline: {within: 1h, runs: 4}", "only `from: average_runtime`"; "runs of what")]
#[test_case("deadline: {within: 1h, from: average_runtime, runs: 4, min_runs: 5}", "min_runs"; "more than are looked at")]
#[test_case("deadline: {at: soon}", "not a date"; "no moment")]
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

// The same, as an Airflow DAG file would have it.
fn airflows(from: Reference, within: Interval) -> Stage {
    let mut dag = load("tasks: {a: {bash: x}}").dags.remove(0).dag;
    let callback = Callback { path: "late.tell".into(), kwargs: serde_json::Map::new(), is_async: false };
    let callback = Some(Box::new(callback));
    dag.deadlines = vec![Deadline { name: None, within, from, callback }];
    Stage::of(vec![dag])
}

fn half_an_hour() -> Interval {
    Interval::After(Span::from_secs(1800))
}

fn measure(stage: &mut Stage, seconds: &[i64], variable: Option<&str>) {
    let question = stage.measures.remove(0);
    let durations = seconds.iter().map(|s| chrono::TimeDelta::seconds(*s)).collect();
    let found = Found { durations, variable: variable.map(str::to_owned) };
    stage.handle(Event::Measured { question, found });
}

#[test]
fn airflows_callback_is_told_to_instead_and_only_once() {
    let mut stage = airflows(Reference::Queued, half_an_hour());
    stage.trigger("r", Some(1));
    stage.pass(1800);
    let alert = &stage.alerts[0];
    let Notification::DeadlineCallback { id, callback } = &alert.notification else { panic!("{alert:?}") };
    assert_eq!(*id, domain::deadline::id(stage.run("r").key, 0));
    assert_eq!((callback.path.as_str(), alert.notification.target().as_str()), ("late.tell", "late.tell"));
    stage.succeed("a");
    run_again(&mut stage);
    stage.pass(9999);
    assert_eq!((told(&stage), stage.run("r").missed.len()), (vec![(0, 0)], 1));
}

#[test]
fn a_run_that_succeeded_in_time_has_airflows_deadline_behind_itself() {
    let mut stage = airflows(Reference::Queued, half_an_hour());
    stage.trigger("r", Some(1));
    stage.succeed("a");
    run_again(&mut stage);
    stage.pass(9999);
    assert!(told(&stage).is_empty() && stage.run("r").bases[0].is_met);
}

#[test]
fn a_run_that_failed_in_time_misses_airflows_deadline_unless_it_begins_anew() {
    let mut stage = airflows(Reference::At("2026-01-01T00:30:00Z".parse().unwrap()), half_an_hour());
    stage.trigger("r", Some(1));
    stage.fail("a");
    let alert = &stage.alerts[0];
    let moment = Some("2026-01-01T01:00:00Z".parse().unwrap());
    assert_eq!((stage.run_state("r"), told(&stage)), (RunState::Failed, vec![(0, 0)]));
    assert_eq!(
        (alert.not_before, alert.facts.deadline, alert.facts.state.as_str()),
        (moment, moment, "failed")
    );
    let foreseen = stage.alerts.remove(0);
    run_again(&mut stage);
    let withdrawn = Withdrawn { run: foreseen.run, number: foreseen.number, place: foreseen.place };
    assert_eq!((&stage.withdrawn, stage.run("r").missed.len()), (&vec![withdrawn], 0));
    stage.pass(3599);
    assert!(told(&stage).is_empty());
    stage.pass(1);
    assert_eq!(told(&stage), [(1, 0)]);
}

#[test]
fn airflow_does_not_spare_runs_of_backfills() {
    let mut stage = airflows(Reference::LogicalDate, half_an_hour());
    stage.trigger("r", Some(1));
    let deadline = stage.dag.deadlines[0].clone();
    let run = stage.run("r").clone();
    let mut counted = domain::deadline::Counted::from(&run);
    counted.is_backfill = true;
    assert!(deadline.moment(0, &counted).is_some());
    assert!(Deadline { callback: None, ..deadline }.moment(0, &counted).is_none());
}

#[test]
fn the_average_of_the_last_runs_is_asked_for_once_and_kept() {
    let mut stage = begun(&HALF_AN_HOUR.replace("30m}", "30m, from: average_runtime, runs: 3, min_runs: 2}"));
    assert_eq!(stage.measures.len(), 1);
    assert_eq!((stage.measures[0].place, stage.measures[0].needs.durations), (0, Some(3)));
    let question = stage.measures[0].clone();
    let mut other = question.clone();
    other.needs.durations = Some(7);
    stage.handle(Event::Measured { question: other, found: Found::default() });
    assert!(stage.run("r").bases.is_empty(), "another version of the DAG asked that");
    stage.pass(1);
    measure(&mut stage, &[600, 1200], None);
    stage.handle(Event::Measured { question, found: Found::default() });
    assert!(stage.measures.is_empty());
    let kept = stage.run("r").bases.clone();
    assert_eq!(kept[0].usual_end, Some("2026-01-01T00:15:00Z".parse().unwrap()));
    stage.pass(900 + 1800 - 2);
    assert!(told(&stage).is_empty());
    stage.pass(1);
    assert_eq!(told(&stage), [(0, 0), (0, 1)]);
    stage.succeed("a");
    run_again(&mut stage);
    assert_eq!((stage.measures.len(), &stage.run("r").bases), (1, &Vec::new()), "its time is counted anew");
}

#[test]
fn without_enough_runs_there_is_no_average_and_no_deadline() {
    let mut stage = begun(&HALF_AN_HOUR.replace("30m}", "30m, from: average_runtime, runs: 3}"));
    measure(&mut stage, &[1, 2], None);
    let why = stage.run("r").bases[0].why_none.clone().unwrap();
    assert_eq!(why, "2 of the runs before it had succeeded, and an average needs 3");
    stage.pass(99_999);
    assert!(told(&stage).is_empty());
}

#[test_case(Some("900"), Some(900))]
#[test_case(Some("-60"), Some(0); "in the past")]
#[test_case(Some("soon"), None; "no number")]
#[test_case(None, None; "no variable")]
fn a_variable_says_the_interval(value: Option<&str>, after: Option<i64>) {
    let mut stage = airflows(Reference::Queued, Interval::Variable { variable: "late".into() });
    stage.trigger("r", None);
    assert_eq!(stage.measures[0].needs.variable.as_deref(), Some("late"));
    measure(&mut stage, &[], value);
    match after {
        Some(after) => {
            stage.pass((after - 1).max(0));
            assert_eq!(told(&stage).is_empty(), after > 0);
            stage.pass(1);
            assert_eq!(told(&stage).len(), 1);
        }
        None => {
            assert!(stage.run("r").bases[0].why_none.as_ref().unwrap().contains("`late`"));
            stage.pass(99_999);
            assert!(told(&stage).is_empty());
        }
    }
}

#[test]
fn an_engine_that_starts_anew_asks_for_what_was_not_answered() {
    let mut stage = begun(&HALF_AN_HOUR.replace("30m}", "30m, from: average_runtime}"));
    let snapshot = |stage: &Stage| {
        let (run, dag) = (stage.run("r").clone(), stage.dag.clone());
        let tis = stage.tis.values().cloned().collect();
        let run = RunSnapshot { run, dag, tis, lengths: Vec::new(), choices: Vec::new() };
        Snapshot { runs: vec![run], ..Snapshot::default() }
    };
    let asked = stage.measures.clone();
    assert_eq!(Engine::restore(snapshot(&stage), stage.now).poll(stage.now).measures, asked);
    measure(&mut stage, &[60; 10], None);
    let mut engine = Engine::restore(snapshot(&stage), stage.now);
    assert!(engine.poll(stage.now).measures.is_empty());
    assert_eq!(engine.next_deadline(), stage.engine.next_deadline());
    let basis = Basis { usual_end: Some("2026-01-01T00:01:00Z".parse().unwrap()), ..Basis::default() };
    assert_eq!(stage.run("r").bases, [basis]);
}
