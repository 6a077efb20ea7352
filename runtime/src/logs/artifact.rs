//! Artifacts: the files that a try left behind to be kept with its log.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use nix::fcntl::OFlag;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore as _, ObjectStoreExt};
use serde::{Deserialize, Serialize};
use tokio::fs::File;

use super::key::{LONGEST_PART, decode, encode};
use super::{Error, LogKey, LogStore, upload};

/// The longest name, in bytes, and the most folders deep.
const LONGEST_NAME: usize = 400;
const DEEPEST: usize = 8;

/// The most artifacts that are listed.
const MOST_LISTED: usize = 10_000;

/// How much of a try's files is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArtifactLimits {
    /// The most files.
    pub files: usize,
    /// The most bytes of one file.
    pub file_bytes: u64,
    /// The most bytes of all files.
    pub total_bytes: u64,
}

/// The name of an artifact: a relative path such as `report.html` or `plots/delay.svg` that stays where it belongs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArtifactName(String);

/// One kept file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its name.
    pub name: ArtifactName,
    /// Its size in bytes.
    pub size: u64,
}

/// A file that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its path in the folder, as far as it can be shown.
    pub name: String,
    /// Why, in words.
    pub reason: String,
}

/// What came of keeping a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Artifacts {
    /// The files that are in storage now.
    pub kept: Vec<Artifact>,
    /// The files that are not, with the reason; at most 100.
    pub left_out: Vec<LeftOut>,
}

/// The content of one artifact, to be passed on piece by piece.
pub struct ArtifactBody {
    /// Its size in bytes.
    pub size: u64,
    /// Its bytes. An error cuts it short.
    pub stream: BoxStream<'static, Result<Bytes, Error>>,
}

impl Default for ArtifactLimits {
    /// 200 files of up to 64 MiB, 256 MiB together.
    fn default() -> ArtifactLimits {
        ArtifactLimits { files: 200, file_bytes: 64 << 20, total_bytes: 256 << 20 }
    }
}

impl ArtifactName {
    /// Reads a name, for example from a URL. Refused are absolute paths, `.`, `..`, empty parts, backslashes,
    /// control characters, and what is too long or too deep.
    pub fn parse(text: &str) -> Result<ArtifactName, Error> {
        let part = |part: &str| {
            !matches!(part, "" | "." | "..")
                && !part.contains(|c: char| c.is_control() || c == '\\')
                && encode(part).len() <= LONGEST_PART
        };
        let fits = text.len() <= LONGEST_NAME && text.split('/').count() <= DEEPEST;
        if fits && text.split('/').all(part) {
            Ok(ArtifactName(text.to_owned()))
        } else {
            Err(Error::ArtifactName(text.chars().take(LONGEST_NAME).collect()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name within storage.
    fn object(&self) -> String {
        self.0.split('/').map(encode).collect::<Vec<_>>().join("/")
    }

    fn from_object(name: &str) -> Option<ArtifactName> {
        let parts: Option<Vec<String>> = name.split('/').map(decode).collect();
        ArtifactName::parse(&parts?.join("/")).ok()
    }
}

impl fmt::Display for ArtifactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ArtifactName {
    type Error = Error;

    fn try_from(text: String) -> Result<ArtifactName, Error> {
        ArtifactName::parse(&text)
    }
}

impl From<ArtifactName> for String {
    fn from(name: ArtifactName) -> String {
        name.0
    }
}

impl fmt::Debug for ArtifactBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArtifactBody").field("size", &self.size).finish_non_exhaustive()
    }
}

impl LogStore {
    /// Keeps the files of `folder` (and the folders in it) with the log of `key`, in the order of their names, as
    /// far as `limits` allow. Only plain files are kept: links are never followed, so a task cannot have a file
    /// published that it could not have read itself. The folder is left as it is; a missing one holds nothing.
    pub async fn put_artifact_dir(
        &self,
        key: &LogKey,
        folder: &Path,
        limits: ArtifactLimits,
    ) -> Result<Artifacts, Error> {
        let root = folder.to_owned();
        let found = tokio::task::spawn_blocking(move || walk(&root, limits));
        let (files, left_out) = found.await.map_err(|error| Error::Storage(error.into()))??;
        let mut artifacts = Artifacts { kept: Vec::new(), left_out };
        for (name, local) in files {
            let file = open_plain(local.clone()).await?;
            let size = self.put_artifact(key, &name, file, &local, limits.file_bytes).await?;
            artifacts.kept.push(Artifact { name, size });
        }
        Ok(artifacts)
    }

    /// The artifacts of `key`, by name; at most 10,000.
    pub async fn list_artifacts(&self, key: &LogKey) -> Result<Vec<Artifact>, Error> {
        let prefix = self.path(&key.artifacts());
        let mut found = self.store.list(Some(&prefix)).take(MOST_LISTED);
        let mut artifacts = Vec::new();
        while let Some(meta) = found.try_next().await.map_err(Error::Storage)? {
            let below =
                meta.location.as_ref().strip_prefix(prefix.as_ref()).and_then(|name| name.strip_prefix('/'));
            if let Some(name) = below.and_then(ArtifactName::from_object) {
                artifacts.push(Artifact { name, size: meta.size });
            }
        }
        artifacts.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(artifacts)
    }

    /// The content of one artifact.
    pub async fn read_artifact(&self, key: &LogKey, name: &ArtifactName) -> Result<ArtifactBody, Error> {
        let path = self.artifact_path(key, name);
        let found = self.store.get(&path).await.map_err(|error| Error::of(error, &path))?;
        Ok(ArtifactBody {
            size: found.meta.size,
            stream: found.into_stream().map_err(Error::Storage).boxed(),
        })
    }

    async fn put_artifact(
        &self,
        key: &LogKey,
        name: &ArtifactName,
        file: File,
        local: &Path,
        most: u64,
    ) -> Result<u64, Error> {
        upload::send(&*self.store, &self.artifact_path(key, name), file, local, most).await
    }

    fn artifact_path(&self, key: &LogKey, name: &ArtifactName) -> ObjectPath {
        self.path(&format!("{}/{}", key.artifacts(), name.object()))
    }
}

/// Opens a plain file; a link or a pipe in its place is an error.
pub(super) async fn open_plain(path: PathBuf) -> Result<File, Error> {
    let opened = tokio::task::spawn_blocking(move || {
        let open = || -> io::Result<fs::File> {
            // Without blocking, because a pipe would wait for somebody to write to it.
            let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
            let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(&path)?;
            if !file.metadata()?.is_file() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a plain file"));
            }
            Ok(file)
        };
        open().map_err(|source| Error::File { doing: "opening", path, source })
    });
    Ok(File::from_std(opened.await.map_err(|error| Error::Storage(error.into()))??))
}

type Found = (Vec<(ArtifactName, PathBuf)>, Vec<LeftOut>);

/// The state of one walk through a folder.
struct Walk<'a> {
    root: &'a Path,
    device: u64,
    limits: ArtifactLimits,
    total: u64,
    files: Vec<(ArtifactName, PathBuf)>,
    left_out: Vec<LeftOut>,
}

