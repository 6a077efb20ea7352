//! The ready queue against the simplest thing that could be right: a list that is sorted before each pop.

use crate::ready::{name, ready, ticket};
use crate::server::Server;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use queue::{Queue, QueueName, Ready, Ticket};
use std::time::Duration;
use tokio::runtime::Runtime;

const QUEUES: [&str; 3] = ["a", "b", "c"];

/// What a test case does to the queue.
#[derive(Debug, Clone)]
enum Step {
    Push(Vec<Ready>),
    Pop { queues: Vec<QueueName>, n: usize },
    Remove(Vec<(QueueName, Ticket)>),
}

fn entries() -> impl Strategy<Value = Ready> {
    // Few different values, so that ties and repetitions are common.
    (0..QUEUES.len(), 0..12_i64, 0..4_u32, 0..12_i64).prop_map(|(queue, run, index, at)| {
        ready(QUEUES[queue], ticket(run, index), 1_764_000_000_000_000 + at)
    })
}

fn steps() -> impl Strategy<Value = Step> {
    let names = prop::sample::subsequence(QUEUES.to_vec(), 1..=QUEUES.len())
        .prop_map(|names| names.into_iter().map(name).collect::<Vec<_>>());
    prop_oneof![
        3 => prop::collection::vec(entries(), 0..12).prop_map(Step::Push),
        3 => (names, 1..8_usize).prop_map(|(queues, n)| Step::Pop { queues, n }),
        1 => prop::collection::vec(entries().prop_map(|entry| (entry.queue, entry.ticket)), 0..4).prop_map(Step::Remove),
    ]
}

/// The list.
#[derive(Default)]
struct Model(Vec<Ready>);

impl Model {
    fn push(&mut self, entries: &[Ready]) -> usize {
        let before = self.0.len();
        let mut earliest = 0;
        for entry in entries {
            let released_us = entry.released_us.max(earliest);
            earliest = released_us + 1;
            if !self.0.iter().any(|known| known.queue == entry.queue && known.ticket == entry.ticket) {
                self.0.push(Ready { released_us, ..entry.clone() });
            }
        }
        self.0.len() - before
    }

    fn pop(&mut self, queues: &[QueueName], n: usize) -> Vec<(QueueName, Ticket)> {
        self.0.sort_by_key(|entry| {
            (entry.released_us, entry.ticket, queues.iter().position(|name| *name == entry.queue))
        });
        let (mut wanted, others): (Vec<_>, Vec<_>) =
            self.0.drain(..).partition(|entry| queues.contains(&entry.queue));
        self.0 = others;
        self.0.extend(wanted.split_off(n.min(wanted.len())));
        wanted.into_iter().map(|entry| (entry.queue, entry.ticket)).collect()
    }

    fn remove(&mut self, entries: &[(QueueName, Ticket)]) -> usize {
        let before = self.0.len();
        self.0.retain(|known| !entries.contains(&(known.queue.clone(), known.ticket)));
        before - self.0.len()
    }
}

async fn check(queue: &Queue, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut model = Model::default();
    queue.wipe().await.unwrap();
    for step in steps {
        match step {
            Step::Push(entries) => prop_assert_eq!(queue.push(entries).await, Ok(model.push(entries))),
            Step::Pop { queues, n } => {
                prop_assert_eq!(queue.pop(queues, *n, Duration::ZERO).await, Ok(model.pop(queues, *n)));
            }
            Step::Remove(entries) => prop_assert_eq!(queue.remove(entries).await, Ok(model.remove(entries))),
        }
    }
    Ok(())
}

fn behaves_like_a_sorted_list(queue: &Queue, cases: u32) {
    let runtime = Runtime::new().unwrap();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let cases = prop::collection::vec(steps(), 1..25);
    TestRunner::new(config).run(&cases, |steps| runtime.block_on(check(queue, &steps))).unwrap();
}

#[test]
fn memory_behaves_like_a_sorted_list() {
    behaves_like_a_sorted_list(&Queue::memory(), 500);
}

#[test]
fn redis_behaves_like_a_sorted_list() {
    let server = Server::start();
    behaves_like_a_sorted_list(&server.queue(), 150);
}
