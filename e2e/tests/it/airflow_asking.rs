//! Tasks of Airflow DAG files, and their triggers, that ask about other runs, assets and variables, and change them.

use std::fs;

use serde_json::{Value, json};

use crate::{airflow_environment::environment, platform::Standalone};

const ASKING: [(&str, &str); 1] = [("asking.py", include_str!("airflow/asking.py"))];

/// A standalone that knows the DAGs of these files, one of which is called so.
async fn standalone(dags: &tempfile::TempDir, files: &[(&str, &str)], dag_id: &str) -> Option<Standalone> {
    let environment = environment().await?;
    for (name, text) in files {
        fs::write(dags.path().join(name), text).unwrap();
    }
    let standalone = Standalone::start(dags.path()).await;
    std::os::unix::fs::symlink(environment.folder(), standalone.folder.path().join("home/python")).unwrap();
    let known = |answer: &Value| answer["dag_id"] == dag_id;
    standalone.until("the DAGs are known", &format!("/dags/{dag_id}"), known).await;
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
    let Some(standalone) = standalone(&dags, &ASKING, "uses").await else { return };
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
    let Some(standalone) = standalone(&dags, &ASKING, "uses").await else { return };
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

#[tokio::test(flavor = "multi_thread")]
async fn triggers_ask_about_runs_as_tasks_do() {
    let dags = tempfile::tempdir().unwrap();
    let files =
        [("triggers.py", include_str!("airflow/triggers.py")), ("asks.py", include_str!("airflow/asks.py"))];
    let Some(standalone) = standalone(&dags, &files, "defers").await else { return };
    let date = json!("2026-02-01T00:00:00Z");
    start(&standalone, "defers", date.clone(), json!({})).await;
    for task in ["for_run", "for_task", "for_group", "for_plain"] {
        let path = format!("/dags/defers/dagRuns/r/taskInstances/{task}");
        standalone.until("it is deferred", &path, |ti| ti["state"] == "deferred").await;
    }
    start(&standalone, "child", date, json!({})).await;
    let run = "defers/dagRuns/r";
    ended(&standalone, "defers", "r").await;
    let expected = json!({
        "for_run": "success", "for_task": "success", "for_group": "success", "for_plain": "success",
        "calls": "success", "asks": "success", "leaves": "success", "states": "success",
    });
    let found = states(&standalone, run).await;
    assert_eq!(found, expected, "{}\n{}", log(&standalone, run, "asks").await, standalone.process.said());
    let groups = json!({"plain": ["bare", "deep.down"], "deep": ["deep.down"]});
    assert_eq!(result(&standalone, run, "states").await, groups);
    let left = json!([
        {"by": "leaves"}, 3, null, "DAG run not found on DAG 'child' with ID 'nobody'",
        "run 'called' of DAG 'child' has no instance -1 of task 'nobody'",
        "run 'called' of DAG 'child' has no instance 3 of task 'work'",
    ]);
    assert_eq!(result(&standalone, run, "leaves").await, left);
    check_answers(&standalone, run).await;
}

async fn check_answers(standalone: &Standalone, run: &str) {
    let nobody =
        "HITLDetail not found: task instance 00000000-0000-0000-0000-000000000007 has asked people nothing";
    let done = json!(["OKResponse", true]);
    let expected = json!({
        "PutVariable": null, "GetVariable": ["VariableResult", "asked", "yes"],
        "GetVariableKeys": ["VariableKeysResult", ["asked"], 1], "DeleteVariable": done,
        "GetConnection": ["ErrorResponse", "CONNECTION_NOT_FOUND", {"conn_id": "missing"}],
        "SetXCom": null, "GetXCom": ["XComResult", "by_trigger", [1]], "DeleteXCom": null,
        "GetTICount": ["TICount", 4],
        "GetTaskStates": ["TaskStatesResult", {"called": {"inner.more": "success"}}],
        "GetDagRunState": ["DagRunStateResult", "success"], "GetDRCount": ["DRCount", 1],
        // Airflow's triggers do not understand the answer, whoever gives it: it is not among those that they expect.
        "GetPreviousTI": "ValidationError",
        "SetAssetStateStoreByName": done, "GetAssetStateStoreByUri": ["AssetStateStoreResult", 3],
        "DeleteAssetStateStoreByName": done,
        "GetAssetStateStoreByName": ["ErrorResponse", "ASSET_STORE_NOT_FOUND", {"key": "upto"}],
        "SetAssetStateStoreByUri": done, "DeleteAssetStateStoreByUri": done,
        "ClearAssetStateStoreByName": "Asset with name='unknown' not found", "ClearAssetStateStoreByUri": done,
        "GetHITLDetailResponse": nobody, "UpdateHITLDetail": nobody, "MaskSecret": null,
    });
    assert_eq!(result(standalone, run, "asks").await, expected);
    let log = log(standalone, run, "asks").await;
    assert!(log.contains("the secret is ***") && !log.contains("pheasant"), "{log}");
    let (_, lines) = standalone.api("GET", "/eventLogs?event=patch_variable", None).await;
    let owner = lines["event_logs"][0]["owner"].as_str().unwrap();
    assert!(owner.starts_with("a trigger on `"), "{owner}");
}
