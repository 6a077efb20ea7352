//! One leader at a time.

use std::time::Duration;

use domain::engine::decision::Decisions;
use store::{Error, lease};
use uuid::Uuid;

use crate::{database::Database, fixture};

const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn only_one_leads_until_it_gives_up_or_runs_out() {
    let db = Database::new().await;
    let (ann, bob) = (Uuid::new_v4(), Uuid::new_v4());
    let first = db.store.acquire(lease::MAIN, ann, LONG).await.unwrap().unwrap();
    assert_eq!((first.shard(), first.holder(), first.epoch()), (lease::MAIN, ann, 1));
    assert_eq!(db.store.acquire(lease::MAIN, bob, LONG).await.unwrap(), None);
    assert_eq!(db.store.acquire(lease::MAIN, ann, LONG).await.unwrap().unwrap().epoch(), 1);
    assert!(db.store.renew(&first, LONG).await.unwrap());
    assert!(db.store.acquire("another shard", bob, LONG).await.unwrap().is_some());

    db.store.release(first).await.unwrap();
    assert!(!db.store.current_lease(lease::MAIN).await.unwrap().unwrap().is_valid);
    let second = db.store.acquire(lease::MAIN, bob, Duration::ZERO).await.unwrap().unwrap();
    assert_eq!(second.epoch(), 2);
    let third = db.store.acquire(lease::MAIN, ann, LONG).await.unwrap().unwrap();
    assert_eq!(third.epoch(), 3);
    assert!(!db.store.renew(&second, LONG).await.unwrap());
    let lease = db.store.current_lease(lease::MAIN).await.unwrap().unwrap();
    assert_eq!((lease.holder, lease.epoch, lease.is_valid), (ann, 3, true));
}

#[tokio::test]
async fn of_many_that_want_to_lead_one_does() {
    let db = Database::new().await;
    let attempts = (0..8).map(|_| db.store.acquire(lease::MAIN, Uuid::new_v4(), LONG));
    let leaders: Vec<_> =
        futures_util::future::join_all(attempts).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(leaders.iter().flatten().count(), 1);
}

#[tokio::test]
async fn an_old_leader_can_do_nothing() {
    let db = Database::new().await;
    let old = db.store.acquire(lease::MAIN, Uuid::new_v4(), Duration::ZERO).await.unwrap().unwrap();
    let dag = {
        let new = db.lead().await;
        fixture::save_dag(&db, &new, "flights").await
    };
    let decisions = Decisions { runs_created: vec![fixture::run(1, &dag, 0)], ..Decisions::default() };
    let refused =
        |result: Result<(), Error>| assert!(matches!(result, Err(Error::Fenced { .. })), "{result:?}");
    refused(db.store.commit(&old, &decisions, &[]).await);
    refused(db.store.commit(&old, &Decisions::default(), &[]).await);
    refused(db.store.load(&old).await.map(drop));
    refused(db.store.save(&old, &[]).await.map(drop));
    refused(db.store.expire(&old, LONG).await.map(drop));
    assert_eq!(db.text("SELECT count(*) FROM dag_run").await.unwrap(), "0");
}

#[tokio::test]
async fn a_leader_whose_lease_ran_out_can_do_nothing_even_without_a_successor() {
    let db = Database::new().await;
    let old = db.store.acquire(lease::MAIN, Uuid::new_v4(), Duration::ZERO).await.unwrap().unwrap();
    let result = db.store.commit(&old, &Decisions::default(), &[]).await;
    assert!(matches!(result, Err(Error::Fenced { .. })), "{result:?}");
}
