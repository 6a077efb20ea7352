//! Operating: clearing, marking, deleting.

use reqwest::Method;
use serde_json::{Value, json};
use store::account::Role;

use crate::app::App;

const RUNS: &str = "/dags/pipeline/dagRuns";

fn states(page: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or("null").to_owned();
    let rows = page["task_instances"].as_array().unwrap();
    let mut states: Vec<_> = rows.iter().map(|row| (text(&row["task_id"]), text(&row["state"]))).collect();
    states.sort();
    states.dedup();
    states
}

#[tokio::test]
async fn task_instances_are_cleared() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    program.run("pipeline", "mine").await;
    let clear = "/dags/pipeline/clearTaskInstances";

    let would = program.send(Method::POST, clear, json!({"dag_run_id": "mine"}), 200).await;
    assert_eq!(states(&would).len(), 2, "{would}");
    let body =
        json!({"dag_run_id": "mine", "task_ids": ["load"], "include_downstream": true, "only_failed": false});
    let would = program.send(Method::POST, clear, body, 200).await;
    assert_eq!(would["total_entries"], 3);
    let body = json!({"dag_run_id": "mine", "task_ids": [["each", 1], "extract"], "only_failed": false});
    assert_eq!(program.send(Method::POST, clear, body, 200).await["total_entries"], 2);
    assert_eq!(program.get(&format!("{RUNS}/mine")).await["state"], "failed");

    let body = json!({"dag_run_id": "mine", "dry_run": false, "note": "again"});
    let cleared = program.send(Method::POST, clear, body, 200).await;
    assert_eq!(
        (&cleared["total_entries"], &cleared["task_instances"][0]["note"]),
        (&json!(2), &json!("again"))
    );
    program
        .wait_for(&format!("{RUNS}/mine/taskInstances/check"), |ti| {
            ti["try_number"] == 2 && ti["state"] == "failed"
        })
        .await;

    for (body, status, words) in [
        (json!({"only_failed": true, "only_running": true}), 422, "both are set to True"),
        (json!({"task_ids": []}), 422, "at least 1 element"),
        (json!({"dag_run_id": "mine", "start_date": "2026-01-01T00:00:00Z"}), 422, "Exactly one"),
        (json!({"dag_run_id": "none"}), 404, "was not found"),
        (
            json!({"dag_run_id": "mine", "task_ids": ["none"], "only_failed": false}),
            404,
            "Task id none not found",
        ),
        (json!({"dag_run_id": "mine", "include_past": true}), 400, "include_past"),
    ] {
        let refusal = program.send(Method::POST, clear, body, status).await.to_string();
        assert!(refusal.contains(words), "{refusal}");
    }
}

#[tokio::test]
async fn running_tasks_are_kept_or_stopped() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    program
        .send(Method::POST, "/dags/slow/dagRuns", json!({"logical_date": null, "dag_run_id": "s"}), 200)
        .await;
    let nap = "/dags/slow/dagRuns/s/taskInstances/nap";
    program.wait_for(nap, |ti| ti["state"] == "running").await;
    let body = json!({"dag_run_id": "s", "only_failed": false, "only_running": true, "prevent_running_task": true, "dry_run": false});
    program.send(Method::POST, "/dags/slow/clearTaskInstances", body, 409).await;
    program.refused("/dags/slow/dagRuns/s/taskInstances/nap/tries/2", 404).await;
    let refusal = program.send(Method::DELETE, "/dags/slow/dagRuns/s", Value::Null, 409).await;
    assert!(refusal["detail"].as_str().unwrap().contains("running state"), "{refusal}");
    program.send(Method::DELETE, "/dags/slow", Value::Null, 409).await;

    let run = program
        .send(Method::PATCH, "/dags/slow/dagRuns/s", json!({"state": "failed", "note": "enough"}), 200)
        .await;
    assert_eq!((&run["state"], &run["note"]), (&json!("failed"), &json!("enough")));
    assert_eq!(program.get(nap).await["state"], "failed");
    let refusal = program.send(Method::PATCH, "/dags/slow/dagRuns/s", json!({"state": "running"}), 422).await;
    assert_eq!(refusal["detail"][0]["loc"], json!(["body", "state"]));

    program.send(Method::DELETE, "/dags/slow/dagRuns/s", Value::Null, 204).await;
    program.refused("/dags/slow/dagRuns/s", 404).await;
    program.send(Method::DELETE, "/dags/slow", Value::Null, 204).await;
    program.refused("/dags/slow", 404).await;
}

#[tokio::test]
async fn task_instances_and_runs_are_marked() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    program.run("pipeline", "mine").await;
    let check = format!("{RUNS}/mine/taskInstances/check");
    let body = json!({"new_state": "success", "include_downstream": true});
    let would = program.send(Method::PATCH, &format!("{check}/dry_run"), body.clone(), 200).await;
    assert_eq!(states(&would).len(), 2);
    assert_eq!(program.get(&check).await["state"], "failed");

    let marked =
        program.send(Method::PATCH, &check, json!({"new_state": "success", "note": "by hand"}), 200).await;
    assert_eq!(
        (&marked["task_instances"][0]["state"], &marked["task_instances"][0]["note"]),
        (&json!("success"), &json!("by hand"))
    );
    // What failed behind it gets another chance.
    program.wait_for(&format!("{RUNS}/mine"), |run| run["state"] == "success").await;
    let each = program
        .send(
            Method::PATCH,
            &format!("{RUNS}/mine/taskInstances/each/1"),
            json!({"new_state": "skipped"}),
            200,
        )
        .await;
    assert_eq!(each["total_entries"], 1);

    for (path, body, status) in [
        (check.clone(), json!({"new_state": "running"}), 422),
        (check.clone(), json!({}), 422),
        (format!("{RUNS}/mine/taskInstances/none"), json!({"new_state": "failed"}), 404),
        (format!("{RUNS}/mine/taskInstances/each/7"), json!({"new_state": "failed"}), 404),
    ] {
        program.send(Method::PATCH, &path, body, status).await;
    }
    let run = program.send(Method::PATCH, &format!("{RUNS}/mine"), json!({"note": null}), 200).await;
    assert_eq!(run["note"], Value::Null);
}

#[tokio::test]
async fn a_run_is_cleared_whole() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    program.run("pipeline", "mine").await;
    let clear = format!("{RUNS}/mine/clear");
    assert_eq!(program.send(Method::POST, &clear, json!({}), 200).await["total_entries"], 7);
    assert_eq!(
        program.send(Method::POST, &clear, json!({"only_failed": true}), 200).await["total_entries"],
        2
    );
    assert_eq!(program.send(Method::POST, &clear, json!({"only_new": true}), 200).await["total_entries"], 0);
    program.send(Method::POST, &clear, json!({"only_new": true, "only_failed": true}), 422).await;
    let run = program.send(Method::POST, &clear, json!({"dry_run": false, "note": "whole"}), 200).await;
    assert_eq!(run["note"], "whole");
    program.wait_for(&format!("{RUNS}/mine/taskInstances/extract"), |ti| ti["try_number"] == 2).await;
    let log = program.get("/eventLogs?event=clear_task_instances&dag_id=pipeline").await;
    assert_eq!((&log["total_entries"], &log["event_logs"][0]["owner"]), (&json!(1), &json!("user-program")));
}
