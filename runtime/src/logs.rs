//! Log storage: where the log and the artifacts of a try are kept once it has ended. A folder by default; a bucket
//! of S3, Google Cloud or Azure by URL. Nothing is ever held whole in memory.

mod artifact;
mod key;
mod line;
#[cfg(test)]
mod tests;
mod upload;

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt};

use crate::config::{LogsUrl, make_private_folder};

pub use artifact::{Artifact, ArtifactBody, ArtifactLimits, ArtifactName, Artifacts, LeftOut};
pub use key::LogKey;
pub use line::{LogLine, Stream};

/// The most bytes of one read.
pub const LONGEST_READ: u64 = 1024 * 1024;

/// How often a log is moved into a folder that somebody else removes.
const MOVES: usize = 10;

/// A log storage. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogStore {
    store: Arc<dyn ObjectStore>,
    /// What every object's path begins with: the part of the URL after the bucket. Empty for a folder.
    prefix: ObjectPath,
    /// The folder, when it is one: files on the same file system are moved into it.
    root: Option<PathBuf>,
}

/// What went wrong with log storage.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no log, or no artifact of that name.
    #[error("{0} is not in log storage")]
    NotFound(String),
    /// This build does not know that kind of storage.
    #[error(
        "this build of Tradewind has no support for {scheme}:// log storage: it needs the cargo feature `{feature}`"
    )]
    NotBuilt {
        /// The URL's scheme.
        scheme: String,
        /// What is missing.
        feature: &'static str,
    },
    /// The folder of log storage cannot be used.
    #[error("the log folder {} cannot be used: {source}", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file on this machine could not be read, moved or removed.
    #[error("{doing} {}: {source}", .path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The name of an artifact is not a plain relative path.
    #[error("{0:?} is not the name of an artifact")]
    ArtifactName(String),
    /// The storage refused, or could not be reached.
    #[error("log storage: {0}")]
    Storage(#[source] object_store::Error),
}

impl LogStore {
    /// Opens the storage at `url`. A folder is made if it is missing; a bucket is not contacted yet. Its
    /// credentials come from the provider's own variables (`AWS_*`, `GOOGLE_*`, `AZURE_*`).
    pub fn open(url: &LogsUrl) -> Result<LogStore, Error> {
        match url.url().to_file_path() {
            Ok(folder) if url.url().scheme() == "file" => LogStore::open_folder(&folder),
            Ok(_) | Err(()) => LogStore::open_bucket(url),
        }
    }

    /// The size of a log, in bytes.
    pub async fn size(&self, key: &LogKey) -> Result<u64, Error> {
        let path = self.path(&key.log());
        let meta = self.store.head(&path).await.map_err(|error| Error::of(error, &path))?;
        Ok(meta.size)
    }

    /// Up to `length` bytes of a log from byte `start` on: fewer at its end, none after it. One read gives at most
    /// [`LONGEST_READ`], whatever is asked for.
    pub async fn read_range(&self, key: &LogKey, start: u64, length: u64) -> Result<Bytes, Error> {
        let path = self.path(&key.log());
        let end = start.saturating_add(length.min(LONGEST_READ));
        if start == end {
            return Ok(Bytes::new());
        }
        match self.get_range(&path, start..end).await {
            Ok(bytes) => Ok(bytes),
            Err(error @ object_store::Error::NotFound { .. }) => Err(Error::of(error, &path)),
            // Providers name a range past the end differently, so the size decides whether it was one.
            Err(error) => {
                if start >= self.size(key).await? {
                    Ok(Bytes::new())
                } else {
                    Err(Error::of(error, &path))
                }
            }
        }
    }

    /// Stores the file `local` as the log of `key` and removes it. On the file system of a storage folder that is
    /// a rename and costs nothing; otherwise it is sent in pieces. A log that was there before is replaced, which
    /// makes storing it again after a crash harmless.
    pub async fn put_file(&self, key: &LogKey, local: &Path) -> Result<(), Error> {
        self.put_written(key, local, || Ok(())).await
    }

