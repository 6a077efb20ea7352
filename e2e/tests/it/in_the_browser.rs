//! What an operator does all day, in a real browser.

use std::path::Path;

use serde_json::json;

use crate::{
    browser::Browser,
    platform::{PASSWORD, Standalone},
    servers::root,
};

// `slow` writes while one looks, `fragile` fails until somebody puts its file there.
const SHOW: &str = r#"
dag_id: show
params:
  name: {type: string, default: nobody, description: Who is greeted}
  times: {type: integer, default: 2}
tasks:
  greet: {bash: 'echo "Hello, {{ params.name }}, {{ params.times }} times"'}
  slow:
    depends_on: greet
    bash: 'for n in 1 2 3 4 5 6; do echo "line $n"; sleep 0.5; done'
  fragile:
    depends_on: greet
    bash: 'echo "looking for the file" >&2; test -e FILE || exit 3'
  end: {empty: {}, depends_on: [slow, fragile]}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_triggers_watches_retries_and_pauses() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("the-file");
    std::fs::write(folder.path().join("show.yaml"), SHOW.replace("FILE", file.to_str().unwrap())).unwrap();
    let standalone = Standalone::start(folder.path()).await;
    standalone.until("the DAG is known", "/dags/show", |answer| answer["dag_id"] == "show").await;
    let browser = Browser::open().await;

    sign_in(&browser, &standalone).await;
    trigger_with_a_form(&browser, &standalone).await;
    watch_grid_and_graph(&browser, &standalone).await;
    see_the_failure_explained_and_retry(&browser, &standalone, &file).await;
    pause_and_unpause(&browser, &standalone).await;
}

async fn sign_in(browser: &Browser, standalone: &Standalone) {
    browser.goto(&format!("{}/dags/show", standalone.url)).await;
    browser.fill("#username", "admin").await;
    browser.fill("#password", "wrong").await;
    browser.click("button.button-main").await;
    browser.see("[role=alert]").await;
    browser.fill("#username", "admin").await;
    browser.fill("#password", PASSWORD).await;
    browser.click("button.button-main").await;
    browser.read("h1", "show").await;
    assert_eq!(browser.path().await, "/dags/show", "back to where the person wanted to go");
}

async fn trigger_with_a_form(browser: &Browser, standalone: &Standalone) {
    browser.goto(&format!("{}/dags/show/trigger", standalone.url)).await;
    assert_eq!(browser.is_accessible().await, Vec::<String>::new());
    browser.fill("[name$=times]", "not a number").await;
    browser.fill("[name$=name]", "Ada").await;
    browser
        .client
        .execute("document.querySelector('[name$=times]').type = 'text'", Vec::new())
        .await
        .unwrap();
    browser.fill("[name$=times]", "many").await;
    browser.click("main .form-foot button.button-main").await;
    browser.read(".field-bad .error", "whole number").await;
    browser.fill("[name$=times]", "3").await;
    browser.click("main .form-foot button.button-main").await;
    // A log grows while one looks at it.
    let run =
        standalone.until("the run exists", "/dags/show/dagRuns", |answer| answer["total_entries"] == 1).await;
    let run_id = run["dag_runs"][0]["dag_run_id"].as_str().unwrap().to_owned();
    assert_eq!(run["dag_runs"][0]["conf"]["name"], "Ada");
    // A page that was opened before the try began loads itself again when it does.
    let slow = format!("/dags/show/dagRuns/{run_id}/taskInstances/slow");
    standalone.until("the try runs", &slow, |ti| ti["state"] == "running").await;
    let log = format!("/dags/show/runs/{run_id}/tasks/slow");
    browser.goto(&format!("{}{log}", standalone.url)).await;
    browser.mark().await;
    browser.read(".log-text", "line 2").await;
    browser.read(".log-text", "line 6").await;
    assert!(browser.is_marked().await, "the log grew without a reload");
}

async fn watch_grid_and_graph(browser: &Browser, standalone: &Standalone) {
    for page in ["/dags/show", "/dags/show/graph"] {
        browser.goto(&format!("{}{page}", standalone.url)).await;
        browser.mark().await;
        let body = json!({"logical_date": null, "conf": {"name": "Grace"}});
        let (status, _) = standalone.api("POST", "/dags/show/dagRuns", Some(body)).await;
        assert!(status.is_success());
        if page.ends_with("graph") {
            browser.see("a.g-node.state-running, g.g-node.state-running").await;
            browser.see("a.g-node.state-success, g.g-node.state-success").await;
        } else {
            browser.see("[data-key^='t-'] .cell.state-running").await;
        }
        browser.see(".state-failed").await;
        assert!(browser.is_marked().await, "{page} changed without a reload");
        assert_eq!(browser.is_accessible().await, Vec::<String>::new(), "{page}");
        let ended = |answer: &serde_json::Value| answer["total_entries"] == 0;
        standalone.until("no run is running", "/dags/show/dagRuns?state=running", ended).await;
    }
}

async fn see_the_failure_explained_and_retry(browser: &Browser, standalone: &Standalone, file: &Path) {
    let (_, runs) = standalone.api("GET", "/dags/show/dagRuns?order_by=-run_after&limit=1", None).await;
    let run_id = runs["dag_runs"][0]["dag_run_id"].as_str().unwrap();
    let run = format!("/dags/show/runs/{run_id}");
    browser.goto(&format!("{}{run}/tasks/fragile", standalone.url)).await;
    browser.read("main .note", "3").await;
    browser.read(".log-text", "looking for the file").await;
    std::fs::write(file, "").unwrap();
    browser.click(".head-actions form button.button-main").await;
    browser.see(".head-title .state-success").await;
    // What could not run because of it is retried with it: the run goes on by itself.
    browser.goto(&format!("{}{run}", standalone.url)).await;
    browser.see(".head-title .state-success").await;
}

async fn pause_and_unpause(browser: &Browser, standalone: &Standalone) {
    browser.goto(&format!("{}/dags", standalone.url)).await;
    browser.click("tr[data-key=show] button.switch[aria-checked=true]").await;
    browser.see("tr[data-key=show] button.switch[aria-checked=false]").await;
    standalone.until("it is paused", "/dags/show", |answer| answer["is_paused"] == true).await;
    browser.click("tr[data-key=show] button.switch[aria-checked=false]").await;
    browser.see("tr[data-key=show] button.switch[aria-checked=true]").await;
    standalone.until("it is unpaused", "/dags/show", |answer| answer["is_paused"] == false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_screen_is_not_empty_and_every_page_is_accessible() {
    let standalone = Standalone::start(&root().join("examples")).await;
    let ran = |answer: &serde_json::Value| answer["dag_runs"][0]["state"] == "success";
    standalone.until("an example has run", "/dags/hello/dagRuns", ran).await;
    let browser = Browser::open().await;
    browser.goto(&standalone.url).await;
    browser.fill("#username", "admin").await;
    browser.fill("#password", PASSWORD).await;
    browser.click("button.button-main").await;
    browser.see("tr[data-key=hello] .dots .state-success").await;
    let pages = [
        "/dags",
        "/dags/hello",
        "/dags/hello/graph",
        "/dags/hello/runs",
        "/dags/hello/details",
        "/dags/hello/trigger",
        "/import-errors",
        "/pools",
        "/variables",
        "/connections",
        "/platform",
        "/alerts",
        "/approvals",
        "/audit",
    ];
    for page in pages {
        browser.goto(&format!("{}{page}", standalone.url)).await;
        browser.see("h1").await;
        assert_eq!(browser.is_accessible().await, Vec::<String>::new(), "{page}");
    }
}
