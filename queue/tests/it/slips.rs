//! What other people and programs leave in our Redis.

use crate::LONG;
use crate::ready::{name, ready, ticket};
use crate::server::Server;
use bytes::Bytes;
use queue::{Bell, BellKind, Error, FINISHED_LOG_KEPT, LogId, Queue};
use redis::AsyncCommands;
use std::time::Duration;

#[tokio::test]
async fn a_queue_of_a_foreign_type_is_moved_aside() {
    let server = Server::start();
    let (queue, mut client) = (server.queue(), server.client().await);
    let names = [name("a"), name("b")];
    let entry = [ready("b", ticket(1, 0), 0)];
    for key in ["tw:ready:a", "tw:ready:b"] {
        let _: () = client.set(key, "mine").await.unwrap();
    }
    assert_eq!(queue.pop(&names, 5, Duration::ZERO).await, Ok(Vec::new()));
    assert_eq!(queue.push(&entry).await, Ok(1));
    assert_eq!(queue.pop(&names, 5, LONG).await, Ok(vec![(name("b"), ticket(1, 0))]));
    let aside: String = client.get("tw:aside:tw:ready:a").await.unwrap();
    assert_eq!(aside, "mine");

    for key in ["tw:ready:a", "tw:ready:b"] {
        let _: () = client.lpush(key, "mine").await.unwrap();
    }
    assert_eq!(queue.push(&[ready("a", ticket(2, 0), 0), ready("b", ticket(2, 1), 0)]).await, Ok(2));
    assert_eq!(queue.pop(&names[..1], 5, LONG).await, Ok(vec![(name("a"), ticket(2, 0))]));
}

#[tokio::test]
async fn every_look_at_a_foreign_type_works() {
    let server = Server::start();
    let (queue, mut client) = (server.queue(), server.client().await);
    let q = name("q");
    let mut foreign = async || {
        let _: () = client.set("tw:ready:q", "mine").await.unwrap();
    };
    foreign().await;
    assert_eq!(queue.depth(&q).await, Ok(0));
    foreign().await;
    assert_eq!(queue.tickets(&q, 5).await, Ok(Vec::new()));
    foreign().await;
    assert_eq!(queue.contains(&q, ticket(1, 0)).await, Ok(false));
    foreign().await;
    assert_eq!(queue.remove(&[(q.clone(), ticket(1, 0))]).await, Ok(0));
    foreign().await;
    queue.clear(&q).await.unwrap();
    assert_eq!(queue.push(&[ready("q", ticket(1, 0), 0)]).await, Ok(1));
}

#[tokio::test]
async fn a_log_or_marker_of_a_foreign_type_does_no_harm() {
    let server = Server::start();
    let (queue, mut client) = (server.queue(), server.client().await);
    let log = LogId(ticket(1, 0));
    let _: () = client.set("tw:log:1:0:1", "mine").await.unwrap();
    assert_eq!(queue.read(&log, 0, 100).await.unwrap().bytes, b"");
    let _: () = client.set("tw:log:1:0:1", "mine").await.unwrap();
    queue.append(&[(log, 0, Bytes::from_static(b"ours"))]).await.unwrap();
    assert_eq!(queue.read(&log, 0, 100).await.unwrap().bytes, b"ours");
    let _: () = client.lpush("tw:marker", "mine").await.unwrap();
    assert_eq!(queue.marker_present().await, Ok(true));
    queue.set_marker().await.unwrap();
}

#[tokio::test]
async fn foreign_entries_are_dropped() {
    let server = Server::start();
    let (queue, mut client) = (server.queue(), server.client().await);
    for (member, rank) in [(&b"hello"[..], 1.0), (b"\xff\xfe", f64::NEG_INFINITY), (b"1:2", 2.5)] {
        let _: () = client.zadd("tw:ready:q", member, rank).await.unwrap();
    }
    queue.push(&[ready("q", ticket(1, 0), 0)]).await.unwrap();
    assert_eq!(queue.tickets(&name("q"), 9).await, Ok(vec![ticket(1, 0)]));
    assert_eq!(queue.pop(&[name("q"), name("r")], 9, LONG).await, Ok(vec![(name("q"), ticket(1, 0))]));
    assert_eq!(queue.depth(&name("q")).await, Ok(0));

    let log = LogId(ticket(1, 0));
    queue.append(&[(log, 0, Bytes::from_static(b"abc"))]).await.unwrap();
    let _: () = client.xadd("tw:log:1:0:1", "4-7", &[("x", "y")]).await.unwrap();
    queue.append(&[(log, 3, Bytes::from_static(b"def"))]).await.unwrap();
    assert_eq!(queue.read(&log, 0, 100).await.unwrap().bytes, b"abcdef");
}

