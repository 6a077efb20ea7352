//! Live logs: what running tries write, sent to the queue in one pipeline for all of them, several times a second.
//!
//! A try that is over before the first round was due never comes this way: its log is in storage at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use queue::{LogId, Queue};
use tokio::sync::Notify;

/// The time between two rounds.
const ROUND: Duration = Duration::from_millis(75);
/// How much of one try waits for the next round; when there is more, only the newest is sent.
const WAITING: usize = 256 << 10;

/// The live logs of a worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct Live(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    tails: Mutex<HashMap<LogId, Arc<Tail>>>,
    some: Notify,
}

/// The end of one try's log that was not sent yet.
#[derive(Debug)]
pub(crate) struct Tail {
    log: LogId,
    state: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    start: u64,
    bytes: Vec<u8>,
    was_sent: bool,
    ended: bool,
    /// Nothing more will come, but the end is not to be told.
    abandoned: bool,
    /// Somebody goes on with the log later.
    goes_on: bool,
}

impl Live {
    /// The tail of a new log.
    pub(crate) fn open(&self, log: LogId) -> Arc<Tail> {
        let tail = Arc::new(Tail { log, state: Mutex::default() });
        held(&self.0.tails).insert(log, Arc::clone(&tail));
        self.0.some.notify_one();
        tail
    }

    /// Sends rounds for as long as it is polled.
    pub(crate) async fn run(&self, queue: &Queue) {
        loop {
            if held(&self.0.tails).is_empty() {
                self.0.some.notified().await;
            }
            tokio::time::sleep(ROUND).await;
            self.round(queue).await;
        }
    }

    /// Sends what waits, once.
    pub(crate) async fn round(&self, queue: &Queue) {
        let tails: Vec<Arc<Tail>> = held(&self.0.tails).values().cloned().collect();
        let pieces: Vec<_> = tails.iter().filter_map(|tail| tail.take()).collect();
        if !pieces.is_empty()
            && let Err(error) = queue.append(&pieces).await
        {
            tracing::debug!(%error, "live output was dropped; the log itself is safe");
        }
        for tail in tails.iter().filter(|tail| tail.is_over()) {
            self.0.forget(tail);
            if tail.must_tell_the_end()
                && let Err(error) = queue.finish(&tail.log).await
            {
                tracing::debug!(%error, "the end of a live log was not told");
            }
        }
    }
}

impl Shared {
    // The same log may have been opened anew meanwhile.
    fn forget(&self, tail: &Arc<Tail>) {
        let mut tails = held(&self.tails);
        if tails.get(&tail.log).is_some_and(|current| Arc::ptr_eq(current, tail)) {
            tails.remove(&tail.log);
        }
    }
}

impl Tail {
    /// Whose it is.
    pub(crate) const fn log(&self) -> LogId {
        self.log
    }

    /// Adds `bytes`, which begin at `start` in the whole log.
    pub(crate) fn push(&self, start: u64, bytes: &[u8]) {
        let mut state = held(&self.state);
        if state.bytes.len() + bytes.len() > WAITING {
            state.bytes.clear();
        }
        let skipped = bytes.len().saturating_sub(WAITING);
        if state.bytes.is_empty() {
            state.start = start + skipped as u64;
        }
        state.bytes.extend_from_slice(&bytes[skipped..]);
    }

    /// Nothing more will come, and the whole log is where readers look first.
    pub(crate) fn end(&self) {
        let mut state = held(&self.state);
        if state.goes_on && state.was_sent {
            state.abandoned = true;
        } else {
            state.ended = true;
        }
    }

    /// The end of this part is not the end of the log: the same try is taken up again.
    pub(crate) fn go_on(&self) {
        held(&self.state).goes_on = true;
    }

    /// Nothing more will come, but readers find it only here.
    pub(crate) fn abandon(&self) {
        held(&self.state).abandoned = true;
    }

    fn take(&self) -> Option<(LogId, u64, Bytes)> {
        let mut state = held(&self.state);
        if state.bytes.is_empty() || (state.ended && !state.was_sent) {
            return None;
        }
        state.was_sent = true;
        Some((self.log, state.start, Bytes::from(std::mem::take(&mut state.bytes))))
    }

    fn is_over(&self) -> bool {
        let state = held(&self.state);
        if state.ended {
            state.bytes.is_empty() || !state.was_sent
        } else {
            state.abandoned && state.bytes.is_empty()
        }
    }

    fn must_tell_the_end(&self) -> bool {
        let state = held(&self.state);
        state.ended && state.was_sent
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: LogId = LogId(queue::Ticket { run: 1, index: 2, try_number: 3 });

    #[tokio::test]
    async fn the_end_of_a_part_is_not_the_end_of_the_log() {
        let (queue, live) = (Queue::memory(), Live::default());
        let tail = live.open(LOG);
        tail.push(0, b"one\n");
        live.round(&queue).await;
        tail.push(4, b"two\n");
        tail.go_on();
        tail.end();
        // Whoever goes on is there before the rest is sent.
        let next = live.open(LOG);
        next.push(8, b"three\n");
        live.round(&queue).await;
        let chunk = queue.read(&LOG, 0, 100).await.unwrap();
        assert!(!chunk.end_of_log && chunk.bytes.starts_with(b"one\n"), "{chunk:?}");
        next.end();
        live.round(&queue).await;
        let chunk = queue.read(&LOG, 8, 100).await.unwrap();
        assert_eq!((chunk.bytes.as_slice(), chunk.end_of_log), (&b"three\n"[..], true));
    }

    #[tokio::test]
    async fn a_round_sends_what_was_written_and_the_end() {
        let (queue, live) = (Queue::memory(), Live::default());
        let tail = live.open(LOG);
        tail.push(0, b"one\n");
        tail.push(4, b"two\n");
        live.round(&queue).await;
        assert_eq!(queue.read(&LOG, 0, 100).await.unwrap().bytes, b"one\ntwo\n");
        tail.push(8, b"three\n");
        tail.end();
        live.round(&queue).await;
        let rest = queue.read(&LOG, 8, 100).await.unwrap();
        assert_eq!((rest.bytes.as_slice(), rest.end_of_log), (b"three\n".as_slice(), true));
        assert!(held(&live.0.tails).is_empty());
    }

    #[tokio::test]
    async fn what_is_over_at_once_is_never_sent() {
        let (queue, live) = (Queue::memory(), Live::default());
        let tail = live.open(LOG);
        tail.push(0, b"quick\n");
        tail.end();
        live.round(&queue).await;
        let chunk = queue.read(&LOG, 0, 100).await.unwrap();
        assert!(chunk.bytes.is_empty() && !chunk.end_of_log && held(&live.0.tails).is_empty());
    }

    #[tokio::test]
    async fn a_flood_keeps_its_newest_part() {
        let (queue, live) = (Queue::memory(), Live::default());
        let tail = live.open(LOG);
        let chunk = vec![b'x'; 100 << 10];
        (0..50_u64).for_each(|n| tail.push(n * (100 << 10), &chunk));
        assert!(held(&tail.state).bytes.len() <= WAITING);
        live.round(&queue).await;
        let newest = queue.read(&LOG, 49 * (100 << 10), 1000).await.unwrap();
        assert_eq!(newest.start, 49 * (100 << 10));
        assert_eq!(newest.bytes.len(), 1000);
    }
}
