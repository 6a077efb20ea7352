//! Airflow DAG files written for Airflow 1.10 and 2, and how files of Airflow's are found. Skipped, and said so, where Airflow cannot be
//! installed.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use python::Environment;
use serde_json::{Value, json};

use crate::{
    airflow_environment::environment,
    platform::Standalone,
    servers::{root, tradewind},
};

/// A file that says nothing of the past has the context of Airflow 3.
const OF_TODAY: &str = "
from airflow.sdk import DAG, get_current_context, task
with DAG('of_today', schedule=None):
    @task
    def check():
        assert not {'ds', 'ts', 'logical_date'} & get_current_context().keys()
    check()
";

/// A standalone with an environment, and the folder of its DAG files.
async fn start(environment: &Environment, dags: &Path) -> Standalone {
    let standalone = Standalone::start(dags).await;
    let python = standalone.folder.path().join("home/python");
    std::os::unix::fs::symlink(environment.folder(), python).unwrap();
    standalone
}

async fn known(standalone: &Standalone, dag_id: &str) {
    let known = |answer: &Value| answer["dag_id"] == dag_id;
    standalone.until("the DAG is known", &format!("/dags/{dag_id}"), known).await;
}

async fn ended(standalone: &Standalone, dag_id: &str, run_id: &str) -> Value {
    let path = format!("/dags/{dag_id}/dagRuns/{run_id}");
    let ended = |answer: &Value| answer["state"] == "success" || answer["state"] == "failed";
    let run = standalone.until("the run ended", &path, ended).await;
    assert_eq!(run["state"], "success", "{dag_id}: {}", logs(standalone, dag_id, run_id).await);
    run
}

async fn run(standalone: &Standalone, dag_id: &str, logical_date: Value) {
    let body = json!({"dag_run_id": "one", "logical_date": logical_date});
    let (status, answer) = standalone.api("POST", &format!("/dags/{dag_id}/dagRuns"), Some(body)).await;
    assert!(status.is_success(), "{status} {answer:#}");
    ended(standalone, dag_id, "one").await;
}

async fn log(standalone: &Standalone, dag_id: &str, run_id: &str, task_id: &str) -> String {
    let path = format!("/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/1");
    standalone.api("GET", &path, None).await.1.to_string()
}

/// All instances of a run in the order in which they began.
async fn instances(standalone: &Standalone, dag_id: &str, run_id: &str) -> Vec<(String, String)> {
    let path = format!("/dags/{dag_id}/dagRuns/{run_id}/taskInstances?order_by=start_date");
    let (_, answer) = standalone.api("GET", &path, None).await;
    let text = |ti: &Value, name: &str| ti[name].as_str().unwrap_or("none").to_owned();
    let mut found: Vec<_> = answer["task_instances"]
        .as_array()
        .unwrap()
        .iter()
        .map(|ti| (text(ti, "start_date"), text(ti, "task_id")))
        .collect();
    found.sort();
    found
}

