//! Tradewind's home folder.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access, geteuid};

use super::value::Expected;

/// The absolute path of the home folder. It need not exist yet: see [`Home::create`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home(PathBuf);

/// Why the home folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "the home folder {} cannot be used ({source}): choose one that you may write with --home or TRADEWIND_HOME",
    .folder.display()
)]
pub struct Unusable {
    folder: PathBuf,
    source: io::Error,
}

impl Home {
    /// A home at `path`, which must be absolute for the process to be able to change its folder.
    pub fn at(path: &Path) -> io::Result<Home> {
        std::path::absolute(path).map(Home)
    }

    /// The default: `.tradewind` in the user's own home folder.
    pub(super) fn below(user_home: &Path) -> Home {
        Home(user_home.join(".tradewind"))
    }

    pub(super) fn parse(text: &str, user_home: Option<PathBuf>) -> Result<Home, Expected> {
        parse_folder(text, user_home).map(Home)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The file of the generated secret key.
    pub fn secret_key_file(&self) -> PathBuf {
        self.0.join("secret.key")
    }

    /// The default folder for DAG files.
    pub fn dags(&self) -> PathBuf {
        self.0.join("dags")
    }

    /// The default folder for task logs.
    pub fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// Makes the folder, and what is missing above it, for this user alone, and checks that it can be written.
    pub fn create(&self) -> Result<(), Unusable> {
        let made = make_private_folder(&self.0);
        let checked = made.and_then(|()| Ok(access(&self.0, AccessFlags::W_OK | AccessFlags::X_OK)?));
        checked.map_err(|source| Unusable { folder: self.0.clone(), source })
    }
}

/// Makes `path`, and what is missing above it, for this user alone. Others may pass through (not list) a folder
/// that root makes: the private PostgreSQL in it runs as another user.
pub(crate) fn make_private_folder(path: &Path) -> io::Result<()> {
    let mode = if geteuid().is_root() { 0o711 } else { 0o700 };
    DirBuilder::new().recursive(true).mode(mode).create(path)
}

/// A folder from a flag or variable: absolute, relative to the current folder, or below `~`, which shells leave
/// alone in places such as `.env` files.
pub(super) fn parse_folder(text: &str, user_home: Option<PathBuf>) -> Result<PathBuf, Expected> {
    let expected = || Expected::new("the path of a folder");
    if text.is_empty() || text.contains('\0') {
        return Err(expected());
    }
    let path = match (text.strip_prefix('~'), user_home) {
        (Some(""), Some(home)) => home,
        (Some(rest), Some(home)) if rest.starts_with('/') => {
            home.join(OsStr::new(rest.trim_start_matches('/')))
        }
        (Some(_), None) => return Err(Expected::new("a path without ~ because HOME is not set")),
        (Some(_), Some(_)) | (None, _) => PathBuf::from(text),
    };
    std::path::absolute(path).map_err(|_| expected())
}