/// The files of `root` that `limits` allow.
fn walk(root: &Path, limits: ArtifactLimits) -> Result<Found, Error> {
    let meta = match fs::symlink_metadata(root) {
        Ok(meta) if meta.is_dir() => meta,
        Ok(_) => return Ok((Vec::new(), Vec::new())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
        Err(source) => {
            return Err(Error::File { doing: "reading", path: root.to_owned(), source });
        }
    };
    let (files, left_out) = (Vec::new(), Vec::new());
    let mut walk = Walk { root, device: meta.dev(), limits, total: 0, files, left_out };
    walk.folder(root, 1)?;
    Ok((walk.files, walk.left_out))
}

impl Walk<'_> {
    /// The most entries of one folder that are looked at, and the most files whose being left out is told.
    const MOST_ENTRIES: usize = 10_000;
    const MOST_LEFT_OUT: usize = 100;

    fn folder(&mut self, folder: &Path, depth: usize) -> Result<(), Error> {
        let failed = |source| Error::File { doing: "reading", path: folder.to_owned(), source };
        let entries = fs::read_dir(folder).map_err(failed)?.take(Self::MOST_ENTRIES);
        let mut paths =
            entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>().map_err(failed)?;
        paths.sort();
        for path in paths {
            let meta = fs::symlink_metadata(&path);
            let meta = meta.map_err(|source| Error::File { doing: "reading", path: path.clone(), source })?;
            if meta.is_dir() && depth < DEEPEST && meta.dev() == self.device {
                self.folder(&path, depth + 1)?;
            } else {
                self.file(path, &meta);
            }
        }
        Ok(())
    }

    fn file(&mut self, path: PathBuf, meta: &fs::Metadata) {
        let relative = path.strip_prefix(self.root).unwrap_or(&path);
        let name = relative.to_str().map(ArtifactName::parse);
        match (name, self.refusal(meta)) {
            (Some(Ok(name)), None) => {
                self.total += meta.len();
                self.files.push((name, path));
            }
            (_, Some(reason)) => self.leave_out(relative.to_string_lossy().into_owned(), reason),
            (None | Some(Err(_)), None) => {
                let reason =
                    "its name is too long, too deep or has characters that cannot be kept".to_owned();
                self.leave_out(relative.to_string_lossy().into_owned(), reason);
            }
        }
    }

    fn refusal(&self, meta: &fs::Metadata) -> Option<String> {
        let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
        if meta.is_dir() {
            Some(format!("folders are kept {DEEPEST} deep, on one file system"))
        } else if !meta.is_file() {
            Some("it is not a plain file".to_owned())
        } else if self.files.len() >= self.limits.files {
            Some(format!("more than {} files", self.limits.files))
        } else if meta.len() > self.limits.file_bytes {
            Some(format!("larger than {}", mib(self.limits.file_bytes)))
        } else if meta.len() > self.limits.total_bytes - self.total {
            Some(format!("more than {} together", mib(self.limits.total_bytes)))
        } else {
            None
        }
    }

    fn leave_out(&mut self, name: String, reason: String) {
        if self.left_out.len() < Self::MOST_LEFT_OUT {
            self.left_out.push(LeftOut { name, reason });
        }
    }
}
