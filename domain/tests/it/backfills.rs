//! Backfills: which dates they have, and one play for each of their rules.

use chrono::{DateTime, Utc};
use domain::{
    backfill::{BackfillId, Deed, MOST_DATES, Order, Refusal, Reprocess, plan},
    dag::Dag,
    dagfile,
    engine::{backfill::Found, event::Event, record::RunSnapshot},
    intent::Wish,
    outcome::TryResult,
    state::{RunState, RunType, TaskState},
};
use serde_json::{Map, json};
use test_case::test_case;

use crate::stage::Stage;

const HOURLY: &str = "dag_id: play\nschedule: '0 * * * *'\nstart_date: 2026-01-01T00:30\nmax_active_runs: 1\ntasks: {t: {bash: t}}";

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(crate) fn order(from: &str, to: &str) -> Order {
    Order {
        dag_id: "play".parse().unwrap(),
        from: at(from),
        to: at(to),
        run_backwards: false,
        max_active_runs: 2,
        reprocess: Reprocess::None,
        conf: None,
        run_on_latest_version: true,
    }
}

/// The first four hours of the last day of 2025.
fn four() -> Order {
    order("2025-12-31T00:00:00Z", "2025-12-31T03:00:00Z")
}

fn name(hour: u32) -> String {
    format!("backfill__2025-12-31T{hour:02}:00:00+00:00")
}

fn create(stage: &mut Stage, id: i64, order: Order) {
    stage.ask(Wish::CreateBackfill { id: BackfillId(id), order, named: None });
    survey(stage, Vec::new());
}

// The records' answer to what the new backfill asks.
fn survey(stage: &mut Stage, found: Vec<Found>) {
    let survey = stage.surveys.pop().unwrap();
    stage.handle(Event::Surveyed { dag_id: survey.dag_id, backfill: survey.backfill, found });
}

fn runs(stage: &Stage) -> Vec<(u32, RunState)> {
    let hour = |id: &str| (0..24).find(|hour| name(*hour) == id);
    stage.runs.values().filter_map(|run| Some((hour(run.run_id.as_str())?, run.state))).collect()
}

fn succeed(stage: &mut Stage, hour: u32) {
    stage.end(&name(hour), "t", TryResult::Success, Some(0), None);
}

/// A run as the records have it.
fn snapshot(stage: &Stage, run_id: &str) -> RunSnapshot {
    let run = stage.run(run_id).clone();
    let tis = stage.tis.values().filter(|ti| ti.key.run == run.key).cloned().collect();
    RunSnapshot { run, dag: dag(HOURLY).into(), tis, lengths: vec![], choices: vec![] }
}

fn dag(yaml: &str) -> Dag {
    let parsed = dagfile::parse(yaml.as_bytes(), "play.yaml", &|_| Err("no files here".into()));
    assert!(parsed.errors.is_empty(), "{:#?}", parsed.errors);
    parsed.dags[0].dag.clone()
}

/// The logical dates that a schedule has in the first days of 2025, by day, hour and minute.
fn dates(schedule: &str, order: &Order, now: &str) -> Vec<String> {
    let dag = dag(&format!("dag_id: play\nschedule: {schedule}\ntasks: {{t: {{bash: t}}}}"));
    let dates = plan(&dag, order, None, at(now)).unwrap();
    dates
        .iter()
        .map(|date| {
            format!(
                "{}-{}",
                date.data_interval.start.format("%d %H:%M"),
                date.data_interval.end.format("%d %H:%M")
            )
        })
        .collect()
}

#[test_case("'0 */6 * * *'", &["01 00:00-01 00:00", "01 06:00-01 06:00", "01 12:00-01 12:00"]; "both ends count")]
#[test_case("{cron: '0 */6 * * *', data_interval: true}",
    &["01 00:00-01 06:00", "01 06:00-01 12:00", "01 12:00-01 18:00"]; "the logical date is the start of the interval")]
