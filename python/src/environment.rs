//! The Python environment that Airflow is installed in: made, checked, and what its processes find in their environment.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::message::API_VERSION;
use crate::parse::Limits;

/// The version of Airflow that is installed unless another one is asked for.
pub const AIRFLOW: &str = "3.3.2";
/// The versions of Airflow that the bridge knows.
pub const KNOWN: &str = "3.3.";
/// The provider that holds the operators which everybody uses.
const STANDARD: &str = "apache-airflow-providers-standard";
/// Tells the fork server whether it lets children understand older files.
const COMPAT: &str = "TRADEWIND_AIRFLOW_COMPAT";
/// Tells the fork server for how many DAG files it keeps what was read.
const KEPT_FILES: &str = "TRADEWIND_AIRFLOW_KEPT_FILES";
/// Where Airflow looks for plugins.
const PLUGINS_FOLDER: &str = "AIRFLOW__CORE__PLUGINS_FOLDER";
/// How long a check may take: it imports Airflow.
const PATIENCE: Duration = Duration::from_secs(60);

const CHECK: &str = include_str!("../bridge/check.py");

/// A Python environment.
#[derive(Debug, Clone)]
pub struct Environment {
    folder: PathBuf,
    /// What older versions of Airflow had is understood, too.
    compat: bool,
    /// For so many DAG files a fork server keeps a process that has read it.
    kept_files: u8,
    /// So many bytes of memory may a process map that reads a DAG file.
    parse_memory: Option<u64>,
    /// Where plugins are, if somebody has said so.
    plugins_folder: Option<PathBuf>,
}

/// What is in an environment that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The version of Python.
    pub python: String,
    /// The version of `apache-airflow-core`.
    #[serde(rename = "apache-airflow-core")]
    pub airflow: String,
    /// The version of `apache-airflow-task-sdk`.
    #[serde(rename = "apache-airflow-task-sdk")]
    pub sdk: String,
    /// The version of the standard provider.
    #[serde(rename = "apache-airflow-providers-standard")]
    pub standard: String,
    /// The version of the messages between a task and its supervisor.
    pub messages: String,
}

/// Why an environment cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It has not been made.
    #[error("there is no Python environment with Airflow in {}: run `tradewind python setup`", .0.display())]
    Missing(PathBuf),
    /// Something in it is missing or different.
    #[error("the Python environment in {} cannot be used: {what}; `tradewind python setup` makes it anew", .folder.display())]
    Broken {
        /// Where it is.
        folder: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The folder of plugins that somebody has named is not there.
    #[error("there is no folder {} with plugins of Airflow's, which TRADEWIND_AIRFLOW_PLUGINS_FOLDER names", .0.display())]
    NoPlugins(PathBuf),
    /// A program could not be run or said that it failed.
    #[error("{what} failed: {why}")]
    Failed {
        /// What was tried.
        what: String,
        /// What it said.
        why: String,
    },
}

#[derive(Deserialize)]
struct Said {
    problems: Vec<String>,
}

impl Environment {
    /// The environment of a home folder, whether or not it has been made.
    #[must_use]
    pub fn of(home: &Path) -> Self {
        Self::at(home.join("python"))
    }

    /// The environment in a folder of its own, whether or not it has been made.
    #[must_use]
    pub fn at(folder: PathBuf) -> Self {
        let parse_memory = Limits::default().memory;
        Self { folder, compat: true, kept_files: 0, parse_memory, plugins_folder: None }
    }

    /// Whether files written for Airflow 1.10 and 2 are understood: imports, arguments and context keys that Airflow 3 removed. They
    /// are unless this says otherwise.
    #[must_use]
    pub fn with_compat(self, compat: bool) -> Self {
        Self { compat, ..self }
    }

    /// For how many DAG files a fork server keeps what was read of them, for tasks that follow each other. For none unless this says
    /// otherwise.
    #[must_use]
    pub fn with_kept_files(self, kept_files: u8) -> Self {
        Self { kept_files, ..self }
    }

    /// How many bytes of memory a process may map that reads a DAG file. 2 GiB unless this says otherwise.
    #[must_use]
    pub fn with_parse_memory(self, parse_memory: Option<u64>) -> Self {
        Self { parse_memory, ..self }
    }

    /// Where plugins of Airflow's are. Where `AIRFLOW__CORE__PLUGINS_FOLDER` or Airflow itself says, unless this says otherwise.
    #[must_use]
    pub fn with_plugins_folder(self, plugins_folder: Option<PathBuf>) -> Self {
        Self { plugins_folder, ..self }
    }

    /// What a DAG file may take while it is read in this environment.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits { memory: self.parse_memory, ..Limits::default() }
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its interpreter.
    #[must_use]
    pub fn interpreter(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// Whether it has been made.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.interpreter().exists()
    }

