//! `tradewind python`

use std::path::Path;

use anyhow::{Result, bail, ensure};
use python::{Environment, Found, KNOWN};

use crate::{
    args::{
        Common,
        python::{Python, Setup},
    },
    output, setup,
};

/// Works with the Python environment that Airflow DAG files need.
pub async fn run(common: &Common, command: Python) -> Result<()> {
    let config = setup::command_config(common)?;
    let environment = setup::python(&config);
    match command {
        Python::Setup(wanted) => {
            config.home.create()?;
            let found = make(&environment, &wanted).await?;
            output::say(&told(&environment, &found))
        }
        Python::Check => output::say(&told(&environment, &environment.check().await?)),
    }
}

async fn make(environment: &Environment, wanted: &Setup) -> Result<Found> {
    let version = &wanted.airflow;
    ensure!(version.starts_with(KNOWN), "Airflow {version} is not known: choose a version {KNOWN}x");
    if let Some(file) = wanted.requirements.as_deref().filter(|file| !file.is_file()) {
        bail!("there is no file {}", file.display());
    }
    let requirements = wanted.requirements.as_deref().map(Path::new);
    Ok(environment.setup(&wanted.base, version, requirements, &output::note).await?)
}

fn told(environment: &Environment, found: &Found) -> String {
    let Found { python, airflow, sdk, standard, messages } = found;
    format!(
        "{}: Python {python}, apache-airflow-core {airflow}, apache-airflow-task-sdk {sdk}, \
         apache-airflow-providers-standard {standard}, messages of {messages}. It can be used.",
        environment.folder().display()
    )
}
