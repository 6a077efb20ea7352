//! The log of a running try on this machine: in memory while it is small, in a file when it grows.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Mutex;

/// How much is kept in memory before it goes to the file, in bytes.
pub(crate) const IN_MEMORY: usize = 64 << 10;

/// A growing log.
#[derive(Debug)]
pub(crate) struct Spool {
    path: PathBuf,
    limit: u64,
    file: Arc<Mutex<Target>>,
}

#[derive(Debug)]
enum Target {
    Unopened,
    Open(File),
    /// The disk refused; the rest of the log is lost.
    Broken,
}

/// A log that has come to its end.
#[derive(Debug)]
pub(crate) struct Spooled {
    path: PathBuf,
    file: Arc<Mutex<Target>>,
    rest: Vec<u8>,
}

impl Spool {
    /// A log that will be kept in the file at `path`, which must not exist, and have at most about `limit` bytes.
    pub(crate) fn new(path: PathBuf, limit: u64) -> Spool {
        Spool { path, limit, file: Arc::new(Mutex::new(Target::Unopened)) }
    }

    /// The most bytes it keeps.
    pub(crate) const fn limit(&self) -> u64 {
        self.limit
    }

    /// Appends what `take` gives. It is called when all that was appended before has been written, so that two
    /// callers keep their order.
    pub(crate) async fn write(&self, take: impl FnOnce() -> Vec<u8>) {
        let mut target = Arc::clone(&self.file).lock_owned().await;
        let (bytes, path) = (take(), self.path.clone());
        let written = tokio::task::spawn_blocking(move || {
            if let Err(error) = target.append(&path, &bytes) {
                tracing::error!(path = %path.display(), %error, "cannot write a task's log; the rest of it is lost");
                *target = Target::Broken;
            }
        });
        if let Err(error) = written.await {
            tracing::error!(%error, "writing a task's log was cut short");
        }
    }

    /// Ends the log with `rest`.
    pub(crate) fn finish(self, rest: Vec<u8>) -> Spooled {
        Spooled { path: self.path, file: self.file, rest }
    }
}

impl Spooled {
    /// The file that holds all of the log once [`Spooled::write_rest`] was called.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what is still in memory. Blocks.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn write_rest(self) -> io::Result<()> {
        let mut target = self.file.blocking_lock();
        target.append(&self.path, &self.rest)?;
        *target = Target::Unopened;
        Ok(())
    }
}

impl Target {
    fn append(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if matches!(self, Target::Unopened) {
            // A log can hold what nobody else should read. A leftover of a try of the same number is no part of it.
            *self = Target::Open(
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?,
            );
        }
        match self {
            Target::Open(file) => file.write_all(bytes),
            Target::Unopened | Target::Broken => Ok(()),
        }
    }
}
