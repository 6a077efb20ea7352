//! The form that starts a run.

use store::account::Role;

use super::browser::Browser;
use crate::app::App;

const FORM: &str = "form.card";

#[tokio::test]
async fn a_form_made_from_the_params_starts_a_run() {
    let app = App::start().await;
    let mut person = Browser::of(&app, Role::User).await;
    let page = person.open("/dags/pipeline/trigger").await;
    assert_eq!(page.attr("input[name='p.day']", "type"), "date");
    assert_eq!(page.attr("input[name='p.day']", "value"), "2026-01-01");
    let run =
        person.submit(&page, FORM, &[("p.day", "2026-02-03"), ("run_id", "mine"), ("note", "by hand")]).await;
    assert_eq!((run.status, run.path.as_str()), (200, "/dags/pipeline/runs/mine"));
    assert_eq!(run.said(".note-good"), "pipeline has a new run.");
    assert_eq!(run.said(".head-note"), "by hand");
    let details = person.open("/dags/pipeline/runs/mine/details").await;
    assert!(details.words("pre")[1].contains("\"day\": \"2026-02-03\""));
    assert!(details.words("dd").contains(&"user-person".to_owned()));
}

#[tokio::test]
async fn what_does_not_fit_is_told_at_its_field_and_what_was_typed_stays() {
    let app = App::start().await;
    let mut person = Browser::of(&app, Role::User).await;
    let page = person.open("/dags/pipeline/trigger").await;
    let refused = person.submit(&page, FORM, &[("p.day", "tomorrow"), ("note", "kept")]).await;
    assert_eq!(refused.status, 422);
    assert!(refused.said(".field:has([name='p.day']) .error").contains("a date such as"), "{}", refused.text);
    assert_eq!(refused.attr("input[name='p.day']", "value"), "tomorrow");
    assert_eq!(refused.attr("input[name=note]", "value"), "kept");
    for (field, value, words) in [
        ("run_id", "a b", "not allowed"),
        ("logical_date", "soon", "not a date and time"),
        ("conf", "[1]", "JSON object"),
    ] {
        let refused = person.submit(&page, FORM, &[(field, value)]).await;
        assert_eq!(refused.status, 422, "{field}");
        assert!(
            refused.said(&format!(".field:has([name={field}]) .error")).contains(words),
            "{}",
            refused.text
        );
        assert!(refused.one("form details").attr("open").is_some());
    }
    let reserved = person.submit(&page, FORM, &[("run_id", "scheduled__x")]).await;
    assert_eq!(reserved.status, 422);
    assert!(reserved.said(".note-bad").contains("scheduled__"), "{}", reserved.text);
}

#[tokio::test]
async fn the_json_field_goes_before_the_others() {
    let app = App::start().await;
    let mut person = Browser::of(&app, Role::User).await;
    let page = person.open("/dags/pipeline/trigger").await;
    let more = r#"{"day": "2026-05-06", "extra": [1]}"#;
    person.submit(&page, FORM, &[("conf", more), ("run_id", "json")]).await;
    let program = app.program(Role::Op).await;
    let run = program.get("/dags/pipeline/dagRuns/json").await;
    assert_eq!(run["conf"], serde_json::json!({"day": "2026-05-06", "extra": [1]}));
}

#[tokio::test]
async fn a_name_is_taken_only_once() {
    let app = App::start().await;
    let mut person = Browser::of(&app, Role::User).await;
    let page = person.open("/dags/pipeline/trigger").await;
    let fields = [("run_id", "twice"), ("logical_date", "")];
    assert_eq!(person.submit(&page, FORM, &fields).await.status, 200);
    let second = person.submit(&page, FORM, &fields).await;
    assert_eq!(second.status, 422);
    assert!(second.said(".note-bad").contains("exists already"), "{}", second.text);
}

#[tokio::test]
async fn a_paused_dag_can_be_switched_on_with_the_run() {
    let app = App::start().await;
    let mut person = Browser::of(&app, Role::User).await;
    let list = person.open("/dags?q=pipeline").await;
    person.submit(&list, "form[action='/dags/pipeline/pause']", &[]).await;
    let page = person.open("/dags/pipeline/trigger").await;
    assert!(page.said(".note-warn").contains("paused"));
    person.submit(&page, FORM, &[("run_id", "on")]).await;
    assert_eq!(person.open("/dags?q=pipeline").await.attr(".switch", "aria-checked"), "true");
}

#[tokio::test]
async fn an_earlier_conf_fills_the_form() {
    let app = App::start().await;
    let mut person = Browser::of(&app, Role::User).await;
    let page = person.open("/dags/pipeline/trigger?conf=%7B%22day%22%3A%222026-03-04%22%7D").await;
    assert_eq!(page.said("textarea[name=conf]"), r#"{"day":"2026-03-04"}"#);
    assert_eq!(page.attr("input[name='p.day']", "value"), "2026-01-01");
}
