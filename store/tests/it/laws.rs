//! What the engine switches, asks and learns: kept with its decisions, and there again after a restart.

use std::{collections::BTreeSet, time::Duration};

use domain::{
    engine::{
        decision::{Decisions, Expected},
        durations::DurationRecord,
        record::{DagFlags, PastQuestion, XComRecord},
    },
    id::RunKey,
    outcome::CHOICE,
    state::{RunState, RunType, TaskState},
};
use serde_json::json;
use store::LeaderProof;

use crate::{
    database::Database,
    fixture::{at, changed, dag, dag_id, file, queued_run, run, save_dag, task, task_id, ti, try_of, worker},
};

async fn commit(db: &Database, proof: &LeaderProof, decisions: Decisions) {
    db.store.commit(proof, &decisions, &[]).await.unwrap();
}

fn flags(pause: bool, disabled: Option<&[&str]>) -> Decisions {
    let disabled = disabled.map(|ids| ids.iter().map(|id| task_id(id)).collect::<BTreeSet<_>>());
    let flags = DagFlags { dag_id: dag_id("flights"), failed_runs: 2, pause, disabled };
    Decisions { dags: vec![flags], ..Decisions::default() }
}

#[tokio::test]
async fn what_is_switched_at_a_dag_is_there_again() {
    let db = Database::new().await;
    let proof = db.lead().await;
    save_dag(&db, &proof, "flights").await;

    commit(&db, &proof, flags(false, Some(&["a"]))).await;
    let record = db.store.load(&proof).await.unwrap().dags.remove(0);
    assert_eq!((record.failed_runs, record.is_paused), (2, false));
    assert_eq!(record.disabled, BTreeSet::from([task_id("a")]));

    // What is not said stays, also through a new version; a pause is never taken back.
    commit(&db, &proof, flags(true, None)).await;
    commit(&db, &proof, flags(false, None)).await;
    let files = [file("flights.yaml", vec![dag("flights", vec![task("a"), task("c")])])];
    let saved = db.store.save(&proof, &files).await.unwrap().changed.remove(0);
    let loaded = db.store.load(&proof).await.unwrap().dags.remove(0);
    for record in [saved, loaded] {
        assert_eq!((record.failed_runs, record.is_paused), (2, true));
        assert_eq!(record.disabled, BTreeSet::from([task_id("a")]));
    }
    assert_eq!(db.store.switched_off(&dag_id("flights")).await.unwrap(), [task_id("a")]);
}

#[tokio::test]
async fn a_paused_run_and_a_held_instance_are_there_again() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let flights = save_dag(&db, &proof, "flights").await;
    let (first, a) = (run(1, &flights, 0), ti(1, 0, "a", TaskState::None));
    let created =
        Decisions { runs_created: vec![first.clone()], tis_created: vec![a.clone()], ..Decisions::default() };
    commit(&db, &proof, created).await;

    let mut paused = first.clone();
    paused.is_paused = true;
    let held = changed(&a, |ti| {
        ti.is_held = true;
        ti.placement.priority = 99;
        ti.reason = Some("held".to_owned());
    });
    let decisions = Decisions {
        runs_changed: vec![Expected { new: paused.clone(), old: RunState::Running }],
        tis_changed: vec![held.clone()],
        ..Decisions::default()
    };
    commit(&db, &proof, decisions).await;
    let snapshot = db.store.load(&proof).await.unwrap().runs.remove(0);
    assert_eq!(snapshot.run, paused);
    assert_eq!(snapshot.tis, [held.new]);
}

#[tokio::test]
async fn durations_are_kept_until_their_dag_is_deleted() {
    let db = Database::new().await;
    let proof = db.lead().await;
    save_dag(&db, &proof, "flights").await;
    let duration = |task: &str, recent: &[u32]| DurationRecord {
        dag_id: dag_id("flights"),
        task_id: task_id(task),
        recent: recent.to_vec(),
    };
    let first = vec![duration("a", &[1]), duration("b", &[5])];
    commit(&db, &proof, Decisions { durations: first, ..Decisions::default() }).await;
    let second = vec![duration("a", &[1, 4_000_000_000])];
    commit(&db, &proof, Decisions { durations: second, ..Decisions::default() }).await;
    let kept = db.store.load(&proof).await.unwrap().durations;
    assert_eq!(kept, [duration("a", &[1, 4_000_000_000]), duration("b", &[5])]);

    assert!(db.store.delete_dag(&dag_id("flights"), "ann").await.unwrap());
    assert_eq!(db.store.load(&proof).await.unwrap().durations, []);
}