#[test_case("{every: 5h}", &["01 00:00-01 00:00", "01 05:00-01 05:00", "01 10:00-01 10:00"]; "a grid from the first date")]
#[test_case("{at: [2025-01-01T03:00, 2025-01-02T00:00]}", &["01 03:00-01 03:00"]; "listed dates")]
fn the_dates_are_those_of_the_timetable(schedule: &str, expected: &[&str]) {
    let order = order("2025-01-01T00:00:00Z", "2025-01-01T12:00:00Z");
    assert_eq!(dates(schedule, &order, "2026-01-01T00:00:00Z"), expected);
}

#[test]
fn a_schedule_by_elapsed_time_keeps_to_the_grid_of_its_start_date() {
    let order = order("2025-01-01T00:00:00Z", "2025-01-01T12:00:00Z");
    let schedule = "{every: 5h}\nstart_date: 2026-01-01T01:00";
    let expected = ["01 01:00-01 01:00", "01 06:00-01 06:00", "01 11:00-01 11:00"];
    assert_eq!(dates(schedule, &order, "2026-01-01T00:00:00Z"), expected);
}

#[test]
fn intervals_that_have_not_passed_do_not_count() {
    let order = order("2025-01-01T00:00:00Z", "2025-01-09T00:00:00Z");
    let schedule = "{cron: '0 0 * * *', data_interval: true}";
    assert_eq!(dates(schedule, &order, "2025-01-03T00:00:00Z"), ["01 00:00-02 00:00"]);
    assert_eq!(dates(schedule, &order, "2025-01-03T00:00:01Z").len(), 2);
}

#[test]
fn a_change_of_the_clocks_leaves_no_date_out_and_none_twice() {
    let order = order("2025-10-26T00:00:00Z", "2025-10-26T02:00:00Z");
    let schedule = "{cron: '30 * * * *', timezone: Europe/Berlin}";
    let expected = ["26 00:30-26 00:30", "26 01:30-26 01:30"];
    assert_eq!(dates(schedule, &order, "2026-01-01T00:00:00Z"), expected);
}

#[test]
fn what_cannot_be_is_refused() {
    let refused =
        |yaml: &str, order: Order| plan(&dag(yaml), &order, None, at("2026-01-01T00:00:00Z")).unwrap_err();
    let (a, b) = ("2025-01-01T00:00:00Z", "2025-01-02T00:00:00Z");
    for schedule in ["null", "'@once'", "'@continuous'"] {
        let yaml = format!("dag_id: play\nschedule: {schedule}\ntasks: {{t: {{bash: t}}}}");
        assert!(matches!(refused(&yaml, order(a, b)), Refusal::NonPeriodic(_)), "{schedule}");
    }
    assert!(matches!(refused(HOURLY, order(b, a)), Refusal::Range { .. }));
    let (c, d) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    assert_eq!(refused(HOURLY, order(c, d)), Refusal::Future);
    assert_eq!(refused(HOURLY, Order { max_active_runs: 0, ..order(a, b) }), Refusal::Parallelism(0));
    assert!(matches!(
        refused(HOURLY, order("2025-01-01T00:01:00Z", "2025-01-01T00:02:00Z")),
        Refusal::Nothing { .. }
    ));
    let conf = Some(Map::from_iter([("day".to_owned(), json!(3))]));
    let params = HOURLY.replace("tasks", "params: {day: {type: string, default: a}}\ntasks");
    assert!(matches!(refused(&params, Order { conf, ..order(a, b) }), Refusal::Conf(_)));
    let past = HOURLY.replace("bash: t", "bash: t, depends_on_past: true");
    assert_eq!(refused(&past, order(a, b)), Refusal::DependsOnPast);
    let backwards = Order { run_backwards: true, reprocess: Reprocess::Failed, ..order(a, b) };
    assert_eq!(refused(&past, backwards), Refusal::Backwards);
}

