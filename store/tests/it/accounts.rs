//! Accounts, sessions and sign-in links.

use std::{sync::Arc, time::Duration};

use store::{
    Error,
    account::{NewAccount, Role},
};
use tokio::sync::Barrier;

use crate::database::{Database, connect};

const HOUR: Duration = Duration::from_secs(3_600);

fn new(username: &str, role: Role) -> NewAccount {
    NewAccount {
        username: username.to_owned(),
        email: format!("{username}@example.org"),
        first_name: "Ann".to_owned(),
        last_name: "Example".to_owned(),
        role,
    }
}

#[tokio::test]
async fn accounts_are_made_changed_and_deleted() {
    let db = Database::new().await;
    let ann = db.store.create_account(&new("ann", Role::Admin), Some("hash")).await.unwrap();
    assert_eq!((ann.role, ann.is_active, ann.is_locked), (Role::Admin, true, false));
    assert!(matches!(db.store.create_account(&new("ann", Role::User), None).await, Err(Error::Conflict(_))));
    assert!(matches!(db.store.create_account(&new("", Role::User), None).await, Err(Error::Invalid(_))));
    let credentials = db.store.credentials("ann").await.unwrap().unwrap();
    assert_eq!(credentials.password_hash.as_deref(), Some("hash"));
    assert!(!format!("{credentials:?}").contains("hash"));

    db.store.create_account(&new("bob", Role::Viewer), None).await.unwrap();
    assert_eq!(db.store.accounts(10, 0).await.unwrap().len(), 2);
    assert!(db.store.update_account(&new("bob", Role::Op), true).await.unwrap());
    assert_eq!(db.store.account("bob").await.unwrap().unwrap().role, Role::Op);
    for refused in
        [db.store.delete_account("ann").await, db.store.update_account(&new("ann", Role::Op), true).await]
    {
        assert!(
            matches!(&refused, Err(Error::Conflict(text)) if text.contains("last active admin")),
            "{refused:?}"
        );
    }
    assert!(db.store.update_account(&new("bob", Role::Admin), true).await.unwrap());
    assert!(db.store.delete_account("ann").await.unwrap());
    assert!(!db.store.delete_account("ann").await.unwrap());
    assert!(db.store.delete_account("bob").await.is_err());
}

#[tokio::test]
async fn too_many_failed_sign_ins_lock_for_a_while() {
    let db = Database::new().await;
    let ann = db.store.create_account(&new("ann", Role::Admin), Some("hash")).await.unwrap();
    for _ in 0..2 {
        db.store.sign_in_failed(ann.id, 3, HOUR).await.unwrap();
    }
    db.store.sign_in_succeeded(ann.id).await.unwrap();
    for _ in 0..2 {
        db.store.sign_in_failed(ann.id, 3, HOUR).await.unwrap();
    }
    assert!(!db.store.account("ann").await.unwrap().unwrap().is_locked);
    db.store.sign_in_failed(ann.id, 3, HOUR).await.unwrap();
    assert!(db.store.account("ann").await.unwrap().unwrap().is_locked);
    db.execute("UPDATE account SET locked_until = now()").await;
    assert!(!db.store.account("ann").await.unwrap().unwrap().is_locked);
}

#[tokio::test]
async fn a_session_lives_until_it_ends_runs_out_or_its_account_is_closed() {
    let db = Database::new().await;
    let ann = db.store.create_account(&new("ann", Role::Viewer), Some("hash")).await.unwrap();
    let token = db.store.create_session(ann.id, HOUR).await.unwrap();
    assert_eq!(db.store.session(&token).await.unwrap().unwrap().account, ann);
    assert_eq!(db.store.session("guess").await.unwrap(), None);
    assert_eq!(db.text("SELECT length(token_hash) FROM session").await.unwrap(), "32");
    let short = db.store.create_session(ann.id, Duration::ZERO).await.unwrap();
    assert_eq!(db.store.session(&short).await.unwrap(), None);
    assert_eq!(db.store.forget_expired_sessions().await.unwrap(), 1);

    db.store.update_account(&new("ann", Role::Viewer), false).await.unwrap();
    assert_eq!(db.store.session(&token).await.unwrap(), None);
    db.store.update_account(&new("ann", Role::Viewer), true).await.unwrap();
    assert!(db.store.session(&token).await.unwrap().is_some());
    db.store.delete_session(&token).await.unwrap();
    assert_eq!(db.store.session(&token).await.unwrap(), None);
    let token = db.store.create_session(ann.id, HOUR).await.unwrap();
    assert!(db.store.set_password("ann", "another hash").await.unwrap());
    assert_eq!(db.store.session(&token).await.unwrap(), None);
    assert!(!db.store.set_password("unknown", "hash").await.unwrap());
}

#[tokio::test]
async fn a_sign_in_link_works_once_even_when_many_try() {
    let db = Database::new().await;
    let ann = db.store.create_account(&new("ann", Role::Admin), None).await.unwrap();
    let token = Arc::new(db.store.create_sign_in_link(ann.id, HOUR).await.unwrap());
    let barrier = Arc::new(Barrier::new(4));
    let mut tries = Vec::new();
    for _ in 0..4 {
        let (store, token, barrier) = (connect(&db.url).await, Arc::clone(&token), Arc::clone(&barrier));
        tries.push(tokio::spawn(async move {
            barrier.wait().await;
            store.use_sign_in_link(&token).await.unwrap()
        }));
    }
    let mut signed_in = Vec::new();
    for attempt in tries {
        signed_in.extend(attempt.await.unwrap());
    }
    assert_eq!(signed_in, vec![ann.clone()]);
    let late = db.store.create_sign_in_link(ann.id, Duration::ZERO).await.unwrap();
    assert_eq!(db.store.use_sign_in_link(&late).await.unwrap(), None);
}
