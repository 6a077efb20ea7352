//! A try is claimed once.

use std::{sync::Arc, time::Duration};

use domain::{engine::decision::Decisions, id::TryKey, state::TaskState};
use store::job;
use tokio::sync::Barrier;

use crate::{
    database::{Database, connect},
    fixture::{at, changed, dag_id, queued_run, ready, run, save_dag, ti, try_of, worker},
};

#[tokio::test]
async fn a_claim_brings_everything_a_task_needs() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let (dag, tis) = queued_run(&db, &proof).await;
    let worker = worker(&db).await;
    let claimed = db.store.claim(worker, &[try_of(&tis[0])]).await.unwrap();
    assert_eq!(claimed.len(), 1);
    let (claimed, record) = (&claimed[0], run(1, &dag, 0));
    assert_eq!(
        (claimed.attempt, &claimed.task_id, claimed.map_index),
        (try_of(&tis[0]), &tis[0].task_id, -1)
    );
    assert_eq!(
        (&claimed.dag_id, &claimed.run_id, claimed.run_type),
        (&record.dag_id, &record.run_id, record.run_type)
    );
    assert_eq!((claimed.logical_date, claimed.data_interval), (record.logical_date, record.data_interval));
    assert_eq!((claimed.run_after, claimed.run_started_at), (record.run_after, record.started_at));
    assert_eq!((&claimed.conf, claimed.max_tries), (&*record.conf, 2));
    assert_eq!((claimed.version, claimed.file.as_str()), (dag.version, "flights.yaml"));
    let (version, file) = db.store.version(claimed.version).await.unwrap().unwrap();
    assert_eq!((version, file.as_str()), (dag.dag, "flights.yaml"));
    assert_eq!(db.store.running_of(worker).await.unwrap(), vec![try_of(&tis[0])]);
}

#[tokio::test]
async fn of_two_workers_with_the_same_tickets_exactly_one_gets_each() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let dag = save_dag(&db, &proof, "wide").await;
    let tis: Vec<_> = (0..200).map(|index| ti(1, index, &format!("t{index}"), TaskState::Queued)).collect();
    let created =
        Decisions { runs_created: vec![run(1, &dag, 0)], tis_created: tis.clone(), ..Decisions::default() };
    db.store.commit(&proof, &created, &[]).await.unwrap();

    let barrier = Arc::new(Barrier::new(4));
    let mut claims = Vec::new();
    for turn in 0..4_usize {
        let (worker, store) = (worker(&db).await, connect(&db.url).await);
        let mut tickets: Vec<TryKey> = tis.iter().map(try_of).collect();
        tickets.rotate_left(turn * 50);
        let barrier = Arc::clone(&barrier);
        claims.push(tokio::spawn(async move {
            barrier.wait().await;
            let mut won = Vec::new();
            for batch in tickets.chunks(10) {
                won.extend(
                    store.claim(worker, batch).await.unwrap().into_iter().map(|claimed| claimed.attempt),
                );
            }
            won
        }));
    }
    let mut won: Vec<TryKey> = Vec::new();
    for claim in claims {
        won.extend(claim.await.unwrap());
    }
    won.sort();
    assert_eq!(won, tis.iter().map(try_of).collect::<Vec<_>>());
}

#[tokio::test]
async fn only_what_is_queued_in_that_try_can_be_claimed() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let (_, tis) = queued_run(&db, &proof).await;
    let worker = worker(&db).await;
    let later = TryKey { try_number: 2, ..try_of(&tis[0]) };
    assert_eq!(db.store.claim(worker, &[later]).await.unwrap(), vec![]);
    let held = Decisions {
        tis_changed: vec![changed(&tis[0], |ti| ti.state = TaskState::Scheduled)],
        ..Decisions::default()
    };
    db.store.commit(&proof, &held, &[]).await.unwrap();
    let claimed = db.store.claim(worker, &[try_of(&tis[0]), try_of(&tis[1]), try_of(&tis[1])]).await.unwrap();
    assert_eq!(claimed.iter().map(|claimed| claimed.attempt).collect::<Vec<_>>(), vec![try_of(&tis[1])]);
    let many = vec![try_of(&tis[0]); 1_001];
    assert!(db.store.claim(worker, &many).await.unwrap_err().to_string().contains("at most 1000"));
}

