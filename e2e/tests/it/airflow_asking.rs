//! Tasks of Airflow DAG files that ask about other runs, assets and variables, and change them.

use std::fs;

use serde_json::{Value, json};

use crate::{airflow_environment::environment, platform::Standalone};

/// A standalone that knows the DAGs.
async fn standalone(dags: &tempfile::TempDir) -> Option<Standalone> {
    let environment = environment().await?;
    fs::write(dags.path().join("asking.py"), include_str!("airflow/asking.py")).unwrap();
    let standalone = Standalone::start(dags.path()).await;
    std::os::unix::fs::symlink(environment.folder(), standalone.folder.path().join("home/python")).unwrap();
    let known = |answer: &Value| answer["dag_id"] == "uses";
    standalone.until("the DAGs are known", "/dags/uses", known).await;
    let (_, errors) = standalone.api("GET", "/importErrors", None).await;
    assert_eq!(errors["total_entries"], 0, "{errors:#}");
    Some(standalone)
}

async fn start(standalone: &Standalone, dag_id: &str, logical_date: Value, conf: Value) {
    let body = json!({"dag_run_id": "r", "logical_date": logical_date, "conf": conf});
    let (status, answer) = standalone.api("POST", &format!("/dags/{dag_id}/dagRuns"), Some(body)).await;
    assert!(status.is_success(), "{status} {answer:#}");
}

async fn ended(standalone: &Standalone, dag_id: &str, run_id: &str) -> Value {
    let path = format!("/dags/{dag_id}/dagRuns/{run_id}");
    let has_ended = |answer: &Value| answer["state"] == "success" || answer["state"] == "failed";
    standalone.until("the run ended", &path, has_ended).await
}

async fn result(standalone: &Standalone, run: &str, task: &str) -> Value {
    let path = format!("/dags/{run}/taskInstances/{task}/xcomEntries/return_value");
    standalone.api("GET", &path, None).await.1["value"].clone()
}

async fn log(standalone: &Standalone, run: &str, task: &str) -> String {
    let path = format!("/dags/{run}/taskInstances/{task}/logs/1");
    standalone.api("GET", &path, None).await.1.to_string()
}

async fn states(standalone: &Standalone, run: &str) -> Value {
    let (_, tis) = standalone.api("GET", &format!("/dags/{run}/taskInstances?limit=100"), None).await;
    let tis = tis["task_instances"].as_array().unwrap();
    tis.iter().map(|ti| (ti["task_id"].as_str().unwrap().to_owned(), ti["state"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_start_runs_and_look_at_them() {
    let dags = tempfile::tempdir().unwrap();
    let Some(standalone) = standalone(&dags).await else { return };
    start(&standalone, "starts", Value::Null, json!({})).await;
    ended(&standalone, "starts", "r").await;
    let found = states(&standalone, "starts/dagRuns/r").await;
    let expected = json!({
        "first": "success", "skips": "skipped", "fails": "failed", "unknown": "failed", "resets": "success",
        "looks": "success",
    });
    assert_eq!(found, expected, "{}", log(&standalone, "starts/dagRuns/r", "first").await);
    let looked = result(&standalone, "starts/dagRuns/r", "looks").await;
    let expected = json!({
        "result": 3, "state": "success", "runs": 1, "tasks": 1,
        "states": {"called": {"work": "success", "inner.more": "success"}}, "ended": ["inner.more", "work"],
        "dag": [["a", "b"], false, "asking.py"],
    });
    assert_eq!(looked, expected);
    let child = ended(&standalone, "child", "called").await;
    let of = |name: &str| child[name].clone();
    assert_eq!(
        (of("run_type"), of("note"), of("state")),
        (json!("operator_triggered"), json!("by starts"), json!("success"))
    );
    let (_, lines) = standalone.api("GET", "/eventLogs?event=trigger_dag_run&dag_id=child", None).await;
    let owners: Vec<&Value> =
        lines["event_logs"].as_array().unwrap().iter().map(|line| &line["owner"]).collect();
    let owner = |task: &str| json!(format!("task `{task}` of run `r` of DAG `starts`"));
    assert!(owners.contains(&&owner("first")) && owners.contains(&&owner("resets")), "{owners:?}");
    assert!(log(&standalone, "starts/dagRuns/r", "unknown").await.contains("'nobody' not found"));

    let date = json!("2026-02-01T00:00:00Z");
    start(&standalone, "waits", date.clone(), json!({})).await;
    start(&standalone, "child", date, json!({"size": 5})).await;
    let run = ended(&standalone, "waits", "r").await;
    assert_eq!(run["state"], "success", "{}", states(&standalone, "waits/dagRuns/r").await);
    assert_eq!(result(&standalone, "waits/dagRuns/r", "before").await, json!([null, null]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tasks_say_and_keep_is_there_for_others() {
    let dags = tempfile::tempdir().unwrap();
    let Some(standalone) = standalone(&dags).await else { return };
    start(&standalone, "keeps", Value::Null, json!({})).await;
    start(&standalone, "makes", Value::Null, json!({})).await;
    ended(&standalone, "keeps", "r").await;
    let run = "keeps/dagRuns/r";
    let expected = json!({"variables": "success", "tries": "failed", "reads": "success", "logs": "success"});
    assert_eq!(states(&standalone, run).await, expected, "{}", standalone.process.said());
    let kept = result(&standalone, run, "reads").await;
    assert_eq!(
        kept,
        json!(["try 2", null, [[1, 2], "nothing"]]),
        "another try begins without XComs, but with its state"
    );
    let keys = json!([["count_one", "count_two"], {"a": [2]}, "gone"]);
    assert_eq!(result(&standalone, run, "variables").await, keys);
    let (_, variable) = standalone.api("GET", "/variables/count_one", None).await;
    assert_eq!((&variable["value"], &variable["description"]), (&json!("1"), &json!("counted")));
    let (_, lines) = standalone.api("GET", "/eventLogs?dag_id=keeps&task_id=variables", None).await;
    let events: Vec<&Value> =
        lines["event_logs"].as_array().unwrap().iter().map(|line| &line["event"]).collect();
    assert_eq!(events.iter().filter(|event| **event == "patch_variable").count(), 3, "{lines:#}");
    assert!(log(&standalone, run, "logs").await.contains("over another socket"));

    let runs = |answer: &Value| answer["total_entries"] == 1;
    let found = standalone.until("assets have asked for a run", "/dags/uses/dagRuns", runs).await;
    let run_id = found["dag_runs"][0]["dag_run_id"].as_str().unwrap().to_owned();
    let run = ended(&standalone, "uses", &run_id).await;
    let path = format!("uses/dagRuns/{run_id}");
    assert_eq!(run["state"], "success", "{}", log(&standalone, &path, "use").await);
    let expected = json!({
        "told": [{"rows": 7}], "by": "r", "newest": {"rows": 7}, "part": [["part-1", {"part": 1}]],
        "watermark": "2026-01-01",
    });
    assert_eq!(result(&standalone, &path, "use").await, expected);
}
