//! A worker's own folder: logs that are being written, logs that wait for the storage, temporary files of tries.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use domain::id::TryKey;

/// The file whose lock tells that the folder's worker lives.
const LOCK: &str = "lock";

/// The folder of one worker. It is removed with it, as far as it is empty.
#[derive(Debug)]
pub(crate) struct Place {
    root: PathBuf,
    _lock: File,
}

/// The files of one try.
#[derive(Debug)]
pub(crate) struct TryPlace {
    /// In which the task may leave XComs.
    pub(crate) output: PathBuf,
    /// In which the task may leave files to be kept. Exists.
    pub(crate) artifacts: PathBuf,
    /// A folder to work in; made when needed.
    pub(crate) work: PathBuf,
    /// For the program of the task; made when needed.
    pub(crate) program: PathBuf,
}

impl Place {
    /// Makes the folder `name` below `base`.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn open(base: &Path, name: &str) -> io::Result<Place> {
        let root = base.join(name);
        fs::create_dir_all(&root)?;
        fs::set_permissions(&root, Permissions::from_mode(0o700))?;
        let root = root.canonicalize()?;
        let lock = File::create(root.join(LOCK))?;
        lock.try_lock()?;
        Ok(Place { root, _lock: lock })
    }

    /// The folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the log of a try is written.
    pub(crate) fn log(&self, attempt: TryKey) -> PathBuf {
        self.root.join(format!("{}.log", name(attempt)))
    }

    /// The places of a try.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn of(&self, attempt: TryKey) -> io::Result<TryPlace> {
        let path = |ending: &str| self.root.join(format!("{}.{ending}", name(attempt)));
        let place = TryPlace {
            output: path("xcom"),
            artifacts: path("artifacts"),
            work: path("work"),
            program: path("program"),
        };
        match fs::create_dir(&place.artifacts) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_dir_all(&place.artifacts)
                    .and_then(|()| fs::create_dir(&place.artifacts))
                    .map(|()| place)
            }
            made => made.map(|()| place),
        }
    }

    /// The folders of workers that are gone, next to this one.
    pub(crate) fn abandoned(&self) -> Vec<PathBuf> {
        let Some(siblings) = self.root.parent().and_then(|base| fs::read_dir(base).ok()) else {
            return Vec::new();
        };
        let others = siblings
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| *path != self.root && path.is_dir());
        others
            .filter(|path| File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok()))
            .collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Logs that could not be stored stay, and the folder with them: the next worker finds them.
        let has_logs = fs::read_dir(&self.root).is_ok_and(|mut entries| {
            entries.any(|entry| entry.is_ok_and(|entry| entry.path().extension().is_some_and(|e| e == "key")))
        });
        if !has_logs {
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

impl TryPlace {
    /// Removes what is left of it.
    pub(crate) fn clear(&self) {
        // Usually only the empty folder of artifacts exists, and each step is one call.
        if fs::remove_dir(&self.artifacts).is_err() {
            let _ = fs::remove_dir_all(&self.artifacts);
        }
        let _ = fs::remove_file(&self.output);
        let _ = fs::remove_file(&self.program);
        if self.work.exists() {
            let _ = fs::remove_dir_all(&self.work);
        }
    }
}

fn name(attempt: TryKey) -> String {
    format!("{}-{}-{}", attempt.ti.run.0, attempt.ti.index, attempt.try_number)
}
