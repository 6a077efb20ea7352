//! Decisions are written all or not at all.

use chrono::{DateTime, Utc};
use domain::{
    engine::{
        decision::{Decisions, Expected},
        record::{AuditRecord, CursorRecord, DagRecord, TiRecord, TryRecord, XComRecord},
    },
    id::RunKey,
    intent::Message,
    outcome::{Outcome, TryResult},
    state::{RunState, TaskState},
    timetable::{DataInterval, NextRun},
};
use serde_json::{Value, json};
use store::{Error, InboxId};
use uuid::Uuid;

use crate::{
    database::Database,
    fixture::{at, changed, dag_id, queued_run, run, save_dag, task_id, ti, try_of, worker},
};

fn outcome(ti: &TiRecord) -> Message {
    Message::Outcome(Outcome {
        attempt: try_of(ti),
        result: TryResult::Success,
        started_at: at(5),
        ended_at: at(6),
        worker: Uuid::nil(),
        exit_code: Some(0),
        reason: None,
        rendered_map_index: None,
        xcoms: [("zeta".to_owned(), json!({"b": 1, "a": 2}))].into_iter().collect(),
        asset_events: Vec::new(),
        pokes: None,
        trigger: None,
        question: None,
        deferral: None,
        resume_at: None,
    })
}

/// A turn that touches every kind of record; the first instance of run 1 has succeeded and run 1 with it.
fn full_turn(dag: &DagRecord, tis: &[TiRecord]) -> Decisions {
    let mut finished = run(1, dag, 0);
    (finished.state, finished.ended_at) = (RunState::Success, Some(at(7)));
    let succeeded = changed(&tis[0], |ti| {
        (ti.state, ti.started_at, ti.ended_at) = (TaskState::Success, Some(at(5)), Some(at(6)));
        (ti.worker, ti.reason) = (Some(Uuid::nil()), Some("with a NUL \0".to_owned()));
    });
    Decisions {
        runs_created: vec![run(2, dag, 10)],
        runs_changed: vec![Expected { new: finished, old: RunState::Running }],
        tis_created: vec![ti(2, 0, "a", TaskState::None)],
        tries: vec![ended_try(&succeeded.new)],
        tis_changed: vec![succeeded],
        xcoms: vec![xcom(&tis[0], "return_value", json!({"b\0": "x\0y", "a": 2}))],
        cursors: vec![cursor()],
        audit: vec![trigger_line()],
        ..Decisions::default()
    }
}

fn ended_try(ti: &TiRecord) -> TryRecord {
    TryRecord {
        attempt: try_of(ti),
        state: ti.state,
        round: None,
        queued_at: ti.queued_at,
        started_at: ti.started_at,
        ended_at: ti.ended_at.unwrap(),
        worker: ti.worker,
        exit_code: Some(0),
        reason: None,
    }
}

fn xcom(ti: &TiRecord, key: &str, value: Value) -> XComRecord {
    XComRecord { ti: ti.key, task_id: ti.task_id.clone(), map_index: -1, key: key.to_owned(), value }
}

fn cursor() -> CursorRecord {
    let interval = DataInterval { start: at(0), end: at(1) };
    let next = NextRun { logical_date: at(10), data_interval: interval, run_after: at(11) };
    CursorRecord { dag_id: dag_id("flights"), cursor: Some(interval), next: Some(next) }
}

fn trigger_line() -> AuditRecord {
    AuditRecord {
        at: at(8),
        by: "ann".to_owned(),
        event: "trigger_dag_run",
        dag_id: Some(dag_id("flights")),
        run_id: None,
        task_id: None,
        extra: json!({"why": "because"}),
    }
}

#[tokio::test]
async fn everything_a_turn_decided_is_written_and_its_messages_are_gone() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let (dag, tis) = queued_run(&db, &proof).await;
    let posted = db.store.post(&[outcome(&tis[0])]).await.unwrap();
    let decisions = full_turn(&dag, &tis);
    db.store.commit(&proof, &decisions, &posted).await.unwrap();

    assert_eq!(db.store.read(10).await.unwrap(), vec![]);
    let done = db.store.run(&dag_id("flights"), &run(1, &dag, 0).run_id).await.unwrap().unwrap();
    assert_eq!((done.run.state, &done.run.conf), (RunState::Success, &run(1, &dag, 0).conf));
    assert_eq!((done.tis[0].state, &done.tis[1]), (TaskState::Success, &tis[1]));
    assert_eq!(done.tis[0].reason.as_deref(), Some("with a NUL \u{fffd}"));
    assert_eq!(db.store.tries(tis[0].key).await.unwrap(), decisions.tries);
    let value = db.store.xcom(RunKey(1), &task_id("a"), -1, "return_value").await.unwrap().unwrap();
    assert_eq!(value.to_string(), "{\"b\u{fffd}\":\"x\u{fffd}y\",\"a\":2}");
    let snapshot = db.store.load(&proof).await.unwrap();
    assert_eq!(snapshot.dags[0].cursor, cursor().cursor);
    assert_eq!((snapshot.runs.len(), snapshot.next_run), (1, RunKey(3)));
    let event = "SELECT concat(owner, event, dag_id, extra) FROM event_log";
    assert_eq!(db.text(event).await.unwrap(), "anntrigger_dag_runflights{\"why\":\"because\"}");
    assert_eq!(db.text("SELECT next_run_after FROM dag").await.unwrap(), "2026-01-01 00:11:00+00");
}

