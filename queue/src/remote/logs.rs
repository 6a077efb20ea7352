//! Live logs in Redis: one stream for each try.
//!
//! An entry's id is the offset after its last byte (`OFFSET-0`), so Redis finds a byte by its offset, refuses what is
//! there already, and trims by bytes (`MINID`). The largest id marks the end of the log.

use super::{PIPELINE_LIMIT, Remote};
use crate::live::{Assembly, entries};
use crate::{ABANDONED_LOG_KEPT, Error, FINISHED_LOG_KEPT, LOG_CAP, LiveChunk, LogId};
use bytes::Bytes;
use redis::{Cmd, Pipeline, RedisError, RedisResult, Value};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The field with the bytes.
const BYTES: &str = "b";
/// The field of the end marker.
const END: &str = "e";
/// How many bytes go in one pipeline.
const APPEND_LIMIT: usize = 4 << 20;
/// How often `read` asks for more entries, when these are very small, before it returns less than it could.
const READ_ROUNDS: usize = 8;
/// The pauses of `wait`: short at first, for output that is about to come.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// One command for one stream.
struct Entry {
    key: String,
    command: Cmd,
    bytes: usize,
}

impl Remote {
    pub(crate) async fn append(&self, pieces: &[(LogId, u64, Bytes)]) -> Result<(), Error> {
        let mut batch = Vec::new();
        let mut size = 0;
        for (log, start, bytes) in pieces {
            for (start, bytes) in entries(*start, bytes) {
                let entry = self.entry(log, start, &bytes);
                if size + entry.bytes > APPEND_LIMIT || batch.len() >= PIPELINE_LIMIT {
                    self.send(&std::mem::take(&mut batch), ABANDONED_LOG_KEPT).await?;
                    size = 0;
                }
                size += entry.bytes;
                batch.push(entry);
            }
        }
        self.send(&batch, ABANDONED_LOG_KEPT).await
    }

    pub(crate) async fn finish(&self, log: &LogId) -> Result<(), Error> {
        let key = self.log_key(log);
        let mut command = Cmd::new();
        command.arg("XADD").arg(&key).arg(id(u64::MAX)).arg(END).arg(1);
        self.send(&[Entry { key, command, bytes: 0 }], FINISHED_LOG_KEPT).await
    }

    fn entry(&self, log: &LogId, start: u64, bytes: &Bytes) -> Entry {
        let key = self.log_key(log);
        let end = start.saturating_add(bytes.len() as u64);
        let mut command = Cmd::new();
        command.arg("XADD").arg(&key).arg("MINID").arg("=").arg(id(end.saturating_sub(LOG_CAP)));
        command.arg(id(end)).arg(BYTES).arg(&bytes[..]);
        Entry { key, command, bytes: bytes.len() }
    }

    /// Runs the commands, then sets the expiry of each stream.
    async fn send(&self, batch: &[Entry], kept: Duration) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut keys: Vec<String> = batch.iter().map(|entry| entry.key.clone()).collect();
        keys.dedup();
        let mut pipe = Pipeline::with_capacity(batch.len() + keys.len());
        pipe.ignore_errors();
        for entry in batch {
            pipe.add_command(entry.command.clone());
        }
        for key in &keys {
            pipe.cmd("EXPIRE").arg(key).arg(kept.as_secs());
        }
        match self.send_once(&pipe).await {
            Err(error) if error.is_wrong_type() => {
                self.move_aside(&keys, "stream").await?;
                self.send_once(&pipe).await
            }
            answer => answer,
        }
    }

    async fn send_once(&self, pipe: &Pipeline) -> Result<(), Error> {
        const ACTION: &str = "append to a log";
        let answers: Vec<RedisResult<Value>> = self.link.query(ACTION, pipe).await?;
        match answers.into_iter().filter_map(Result::err).find(|error| !is_repetition(error)) {
            Some(error) => Err(Error::from_redis(ACTION, &error)),
            None => Ok(()),
        }
    }

    pub(crate) async fn read(&self, log: &LogId, from: u64, max: usize) -> Result<LiveChunk, Error> {
        let key = self.log_key(log);
        let mut assembly = Assembly::new(from, max);
        let mut after = from;
        // Output usually comes in entries of a kilobyte or more.
        let count = (max / 1024).clamp(16, 1024);
        for _ in 0..READ_ROUNDS {
            let found = self.entries_after(&key, after, count).await?;
            for (end, bytes) in &found {
                match bytes {
                    Some(bytes) => assembly.add(end.saturating_sub(bytes.len() as u64), bytes),
                    None => assembly.end(),
                }
                after = *end;
            }
            if assembly.full() || found.len() < count {
                break;
            }
        }
        Ok(assembly.finish())
    }

    pub(crate) async fn wait(&self, log: &LogId, from: u64, timeout: Duration) -> Result<bool, Error> {
        let key = self.log_key(log);
        let deadline = Instant::now() + timeout;
        let mut pause = FIRST_PAUSE;
        loop {
            if !self.entries_after(&key, from, 1).await?.is_empty() {
                return Ok(true);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            sleep(pause.min(left)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The entries that have bytes at or after an offset: the offset after the last byte, and the bytes, or none for
    /// the end marker. An entry that is neither is somebody's slip, and is skipped.
    async fn entries_after(
        &self,
        key: &String,
        from: u64,
        count: usize,
    ) -> Result<Vec<(u64, Option<Vec<u8>>)>, Error> {
        let mut pipe = Pipeline::new();
        pipe.cmd("XRANGE").arg(key).arg(format!("({}", id(from))).arg("+").arg("COUNT").arg(count);
        let (found,): (Vec<(String, Vec<Vec<u8>>)>,) =
            self.query_or_repair("read a log", &pipe, std::slice::from_ref(key), "stream").await?;
        Ok(found.into_iter().filter_map(|(id, fields)| read_entry(&id, fields)).collect())
    }
}

fn id(offset: u64) -> String {
    format!("{offset}-0")
}

fn read_entry(id: &str, fields: Vec<Vec<u8>>) -> Option<(u64, Option<Vec<u8>>)> {
    let end = id.strip_suffix("-0")?.parse().ok()?;
    let mut fields = fields.into_iter();
    let name = fields.next()?;
    if name == END.as_bytes() {
        return Some((end, None));
    }
    (name == BYTES.as_bytes()).then(|| fields.next()).flatten().map(|bytes| (end, Some(bytes)))
}

/// Whether Redis refused an entry because the log already reaches that far (or has ended).
fn is_repetition(error: &RedisError) -> bool {
    error.to_string().contains("equal or smaller")
}
