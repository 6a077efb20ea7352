//! Alerts on their way: to a real web server, to a mail server, and to nobody.

use std::time::Duration;

use domain::outcome::TryResult;
use serde_json::Value;
use store::{
    connection::Connection,
    view::{
        Page,
        alerts::{Alert, AlertState, Filter},
    },
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{basic_auth, header, path},
};

use crate::house::{House, Running};

/// A house in which the only task of a run has failed; `on_failure` is whom it tells.
async fn failed(house: &House, on_failure: &str) -> Running {
    house.file("sad.yaml", &format!("tasks: {{a: {{bash: a, on_failure: [{on_failure}]}}}}"));
    let scheduler = house.scheduler();
    house.until("the DAG is known", async || !house.store.paused_flags().await.unwrap().is_empty()).await;
    house.trigger("sad", "r").await;
    let tries = house.claim().await;
    house.report(&tries, TryResult::FailedForGood).await;
    scheduler
}

async fn alerts(house: &House) -> Vec<Alert> {
    house.store.alerts(&Filter::default(), Page::first(100)).await.unwrap().rows
}

/// Waits until an alert stands like this, or was tried and waits again.
async fn until(house: &House, state: AlertState) -> Alert {
    let stands = |alert: &Alert| {
        alert.state == state && (alert.attempts > 0 && alert.error.is_some() || state == AlertState::Sent)
    };
    house.until("the alert was tried", async || alerts(house).await.iter().any(stands)).await;
    alerts(house).await.into_iter().find(stands).unwrap()
}