#[tokio::test]
async fn foreign_messages_are_no_bells() {
    let server = Server::start();
    let (queue, mut client) = (server.queue(), server.client().await);
    let mut bells = queue.subscribe(&BellKind::ALL).await;
    for (channel, text) in
        [("tw:bell:0:stop", "everything"), ("tw:bell:0:changed", "[1]"), ("tw:bell:0:changed", "")]
    {
        let heard: usize = client.publish(channel, text).await.unwrap();
        assert_eq!(heard, 1);
    }
    queue.ring(Bell::Engine).await.unwrap();
    assert_eq!(bells.next(LONG).await, Some(Bell::Engine));
}

#[tokio::test]
async fn prefixes_and_databases_are_apart() {
    let server = Server::start();
    let url = server.url();
    let second = format!("{}/1", url.trim_end_matches("/0"));
    let queues = [("tw", &url), ("tw2", &url), ("tw", &second)]
        .map(|(prefix, url)| Queue::redis(url, prefix).unwrap());
    let mut bells = Vec::new();
    for (number, queue) in queues.iter().enumerate() {
        bells.push(queue.subscribe(&[BellKind::Stop]).await);
        queue.set_marker().await.unwrap();
        queue.push(&[ready("q", ticket(number as i64, 0), 0)]).await.unwrap();
    }
    for (number, queue) in queues.iter().enumerate() {
        queue.ring(Bell::Stop(ticket(number as i64, 0))).await.unwrap();
        assert_eq!(bells[number].next(LONG).await, Some(Bell::Stop(ticket(number as i64, 0))));
        assert_eq!(queue.tickets(&name("q"), 9).await, Ok(vec![ticket(number as i64, 0)]));
    }
    queues[0].wipe().await.unwrap();
    assert_eq!(queues[0].marker_present().await, Ok(false));
    for queue in &queues[1..] {
        assert_eq!((queue.marker_present().await, queue.depth(&name("q")).await), (Ok(true), Ok(1)));
    }
}

#[tokio::test]
async fn logs_expire() {
    let server = Server::start();
    let (queue, mut client) = (server.queue(), server.client().await);
    queue.append(&[(LogId(ticket(1, 0)), 0, Bytes::from_static(b"abc"))]).await.unwrap();
    let running: u64 = client.ttl("tw:log:1:0:1").await.unwrap();
    queue.finish(&LogId(ticket(1, 0))).await.unwrap();
    let ended: u64 = client.ttl("tw:log:1:0:1").await.unwrap();
    assert!(running > FINISHED_LOG_KEPT.as_secs());
    assert!((FINISHED_LOG_KEPT.as_secs() - 5..=FINISHED_LOG_KEPT.as_secs()).contains(&ended));
}

#[tokio::test]
async fn passwords_are_used_and_not_told() {
    let server = Server::start_with(Some("geheim"));
    let queue = server.queue();
    queue.ping().await.unwrap();
    assert!(!queue.address().contains("geheim") && !format!("{queue:?}").contains("geheim"));
    let wrong = server.url().replace("geheim", "geraten");
    for url in [server.url_without_password(), wrong] {
        let error = Queue::redis(&url, "tw").unwrap().ping().await.unwrap_err();
        assert!(matches!(error, Error::LockedOut { .. }), "{error:?}");
        assert!(!error.to_string().contains("geraten"));
    }
}

#[tokio::test]
async fn a_full_redis_says_so() {
    let server = Server::start();
    let (queue, mut client) = (server.queue(), server.client().await);
    let _: () = redis::cmd("CONFIG").arg(&["SET", "maxmemory", "1"]).query_async(&mut client).await.unwrap();
    let error = queue.push(&[ready("q", ticket(1, 0), 0)]).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { reason, .. } if reason.contains("OOM")), "{error:?}");
    let log = [(LogId(ticket(1, 0)), 0, Bytes::from_static(b"abc"))];
    assert!(matches!(queue.append(&log).await, Err(Error::Refused { .. })));
}
