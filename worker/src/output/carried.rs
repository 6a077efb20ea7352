//! A log that goes on: a try that is taken up again keeps what was written under its number before.

use runtime::logs::{Error, LogKey, LogStore};

use super::{Output, Sink};

impl Output {
    /// Begins with what is in storage under `key`: the newest `most` bytes of it, and not more than half of what the log may have. To be
    /// called before anything is written. A storage that does not answer costs those lines, and nothing else.
    pub(crate) async fn carry_over(&self, store: &LogStore, key: &LogKey, most: u64) {
        let Sink::Spool(spool, _) = &self.sink else { return };
        let most = most.min(spool.limit() / 2);
        match self.copy(store, key, most).await {
            Ok(()) | Err(Error::NotFound(_)) => {}
            Err(error) => tracing::warn!(log = ?key, %error, "what a log had before is lost"),
        }
    }

    async fn copy(&self, store: &LogStore, key: &LogKey, most: u64) -> Result<(), Error> {
        let size = store.size(key).await?;
        let mut at = size.saturating_sub(most);
        let is_cut = at > 0;
        while at < size {
            let part = store.read_range(key, at, size - at).await?;
            if part.is_empty() {
                break;
            }
            let is_first = is_cut && at == size.saturating_sub(most);
            at += part.len() as u64;
            // Half a line is none.
            let begin = if is_first { part.iter().position(|byte| *byte == b'\n').map_or(part.len(), |end| end + 1) } else { 0 };
            if is_first {
                self.note("earlier lines are left out here");
            }
            self.append(&part[begin..]);
            self.settle().await;
        }
        Ok(())
    }

    fn append(&self, lines: &[u8]) {
        let mut state = self.state();
        state.fresh.extend_from_slice(lines);
        state.length += lines.len() as u64;
    }
}
