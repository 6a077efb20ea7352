//! Logs and artifacts: by range, in pieces, as files.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use queue::{LogId, Ticket};
use reqwest::{Method, Response, StatusCode};
use runtime::logs::{ArtifactLimits, LogKey, LogLine, Stream};
use serde_json::{Value, json};
use store::account::Role;
use tempfile::TempDir;

use crate::app::{App, Program};

const TASK: &str = "/dags/pipeline/runs/mine/tasks/extract";

fn key(task_id: &str) -> LogKey {
    LogKey {
        dag_id: "pipeline".to_owned(),
        run_id: "mine".to_owned(),
        task_id: task_id.to_owned(),
        map_index: -1,
        try_number: 1,
    }
}

fn lines(count: usize) -> Vec<u8> {
    let at: DateTime<Utc> = "2026-01-02T03:04:05Z".parse().unwrap();
    let mut log = Vec::new();
    for number in 0..count {
        LogLine::write(&mut log, at, Stream::Output, format!("line {number}").as_bytes());
    }
    log
}

async fn keep(app: &App, task_id: &str, log: &[u8]) {
    let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    std::fs::write(&file, log).unwrap();
    app.logs.put_file(&key(task_id), &file).await.unwrap();
}

async fn page(program: &Program<'_>, path: &str) -> Response {
    program.request(Method::GET, path).send().await.unwrap()
}

fn number(answer: &Response, header: &str) -> u64 {
    answer.headers()[header].to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_log_is_read_by_range() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    program.run("pipeline", "mine").await;
    let log = lines(20_000);
    keep(&app, "extract", &log).await;
    let size = log.len() as u64;
    let answer = page(&program, &format!("{TASK}/log?from=100&max=50")).await;
    assert_eq!(
        (number(&answer, "x-log-next"), number(&answer, "x-log-size"), &answer.headers()["x-log-end"]),
        (150, size, &"false".parse().unwrap())
    );
    assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(answer.bytes().await.unwrap(), &log[100..150]);

    let tail = page(&program, &format!("{TASK}/log?from={}", size - 10)).await;
    assert_eq!((number(&tail, "x-log-next"), &tail.headers()["x-log-end"]), (size, &"true".parse().unwrap()));
    // Whatever is asked for, one answer is bounded.
    assert!(
        page(&program, &format!("{TASK}/log?max=99999999999")).await.bytes().await.unwrap().len() <= 1 << 20
    );
    let beyond = page(&program, &format!("{TASK}/log?from=18446744073709551615")).await;
    assert_eq!((number(&beyond, "x-log-next"), beyond.bytes().await.unwrap().len()), (size, 0));
}

