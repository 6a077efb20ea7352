//! Backfills over the API, in Airflow's shapes.

use reqwest::Method;
use serde_json::{Value, json};
use store::account::Role;
use webserver::Settings;

use crate::app::{App, Program};

/// A DAG whose schedule is over, so that only backfills run it.
pub(crate) const HOURLY: &str = "
dag_id: hourly
schedule: '0 * * * *'
start_date: 2020-01-01
end_date: 2020-01-02
max_active_runs: 1
params: {day: {type: string, default: a}}
tasks:
  only: {bash: echo}
";

pub(crate) async fn app(command: &str) -> App {
    let mut app = App::without_leader(Settings::default()).await;
    app.load("hourly.yaml", &HOURLY.replace("echo", command)).await;
    app.lead().await;
    app
}

fn body(more: Value) -> Value {
    let mut body = json!({
        "dag_id": "hourly", "from_date": "2020-01-01T00:00:00Z", "to_date": "2020-01-01T03:00:00Z"
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn create(program: &Program<'_>, more: Value, status: u16) -> Value {
    program.send(Method::POST, "/backfills", body(more), status).await
}

async fn dates(program: &Program<'_>, more: Value) -> Vec<Value> {
    let found = program.send(Method::POST, "/backfills/dry_run", body(more), 200).await;
    let dates = found["backfills"].as_array().unwrap();
    assert_eq!(found["total_entries"], dates.len());
    dates.iter().map(|date| date["logical_date"].clone()).collect()
}

#[tokio::test]
async fn a_backfill_runs_every_date_and_is_completed() {
    let app = app("echo").await;
    let program = app.program(Role::User).await;
    assert_eq!(dates(&program, json!({"run_backwards": true})).await[0], "2020-01-01T03:00:00Z");
    let made = create(&program, json!({"dag_run_conf": {"day": "b"}, "max_active_runs": 2}), 200).await;
    let fields: Vec<&str> = made.as_object().unwrap().keys().map(String::as_str).collect();
    let wanted = [
        "id",
        "dag_id",
        "from_date",
        "to_date",
        "dag_run_conf",
        "is_paused",
        "reprocess_behavior",
        "max_active_runs",
        "created_at",
        "completed_at",
        "updated_at",
        "dag_display_name",
    ];
    assert!(wanted.iter().all(|name| fields.contains(name)) && fields.len() == wanted.len(), "{fields:?}");
    let path = format!("/backfills/{}", made["id"]);
    let over = program.wait_for(&path, |backfill| !backfill["completed_at"].is_null()).await;
    assert_eq!((&over["reprocess_behavior"], &over["is_paused"]), (&json!("none"), &json!(false)));
    let runs = program.get("/dags/hourly/dagRuns?order_by=logical_date").await;
    let runs = runs["dag_runs"].as_array().unwrap();
    assert_eq!(runs.len(), 4);
    let run = &runs[1];
    assert_eq!(run["dag_run_id"], "backfill__2020-01-01T01:00:00+00:00");
    assert_eq!((&run["run_type"], &run["triggered_by"]), (&json!("backfill"), &json!("backfill")));
    assert_eq!((&run["backfill_id"], &run["state"]), (&made["id"], &json!("success")));
    assert_eq!(run["conf"], json!({"day": "b"}));

    assert_eq!(dates(&program, json!({})).await.len(), 0, "all of them exist");
    assert_eq!(dates(&program, json!({"reprocess_behavior": "failed"})).await.len(), 0);
    assert_eq!(dates(&program, json!({"reprocess_behavior": "completed"})).await.len(), 4);
    let again = create(&program, json!({"reprocess_behavior": "completed"}), 200).await;
    program.wait_for(&format!("/backfills/{}", again["id"]), |made| !made["completed_at"].is_null()).await;
    let run = program.get("/dags/hourly/dagRuns/backfill__2020-01-01T01:00:00+00:00").await;
    assert_eq!((&run["backfill_id"], &run["conf"]), (&again["id"], &json!({"day": "b"})));
    let ti = format!("/dags/hourly/dagRuns/{}/taskInstances/only", run["dag_run_id"].as_str().unwrap());
    assert_eq!(program.get(&ti).await["try_number"], 2);

    let list = program.get("/backfills?dag_id=hourly&order_by=-id&limit=1").await;
    assert_eq!((&list["total_entries"], &list["backfills"][0]["id"]), (&json!(2), &again["id"]));
    assert_eq!(program.get("/backfills?dag_id=none").await["total_entries"], 0);
    program.refused("/backfills", 422).await;
    program.refused("/backfills/999999", 404).await;
}

#[tokio::test]
async fn a_backfill_is_paused_let_go_on_and_cancelled() {
    let app = app("wait").await;
    let program = app.program(Role::User).await;
    let made = create(&program, json!({"max_active_runs": 1}), 200).await;
    let conflict = create(&program, json!({}), 409).await;
    assert_eq!(conflict["detail"], "There is already a running backfill for dag hourly");
    let path = format!("/backfills/{}", made["id"]);
    let put = |what: &str, status: u16| {
        let (program, path) = (&program, format!("{path}/{what}"));
        async move { program.send(Method::PUT, &path, Value::Null, status).await }
    };
    assert_eq!(put("pause", 200).await["is_paused"], true);
    assert_eq!(put("pause", 200).await["is_paused"], true, "twice is once");
    let run = "/dags/hourly/dagRuns/backfill__2020-01-01T00:00:00+00:00";
    program.wait_for(run, |run| run["state"] == "running").await;
    program.send(Method::PATCH, run, json!({"state": "failed"}), 200).await;
    assert_eq!(program.get("/dags/hourly/dagRuns").await["total_entries"], 1, "no new run of a paused one");
    assert_eq!(put("unpause", 200).await["is_paused"], false);
    program.wait_for("/dags/hourly/dagRuns", |runs| runs["total_entries"] == 2).await;
    let over = put("cancel", 200).await;
    assert!(!over["completed_at"].is_null() && over["is_paused"] == true, "{over}");
    for what in ["pause", "unpause", "cancel"] {
        assert_eq!(put(what, 409).await["detail"], "Backfill is already completed.");
    }
    program.send(Method::PUT, "/backfills/999999/cancel", Value::Null, 404).await;
    let log = program.get("/eventLogs?dag_id=hourly&order_by=event_log_id").await;
    let events: Vec<&str> =
        log["event_logs"].as_array().unwrap().iter().map(|line| line["event"].as_str().unwrap()).collect();
    let wanted = ["create_backfill", "pause_backfill", "unpause_backfill", "cancel_backfill"];
    assert!(wanted.iter().all(|event| events.contains(event)), "{events:?}");
}

#[tokio::test]
async fn what_cannot_be_is_refused_in_airflows_words() {
    let mut app = App::without_leader(Settings::default()).await;
    app.load("hourly.yaml", HOURLY).await;
    app.load("never.yaml", "dag_id: never\nschedule: null\ntasks: {t: {bash: echo}}").await;
    let past = "dag_id: past\nschedule: '0 * * * *'\nend_date: 2020-01-01\ntasks: {t: {bash: echo, depends_on_past: true}}";
    app.load("past.yaml", past).await;
    app.lead().await;
    let program = app.program(Role::User).await;
    for (more, status, words) in [
        (json!({"dag_id": "nowhere"}), 404, "Could not find dag nowhere"),
        (json!({"dag_id": "never"}), 422, "non-periodic schedule"),
        (json!({"dag_id": "past"}), 422, "You must set reprocess behavior"),
        (json!({"dag_id": "past", "run_backwards": true}), 422, "cannot be run in reverse"),
        (json!({"to_date": "2019-01-01T00:00:00Z"}), 422, "must not be after to_date"),
        (
            json!({"from_date": "2999-01-01T00:00:00Z", "to_date": "2999-01-02T00:00:00Z"}),
            422,
            "future dates",
        ),
        (json!({"to_date": "2025-01-01T00:00:00Z"}), 422, "at most"),
        (
            json!({"to_date": "2020-01-01T00:00:00Z", "from_date": "2020-01-01T00:00:00Z", "dag_run_conf": {"day": 7}}),
            422,
            "day",
        ),
        (
            json!({"from_date": "2020-01-01T00:10:00Z", "to_date": "2020-01-01T00:20:00Z"}),
            422,
            "No runs to create",
        ),
        (json!({"max_active_runs": 0}), 422, "max_active_runs"),
        (json!({"max_active_runs": -1}), 422, "max_active_runs"),
        (json!({"reprocess_behavior": "sometimes"}), 422, "sometimes"),
        (json!({"from_date": null}), 422, "datetime"),
        (json!({"from_date": "tomorrow"}), 422, "not a moment"),
        (json!({"nonsense": 1}), 422, "nonsense"),
        (json!({"dag_run_conf": {"x": "x".repeat(300_000)}}), 422, "bytes"),
    ] {
        let refused = create(&program, more.clone(), status).await;
        assert!(refused.to_string().contains(words), "{more}: {refused}");
    }
    let viewer = app.program(Role::Viewer).await;
    create(&viewer, json!({}), 403).await;
    viewer.send(Method::PUT, "/backfills/1/cancel", Value::Null, 403).await;
    assert_eq!(viewer.get("/backfills?dag_id=hourly").await["total_entries"], 0);
}
