//! The page of a DAG's backfills.

use reqwest::Method;
use serde_json::json;
use store::account::Role;

use super::browser::Browser;
use crate::backfills::app;

const PAGE: &str = "/dags/hourly/backfills";
const FORM: &str = "form[action$='/backfills']";

#[tokio::test]
async fn dates_are_previewed_then_run_and_a_run_says_whose_it_is() {
    let app = app("echo").await;
    let mut person = Browser::of(&app, Role::User).await;
    let page = person.open(PAGE).await;
    assert!(page.text.contains("No backfills"), "{}", page.text);
    let range = [("from_date", "2020-01-01T00:00"), ("to_date", "2020-01-01T02:00")];
    let preview = [range[0], range[1], ("do", "preview"), ("run_backwards", "true")];
    let previewed = person.submit(&page, FORM, &preview).await;
    assert!(previewed.said("section[aria-label='Preview']").starts_with("3 runs"), "{}", previewed.text);
    let program = app.program(Role::User).await;
    assert_eq!(
        program.get("/backfills?dag_id=hourly").await["total_entries"],
        0,
        "a preview changes nothing"
    );
    let started = person.submit(&previewed, FORM, &[range[0], range[1], ("do", "create")]).await;
    assert_eq!(started.said(".note-good"), "hourly is backfilled.");
    program
        .wait_for("/backfills?dag_id=hourly", |list| !list["backfills"][0]["completed_at"].is_null())
        .await;
    let page = person.open(PAGE).await;
    assert_eq!(page.said("td.lead"), "completed");
    assert!(page.text.contains("3 of 3"), "{}", page.text);
    let run = person.open("/dags/hourly/runs/backfill__2020-01-01T00:00:00+00:00").await;
    assert!(run.said(".head a.tag").starts_with("backfill "), "{}", run.text);
    assert!(person.open("/dags/hourly/runs").await.has("td a.tag[href$='/backfills']"));
}

#[tokio::test]
async fn a_form_that_does_not_fit_says_why_and_keeps_what_was_written() {
    let app = app("echo").await;
    let mut person = Browser::of(&app, Role::User).await;
    let page = person.open(PAGE).await;
    let wrong = [("from_date", "soon"), ("max_active_runs", "0"), ("dag_run_conf", "[]"), ("do", "create")];
    let refused = person.submit(&page, FORM, &wrong).await;
    assert_eq!(refused.status, 422);
    assert!(
        refused.text.contains("not a date and time") && refused.text.contains("JSON object"),
        "{}",
        refused.text
    );
    let range = [("from_date", "2020-01-02T00:00"), ("to_date", "2020-01-01T00:00"), ("do", "create")];
    let refused = person.submit(&page, FORM, &range).await;
    assert!(refused.said(".note-bad").contains("must not be after to_date"), "{}", refused.text);
}

#[tokio::test]
async fn a_backfill_is_paused_and_cancelled_by_buttons_that_viewers_do_not_have() {
    let app = app("wait").await;
    let program = app.program(Role::User).await;
    let body = json!({
        "dag_id": "hourly", "from_date": "2020-01-01T00:00:00Z", "to_date": "2020-01-01T03:00:00Z", "max_active_runs": 1
    });
    program.send(Method::POST, "/backfills", body, 200).await;
    let mut person = Browser::of(&app, Role::User).await;
    let page = person.open(PAGE).await;
    assert!(!page.has(FORM), "one backfill at a time");
    let paused = person.submit(&page, "td form[action$='/pause']", &[]).await;
    assert_eq!(paused.said("td.lead"), "paused");
    let going = person.submit(&paused, "td form[action$='/pause']", &[]).await;
    assert_eq!(going.said("td.lead"), "running");
    let cancelled = person.submit(&going, "td form[action$='/cancel']", &[]).await;
    assert_eq!(cancelled.said("td.lead"), "cancelled");
    let mut viewer = Browser::of(&app, Role::Viewer).await;
    let page = viewer.open(PAGE).await;
    assert!(!page.has("main form[action*='backfills']"), "{}", page.text);
}