    /// [`LogStore::put_file`] of a file that `write` brings to its final form. It may block, and is called once whatever fails.
    pub async fn put_written(
        &self,
        key: &LogKey,
        local: &Path,
        write: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> Result<(), Error> {
        let object = key.log();
        let target = self.root.as_ref().map(|root| root.join(&object));
        if written_into(local.to_owned(), write, target).await? {
            return Ok(());
        }
        let file = artifact::open_plain(local.to_owned()).await?;
        upload::send(&*self.store, &self.path(&object), file, local, u64::MAX).await?;
        let removed = tokio::fs::remove_file(local).await;
        removed.map_err(|source| Error::File { doing: "removing", path: local.to_owned(), source })
    }

    /// Removes the log and the artifacts of `key`; it is no error when there are none.
    pub async fn delete(&self, key: &LogKey) -> Result<(), Error> {
        let mut paths = vec![self.path(&key.log())];
        let prefix = self.path(&key.artifacts());
        let mut found = self.store.list(Some(&prefix));
        while let Some(meta) = found.next().await {
            paths.push(meta.map_err(Error::Storage)?.location);
        }
        let paths = futures_util::stream::iter(paths.into_iter().map(Ok)).boxed();
        let deleted = self.store.delete_stream(paths).filter(|result| {
            let missing = matches!(result, Err(object_store::Error::NotFound { .. }));
            futures_util::future::ready(!missing)
        });
        deleted.try_for_each(|_| futures_util::future::ready(Ok(()))).await.map_err(Error::Storage)
    }

    fn open_folder(folder: &Path) -> Result<LogStore, Error> {
        let failed = |source| Error::Folder { folder: folder.to_owned(), source };
        if !folder.exists() {
            make_private_folder(folder).map_err(failed)?;
            close_to_others(folder).map_err(failed)?;
        }
        let root = folder.canonicalize().map_err(failed)?;
        let store =
            LocalFileSystem::new_with_prefix(&root).map_err(Error::Storage)?.with_automatic_cleanup(true);
        Ok(LogStore { store: Arc::new(store), prefix: ObjectPath::ROOT, root: Some(root) })
    }

    fn open_bucket(url: &LogsUrl) -> Result<LogStore, Error> {
        let scheme = url.url().scheme();
        let (feature, built) = match scheme {
            "s3" | "s3a" => ("aws", cfg!(feature = "aws")),
            "gs" => ("gcp", cfg!(feature = "gcp")),
            _ => ("azure", cfg!(feature = "azure")),
        };
        if !built {
            return Err(Error::NotBuilt { scheme: scheme.to_owned(), feature });
        }
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
            ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|start| name.starts_with(start)).then_some((name, value))
        });
        let opened = object_store::parse_url_opts(url.url(), variables);
        let (store, prefix) = opened.map_err(Error::Storage)?;
        Ok(LogStore { store: Arc::from(store), prefix, root: None })
    }

    /// Where the object `name` is.
    fn path(&self, name: &str) -> ObjectPath {
        let whole = match self.prefix.as_ref() {
            "" => name.to_owned(),
            prefix => format!("{prefix}/{name}"),
        };
        // Names are made of encoded parts, which `parse` takes as they are; were one not, encoding it again is
        // still a safe name.
        ObjectPath::parse(&whole).unwrap_or_else(|_| ObjectPath::from(whole))
    }

    async fn get_range(&self, path: &ObjectPath, range: Range<u64>) -> object_store::Result<Bytes> {
        let options = GetOptions { range: Some(range.into()), ..GetOptions::default() };
        self.store.get_opts(path, options).await?.bytes().await
    }
}

impl Error {
    fn of(error: object_store::Error, path: &ObjectPath) -> Error {
        if matches!(error, object_store::Error::NotFound { .. }) {
            Error::NotFound(path.to_string())
        } else {
            Error::Storage(error)
        }
    }
}

/// Has the file written, and moves it to `target`, all in one call of the pool of threads that may block. False when it is
/// not moved yet: there is no target, or it is on another file system.
async fn written_into(
    file: PathBuf,
    write: impl FnOnce() -> io::Result<()> + Send + 'static,
    target: Option<PathBuf>,
) -> Result<bool, Error> {
    let moved = tokio::task::spawn_blocking(move || {
        write().map_err(failed("writing", &file))?;
        target.map_or(Ok(false), |target| move_into(&target, &file))
    });
    moved.await.map_err(|error| Error::Storage(error.into()))?
}

/// Moves the file `from` to `to`. False when that takes copying, because they are on different file systems.
fn move_into(to: &Path, from: &Path) -> Result<bool, Error> {
    if !fs::symlink_metadata(from).map_err(failed("reading", from))?.is_file() {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "it is not a plain file");
        return Err(failed("storing", from)(source));
    }
    // Deleting another log removes its folders when they are empty, which can be just after we made them.
    for _ in 0..MOVES {
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(failed("making", folder))?;
        }
        match fs::rename(from, to) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(failed("moving", from)(source)),
        }
    }
    Err(failed("moving", from)(io::ErrorKind::NotFound.into()))
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::File { doing, path, source }
}

/// Logs can hold what tasks print, so a folder made for them is for this user alone.
fn close_to_others(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}
