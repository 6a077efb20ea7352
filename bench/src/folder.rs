//! The temporary folder of one run of the benchmark.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A folder that is removed when this is dropped, unless it is to be kept.
pub struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    /// Makes a new folder below `parent`. Others may pass through it but see nothing: PostgreSQL runs as another user when the
    /// benchmark is started by root.
    pub fn create(parent: &Path, keep: bool) -> Result<Folder> {
        let path = nix::unistd::mkdtemp(&parent.join("tradewind-bench-XXXXXX"))
            .with_context(|| format!("cannot make a folder in {}", parent.display()))?;
        fs::set_permissions(&path, Permissions::from_mode(0o711))?;
        Ok(Folder { path, keep })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A new folder in it, for this user alone.
    pub fn private(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            // Nothing can be done about what cannot be removed; it is below the temporary folder anyway.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
