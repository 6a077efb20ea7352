//! Backfills: what is written of them is what the engine starts from.

use std::collections::BTreeMap;

use domain::{
    backfill::{BackfillId, Date, Deed, Order, Reprocess},
    engine::{
        backfill::{BackfillRecord, DateRecord, Found, NewBackfill, Place, Survey},
        decision::{Decisions, Expected},
        record::{CursorRecord, DagRecord, RunRecord},
    },
    id::RunKey,
    partition::Partition,
    state::{RunState, RunType},
    timetable::{
        DataInterval, NextRun,
        asked::{Answer, Question},
    },
};
use serde_json::json;
use store::{
    Error, LeaderProof,
    view::{Page, backfills::Progress},
};

use crate::{
    database::Database,
    fixture::{at, dag_id, run, run_id, save_dag},
};

fn backfill(id: i64, dag: &DagRecord, conf: Option<serde_json::Value>) -> BackfillRecord {
    let order = Order {
        dag_id: dag.dag.dag_id.clone(),
        from: at(0),
        to: at(30),
        run_backwards: true,
        max_active_runs: 3,
        reprocess: Reprocess::Failed,
        conf: conf.and_then(|conf| conf.as_object().cloned()),
        run_on_latest_version: false,
    };
    BackfillRecord {
        id: BackfillId(id),
        order,
        by: "ann".to_owned(),
        is_paused: false,
        is_cancelled: false,
        created_at: at(40),
        updated_at: at(41),
        completed_at: None,
    }
}

fn date(minutes: i64) -> Date {
    Date::of(DataInterval { start: at(minutes), end: at(minutes + 1) }, at(minutes + 2))
}

fn done(ordinal: u32, deed: Deed, run: Option<i64>) -> DateRecord {
    DateRecord { place: Place { id: BackfillId(1), ordinal }, deed, run: run.map(RunKey) }
}

/// A database with backfill 1 of three dates and a run `scheduled__7` of the second date that failed.
async fn started() -> (Database, LeaderProof, DagRecord) {
    let db = Database::new().await;
    let proof = db.lead().await;
    let dag = save_dag(&db, &proof, "flights").await;
    let mut failed = run(7, &dag, 10);
    (failed.state, failed.ended_at) = (RunState::Failed, Some(at(20)));
    let dates = vec![date(20), date(10), date(0)];
    let record = backfill(1, &dag, Some(json!({"zeta": 1, "a": 2})));
    let decisions = Decisions {
        runs_created: vec![failed],
        backfills_created: vec![NewBackfill { record, dates }],
        ..Decisions::default()
    };
    db.store.commit(&proof, &decisions, &[]).await.unwrap();
    (db, proof, dag)
}

#[tokio::test]
async fn what_is_left_of_a_backfill_is_loaded() {
    let (db, proof, dag) = started().await;
    let loaded = db.store.load(&proof).await.unwrap().backfills.remove(0);
    assert_eq!(loaded.record, backfill(1, &dag, Some(json!({"zeta": 1, "a": 2}))));
    assert_eq!(loaded.waiting, [(0, date(20)), (1, date(10)), (2, date(0))]);

    let mut first = run(8, &dag, 20);
    (first.run_type, first.backfill) = (RunType::Backfill, Some(Place { id: BackfillId(1), ordinal: 0 }));
    let decisions = Decisions {
        runs_created: vec![first.clone()],
        dates: vec![done(0, Deed::Created, Some(8)), done(2, Deed::InFlight, None)],
        ..Decisions::default()
    };
    db.store.commit(&proof, &decisions, &[]).await.unwrap();
    let snapshot = db.store.load(&proof).await.unwrap();
    assert_eq!(snapshot.backfills[0].waiting, [(1, date(10))]);
    assert_eq!(snapshot.runs[0].run, first);
    let progress = db.store.backfill_progress(&[BackfillId(1)]).await.unwrap()[&BackfillId(1)];
    assert_eq!(progress, Progress { waiting: 1, running: 1, left_alone: 1, ..Progress::default() });
    assert_eq!((progress.total(), progress.done()), (3, 1));
}

#[tokio::test]
async fn the_records_tell_which_dates_have_runs_by_date_or_by_name() {
    let (db, proof, dag) = started().await;
    let mut named = run(9, &dag, 500);
    named.run_id = date(0).run_id(BackfillId(1)).unwrap();
    let decisions = Decisions { runs_created: vec![named], ..Decisions::default() };
    db.store.commit(&proof, &decisions, &[]).await.unwrap();
    let survey = Survey { backfill: BackfillId(1), dag_id: dag_id("flights") };
    let found = db.store.survey(&survey).await.unwrap();
    let expected = [
        Found { ordinal: 1, run_id: run_id("scheduled__7"), state: RunState::Failed },
        Found { ordinal: 2, run_id: date(0).run_id(BackfillId(1)).unwrap(), state: RunState::Running },
    ];
    assert_eq!(found, expected);
    let dates = [date(20), date(10), date(0)];
    assert_eq!(db.store.survey_dates(&dag_id("flights"), &dates).await.unwrap(), expected);
    assert_eq!(db.store.survey_dates(&dag_id("another"), &dates).await.unwrap(), []);
}

