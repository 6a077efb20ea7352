//! Messages on their way to the engine.

use domain::{
    engine::decision::Decisions,
    intent::{Intent, Message, Wish},
    state::RunState,
};

use crate::{
    database::Database,
    fixture::{dag_id, run_id},
};

fn intent(by: &str) -> Message {
    let wish =
        Wish::MarkRun { dag_id: dag_id("flights"), run_id: run_id("manual__1"), state: RunState::Failed };
    Message::Intent(Intent { by: by.to_owned(), wish })
}

#[tokio::test]
async fn messages_are_read_in_the_order_of_arrival_until_they_are_consumed() {
    let db = Database::new().await;
    let messages: Vec<Message> = (0..5).map(|number| intent(&format!("user {number}"))).collect();
    let ids = db.store.post(&messages).await.unwrap();
    let read = db.store.read(3).await.unwrap();
    assert_eq!(read, ids.iter().copied().zip(messages.clone()).take(3).collect::<Vec<_>>());
    assert_eq!(db.store.backlog().await.unwrap().0, 5);
    let proof = db.lead().await;
    db.store.commit(&proof, &Decisions::default(), &ids[..2]).await.unwrap();
    let left = db.store.read(10).await.unwrap();
    assert_eq!(left.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids[2..]);
    assert_eq!(db.store.post(&[]).await.unwrap(), vec![]);
    assert!(db.store.post(&vec![intent("x"); 5_001]).await.is_err());
}

#[tokio::test]
async fn a_message_that_cannot_be_understood_blocks_nobody() {
    let db = Database::new().await;
    db.execute("INSERT INTO inbox (body) VALUES ('{\"kind\": \"from the future\"}')").await;
    let ids = db.store.post(&[intent("ann")]).await.unwrap();
    assert_eq!(db.store.read(10).await.unwrap(), vec![(ids[0], intent("ann"))]);
    assert_eq!(db.text("SELECT count(*) FROM inbox").await.unwrap(), "1");
    let kept =
        db.text("SELECT extra ->> 'body' FROM event_log WHERE event = 'undecodable_message'").await.unwrap();
    assert!(kept.contains("from the future"), "{kept}");
}
