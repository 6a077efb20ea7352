//! The ready queue, on both backends.

use crate::{LONG, SHORT, conformance};
use queue::{Error, Queue, QueueName, Ready, Ticket};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// A moment, in microseconds.
const NOW: i64 = 1_764_000_000_000_000;

conformance!(
    pings,
    pops_in_the_order_of_release,
    entries_of_one_push_keep_their_order,
    what_was_lost_comes_back_to_its_place,
    takes_the_earliest_over_all_queues,
    a_queue_named_twice_is_one_queue,
    pushing_twice_is_pushing_once,
    an_empty_queue_is_waited_for,
    a_push_wakes_the_waiting,
    a_push_to_any_queue_wakes_the_waiting,
    a_dropped_wait_takes_nothing,
    nothing_to_take_is_waited_out,
    looks_without_taking,
    removes_and_clears,
    many_consumers_take_each_ticket_once,
    a_hundred_thousand_tickets,
    the_marker_shows_a_wipe,
    limits,
);

pub(crate) fn name(text: &str) -> QueueName {
    QueueName::new(text).unwrap()
}

pub(crate) fn ticket(run: i64, index: u32) -> Ticket {
    Ticket { run, index, try_number: 1 }
}

pub(crate) fn ready(queue: &str, ticket: Ticket, released_us: i64) -> Ready {
    Ready { queue: name(queue), ticket, released_us }
}

/// Everything of a queue that is there now, in order.
async fn drain(queue: &Queue, names: &[QueueName]) -> Vec<Ticket> {
    let popped = queue.pop(names, 1000, Duration::ZERO).await.unwrap();
    popped.into_iter().map(|(_, ticket)| ticket).collect()
}

async fn pings(queue: Queue) {
    queue.ping().await.unwrap();
    assert!(!queue.address().is_empty());
}

async fn pops_in_the_order_of_release(queue: Queue) {
    // The later batch comes first, as it may when two pushes overtake each other.
    let later = [ready("q", ticket(1, 0), NOW + 10), ready("q", ticket(10, 0), NOW + 11)];
    let earlier =
        [ready("q", ticket(3, 0), NOW - 1), ready("q", ticket(8, 1), NOW), ready("q", ticket(2, 0), NOW + 9)];
    assert_eq!(queue.push(&later).await, Ok(2));
    assert_eq!(queue.push(&earlier).await, Ok(3));
    assert_eq!(queue.push(&[ready("q", ticket(5, 0), NOW + 10)]).await, Ok(1));
    let order = [ticket(3, 0), ticket(8, 1), ticket(2, 0), ticket(1, 0), ticket(5, 0), ticket(10, 0)];
    assert_eq!(queue.tickets(&name("q"), 100).await.unwrap(), order);
    let first = queue.pop(&[name("q")], 2, LONG).await.unwrap();
    assert_eq!(first, [(name("q"), order[0]), (name("q"), order[1])]);
    assert_eq!(drain(&queue, &[name("q")]).await, order[2..]);
}

async fn entries_of_one_push_keep_their_order(queue: Queue) {
    let order = [(9, 0), (2, 7), (10, 1), (2, 0), (1, 5)].map(|(run, index)| ticket(run, index));
    let batch = order.map(|ticket| ready("q", ticket, NOW));
    assert_eq!(queue.push(&batch).await, Ok(5));
    assert_eq!(queue.push(&batch).await, Ok(0));
    let backwards: Vec<_> = batch.iter().rev().cloned().collect();
    assert_eq!(queue.push(&backwards).await, Ok(0));
    assert_eq!(drain(&queue, &[name("q")]).await, order);
    // Over several queues too, whichever of them a worker listens to.
    let mixed = order.map(|ticket| ready(if ticket.run == 2 { "a" } else { "b" }, ticket, NOW));
    assert_eq!(queue.push(&mixed).await, Ok(5));
    assert_eq!(drain(&queue, &[name("b"), name("a")]).await, order);
}

async fn what_was_lost_comes_back_to_its_place(queue: Queue) {
    let batch = [3, 1, 2].map(|run| ready("q", ticket(run, 0), NOW + run));
    let sweep = [1, 2, 3].map(|run| ready("q", ticket(run, 0), NOW + run));
    queue.push(&batch[1..]).await.unwrap();
    queue.push(&batch[..1]).await.unwrap();
    // A worker took it and died before it could claim it.
    let taken = queue.pop(&[name("q")], 1, LONG).await;
    assert_eq!(taken, Ok(vec![(name("q"), ticket(1, 0))]));
    assert_eq!(queue.push(&sweep).await, Ok(1));
    assert_eq!(drain(&queue, &[name("q")]).await, [ticket(1, 0), ticket(2, 0), ticket(3, 0)]);
}

