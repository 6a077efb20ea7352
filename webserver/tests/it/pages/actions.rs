//! What people do to runs and tasks.

use store::account::Role;

use super::{browser::Browser, with_a_run};
use crate::app::App;

#[tokio::test]
async fn a_run_shows_its_tasks_and_is_retried() {
    let app = with_a_run().await;
    let mut person = Browser::of(&app, Role::User).await;
    let page = person.open("/dags/pipeline/runs/one").await;
    assert_eq!(page.words("tbody a.main"), ["extract", "load", "check", "report", "each"]);
    assert_eq!(page.said(".head .state-pill"), "failed");
    assert!(page.said("tr[data-key=check] .sub").contains("exit code 1"));
    assert_eq!(page.said("tr[data-key=each] .counts"), "3 success");
    assert_eq!(page.said("form:has(input[name=only_failed]) button"), "Retry 2 failed");

    let again = person.submit(&page, "form:has(input[name=only_failed])", &[]).await;
    assert_eq!(again.path, "/dags/pipeline/runs/one");
    assert_eq!(again.said(".note-good"), "The failed tasks run again.");
    let program = app.program(Role::Op).await;
    let run = program.wait_for("/dags/pipeline/dagRuns/one", |run| !run["end_date"].is_null()).await;
    assert_eq!(run["state"], "failed");
    let tries = person.open("/dags/pipeline/runs/one/tasks/check/attempts").await;
    assert_eq!(tries.words("tbody a.main"), ["Try 2", "Try 1"]);
    assert_eq!(tries.words("tbody .break")[0], "exit code 1");
}

#[tokio::test]
async fn a_run_is_stopped() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    let body = serde_json::json!({"dag_run_id": "long", "logical_date": null});
    program.send(reqwest::Method::POST, "/dags/slow/dagRuns", body, 200).await;
    program.wait_for("/dags/slow/dagRuns/long/taskInstances/nap", |ti| ti["state"] == "running").await;
    let mut person = Browser::of(&app, Role::User).await;
    let page = person.open("/dags/slow/runs/long").await;
    let stopped = person.submit(&page, "form[action$='/stop']", &[]).await;
    assert_eq!(stopped.said(".note-good"), "The run is stopped.");
    assert_eq!(stopped.said(".head .state-pill"), "failed");
    assert!(!stopped.has("form[action$='/stop']"));
}

#[tokio::test]
async fn a_task_is_marked_and_what_follows_gets_another_chance() {
    let app = with_a_run().await;
    let mut person = Browser::of(&app, Role::User).await;
    let page = person.open("/dags/pipeline/runs/one/tasks/check").await;
    let marked = person.submit(&page, "form[action$='/mark']:has(input[value=success])", &[]).await;
    assert_eq!(marked.said(".note-good"), "The task is marked success.");
    assert_eq!(marked.said(".head .state-pill"), "success");
    let program = app.program(Role::Op).await;
    let run = program.wait_for("/dags/pipeline/dagRuns/one", |run| run["state"] == "success").await;
    assert!(!run["end_date"].is_null());
}

#[tokio::test]
async fn a_failed_task_is_retried_with_what_failed_because_of_it() {
    let app = with_a_run().await;
    let mut person = Browser::of(&app, Role::User).await;
    let program = app.program(Role::Op).await;
    let path = "/dags/pipeline/dagRuns/one/taskInstances/report";
    let before = program.get(path).await["end_date"].clone();
    let page = person.open("/dags/pipeline/runs/one/tasks/check").await;
    let again = person.submit(&page, ".head-actions > form[action$='/clear']", &[]).await;
    assert_eq!(again.said(".note-good"), "The task runs again, then what failed because of it.");
    let ended = |ti: &serde_json::Value| ti["state"] == "upstream_failed" && ti["end_date"] != before;
    program.wait_for(path, ended).await;
    assert_eq!(program.get("/dags/pipeline/dagRuns/one/taskInstances/check").await["try_number"], 2);
    assert_eq!(program.get("/dags/pipeline/dagRuns/one/taskInstances/extract").await["try_number"], 1);
}

#[tokio::test]
async fn one_instance_of_a_mapped_task_runs_again() {
    let app = with_a_run().await;
    let mut person = Browser::of(&app, Role::User).await;
    let page = person.open("/dags/pipeline/runs/one/tasks/each?map_index=1").await;
    let again = person.submit(&page, ".head-actions > form[action$='/clear']", &[]).await;
    assert_eq!(again.path, "/dags/pipeline/runs/one/tasks/each?map_index=1");
    let program = app.program(Role::Op).await;
    let path = "/dags/pipeline/dagRuns/one/taskInstances/each/1";
    program.wait_for(path, |ti| ti["state"] == "success" && ti["try_number"] == 2).await;
    assert_eq!(program.get("/dags/pipeline/dagRuns/one/taskInstances/each/0").await["try_number"], 1);
}