#[tokio::test]
async fn what_a_branch_chose_is_there_again() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let mut branch = task("a");
    branch["operator"] = json!({"type": "branch", "program": {"type": "bash", "command": "echo b"}});
    let files = [file("flights.yaml", vec![dag("flights", vec![branch, task("b")])])];
    let flights = db.store.save(&proof, &files).await.unwrap().changed.remove(0);
    let tis = vec![ti(1, 0, "a", TaskState::Success), ti(1, 1, "b", TaskState::None)];
    let choice = XComRecord {
        ti: tis[0].key,
        task_id: task_id("a"),
        map_index: -1,
        key: CHOICE.to_owned(),
        value: json!({"followed": ["b"]}),
    };
    let other = XComRecord { key: "return_value".to_owned(), ..choice.clone() };
    let decisions = Decisions {
        runs_created: vec![run(1, &flights, 0)],
        tis_created: tis,
        xcoms: vec![other, choice.clone()],
        ..Decisions::default()
    };
    commit(&db, &proof, decisions).await;
    assert_eq!(db.store.load(&proof).await.unwrap().runs.remove(0).choices, [choice]);
}

#[tokio::test]
async fn the_run_before_is_the_newest_finished_one_of_an_earlier_date() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let flights = save_dag(&db, &proof, "flights").await;
    let ended = |key, minutes, run_type| {
        let mut run = run(key, &flights, minutes);
        (run.state, run.ended_at, run.run_type) = (RunState::Failed, Some(at(90)), run_type);
        run
    };
    let runs = vec![
        ended(1, 0, RunType::Scheduled),
        ended(2, 10, RunType::Manual),
        run(3, &flights, 20),
        ended(4, 30, RunType::Scheduled),
        ended(5, 40, RunType::Scheduled),
        ended(6, 40, RunType::OperatorTriggered),
    ];
    let tis = vec![
        ti(1, 0, "a", TaskState::Success),
        ti(1, 1, "b", TaskState::Failed),
        ti(2, 0, "a", TaskState::UpstreamFailed),
        ti(2, 1, "b", TaskState::Skipped),
    ];
    commit(&db, &proof, Decisions { runs_created: runs, tis_created: tis, ..Decisions::default() }).await;

    let ask = async |minutes, without_manual| {
        let dag_id = dag_id("flights");
        let question = PastQuestion { run: RunKey(9), dag_id, before: at(minutes), without_manual };
        let found = db.store.standing(&question).await.unwrap();
        found.map(|found| (found.run.0, found.logical_date, found.unmet.into_iter().collect::<Vec<_>>()))
    };
    assert_eq!(ask(0, false).await, None);
    assert_eq!(ask(10, false).await, Some((1, at(0), vec![task_id("b")])));
    assert_eq!(ask(30, false).await, Some((2, at(10), vec![task_id("a")])));
    assert_eq!(ask(30, true).await, Some((1, at(0), vec![task_id("b")])));
    assert_eq!(ask(31, true).await, Some((4, at(30), vec![])));
    assert_eq!(ask(41, false).await, Some((6, at(40), vec![])), "of the same date the newest");
}

#[tokio::test]
async fn queued_tries_are_unclaimed_only_while_a_worker_of_their_queue_has_room() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let (_, tis) = queued_run(&db, &proof).await;
    let unclaimed = async || db.store.unclaimed(10, Duration::from_secs(600)).await.unwrap();
    assert_eq!(unclaimed().await, [], "there is no worker");

    let id = worker(&db).await;
    assert_eq!(unclaimed().await, [try_of(&tis[0]), try_of(&tis[1])]);
    assert_eq!(db.store.unclaimed(1, Duration::from_secs(600)).await.unwrap(), [try_of(&tis[0])]);

    db.execute("UPDATE job SET slots = 1").await;
    db.store.claim(id, &[try_of(&tis[0])]).await.unwrap();
    assert_eq!(unclaimed().await, [], "its only slot is taken");
    db.execute("UPDATE job SET slots = 2").await;
    assert_eq!(unclaimed().await, [try_of(&tis[1])]);
    db.execute("UPDATE job SET queues = '{other}'").await;
    assert_eq!(unclaimed().await, [], "it listens to another queue");
    db.execute("UPDATE job SET queues = '{default}'").await;
    db.execute("UPDATE task_instance SET queued_at = now()").await;
    assert_eq!(unclaimed().await, [], "it was queued just now");
}
