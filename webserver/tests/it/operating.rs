//! Holding, hurrying, pausing and switching by programs, and triggering safely twice.

use reqwest::Method;
use serde_json::{Value, json};
use store::account::Role;
use webserver::Settings;

use crate::app::{App, Program};

/// A task that runs for ever, and a group that waits for it.
const CHAIN: &str = "
dag_id: chain
schedule: null
tasks:
  first: {bash: wait}
  rest:
    depends_on: first
    tasks:
      one: {bash: echo}
      two: {bash: fail}
";

const RUN: &str = "/dags/chain/dagRuns/r";

async fn started(app: &mut App) -> Program<'_> {
    app.load("chain.yaml", CHAIN).await;
    app.lead().await;
    let program = app.program(Role::User).await;
    let body = json!({"dag_run_id": "r", "logical_date": null});
    program.send(Method::POST, "/dags/chain/dagRuns", body, 200).await;
    program.wait_for(&format!("{RUN}/taskInstances/first"), |ti| ti["state"] == "running").await;
    program
}

async fn kinds(program: &Program<'_>, task: &str) -> Vec<String> {
    let why = program.get(&format!("{RUN}/taskInstances/{task}/why")).await;
    let obstacles = why["obstacles"].as_array().unwrap();
    obstacles.iter().map(|obstacle| obstacle["kind"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_waits_is_held_hurried_paused_and_switched_off() {
    let mut app = App::without_leader(Settings::default()).await;
    let program = started(&mut app).await;
    let one = format!("{RUN}/taskInstances/rest.one");
    let held = program.send(Method::PATCH, &format!("{one}/hold"), json!({"held": true}), 200).await;
    assert_eq!(held["task_instances"][0]["task_id"], "rest.one");
    assert_eq!(kinds(&program, "rest.one").await, ["upstream", "held"]);
    program.send(Method::PATCH, &format!("{one}/-1/hold"), json!({"held": false}), 200).await;
    let moved = json!({"priority_weight": 77});
    let moved = program.send(Method::PATCH, &format!("{one}/priority"), moved, 200).await;
    assert_eq!(moved["task_instances"][0]["priority_weight"], 77);
    let paused = program.send(Method::PATCH, &format!("{RUN}/pause"), json!({"is_paused": true}), 200).await;
    assert_eq!((&paused["is_paused"], &paused["dag_run_id"]), (&json!(true), &json!("r")));
    let off = json!({"is_enabled": false});
    let off = program.send(Method::PATCH, "/dags/chain/tasks/rest.one/switch", off, 200).await;
    assert_eq!(off, json!({"dag_id": "chain", "task_id": "rest.one", "is_enabled": false}));
    assert_eq!(kinds(&program, "rest.one").await, ["run_paused", "upstream", "switched_off"]);

    let log = program.get("/eventLogs?dag_id=chain&limit=50").await;
    let log: Vec<(&Value, &Value)> =
        log["event_logs"].as_array().unwrap().iter().map(|line| (&line["event"], &line["owner"])).collect();
    for event in [
        "hold_task_instances",
        "release_task_instances",
        "prioritize_task_instances",
        "pause_dag_run",
        "disable_task",
    ] {
        assert!(log.contains(&(&json!(event), &json!("user-program"))), "{event}: {log:?}");
    }

    for (path, body, status) in [
        (format!("{one}/hold"), json!({"hold": true}), 422),
        (format!("{RUN}/taskInstances/none/hold"), json!({"held": true}), 404),
        (format!("{one}/7/hold"), json!({"held": true}), 404),
        (format!("{RUN}/taskInstances/first/hold"), json!({"held": true}), 409),
        (format!("{one}/priority"), json!({"priority_weight": "much"}), 422),
        ("/dags/chain/tasks/none/switch".to_owned(), json!({"is_enabled": false}), 404),
        ("/dags/chain/dagRuns/none/pause".to_owned(), json!({"is_paused": false}), 404),
    ] {
        program.send(Method::PATCH, &path, body, status).await;
    }
    let viewer = app.program(Role::Viewer).await;
    viewer.send(Method::PATCH, &format!("{one}/hold"), json!({"held": true}), 403).await;
}

#[tokio::test]
async fn a_group_is_cleared_as_a_whole() {
    let mut app = App::without_leader(Settings::default()).await;
    let program = started(&mut app).await;
    let done = json!({"new_state": "success"});
    program.send(Method::PATCH, &format!("{RUN}/taskInstances/first"), done, 200).await;
    program.wait_for(RUN, |run| run["state"] == "failed").await;
    let body = json!({"dag_run_id": "r", "task_ids": ["rest"], "only_failed": false});
    let would = program.send(Method::POST, "/dags/chain/clearTaskInstances", body, 200).await;
    let names: Vec<&Value> =
        would["task_instances"].as_array().unwrap().iter().map(|ti| &ti["task_id"]).collect();
    assert_eq!(names, ["rest.one", "rest.two"]);
}

async fn trigger(program: &Program<'_>, key: &str, body: Value) -> (u16, Value) {
    let request = program.request(Method::POST, "/api/v2/dags/chain/dagRuns");
    let answer = request.header("Idempotency-Key", key).json(&body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn the_same_key_is_the_same_run() {
    let mut app = App::without_leader(Settings::default()).await;
    let program = started(&mut app).await;
    let body = json!({"logical_date": null, "conf": {"a": 1}});
    let first = trigger(&program, "k1", body.clone()).await;
    let again = trigger(&program, "k1", body.clone()).await;
    assert_eq!((first.0, again.0), (200, 200), "{first:?} {again:?}");
    assert_eq!(first.1["dag_run_id"], again.1["dag_run_id"]);
    let other = trigger(&program, "k2", body.clone()).await;
    assert_ne!(first.1["dag_run_id"], other.1["dag_run_id"]);
    let all = futures_util::future::join_all((0..4).map(|_| trigger(&program, "k3", body.clone()))).await;
    assert!(
        all.iter().all(|(status, run)| *status == 200 && run["dag_run_id"] == all[0].1["dag_run_id"]),
        "{all:?}"
    );
    assert_eq!(program.get("/dags/chain/dagRuns").await["total_entries"], 4);

    let (status, refused) = trigger(&program, "k1", json!({"logical_date": null})).await;
    assert!(status == 409 && refused["detail"].as_str().unwrap().contains("another request"), "{refused}");
    let named = trigger(&program, "k4", json!({"logical_date": null, "dag_run_id": "mine"})).await;
    let same = trigger(&program, "k4", json!({"logical_date": null, "dag_run_id": "mine"})).await;
    assert_eq!((named.0, same.0, &same.1["dag_run_id"]), (200, 200, &json!("mine")));
    assert_eq!(trigger(&program, "a b", json!({"logical_date": null})).await.0, 400);

    // A day later it is free again.
    program.app.db.execute("UPDATE trigger_key SET at = at - interval '25 hours'").await;
    let (status, next) = trigger(&program, "k1", body).await;
    assert_eq!(status, 200);
    assert_ne!(next["dag_run_id"], first.1["dag_run_id"]);
}

#[tokio::test]
async fn a_run_may_be_ordered_for_later() {
    let mut app = App::without_leader(Settings::default()).await;
    let program = started(&mut app).await;
    let body = json!({"logical_date": null, "dag_run_id": "later", "run_after": "2190-01-01T00:00:00Z"});
    let run = program.send(Method::POST, "/dags/chain/dagRuns", body, 200).await;
    assert_eq!((&run["state"], &run["run_after"]), (&json!("queued"), &json!("2190-01-01T00:00:00Z")));
    let why = program.get("/dags/chain/dagRuns/later/taskInstances/first/why").await;
    assert_eq!(why["obstacles"][0]["kind"], "run_not_due");
    assert_eq!(why["reason"], "The run starts at 2190-01-01 00:00:00 UTC, not before.");
}