async fn takes_the_earliest_over_all_queues(queue: Queue) {
    let entries = [
        ready("c", ticket(3, 0), NOW),
        ready("b", ticket(2, 0), NOW + 1),
        ready("a", ticket(1, 1), NOW + 2),
        ready("a", ticket(1, 0), NOW + 3),
        ready("b", ticket(2, 1), NOW + 4),
    ];
    queue.push(&entries).await.unwrap();
    let two = [name("a"), name("b")];
    let first = queue.pop(&two, 3, LONG).await.unwrap();
    assert_eq!(first, [(name("b"), ticket(2, 0)), (name("a"), ticket(1, 1)), (name("a"), ticket(1, 0))]);
    assert_eq!(drain(&queue, &two).await, [ticket(2, 1)]);
    assert_eq!(queue.depth(&name("c")).await, Ok(1));
}

async fn a_queue_named_twice_is_one_queue(queue: Queue) {
    queue.push(&[ready("a", ticket(1, 0), NOW), ready("a", ticket(1, 1), NOW)]).await.unwrap();
    assert_eq!(drain(&queue, &[name("a"), name("b"), name("a")]).await, [ticket(1, 0), ticket(1, 1)]);
}

async fn pushing_twice_is_pushing_once(queue: Queue) {
    let (first, second) = (ready("q", ticket(1, 0), NOW), ready("q", ticket(2, 0), NOW));
    assert_eq!(queue.push(&[first.clone(), second.clone(), first.clone()]).await, Ok(2));
    let again = Ready { released_us: NOW + 99, ..first.clone() };
    assert_eq!(queue.push(&[again, ready("q", ticket(1, 1), NOW + 1)]).await, Ok(1));
    assert_eq!(drain(&queue, &[name("q")]).await, [ticket(1, 0), ticket(2, 0), ticket(1, 1)]);
    assert_eq!(queue.push(&[]).await, Ok(0));
    assert_eq!(queue.push(&[first]).await, Ok(1));
}

async fn an_empty_queue_is_waited_for(queue: Queue) {
    let started = Instant::now();
    assert_eq!(queue.pop(&[name("q")], 4, SHORT).await, Ok(Vec::new()));
    assert!(started.elapsed() >= SHORT);
    assert!(started.elapsed() < LONG);
}

async fn a_push_wakes_the_waiting(queue: Queue) {
    let consumer = tokio::spawn({
        let queue = queue.clone();
        async move { queue.pop(&[name("q")], 10, LONG).await.unwrap() }
    });
    let batch: Vec<_> = (0..3).map(|index| ready("q", ticket(1, index), NOW)).collect();
    let started = Instant::now();
    queue.push(&batch).await.unwrap();
    let mut taken = consumer.await.unwrap();
    assert!(started.elapsed() < LONG);
    taken.extend(queue.pop(&[name("q")], 10, Duration::ZERO).await.unwrap());
    assert_eq!(taken.len(), 3);
    assert!(taken.is_sorted());
}

async fn a_push_to_any_queue_wakes_the_waiting(queue: Queue) {
    let names = [name("a"), name("b")];
    let entry = [ready("b", ticket(1, 0), NOW)];
    let (taken, pushed) = tokio::join!(queue.pop(&names, 10, LONG), queue.push(&entry));
    assert_eq!(pushed, Ok(1));
    assert_eq!(taken, Ok(vec![(name("b"), ticket(1, 0))]));
}

async fn a_dropped_wait_takes_nothing(queue: Queue) {
    let names = [name("q")];
    assert!(tokio::time::timeout(SHORT, queue.pop(&names, 10, LONG)).await.is_err());
    queue.push(&[ready("q", ticket(1, 0), NOW)]).await.unwrap();
    assert_eq!(queue.pop(&names, 10, LONG).await, Ok(vec![(name("q"), ticket(1, 0))]));
}

async fn nothing_to_take_is_waited_out(queue: Queue) {
    queue.push(&[ready("q", ticket(1, 0), NOW)]).await.unwrap();
    let started = Instant::now();
    assert_eq!(queue.pop(&[name("q")], 0, SHORT).await, Ok(Vec::new()));
    assert_eq!(queue.pop(&[], 5, SHORT).await, Ok(Vec::new()));
    assert!(started.elapsed() >= SHORT * 2);
    assert_eq!(queue.depth(&name("q")).await, Ok(1));
}