#[tokio::test]
async fn a_worker_whose_lease_ran_out_or_that_is_unknown_claims_nothing() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let (_, tis) = queued_run(&db, &proof).await;
    let tickets = [try_of(&tis[0])];
    assert_eq!(db.store.claim(uuid::Uuid::new_v4(), &tickets).await.unwrap(), vec![]);

    let silent = worker(&db).await;
    db.execute("UPDATE job SET renewed_at = now() - interval '1 minute'").await;
    assert_eq!(db.store.claim(silent, &tickets).await.unwrap(), vec![]);
    assert!(db.store.renew_job(silent).await.unwrap());
    let stopped = worker(&db).await;
    assert!(db.store.set_job_state(stopped, job::State::Stopped).await.unwrap());
    assert_eq!(db.store.claim(stopped, &tickets).await.unwrap(), vec![]);
    let draining = worker(&db).await;
    assert!(db.store.set_job_state(draining, job::State::Draining).await.unwrap());
    assert_eq!(db.store.claim(draining, &tickets).await.unwrap().len(), 1);
}

#[tokio::test]
async fn sweeps_find_what_is_queued_and_what_is_still_mine() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let (_, tis) = queued_run(&db, &proof).await;
    let queued = db.store.queued(10, Duration::ZERO).await.unwrap();
    assert_eq!(queued, vec![ready(&tis[0]), ready(&tis[1])]);
    assert_eq!(db.store.queued(1, Duration::ZERO).await.unwrap(), vec![ready(&tis[0])]);
    assert_eq!(db.store.queued(10, Duration::from_secs(1 << 32)).await.unwrap(), vec![]);

    let (mine, other) = (worker(&db).await, worker(&db).await);
    let (one, two) = (try_of(&tis[0]), try_of(&tis[1]));
    db.store.claim(mine, &[one]).await.unwrap();
    db.store.claim(other, &[two]).await.unwrap();
    assert_eq!(db.store.queued(10, Duration::ZERO).await.unwrap(), vec![]);
    assert_eq!(db.store.running_of(mine).await.unwrap(), vec![one]);
    db.store.set_pids(mine, &[(one, 4_711), (two, 4_712)]).await.unwrap();
    let pids = "SELECT pid FROM task_instance WHERE pid IS NOT NULL";
    assert_eq!(db.texts(pids).await, vec!["4711"]);
    let stopped = Decisions {
        tis_changed: vec![changed(&tis[0], |ti| ti.state = TaskState::Failed)],
        ..Decisions::default()
    };
    db.store.commit(&proof, &stopped, &[]).await.unwrap();
    assert_eq!(db.store.running_of(mine).await.unwrap(), vec![]);
}

#[tokio::test]
async fn the_previous_success_is_the_newest_one_before() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let dag = save_dag(&db, &proof, "flights").await;
    let runs = (1..=4).map(|key| {
        let mut run = run(key, &dag, key * 10);
        (run.state, run.ended_at) = (domain::state::RunState::Success, Some(at(key * 10 + 5)));
        if key == 3 {
            run.state = domain::state::RunState::Failed;
        }
        run
    });
    let created = Decisions { runs_created: runs.collect(), ..Decisions::default() };
    db.store.commit(&proof, &created, &[]).await.unwrap();
    let previous = db.store.previous_success(&dag_id("flights"), at(40)).await.unwrap().unwrap();
    assert_eq!((previous.data_interval.unwrap().start, previous.ended_at), (at(20), Some(at(25))));
    assert_eq!(db.store.previous_success(&dag_id("flights"), at(10)).await.unwrap(), None);
    assert_eq!(db.store.previous_success(&dag_id("other"), at(40)).await.unwrap(), None);
}