#[test]
fn a_backfill_has_at_most_so_many_dates() {
    let minutely = dag("dag_id: play\nschedule: '* * * * *'\ntasks: {t: {bash: t}}");
    let last = at("2025-01-01T00:00:00Z") + chrono::TimeDelta::minutes(MOST_DATES as i64 - 1);
    let full = Order { to: last, ..order("2025-01-01T00:00:00Z", "2025-01-01T00:00:00Z") };
    let now = at("2026-01-01T00:00:00Z");
    assert_eq!(plan(&minutely, &full, None, now).unwrap().len(), MOST_DATES);
    let more = Order { to: last + chrono::TimeDelta::minutes(1), ..full };
    assert_eq!(plan(&minutely, &more, None, now), Err(Refusal::TooMany));
}

#[test]
fn runs_are_created_as_its_own_parallelism_allows_whatever_the_dag_allows() {
    let mut stage = Stage::new(HOURLY);
    stage.trigger("mine", None);
    create(&mut stage, 1, four());
    assert_eq!(stage.run_state("mine"), RunState::Running, "which fills the DAG's own room");
    assert_eq!(runs(&stage), [(0, RunState::Running), (1, RunState::Running)]);
    let run = stage.run(&name(1));
    assert_eq!((run.run_type, run.triggered_by.as_deref()), (RunType::Backfill, Some("ada")));
    succeed(&mut stage, 1);
    assert_eq!(runs(&stage)[2..], [(2, RunState::Running)]);
    succeed(&mut stage, 0);
    succeed(&mut stage, 2);
    assert!(stage.backfills[&BackfillId(1)].completed_at.is_none());
    succeed(&mut stage, 3);
    assert_eq!(stage.backfills[&BackfillId(1)].completed_at, Some(stage.now));
    assert!(runs(&stage).iter().all(|(_, state)| *state == RunState::Success));
    let deeds: Vec<_> = stage.dates.iter().map(|date| (date.place.ordinal, date.deed)).collect();
    assert_eq!(deeds, (0..4).map(|ordinal| (ordinal, Deed::Created)).collect::<Vec<_>>());
}

#[test]
fn it_can_run_backwards_and_with_a_conf() {
    let mut stage = Stage::new(HOURLY);
    let conf = Some(Map::from_iter([("x".to_owned(), json!(1))]));
    create(&mut stage, 1, Order { run_backwards: true, max_active_runs: 1, conf, ..four() });
    assert_eq!(runs(&stage), [(3, RunState::Running)]);
    assert_eq!(stage.run(&name(3)).conf.get("x"), Some(&json!(1)));
    succeed(&mut stage, 3);
    assert_eq!(runs(&stage)[1], (2, RunState::Running));
}

#[test]
fn of_one_dag_there_is_one_backfill_at_a_time() {
    let mut stage = Stage::new(HOURLY);
    create(&mut stage, 1, four());
    stage.ask(Wish::CreateBackfill { id: BackfillId(2), order: four(), named: None });
    assert!(stage.refusal().unwrap().contains("only one running backfill per Dag"));
    stage.ask(Wish::CancelBackfill { dag_id: stage.dag_id(), id: BackfillId(1) });
    stage.ask(Wish::CreateBackfill { id: BackfillId(2), order: four(), named: None });
    assert_eq!(stage.refusal(), None);
    stage.ask(Wish::PauseBackfill { dag_id: stage.dag_id(), id: BackfillId(1), paused: true });
    assert_eq!(stage.refusal().as_deref(), Some("Backfill is already completed."));
}

#[test]
fn a_paused_one_starts_no_new_run_and_a_paused_dag_neither() {
    let mut stage = Stage::new(HOURLY);
    create(&mut stage, 1, four());
    let pause = |paused| Wish::PauseBackfill { dag_id: "play".parse().unwrap(), id: BackfillId(1), paused };
    stage.ask(pause(true));
    assert!(stage.backfills[&BackfillId(1)].is_paused);
    succeed(&mut stage, 0);
    succeed(&mut stage, 1);
    assert_eq!(runs(&stage).len(), 2);
    stage.handle(Event::Flags(vec![(stage.dag_id(), true)]));
    stage.ask(pause(false));
    assert_eq!(runs(&stage).len(), 2);
    stage.handle(Event::Flags(vec![(stage.dag_id(), false)]));
    assert_eq!(runs(&stage)[2..], [(2, RunState::Running), (3, RunState::Running)]);
}

