//! What stands above all views of a run.

use store::account::Role;
use webserver::Settings;

use super::browser::Browser;
use crate::app::App;

#[tokio::test]
async fn a_run_says_which_deadlines_it_has_missed() {
    let mut app = App::without_leader(Settings::default()).await;
    app.load("late.yaml", "deadline: {within: 1ms, name: sla}\ntasks: {t: {bash: wait}}").await;
    app.lead().await;
    let program = app.program(Role::User).await;
    let body = serde_json::json!({"dag_run_id": "one", "logical_date": null});
    program.send(reqwest::Method::POST, "/dags/late/dagRuns", body, 200).await;
    program
        .wait_for("/dags/late/dagRuns/one/deadlines", |found| found["deadlines"][0]["missed"] == true)
        .await;
    let mut person = Browser::of(&app, Role::Viewer).await;
    let page = person.open("/dags/late/runs/one").await;
    assert!(page.said(".note-warn p").starts_with("It missed its deadline sla"), "{}", page.text);
    let page = person.open("/dags/late/runs/one/details").await;
    assert!(page.text.contains("To end by"), "{}", page.text);
}
