//! What the tests stand on: a Python environment with Airflow, made once for this checkout, and one fork server for each test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use python::{AIRFLOW, Environment, Setup, Zygote};

/// The environment: the one that `TRADEWIND_TEST_PYTHON` names, else one below the build folder. `None` where there is no Python or
/// no way to the packages, which is said; an error on machines that say with `CI` that everything must be tested.
pub async fn environment() -> Option<Environment> {
    if let Some(folder) = std::env::var_os("TRADEWIND_TEST_PYTHON") {
        return Some(Environment::at(PathBuf::from(folder)));
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("airflow-{AIRFLOW}"));
    fs::create_dir_all(env!("CARGO_TARGET_TMPDIR")).unwrap();
    // Each test is a process of its own: the first one makes it, the others wait.
    let lock = File::create(folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let environment = Environment::at(folder);
    let made = environment.folder().join("made");
    if !made.exists() {
        let result =
            environment.setup(Path::new("python3"), AIRFLOW, None, &|step| eprintln!("{step}")).await;
        match result {
            Ok(_) => fs::write(&made, AIRFLOW).unwrap(),
            Err(error) if std::env::var_os("CI").is_some() => panic!("{error}"),
            Err(error) => {
                eprintln!("SKIPPED: there is no Python environment with Airflow: {error}");
                return None;
            }
        }
    }
    Some(environment)
}

/// A folder of DAG files and a fork server for it.
pub struct Ground {
    pub environment: Environment,
    pub folder: tempfile::TempDir,
    pub zygote: Zygote,
}

impl Ground {
    pub async fn lay() -> Option<Self> {
        let environment = environment().await?;
        let folder = tempfile::tempdir().unwrap();
        let variables = variables(&environment, folder.path());
        let setup =
            Setup { interpreter: environment.interpreter(), environment: variables, preload: Vec::new() };
        let zygote = Zygote::start(&setup).await.unwrap();
        Some(Self { environment, folder, zygote })
    }

    pub fn variables(&self) -> Vec<(String, String)> {
        variables(&self.environment, self.folder.path())
    }

    pub fn root(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn variables(environment: &Environment, folder: &Path) -> Vec<(String, String)> {
    let mut variables = environment.variables(folder, "dags");
    let inherited =
        ["PATH", "HOME", "LANG"].into_iter().filter_map(|name| Some((name, std::env::var(name).ok()?)));
    variables.extend(inherited.map(|(name, value)| (name.to_owned(), value)));
    variables
}