async fn connect(house: &House, conn_id: &str, uri: &str) {
    house.store.set_connection(&Connection::parse(conn_id, uri).unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_hears_what_happened() {
    let (house, server) = (House::build().await, MockServer::start().await);
    Mock::given(path("/hook")).respond_with(ResponseTemplate::new(204)).expect(1).mount(&server).await;
    let scheduler = failed(&house, &format!("{{webhook: {{url: '{}/hook'}}}}", server.uri())).await;
    until(&house, AlertState::Sent).await;
    let said: Value = server.received_requests().await.unwrap()[0].body_json().unwrap();
    assert_eq!(
        (&said["event"], &said["dag_id"], &said["task_id"]),
        (&"failure".into(), &"sad".into(), &"a".into())
    );
    assert_eq!(said["url"], "/dags/sad/runs/r/tasks/a?try=1");
    scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_gives_host_credentials_and_headers() {
    let (house, server) = (House::build().await, MockServer::start().await);
    Mock::given(path("/v1/page"))
        .and(basic_auth("joe", "hunter2"))
        .and(header("x-team", "ops"))
        .and(header("x-own", "yes"))
        .respond_with(ResponseTemplate::new(200))
        .expect(1)
        .mount(&server)
        .await;
    let uri = server.uri().replace("http://", "http://joe:hunter2@") + "/?x-team=ops";
    connect(&house, "pager", &uri).await;
    let hook =
        "{webhook: {conn_id: pager, url: /v1/page, headers: {X-Own: 'yes'}, body: {text: '{{ task_id }}!'}}}";
    let scheduler = failed(&house, hook).await;
    until(&house, AlertState::Sent).await;
    let said: Value = server.received_requests().await.unwrap()[0].body_json().unwrap();
    assert_eq!(said, serde_json::json!({"text": "a!"}));
    scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_hears_a_line() {
    let (house, server) = (House::build().await, MockServer::start().await);
    Mock::given(path("/services/T0/B0/s3cr3t"))
        .respond_with(ResponseTemplate::new(200))
        .expect(1)
        .mount(&server)
        .await;
    let connection = Connection {
        conn_id: "chat".to_owned(),
        conn_type: "slackwebhook".to_owned(),
        host: Some(format!("{}/services", server.uri())),
        password: Some("T0/B0/s3cr3t".to_owned()),
        ..Connection::default()
    };
    house.store.set_connection(&connection).await.unwrap();
    let scheduler = failed(&house, "{slack: {conn_id: chat}}").await;
    until(&house, AlertState::Sent).await;
    let said: Value = server.received_requests().await.unwrap()[0].body_json().unwrap();
    assert_eq!(said, serde_json::json!({"text": "sad: task a failed (r)"}));
    scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stumbles_is_asked_again_later_and_secrets_stay_secret() {
    let (house, server) = (House::build().await, MockServer::start().await);
    let answer = ResponseTemplate::new(503).set_body_string("no room for hunter2 at /hook/t0ken");
    Mock::given(path("/hook/t0ken")).respond_with(answer).mount(&server).await;
    connect(&house, "pager", &server.uri().replace("http://", "http://joe:hunter2@")).await;
    let scheduler = failed(&house, "{webhook: {conn_id: pager, url: /hook/t0ken}}").await;
    let alert = until(&house, AlertState::Waiting).await;
    let error = alert.error.unwrap();
    assert_eq!(error, "the answer was 503 Service Unavailable: no room for *** at ***");
    assert_eq!(alert.attempts, 1);
    scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_get_better_is_given_up_and_can_be_sent_again() {
    let (house, server) = (House::build().await, MockServer::start().await);
    Mock::given(path("/hook")).respond_with(ResponseTemplate::new(404)).up_to_n_times(1).mount(&server).await;
    let scheduler = failed(&house, &format!("{{webhook: {{url: '{}/hook'}}}}", server.uri())).await;
    let alert = until(&house, AlertState::Failed).await;
    Mock::given(path("/hook")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    #[expect(clippy::disallowed_methods, reason = "a test with a real database lives in real time")]
    let now = chrono::Utc::now();
    assert!(house.store.resend_alert(alert.id, "ada", now).await.unwrap());
    until(&house, AlertState::Sent).await;
    scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_not_followed() {
    let (house, server) = (House::build().await, MockServer::start().await);
    let elsewhere = ResponseTemplate::new(302).insert_header("location", format!("{}/inside", server.uri()));
    Mock::given(path("/hook")).respond_with(elsewhere).mount(&server).await;
    Mock::given(path("/inside")).respond_with(ResponseTemplate::new(200)).expect(0).mount(&server).await;
    let scheduler = failed(&house, &format!("{{webhook: {{url: '{}/hook'}}}}", server.uri())).await;
    until(&house, AlertState::Failed).await;
    scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_never_answers_holds_up_neither_runs_nor_other_places() {
    let (house, server) = (House::build().await, MockServer::start().await);
    Mock::given(path("/hook")).respond_with(ResponseTemplate::new(200)).expect(1).mount(&server).await;
    // It takes connections, and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = format!("{{webhook: {{url: 'http://{}/'}}}}", silent.local_addr().unwrap());
    let list =
        [vec![dead; 9], vec![format!("{{webhook: {{url: '{}/hook'}}}}", server.uri())]].concat().join(", ");
    let scheduler = failed(&house, &list).await;
    until(&house, AlertState::Sent).await;
    house.trigger("sad", "s").await;
    assert!(house.work_until_ended("sad", "s").await.is_finished());
    assert!(alerts(&house).await.iter().filter(|alert| alert.state == AlertState::Waiting).count() == 9);
    scheduler.stop().await;
}

/// Takes one e-mail, and returns its envelope and text.
async fn take_mail(listener: TcpListener) -> String {
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = BufReader::new(stream);
    let (mut text, mut in_data) = (String::new(), false);
    stream.write_all(b"220 here\r\n").await.unwrap();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap() == 0 {
            return text;
        }
        text.push_str(&line);
        let answer: &[u8] = match (in_data, line.trim_end()) {
            (true, ".") => b"250 taken\r\n",
            (true, _) => continue,
            (false, "DATA") => b"354 go on\r\n",
            (false, "QUIT") => return text,
            (false, _) => b"250 ok\r\n",
        };
        in_data = line.trim_end() == "DATA";
        stream.write_all(answer).await.unwrap();
        if answer.ends_with(b"taken\r\n") {
            return text;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_e_mail_says_what_happened() {
    let house = House::build().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mail = tokio::spawn(take_mail(listener));
    let text = format!(
        r#"{{"conn_type": "smtp", "host": "127.0.0.1", "port": {port},
            "extra": {{"disable_ssl": true, "disable_tls": true, "from_email": "tradewind@example.org"}}}}"#
    );
    connect(&house, "mail", &text).await;
    let email = "{email: {conn_id: mail, to: [ada@example.org, bob@example.org], subject: '{{ task_id }} of {{ dag_id }}'}}";
    let scheduler = failed(&house, email).await;
    until(&house, AlertState::Sent).await;
    let text = tokio::time::timeout(Duration::from_secs(20), mail).await.unwrap().unwrap();
    for wanted in [
        "MAIL FROM:<tradewind@example.org>",
        "RCPT TO:<ada@example.org>",
        "RCPT TO:<bob@example.org>",
        "Subject: a of sad",
        "sad: task a failed (r)",
        "state: failed",
    ] {
        assert!(text.contains(wanted), "{wanted} is missing:\n{text}");
    }
    scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_connection_an_alert_says_so() {
    let house = House::build().await;
    let scheduler = failed(&house, "{email: {conn_id: nowhere, to: ada@example.org}}").await;
    let alert = until(&house, AlertState::Failed).await;
    assert_eq!(alert.error.as_deref(), Some("there is no connection `nowhere`"));
    scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missed_deadline_is_told_with_a_link_that_leads_there() {
    let (house, server) = (House::build().await, MockServer::start().await);
    Mock::given(path("/late")).respond_with(ResponseTemplate::new(204)).expect(1).mount(&server).await;
    let header = format!(
        "deadline: {{within: 1s, from: start}}\non_deadline: [{{webhook: {{url: '{}/late'}}}}]",
        server.uri()
    );
    house.file("slow.yaml", &format!("{header}\ntasks: {{a: {{bash: a}}}}"));
    let base_url = Some("https://tw.example.org".to_owned());
    let scheduler = house.scheduler_with(|settings| settings.base_url = base_url);
    house.until("the DAG is known", async || !house.store.paused_flags().await.unwrap().is_empty()).await;
    house.trigger("slow", "r").await;
    until(&house, AlertState::Sent).await;
    let said: Value = server.received_requests().await.unwrap()[0].body_json().unwrap();
    assert_eq!((&said["event"], &said["state"]), (&"deadline".into(), &"running".into()));
    assert_eq!(said["url"], "https://tw.example.org/dags/slow/runs/r");
    assert!(said["deadline"].is_string() && said["reason"].as_str().unwrap().contains("1s after it started"));
    scheduler.stop().await;
}
