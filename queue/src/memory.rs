//! The twin inside this process, with the behaviour of the Redis backend: `tests/it` holds both to it.

mod lanes;
mod logs;

use crate::bell::{Bell, Kinds};
use crate::hub::{Hub, Mailbox};
use crate::{LiveChunk, LogId, QueueName, Ready, Ticket};
use bytes::Bytes;
use lanes::Lanes;
use logs::Logs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A queue that lives and dies with the process.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    lanes: Lanes,
    hub: Hub,
    logs: Logs,
    marker: AtomicBool,
}

impl Memory {
    pub(crate) fn marker_present(&self) -> bool {
        self.marker.load(Ordering::Acquire)
    }

    pub(crate) fn set_marker(&self) {
        self.marker.store(true, Ordering::Release);
    }

    pub(crate) fn wipe(&self) {
        self.marker.store(false, Ordering::Release);
        self.lanes.wipe();
        self.logs.wipe();
    }

    pub(crate) fn push(&self, ready: &[Ready]) -> usize {
        self.lanes.push(ready)
    }

    pub(crate) async fn pop(
        &self,
        queues: &[QueueName],
        n: usize,
        wait: Duration,
    ) -> Vec<(QueueName, Ticket)> {
        self.lanes.pop(queues, n, wait).await
    }

    pub(crate) fn remove(&self, entries: &[(QueueName, Ticket)]) -> usize {
        self.lanes.remove(entries)
    }

    pub(crate) fn depth(&self, queue: &QueueName) -> u64 {
        self.lanes.depth(queue)
    }

    pub(crate) fn contains(&self, queue: &QueueName, ticket: Ticket) -> bool {
        self.lanes.contains(queue, ticket)
    }

    pub(crate) fn tickets(&self, queue: &QueueName, limit: usize) -> Vec<Ticket> {
        self.lanes.tickets(queue, limit)
    }

    pub(crate) fn clear(&self, queue: &QueueName) {
        self.lanes.clear(queue);
    }

    pub(crate) fn ring(&self, bells: &[Bell]) {
        for bell in bells.iter().filter(|bell| bell.kind().is_some()) {
            self.hub.ring(bell);
        }
    }

    pub(crate) fn subscribe(&self, kinds: Kinds) -> Arc<Mailbox> {
        self.hub.open(kinds)
    }

    pub(crate) fn append(&self, pieces: &[(LogId, u64, Bytes)]) {
        self.logs.append(pieces);
    }

    pub(crate) fn read(&self, log: &LogId, from_byte: u64, max: usize) -> LiveChunk {
        self.logs.read(log, from_byte, max)
    }

    pub(crate) async fn wait(&self, log: &LogId, from_byte: u64, timeout: Duration) -> bool {
        self.logs.wait(log, from_byte, timeout).await
    }

    pub(crate) fn finish(&self, log: &LogId) {
        self.logs.finish(log);
    }
}
