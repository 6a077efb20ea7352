//! A question outlives the leader that asked it, holds no worker, and is answered once.

use serde_json::{Value, json};

use crate::platform::Platform;

const FILE: &str = r#"
tasks:
  count: {bash: echo 7}
  agree:
    depends_on: count
    approval: {subject: "Load {{ ti.xcom_pull('count') }} rows?", params: {why: ""}}
  load: {depends_on: agree, bash: "echo {{ ti.xcom_pull('agree').params_input.why }}"}
  beside: {bash: echo beside}
"#;

const TIS: &str = "/dags/ask/dagRuns/one/taskInstances";

#[tokio::test(flavor = "multi_thread")]
async fn a_question_outlives_its_leader_and_is_answered_once() {
    let mut platform = Platform::new().await;
    std::fs::write(platform.dags().join("ask.yaml"), FILE).unwrap();
    platform.start("scheduler");
    platform.start_worker("worker", 1);
    platform.until_known("ask").await;
    platform.trigger("ask", "one", json!({})).await;
    let gate = format!("{TIS}/agree/-1/hitlDetails");
    let asked = platform.until("it is asked", &gate, |asked| asked["subject"].is_string()).await;
    assert_eq!(asked["subject"], "Load 7 rows?", "a worker has rendered it");
    let is_done = |ti: &Value| ti["state"] == "success";
    platform.until("the only slot is free", &format!("{TIS}/beside"), is_done).await;

    platform.kill("scheduler");
    platform.start("scheduler-2");
    std::fs::write(platform.dags().join("later.yaml"), "tasks: {a: {empty: {}}}").unwrap();
    platform.until_known("later").await;
    let list = platform.command(&["approvals", "list", "--output", "json"]).output().unwrap();
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!((&list[0]["subject"], &list[0]["state"]), (&json!("Load 7 rows?"), &json!("open")));
    let body = json!({"chosen_options": ["Approve"], "params_input": {"why": "because"}});
    let answer = async || platform.api("PATCH", &gate, Some(body.clone())).await.0.as_u16();
    let (one, two) = tokio::join!(answer(), answer());
    let mut statuses = [one, two];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{}", platform.logs());
    let load = platform.until("what is behind it has run", &format!("{TIS}/load"), is_done).await;
    assert_eq!(load["try_number"], 1);
    let word = format!("{TIS}/load/xcomEntries/return_value");
    let left = platform.until("it has left its word", &word, |xcom| xcom["value"].is_string()).await;
    assert!(left["value"].as_str().unwrap().contains("because"));
    let args = ["approvals", "answer", "ask", "agree", "one", "--option", "Reject"];
    let late = platform.command(&args).output().unwrap();
    assert!(!late.status.success());
    assert!(String::from_utf8_lossy(&late.stderr).contains("asks nothing now"), "{late:?}");
}