#[tokio::test]
async fn a_run_that_runs_again_becomes_one_of_the_backfill() {
    let (db, proof, dag) = started().await;
    let mut again = run(7, &dag, 10);
    again.state = RunState::Queued;
    let decisions = Decisions {
        runs_changed: vec![Expected { new: again, old: RunState::Failed }],
        dates: vec![done(1, Deed::Reprocessed, Some(7))],
        ..Decisions::default()
    };
    db.store.commit(&proof, &decisions, &[]).await.unwrap();
    let run = db.store.run(&dag_id("flights"), &run_id("scheduled__7")).await.unwrap().unwrap().run;
    assert_eq!((run.run_type, run.triggered_by.as_deref()), (RunType::Backfill, Some("ann")));
    assert_eq!(run.backfill, Some(Place { id: BackfillId(1), ordinal: 1 }));
    assert_eq!(serde_json::to_string(&*run.conf).unwrap(), r#"{"zeta":1,"a":2}"#);
}

#[tokio::test]
async fn nothing_is_done_twice_and_nothing_after_the_end() {
    let (db, proof, dag) = started().await;
    let turn = |dates: Vec<DateRecord>| Decisions { dates, ..Decisions::default() };
    db.store.commit(&proof, &turn(vec![done(0, Deed::AlreadyExists, None)]), &[]).await.unwrap();
    let again = db.store.commit(&proof, &turn(vec![done(0, Deed::InFlight, None)]), &[]).await;
    assert!(matches!(again, Err(Error::Conflict(_))), "{again:?}");

    let mut over = backfill(1, &dag, None);
    (over.is_cancelled, over.is_paused, over.completed_at) = (true, true, Some(at(50)));
    let mut decisions = Decisions { backfills_changed: vec![over.clone()], ..Decisions::default() };
    let second = NewBackfill { record: backfill(2, &dag, None), dates: vec![date(0)] };
    let early = Decisions { backfills_created: vec![second.clone()], ..Decisions::default() };
    assert!(db.store.commit(&proof, &early, &[]).await.is_err(), "one active backfill for each DAG");
    decisions.backfills_created.push(second);
    db.store.commit(&proof, &decisions, &[]).await.unwrap();
    let late = Decisions { backfills_changed: vec![over], ..Decisions::default() };
    assert!(matches!(db.store.commit(&proof, &late, &[]).await, Err(Error::Conflict(_))));

    let ids = |newest| {
        let store = db.store.clone();
        async move {
            let list = store.backfills(&dag_id("flights"), newest, Page::first(10)).await.unwrap();
            (list.total, list.rows.iter().map(|record| record.id.0).collect::<Vec<_>>())
        }
    };
    assert_eq!((ids(true).await, ids(false).await), ((2, vec![2, 1]), (2, vec![1, 2])));
    let active = db.store.active_backfill(&dag_id("flights")).await.unwrap().map(|record| record.id);
    assert_eq!(active, Some(BackfillId(2)));
    assert!(db.store.backfill(BackfillId(1)).await.unwrap().unwrap().is_cancelled);
}

#[tokio::test]
async fn the_schedule_learns_which_dates_were_taken_before_it() {
    let (db, proof, dag) = started().await;
    let turn = Decisions {
        runs_created: vec![run(8, &dag, 20), run(9, &dag, 0)],
        dates: vec![
            done(0, Deed::Created, Some(8)),
            done(2, Deed::Created, Some(9)),
            done(1, Deed::InFlight, None),
        ],
        ..Decisions::default()
    };
    db.store.commit(&proof, &turn, &[]).await.unwrap();
    let taken = db.store.load(&proof).await.unwrap().dags.remove(0).taken;
    assert_eq!(taken, [at(0), at(20)].into());
    let cursor = CursorRecord { dag_id: dag_id("flights"), cursor: Some(date(0).data_interval), next: None };
    db.store.commit(&proof, &Decisions { cursors: vec![cursor], ..Decisions::default() }, &[]).await.unwrap();
    assert_eq!(db.store.load(&proof).await.unwrap().dags.remove(0).taken, [at(20)].into());
}

#[tokio::test]
async fn numbers_are_never_given_twice_and_old_backfills_are_forgotten() {
    let (db, proof, dag) = started().await;
    let (first, second) = (db.store.next_backfill().await.unwrap(), db.store.next_backfill().await.unwrap());
    assert!(first < second, "{first} {second}");
    let mut over = backfill(1, &dag, None);
    over.completed_at = Some(at(50));
    let turn = Decisions { backfills_changed: vec![over], ..Decisions::default() };
    db.store.commit(&proof, &turn, &[]).await.unwrap();
    assert_eq!(db.store.count_old(at(50)).await.unwrap().backfills, 0);
    assert_eq!(db.store.count_old(at(51)).await.unwrap().backfills, 1);
    assert_eq!(db.store.clean(at(51)).await.unwrap().backfills, 1);
    assert_eq!(
        db.store.backfill_progress(&[BackfillId(1)]).await.unwrap(),
        BTreeMap::new().into_iter().collect()
    );
}

/// A run about a partition that began at `minutes`, which started at `started`.
fn part(key: i64, dag: &DagRecord, minutes: i64, started: Option<i64>, state: RunState) -> RunRecord {
    let mut run = run(key, dag, minutes);
    run.run_id = run_id(&format!("part{key}"));
    (run.logical_date, run.data_interval) = (None, None);
    run.partition = Some(Partition { key: "eu".parse().unwrap(), date: Some(at(minutes)) });
    (run.started_at, run.state) = (started.map(at), state);
    run.ended_at = state.is_finished().then(|| at(60));
    run
}

#[tokio::test]
async fn dates_of_partitions_are_those_of_the_run_that_started_last() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let dag = save_dag(&db, &proof, "flights").await;
    let about = |minutes| Date {
        key: Some("eu".parse().unwrap()),
        ..Date::of(DataInterval::exact(at(minutes)), at(minutes))
    };
    let runs = vec![
        part(1, &dag, 10, Some(12), RunState::Success),
        part(2, &dag, 10, Some(14), RunState::Failed),
        part(3, &dag, 10, None, RunState::Queued),
        part(4, &dag, 30, Some(31), RunState::Success),
    ];
    let dates = vec![about(10), about(20)];
    let new = NewBackfill { record: backfill(1, &dag, None), dates: dates.clone() };
    let decisions = Decisions { runs_created: runs, backfills_created: vec![new], ..Decisions::default() };
    db.store.commit(&proof, &decisions, &[]).await.unwrap();
    let loaded = &db.store.load(&proof).await.unwrap().backfills[0];
    assert_eq!(loaded.waiting, [(0, about(10)), (1, about(20))]);
    let expected = [Found { ordinal: 0, run_id: run_id("part2"), state: RunState::Failed }];
    let survey = Survey { backfill: BackfillId(1), dag_id: dag_id("flights") };
    assert_eq!(db.store.survey(&survey).await.unwrap(), expected);
    assert_eq!(db.store.survey_dates(&dag_id("flights"), &dates).await.unwrap(), expected);
    assert_eq!(db.store.load(&proof).await.unwrap().dags[0].taken, [].into());
}