#[test]
fn a_cancelled_one_ends_what_waits_and_lets_go_on_what_runs() {
    let mut stage = Stage::new(HOURLY);
    create(&mut stage, 1, Order { max_active_runs: 1, ..four() });
    succeed(&mut stage, 0);
    let first = snapshot(&stage, &name(0));
    stage.engine.handle(Event::Run(Box::new(first)), stage.now);
    let selection = stage.selection(&name(0), &[]);
    stage.ask(Wish::Clear(domain::intent::Clear { selection, only_failed: false }));
    assert_eq!(runs(&stage), [(0, RunState::Queued), (1, RunState::Running)], "no room for what was cleared");
    stage.ask(Wish::CancelBackfill { dag_id: stage.dag_id(), id: BackfillId(1) });
    assert_eq!(runs(&stage), [(0, RunState::Failed), (1, RunState::Running)]);
    assert_eq!(stage.ti(&name(0), "t").reason.as_deref(), Some("backfill 1 was cancelled by ada"));
    let record = &stage.backfills[&BackfillId(1)];
    assert_eq!((record.is_paused, record.is_cancelled, record.completed_at), (true, true, Some(stage.now)));
    stage.trigger("mine", None);
    assert_eq!(stage.run_state("mine"), RunState::Queued, "what is left counts like any other run");
    succeed(&mut stage, 1);
    assert_eq!((runs(&stage).len(), stage.run_state("mine")), (2, RunState::Running));
}

#[test_case(Reprocess::None, RunState::Failed, Some(Deed::AlreadyExists))]
#[test_case(Reprocess::Failed, RunState::Success, Some(Deed::AlreadyExists))]
#[test_case(Reprocess::Failed, RunState::Failed, None)]
#[test_case(Reprocess::Completed, RunState::Success, None)]
#[test_case(Reprocess::Completed, RunState::Running, Some(Deed::InFlight))]
fn what_exists_is_judged(reprocess: Reprocess, state: RunState, left: Option<Deed>) {
    let mut stage = Stage::new(HOURLY);
    stage.ask(Wish::CreateBackfill { id: BackfillId(1), order: Order { reprocess, ..four() }, named: None });
    assert_eq!(runs(&stage), [], "nothing happens before it is known what exists");
    let found = Found { ordinal: 1, run_id: "manual__x".parse().unwrap(), state };
    survey(&mut stage, vec![found]);
    let deed = stage.dates.iter().find(|date| date.place.ordinal == 1).map(|date| date.deed);
    assert_eq!(deed, left);
    let hours: Vec<u32> = runs(&stage).iter().map(|(hour, _)| *hour).collect();
    assert_eq!(hours, if left.is_some() { vec![0, 2] } else { vec![0] });
    assert_eq!(stage.recalls.len(), usize::from(left.is_none()));
}

#[test]
fn a_run_that_exists_runs_again_as_one_of_the_backfill() {
    let mut stage = Stage::new(HOURLY);
    stage.trigger("mine", None);
    stage.end("mine", "t", TryResult::FailedForGood, Some(2), None);
    let mut mine = snapshot(&stage, "mine");
    mine.run.logical_date = Some(at("2025-12-31T01:00:00Z"));
    let order = Order { reprocess: Reprocess::Failed, max_active_runs: 4, ..four() };
    stage.ask(Wish::CreateBackfill { id: BackfillId(1), order, named: None });
    survey(&mut stage, vec![Found { ordinal: 1, run_id: mine.run.run_id.clone(), state: mine.run.state }]);
    let recall = stage.recalls.pop().unwrap();
    assert_eq!(runs(&stage).len(), 3);
    let (backfill, ordinal) = (recall.place.id, recall.place.ordinal);
    let run = Some(Box::new(mine));
    stage.handle(Event::Recalled { dag_id: recall.dag_id, backfill, ordinal, run });
    let run = stage.run("mine");
    assert_eq!(
        (run.state, run.run_type, run.backfill),
        (RunState::Running, RunType::Backfill, Some(recall.place))
    );
    assert_eq!((run.clear_number, stage.ti("mine", "t").try_number), (1, 2));
    assert_eq!(stage.dates.last().map(|date| date.deed), Some(Deed::Reprocessed));
}

