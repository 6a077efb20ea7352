//! The little API: tasks by name.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use store::account::Role;

use crate::app::{App, Program};

async fn post(program: &Program<'_>, body: Value) -> (StatusCode, Value) {
    let answer = program.request(Method::POST, "/tasks").json(&body).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

async fn all(program: &Program<'_>) -> Value {
    program.request(Method::GET, "/tasks").send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn tasks_run_when_those_they_depend_on_have_succeeded() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    let (status, first) = post(&program, json!({"name": "first", "dependencies": [], "priority": 1})).await;
    assert_eq!((status, &first["id"], &first["name"]), (StatusCode::CREATED, &json!(1), &json!("first")));
    let (_, slow) =
        post(&program, json!({"name": "slow", "dependencies": ["first"], "priority": 5, "command": "wait"}))
            .await;
    assert_eq!(
        (&slow["id"], &slow["dependencies"], &slow["command"]),
        (&json!(2), &json!(["first"]), &json!("wait"))
    );
    post(&program, json!({"name": "last", "dependencies": ["slow", "first"]})).await;
    post(&program, json!({"name": "beside", "dependencies": ["first"], "command": "echo beside"})).await;

    let run = slow["run_id"].as_str().unwrap();
    program
        .wait_for(&format!("/dags/tasks/dagRuns/{run}/taskInstances/beside"), |ti| ti["state"] == "success")
        .await;
    let tasks = all(&program).await;
    let states: Vec<(&str, &str)> = tasks["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| (task["name"].as_str().unwrap(), task["state"].as_str().unwrap()))
        .collect();
    assert_eq!(states, [("first", "success"), ("slow", "running"), ("last", "none"), ("beside", "success")]);
    assert_eq!((&tasks["total_entries"], &tasks["run_id"]), (&json!(4), &json!(run)));
}

#[tokio::test]
async fn a_run_that_has_ended_goes_on_when_a_task_is_added() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    let (_, first) = post(&program, json!({"name": "first"})).await;
    let run = first["run_id"].as_str().unwrap();
    let ended = format!("/dags/tasks/dagRuns/{run}");
    program.wait_for(&ended, |run| run["state"] == "success").await;
    // Nothing runs twice.
    post(&program, json!({"name": "after", "dependencies": ["first"]})).await;
    program
        .wait_for(&format!("/dags/tasks/dagRuns/{run}/taskInstances/after"), |ti| ti["state"] == "success")
        .await;
    let first = program.get(&format!("/dags/tasks/dagRuns/{run}/taskInstances/first")).await;
    assert_eq!(first["try_number"], 1);
    assert_eq!(program.get("/dags/tasks/dagRuns").await["total_entries"], 1);
    assert!(!app.db.store.known_files().await.unwrap().contains(&"(tasks api)".to_owned()));
}

#[tokio::test]
async fn tasks_that_make_no_sense_are_refused() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    post(&program, json!({"name": "known"})).await;
    for (body, status, words) in [
        (json!({"name": "known"}), 409, "exists already"),
        (json!({"name": "new", "dependencies": ["unknown"]}), 422, "`known`"),
        (json!({"name": "new", "dependencies": ["new"]}), 422, "does not exist"),
        (json!({"name": "a b"}), 422, "not allowed"),
        (json!({"name": "../x"}), 422, "name"),
        (json!({"name": "x".repeat(251)}), 422, "250"),
        (json!({"name": "new", "priority": 9_999}), 422, "priority"),
        (json!({"name": "new", "command": "  "}), 422, "command"),
        (json!({"name": "new", "command": "x".repeat(70_000)}), 422, "bytes"),
        (json!({"name": "new", "dependencies": "known"}), 422, "sequence"),
        (json!({"dependencies": []}), 422, "Field required"),
        (json!({"name": "new", "other": 1}), 422, "other"),
    ] {
        let shown = body.to_string();
        let (found, refusal) = post(&program, body).await;
        assert_eq!(found.as_u16(), status, "{shown:.80}: {refusal}");
        assert!(refusal.to_string().contains(words), "{shown:.80}: {refusal}");
    }
    assert_eq!(all(&program).await["total_entries"], 1);
    assert_eq!(app.client.get(app.url("/tasks")).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_file_that_has_the_name_keeps_it() {
    let mut app = App::without_leader(webserver::Settings::default()).await;
    app.load("mine.yaml", "dag_id: tasks\ntasks:\n  a: {bash: echo}\n").await;
    app.lead().await;
    let program = app.program(Role::User).await;
    let (status, refusal) = post(&program, json!({"name": "new"})).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(refusal["detail"].as_str().unwrap().contains("mine.yaml"), "{refusal}");
}

#[tokio::test]
async fn tasks_posted_at_the_same_time_are_all_kept() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    let posts = (0..12).map(|number| post(&program, json!({"name": format!("t{number}")})));
    let answers = futures_util::future::join_all(posts).await;
    assert!(answers.iter().all(|(status, _)| *status == StatusCode::CREATED), "{answers:?}");
    let mut ids: Vec<i64> = answers.iter().map(|(_, task)| task["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=12).collect::<Vec<_>>());
    assert_eq!(program.get("/dags/tasks/dagRuns").await["total_entries"], 1);
    let run = answers[0].1["run_id"].as_str().unwrap();
    program
        .wait_for(&format!("/dags/tasks/dagRuns/{run}/taskInstances?state=success"), |page| {
            page["total_entries"] == 12
        })
        .await;
}
