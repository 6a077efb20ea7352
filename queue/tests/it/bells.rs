//! Doorbells, on both backends.

use crate::ready::ticket;
use crate::{LONG, SHORT, conformance};
use queue::{Bell, BellKind, Bells, Queue};
use std::time::Instant;

conformance!(
    subscribers_hear_their_kinds,
    everybody_hears,
    payloads_arrive_whole,
    a_burst_is_heard_once,
    equal_bells_of_one_ring_are_one,
    too_many_different_bells_are_missed,
    silence_times_out,
    a_bell_wakes_the_waiting,
    missed_cannot_be_rung,
    bells_outlive_the_handle_they_came_from,
    thousands_of_bells_in_one_ring,
);

fn changed(dag_id: &str, run_id: Option<&str>) -> Bell {
    Bell::Changed { dag_id: dag_id.to_owned(), run_id: run_id.map(str::to_owned) }
}

/// Takes bells until `last`, which is left out.
async fn until(bells: &mut Bells, last: &Bell) -> Vec<Bell> {
    let mut taken = Vec::new();
    loop {
        let bell = bells.next(LONG).await.expect("the last bell to ring");
        if bell == *last {
            return taken;
        }
        taken.push(bell);
    }
}

async fn subscribers_hear_their_kinds(queue: Queue) {
    let mut engine = queue.subscribe(&[BellKind::Engine]).await;
    let mut rest = queue.subscribe(&[BellKind::Config, BellKind::Stop]).await;
    for bell in [Bell::Stop(ticket(1, 2)), changed("d", None), Bell::Engine, Bell::Config] {
        queue.ring(bell).await.unwrap();
    }
    assert_eq!(engine.next(LONG).await, Some(Bell::Engine));
    assert_eq!(until(&mut rest, &Bell::Config).await, [Bell::Stop(ticket(1, 2))]);
    assert_eq!(engine.next(SHORT).await, None);
}

async fn everybody_hears(queue: Queue) {
    let mut subscribers = Vec::new();
    for _ in 0..5 {
        subscribers.push(queue.subscribe(&BellKind::ALL).await);
    }
    queue.ring(Bell::Stop(ticket(7, 0))).await.unwrap();
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.next(LONG).await, Some(Bell::Stop(ticket(7, 0))));
    }
}

async fn payloads_arrive_whole(queue: Queue) {
    let mut bells = queue.subscribe(&BellKind::ALL).await;
    let rung = [
        changed("flights", Some("scheduled__2026-01-01T00:00:00+00:00")),
        changed("a \"quoted\" ü, name\n", None),
        Bell::Stop(ticket(i64::MAX, u32::MAX)),
    ];
    queue.ring_all(&rung).await.unwrap();
    queue.ring(Bell::Engine).await.unwrap();
    assert_eq!(until(&mut bells, &Bell::Engine).await, rung);
}

async fn a_burst_is_heard_once(queue: Queue) {
    let mut sleeper = queue.subscribe(&[BellKind::Engine]).await;
    let mut watcher = queue.subscribe(&[BellKind::Config]).await;
    for _ in 0..1000 {
        queue.ring(Bell::Engine).await.unwrap();
    }
    queue.ring(Bell::Config).await.unwrap();
    // Bells of one sender come in order, so by now all have come.
    assert_eq!(watcher.next(LONG).await, Some(Bell::Config));
    assert_eq!(sleeper.next(LONG).await, Some(Bell::Engine));
    assert_eq!(sleeper.next(SHORT).await, None);
}

async fn equal_bells_of_one_ring_are_one(queue: Queue) {
    let mut bells = queue.subscribe(&[BellKind::Changed, BellKind::Engine]).await;
    let rung =
        [changed("a", Some("1")), changed("a", Some("1")), changed("a", Some("2")), changed("a", None)];
    queue.ring_all(&rung).await.unwrap();
    queue.ring(Bell::Engine).await.unwrap();
    assert_eq!(until(&mut bells, &Bell::Engine).await, rung[1..]);
}

async fn too_many_different_bells_are_missed(queue: Queue) {
    let mut sleeper = queue.subscribe(&[BellKind::Changed]).await;
    let mut watcher = queue.subscribe(&[BellKind::Config]).await;
    let rung: Vec<_> = (0..3000).map(|run| changed("d", Some(&run.to_string()))).collect();
    queue.ring_all(&rung).await.unwrap();
    queue.ring(Bell::Config).await.unwrap();
    assert_eq!(watcher.next(LONG).await, Some(Bell::Config));
    assert_eq!(sleeper.next(LONG).await, Some(Bell::Missed));
    let rest = until(&mut sleeper, &rung[2999]).await;
    assert!(rest.len() < 1024);
    assert_eq!(sleeper.next(SHORT).await, None);
}

async fn silence_times_out(queue: Queue) {
    let mut bells = queue.subscribe(&BellKind::ALL).await;
    let started = Instant::now();
    assert_eq!(bells.next(SHORT).await, None);
    assert!(started.elapsed() >= SHORT);
    let mut deaf = queue.subscribe(&[]).await;
    queue.ring(Bell::Engine).await.unwrap();
    assert_eq!(bells.next(LONG).await, Some(Bell::Engine));
    assert_eq!(deaf.next(SHORT).await, None);
}

async fn a_bell_wakes_the_waiting(queue: Queue) {
    let mut bells = queue.subscribe(&[BellKind::Engine]).await;
    let (heard, rung) = tokio::join!(bells.next(LONG), queue.ring(Bell::Engine));
    rung.unwrap();
    assert_eq!(heard, Some(Bell::Engine));
}

async fn missed_cannot_be_rung(queue: Queue) {
    let mut bells = queue.subscribe(&BellKind::ALL).await;
    queue.ring(Bell::Missed).await.unwrap();
    queue.ring_all(&[]).await.unwrap();
    queue.ring(Bell::Engine).await.unwrap();
    assert_eq!(until(&mut bells, &Bell::Engine).await, []);
}

async fn bells_outlive_the_handle_they_came_from(queue: Queue) {
    let other = queue.clone();
    let mut bells = {
        let short_lived = queue;
        short_lived.subscribe(&[BellKind::Config]).await
    };
    other.ring(Bell::Config).await.unwrap();
    drop(other);
    assert_eq!(bells.next(LONG).await, Some(Bell::Config));
}

async fn thousands_of_bells_in_one_ring(queue: Queue) {
    let mut bells = queue.subscribe(&[BellKind::Stop]).await;
    let rung: Vec<_> = (0..1000).map(|index| Bell::Stop(ticket(1, index))).collect();
    queue.ring_all(&rung).await.unwrap();
    for bell in rung {
        assert_eq!(bells.next(LONG).await, Some(bell));
    }
}
