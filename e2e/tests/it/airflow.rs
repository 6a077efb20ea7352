//! Airflow DAG files, unmodified: read and run with Airflow's own packages. Skipped, and said so, where these cannot be installed.

use std::fs;

use serde_json::{Value, json};

use crate::{airflow_environment::environment, platform::Standalone};

async fn states(standalone: &Standalone, path: &str) -> Vec<(String, i64, String, i64)> {
    let (_, tis) = standalone.api("GET", &format!("{path}/taskInstances?limit=100"), None).await;
    let one = |ti: &Value| {
        let text = |name: &str| ti[name].as_str().unwrap_or("none").to_owned();
        (
            text("task_id"),
            ti["map_index"].as_i64().unwrap(),
            text("state"),
            ti["try_number"].as_i64().unwrap(),
        )
    };
    let mut states: Vec<_> = tis["task_instances"].as_array().unwrap().iter().map(one).collect();
    states.sort();
    states
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unmodified_file_runs_as_in_airflow() {
    let Some(environment) = environment().await else { return };
    let dags = tempfile::tempdir().unwrap();
    fs::write(dags.path().join("pipeline.py"), include_str!("airflow/pipeline.py")).unwrap();
    fs::write(dags.path().join("bad.py"), "from airflow.sdk import DAG\n\nDAG(nothing)\n").unwrap();
    let standalone = Standalone::start(dags.path()).await;
    let errors = |answer: &Value| answer["total_entries"] == 2;
    let found = standalone.until("both files wait for an environment", "/importErrors", errors).await;
    assert!(found.to_string().contains("tradewind python setup"), "{found:#}");

    // What `tradewind python setup` makes is found without a restart.
    std::os::unix::fs::symlink(environment.folder(), standalone.folder.path().join("home/python")).unwrap();
    let known = |answer: &Value| answer["dag_id"] == "pipeline";
    standalone.until("the DAG is known", "/dags/pipeline", known).await;
    let one = |answer: &Value| answer["total_entries"] == 1;
    let found = standalone.until("the bad file is the only one", "/importErrors", one).await;
    let trace = found["import_errors"][0]["stack_trace"].as_str().unwrap();
    assert!(trace.contains("name 'nothing' is not defined") && trace.contains("line 3"), "{trace}");

    let variable = json!({"key": "api_key", "value": "s3cr3t-pheasant"});
    assert!(standalone.api("POST", "/variables", Some(variable)).await.0.is_success());
    let body = json!({"dag_run_id": "once", "logical_date": null, "conf": {"size": 4}});
    let (status, answer) = standalone.api("POST", "/dags/pipeline/dagRuns", Some(body)).await;
    assert!(status.is_success(), "{status} {answer:#}");
    let path = "/dags/pipeline/dagRuns/once";
    let ended = |answer: &Value| answer["state"] == "success" || answer["state"] == "failed";
    let run = standalone.until("the run ended", path, ended).await;

    let found = states(&standalone, path).await;
    let of = |id: &str, map_index: i64, state: &str, number: i64| {
        (id.to_owned(), map_index, state.to_owned(), number)
    };
    let mut expected = vec![
        of("accounting", -1, "success", 1),
        of("branch", -1, "success", 1),
        of("clearing", -1, "success", 1),
        of("left", -1, "success", 1),
        of("notification", -1, "success", 1),
        of("numbers", -1, "success", 1),
        of("order_processing", -1, "success", 1),
        of("right", -1, "skipped", 0),
        of("risk_control", -1, "success", 1),
        of("second_time", -1, "success", 2),
        of("secret", -1, "success", 1),
        of("skips", -1, "skipped", 1),
        of("total", -1, "success", 1),
    ];
    expected.extend((0..4).map(|index| of("square", index, "success", 1)));
    expected.sort();
    assert_eq!(found, expected, "{}", standalone.process.said());
    assert_eq!(run["state"], "success");

    check_results(&standalone, path).await;
    check_logs(&standalone, path).await;
}

async fn check_results(standalone: &Standalone, path: &str) {
    let xcom = async |task: &str| {
        let (_, answer) = standalone
            .api("GET", &format!("{path}/taskInstances/{task}/xcomEntries/return_value"), None)
            .await;
        answer["value"].clone()
    };
    assert_eq!(xcom("total").await, json!(14), "0 + 1 + 4 + 9");
    assert_eq!((xcom("notification").await, xcom("left").await), (json!("Notification"), json!("left once")));
    assert_eq!((xcom("second_time").await, xcom("secret").await), (json!(2), json!(15)));
}

async fn check_logs(standalone: &Standalone, path: &str) {
    let log = async |task: &str, number: i64| {
        standalone.api("GET", &format!("{path}/taskInstances/{task}/logs/{number}"), None).await.1.to_string()
    };
    assert!(log("accounting", 1).await.contains("Accounting Task"));
    let failed = log("second_time", 1).await;
    assert!(failed.contains("ValueError: not the first time") && failed.contains("pipeline.py"), "{failed}");
    let masked = log("secret", 1).await;
    assert!(masked.contains("the secret is ***") && !masked.contains("pheasant"), "{masked}");
}
