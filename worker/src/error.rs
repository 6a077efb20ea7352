//! What can keep a worker from working at all. Everything that can go wrong with a try is its outcome instead.

use std::io;
use std::path::PathBuf;

/// Why a worker cannot work, or a task cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder for logs and temporary files cannot be used.
    #[error("the worker's folder {} cannot be used: {source}", .folder.display())]
    Scratch {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A queue has an impossible name.
    #[error(transparent)]
    Queue(#[from] queue::Error),
    /// The task cannot be rendered.
    #[error("{0}")]
    Task(String),
}