#[tokio::test]
async fn a_task_instance_that_changed_meanwhile_stops_everything() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let (dag, tis) = queued_run(&db, &proof).await;
    let mut wrong_try = changed(&tis[0], |ti| ti.state = TaskState::Failed);
    wrong_try.old.try_number = 2;
    let mut wrong_state = changed(&tis[0], |ti| ti.state = TaskState::Failed);
    wrong_state.old.state = TaskState::Scheduled;
    let mut unknown = changed(&tis[0], |ti| ti.state = TaskState::Failed);
    unknown.new.key.index = 99;
    for (wrong, said) in [
        (wrong_try, "a of run 1 is queued in try 1, not queued in try 2"),
        (wrong_state, "a of run 1 is queued in try 1, not scheduled in try 1"),
        (unknown, "a of run 1 does not exist"),
    ] {
        let right = changed(&tis[1], |ti| ti.state = TaskState::Failed);
        let decisions = Decisions {
            runs_created: vec![run(2, &dag, 10)],
            tis_changed: vec![wrong, right],
            ..Decisions::default()
        };
        let error = db.store.commit(&proof, &decisions, &[]).await.unwrap_err();
        assert!(
            matches!(&error, Error::Conflict(text) if text.starts_with("1 of 2") && text.contains(said)),
            "{error}"
        );
    }
    let snapshot = db.store.load(&proof).await.unwrap();
    assert_eq!((snapshot.runs.len(), &snapshot.runs[0].tis), (1, &tis));
}

#[tokio::test]
async fn a_queued_instance_may_have_been_claimed_and_keeps_what_the_claim_wrote() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let (_, tis) = queued_run(&db, &proof).await;
    let worker = worker(&db).await;
    let claimed = db.store.claim(worker, &[try_of(&tis[0])]).await.unwrap();
    let started: DateTime<Utc> = claimed[0].started_at;
    let marked = Decisions {
        tis_changed: vec![changed(&tis[0], |ti| ti.state = TaskState::Failed)],
        ..Decisions::default()
    };
    db.store.commit(&proof, &marked, &[]).await.unwrap();
    let tis = &db.store.load(&proof).await.unwrap().runs[0].tis;
    assert_eq!(
        (tis[0].state, tis[0].worker, tis[0].started_at),
        (TaskState::Failed, Some(worker), Some(started))
    );

    let again = changed(&tis[0], |ti| {
        (ti.state, ti.try_number) = (TaskState::Queued, 2);
        (ti.worker, ti.started_at) = (None, None);
    });
    let again = Decisions { tis_changed: vec![again], ..Decisions::default() };
    db.store.commit(&proof, &again, &[]).await.unwrap();
    let tis = &db.store.load(&proof).await.unwrap().runs[0].tis;
    assert_eq!((tis[0].state, tis[0].worker, tis[0].started_at), (TaskState::Queued, None, None));
}

#[tokio::test]
async fn a_run_or_a_message_that_is_not_as_remembered_stops_everything() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let (dag, tis) = queued_run(&db, &proof).await;
    let mut failed = run(1, &dag, 0);
    failed.state = RunState::Failed;
    failed.ended_at = Some(at(9));
    let wrong = Decisions {
        runs_changed: vec![Expected { new: failed, old: RunState::Queued }],
        ..Decisions::default()
    };
    let error = db.store.commit(&proof, &wrong, &[]).await.unwrap_err().to_string();
    assert!(error.contains("flights scheduled__1 is running, not queued"), "{error}");

    let touched = Decisions {
        tis_changed: vec![changed(&tis[0], |ti| ti.state = TaskState::Skipped)],
        ..Decisions::default()
    };
    let error = db.store.commit(&proof, &touched, &[InboxId(12_345)]).await.unwrap_err();
    assert!(matches!(error, Error::Conflict(_)), "{error}");
    let twice = Decisions { runs_created: vec![run(1, &dag, 10)], ..Decisions::default() };
    let error = db.store.commit(&proof, &twice, &[]).await.unwrap_err();
    assert!(matches!(error, Error::Conflict(_)), "{error}");
    assert_eq!(db.store.load(&proof).await.unwrap().runs[0].tis, tis);
}

#[tokio::test]
async fn xcoms_that_are_cleared_and_written_in_the_same_turn_are_there() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let (_, tis) = queued_run(&db, &proof).await;
    let first = Decisions {
        xcoms: vec![xcom(&tis[0], "x", json!(1)), xcom(&tis[0], "y", json!(1))],
        ..Decisions::default()
    };
    db.store.commit(&proof, &first, &[]).await.unwrap();
    let cleared = vec![(RunKey(1), task_id("a"), -1)];
    let second = Decisions {
        xcoms_cleared: cleared,
        xcoms: vec![xcom(&tis[0], "x", json!(2))],
        ..Decisions::default()
    };
    db.store.commit(&proof, &second, &[]).await.unwrap();
    assert_eq!(db.store.xcom(RunKey(1), &task_id("a"), -1, "x").await.unwrap(), Some(json!(2)));
    assert_eq!(db.store.xcom(RunKey(1), &task_id("a"), -1, "y").await.unwrap(), None);
}

#[tokio::test]
async fn large_turns_are_written_in_chunks() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let dag = save_dag(&db, &proof, "wide").await;
    let tis: Vec<_> =
        (0..12_001).map(|index| ti(1, index, &format!("t{index}"), TaskState::Queued)).collect();
    let created =
        Decisions { runs_created: vec![run(1, &dag, 0)], tis_created: tis.clone(), ..Decisions::default() };
    db.store.commit(&proof, &created, &[]).await.unwrap();
    let ended = tis.iter().map(|ti| changed(ti, |ti| ti.state = TaskState::Success)).collect();
    db.store.commit(&proof, &Decisions { tis_changed: ended, ..Decisions::default() }, &[]).await.unwrap();
    let snapshot = db.store.load(&proof).await.unwrap();
    assert_eq!(snapshot.runs[0].tis.len(), 12_001);
    assert!(snapshot.runs[0].tis.iter().all(|ti| ti.state == TaskState::Success));
}
