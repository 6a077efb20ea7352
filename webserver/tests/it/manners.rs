//! What every answer has, limits, what is not there, starting and stopping.

use std::time::Duration;

use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use store::account::Role;
use webserver::{Settings, bind};

use crate::app::App;

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn answers_are_dressed() {
    let app = App::without_leader(Settings::default()).await;
    for path in ["/sign-in", "/api/v2/version", "/api/v2/dags", "/nothing", "/static/css/base.css"] {
        let answer = app.client.get(app.url(path)).header("x-request-id", "abc-1").send().await.unwrap();
        let headers = answer.headers();
        assert!(text(headers, "content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(text(headers, "x-content-type-options"), "nosniff");
        assert_eq!(text(headers, "referrer-policy"), "same-origin");
        assert_eq!(text(headers, "x-request-id"), "abc-1");
    }
    let answer = app.client.get(app.url("/sign-in")).header("x-request-id", "<script>").send().await.unwrap();
    assert_eq!(text(answer.headers(), "x-request-id").len(), 16);
}

#[tokio::test]
async fn what_is_not_there_is_said_in_the_readers_form() {
    let app = App::without_leader(Settings::default()).await;
    let program = app.program(Role::Admin).await;
    assert_eq!(program.refused("/nothing", 404).await, json!({"detail": "Not Found"}));
    let wrong = program.send(Method::PUT, "/dags", Value::Null, 405).await;
    assert_eq!(wrong, json!({"detail": "PUT is not possible here"}));
    let page = app.client.get(app.url("/nothing")).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::NOT_FOUND);
    let html = page.text().await.unwrap();
    assert!(html.contains("There is no page at this address.") && html.contains("href=\"/dags\""), "{html}");
    for path in
        ["/static/nothing.js", "/static/../Cargo.toml", "/static/..%2fCargo.toml", "/static/css/..%5c"]
    {
        assert_eq!(
            app.client.get(app.url(path)).send().await.unwrap().status(),
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    let head = app.client.head(app.url("/health")).send().await.unwrap();
    assert_eq!((head.status(), head.bytes().await.unwrap().len()), (StatusCode::OK, 0));
    let anybody = app.client.get(app.url("/api/v2/dags")).send().await.unwrap();
    assert_eq!(
        (anybody.status(), anybody.json::<Value>().await.unwrap()),
        (StatusCode::UNAUTHORIZED, json!({"detail": "Not authenticated"}))
    );
}

#[tokio::test]
async fn bodies_have_limits_and_must_be_json() {
    let app = App::without_leader(Settings { body_limit: 2_000, ..Settings::default() }).await;
    let program = app.program(Role::Op).await;
    let long = json!({"key": "k", "value": "x".repeat(3_000)});
    let refusal = program.send(Method::POST, "/variables", long, 413).await;
    assert_eq!(refusal, json!({"detail": "the body is longer than the 2000 bytes that are accepted"}));
    for body in ["", "{", "[1", "\u{0}", "{\"key\": \"k\", \"value\": \"\\ud800\"}"] {
        let answer = program.request(Method::POST, "/api/v2/variables").body(body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{body:?}");
        assert!(answer.json::<Value>().await.unwrap()["detail"].is_array());
    }
    let form = app
        .client
        .post(app.url("/sign-in"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("x=".repeat(2_000));
    assert_eq!(form.send().await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn static_files_are_cached_and_compressed() {
    let app = App::without_leader(Settings::default()).await;
    let page = app.client.get(app.url("/sign-in")).send().await.unwrap().text().await.unwrap();
    let start = page.find("/static/css/base.css?v=").unwrap();
    let versioned = &page[start..start + page[start..].find('"').unwrap()];
    let answer = app.client.get(app.url(versioned)).header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(text(answer.headers(), "cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(
        (text(answer.headers(), "content-type"), text(answer.headers(), "content-encoding")),
        ("text/css", "gzip")
    );
    let etag = text(answer.headers(), "etag").to_owned();
    let plain = app.client.get(app.url("/static/css/base.css")).send().await.unwrap();
    assert_eq!(text(plain.headers(), "cache-control"), "no-cache");
    let known =
        app.client.get(app.url("/static/css/base.css")).header("if-none-match", etag).send().await.unwrap();
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn health_and_metrics_need_no_sign_in() {
    let app = App::start().await;
    let get = async |path: &str| app.client.get(app.url(path)).send().await.unwrap();
    let alive: Value = get("/health").await.json().await.unwrap();
    assert_eq!(alive["status"], "healthy");
    let health: Value = get("/api/v2/monitor/health").await.json().await.unwrap();
    assert_eq!(
        (&health["metadatabase"]["status"], &health["scheduler"]["status"]),
        (&json!("healthy"), &json!("healthy"))
    );
    assert!(
        health["scheduler"]["latest_scheduler_heartbeat"].is_string()
            && health["triggerer"]["status"].is_null()
    );
    app.db
        .execute(
            "UPDATE lease SET renewed_at = now() - interval '1 hour', expires_at = now() - interval '1 hour'",
        )
        .await;
    let health: Value = get("/api/v2/monitor/health").await.json().await.unwrap();
    assert_eq!(health["scheduler"]["status"], "unhealthy");
    let version: Value = get("/api/v2/version").await.json().await.unwrap();
    assert!(version["version"].as_str().unwrap().starts_with("3.3.2+tradewind."));

    let metrics = get("/metrics").await.text().await.unwrap();
    for wanted in [
        "tradewind_database_up 1.0",
        "tradewind_dags{kind=\"active\"} 2.0",
        "tradewind_workers{state=\"running\"} 1.0",
        "tradewind_worker_slots 64.0",
        "tradewind_inbox_messages 0.0",
        "tradewind_http_requests_total{method=\"GET\",route=\"/health\",status=\"200\"} 1",
        "tradewind_http_request_duration_seconds_bucket",
        "tradewind_process_resident_memory_bytes",
    ] {
        assert!(metrics.contains(wanted), "{wanted}\n{metrics}");
    }
    assert_eq!(metrics.matches("# EOF").count(), 1);
}

#[tokio::test]
async fn the_document_lists_what_there_is() {
    let app = App::without_leader(Settings::default()).await;
    let program = app.program(Role::Admin).await;
    let document: Value =
        app.client.get(app.url("/openapi.json")).send().await.unwrap().json().await.unwrap();
    let mut count = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let mut address = path.clone();
            for number in [
                "map_index",
                "try_number",
                "task_try_number",
                "version_number",
                "import_error_id",
                "event_log_id",
                "backfill_id",
                "asset_id",
                "asset_alias_id",
            ] {
                address = address.replace(&format!("{{{number}}}"), "1");
            }
            let address: String = address.replace(['{', '}'], "");
            let method: Method = method.to_uppercase().parse().unwrap();
            let answer = program.request(method.clone(), &address).json(&json!({})).send().await.unwrap();
            let status = answer.status();
            let said = answer.text().await.unwrap();
            assert!(
                status != StatusCode::METHOD_NOT_ALLOWED && said != "{\"detail\":\"Not Found\"}",
                "{method} {address}: {said}"
            );
            count += 1;
        }
    }
    assert!(count > 60, "{count}");
}

#[tokio::test]
async fn a_port_in_use_is_said_in_words() {
    let taken = bind("127.0.0.1", 0).unwrap();
    let port = taken.local_addr().unwrap().port();
    let refusal = bind("127.0.0.1", port).unwrap_err().to_string();
    assert!(refusal.contains(&format!("port {port} is in use")) && refusal.contains("--port"), "{refusal}");
    assert!(bind("203.0.113.1", 0).unwrap_err().to_string().contains("does not have that address"));
}

#[tokio::test]
async fn the_server_drains() {
    let mut app = App::without_leader(Settings::default()).await;
    assert_eq!(app.client.get(app.url("/health")).send().await.unwrap().status(), StatusCode::OK);
    app.shutdown.advance();
    let served = std::mem::replace(&mut app.served, tokio::spawn(async { Ok(()) }));
    tokio::time::timeout(Duration::from_secs(20), served).await.unwrap().unwrap().unwrap();
    assert!(app.client.get(app.url("/health")).send().await.is_err());
}
