//! Alerts as people and programs see them, and sending one again.

use std::time::Duration;

use store::{account::Role, alert::Settled};

use super::browser::Browser;
use crate::app::App;

/// Its only task fails, and tells two places.
const SAD: &str = "
dag_id: sad
tasks:
  a: {bash: fail, on_failure: [{slack: {conn_id: chat}}, {webhook: {url: 'https://u:hunter2@example.org/t0ken'}}]}
";

/// A server on which the run `one` has failed; its webhook was given up, its message to the chat waits.
async fn told() -> App {
    let mut app = App::without_leader(webserver::Settings::default()).await;
    app.load("sad.yaml", SAD).await;
    app.lead().await;
    app.program(Role::User).await.run("sad", "one").await;
    let busy = ["chat".to_owned()];
    let alert = app.db.store.claim_alerts(&busy, 1, Duration::from_secs(60)).await.unwrap().remove(0);
    let gone = Settled::Failed { error: "the answer was 404 <b>".to_owned() };
    assert!(app.db.store.log_alert(alert.id, alert.claim, "hello from <callback>").await.unwrap());
    assert!(app.db.store.settle_alert(alert.id, alert.claim, &gone).await.unwrap());
    app
}

#[tokio::test]
async fn people_see_what_waits_and_what_failed_and_send_it_again() {
    let app = told().await;
    let mut person = Browser::of(&app, Role::User).await;
    let page = person.open("/alerts").await;
    assert_eq!(page.words("tbody td[data-label=To]"), ["webhook example.org", "slack chat"]);
    assert!(
        page.text.contains("the answer was 404 &lt;b") || page.text.contains("404 &#60;b"),
        "{}",
        page.text
    );
    assert_eq!(page.words("tbody details pre"), ["hello from <callback>"]);
    assert!(!page.text.contains("hunter2") && !page.text.contains("t0ken"));
    assert_eq!(person.open("/alerts?dag=other").await.all("tbody tr").len(), 0);
    assert_eq!(person.open("/alerts?dag=sad&state=waiting").await.all("tbody tr").len(), 1);
    let again = person.submit(&page, "form[action='/alerts/send']", &[]).await;
    assert_eq!(again.said(".note-good"), "The alert is sent again within seconds.");
    assert!(!again.has("form[action='/alerts/send']"));
    assert!(person.open("/audit").await.text.contains("resend alert"));
}

#[tokio::test]
async fn a_viewer_may_look_but_not_send() {
    let app = told().await;
    let mut person = Browser::of(&app, Role::Viewer).await;
    assert!(!person.open("/alerts").await.has("form[action='/alerts/send']"));
}

#[tokio::test]
async fn programs_list_alerts() {
    let app = told().await;
    let program = app.program(Role::Viewer).await;
    let all = program.get("/alerts?dag_id=sad").await;
    assert_eq!(all["total_entries"], 2);
    assert_eq!(
        (&all["alerts"][0]["state"], &all["alerts"][0]["target"]),
        (&"failed".into(), &"example.org".into())
    );
    assert_eq!(all["alerts"][0]["facts"]["task_id"], "a");
    assert!(!all.to_string().contains("hunter2"));
    assert_eq!(program.get("/alerts?state=waiting&limit=1").await["alerts"][0]["target"], "chat");
}
