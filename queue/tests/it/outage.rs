//! Redis away, hung, killed, restarted, emptied.

use crate::ready::{name, ready, ticket};
use crate::server::{Server, free_port};
use crate::{LONG, SHORT};
use bytes::Bytes;
use queue::{Bell, BellKind, Bells, CALL_LIMIT, Error, LogId, Queue};
use std::time::{Duration, Instant};

/// What a loaded machine adds to a limit.
const SLACK: Duration = Duration::from_millis(700);

/// Makes every call once, all at the same time; each must fail in time.
async fn every_call_fails(queue: &Queue) {
    let (q, both, log) = ([name("q")], [name("q"), name("r")], LogId(ticket(1, 0)));
    let entry = [ready("q", ticket(1, 0), 0)];
    let (gone, output) = ([(name("q"), ticket(1, 0))], [(log, 0, Bytes::from_static(b"x"))]);
    tokio::join!(
        fails("ping", queue.ping()),
        fails("push", queue.push(&entry)),
        fails("pop from one", queue.pop(&q, 5, LONG)),
        fails("pop from two", queue.pop(&both, 5, LONG)),
        fails("remove", queue.remove(&gone)),
        fails("depth", queue.depth(&q[0])),
        fails("contains", queue.contains(&q[0], ticket(1, 0))),
        fails("tickets", queue.tickets(&q[0], 5)),
        fails("clear", queue.clear(&q[0])),
        fails("ring", queue.ring(Bell::Engine)),
        fails("append", queue.append(&output)),
        fails("read", queue.read(&log, 0, 10)),
        fails("wait", queue.wait(&log, 0, LONG)),
        fails("finish", queue.finish(&log)),
        fails("marker_present", queue.marker_present()),
        fails("set_marker", queue.set_marker()),
        fails("wipe", queue.wipe()),
    );
}

async fn fails<T>(what: &str, call: impl Future<Output = Result<T, Error>>) {
    let started = Instant::now();
    let Err(error) = call.await else { panic!("{what} succeeded without Redis") };
    assert!(started.elapsed() < CALL_LIMIT + SLACK, "{what} took {:?}", started.elapsed());
    assert!(matches!(error, Error::Timeout { .. } | Error::Unreachable { .. }), "{what}: {error:?}");
}

async fn until_missed(bells: &mut Bells) {
    while bells.next(LONG).await.expect("a bell") != Bell::Missed {}
}

#[tokio::test]
async fn every_call_fails_while_redis_is_away() {
    let url = format!("redis://127.0.0.1:{}/0", free_port());
    every_call_fails(&Queue::redis(&url, "tw").unwrap()).await;
}

#[tokio::test]
async fn every_call_fails_in_time_while_redis_hangs() {
    let server = Server::start();
    let queue = server.queue();
    queue.ping().await.unwrap();
    server.signal("STOP");
    // First on the connection that was good, then while trying to make another one.
    every_call_fails(&queue).await;
    every_call_fails(&queue).await;
    server.signal("CONT");
    queue.ping().await.unwrap();
    assert_eq!(queue.push(&[ready("r", ticket(1, 0), 0)]).await, Ok(1));
}

