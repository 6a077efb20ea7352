//! How the platform is.

use domain::{
    engine::decision::{Decisions, Expected},
    state::{RunState, TaskState},
};
use store::job::{Kind, NewJob};
use uuid::Uuid;

use crate::{
    database::Database,
    fixture::{at, queued_run, run, ti, worker},
};

#[tokio::test]
async fn health_tells_who_lives() {
    let db = Database::new().await;
    let health = db.store.health().await.unwrap();
    assert_eq!((health.is_led, health.leader_renewed_at, health.workers, health.slots), (false, None, 0, 0));
    let _proof = db.lead().await;
    worker(&db).await;
    let scheduler = NewJob {
        id: Uuid::new_v4(),
        kind: Kind::Scheduler,
        hostname: "here".to_owned(),
        pid: 1,
        queues: vec![],
        slots: 0,
    };
    db.store.register(&scheduler).await.unwrap();
    let health = db.store.health().await.unwrap();
    assert!(health.is_led && health.leader_renewed_at.is_some());
    assert_eq!((health.schedulers, health.workers, health.slots, health.webservers), (1, 1, 8, 0));
}

#[tokio::test]
async fn load_tells_what_waits() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let (dag, _) = queued_run(&db, &proof).await;
    let mut failed = run(1, &dag, 0);
    (failed.state, failed.ended_at) = (RunState::Failed, Some(at(9)));
    let long_ago = Decisions {
        runs_changed: vec![Expected { new: failed, old: RunState::Running }],
        runs_created: vec![run(2, &dag, 100)],
        tis_created: vec![ti(2, 0, "a", TaskState::Queued)],
        ..Decisions::default()
    };
    db.store.commit(&proof, &long_ago, &[]).await.unwrap();
    db.execute("INSERT INTO inbox (body, created_at) VALUES ('{}', now() - interval '1 hour')").await;
    let load = db.store.platform_load().await.unwrap();
    assert_eq!((load.runs, load.tasks), (vec![(RunState::Running, 1)], vec![(TaskState::Queued, 1)]));
    assert_eq!(load.inbox, 1);
    assert!(load.inbox_age >= 3_600.0 && load.queued_age > 0.0, "{} {}", load.inbox_age, load.queued_age);
}
