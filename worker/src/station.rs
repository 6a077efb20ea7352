//! What a worker has for every try.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use runtime::clock::Clock;

use crate::environment::{Base, inherited};
use crate::operator::Nursery;
use crate::place::Place;
use crate::settings::{Overrides, Settings};
use crate::warden::Warden;

/// What a worker has for every try.
pub(crate) struct Station {
    /// The time.
    pub(crate) clock: Clock,
    /// The machine's name.
    pub(crate) hostname: String,
    /// The time between SIGTERM and SIGKILL.
    pub(crate) grace: Duration,
    /// Who ends everything should this process die.
    pub(crate) warden: Option<Warden>,
    /// Connections and variables of the environment.
    pub(crate) overrides: Overrides,
    /// The environment that tasks begin with.
    pub(crate) base: Base,
    /// The programs that operators need.
    pub(crate) programs: Programs,
    /// Where tasks of Airflow DAG files come from.
    pub(crate) nursery: Nursery,
    /// Its folder.
    pub(crate) place: Place,
}

impl Station {
    /// Sets everything up. `mark` is what the processes of its tasks carry.
    pub(crate) fn new(
        settings: &Settings,
        clock: Clock,
        place: Place,
        mark: String,
        warden: Option<Warden>,
    ) -> Station {
        Station {
            clock,
            hostname: settings.hostname.clone(),
            grace: settings.grace,
            warden,
            overrides: Overrides::of(&settings.environment),
            base: Base::new(&settings.environment, mark),
            programs: Programs::find(&settings.environment),
            nursery: Nursery::new(
                settings.python.clone(),
                &settings.dags_folder,
                inherited(&settings.environment),
                settings.fork_server.clone(),
            ),
            place,
        }
    }
}

/// The programs that operators need, by absolute path: a bare name would be looked up anew for each task, and in the
/// task's own PATH.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    shell: Option<PathBuf>,
    python: Option<PathBuf>,
}

impl Programs {
    /// Looks for them once.
    fn find(environment: &[(OsString, OsString)]) -> Programs {
        let variable = |wanted: &str| {
            environment.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_os_str())
        };
        let path = variable("PATH").unwrap_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"));
        let find = |names: &[&str]| names.iter().find_map(|name| on_path(name, path));
        let python = variable("TRADEWIND_PYTHON").filter(|value| !value.is_empty());
        Programs {
            shell: find(&["bash", "sh"]),
            python: match python {
                Some(named) if named.to_string_lossy().contains('/') => Some(PathBuf::from(named)),
                Some(named) => on_path(&named.to_string_lossy(), path),
                None => find(&["python3", "python"]),
            },
        }
    }

    /// bash, or sh where there is none.
    pub(crate) fn shell(&self) -> Option<PathBuf> {
        self.shell.clone()
    }

    /// The Python interpreter.
    pub(crate) fn python(&self) -> Option<PathBuf> {
        self.python.clone()
    }
}

/// The file `name` in the first of the folders of `path` that has it as a program.
pub(crate) fn on_path(name: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_absolute() && is_executable(file))
}

/// Somebody may execute it.
pub(crate) fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
