//! Brings finished logs into log storage.
//!
//! A storage that is away or slow never holds up an outcome for long: what could not be stored stays in the worker's
//! folder with a note of whose it is, and is tried again until it works, by this worker or the next one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use runtime::logs::{LogKey, LogStore};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::{Spooled, Tail};

/// Logs that are sent at the same time.
const AT_ONCE: usize = 16;
/// How long an outcome waits for its log to be stored. A local folder takes a fraction of a millisecond.
const PATIENCE: Duration = Duration::from_millis(100);
/// Logs that may be on their way before outcomes wait without limit: each holds up to 64 KiB of memory.
const MOST_WAITING: usize = 256;
/// Logs that are kept for a storage that is away; with more, the newest are lost.
const MOST_LEFT: usize = 20_000;

/// The way into log storage.
#[derive(Debug, Clone)]
pub(crate) struct Archive(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: LogStore,
    /// Where logs wait that could not be stored.
    folder: PathBuf,
    room: Semaphore,
    sending: TaskTracker,
    left: AtomicUsize,
}

impl Archive {
    /// Into `store`; what it does not take waits in `folder`.
    pub(crate) fn new(store: LogStore, folder: PathBuf) -> Archive {
        let inner = Inner {
            store,
            folder,
            room: Semaphore::new(AT_ONCE),
            sending: TaskTracker::new(),
            left: AtomicUsize::new(0),
        };
        Archive(Arc::new(inner))
    }

    /// The storage, for artifacts.
    pub(crate) fn store(&self) -> &LogStore {
        &self.0.store
    }

    /// Stores a log. Returns when that is done, or after a moment while it goes on.
    pub(crate) async fn keep(&self, key: LogKey, log: Spooled, tail: Arc<Tail>) {
        let inner = Arc::clone(&self.0);
        let sent = self.0.sending.spawn(async move { inner.send(key, log, &tail).await });
        if self.0.sending.len() > MOST_WAITING {
            let _ = sent.await;
        } else {
            let _ = tokio::time::timeout(PATIENCE, sent).await;
        }
    }

    /// Tries once more to store what was left.
    pub(crate) async fn retry(&self) {
        if self.0.left.load(Ordering::Relaxed) > 0 {
            self.0.sweep(&self.0.folder).await;
        }
    }

    /// Stores what workers left that are gone, and removes their folders.
    pub(crate) async fn adopt(&self, folders: Vec<PathBuf>) {
        for folder in folders {
            if self.0.sweep(&folder).await
                && let Err(error) = tokio::fs::remove_dir_all(&folder).await
            {
                tracing::warn!(folder = %folder.display(), %error, "cannot remove the folder of a worker that is gone");
            }
        }
    }

    /// Waits until everything is stored or has failed, at most `limit`.
    pub(crate) async fn close(&self, limit: Duration) {
        self.0.sending.close();
        if tokio::time::timeout(limit, self.0.sending.wait()).await.is_err() {
            tracing::warn!("some logs were not stored in time; the next worker here will find them");
        }
    }
}

impl Inner {
    async fn send(&self, key: LogKey, log: Spooled, tail: &Tail) {
        let Ok(_room) = self.room.acquire().await else {
            return;
        };
        let path = log.path().to_owned();
        let is_written = Arc::new(AtomicBool::new(false));
        let written = Arc::clone(&is_written);
        let write = move || log.write_rest().inspect(|()| written.store(true, Ordering::Relaxed));
        if let Err(error) = self.store.put_written(&key, &path, write).await {
            if !is_written.load(Ordering::Relaxed) {
                tracing::error!(log = ?key, %error, "a log is lost: it cannot be written to this disk");
                return tail.end();
            }
            self.leave(&key, &path, &error);
            // The live log is all that readers have meanwhile: it is not marked as ended, and lasts longer then.
            return tail.abandon();
        }
        tail.end();
    }

    fn leave(&self, key: &LogKey, path: &Path, error: &runtime::logs::Error) {
        if self.left.fetch_add(1, Ordering::Relaxed) >= MOST_LEFT {
            tracing::error!(log = ?key, %error, "a log is lost: log storage does not work, and too many are waiting for it");
            let _ = fs::remove_file(path);
            return;
        }
        tracing::warn!(log = ?key, %error, "log storage does not work; the log is kept here until it does");
        if let Err(error) = fs::write(path.with_extension("key"), written(key).to_string()) {
            tracing::error!(log = ?key, %error, "a log is lost: it cannot be written to this disk");
        }
    }

    /// Stores what waits in a folder; whether nothing is left there.
    async fn sweep(&self, folder: &Path) -> bool {
        let mut all = true;
        for note in notes(folder) {
            let log = note.with_extension("log");
            let key =
                fs::read_to_string(&note).ok().and_then(|text| read(&serde_json::from_str(&text).ok()?));
            let Some(key) = key else {
                tracing::error!(note = %note.display(), "it is not known whose log this is");
                all = false;
                continue;
            };
            match self.store.put_file(&key, &log).await {
                Ok(()) => {
                    let _ = fs::remove_file(&note);
                    let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                        Some(left.saturating_sub(1))
                    });
                }
                Err(error) => {
                    tracing::warn!(log = ?key, %error, "log storage still does not work");
                    return false;
                }
            }
        }
        all
    }
}

fn notes(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "key")).take(MOST_LEFT).collect()
}

fn written(key: &LogKey) -> Value {
    json!({
        "dag_id": key.dag_id, "run_id": key.run_id, "task_id": key.task_id,
        "map_index": key.map_index, "try_number": key.try_number,
    })
}

fn read(note: &Value) -> Option<LogKey> {
    let text = |name: &str| note.get(name)?.as_str().map(str::to_owned);
    Some(LogKey {
        dag_id: text("dag_id")?,
        run_id: text("run_id")?,
        task_id: text("task_id")?,
        map_index: i32::try_from(note.get("map_index")?.as_i64()?).ok()?,
        try_number: u32::try_from(note.get("try_number")?.as_u64()?).ok()?,
    })
}
