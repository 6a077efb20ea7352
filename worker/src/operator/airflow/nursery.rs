//! The fork server of a worker: started with its first task of an Airflow DAG file, and anew when it has died.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use python::{Environment, Setup, Zygote};

use crate::settings::ForkServer;

/// The name of the DAGs folder as a bundle of Airflow's.
pub(crate) const BUNDLE: &str = "dags";

/// What is imported beside Airflow itself: the operators that nearly every DAG has.
const PRELOAD: [&str; 4] = [
    "airflow.providers.standard.operators.bash",
    "airflow.providers.standard.operators.python",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.empty",
];

/// Where tasks of Airflow DAG files come from.
#[derive(Debug)]
pub(crate) struct Nursery {
    environment: Option<Environment>,
    dags_folder: PathBuf,
    /// The environment of the fork server itself.
    inherited: Vec<(OsString, OsString)>,
    server: ForkServer,
}

impl Nursery {
    /// Nothing is started yet.
    pub(crate) fn new(
        environment: Option<Environment>,
        dags_folder: &Path,
        inherited: Vec<(OsString, OsString)>,
        server: ForkServer,
    ) -> Nursery {
        let dags_folder = std::path::absolute(dags_folder).unwrap_or_else(|_| dags_folder.to_owned());
        Nursery { environment, dags_folder, inherited, server }
    }

    /// The folder of DAG files, in which tasks start.
    pub(crate) fn folder(&self) -> String {
        self.dags_folder.display().to_string()
    }

    /// The environment of a task: its own, and what Airflow must find in it. What is no text cannot be handed on.
    pub(super) fn environment(&self, own: Vec<(OsString, OsString)>) -> Vec<(String, String)> {
        let texts = own
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        texts.chain(self.variables()).collect()
    }

    /// The environment of what belongs to no task.
    pub(crate) fn bare_environment(&self) -> Vec<(String, String)> {
        self.environment(self.inherited.clone())
    }

    /// There is a Python environment, or a place where one will be.
    pub(crate) const fn has_environment(&self) -> bool {
        self.environment.is_some()
    }

    fn variables(&self) -> Vec<(String, String)> {
        let environment = self.environment.as_ref();
        environment.map(|environment| environment.variables(&self.dags_folder, BUNDLE)).unwrap_or_default()
    }

    /// A fork server that lives.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub(crate) async fn zygote(&self) -> Result<Arc<Zygote>, String> {
        let mut held = self.server.0.lock().await;
        if let Some(zygote) = held.as_ref().filter(|zygote| !zygote.is_gone()) {
            return Ok(Arc::clone(zygote));
        }
        let Some(environment) = &self.environment else {
            return Err("this worker has no Python environment with Airflow".to_owned());
        };
        environment.check().await.map_err(|error| error.to_string())?;
        let setup = Setup {
            interpreter: environment.interpreter(),
            environment: self.bare_environment(),
            preload: PRELOAD.map(str::to_owned).to_vec(),
        };
        let zygote = Arc::new(Zygote::start(&setup).await.map_err(|error| error.to_string())?);
        tracing::info!(pid = zygote.pid(), "the fork server for Airflow tasks is ready");
        *held = Some(Arc::clone(&zygote));
        Ok(zygote)
    }
}
