//! The same DAG files in Airflow and here, instance by instance. What Airflow did is recorded; `make airflow-diff` asks it anew.

use std::{path::Path, process::Command};

use crate::{airflow_environment::environment, servers::tradewind};

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_file_says_ends_as_in_airflow() {
    compare(&["--recorded", "recorded.json"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_nobody_starts_are_about_the_same_partitions_as_in_airflow() {
    compare(&["--schedules", "--recorded", "recorded_schedules.json"]).await;
}

async fn compare(with: &[&str]) {
    let Some(environment) = environment().await else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("airflow");
    let work = tempfile::tempdir().unwrap();
    let mut compare = Command::new(environment.interpreter());
    compare.current_dir(&folder).arg(folder.join("diff.py")).arg("compare").args(with);
    compare.arg("--python").arg(environment.folder()).arg("--work").arg(work.path());
    let output = compare.env("TRADEWIND_BINARY", tradewind()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    println!("{}", String::from_utf8_lossy(&said));
    assert!(output.status.success(), "{}", output.status);
}