#[tokio::test]
async fn what_the_engine_refuses_is_told() {
    let app = with_a_run().await;
    let mut person = Browser::of(&app, Role::User).await;
    let page = person.open("/dags/pipeline/runs/one/tasks/check").await;
    let form = "form[action$='/mark']:has(input[value=success])";
    let refused = person.submit(&page, form, &[("state", "running")]).await;
    assert!(refused.said(".notices .note-bad").contains("success, failed or skipped"), "{}", refused.text);
    let nonsense = person.submit(&page, form, &[("state", "runing")]).await;
    assert_eq!(nonsense.status, 400);
}

#[tokio::test]
async fn viewers_see_no_buttons_and_cannot_press_them_either() {
    let app = with_a_run().await;
    let mut person = Browser::of(&app, Role::Viewer).await;
    for path in [
        "/dags",
        "/dags/pipeline",
        "/dags/pipeline/runs/one",
        "/dags/pipeline/runs/one/tasks/check",
        "/pools",
    ] {
        let page = person.open(path).await;
        let forms: Vec<_> = page
            .all("main form")
            .iter()
            .map(|form| form.attr("method").unwrap_or_default().to_owned())
            .collect();
        assert!(!forms.contains(&"post".to_owned()), "{path}");
    }
    let page = person.open("/dags").await;
    let token = page.all("input[name=csrf]")[0].attr("value").unwrap().to_owned();
    let fields = [("csrf".to_owned(), token), ("paused".to_owned(), "true".to_owned())];
    for path in ["/dags/slow/pause", "/dags/pipeline/runs/one/clear", "/pools"] {
        let refused = person.post(path, &fields).await;
        assert_eq!(refused.status, 403, "{path}");
        assert_eq!(refused.said("h1"), "You may not do this");
    }
    assert_eq!(person.open("/variables").await.status, 403);
}

#[tokio::test]
async fn a_form_without_the_token_of_the_session_is_refused() {
    let app = App::start().await;
    let mut person = Browser::of(&app, Role::Admin).await;
    let fields = [("paused".to_owned(), "true".to_owned())];
    assert_eq!(person.post("/dags/slow/pause", &fields).await.status, 403);
    let page = person.open("/dags?q=slow").await;
    let form = "form[action='/dags/slow/pause']";
    assert_eq!(person.submit(&page, form, &[("csrf", "guess")]).await.status, 403);
    let elsewhere = person.submit(&page, form, &[("back", "//evil.example/")]).await;
    assert_eq!(elsewhere.path, "/dags/slow");
}

#[tokio::test]
async fn what_runs_again_is_shown_before_it_does() {
    let app = with_a_run().await;
    let mut person = Browser::of(&app, Role::User).await;
    let run = person.open("/dags/pipeline/runs/one").await;
    let href = run.attr(".menu-panel a[href$='/clear']", "href");
    let all = person.open(&href).await;
    assert_eq!(all.words("tbody a.main").len(), 7, "{}", all.text);
    assert_eq!(all.said("form[data-clear] button"), "Run 7 again");

    let failed = person.open(&format!("{href}?only_failed=true&task=load&downstream=true")).await;
    assert_eq!(failed.words("tbody a.main"), ["check", "report"]);
    assert_eq!(failed.words("tbody .state"), ["failed", "upstream failed"]);
    let states = |page: &super::browser::Page| page.words("tbody .state");
    assert_eq!(states(&person.open(&href).await).len(), 7, "looking changes nothing");
    let one = person.open("/dags/pipeline/runs/one/tasks/each?map_index=1").await;
    let one = person.open(&one.attr(".menu-panel a[href*='/clear']", "href")).await;
    assert_eq!(one.words("tbody a.main"), ["each[1]"]);

    let done = person.submit(&failed, "form[data-clear]", &[]).await;
    assert_eq!(done.path, "/dags/pipeline/runs/one");
    assert_eq!(done.said(".note-good"), "What failed of load runs again.");
    let program = app.program(Role::Op).await;
    let path = "/dags/pipeline/dagRuns/one/taskInstances/check";
    program.wait_for(path, |ti| ti["try_number"] == 2 && ti["state"] == "failed").await;

    for (query, words) in [("?task=none", "Task id none not found"), ("?past=true", "include_past")] {
        let page = person.open(&format!("{href}{query}")).await;
        assert!(page.said(".note-bad").contains(words) && !page.has("form[data-clear]"), "{}", page.text);
    }
    let mut guest = Browser::of(&app, Role::Viewer).await;
    let page = guest.open(&href).await;
    assert!(!page.has("form[data-clear]"), "who may not act is not offered it");
}