async fn looks_without_taking(queue: Queue) {
    let q = name("q");
    assert_eq!(queue.depth(&q).await, Ok(0));
    assert_eq!(queue.tickets(&q, 10).await, Ok(Vec::new()));
    assert_eq!(queue.contains(&q, ticket(1, 0)).await, Ok(false));
    let batch: Vec<_> = (0..5).map(|index| ready("q", ticket(1, index), NOW)).collect();
    queue.push(&batch).await.unwrap();
    assert_eq!(queue.depth(&q).await, Ok(5));
    assert_eq!(queue.contains(&q, ticket(1, 4)).await, Ok(true));
    assert_eq!(queue.contains(&q, Ticket { try_number: 2, ..ticket(1, 4) }).await, Ok(false));
    assert_eq!(queue.contains(&name("other"), ticket(1, 4)).await, Ok(false));
    assert_eq!(queue.tickets(&q, 2).await, Ok(vec![ticket(1, 0), ticket(1, 1)]));
    assert_eq!(queue.tickets(&q, 0).await, Ok(Vec::new()));
    assert_eq!(queue.depth(&q).await, Ok(5));
}

async fn removes_and_clears(queue: Queue) {
    let (a, b) = (name("a"), name("b"));
    for queue_name in ["a", "b"] {
        let batch: Vec<_> = (0..4).map(|index| ready(queue_name, ticket(1, index), NOW)).collect();
        queue.push(&batch).await.unwrap();
    }
    let gone = [(a.clone(), ticket(1, 1)), (a.clone(), ticket(9, 9)), (b.clone(), ticket(1, 0))];
    assert_eq!(queue.remove(&gone).await, Ok(2));
    assert_eq!(queue.remove(&gone).await, Ok(0));
    assert_eq!(queue.remove(&[]).await, Ok(0));
    assert_eq!(queue.tickets(&a, 9).await, Ok(vec![ticket(1, 0), ticket(1, 2), ticket(1, 3)]));
    queue.clear(&a).await.unwrap();
    assert_eq!((queue.depth(&a).await, queue.depth(&b).await), (Ok(0), Ok(3)));
}

async fn many_consumers_take_each_ticket_once(queue: Queue) {
    const TICKETS: usize = 2000;
    let (done, _) = tokio::sync::watch::channel(0_usize);
    let mut consumers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (queue, done) = (queue.clone(), done.clone());
        consumers.spawn(async move {
            let names = [name("a"), name("b")];
            let mut taken = Vec::new();
            while *done.borrow() < TICKETS {
                let popped = queue.pop(&names, 7, Duration::from_millis(20)).await.unwrap();
                done.send_modify(|count| *count += popped.len());
                taken.extend(popped);
            }
            taken
        });
    }
    for run in 0..20 {
        let batch: Vec<_> = (0..100_u32)
            .map(|index| ready(if index % 2 == 0 { "a" } else { "b" }, ticket(run, index), NOW + run))
            .collect();
        queue.push(&batch).await.unwrap();
    }
    let all: Vec<_> = consumers.join_all().await.into_iter().flatten().collect();
    assert_eq!(all.len(), TICKETS);
    assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), TICKETS);
}

async fn a_hundred_thousand_tickets(queue: Queue) {
    const TICKETS: usize = 100_000;
    let entries: Vec<_> = (0..TICKETS)
        .map(|number| ready("q", ticket(number as i64 % 100, number as u32 / 100), NOW + number as i64))
        .collect();
    assert_eq!(queue.push(&entries).await, Ok(TICKETS));
    assert_eq!(queue.depth(&name("q")).await, Ok(TICKETS as u64));
    let mut taken = Vec::new();
    while taken.len() < TICKETS {
        let popped = queue.pop(&[name("q")], usize::MAX, Duration::ZERO).await.unwrap();
        assert!(!popped.is_empty() && popped.len() <= queue::BATCH_LIMIT);
        taken.extend(popped.into_iter().map(|(_, ticket)| ticket));
    }
    assert!(entries.iter().map(|entry| entry.ticket).eq(taken));
}

async fn the_marker_shows_a_wipe(queue: Queue) {
    assert_eq!(queue.marker_present().await, Ok(false));
    queue.set_marker().await.unwrap();
    queue.set_marker().await.unwrap();
    assert_eq!(queue.marker_present().await, Ok(true));
    queue.push(&[ready("q", ticket(1, 0), NOW)]).await.unwrap();
    queue.wipe().await.unwrap();
    assert_eq!(queue.marker_present().await, Ok(false));
    assert_eq!(queue.depth(&name("q")).await, Ok(0));
}

async fn limits(queue: Queue) {
    let names: Vec<_> = (0..300).map(|number| name(&format!("q{number}"))).collect();
    let error = queue.pop(&names, 1, LONG).await.unwrap_err();
    assert_eq!(error, Error::TooManyQueues { count: 300, limit: 256 });
    let odd = name(&"ü*{} ?".repeat(30));
    queue.push(&[Ready { queue: odd.clone(), ..ready("x", ticket(1, 0), i64::MIN) }]).await.unwrap();
    assert_eq!(queue.pop(std::slice::from_ref(&odd), 1, LONG).await, Ok(vec![(odd, ticket(1, 0))]));
}
