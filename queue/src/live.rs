//! Live logs: the newest output of a running try, addressed by byte offset. What both backends share.

use crate::{Error, Ticket};
use bytes::Bytes;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How much of one try's output is kept, in bytes (and at most one chunk more).
pub const LOG_CAP: u64 = 1 << 20;
/// How long a log is kept after [`crate::Queue::finish`].
pub const FINISHED_LOG_KEPT: Duration = Duration::from_secs(600);
/// How long a log is kept after its last append when nobody finishes it (its worker died).
pub const ABANDONED_LOG_KEPT: Duration = Duration::from_secs(24 * 3600);
/// The largest piece kept as one entry, in bytes; longer ones are split.
pub(crate) const CHUNK_LIMIT: usize = 64 << 10;
/// The most that one read returns, in bytes.
pub(crate) const READ_LIMIT: usize = 1 << 20;

/// Names the live log of one try; its text form is the ticket's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub Ticket);

impl From<Ticket> for LogId {
    fn from(ticket: Ticket) -> LogId {
        LogId(ticket)
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for LogId {
    type Err = Error;

    fn from_str(text: &str) -> Result<LogId, Error> {
        text.parse().map(LogId)
    }
}

/// A contiguous part of a live log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveChunk {
    /// The offset of the first byte in the whole log. Greater than asked when those bytes were trimmed or lost.
    pub start: u64,
    /// The bytes; empty when there are none (yet, or any more) at or after the asked offset.
    pub bytes: Vec<u8>,
    /// The try has ended and these bytes reach the end of its log.
    pub end_of_log: bool,
}

impl LiveChunk {
    /// The offset to read from next.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }
}

/// Cuts a piece into entries: `(offset of the first byte, bytes)`, none empty, none over the chunk limit. The
/// beginning of a piece that is longer than the cap is left out, as it would be trimmed at once.
pub(crate) fn entries(start: u64, bytes: &Bytes) -> impl Iterator<Item = (u64, Bytes)> + '_ {
    let skipped = bytes.len().saturating_sub(LOG_CAP as usize) / CHUNK_LIMIT * CHUNK_LIMIT;
    (skipped..bytes.len()).step_by(CHUNK_LIMIT).map(move |from| {
        let to = bytes.len().min(from + CHUNK_LIMIT);
        (start.saturating_add(from as u64), bytes.slice(from..to))
    })
}

/// Puts a [`LiveChunk`] together from entries that come in order.
#[derive(Debug)]
pub(crate) struct Assembly {
    chunk: LiveChunk,
    limit: usize,
    full: bool,
}

impl Assembly {
    pub(crate) fn new(from: u64, max: usize) -> Assembly {
        let chunk = LiveChunk { start: from, ..LiveChunk::default() };
        Assembly { chunk, limit: max.clamp(1, READ_LIMIT), full: false }
    }

    /// Whether no further entry can change the chunk.
    pub(crate) fn full(&self) -> bool {
        self.full
    }

    /// Adds the entry that begins at `start`: what is already there is skipped, a gap ends the chunk.
    pub(crate) fn add(&mut self, start: u64, bytes: &[u8]) {
        if self.full {
            return;
        }
        if self.chunk.bytes.is_empty() {
            self.chunk.start = self.chunk.start.max(start);
        }
        let Some(overlap) = self.chunk.next().checked_sub(start) else {
            self.full = true;
            return;
        };
        let fresh = usize::try_from(overlap).ok().and_then(|skip| bytes.get(skip..)).unwrap_or_default();
        let room = self.limit - self.chunk.bytes.len();
        self.full = fresh.len() > room;
        self.chunk.bytes.extend_from_slice(&fresh[..fresh.len().min(room)]);
    }

    /// Notes that nothing comes after what was added.
    pub(crate) fn end(&mut self) {
        self.chunk.end_of_log = !self.full;
        self.full = true;
    }

    pub(crate) fn finish(self) -> LiveChunk {
        self.chunk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(from: u64, max: usize, entries: &[(u64, &str)], ended: bool) -> (u64, String, bool) {
        let mut assembly = Assembly::new(from, max);
        for (start, text) in entries {
            assembly.add(*start, text.as_bytes());
        }
        if ended {
            assembly.end();
        }
        let chunk = assembly.finish();
        (chunk.start, String::from_utf8(chunk.bytes).unwrap(), chunk.end_of_log)
    }

    #[test]
    fn chunks_are_contiguous() {
        let whole = [(0, "abc"), (3, "def")];
        assert_eq!(read(0, 100, &whole, false), (0, "abcdef".into(), false));
        assert_eq!(read(4, 100, &whole, true), (4, "ef".into(), true));
        assert_eq!(read(0, 4, &whole, true), (0, "abcd".into(), false));
        assert_eq!(read(0, 6, &whole, true), (0, "abcdef".into(), true));
        assert_eq!(read(1, 100, &[(5, "f")], false), (5, "f".into(), false));
        assert_eq!(read(0, 100, &[(0, "ab"), (5, "f")], true), (0, "ab".into(), false));
        assert_eq!(read(0, 100, &[(0, "abcd"), (2, "cdef"), (3, "d")], true), (0, "abcdef".into(), true));
        assert_eq!(read(7, 100, &[], true), (7, String::new(), true));
    }

    #[test]
    fn long_pieces_are_cut() {
        let cut: Vec<_> = entries(10, &Bytes::from(vec![b'x'; CHUNK_LIMIT + 5])).collect();
        assert_eq!(
            cut.iter().map(|(start, bytes)| (*start, bytes.len())).collect::<Vec<_>>(),
            [(10, CHUNK_LIMIT), (10 + CHUNK_LIMIT as u64, 5)]
        );
        let kept: usize = entries(0, &Bytes::from(vec![0; 3 << 20])).map(|(_, bytes)| bytes.len()).sum();
        assert_eq!(kept, 1 << 20);
        assert_eq!(entries(0, &Bytes::new()).count(), 0);
    }
}
