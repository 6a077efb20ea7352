//! The http operator against a real server.

use domain::outcome::TryResult::{Failed, FailedForGood, Success};
use serde_json::json;
use wiremock::matchers::{body_json, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::fixture::{Bench, end, xcoms};

pub(crate) async fn answering(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("GET")).and(path("/x")).respond_with(answer).mount(&server).await;
    server
}

fn get(server: &MockServer) -> Bench {
    Bench::task(&json!({"http": {"url": format!("{}/x", server.uri())}}).to_string())
}

#[tokio::test]
async fn json_becomes_an_xcom() {
    let server = answering(ResponseTemplate::new(200).set_body_json(json!({"a": [1]}))).await;
    let bench = get(&server);
    let finished = bench.run().await;
    assert_eq!(json!(xcoms(&finished)), json!({"return_value": {"a": [1]}}), "{finished:?}");
    assert!(bench.lines.all().contains("200 OK, 9 bytes"));
}

#[tokio::test]
async fn text_stays_a_text_and_too_much_is_not_kept() {
    let server = answering(ResponseTemplate::new(200).set_body_string("[1]")).await;
    assert_eq!(json!(xcoms(&get(&server).run().await)), json!({"return_value": "[1]"}));
    let server = answering(ResponseTemplate::new(200).set_body_bytes(vec![b'x'; 2 << 20])).await;
    let bench = get(&server);
    let finished = bench.run().await;
    assert_eq!((finished.result, finished.xcoms.len()), (Success, 0));
    assert!(bench.lines.all().contains("is not kept as return_value"));
}

#[tokio::test]
async fn an_error_status_fails_with_an_excerpt() {
    let server = answering(ResponseTemplate::new(503).set_body_string("come back later")).await;
    let finished = get(&server).run().await;
    assert_eq!(
        end(&finished),
        (Failed, None, "the server answered 503 Service Unavailable: come back later")
    );
}

#[tokio::test]
async fn a_connection_gives_host_credentials_and_headers() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1/things"))
        .and(header("authorization", "Basic am9lOnB3"))
        .and(header("x-tenant", "t1"))
        .and(header("x-day", "2026-01-02"))
        .and(body_json(json!({"day": "2026-01-02", "n": 1})))
        .respond_with(ResponseTemplate::new(201))
        .mount(&server)
        .await;
    let task = json!({"http": {
        "conn_id": "api", "method": "POST", "url": "/v1/things", "headers": {"x-day": "{{ ds }}"}, "body": {"day": "{{ ds }}", "n": 1}
    }});
    let uri = server.uri().replace("http://", "http://joe:pw@") + "/?x-tenant=t1";
    let finished = Bench::task(&task.to_string()).with_env("TRADEWIND_CONN_API", &uri).run().await;
    assert_eq!(finished.result, Success, "{finished:?}");
}

#[tokio::test]
async fn nobody_there_and_nonsense() {
    let finished = Bench::task("{http: {url: 'http://127.0.0.1:1/'}}").run().await;
    assert_eq!(finished.result, Failed);
    assert!(finished.reason.as_ref().unwrap().contains("refused"), "{finished:?}");
    let finished = Bench::task("{http: {url: '{{ ds }}'}}").run().await;
    assert_eq!(finished.result, FailedForGood, "{finished:?}");
}

#[tokio::test]
async fn a_slow_answer_is_not_waited_for() {
    let slow = ResponseTemplate::new(200).set_delay(std::time::Duration::from_secs(300));
    let server = answering(slow).await;
    let task = json!({"http": {"url": format!("{}/x", server.uri())}, "execution_timeout": "100ms"});
    let finished = Bench::task(&task.to_string()).run().await;
    assert_eq!(end(&finished), (Failed, None, "stopped after execution_timeout 100ms"));
}
