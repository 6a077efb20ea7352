//! The flights example: on its bundled day, and on the full data when `TRADEWIND_TEST_DATA` names the folder that has it.

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio_postgres::NoTls;

use crate::{platform::Standalone, servers::root};

#[tokio::test(flavor = "multi_thread")]
async fn the_bundled_day_is_green() {
    let standalone = Standalone::start(&root().join("examples")).await;
    run(&standalone, "sample", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_full_data_holds_its_known_truths() {
    let Some(data) = std::env::var_os("TRADEWIND_TEST_DATA").map(PathBuf::from) else {
        eprintln!("skipped: TRADEWIND_TEST_DATA does not name the folder with the full flight data");
        return;
    };
    let source = data.join("nycflights13");
    let standalone = Standalone::start(&root().join("examples")).await;
    run(&standalone, "full", json!({"source": source, "complete": true})).await;
    check_truths(&standalone).await;

    // A month that is cleared replaces its rows.
    let january = json!({"dry_run": false, "dag_run_id": "full", "task_ids": [["load_month", 0]], "only_failed": false});
    let before = count(&standalone, "SELECT count(*) FROM flights").await;
    let (status, answer) = standalone.api("POST", "/dags/flights/clearTaskInstances", Some(january)).await;
    assert!(status.is_success(), "{status} {answer:#}");
    until_ended(&standalone, "full").await;
    assert_eq!(count(&standalone, "SELECT count(*) FROM flights").await, before);
}

async fn run(standalone: &Standalone, run_id: &str, conf: Value) {
    let known = |answer: &Value| answer["dag_id"] == "flights";
    standalone.until("the DAG is known", "/dags/flights", known).await;
    let body = json!({"dag_run_id": run_id, "logical_date": null, "conf": conf});
    let (status, answer) = standalone.api("POST", "/dags/flights/dagRuns", Some(body)).await;
    assert!(status.is_success(), "{status} {answer:#}");
    until_ended(standalone, run_id).await;
}

async fn until_ended(standalone: &Standalone, run_id: &str) {
    let path = format!("/dags/flights/dagRuns/{run_id}");
    let ended = |answer: &Value| answer["state"] == "success" || answer["state"] == "failed";
    let run = standalone.until("the run ended", &path, ended).await;
    let (_, tis) = standalone.api("GET", &format!("{path}/taskInstances"), None).await;
    assert_eq!(run["state"], "success", "{tis:#}\n{}", standalone.process.said());
}

async fn check_truths(standalone: &Standalone) {
    let truths = [
        ("SELECT count(*) FROM flights", 336_776),
        ("SELECT count(*) FROM flights WHERE month = 1", 27_004),
        ("SELECT count(*) FROM flights WHERE month = 2", 24_951),
        ("SELECT count(*) FROM flights WHERE dep_time IS NULL", 8255),
        ("SELECT count(DISTINCT carrier) FROM flights", 16),
        ("SELECT count(DISTINCT origin) FROM flights", 3),
    ];
    for (query, wanted) in truths {
        assert_eq!(count(standalone, query).await, wanted, "{query}");
    }
}

async fn count(standalone: &Standalone, query: &str) -> i64 {
    let (client, connection) =
        tokio_postgres::connect(&standalone.database_url("warehouse"), NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client.query_one(query, &[]).await.unwrap().get(0)
}