#[tokio::test]
async fn a_log_is_downloaded_whole_by_those_who_may() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    program.run("pipeline", "mine").await;
    let log = lines(50_000);
    keep(&app, "extract", &log).await;
    let whole = page(&program, &format!("{TASK}/log?download=true")).await;
    assert_eq!(whole.headers()["content-disposition"], "attachment; filename=\"extract-try-1.log\"");
    assert_eq!(whole.bytes().await.unwrap(), log);

    for path in [
        format!("{TASK}/log?try=2"),
        format!("{TASK}/log?map_index=1"),
        "/dags/pipeline/runs/mine/tasks/none/log".to_owned(),
        "/dags/..%2f../runs/mine/tasks/extract/log".to_owned(),
    ] {
        assert_eq!(page(&program, &path).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(
        app.client.get(app.url(&format!("{TASK}/log"))).send().await.unwrap().status(),
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn a_running_task_is_read_from_the_live_log() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    program
        .send(Method::POST, "/dags/slow/dagRuns", json!({"logical_date": null, "dag_run_id": "s"}), 200)
        .await;
    program.wait_for("/dags/slow/dagRuns/s/taskInstances/nap", |ti| ti["state"] == "running").await;
    let run: i64 = app.db.text("SELECT key FROM dag_run").await.unwrap().parse().unwrap();
    let log = LogId(Ticket { run, index: 0, try_number: 1 });
    let path = "/dags/slow/runs/s/tasks/nap/log";
    let empty = page(&program, path).await;
    assert_eq!((number(&empty, "x-log-size"), &empty.headers()["x-log-end"]), (0, &"false".parse().unwrap()));

    app.queue.append(&[(log, 0, Bytes::from_static(b"one\ntwo\n"))]).await.unwrap();
    let first = page(&program, &format!("{path}?max=4")).await;
    assert_eq!((number(&first, "x-log-next"), number(&first, "x-log-size")), (4, 8));
    assert_eq!(first.text().await.unwrap(), "one\n");
    app.queue.finish(&log).await.unwrap();
    let rest = page(&program, &format!("{path}?from=4")).await;
    assert_eq!((&rest.headers()["x-log-end"], number(&rest, "x-log-next")), (&"true".parse().unwrap(), 8));
}

#[tokio::test]
async fn a_try_that_goes_on_is_read_from_both() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    program.run("pipeline", "mine").await;
    let stored = lines(3);
    keep(&app, "extract", &stored).await;
    let size = stored.len() as u64;
    let wait = r#"{"until": "poke", "since": "2026-01-02T00:00:00Z", "pokes": 1}"#;
    let set = format!(
        "UPDATE task_instance SET wait = '{wait}' WHERE task_id = 'extract' RETURNING run_key || '/' || index"
    );
    let place = app.db.text(&set).await.unwrap();
    let (run, index) = place.split_once('/').unwrap();
    let log = LogId(Ticket { run: run.parse().unwrap(), index: index.parse().unwrap(), try_number: 1 });
    let whole = page(&program, &format!("{TASK}/log")).await;
    assert_eq!(
        (number(&whole, "x-log-next"), &whole.headers()["x-log-end"]),
        (size, &"false".parse().unwrap())
    );
    app.queue.append(&[(log, size, Bytes::from_static(b"more\n"))]).await.unwrap();
    let more = page(&program, &format!("{TASK}/log?from={size}")).await;
    assert_eq!((number(&more, "x-log-start"), number(&more, "x-log-size")), (size, size + 5));
    assert_eq!(more.text().await.unwrap(), "more\n");
    let beyond = page(&program, &format!("{TASK}/log?from=18446744073709551615")).await;
    assert_eq!((number(&beyond, "x-log-next"), number(&beyond, "x-log-size")), (size, size));
}

#[tokio::test]
async fn the_api_gives_structured_lines_in_pieces() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    program.run("pipeline", "mine").await;
    keep(&app, "extract", &lines(20_000)).await;
    keep(&app, "load", &lines(1)).await;
    let path = "/dags/pipeline/dagRuns/mine/taskInstances/extract/logs/1";
    let mut texts: Vec<String> = Vec::new();
    let mut token = String::new();
    loop {
        let answer = program.get(&format!("{path}?token={token}")).await;
        texts.extend(
            answer["content"]
                .as_array()
                .unwrap()
                .iter()
                .map(|line| line["event"].as_str().unwrap().to_owned()),
        );
        match answer["continuation_token"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(texts, (0..20_000).map(|number| format!("line {number}")).collect::<Vec<_>>());
    assert!(!token.is_empty());

    let elsewhere = format!("/dags/pipeline/dagRuns/mine/taskInstances/load/logs/1?token={token}");
    assert_eq!(
        program.refused(&elsewhere, 400).await["detail"],
        "Bad Signature. Please use only the tokens provided by the API."
    );
    program.refused(&format!("{path}?token=MTAw"), 400).await;
    assert_eq!(
        program.refused("/dags/pipeline/dagRuns/mine/taskInstances/load/logs/2", 404).await["detail"],
        "TaskInstance not found"
    );
}

#[tokio::test]
async fn the_api_gives_a_log_whole() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    program.run("pipeline", "mine").await;
    keep(&app, "extract", &lines(20_000)).await;
    keep(&app, "load", &lines(1)).await;
    let path = "/dags/pipeline/dagRuns/mine/taskInstances/extract/logs/1";
    let whole = program.get(&format!("{path}?full_content=true")).await;
    assert_eq!(
        (whole["content"].as_array().unwrap().len(), &whole["continuation_token"]),
        (20_000, &Value::Null)
    );
    let ndjson =
        program.request(Method::GET, &format!("/api/v2{path}")).header("accept", "application/x-ndjson");
    let text = ndjson.send().await.unwrap().text().await.unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(
        (text.lines().count(), &last["event"], &last["timestamp"]),
        (20_000, &json!("line 19999"), &json!("2026-01-02T03:04:05Z"))
    );
    let plain = program
        .request(Method::GET, "/api/v2/dags/pipeline/dagRuns/mine/taskInstances/load/logs/1")
        .header("accept", "text/plain");
    assert_eq!(plain.send().await.unwrap().text().await.unwrap(), "2026-01-02T03:04:05.000Z O line 0\n");
}

/// Keeps files of several kinds with a log.
async fn keep_files(app: &App) {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("plots")).unwrap();
    for (name, text) in [
        ("report.html", "<script>alert(1)</script>"),
        ("plots/a b.svg", "<svg/>"),
        ("data.bin", "x"),
        ("app.js", "x"),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    app.logs.put_artifact_dir(&key("extract"), folder.path(), ArtifactLimits::default()).await.unwrap();
}

#[tokio::test]
async fn artifacts_cannot_act_as_our_pages() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    program.run("pipeline", "mine").await;
    keep_files(&app).await;

    let list: Value = page(&program, &format!("{TASK}/artifacts")).await.json().await.unwrap();
    assert_eq!((&list["try_number"], list["artifacts"].as_array().unwrap().len()), (&json!(1), 4));
    let report = page(&program, &format!("{TASK}/artifacts/report.html")).await;
    let policy = report.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(
        policy.starts_with("sandbox;") && policy.contains("default-src 'none'") && !policy.contains("allow-"),
        "{policy}"
    );
    assert_eq!(
        (&report.headers()["content-type"], &report.headers()["x-content-type-options"]),
        (&"text/html; charset=utf-8".parse().unwrap(), &"nosniff".parse().unwrap())
    );
    assert_eq!(report.headers()["content-disposition"], "inline; filename=\"report.html\"");
    assert_eq!(report.text().await.unwrap(), "<script>alert(1)</script>");
    let plot = page(&program, &format!("{TASK}/artifacts/plots/a%20b.svg?try=1")).await;
    assert_eq!(
        (plot.status(), &plot.headers()["content-disposition"]),
        (StatusCode::OK, &"inline; filename=\"a_b.svg\"".parse().unwrap())
    );
}

#[tokio::test]
async fn other_files_are_downloads_and_tricks_are_refused() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    program.run("pipeline", "mine").await;
    keep_files(&app).await;
    for name in ["data.bin", "app.js"] {
        let answer = page(&program, &format!("{TASK}/artifacts/{name}")).await;
        assert!(
            answer.headers()["content-disposition"].to_str().unwrap().starts_with("attachment"),
            "{name}"
        );
    }
    for name in ["none", "..%2f..%2fattempt=1.log", "%2e%2e/x", "/etc/passwd", "a%00b", "a%5cb"] {
        assert_eq!(
            page(&program, &format!("{TASK}/artifacts/{name}")).await.status(),
            StatusCode::NOT_FOUND,
            "{name}"
        );
    }
}
