//! The laws between tasks, played by real processes: who cleans up, who is skipped, who waits for the past, and what a
//! failure ends. The scheduler is killed in the middle, and whoever follows it carries on by the same laws.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{platform::Platform, servers::PATIENCE};

/// `FOLDER` is where tasks leave files for each other and for the test.
const DAGS: &[(&str, &str)] = &[
    (
        "cluster",
        "
tasks:
  create: {bash: 'touch FOLDER/cluster', setup: true}
  load: {bash: 'touch FOLDER/loading; until [ -e FOLDER/open ]; do sleep 0.02; done; exit 3', depends_on: create}
  check: {bash: 'true', depends_on: load}
  delete: {bash: 'rm FOLDER/cluster', teardown: true, depends_on: [create, check]}
",
    ),
    (
        "paths",
        "
tasks:
  pick: {branch: {bash: 'echo thinking; echo left'}}
  left: {bash: 'echo l', depends_on: pick}
  right: {bash: 'echo r', depends_on: pick}
  join: {bash: 'echo j', depends_on: [left, right], trigger_rule: none_failed_min_one_success}
  spread: {branch: {python: \"import json; print(json.dumps(['east', 'west']))\"}, depends_on: join}
  east: {bash: 'echo e', depends_on: spread}
  west: {bash: 'echo w', depends_on: spread}
  north: {bash: 'echo n', depends_on: spread}
  lost: {branch: {bash: 'echo nowhere'}}
",
    ),
    (
        "questions",
        "
tasks:
  no: {short_circuit: {bash: 'exit 1'}}
  no_next: {bash: 'true', depends_on: no}
  no_last: {bash: 'true', depends_on: no_next, trigger_rule: all_done}
  polite: {short_circuit: {bash: 'exit 1', ignore_downstream_trigger_rules: false}}
  polite_next: {bash: 'true', depends_on: polite}
  polite_last: {bash: 'true', depends_on: polite_next, trigger_rule: all_done}
  empty: {short_circuit: {python: 'print([])'}}
  empty_next: {bash: 'true', depends_on: empty}
  rows: {short_circuit: {python: 'print([1, 2])'}}
  rows_next: {bash: 'true', depends_on: rows}
",
    ),
    (
        "past",
        "
schedule: {at: [2026-01-01, 2026-01-02]}
start_date: 2026-01-01
catchup: true
tasks:
  load: {bash: 'echo $TRADEWIND_LOGICAL_DATE >> FOLDER/order; test -e FOLDER/mended', depends_on_past: true}
",
    ),
    ("tired", "{max_consecutive_failed_dag_runs: 2, tasks: {load: {bash: exit 1}}}"),
    (
        "fast",
        "
fail_fast: true
tasks:
  slow: {bash: 'trap \"touch FOLDER/stopped; exit 0\" TERM; touch FOLDER/slow; while :; do sleep 0.02; done'}
  after: {bash: 'true', depends_on: slow}
  bad: {bash: 'until [ -e FOLDER/slow ]; do sleep 0.02; done; exit 1'}
",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_laws_hold_also_when_the_scheduler_is_killed() {
    let mut platform = Platform::new().await;
    let files = platform.folder.path().join("files");
    std::fs::create_dir(&files).unwrap();
    for (dag_id, dag) in DAGS {
        let text = dag.replace("FOLDER", files.to_str().unwrap());
        std::fs::write(platform.dags().join(format!("{dag_id}.yaml")), text).unwrap();
    }
    platform.start("worker");
    platform.start("scheduler");
    for dag_id in ["cluster", "paths", "tired"] {
        platform.until_known(dag_id).await;
        platform.trigger(dag_id, "one", json!({})).await;
    }

    // One run of each kind is under way, one that failed keeps the next waiting, and one failure is counted.
    until_exists(&files.join("loading")).await;
    until_ended(&platform, "tired", "one", "failed").await;
    until_ended(&platform, "past", &past(1), "failed").await;
    assert_eq!(states(&platform, "past", &past(2)).await, json!({"load": null}));
    platform.kill("scheduler");
    std::fs::write(files.join("open"), "").unwrap();
    platform.start("scheduler-2");

    for (dag_id, run_id) in [("questions", "one"), ("fast", "one"), ("tired", "two")] {
        platform.trigger(dag_id, run_id, json!({})).await;
    }
    teardowns_run_after_a_failure(&platform, &files).await;
    branches_are_followed(&platform).await;
    short_circuits_are_asked(&platform).await;
    the_first_failure_ends_the_rest(&platform, &files).await;
    failures_in_a_row_pause(&platform).await;
    the_past_is_waited_for(&platform, &files).await;
}

async fn teardowns_run_after_a_failure(platform: &Platform, files: &Path) {
    until_ended(platform, "cluster", "one", "failed").await;
    let expected =
        json!({"create": "success", "load": "failed", "check": "upstream_failed", "delete": "success"});
    assert_eq!(states(platform, "cluster", "one").await, expected);
    assert!(!files.join("cluster").exists(), "the teardown removed what the setup had made");
}

async fn branches_are_followed(platform: &Platform) {
    until_ended(platform, "paths", "one", "failed").await;
    let expected = json!({
        "pick": "success", "left": "success", "right": "skipped", "join": "success",
        "spread": "success", "east": "success", "west": "success", "north": "skipped", "lost": "failed",
    });
    assert_eq!(states(platform, "paths", "one").await, expected);
    let path = "/dags/paths/dagRuns/one/taskInstances/pick/xcomEntries/skipmixin_key";
    let (_, choice) = platform.api("GET", path, None).await;
    assert!(choice.to_string().contains("left"), "{choice:#}");
}

async fn short_circuits_are_asked(platform: &Platform) {
    until_ended(platform, "questions", "one", "success").await;
    let expected = json!({
        "no": "success", "no_next": "skipped", "no_last": "skipped",
        "polite": "success", "polite_next": "skipped", "polite_last": "success",
        "empty": "success", "empty_next": "skipped",
        "rows": "success", "rows_next": "success",
    });
    assert_eq!(states(platform, "questions", "one").await, expected);
}

async fn the_first_failure_ends_the_rest(platform: &Platform, files: &Path) {
    until_ended(platform, "fast", "one", "failed").await;
    let expected = json!({"slow": "failed", "after": "skipped", "bad": "failed"});
    assert_eq!(states(platform, "fast", "one").await, expected);
    until_exists(&files.join("stopped")).await;
}

async fn failures_in_a_row_pause(platform: &Platform) {
    until_ended(platform, "tired", "two", "failed").await;
    platform.until("the DAG is paused", "/dags/tired", |dag| dag["is_paused"] == true).await;
    platform.trigger("tired", "three", json!({})).await;
    let (_, run) = platform.api("GET", "/dags/tired/dagRuns/three", None).await;
    assert_eq!(run["state"], "queued");
}

async fn the_past_is_waited_for(platform: &Platform, files: &Path) {
    let order = || std::fs::read_to_string(files.join("order")).unwrap();
    // The new leader does not know the failed run, and lets the next one wait all the same.
    assert_eq!(states(platform, "past", &past(2)).await, json!({"load": null}));
    assert_eq!(order().lines().count(), 1);
    std::fs::write(files.join("mended"), "").unwrap();
    let body = json!({"dry_run": false, "dag_run_id": past(1)});
    let (status, answer) = platform.api("POST", "/dags/past/clearTaskInstances", Some(body)).await;
    assert!(status.is_success(), "{answer:#}");
    until_ended(platform, "past", &past(2), "success").await;
    until_ended(platform, "past", &past(1), "success").await;
    let [first, second] = ["2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"];
    assert_eq!(order().lines().collect::<Vec<_>>(), [first, first, second]);
}

/// The run of the listed day.
fn past(day: u32) -> String {
    format!("scheduled__2026-01-0{day}T00:00:00+00:00")
}

/// Waits until a run has ended, and it must have ended so.
async fn until_ended(platform: &Platform, dag_id: &str, run_id: &str, state: &str) {
    let path = format!("/dags/{dag_id}/dagRuns/{run_id}");
    let ended = |run: &Value| run["state"] == state;
    platform.until(&format!("`{run_id}` of `{dag_id}` is {state}"), &path, ended).await;
}

/// The states of a run's tasks.
async fn states(platform: &Platform, dag_id: &str, run_id: &str) -> Value {
    let path = format!("/dags/{dag_id}/dagRuns/{run_id}/taskInstances");
    let (_, answer) = platform.api("GET", &path, None).await;
    let tis = answer["task_instances"].as_array().cloned().unwrap_or_default();
    let pair = |ti: &Value| (ti["task_id"].as_str().unwrap().to_owned(), ti["state"].clone());
    Value::Object(tis.iter().map(pair).collect())
}

async fn until_exists(file: &Path) {
    let began = Instant::now();
    while !file.exists() {
        assert!(began.elapsed() < PATIENCE, "{} never came", file.display());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
