//! What the tests stand on: a folder of DAG files and a fork server for each test.

use std::fs;
use std::path::Path;

use python::{Environment, Setup, Zygote};

use crate::airflow::environment;

/// The folder of plugins, below that of DAG files.
const PLUGINS: &str = "plugins";

/// A folder of DAG files and a fork server for it.
pub struct Ground {
    pub environment: Environment,
    pub folder: tempfile::TempDir,
    pub zygote: Zygote,
}

impl Ground {
    pub async fn lay() -> Option<Self> {
        Self::lay_with(true).await
    }

    /// With or without the understanding of older files.
    pub async fn lay_with(compat: bool) -> Option<Self> {
        Self::on(tempfile::tempdir().unwrap(), compat).await
    }

    /// With a plugin of Airflow's.
    pub async fn lay_with_plugin(name: &str, text: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(PLUGINS)).unwrap();
        fs::write(folder.path().join(PLUGINS).join(name), text).unwrap();
        Self::on(folder, true).await
    }

    async fn on(folder: tempfile::TempDir, compat: bool) -> Option<Self> {
        let environment = environment().await?.with_compat(compat);
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
    let plugins = folder.join(PLUGINS).display().to_string();
    variables.push(("AIRFLOW__CORE__PLUGINS_FOLDER".to_owned(), plugins));
    variables
}