#[test]
fn a_run_that_was_deleted_meanwhile_is_replaced_by_a_new_one() {
    let mut stage = Stage::new(HOURLY);
    let order =
        Order { reprocess: Reprocess::Completed, ..order("2025-12-31T00:00:00Z", "2025-12-31T00:00:00Z") };
    stage.ask(Wish::CreateBackfill { id: BackfillId(1), order, named: None });
    survey(&mut stage, vec![Found { ordinal: 0, run_id: "old".parse().unwrap(), state: RunState::Success }]);
    let recall = stage.recalls.pop().unwrap();
    stage.handle(Event::Recalled { dag_id: recall.dag_id, backfill: recall.place.id, ordinal: 0, run: None });
    assert_eq!(runs(&stage), [(0, RunState::Running)]);
}

#[test]
fn a_run_that_appears_meanwhile_is_left_alone() {
    let mut stage = Stage::new(HOURLY);
    create(&mut stage, 1, Order { max_active_runs: 1, ..four() });
    stage.ask(Wish::Trigger(domain::intent::Trigger {
        dag_id: stage.dag_id(),
        run_id: "mine".parse().unwrap(),
        logical_date: Some(at("2025-12-31T01:00:00Z")),
        data_interval: None,
        run_after: stage.now,
        conf: Map::new(),
        note: None,
        partition_key: None,
        materializes: false,
    }));
    assert_eq!(stage.dates.last().map(|date| (date.place.ordinal, date.deed)), Some((1, Deed::InFlight)));
    succeed(&mut stage, 0);
    assert_eq!(runs(&stage)[1], (2, RunState::Running));
}

#[test]
fn the_schedule_passes_over_what_a_backfill_has_run() {
    let yaml = "dag_id: play\nschedule: '0 * * * *'\nstart_date: 2025-12-31T20:00\ncatchup: true\nmax_active_runs: 1\n\
                tasks: {t: {bash: t}}";
    let mut stage = Stage::new(yaml);
    let tick = |hour: u32| format!("scheduled__2025-12-31T{hour:02}:00:00+00:00");
    assert_eq!(stage.run_state(&tick(20)), RunState::Running, "catching up begins");
    create(&mut stage, 1, order("2025-12-31T21:00:00Z", "2025-12-31T22:00:00Z"));
    stage.end(&tick(20), "t", TryResult::Success, Some(0), None);
    assert_eq!(stage.run_state(&tick(23)), RunState::Running, "21 and 22 have run");
    assert!(
        stage.runs.values().all(|run| run.run_id.as_str() != tick(21) && run.run_id.as_str() != tick(22))
    );
}

#[test]
fn the_first_run_waits_for_none_before_it_the_next_for_the_first() {
    let yaml = HOURLY.replace("bash: t", "bash: t, depends_on_past: true");
    let mut stage = Stage::new(&yaml);
    create(&mut stage, 1, Order { reprocess: Reprocess::Failed, ..four() });
    let unmet = [("t".parse().unwrap())].into();
    let run = domain::id::RunKey(0);
    let standing = domain::engine::record::Standing { run, logical_date: at("2025-12-30T23:00:00Z"), unmet };
    for question in std::mem::take(&mut stage.questions) {
        stage.handle(Event::Past { run: question.run, before: Some(standing.clone()) });
    }
    assert_eq!(stage.ti(&name(0), "t").state, TaskState::Queued);
    assert_eq!(stage.ti(&name(1), "t").state, TaskState::None);
    succeed(&mut stage, 0);
    assert_eq!(stage.ti(&name(1), "t").state, TaskState::Queued);
}