    /// Looks whether it can be used: some seconds.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn check(&self) -> Result<Found, Unfit> {
        if !self.exists() {
            return Err(Unfit::Missing(self.folder.clone()));
        }
        if let Some(folder) = self.plugins_folder.as_ref().filter(|folder| !folder.is_dir()) {
            return Err(Unfit::NoPlugins(folder.clone()));
        }
        let broken = |what: String| Unfit::Broken { folder: self.folder.clone(), what };
        let mut command = Command::new(self.interpreter());
        command
            .args(["-P", "-c", CHECK])
            .env("AIRFLOW_HOME", self.folder.join("airflow"))
            .stdin(Stdio::null());
        command.kill_on_drop(true);
        let output = match tokio::time::timeout(PATIENCE, command.output()).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => return Err(broken(error.to_string())),
            Err(_) => return Err(broken(format!("the check took longer than {PATIENCE:?}"))),
        };
        let last =
            output.stdout.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).unwrap_or_default();
        let Ok(said) = serde_json::from_slice::<Said>(last) else {
            return Err(broken(last_lines(&output)));
        };
        if !said.problems.is_empty() {
            return Err(broken(said.problems.join("; ")));
        }
        let found: Found = serde_json::from_slice(last).map_err(|error| broken(error.to_string()))?;
        if !found.airflow.starts_with(KNOWN) {
            return Err(broken(format!("it has Airflow {}, and only {KNOWN}x is known", found.airflow)));
        }
        if found.messages != API_VERSION {
            let theirs = &found.messages;
            return Err(broken(format!(
                "its tasks speak version {theirs} of the messages, and only {API_VERSION} is known"
            )));
        }
        Ok(found)
    }

    /// Makes it, or makes it anew: an environment with Airflow `version` and what the file `requirements` names. `tell` is told what begins.
    ///
    /// # Errors
    /// When a step fails; what was there before is gone then only if making the environment itself had begun.
    pub async fn setup(
        &self,
        base: &Path,
        version: &str,
        requirements: Option<&Path>,
        tell: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Found, Unfit> {
        tell(&format!("making a Python environment in {}", self.folder.display()));
        let folder = self.folder.as_os_str();
        let mut command = Command::new(base);
        command.args(["-m", "venv", "--clear"]).arg(folder);
        run("making the environment", command).await?;
        tell(&format!("installing Airflow {version}: some minutes"));
        let mut command = Command::new(self.interpreter());
        command.args(["-m", "pip", "install", "--disable-pip-version-check", "--quiet"]);
        command.arg(format!("apache-airflow-core=={version}")).arg(STANDARD);
        if let Some(requirements) = requirements {
            command.arg("--requirement").arg(requirements);
        }
        run("installing the packages", command).await?;
        tell("checking it");
        self.check().await
    }

    /// What every process of Airflow's finds in its environment, beside `base`. Nothing in it is a secret.
    #[must_use]
    pub fn variables(&self, dags_folder: &Path, bundle: &str) -> Vec<(String, String)> {
        let bundles = serde_json::json!([{
            "name": bundle,
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": dags_folder},
        }]);
        let home = self.folder.join("airflow").display().to_string();
        let pairs = [
            ("AIRFLOW_HOME", home.as_str()),
            ("AIRFLOW__CORE__DAGS_FOLDER", &dags_folder.display().to_string()),
            ("AIRFLOW__CORE__LOAD_EXAMPLES", "False"),
            ("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", &bundles.to_string()),
            // The place in the file that somebody wrote is rarely among the two innermost, which are usual.
            ("AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACK_DEPTH", "30"),
            // There is none, and nothing asks for it; whatever would, fails at once.
            ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "sqlite:////nonexistent/none.db"),
            ("_AIRFLOW_PROCESS_CONTEXT", "client"),
            // Bash takes a socket on its standard input for a remote login, and would read `~/.bashrc`, at a lower level.
            ("SHLVL", "1"),
            ("PYTHONUNBUFFERED", "1"),
            (COMPAT, if self.compat { "on" } else { "off" }),
            (KEPT_FILES, &self.kept_files.to_string()),
        ];
        let plugins =
            self.plugins_folder.as_ref().map(|folder| (PLUGINS_FOLDER, folder.display().to_string()));
        let pairs = pairs.into_iter().map(|(name, value)| (name, value.to_owned()));
        pairs.chain(plugins).map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

async fn run(what: &str, mut command: Command) -> Result<(), Unfit> {
    let failed = |why: String| Unfit::Failed { what: what.to_owned(), why };
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() { Ok(()) } else { Err(failed(last_lines(&output))) }
}

/// The end of what a program said, for a message.
fn last_lines(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    match lines.len() {
        0 => output.status.to_string(),
        count => lines[count.saturating_sub(5)..].join("\n"),
    }
}
