//! Pages are told about changes.

use std::time::Duration;

use queue::Bell;
use reqwest::{Method, Response, StatusCode};
use runtime::shutdown::Shutdown;
use store::account::Role;
use tokio::time::timeout;
use webserver::Settings;

use crate::app::App;

const PATIENCE: Duration = Duration::from_secs(20);

async fn next(events: &mut Response) -> Option<String> {
    let chunk = timeout(PATIENCE, events.chunk()).await.unwrap().unwrap()?;
    Some(String::from_utf8(chunk.to_vec()).unwrap())
}

#[tokio::test]
async fn a_page_hears_of_its_dag_and_ends_with_the_server() {
    let app = App::without_leader(Settings { live_clients: 1, ..Settings::default() }).await;
    let program = app.program(Role::Viewer).await;
    let mut events = program.request(Method::GET, "/live?dag=pipeline").send().await.unwrap();
    assert_eq!(
        (events.status(), &events.headers()["content-type"]),
        (StatusCode::OK, &"text/event-stream".parse().unwrap())
    );
    assert!(next(&mut events).await.unwrap().starts_with("retry:"));
    let full = program.request(Method::GET, "/live").send().await.unwrap();
    assert_eq!(full.status(), StatusCode::TOO_MANY_REQUESTS);

    let changed = |dag: &str| Bell::Changed { dag_id: dag.to_owned(), run_id: Some("r".to_owned()) };
    app.queue.ring_all(&[changed("other"), changed("pipeline")]).await.unwrap();
    assert_eq!(next(&mut events).await.unwrap(), "event: change\ndata: {}\n\n");
    let stop: &Shutdown = &app.shutdown;
    stop.advance();
    assert_eq!(next(&mut events).await, None);
}

#[tokio::test]
async fn strangers_hear_nothing() {
    let app = App::without_leader(Settings::default()).await;
    let answer = app.client.get(app.url("/live")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}
