//! A log that goes on: a try that is taken up again keeps what was written under its number before.

use queue::Queue;
use runtime::logs::{Error, LogKey, LogStore};

use super::{Output, Sink};

/// Most bytes of one read.
const PIECE: usize = 256 << 10;

/// Where a log may have been before.
#[derive(Clone, Copy)]
pub(crate) struct Before<'a> {
    /// What was brought into storage.
    pub(crate) store: &'a LogStore,
    /// What was only shown: its worker was killed.
    pub(crate) queue: &'a Queue,
}

impl Output {
    /// Begins with what is known of the log of `key`: the newest `most` bytes of it, and not more than half of what the log may have. To be
    /// called before anything is written. A storage that does not answer costs those lines, and nothing else.
    pub(crate) async fn carry_over(&self, before: Before<'_>, key: &LogKey, most: u64) {
        let Sink::Spool(spool, tail) = &self.sink else { return };
        let most = most.min(spool.limit() / 2);
        match self.copy_stored(before.store, key, most).await {
            Ok(Some(size)) => self.copy_shown(before.queue, &tail.log(), size).await,
            Ok(None) => {}
            Err(error) => tracing::warn!(log = ?key, %error, "what a log had before is lost"),
        }
    }

    // Returns how much there is, unless it was cut.
    async fn copy_stored(&self, store: &LogStore, key: &LogKey, most: u64) -> Result<Option<u64>, Error> {
        let size = match store.size(key).await {
            Ok(size) => size,
            Err(Error::NotFound(_)) => return Ok(Some(0)),
            Err(error) => return Err(error),
        };
        let mut at = size.saturating_sub(most);
        let is_cut = at > 0;
        let mut is_first = is_cut;
        while at < size {
            let part = store.read_range(key, at, size - at).await?;
            if part.is_empty() {
                break;
            }
            at += part.len() as u64;
            // Half a line is none.
            let begin = if is_first {
                part.iter().position(|byte| *byte == b'\n').map_or(part.len(), |end| end + 1)
            } else {
                0
            };
            if std::mem::take(&mut is_first) {
                self.note("earlier lines are left out here");
            }
            self.append(&part[begin..]);
            self.settle().await;
        }
        Ok((!is_cut).then_some(size))
    }

    async fn copy_shown(&self, queue: &Queue, log: &queue::LogId, from: u64) {
        let mut at = from;
        while let Ok(chunk) = queue.read(log, at, PIECE).await {
            if chunk.start != at || chunk.bytes.is_empty() {
                break;
            }
            at = chunk.next();
            self.append(&chunk.bytes);
            self.settle().await;
        }
    }

    fn append(&self, lines: &[u8]) {
        let mut state = self.state();
        state.fresh.extend_from_slice(lines);
        state.length += lines.len() as u64;
    }
}
