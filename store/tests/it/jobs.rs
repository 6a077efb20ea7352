//! Processes and their leases.

use std::time::Duration;

use domain::id::QueueName;
use store::job::{Kind, LostWorker, State};

use crate::{
    database::Database,
    fixture::{queued_run, try_of, worker},
};

#[tokio::test]
async fn a_worker_that_falls_silent_is_lost_with_what_it_ran() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let (_, tis) = queued_run(&db, &proof).await;
    let (silent, idle, alive) = (worker(&db).await, worker(&db).await, worker(&db).await);
    db.store.claim(silent, &[try_of(&tis[0])]).await.unwrap();
    db.store.claim(alive, &[try_of(&tis[1])]).await.unwrap();
    let minute = Duration::from_secs(60);
    assert_eq!(db.store.expire(&proof, minute).await.unwrap(), vec![]);
    db.execute(&format!(
        "UPDATE job SET renewed_at = now() - interval '61 s' WHERE id IN ('{silent}', '{idle}')"
    ))
    .await;

    let lost = db.store.expire(&proof, minute).await.unwrap();
    assert_eq!(lost[0], LostWorker { worker: silent, tries: vec![try_of(&tis[0])] });
    assert_eq!(lost[1..], [LostWorker { worker: idle, tries: vec![] }]);
    assert_eq!(db.store.expire(&proof, minute).await.unwrap(), vec![]);
    assert!(!db.store.renew_job(silent).await.unwrap());
    assert!(!db.store.set_job_state(silent, State::Draining).await.unwrap());
    assert!(db.store.renew_job(alive).await.unwrap());
    assert_eq!(db.store.claim(silent, &[try_of(&tis[1])]).await.unwrap(), vec![]);

    let orphans = vec![LostWorker { worker: silent, tries: vec![try_of(&tis[0])] }];
    assert_eq!(db.store.orphans().await.unwrap(), orphans);
    let snapshot = db.store.load(&proof).await.unwrap();
    assert_eq!(snapshot.orphans, orphans);
    assert_eq!(snapshot.workers.iter().map(|worker| worker.id).collect::<Vec<_>>(), vec![alive]);
}

#[tokio::test]
async fn processes_are_listed_with_how_they_are() {
    let db = Database::new().await;
    let id = worker(&db).await;
    let jobs = db.store.jobs().await.unwrap();
    assert_eq!((jobs.len(), jobs[0].id, jobs[0].kind, jobs[0].state), (1, id, Kind::Worker, State::Running));
    assert_eq!(
        (jobs[0].queues.as_slice(), jobs[0].slots, jobs[0].is_alive),
        (["default".to_owned()].as_slice(), 8, true)
    );
    let live = db.store.live_workers().await.unwrap();
    assert_eq!((live[0].queues.clone(), live[0].slots), (vec![QueueName::default_queue()], 8));
    db.store.set_job_state(id, State::Draining).await.unwrap();
    assert_eq!(db.store.live_workers().await.unwrap(), vec![]);
    assert!(db.store.jobs().await.unwrap()[0].is_alive);
}
