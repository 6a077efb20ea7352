//! Deadlines of Airflow DAG files, unmodified. Skipped, and said so, where Airflow cannot be installed.

use std::fs;

use serde_json::{Value, json};

use crate::{airflow_environment::environment, platform::Standalone};

async fn started() -> Option<(tempfile::TempDir, Standalone)> {
    let environment = environment().await?;
    let dags = tempfile::tempdir().unwrap();
    fs::write(dags.path().join("late.py"), include_str!("airflow/late.py")).unwrap();
    let standalone = Standalone::start(dags.path()).await;
    std::os::unix::fs::symlink(environment.folder(), standalone.folder.path().join("home/python")).unwrap();
    for dag_id in ["late", "usual"] {
        let known = |answer: &Value| answer["dag_id"] == dag_id;
        standalone.until("the DAG is known", &format!("/dags/{dag_id}"), known).await;
    }
    Some((dags, standalone))
}

async fn trigger(standalone: &Standalone, dag_id: &str, run_id: &str) {
    let body = json!({"dag_run_id": run_id, "logical_date": null, "conf": {"a": 1}});
    let (status, answer) = standalone.api("POST", &format!("/dags/{dag_id}/dagRuns"), Some(body)).await;
    assert!(status.is_success(), "{answer:#}");
}

async fn ended(standalone: &Standalone, dag_id: &str, run_id: &str) {
    let path = format!("/dags/{dag_id}/dagRuns/{run_id}");
    standalone.until("the run ended", &path, |run| run["state"] == "success").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_called_when_a_deadline_is_missed() {
    let Some((dags, standalone)) = started().await else { return };
    let variable = json!({"key": "secret_word", "value": "pheasant"});
    assert!(standalone.api("POST", "/variables", Some(variable)).await.0.is_success());
    trigger(&standalone, "late", "one").await;
    let over = |answer: &Value| {
        let alerts = answer["alerts"].as_array().unwrap();
        alerts.len() == 9 && alerts.iter().all(|alert| alert["state"] != "waiting")
    };
    let found = standalone.until("everything was called", "/alerts?dag_id=late", over).await;
    check_told(&fs::read_to_string(dags.path().join("told")).unwrap(), &found);
    check_alerts(found["alerts"].as_array().unwrap());

    let (_, found) = standalone.api("GET", "/dags/late/dagRuns/one/deadlines", None).await;
    let deadlines = found["deadlines"].as_array().unwrap();
    assert!(deadlines.iter().all(|deadline| deadline["missed"] == true), "{found:#}");
    assert_eq!(
        (deadlines.len(), &deadlines[0]["alert_name"]),
        (9, &json!("the call")),
        "one has no interval"
    );
    let (_, found) = standalone.api("GET", "/dags/late/deadlineAlerts", None).await;
    let last = &found["deadline_alerts"][9];
    assert_eq!((&last["interval"], &last["reference_type"]), (&json!(null), &json!("FixedDatetimeDeadline")));
}

fn check_told(told: &str, found: &Value) {
    let lines = told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut lines: Vec<(String, Value)> =
        lines.map(|line| (line["word"].as_str().unwrap().to_owned(), line)).collect();
    lines.sort_by(|one, two| one.0.cmp(&two.0));
    let words: Vec<&str> = lines.iter().map(|(word, _)| word.as_str()).collect();
    assert_eq!(words, ["alone", "async", "awaited", "notifier", "sync"], "{found:#}");
    let (awaited, sync) = (&lines[1].1, &lines[4].1);
    assert_eq!(awaited["deadline"], json!([["deadline_time", "id"], "2026-01-01T01:00:00+00:00"]));
    assert_eq!((&awaited["more"], &awaited["version"]), (&json!({"extra": [1]}), &json!(1)));
    assert_eq!(sync["deadline"][1], "2026-01-01T00:00:00+00:00");
    assert_eq!(sync["more"], json!({"variable": "pheasant", "since": 2020}));
    let run = &sync["run"];
    assert_eq!(
        (&run[0], &run[1], &run[3], &run[4]),
        (&json!("late"), &json!("one"), &json!("manual"), &json!({"a": 1}))
    );
    assert!(["queued", "running"].contains(&run[2].as_str().unwrap()), "{run}");
}

fn check_alerts(alerts: &[Value]) {
    let failed = |target: &str| {
        let of = |alert: &&Value| alert["target"].as_str().unwrap().ends_with(target);
        let alert = alerts.iter().find(of).unwrap_or_else(|| panic!("{target}: {alerts:#?}"));
        assert_eq!((&alert["state"], &alert["attempts"]), (&json!("failed"), &json!(1)), "{alert:#}");
        (alert["error"].as_str().unwrap().to_owned(), alert["log"].as_str().unwrap().to_owned())
    };
    let (error, log) = failed(".raises");
    assert!(
        error.contains("ValueError: this callback is broken") && log.contains("late.py"),
        "{error} {log}"
    );
    let (error, log) = failed(".raises_late");
    assert!(
        error.contains("ValueError: this coroutine is broken") && log.contains("late.py"),
        "{error} {log}"
    );
    assert!(failed(".leaves").0.contains("SystemExit: 3"));
    assert!(failed("nowhere.at_all").0.contains("No module named 'nowhere'"));
    let sent: Vec<&Value> = alerts.iter().filter(|alert| alert["state"] == "sent").collect();
    assert_eq!(sent.len(), 5);
    let call = sent.iter().find(|alert| alert["target"].as_str().unwrap().ends_with(".call")).unwrap();
    assert!(call["log"].as_str().unwrap().contains("told: sync"), "{call:#}");
    assert_eq!((&call["event"], &call["channel"]), (&json!("deadline"), &json!("callback")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_usual_time_of_runs_is_known_from_the_second_on() {
    let Some((dags, standalone)) = started().await else { return };
    trigger(&standalone, "usual", "first").await;
    ended(&standalone, "usual", "first").await;
    trigger(&standalone, "usual", "second").await;
    let path = "/dags/usual/dagRuns/second/deadlines";
    let known = |answer: &Value| answer["total_entries"] == 1;
    let found = standalone.until("the usual end is known", path, known).await;
    let deadline = &found["deadlines"][0];
    let moment = |name: &str| deadline[name].as_str().unwrap().to_owned();
    assert!(moment("deadline_time") > moment("created_at"), "{found:#}");
    assert_eq!(deadline["missed"], false);
    fs::write(dags.path().join("go"), "").unwrap();
    ended(&standalone, "usual", "second").await;
    for run_id in ["first", "second"] {
        let (_, found) =
            standalone.api("GET", &format!("/dags/usual/dagRuns/{run_id}/deadlines"), None).await;
        assert_eq!(found["total_entries"], 0, "a run that succeeded in time has it behind itself");
    }
}
