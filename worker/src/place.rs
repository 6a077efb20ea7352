//! A worker's own folder: logs that are being written, logs that wait for the storage, temporary files of tries.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::id::TryKey;

/// The file whose lock tells that the folder's worker lives.
const LOCK: &str = "lock";
/// The folder of a try's artifacts within its place.
const ARTIFACTS: &str = "artifacts";

/// The folder of one worker. It is removed with it, as far as it is empty.
#[derive(Debug)]
pub(crate) struct Place {
    root: PathBuf,
    /// Folders of tries that have ended and left nothing. They are used again, because file systems are slow when
    /// folders are made and removed many hundred times a second.
    spare: Mutex<Vec<PathBuf>>,
    made: AtomicUsize,
    _lock: File,
}

/// The files of one try.
#[derive(Debug)]
pub(crate) struct TryPlace {
    root: PathBuf,
    /// In which the task may leave XComs.
    pub(crate) output: PathBuf,
    /// In which the task may say what it made.
    pub(crate) asset_events: PathBuf,
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
        Ok(Place { root, spare: Mutex::default(), made: AtomicUsize::new(0), _lock: lock })
    }

    /// The folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the log of a try is written.
    pub(crate) fn log(&self, attempt: TryKey) -> PathBuf {
        self.root.join(format!("{}.log", name(attempt)))
    }

    /// A place for a try.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn take(&self) -> io::Result<TryPlace> {
        let spare = self.spare().pop();
        let root = match spare {
            Some(root) => root,
            None => {
                let root = self.root.join(format!("try-{}", self.made.fetch_add(1, Ordering::Relaxed)));
                fs::create_dir_all(root.join(ARTIFACTS))?;
                root
            }
        };
        let path = |name: &str| root.join(name);
        Ok(TryPlace {
            output: path("xcom"),
            asset_events: path("assets"),
            artifacts: path(ARTIFACTS),
            work: path("work"),
            program: path("program"),
            root,
        })
    }

    /// Takes a place back. One in which something was left is not used again: whoever left it may still be about.
    pub(crate) fn give_back(&self, place: TryPlace) {
        let removed = [&place.output, &place.asset_events, &place.program].map(fs::remove_file);
        let unused = removed.iter().all(|removed| match removed {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        });
        if unused && place.has_no_artifacts() && !place.work.exists() {
            self.spare().push(place.root);
        } else {
            let _ = fs::remove_dir_all(&place.root);
        }
    }

    /// The folders of workers that are gone, next to this one.
    pub(crate) fn abandoned(&self) -> Vec<PathBuf> {
        let Some(siblings) = self.root.parent().and_then(|base| fs::read_dir(base).ok()) else {
            return Vec::new();
        };
        let others =
            siblings.flatten().map(|entry| entry.path()).filter(|path| *path != self.root && path.is_dir());
        others.filter(|path| File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())).collect()
    }
}

impl Place {
    fn spare(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// The task left no file to be kept.
    pub(crate) fn has_no_artifacts(&self) -> bool {
        fs::read_dir(&self.artifacts).is_ok_and(|mut files| files.next().is_none())
    }
}

fn name(attempt: TryKey) -> String {
    format!("{}-{}-{}", attempt.ti.run.0, attempt.ti.index, attempt.try_number)
}
