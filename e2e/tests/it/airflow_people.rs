//! Operators of Airflow DAG files that ask people, unmodified. Skipped, and said so, where Airflow cannot be installed.

use std::fs;

use serde_json::{Value, json};

use crate::{airflow_environment::environment, platform::Standalone};

const RUN: &str = "/dags/people/dagRuns/r";
const TASKS: [&str; 7] = ["choose", "agree", "refuse", "strict", "cleared", "way", "entry"];

async fn asking(dags: &tempfile::TempDir) -> Option<Standalone> {
    let environment = environment().await?;
    fs::write(dags.path().join("people.py"), include_str!("airflow/people.py")).unwrap();
    let standalone = Standalone::start(dags.path()).await;
    std::os::unix::fs::symlink(environment.folder(), standalone.folder.path().join("home/python")).unwrap();
    standalone.until("the DAG is known", "/dags/people", |answer| answer["dag_id"] == "people").await;
    let body = json!({"dag_run_id": "r", "logical_date": null, "conf": {"size": "a lot"}});
    let (status, answer) = standalone.api("POST", "/dags/people/dagRuns", Some(body)).await;
    assert!(status.is_success(), "{status} {answer:#}");
    Some(standalone)
}

fn question(task: &str) -> String {
    format!("{RUN}/taskInstances/{task}/-1/hitlDetails")
}

async fn answer(standalone: &Standalone, task: &str, options: Value, params: Value) -> u16 {
    let body = json!({"chosen_options": options, "params_input": params});
    standalone.api("PATCH", &question(task), Some(body)).await.0.as_u16()
}

async fn until_task(standalone: &Standalone, task: &str, state: &str) -> Value {
    let path = format!("{RUN}/taskInstances/{task}");
    standalone.until(&format!("{task} is {state}"), &path, |ti| ti["state"] == state).await
}

async fn xcom(standalone: &Standalone, task: &str) -> Value {
    let path = format!("{RUN}/taskInstances/{task}/xcomEntries/return_value");
    standalone.api("GET", &path, None).await.1["value"].clone()
}

async fn log(standalone: &Standalone, task: &str) -> String {
    let path = format!("{RUN}/taskInstances/{task}/logs/1");
    standalone.api("GET", &path, None).await.1.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_ask_people_and_go_on_with_the_answer() {
    let dags = tempfile::tempdir().unwrap();
    let Some(standalone) = asking(&dags).await else { return };
    for task in TASKS {
        until_task(&standalone, task, "awaiting_input").await;
    }
    let (_, asked) = standalone.api("GET", &question("choose"), None).await;
    assert_eq!(
        (&asked["subject"], &asked["body"], &asked["multiple"]),
        (&json!("Load 7 rows?"), &json!("It is **a lot** this time."), &json!(true))
    );

    assert_eq!(answer(&standalone, "choose", json!(["every"]), json!({})).await, 400, "it is no option");
    assert_eq!(answer(&standalone, "choose", json!(["all"]), json!({"rows": 0})).await, 400, "too few");
    let body = json!({"chosen_options": ["all", "none"], "params_input": {"rows": 9}});
    let path = question("choose");
    let send = || standalone.api("PATCH", &path, Some(body.clone()));
    let (one, two) = tokio::join!(send(), send());
    let mut statuses = [one.0.as_u16(), two.0.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "the first one counts");

    // Whoever clears a task withdraws its question, and it asks anew.
    let clear = json!({"dry_run": false, "task_ids": ["cleared"], "dag_run_id": "r", "only_failed": false});
    let (status, cleared) = standalone.api("POST", "/dags/people/clearTaskInstances", Some(clear)).await;
    assert!(status.is_success(), "{cleared:#}");
    let asks_anew = |asked: &Value| asked["task_instance"]["try_number"] == 2;
    standalone.until("it asks anew", &question("cleared"), asks_anew).await;

    for (task, option, params) in [
        ("agree", "Approve", json!({})),
        ("refuse", "Reject", json!({})),
        ("strict", "Reject", json!({})),
        ("cleared", "Approve", json!({})),
        ("way", "to the right", json!({})),
        ("entry", "OK", json!({"n": 5})),
    ] {
        assert_eq!(answer(&standalone, task, json!([option]), params).await, 200, "{task}");
    }
    let ended = |run: &Value| run["state"] == "success" || run["state"] == "failed";
    standalone.until("the run ended", RUN, ended).await;
    check_states(&standalone).await;
    check_results(&standalone).await;
}

async fn check_states(standalone: &Standalone) {
    let (_, tis) = standalone.api("GET", &format!("{RUN}/taskInstances?limit=100"), None).await;
    let one =
        |ti: &Value| (ti["task_id"].as_str().unwrap().to_owned(), json!([ti["state"], ti["try_number"]]));
    let found: Value = tis["task_instances"].as_array().unwrap().iter().map(one).collect();
    let expected = json!({
        "count": ["success", 1], "choose": ["success", 1], "report": ["success", 1], "agree": ["success", 1],
        "publish": ["success", 1], "refuse": ["success", 1], "delete": ["skipped", 0], "strict": ["failed", 1],
        "cleared": ["success", 2], "way": ["success", 1], "left": ["skipped", 0], "right": ["success", 1],
        "entry": ["success", 1], "default": ["success", 1], "silence": ["failed", 1],
    });
    assert_eq!(found, expected, "{}", standalone.process.said());
}

async fn check_results(standalone: &Standalone) {
    let report = xcom(standalone, "report").await;
    assert_eq!((&report[0], &report[1]), (&json!(["all", "none"]), &json!({"rows": 9, "why": ""})));
    assert!(report[2].is_string(), "{report}");
    assert_eq!(xcom(standalone, "entry").await["params_input"], json!({"n": 5}));
    let default = xcom(standalone, "default").await;
    assert_eq!(
        (&default["chosen_options"], &default["responded_by_user"]),
        (&json!(["Approve"]), &Value::Null)
    );
    assert!(log(standalone, "strict").await.contains("HITLRejectException"));
    let silence = log(standalone, "silence").await;
    assert!(
        silence.contains("HITLTimeoutError") && silence.contains("missed: HITLTimeoutError"),
        "{silence}"
    );
    let path = format!("{}/tries/1", question("cleared"));
    let (_, withdrawn) = standalone.api("GET", &path, None).await;
    assert!(withdrawn["withdrawn_at"].is_string(), "{withdrawn:#}");
}
