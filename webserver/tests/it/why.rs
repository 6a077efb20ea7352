//! Why a task instance does not run, as programs read it.

use reqwest::Method;
use serde_json::{Value, json};
use store::account::Role;
use webserver::Settings;

use crate::app::{App, Program};

/// A task that runs for ever, and two that wait for it.
const CHAIN: &str = "
dag_id: chain
schedule: null
tasks:
  first: {bash: wait}
  second: {depends_on: first, bash: echo}
  each: {depends_on: first, bash: echo, expand: {n: [1, 2]}}
";

const TIS: &str = "/dags/chain/dagRuns/one/taskInstances";

async fn started(app: &mut App) -> Program<'_> {
    app.load("chain.yaml", CHAIN).await;
    app.lead().await;
    let program = app.program(Role::User).await;
    let body = json!({"dag_run_id": "one", "logical_date": null});
    program.send(Method::POST, "/dags/chain/dagRuns", body, 200).await;
    program.wait_for(&format!("{TIS}/first"), |ti| ti["state"] == "running").await;
    program
}

fn kinds(why: &Value) -> Vec<&str> {
    let obstacles = why["obstacles"].as_array().unwrap();
    obstacles.iter().map(|obstacle| obstacle["kind"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_scheduler_says_what_is_in_the_way() {
    let mut app = App::without_leader(Settings::default()).await;
    let program = started(&mut app).await;
    program.send(Method::PATCH, "/dags/chain", json!({"is_paused": true}), 200).await;
    let paused = |why: &Value| kinds(why).contains(&"dag_paused");
    let why = program.wait_for(&format!("{TIS}/second/why"), paused).await;
    assert_eq!(kinds(&why), ["dag_paused", "upstream"]);
    assert_eq!(
        (&why["source"], &why["state"], &why["map_index"]),
        (&json!("scheduler"), &json!("none"), &json!(-1))
    );
    assert_eq!(why["reason"], "DAG `chain` is paused.");
    let upstream = &why["obstacles"][1];
    assert_eq!(upstream["trigger_rule"], "all_success");
    assert_eq!(upstream["awaited"]["named"][0]["task_id"], "first");
    assert_eq!(upstream["name"], "Trigger Rule");
    assert_eq!(why["obstacles"][0]["remedy"], "Unpause the DAG.");

    let short = program.get(&format!("{TIS}/each/1/dependencies")).await;
    let names: Vec<&Value> =
        short["dependencies"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["Dag Not Paused", "Trigger Rule"], "{short}");
    let keys: Vec<&String> = short["dependencies"][0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["name", "reason"]);
    assert_eq!(program.get(&format!("{TIS}/each/why?map_index=1")).await["map_index"], 1);
    let running = program.get(&format!("{TIS}/first/why")).await;
    assert!(kinds(&running).is_empty() && running["standing"]["kind"] != "waiting", "{running}");

    for path in ["none/why", "second/3/why", "none/dependencies", "each/2/dependencies"] {
        program.refused(&format!("{TIS}/{path}"), 404).await;
    }
}

#[tokio::test]
async fn when_nobody_leads_the_records_answer() {
    let mut app = App::without_leader(Settings::default()).await;
    let program = started(&mut app).await;
    program.app.dismiss().await;
    let why = program.get(&format!("{TIS}/second/why")).await;
    assert_eq!(kinds(&why), ["no_scheduler", "upstream"]);
    assert_eq!(why["source"], "records");
    let short = program.get(&format!("{TIS}/second/dependencies")).await;
    assert_eq!(short["dependencies"][0]["name"], "Scheduler Running", "sorted by name");
}

#[tokio::test]
async fn what_has_ended_waits_for_nothing() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    program.run("pipeline", "mine").await;
    let why = program.get("/dags/pipeline/dagRuns/mine/taskInstances/check/why").await;
    assert_eq!((&why["standing"], &why["obstacles"]), (&json!({"kind": "ended"}), &json!([])));
    assert_eq!(why["reason"], "It has ended: failed.");
}
