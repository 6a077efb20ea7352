//! The fork server of Airflow tasks is killed while they run. Skipped, and said so, where Airflow cannot be installed.

use std::fs;

use serde_json::{Value, json};

use crate::{airflow_environment::environment, platform::Standalone};

#[tokio::test(flavor = "multi_thread")]
async fn tasks_outlive_the_process_that_they_were_forked_from() {
    let Some(environment) = environment().await else { return };
    let dags = tempfile::tempdir().unwrap();
    fs::write(dags.path().join("orphans.py"), include_str!("airflow/orphans.py")).unwrap();
    let standalone = Standalone::start(dags.path()).await;
    let python = standalone.folder.path().join("home/python");
    std::os::unix::fs::symlink(environment.folder(), python).unwrap();
    let known = |answer: &Value| answer["dag_id"] == "orphans";
    standalone.until("the DAG is known", "/dags/orphans", known).await;
    let body = json!({"dag_run_id": "one", "logical_date": null});
    assert!(standalone.api("POST", "/dags/orphans/dagRuns", Some(body)).await.0.is_success());
    let ended = |answer: &Value| answer["state"] == "success" || answer["state"] == "failed";
    let run = standalone.until("the run ended", "/dags/orphans/dagRuns/one", ended).await;
    let (_, tis) = standalone.api("GET", "/dags/orphans/dagRuns/one/taskInstances", None).await;
    let tries: Vec<_> =
        tis["task_instances"].as_array().unwrap().iter().map(|ti| &ti["try_number"]).collect();
    assert_eq!((&run["state"], tries), (&json!("success"), vec![&json!(1); 3]), "{tis:#}");
}