async fn logs(standalone: &Standalone, dag_id: &str, run_id: &str) -> String {
    let mut all = String::new();
    for (_, task_id) in instances(standalone, dag_id, run_id).await {
        all.push_str(&format!("\n{task_id}: {}", log(standalone, dag_id, run_id, &task_id).await));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_older_versions_run_as_they_are() {
    let Some(environment) = environment().await else { return };
    let dags = tempfile::tempdir().unwrap();
    fs::write(dags.path().join("financial.py"), include_str!("airflow/financial.py")).unwrap();
    fs::write(dags.path().join("old_context.py"), include_str!("airflow/old_context.py")).unwrap();
    fs::write(dags.path().join("of_today.py"), OF_TODAY).unwrap();
    fs::copy(root().join("examples/airflow/settlement.py"), dags.path().join("settlement.py")).unwrap();
    let standalone = start(&environment, dags.path()).await;

    known(&standalone, "financial_dag").await;
    run(&standalone, "financial_dag", json!("2022-01-01T00:00:00Z")).await;
    let services = ["order_processing", "clearing", "risk_control", "accounting", "notification"];
    let order = instances(&standalone, "financial_dag", "one").await;
    assert_eq!(order.iter().map(|(_, task_id)| task_id.as_str()).collect::<Vec<_>>(), services);
    let lines = ["Order Processing", "Clearing", "Risk Control", "Accounting", "Notification Service"];
    for (task_id, line) in services.into_iter().zip(lines) {
        let log = log(&standalone, "financial_dag", "one", task_id).await;
        assert!(log.contains(&format!("{line} Task")), "{log}");
    }

    known(&standalone, "old_without_a_date").await;
    run(&standalone, "old_by_hand", json!("2022-01-01T00:00:00Z")).await;
    run(&standalone, "old_without_a_date", Value::Null).await;
    known(&standalone, "of_today").await;
    run(&standalone, "of_today", Value::Null).await;
    let unpaused = json!({"is_paused": false});
    assert!(standalone.api("PATCH", "/dags/old_daily", Some(unpaused)).await.0.is_success());
    let created = |answer: &Value| answer["total_entries"] == 1;
    let runs = standalone.until("the run of today", "/dags/old_daily/dagRuns", created).await;
    ended(&standalone, "old_daily", runs["dag_runs"][0]["dag_run_id"].as_str().unwrap()).await;

    known(&standalone, "settlement").await;
    run(&standalone, "settlement", json!("2026-03-01T06:00:00Z")).await;
    let settled = log(&standalone, "settlement", "one", "settle").await;
    assert!(settled.contains("north pays 95") && settled.contains("south receives 40"), "{settled}");
    let (_, errors) = standalone.api("GET", "/importErrors", None).await;
    assert_eq!(errors["total_entries"], 0, "{errors:#}");
    let said = standalone.process.said();
    assert!(said.contains("`schedule_interval` is called `schedule` now"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_found_as_airflow_finds_them() {
    let Some(environment) = environment().await else { return };
    let dags = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dags.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("made.py", "from airflow.sdk import DAG\nfrom lib.names import NAME\n\nmade = DAG(NAME)\n");
    write("lib/names.py", "NAME = 'airflow_dag'\n");
    write("lib/bad.py", "from airflow.sdk import DAG\n1 / 0\n");
    write(".airflowignore", "lib/\n");
    write("waits.py", "from airflow.sdk import DAG\nfrom lib.later import NAME\n\nwaits = DAG(NAME)\n");
    write(
        "build/packed.py",
        "from airflow.sdk import DAG, task\nfrom inside import WORD\n\nwith DAG('packed'):\n    @task\n    def say():\n        print(WORD)\n    say()\n",
    );
    write("build/inside.py", "WORD = 'from the archive'\n");
    let made = Command::new(environment.interpreter())
        .args(["-m", "zipfile", "-c", "../packed.zip", "packed.py", "inside.py"])
        .current_dir(dags.path().join("build"))
        .status();
    assert!(made.unwrap().success());
    fs::remove_dir_all(dags.path().join("build")).unwrap();
    let standalone = start(&environment, dags.path()).await;

    known(&standalone, "airflow_dag").await;
    known(&standalone, "packed").await;
    run(&standalone, "packed", Value::Null).await;
    assert!(log(&standalone, "packed", "one", "say").await.contains("from the archive"));
    let one = |answer: &Value| answer["total_entries"] == 1;
    let errors =
        standalone.until("one file is broken, and the ignored one is no file", "/importErrors", one).await;
    assert!(errors.to_string().contains("lib.later"), "{errors:#}");

    // A module that a file imports counts as a part of it, also one that was not there before.
    let began = Instant::now();
    write("lib/names.py", "NAME = 'another_dag'\n");
    known(&standalone, "another_dag").await;
    let took = began.elapsed();
    eprintln!("a changed module was live after {took:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    write("lib/later.py", "NAME = 'late_dag'\n");
    // The folder is left out, so nothing says that this is a Python file of ours; it is looked for again after a while.
    write("touched.py", "# nothing\n");
    known(&standalone, "late_dag").await;
    let none = |answer: &Value| answer["total_entries"] == 0;
    standalone.until("nothing is broken", "/importErrors", none).await;

    // A traceback tells no secret.
    let variable = json!({"key": "api_key", "value": "s3cr3t-pheasant"});
    assert!(standalone.api("POST", "/variables", Some(variable)).await.0.is_success());
    write(
        "leak.py",
        "from airflow.sdk import DAG, Variable\nraise ValueError('it is ' + Variable.get('api_key'))\n",
    );
    let leaked = standalone.until("the error of the leak", "/importErrors", one).await.to_string();
    assert!(leaked.contains("it is ***") && !leaked.contains("pheasant"), "{leaked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_run_once_whoever_could_not_run_them() {
    let Some(environment) = environment().await else { return };
    let dags = tempfile::tempdir().unwrap();
    fs::write(dags.path().join("callbacks.py"), include_str!("airflow/callbacks.py")).unwrap();
    let standalone = start(&environment, dags.path()).await;
    known(&standalone, "good").await;
    known(&standalone, "bad").await;
    for dag_id in ["good", "bad"] {
        let body = json!({"dag_run_id": "one", "logical_date": null, "conf": {"a": 1}});
        assert!(standalone.api("POST", &format!("/dags/{dag_id}/dagRuns"), Some(body)).await.0.is_success());
    }
    let over = |count: usize| {
        move |answer: &Value| {
            let alerts = answer["alerts"].as_array().unwrap();
            alerts.len() == count && alerts.iter().all(|alert| alert["state"] != "waiting")
        }
    };
    let good = standalone.until("the good run told", "/alerts?dag_id=good", over(1)).await;
    let bad = standalone.until("the bad run told", "/alerts?dag_id=bad", over(2)).await;
    let told = fs::read_to_string(dags.path().join("told")).unwrap();
    let mut lines: Vec<&str> = told.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "dag-failure one killed 2 {'a': 1}",
            "dag-success one fine 1 {'a': 1}",
            "task-failure one killed 2 {'a': 1}",
            "task-retry one killed 1 {'a': 1}",
            "task-success one fine 1 {'a': 1}",
        ],
        "{good:#} {bad:#}"
    );
    let alert = &good["alerts"][0];
    assert_eq!((&alert["channel"], &alert["state"]), (&json!("callback"), &json!("sent")));
    assert!(alert["log"].as_str().unwrap().contains("told: dag-success"), "{alert:#}");
    let alerts = bad["alerts"].as_array().unwrap();
    let of = |event: &str| alerts.iter().find(|alert| alert["event"] == event).unwrap();
    assert_eq!(of("retry")["state"], "sent");
    assert_eq!(of("failure")["state"], "failed");
    assert_eq!(of("failure")["error"], "ValueError: this callback is broken");
    assert!(of("failure")["log"].as_str().unwrap().contains("callbacks.py"));
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_without_a_server_take_python_files() {
    let Some(environment) = environment().await else { return };
    let place = tempfile::tempdir().unwrap();
    let home = place.path().join("home");
    fs::create_dir(&home).unwrap();
    std::os::unix::fs::symlink(environment.folder(), home.join("python")).unwrap();
    let file = place.path().join("financial.py");
    fs::write(&file, include_str!("airflow/financial.py")).unwrap();
    fs::write(place.path().join("bad.py"), "from airflow.sdk import DAG\n\nDAG(nothing)\n").unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new(tradewind());
        let ended =
            command.args(args).current_dir(place.path()).env("TRADEWIND_HOME", &home).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (ended.status.code(), text(&ended.stdout), text(&ended.stderr))
    };
    let (code, said, noted) = run(&["dags", "validate", "financial.py"]);
    assert_eq!((code, said.as_str()), (Some(0), "financial.py: ok (financial_dag)\n"), "{noted}");
    assert!(
        noted.contains("line 11: a DAG: the argument `schedule_interval` is called `schedule` now"),
        "{noted}"
    );
    let (code, _, noted) = run(&["dags", "validate", "bad.py"]);
    assert!(
        code == Some(1) && noted.contains("bad.py:3:1") && noted.contains("'nothing' is not defined"),
        "{noted}"
    );
    let (code, said, noted) = run(&["dags", "test", "financial.py"]);
    assert_eq!(code, Some(0), "{said} {noted}");
    let order = ["Order Processing", "Clearing", "Risk Control", "Accounting", "Notification Service"];
    let places: Vec<_> =
        order.iter().map(|name| (said.clone() + &noted).find(&format!("{name} Task"))).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{said} {noted}");
}
