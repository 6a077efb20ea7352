//! The same DAG files in Airflow and here, instance by instance. What Airflow did is recorded; `make airflow-diff` asks it anew.

use std::{path::Path, process::Command};

use crate::{airflow_environment::environment, servers::tradewind};

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_file_says_ends_as_in_airflow() {
    let Some(environment) = environment().await else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("airflow");
    let work = tempfile::tempdir().unwrap();
    let mut compare = Command::new(environment.interpreter());
    compare.arg(folder.join("diff.py")).arg("compare").arg("--recorded").arg(folder.join("recorded.json"));
    compare.arg("--python").arg(environment.folder()).arg("--work").arg(work.path());
    let output = compare.env("TRADEWIND_BINARY", tradewind()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    println!("{}", String::from_utf8_lossy(&said));
    assert!(output.status.success(), "{}", output.status);
}
