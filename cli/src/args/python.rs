//! `tradewind python`

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Works with the Python environment that Airflow DAG files need.
#[derive(Subcommand)]
pub enum Python {
    /// Make the environment in the home folder, or make it anew: downloads Airflow from PyPI.
    Setup(Setup),
    /// Say whether the environment can be used, and what is in it.
    Check,
}

/// What the environment is made of.
#[derive(Args)]
pub struct Setup {
    /// The version of Airflow.
    #[arg(long, value_name = "VERSION", default_value = python::AIRFLOW)]
    pub airflow: String,
    /// A requirements file with what the DAG files need beside Airflow.
    #[arg(long, short, value_name = "FILE")]
    pub requirements: Option<PathBuf>,
    /// The Python that the environment is made with.
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    pub base: PathBuf,
}