#[tokio::test]
async fn calls_work_again_after_a_restart() {
    let mut server = Server::start();
    let queue = server.queue();
    let both = [name("q"), name("r")];
    queue.set_marker().await.unwrap();
    queue.push(&[ready("q", ticket(1, 0), 0)]).await.unwrap();
    assert_eq!(queue.pop(&both, 5, LONG).await.unwrap().len(), 1);
    server.kill();
    server.restart();
    assert_eq!(queue.marker_present().await, Ok(false));
    queue.push(&[ready("q", ticket(2, 0), 0), ready("r", ticket(2, 1), 0)]).await.unwrap();
    assert_eq!(queue.pop(&both, 5, LONG).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_blocked_consumer_survives_a_restart() {
    let mut server = Server::start();
    let queue = server.queue();
    let consumer = tokio::spawn({
        let queue = queue.clone();
        async move {
            let mut failures = 0;
            loop {
                match queue.pop(&[name("q")], 5, LONG).await {
                    Ok(popped) if !popped.is_empty() => return (popped, failures),
                    Ok(_) => {}
                    Err(_) => failures += 1,
                }
            }
        }
    });
    server.blocked(1).await;
    server.kill();
    // The consumer reports the outage instead of sleeping through it, and does not spin while it lasts.
    let started = Instant::now();
    every_call_fails(&queue).await;
    server.restart();
    server.blocked(1).await;
    let lasted = started.elapsed();
    queue.push(&[ready("q", ticket(3, 0), 0)]).await.unwrap();
    let (popped, failures) = consumer.await.unwrap();
    assert_eq!(popped, [(name("q"), ticket(3, 0))]);
    let most = 2 + lasted.as_millis() / 250;
    assert!((1..=most).contains(&failures), "{failures} failures in {lasted:?}");
}

#[tokio::test]
async fn a_dropped_consumer_leaves_redis() {
    let server = Server::start();
    let queue = server.queue();
    let consumer = tokio::spawn({
        let queue = queue.clone();
        async move { queue.pop(&[name("q")], 5, LONG).await }
    });
    server.blocked(1).await;
    consumer.abort();
    server.blocked(0).await;
    queue.push(&[ready("q", ticket(1, 0), 0)]).await.unwrap();
    assert_eq!(queue.depth(&name("q")).await, Ok(1));
}

#[tokio::test]
async fn waiting_consumers_reuse_their_connection() {
    let server = Server::start();
    let queue = server.queue();
    for index in 0..20 {
        let names = [name("q")];
        let (popped, ()) = tokio::join!(queue.pop(&names, 1, LONG), async {
            server.blocked(1).await;
            queue.push(&[ready("q", ticket(1, index), 0)]).await.unwrap();
        });
        assert_eq!(popped, Ok(vec![(name("q"), ticket(1, index))]));
    }
    let clients: String =
        redis::cmd("CLIENT").arg("LIST").query_async(&mut server.client().await).await.unwrap();
    let blocking = clients.lines().filter(|line| line.contains("cmd=bzpopmin")).count();
    assert_eq!(blocking, 1, "{clients}");
}

#[tokio::test]
async fn subscribers_learn_of_a_restart() {
    let mut server = Server::start();
    let queue = server.queue();
    let mut bells = queue.subscribe(&[BellKind::Engine]).await;
    server.kill();
    assert!(queue.ring(Bell::Engine).await.is_err());
    server.restart();
    assert_eq!(bells.next(LONG).await, Some(Bell::Missed));
    queue.ring(Bell::Engine).await.unwrap();
    assert_eq!(bells.next(LONG).await, Some(Bell::Engine));
    assert_eq!(bells.next(SHORT).await, None);
}

#[tokio::test]
async fn a_subscription_made_during_an_outage_works_afterwards() {
    let mut server = Server::start();
    let queue = server.queue();
    server.kill();
    let started = Instant::now();
    let mut bells = queue.subscribe(&[BellKind::Stop]).await;
    assert!(started.elapsed() < CALL_LIMIT + SLACK);
    server.restart();
    assert_eq!(bells.next(LONG).await, Some(Bell::Missed));
    queue.ring(Bell::Stop(ticket(1, 0))).await.unwrap();
    assert_eq!(bells.next(LONG).await, Some(Bell::Stop(ticket(1, 0))));
}

#[tokio::test]
async fn a_killed_subscription_is_made_again() {
    let server = Server::start();
    let queue = server.queue();
    let mut bells = queue.subscribe(&[BellKind::Config]).await;
    let killed: usize = redis::cmd("CLIENT")
        .arg(&["KILL", "TYPE", "pubsub"])
        .query_async(&mut server.client().await)
        .await
        .unwrap();
    assert_eq!(killed, 1);
    until_missed(&mut bells).await;
    queue.ring(Bell::Config).await.unwrap();
    assert_eq!(bells.next(LONG).await, Some(Bell::Config));
}

#[tokio::test]
async fn all_subscriptions_share_one_connection() {
    let server = Server::start();
    let queue = server.queue();
    let mut kept = Vec::new();
    for kind in BellKind::ALL.into_iter().cycle().take(40) {
        kept.push(queue.subscribe(&[kind]).await);
    }
    let clients: String = redis::cmd("CLIENT")
        .arg(&["LIST", "TYPE", "pubsub"])
        .query_async(&mut server.client().await)
        .await
        .unwrap();
    assert_eq!(clients.lines().count(), 1, "{clients}");
}

#[tokio::test]
async fn flushall_takes_everything_and_breaks_nothing() {
    let server = Server::start();
    let queue = server.queue();
    let (q, log) = (name("q"), LogId(ticket(1, 0)));
    let mut bells = queue.subscribe(&[BellKind::Engine]).await;
    queue.set_marker().await.unwrap();
    queue.push(&[ready("q", ticket(1, 0), 0)]).await.unwrap();
    queue.append(&[(log, 0, Bytes::from_static(b"early"))]).await.unwrap();
    let consumer = tokio::spawn({
        let queue = queue.clone();
        async move { queue.pop(&[name("other")], 5, LONG).await }
    });
    server.blocked(1).await;
    let _: () = redis::cmd("FLUSHALL").query_async(&mut server.client().await).await.unwrap();
    assert_eq!(queue.marker_present().await, Ok(false));
    assert_eq!(queue.depth(&q).await, Ok(0));
    queue.push(&[ready("q", ticket(1, 0), 0), ready("other", ticket(1, 1), 0)]).await.unwrap();
    assert_eq!(consumer.await.unwrap(), Ok(vec![(name("other"), ticket(1, 1))]));
    assert_eq!(queue.pop(&[q], 5, LONG).await.unwrap().len(), 1);
    queue.append(&[(log, 5, Bytes::from_static(b" late"))]).await.unwrap();
    let read = queue.read(&log, 0, 100).await.unwrap();
    assert_eq!((read.start, &read.bytes[..]), (5, &b" late"[..]));
    queue.ring(Bell::Engine).await.unwrap();
    assert_eq!(bells.next(LONG).await, Some(Bell::Engine));
}
