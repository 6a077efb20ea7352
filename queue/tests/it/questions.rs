//! Questions and answers, on both backends.

use crate::{LONG, SHORT, conformance};
use queue::{ANSWER_LIMIT, Bell, BellKind, Bells, Error, QUESTION_LIMIT, Queue};

conformance!(
    a_question_is_answered,
    everybody_gets_their_own_answer,
    silence_ends_in_time,
    what_is_too_long_is_refused,
    the_longest_answer_arrives,
);

/// Answers so many questions, each with what `say` makes of it.
async fn serve(queue: Queue, mut bells: Bells, count: usize, say: fn(&str) -> String) {
    for _ in 0..count {
        match bells.next(LONG).await {
            Some(Bell::Question(note)) => queue.answer(&note.id, say(&note.text)).await.unwrap(),
            other => panic!("expected a question, not {other:?}"),
        }
    }
}

async fn a_question_is_answered(queue: Queue) {
    let bells = queue.subscribe(&[BellKind::Question]).await;
    let server = tokio::spawn(serve(queue.clone(), bells, 1, |text| format!("{text}!")));
    assert_eq!(queue.ask("why \"ü\"", LONG).await.unwrap().as_deref(), Some("why \"ü\"!"));
    server.await.unwrap();
}

async fn everybody_gets_their_own_answer(queue: Queue) {
    let bells = queue.subscribe(&[BellKind::Question]).await;
    let server = tokio::spawn(serve(queue.clone(), bells, 20, |text| format!("{text}{text}")));
    let askers = (0..20).map(|number| {
        let queue = queue.clone();
        tokio::spawn(async move { queue.ask(&number.to_string(), LONG).await.unwrap() })
    });
    for (number, asker) in askers.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(asker.await.unwrap(), Some(format!("{number}{number}")));
    }
    server.await.unwrap();
}

async fn silence_ends_in_time(queue: Queue) {
    // Somebody hears it and does not answer; an answer to another question is none.
    let _bells = queue.subscribe(&[BellKind::Question]).await;
    let other = queue.clone();
    let asker = tokio::spawn(async move { other.ask("why", SHORT).await });
    queue.answer("another", "because".into()).await.unwrap();
    assert_eq!(asker.await.unwrap().unwrap(), None);
}

async fn what_is_too_long_is_refused(queue: Queue) {
    let question = queue.ask(&"x".repeat(QUESTION_LIMIT + 1), LONG).await;
    assert!(matches!(question, Err(Error::TooLong { limit: QUESTION_LIMIT, .. })), "{question:?}");
    let answer = queue.answer("id", "x".repeat(ANSWER_LIMIT + 1)).await;
    assert!(matches!(answer, Err(Error::TooLong { limit: ANSWER_LIMIT, .. })), "{answer:?}");
}

async fn the_longest_answer_arrives(queue: Queue) {
    let bells = queue.subscribe(&[BellKind::Question]).await;
    let server = tokio::spawn(serve(queue.clone(), bells, 1, |_| "ü".repeat(ANSWER_LIMIT / 2)));
    let answer = queue.ask(&"x".repeat(QUESTION_LIMIT), LONG).await.unwrap();
    assert_eq!(answer.map(|text| text.len()), Some(ANSWER_LIMIT));
    server.await.unwrap();
}
