//! One look of a worker for what a task waits for, and what a task asks for that starts a run.

use domain::outcome::TryResult::{Deferred, Failed, FailedForGood, Rescheduled, Success};
use serde_json::json;
use wiremock::ResponseTemplate;

use crate::database::Database;
use crate::fixture::{Bench, end};
use crate::http::answering;

fn wait(fields: serde_json::Value) -> Bench {
    Bench::task(&json!({ "wait_for": fields }).to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_there_or_not_yet() {
    let bench = wait(json!({"file": "in/{{ ds }}.csv"}));
    let path = bench.settings.dags_folder.join("in/2026-01-02.csv");
    let missing = format!("there is no {}", path.display());
    assert_eq!(end(&bench.run().await), (Rescheduled, None, missing.as_str()));
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "x").unwrap();
    let finished = bench.run().await;
    assert_eq!((finished.result, finished.xcoms.len()), (Success, 0));
    assert!(bench.lines.all().contains("look 1 for the file"), "{}", bench.lines.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_counts_or_does_not_yet() {
    let db = Database::empty().await;
    for (query, result) in [
        ("select count(*) from pg_tables where tablename = 'nope'", Rescheduled),
        ("select 'there' where false", Rescheduled),
        ("select true", Success),
        ("select nope", Failed),
    ] {
        let bench = wait(json!({"sql": query, "conn_id": "db"})).with_env("TRADEWIND_CONN_DB", &db.url);
        let finished = bench.run().await;
        assert_eq!((finished.result, finished.xcoms.len()), (result, 0), "{query}: {finished:?}");
    }
    let finished = wait(json!({"sql": "select 1", "conn_id": "nope"})).run().await;
    assert_eq!(finished.result, FailedForGood, "{finished:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_answers_as_wanted_or_not_yet() {
    let server = answering(ResponseTemplate::new(503).set_body_string("ready")).await;
    let url = format!("{}/x", server.uri());
    for (expect, result) in [
        (json!({}), Rescheduled),
        (json!({"status": 503}), Success),
        (json!({"status": 503, "contains": "{{ 'ready' }}"}), Success),
        (json!({"status": 503, "contains": "steady"}), Rescheduled),
    ] {
        let bench = wait(json!({"http": url, "expect": expect}));
        assert_eq!(bench.run().await.result, result, "{expect}");
    }
    let nobody = wait(json!({"http": "http://127.0.0.1:1/"})).run().await;
    assert_eq!(nobody.result, Rescheduled, "{nobody:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_renders_what_the_run_is_given() {
    let task = json!({"trigger_dag": {
        "dag_id": "{{ dag.dag_id }}_late", "conf": {"day": "{{ ds }}", "deep": [{"n": 1}]},
        "run_id": "made_{{ ds }}", "logical_date": "{{ ts }}", "wait_for_completion": true,
    }});
    let finished = Bench::task(&task.to_string()).run().await;
    assert_eq!(finished.result, Deferred);
    let request = finished.trigger.unwrap();
    assert_eq!(
        (request.dag_id.as_str(), request.run_id.unwrap().as_str()),
        ("flights_late", "made_2026-01-02")
    );
    assert_eq!(json!(request.conf), json!({"day": "2026-01-02", "deep": [{"n": 1}]}));
    assert_eq!(request.logical_date, Some("2026-01-02T00:00:00Z".parse().unwrap()));
    assert!(request.then.wait_for_completion);
    let wrong = json!({"trigger_dag": {"dag_id": "{{ 'no such' }}"}});
    let finished = Bench::task(&wrong.to_string()).run().await;
    assert_eq!((finished.result, finished.trigger), (FailedForGood, None));
}
