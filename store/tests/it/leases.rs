//! One leader at a time.

use std::time::Duration;

use domain::engine::decision::Decisions;
use store::{
    Error, LeaderProof,
    lease::{self, Candidate},
};
use tokio_postgres::{Client, NoTls};
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

#[tokio::test]
async fn a_candidate_leads_on_a_connection_of_its_own() {
    let db = Database::new().await;
    let (mut ann, mut bob) = (candidate(&db), candidate(&db));
    assert!(!ann.renew().await.unwrap(), "nothing was won yet");
    let proof = ann.acquire().await.unwrap().unwrap();
    assert_eq!(bob.acquire().await.unwrap(), None);
    // Their connections break; the next attempt takes another one.
    let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
               WHERE query LIKE '%INSERT INTO lease%' AND datname = current_database() AND pid <> pg_backend_pid()";
    db.execute(end).await;
    assert!(ann.renew().await.is_err());
    assert!(ann.renew().await.unwrap());
    ann.release(proof).await.unwrap();
    bob.acquire().await.unwrap_err();
    assert_eq!(bob.acquire().await.unwrap().unwrap().epoch(), 2);
    assert!(!ann.renew().await.unwrap());
}

#[tokio::test]
async fn a_long_commit_lets_the_leader_renew_and_keeps_its_successor_waiting() {
    let db = Database::new().await;
    let mut ann = candidate(&db);
    let proof = ann.acquire().await.unwrap().unwrap();
    let decisions = a_run(&db, &proof).await;
    let barrier = Barrier::before_runs(&db).await;
    let commit = async {
        db.store.commit(&proof, &decisions, &[]).await.unwrap();
    };
    let others = async {
        barrier.until_waiting("dag_run", 1).await;
        assert!(ann.renew().await.unwrap(), "a commit under way does not keep the renewal waiting");
        barrier.client.execute("UPDATE lease SET expires_at = now()", &[]).await.unwrap();
        let successor = db.store.acquire(lease::MAIN, Uuid::new_v4(), LONG);
        let opened = async {
            barrier.until_waiting("FOR UPDATE", 1).await;
            barrier.open().await;
        };
        tokio::join!(successor, opened).0.unwrap()
    };
    let ((), second) = tokio::join!(commit, others);
    assert_eq!(second.unwrap().epoch(), 2);
    assert_eq!(db.text("SELECT count(*) FROM dag_run").await.unwrap(), "1", "it had begun in time");
}

#[tokio::test]
async fn a_leader_that_is_stopped_in_the_middle_of_a_commit_does_not_hold_up_its_successor() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let decisions = a_run(&db, &proof).await;
    let barrier = Barrier::before_runs(&db).await;
    let mut commit = Box::pin(db.store.commit(&proof, &decisions, &[]));
    tokio::select! {
        ended = &mut commit => panic!("it should wait: {ended:?}"),
        () = barrier.until_waiting("dag_run", 1) => {}
    }
    // From here on nobody polls it, as if the process had been stopped: its statements are done, and the end never comes.
    barrier.client.execute("UPDATE lease SET expires_at = now()", &[]).await.unwrap();
    barrier.open().await;
    let second = db.store.acquire(lease::MAIN, Uuid::new_v4(), LONG).await.unwrap().unwrap();
    assert_eq!(second.epoch(), 2);
    assert!(commit.await.is_err());
    assert_eq!(db.text("SELECT count(*) FROM dag_run").await.unwrap(), "0");
}

fn candidate(db: &Database) -> Candidate {
    Candidate::new(db.store.clone(), lease::MAIN, Uuid::new_v4(), LONG)
}

async fn a_run(db: &Database, proof: &LeaderProof) -> Decisions {
    let dag = fixture::save_dag(db, proof, "flights").await;
    Decisions { runs_created: vec![fixture::run(1, &dag, 0)], ..Decisions::default() }
}

/// Keeps whoever wants to write a run waiting in the middle of its transaction.
struct Barrier {
    client: Client,
    lock: Client,
}

impl Barrier {
    async fn before_runs(db: &Database) -> Self {
        let (client, lock) = (raw(db).await, raw(db).await);
        lock.batch_execute("BEGIN; LOCK TABLE dag_run IN EXCLUSIVE MODE").await.unwrap();
        Self { client, lock }
    }

    /// Returns when so many statements with these words wait for a lock.
    async fn until_waiting(&self, words: &str, wanted: i64) {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE wait_event_type = 'Lock' AND query LIKE '%' || $1 || '%' AND datname = current_database()";
        while self.client.query_one(waiting, &[&words]).await.unwrap().get::<_, i64>(0) != wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn open(&self) {
        self.lock.batch_execute("COMMIT").await.unwrap();
    }
}

async fn raw(db: &Database) -> Client {
    let (client, connection) = tokio_postgres::connect(&db.url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
