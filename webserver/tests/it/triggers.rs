//! Pausing DAGs and triggering runs.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use store::account::Role;
use webserver::Settings;

use crate::app::{App, PIPELINE, Program};

const RUNS: &str = "/dags/pipeline/dagRuns";

async fn trigger(program: &Program<'_>, body: Value, status: u16) -> Value {
    program.send(Method::POST, RUNS, body, status).await
}

/// Bodies, how they are refused and a part of the words.
fn nonsense() -> Vec<(Value, u16, &'static str)> {
    let nothing = Value::Null;
    vec![
        (json!({}), 422, "Field required"),
        (json!({"logical_date": nothing, "dag_run_id": "scheduled__2026"}), 400, "other kinds of runs"),
        (json!({"logical_date": nothing, "dag_run_id": "../../etc"}), 400, "not allowed"),
        (json!({"logical_date": nothing, "dag_run_id": "a..b"}), 400, ".."),
        (json!({"logical_date": nothing, "conf": {"day": 7}}), 400, "day"),
        (json!({"logical_date": nothing, "conf": []}), 422, "expected a map"),
        (json!({"logical_date": "tomorrow"}), 422, "not a moment"),
        (json!({"logical_date": nothing, "data_interval_start": "2026-01-01"}), 422, "Either both"),
        (json!({"logical_date": nothing, "partition_key": "x"}), 400, "not partitioned"),
        (json!({"logical_date": nothing, "note": "x".repeat(1_001)}), 422, "1000 characters"),
        (json!({"logical_date": nothing, "conf": {"x": "x".repeat(300_000)}}), 422, "bytes"),
        (json!({"logical_date": nothing, "nonsense": 1}), 422, "nonsense"),
    ]
}

#[tokio::test]
async fn dags_are_paused_one_and_many() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    let dag = program.send(Method::PATCH, "/dags/pipeline", json!({"is_paused": true}), 200).await;
    assert_eq!(dag["is_paused"], true);
    let dags = program.send(Method::PATCH, "/dags?dag_id_pattern=~", json!({"is_paused": false}), 200).await;
    assert_eq!((&dags["total_entries"], &dags["dags"][0]["is_paused"]), (&json!(2), &json!(false)));
    let wrong = program
        .send(Method::PATCH, "/dags/pipeline?update_mask=owner", json!({"is_paused": true}), 400)
        .await;
    assert_eq!(wrong["detail"], "Only `is_paused` field can be updated through the REST API");
    let extra =
        program.send(Method::PATCH, "/dags/pipeline", json!({"is_paused": true, "owner": "x"}), 422).await;
    assert_eq!(
        (&extra["detail"][0]["type"], &extra["detail"][0]["loc"]),
        (&json!("extra_forbidden"), &json!(["body", "owner"]))
    );
    program.send(Method::PATCH, "/dags/none", json!({"is_paused": true}), 404).await;
}

#[tokio::test]
async fn runs_are_triggered_with_what_they_are_given() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    let run =
        trigger(&program, json!({"logical_date": null, "conf": {"day": "2026-02-03"}, "note": "why"}), 200)
            .await;
    let id = run["dag_run_id"].as_str().unwrap();
    assert!(id.starts_with("manual__20") && id.len() > 40, "{id}");
    assert_eq!(
        (&run["conf"], &run["note"], &run["logical_date"]),
        (&json!({"day": "2026-02-03"}), &json!("why"), &Value::Null)
    );

    let dated = json!({"logical_date": "2026-01-05T10:00:00+01:00", "dag_run_id": "dated"});
    let run = trigger(&program, dated.clone(), 200).await;
    assert_eq!((&run["logical_date"], &run["dag_run_id"]), (&json!("2026-01-05T09:00:00Z"), &json!("dated")));
    let exact = json!({
        "logical_date": "2026-01-06T00:00:00Z", "data_interval_start": "2026-01-04T00:00:00Z",
        "data_interval_end": "2026-01-05T00:00:00Z", "dag_run_id": "exact"
    });
    assert_eq!(trigger(&program, exact, 200).await["data_interval_start"], "2026-01-04T00:00:00Z");

    trigger(&program, dated.clone(), 409).await;
    trigger(&program, json!({"logical_date": "2026-01-05T09:00:00Z", "dag_run_id": "other"}), 409).await;
    assert_eq!(program.get(RUNS).await["total_entries"], 3);
}

#[tokio::test]
async fn runs_that_make_no_sense_are_refused() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    for (body, status, words) in nonsense() {
        let shown = body.to_string();
        let refusal = trigger(&program, body, status).await.to_string();
        assert!(refusal.contains(words), "{shown:.80}: {refusal}");
    }
    program.send(Method::POST, "/dags/none/dagRuns", json!({"logical_date": null}), 404).await;
    program.send(Method::POST, "/dags/..%2f..%2fetc/dagRuns", json!({"logical_date": null}), 404).await;
    assert_eq!(program.get(RUNS).await["total_entries"], 0);
}

#[tokio::test]
async fn without_a_scheduler_a_run_is_written_down() {
    let settings = Settings { patience: Duration::from_millis(50), ..Settings::default() };
    let mut app = App::impatient(settings).await;
    app.load("pipeline.yaml", PIPELINE).await;
    let program = app.program(Role::User).await;
    let run = trigger(&program, json!({"logical_date": null, "dag_run_id": "later"}), 200).await;
    assert_eq!(
        (&run["state"], &run["dag_run_id"], &run["dag_versions"]),
        (&json!("queued"), &json!("later"), &json!([]))
    );
    program.refused(&format!("{RUNS}/later"), 404).await;
    let token = program.token;
    app.lead().await;
    let program = Program { app: &app, token };
    program.wait_for(&format!("{RUNS}?run_id_pattern=later"), |page| page["total_entries"] == 1).await;
}
