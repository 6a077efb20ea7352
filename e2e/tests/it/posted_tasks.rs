//! Tasks that are posted one by one, on a real worker.

use serde_json::{Value, json};

use crate::platform::Platform;

#[tokio::test(flavor = "multi_thread")]
async fn a_posted_task_runs_when_those_it_depends_on_have_succeeded() {
    let mut platform = Platform::new().await;
    platform.start("scheduler");
    let order = platform.folder.path().join("order");
    let note = |name: &str| format!("echo {name} >> {}", order.display());
    post(&platform, json!({"name": "fetch", "dependencies": [], "priority": 1, "command": note("fetch")}))
        .await;
    post(&platform, json!({"name": "low", "dependencies": ["fetch"], "priority": 1, "command": note("low")}))
        .await;
    post(
        &platform,
        json!({"name": "high", "dependencies": ["fetch"], "priority": 9, "command": note("high")}),
    )
    .await;
    post(&platform, json!({"name": "broken", "dependencies": ["high"], "priority": 1, "command": "exit 3"}))
        .await;
    post(&platform, json!({"name": "after", "dependencies": ["broken"], "priority": 1})).await;

    // Nothing has run yet: there is no worker. One task at a time shows the order.
    platform.start_worker("worker", 1);
    let states = until_settled(&platform, "after").await;
    let expected = json!({
        "fetch": "success", "low": "success", "high": "success", "broken": "failed", "after": "upstream_failed"
    });
    assert_eq!(states, expected);
    assert_eq!(std::fs::read_to_string(&order).unwrap(), "fetch\nhigh\nlow\n");

    // The run grows after it has ended, and another leader carries on with it.
    platform.kill("scheduler");
    platform.start("scheduler-2");
    post(&platform, json!({"name": "late", "dependencies": ["low"], "priority": 1, "command": note("late")}))
        .await;
    let states = until_settled(&platform, "late").await;
    assert_eq!(states["late"], "success");
    assert_eq!(std::fs::read_to_string(&order).unwrap(), "fetch\nhigh\nlow\nlate\n");

    let again = json!({"name": "late", "dependencies": [], "priority": 1});
    let (status, _) = platform.ask("POST", "/tasks", Some(again)).await;
    assert_eq!(status, 409);
    let stray = json!({"name": "stray", "dependencies": ["lat"], "priority": 1});
    let (status, answer) = platform.ask("POST", "/tasks", Some(stray)).await;
    assert_eq!(status, 422);
    assert!(answer.to_string().contains("`lat`, which does not exist"), "{answer}");
}

async fn post(platform: &Platform, task: Value) {
    let (status, answer) = platform.ask("POST", "/tasks", Some(task.clone())).await;
    assert_eq!(status, 201, "{answer:#}");
    assert_eq!(answer["name"], task["name"]);
}

/// Waits until a task has ended; the states of all by name.
async fn until_settled(platform: &Platform, name: &str) -> Value {
    let ended = |answer: &Value| {
        let states = states(answer);
        ["success", "failed", "upstream_failed"].iter().any(|state| states[name] == **state)
    };
    states(&platform.until_asked(&format!("`{name}` has ended"), "/tasks", ended).await)
}

fn states(answer: &Value) -> Value {
    let tasks = answer["tasks"].as_array().cloned().unwrap_or_default();
    let pairs = tasks
        .iter()
        .map(|task| (task["name"].as_str().unwrap_or_default().to_owned(), task["state"].clone()));
    Value::Object(pairs.collect())
}
