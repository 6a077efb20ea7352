//! Handlers that panic, hang or find no database.

use std::time::Duration;

use actix_web::{
    App, HttpResponse,
    http::StatusCode,
    middleware::from_fn,
    test::{TestRequest, call_service, init_service, read_body, try_call_service},
    web::{self, Data},
};
use queue::Queue;
use runtime::{
    clock::Clock, config::LogsUrl, health::Health, logs::LogStore, secret::Secret, secret_key::SecretKey,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{AppState, Settings, app::application, front};

/// A state whose database nobody answers for.
fn state(folder: &TempDir) -> AppState {
    let store = store::Settings {
        connect_timeout: Duration::from_millis(200),
        ..store::Settings::new("postgres://nobody@127.0.0.1:1/none", [7; 32])
    };
    AppState::new(
        Settings { request_timeout: Duration::from_millis(300), ..Settings::default() },
        store::Store::open(store).unwrap(),
        Queue::memory(),
        LogStore::open(&LogsUrl::folder(folder.path())).unwrap(),
        Clock::system(),
        Health::new(),
        &SecretKey::from_secret(&Secret::new("a key for a test")),
    )
}

async fn panics() -> HttpResponse {
    std::future::ready(()).await;
    panic!("a secret of the handler")
}

async fn answer(path: &str) -> (StatusCode, String, bool) {
    let folder = TempDir::new().unwrap();
    let app = App::new()
        .app_data(Data::new(state(&folder)))
        .wrap(from_fn(front::answer))
        .route("/api/v2/panics", web::get().to(panics))
        .route("/panics", web::get().to(panics))
        .route("/hangs", web::get().to(std::future::pending::<HttpResponse>));
    let app = init_service(app).await;
    // What `front` could not turn into an answer is turned into one by the server.
    let (status, headers, body) =
        match try_call_service(&app, TestRequest::get().uri(path).to_request()).await {
            Ok(answer) => {
                let (status, headers) = (answer.status(), answer.headers().clone());
                (status, headers, read_body(answer).await)
            }
            Err(fault) => {
                let answer = fault.error_response();
                let (status, headers) = (answer.status(), answer.headers().clone());
                (status, headers, actix_web::body::to_bytes(answer.into_body()).await.unwrap_or_default())
            }
        };
    let is_dressed = headers.contains_key("content-security-policy") && headers.contains_key("x-request-id");
    (status, String::from_utf8(body.to_vec()).unwrap(), is_dressed)
}

#[actix_web::test]
async fn a_panic_is_a_page_and_stays_a_secret() {
    let (status, page, is_dressed) = answer("/panics").await;
    assert_eq!((status, is_dressed), (StatusCode::INTERNAL_SERVER_ERROR, true));
    assert!(page.contains("Something went wrong") && !page.contains("secret"), "{page}");
    let (status, body, _) = answer("/api/v2/panics").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, body["detail"].is_string()), (StatusCode::INTERNAL_SERVER_ERROR, true));
}

#[actix_web::test]
async fn a_handler_that_hangs_is_given_up() {
    let (status, page, is_dressed) = answer("/hangs").await;
    assert_eq!((status, is_dressed), (StatusCode::GATEWAY_TIMEOUT, true));
    assert!(page.contains("It took too long"), "{page}");
}

#[actix_web::test]
async fn without_a_database_it_says_so() {
    let folder = TempDir::new().unwrap();
    let settings = Settings { request_timeout: Duration::from_secs(20), ..Settings::default() };
    let state = AppState { settings: settings.into(), ..state(&folder) };
    let app = init_service(application(state)).await;
    let entry = json!({"username": "ann", "password": "correct horse"});
    let request = TestRequest::post().uri("/auth/token").set_json(entry).to_request();
    let answer = call_service(&app, request).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    let body: Value = serde_json::from_slice(&read_body(answer).await).unwrap();
    assert!(body["detail"].as_str().unwrap().contains("cannot reach the database"), "{body}");
    let health = call_service(&app, TestRequest::get().uri("/api/v2/monitor/health").to_request()).await;
    let body: Value = serde_json::from_slice(&read_body(health).await).unwrap();
    assert_eq!(body["metadatabase"]["status"], "unhealthy");
    let metrics = call_service(&app, TestRequest::get().uri("/metrics").to_request()).await;
    assert!(
        String::from_utf8(read_body(metrics).await.to_vec()).unwrap().contains("tradewind_database_up 0.0")
    );
}
