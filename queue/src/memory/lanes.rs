//! The ready queue inside this process.

use crate::ticket::ranks;
use crate::{QueueName, Ready, Ticket, held};
use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// One lane for each queue.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: Mutex<HashMap<QueueName, Lane>>,
    arrived: Notify,
}

/// The entries of one queue, best first.
#[derive(Debug, Default)]
struct Lane {
    order: BTreeSet<(u64, Ticket)>,
    ranks: HashMap<Ticket, u64>,
}

impl Lanes {
    pub(crate) fn push(&self, ready: &[Ready]) -> usize {
        let mut lanes = held(&self.lanes);
        let mut added = 0;
        for (rank, entry) in ranks(ready).zip(ready) {
            let lane = match lanes.get_mut(&entry.queue) {
                Some(lane) => lane,
                None => lanes.entry(entry.queue.clone()).or_default(),
            };
            added += usize::from(lane.add(entry.ticket, rank));
        }
        drop(lanes);
        if added > 0 {
            self.arrived.notify_waiters();
        }
        added
    }

    pub(crate) async fn pop(
        &self,
        queues: &[QueueName],
        n: usize,
        wait: Duration,
    ) -> Vec<(QueueName, Ticket)> {
        let deadline = Instant::now() + wait;
        loop {
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            // Listening begins before the look, so an entry pushed between the two wakes us.
            arrived.as_mut().enable();
            let best = self.take(queues, n);
            if !best.is_empty() || tokio::time::timeout_at(deadline, arrived).await.is_err() {
                return best;
            }
        }
    }

    fn take(&self, queues: &[QueueName], n: usize) -> Vec<(QueueName, Ticket)> {
        let mut lanes = held(&self.lanes);
        let mut best = Vec::new();
        while best.len() < n {
            let heads = queues.iter().filter_map(|queue| Some((lanes.get(queue)?.order.first()?, queue)));
            let Some((_, queue)) = heads.min_by_key(|(head, _)| *head) else {
                break;
            };
            let Some((_, ticket)) = lanes.get_mut(queue).and_then(Lane::pop) else {
                break;
            };
            best.push((queue.clone(), ticket));
        }
        lanes.retain(|_, lane| !lane.order.is_empty());
        best
    }

    pub(crate) fn remove(&self, entries: &[(QueueName, Ticket)]) -> usize {
        let mut lanes = held(&self.lanes);
        let mut removed = 0;
        for (queue, ticket) in entries {
            removed += usize::from(lanes.get_mut(queue).is_some_and(|lane| lane.remove(*ticket)));
        }
        removed
    }

    pub(crate) fn depth(&self, queue: &QueueName) -> u64 {
        held(&self.lanes).get(queue).map_or(0, |lane| lane.order.len() as u64)
    }

    pub(crate) fn contains(&self, queue: &QueueName, ticket: Ticket) -> bool {
        held(&self.lanes).get(queue).is_some_and(|lane| lane.ranks.contains_key(&ticket))
    }

    pub(crate) fn tickets(&self, queue: &QueueName, limit: usize) -> Vec<Ticket> {
        let lanes = held(&self.lanes);
        let Some(lane) = lanes.get(queue) else {
            return Vec::new();
        };
        lane.order.iter().take(limit).map(|(_, ticket)| *ticket).collect()
    }

    pub(crate) fn clear(&self, queue: &QueueName) {
        held(&self.lanes).remove(queue);
    }

    pub(crate) fn wipe(&self) {
        held(&self.lanes).clear();
    }
}

impl Lane {
    /// Whether the ticket was not here yet.
    fn add(&mut self, ticket: Ticket, rank: u64) -> bool {
        if self.ranks.contains_key(&ticket) {
            return false;
        }
        self.ranks.insert(ticket, rank);
        self.order.insert((rank, ticket))
    }

    fn pop(&mut self) -> Option<(u64, Ticket)> {
        let (rank, ticket) = self.order.pop_first()?;
        self.ranks.remove(&ticket);
        Some((rank, ticket))
    }

    fn remove(&mut self, ticket: Ticket) -> bool {
        self.ranks.remove(&ticket).is_some_and(|rank| self.order.remove(&(rank, ticket)))
    }
}