#[tokio::test]
async fn a_timetable_is_asked_and_answers_once() {
    let db = Database::new().await;
    let written = json!({"class": "shop.Hours", "summary": "hours"});
    let schedule: domain::timetable::Timetable = serde_json::from_value(written).unwrap();
    let question = Question::by_hand(schedule.listed().unwrap(), Some(at(1)), None, at(2), "manual");
    let answer = Answer::failed("closed");
    let asked = db.store.ask_timetable(&question, async {});
    let answered = async {
        loop {
            let open = db.store.timetable_questions(4).await.unwrap();
            if let [open] = &open[..] {
                assert_eq!(open.question, question);
                db.store.answer_timetable(open.id, &answer).await.unwrap();
                return db.store.timetable_questions(4).await.unwrap();
            }
        }
    };
    let (said, left) = tokio::join!(asked, answered);
    assert_eq!((said.unwrap(), left), (Some(Answer::failed("closed")), Vec::new()));
}

#[tokio::test]
async fn a_name_is_taken_by_a_run_about_another_time() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let dag = save_dag(&db, &proof, "flights").await;
    let decisions = Decisions { runs_created: vec![run(7, &dag, 10)], ..Decisions::default() };
    db.store.commit(&proof, &decisions, &[]).await.unwrap();
    let named = |minutes| NextRun {
        logical_date: at(minutes),
        data_interval: DataInterval::exact(at(minutes)),
        run_after: at(minutes),
    };
    let (own, free) = (run_id("scheduled__7"), run_id("free"));
    let taken = async |minutes| {
        let next = named(minutes);
        db.store.taken_name(&dag_id("flights"), &[(&free, &next), (&own, &next)]).await.unwrap()
    };
    assert_eq!(taken(10).await, None, "it is that run itself");
    assert_eq!(taken(20).await, Some(own.clone()));
}
