//! Live logs inside this process.

use crate::live::{Assembly, entries};
use crate::{ABANDONED_LOG_KEPT, FINISHED_LOG_KEPT, LOG_CAP, LiveChunk, LogId, held};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The most that all logs together hold, in bytes: ended logs leave early to stay below it, oldest first. A thousand
/// tries that end within ten minutes would otherwise keep a gigabyte.
const TOTAL_CAP: usize = 64 << 20;

/// The logs of this process.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    shelf: Mutex<Shelf>,
    grown: Notify,
}

#[derive(Debug, Default)]
struct Shelf {
    logs: HashMap<LogId, Log>,
    /// The ended logs, in the order of their end, for dropping the oldest first.
    ended: VecDeque<LogId>,
    /// The bytes in all logs.
    total: usize,
}

#[derive(Debug)]
struct Log {
    entries: VecDeque<(u64, Bytes)>,
    /// The offset after the last byte.
    end: u64,
    ended: bool,
    /// When it may be forgotten.
    until: Instant,
}

impl Logs {
    pub(crate) fn append(&self, pieces: &[(LogId, u64, Bytes)]) {
        let now = Instant::now();
        let mut shelf = held(&self.shelf);
        for (id, start, bytes) in pieces {
            for (start, bytes) in entries(*start, bytes) {
                shelf.append(*id, start, bytes, now);
            }
        }
        shelf.tidy(now);
        drop(shelf);
        self.grown.notify_waiters();
    }

    pub(crate) fn finish(&self, id: &LogId) {
        let now = Instant::now();
        held(&self.shelf).finish(*id, now);
        self.grown.notify_waiters();
    }

    pub(crate) fn read(&self, id: &LogId, from: u64, max: usize) -> LiveChunk {
        let mut assembly = Assembly::new(from, max);
        let shelf = held(&self.shelf);
        if let Some(log) = shelf.find(id, Instant::now()) {
            for (start, bytes) in log.after(from) {
                assembly.add(*start, bytes);
                if assembly.full() {
                    break;
                }
            }
            if log.ended {
                assembly.end();
            }
        }
        assembly.finish()
    }

    pub(crate) async fn wait(&self, id: &LogId, from: u64, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        loop {
            let grown = self.grown.notified();
            tokio::pin!(grown);
            // Listening begins before the look, so bytes appended between the two wake us.
            grown.as_mut().enable();
            let readable =
                held(&self.shelf).find(id, Instant::now()).is_some_and(|log| log.ended || log.end > from);
            if readable || tokio::time::timeout_at(deadline, grown).await.is_err() {
                return readable;
            }
        }
    }

    pub(crate) fn wipe(&self) {
        *held(&self.shelf) = Shelf::default();
    }
}

impl Shelf {
    fn find(&self, id: &LogId, now: Instant) -> Option<&Log> {
        self.logs.get(id).filter(|log| log.until > now)
    }

    fn append(&mut self, id: LogId, start: u64, bytes: Bytes, now: Instant) {
        let log = self.logs.entry(id).or_insert_with(|| Log::new(now));
        let end = start.saturating_add(bytes.len() as u64);
        if log.ended || end <= log.end {
            return;
        }
        self.total += bytes.len();
        log.entries.push_back((start, bytes));
        log.end = end;
        log.until = now + ABANDONED_LOG_KEPT;
        self.total -= log.trim();
    }

    fn finish(&mut self, id: LogId, now: Instant) {
        let log = self.logs.entry(id).or_insert_with(|| Log::new(now));
        log.until = now + FINISHED_LOG_KEPT;
        if !log.ended {
            log.ended = true;
            self.ended.push_back(id);
        }
        self.tidy(now);
    }

    /// Forgets ended logs whose time is over, more of them while there are too many bytes, and, when there is
    /// reason to look at all, abandoned ones.
    fn tidy(&mut self, now: Instant) {
        while let Some(id) = self.ended.front().copied() {
            let over = self.logs.get(&id).is_none_or(|log| log.until <= now);
            if !over && self.total <= TOTAL_CAP {
                break;
            }
            self.ended.pop_front();
            self.forget(&id);
        }
        if self.total > TOTAL_CAP {
            let over: Vec<LogId> =
                self.logs.iter().filter(|(_, log)| log.until <= now).map(|(id, _)| *id).collect();
            for id in over {
                self.forget(&id);
            }
        }
    }

    fn forget(&mut self, id: &LogId) {
        if let Some(log) = self.logs.remove(id) {
            self.total -= log.entries.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        }
    }
}

impl Log {
    fn new(now: Instant) -> Log {
        Log { entries: VecDeque::new(), end: 0, ended: false, until: now + ABANDONED_LOG_KEPT }
    }

    /// The entries that have bytes at or after an offset.
    fn after(&self, from: u64) -> impl Iterator<Item = &(u64, Bytes)> {
        let first = self.entries.partition_point(|(start, bytes)| start + bytes.len() as u64 <= from);
        self.entries.range(first..)
    }

    /// Drops entries that end more than the cap before the end, and returns how many bytes went.
    fn trim(&mut self) -> usize {
        let keep_from = self.end.saturating_sub(LOG_CAP);
        let mut trimmed = 0;
        while let Some((start, bytes)) = self.entries.front() {
            if start + bytes.len() as u64 >= keep_from {
                break;
            }
            trimmed += bytes.len();
            self.entries.pop_front();
        }
        trimmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ticket;

    fn log(run: i64) -> LogId {
        LogId(Ticket { run, index: 0, try_number: 1 })
    }

    #[test]
    fn ended_logs_are_forgotten_after_their_time() {
        let (mut shelf, start) = (Shelf::default(), Instant::now());
        shelf.append(log(1), 0, Bytes::from_static(b"bye"), start);
        shelf.finish(log(1), start);
        assert!(shelf.find(&log(1), start + FINISHED_LOG_KEPT / 2).is_some());
        assert!(shelf.find(&log(1), start + FINISHED_LOG_KEPT).is_none());
        shelf.tidy(start + FINISHED_LOG_KEPT);
        assert_eq!((shelf.total, shelf.logs.len(), shelf.ended.len()), (0, 0, 0));
    }

    #[test]
    fn the_oldest_ended_logs_make_room() {
        let (mut shelf, start) = (Shelf::default(), Instant::now());
        let mebibyte = Bytes::from(vec![b'x'; 1 << 20]);
        for run in 0..100 {
            shelf.append(log(run), 0, mebibyte.clone(), start);
            shelf.finish(log(run), start);
        }
        assert_eq!(shelf.total, TOTAL_CAP);
        assert!(shelf.find(&log(0), start).is_none() && shelf.find(&log(99), start).is_some());
    }

    #[test]
    fn abandoned_logs_make_room_once_their_time_is_over() {
        let (mut shelf, start) = (Shelf::default(), Instant::now());
        let mebibyte = Bytes::from(vec![b'x'; 1 << 20]);
        for run in 0..65 {
            shelf.append(log(run), 0, mebibyte.clone(), start);
        }
        shelf.tidy(start);
        assert_eq!(shelf.logs.len(), 65);
        shelf.tidy(start + ABANDONED_LOG_KEPT);
        assert_eq!((shelf.total, shelf.logs.len()), (0, 0));
    }
}
