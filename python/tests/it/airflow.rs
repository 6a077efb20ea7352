//! A Python environment with Airflow, made once for this checkout, for every test that needs one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use python::{AIRFLOW, Environment};

/// How long making it may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// The environment that `TRADEWIND_TEST_PYTHON` names, else one below the build folder. `None`, which is said, where there is no Python
/// or no way to the packages.
pub async fn environment() -> Option<Environment> {
    if let Some(folder) = std::env::var_os("TRADEWIND_TEST_PYTHON") {
        return Some(Environment::at(PathBuf::from(folder)));
    }
    let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(base).unwrap();
    // Tests are processes of their own, of several crates: the first one makes it, the others wait.
    let lock = File::create(base.join("airflow.lock")).unwrap();
    lock.lock().unwrap();
    let environment = Environment::at(base.join(format!("airflow-{AIRFLOW}")));
    let (made, missed) = (environment.folder().join("made"), base.join("airflow.missed"));
    if made.exists() {
        return Some(environment);
    }
    // One that could not be made a moment ago is not tried for by every test again.
    let is_fresh = |at: fs::Metadata| at.modified().ok()?.elapsed().ok().map(|age| age < PATIENCE);
    if fs::metadata(&missed).ok().and_then(is_fresh) == Some(true) {
        eprintln!("SKIPPED: {}", fs::read_to_string(&missed).unwrap());
        return None;
    }
    let setup = environment.setup(Path::new("python3"), AIRFLOW, None, &|step| eprintln!("{step}"));
    let reason = match tokio::time::timeout(PATIENCE, setup).await {
        Ok(Ok(_)) => {
            fs::write(&made, AIRFLOW).unwrap();
            return Some(environment);
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("it took longer than {PATIENCE:?}"),
    };
    let reason = format!("there is no Python environment with Airflow: {reason}");
    fs::write(&missed, &reason).unwrap();
    eprintln!("SKIPPED: {reason}");
    None
}
