//! How people hold back, hurry and switch off what waits.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use store::account::Role;
use webserver::Settings;

use super::browser::Browser;
use crate::app::{App, Program};

/// A DAG whose second task waits until the first, which runs for ever, is marked.
const QUEUE: &str = "
dag_id: line
schedule: null
fail_fast: true
max_consecutive_failed_dag_runs: 3
overlap: skip
tasks:
  first: {bash: wait}
  second: {depends_on: first, bash: echo, wait_for_downstream: true}
  tidy: {depends_on: second, bash: echo, teardown: true, setup: false}
";

const TASK: &str = "/dags/line/runs/one/tasks/second";
const API: &str = "/dags/line/dagRuns/one/taskInstances";

async fn in_line() -> App {
    let mut app = App::without_leader(Settings::default()).await;
    app.load("line.yaml", QUEUE).await;
    app.lead().await;
    app
}

/// A run whose first task runs.
async fn started(app: &App) -> Program<'_> {
    let program = app.program(Role::User).await;
    let body = json!({"dag_run_id": "one", "logical_date": null});
    program.send(Method::POST, "/dags/line/dagRuns", body, 200).await;
    program.wait_for(&format!("{API}/first"), |ti| ti["state"] == "running").await;
    program
}

/// The first task is done: the second one may go.
async fn go_on(program: &Program<'_>) {
    program.send(Method::PATCH, &format!("{API}/first"), json!({"new_state": "success"}), 200).await;
}

async fn ends(program: &Program<'_>, state: &str) {
    program.wait_for("/dags/line/dagRuns/one", |run| run["state"] == state).await;
}

async fn events(program: &Program<'_>) -> Vec<String> {
    let log = program.get("/eventLogs?dag_id=line&order_by=event_log_id&limit=100").await;
    let text = |line: &Value| line["event"].as_str().unwrap().to_owned();
    log["event_logs"].as_array().unwrap().iter().map(text).collect()
}

#[tokio::test]
async fn a_task_is_held_and_released() {
    let app = in_line().await;
    let program = started(&app).await;
    let mut person = Browser::of(&app, Role::User).await;
    let page = person.open(TASK).await;
    assert!(!page.has(".tag-warn"), "{}", page.text);
    let held = person.submit(&page, "form[action$='/hold']", &[]).await;
    assert_eq!(held.said(".note-good"), "The task is held: it does not start.");
    assert_eq!(held.said(".head .tag-warn"), "held");
    assert!(held.said("main > section .note-warn, section .note-warn").contains("until it is released"));
    assert_eq!(held.said(".why h2"), "Why is it not running?");
    let lines = held.words(".why li");
    assert!(
        lines[0].contains("awaited: first (running)") || lines[0].contains("awaited: first (queued)"),
        "{lines:?}"
    );
    assert!(lines[1].ends_with("Release it."), "{lines:?}");
    let details = person.open(&format!("{TASK}/details")).await;
    assert!(details.words("dl.facts dt").contains(&"Held".to_owned()), "{}", details.text);

    go_on(&program).await;
    let waits = program.get(&format!("{API}/second")).await;
    assert_eq!(waits["start_date"], Value::Null, "{waits}");
    let run = person.open("/dags/line/runs/one").await;
    assert!(run.said(".why").contains("second: An operator holds it"), "{}", run.text);
    let page = person.open(TASK).await;
    let button = ".head-actions > form[action$='/hold']";
    assert_eq!(page.said(button), "Release");
    let released = person.submit(&page, button, &[]).await;
    assert_eq!(released.said(".note-good"), "The task is released.");
    ends(&program, "success").await;
    let page = person.open(TASK).await;
    assert!(!page.has(".tag-warn") && !page.has("form[action$='/hold']"), "{}", page.text);
    let log = events(&program).await;
    assert!(log.contains(&"hold_task_instances".to_owned()), "{log:?}");
    assert!(log.contains(&"release_task_instances".to_owned()), "{log:?}");

    // Who still has the old page learns why nothing happens.
    let late = person.submit(&held, button, &[("held", "true")]).await;
    assert!(late.said(".notices .note-bad").contains("nothing is left there to be held"), "{}", late.text);
}

#[tokio::test]
async fn a_task_that_waits_gets_another_priority() {
    let app = in_line().await;
    let program = started(&app).await;
    let mut person = Browser::of(&app, Role::User).await;
    let page = person.open(TASK).await;
    let form = "form[action$='/priority']";
    assert_eq!(page.attr(&format!("{form} input[name=priority]"), "value"), "2");
    let moved = person.submit(&page, form, &[("priority", "42")]).await;
    assert_eq!(moved.said(".note-good"), "The task waits with priority 42.");
    assert_eq!(program.get(&format!("{API}/second")).await["priority_weight"], 42);
    let wrong = person.submit(&page, form, &[("priority", "much")]).await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.text.contains("is not a priority"), "{}", wrong.text);
    let first = person.open("/dags/line/runs/one/tasks/first").await;
    assert!(!first.has(form) && !first.has("form[action$='/hold']"), "what runs waits no more");
}

#[tokio::test]
async fn a_run_is_paused_and_goes_on() {
    let app = in_line().await;
    let program = started(&app).await;
    let mut person = Browser::of(&app, Role::User).await;
    let page = person.open("/dags/line/runs/one").await;
    assert_eq!(page.attr("form[action$='/pause']", "data-confirm-title"), "Pause this run?");
    let paused = person.submit(&page, "form[action$='/pause']", &[]).await;
    assert_eq!(paused.said(".note-good"), "The run is paused: what runs ends, nothing new starts.");
    assert_eq!(paused.said(".head .tag-warn"), "paused");
    assert!(person.open(TASK).await.text.contains("An operator paused the run"));

    go_on(&program).await;
    let waits = program.get(&format!("{API}/second")).await;
    assert_eq!((&waits["state"], &waits["start_date"]), (&Value::Null, &Value::Null), "{waits}");
    let page = person.open("/dags/line/runs/one").await;
    assert_eq!(page.said("form[action$='/pause']"), "Let it go on");
    let on = person.submit(&page, "form[action$='/pause']", &[]).await;
    assert_eq!(on.said(".note-good"), "The run goes on.");
    ends(&program, "success").await;
    let page = person.open("/dags/line/runs/one").await;
    assert!(!page.has("form[action$='/pause']") && !page.has(".tag-warn"));
    let log = events(&program).await;
    assert!(
        log.contains(&"pause_dag_run".to_owned()) && log.contains(&"resume_dag_run".to_owned()),
        "{log:?}"
    );
}

#[tokio::test]
async fn a_task_is_switched_off_and_on() {
    let app = in_line().await;
    let program = started(&app).await;
    let mut person = Browser::of(&app, Role::User).await;
    let page = person.open(TASK).await;
    let form = "form[action$='/switch']";
    assert!(page.attr(form, "data-confirm").contains("every other run of line"));
    let off = person.submit(&page, form, &[]).await;
    assert_eq!(off.said(".note-good"), "second is switched off: it is skipped in every run of line.");
    assert_eq!(off.said(".head .tag-warn"), "switched off");
    assert!(off.text.contains("it is skipped when its turn comes"), "{}", off.text);
    let dag = person.open("/dags/line/details").await;
    assert!(dag.words("dl.facts dt").contains(&"Switched off by an operator".to_owned()), "{}", dag.text);
    go_on(&program).await;
    program.wait_for(&format!("{API}/second"), |ti| ti["state"] == "skipped").await;
    assert!(person.open(TASK).await.text.contains("The task is switched off"));

    let page = person.open(TASK).await;
    let on = person.submit(&page, form, &[]).await;
    assert_eq!(on.said(".note-good"), "second is switched on.");
    assert!(!on.has(".tag-warn"));
    let log = events(&program).await;
    assert!(log.contains(&"disable_task".to_owned()) && log.contains(&"enable_task".to_owned()), "{log:?}");
}

#[tokio::test]
async fn viewers_control_nothing() {
    let app = in_line().await;
    started(&app).await;
    let mut person = Browser::of(&app, Role::Viewer).await;
    for path in [TASK, "/dags/line/runs/one"] {
        assert!(!person.open(path).await.has("main form[method=post]"), "{path}");
    }
    let page = person.open("/dags").await;
    let token = page.all("input[name=csrf]")[0].attr("value").unwrap().to_owned();
    let fields = |csrf: &str| {
        let fields =
            [("csrf", csrf), ("held", "true"), ("priority", "1"), ("enabled", "false"), ("paused", "true")];
        fields.map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let actions = ["hold", "priority", "switch"].map(|action| format!("{TASK}/{action}"));
    let actions = actions.into_iter().chain(["/dags/line/runs/one/pause".to_owned()]);
    let mut boss = Browser::of(&app, Role::Admin).await;
    for path in actions {
        assert_eq!(person.post(&path, &fields(&token)).await.status, 403, "{path}");
        assert_eq!(boss.post(&path, &fields("guess")).await.status, 403, "{path} with a forged form");
    }
}

#[tokio::test]
async fn details_tell_the_rules_of_a_dag_and_its_tasks() {
    let app = in_line().await;
    started(&app).await;
    let mut person = Browser::of(&app, Role::Viewer).await;
    let dag = person.open("/dags/line/details").await.text;
    for words in ["the run ends", "after 3 runs in a row that failed", "it is left out"] {
        assert!(dag.contains(words), "{words}: {dag}");
    }
    let second = person.open(&format!("{TASK}/details")).await.text;
    assert!(second.contains("(wait_for_downstream)"), "{second}");
    let tidy = person.open("/dags/line/runs/one/tasks/tidy/details").await.text;
    assert!(tidy.contains("teardown: cleans up; whether it fails does not matter"), "{tidy}");
    assert!(person.open("/dags/line/graph").await.text.contains("teardown · bash"));
}

#[tokio::test]
async fn a_task_says_that_it_waits_for_the_run_before() {
    let app = in_line().await;
    let program = app.program(Role::User).await;
    for (run, day) in [("one", "2026-01-01"), ("two", "2026-01-02")] {
        let body = json!({"dag_run_id": run, "logical_date": format!("{day}T00:00:00Z")});
        program.send(Method::POST, "/dags/line/dagRuns", body, 200).await;
    }
    let first = "/dags/line/dagRuns/two/taskInstances/first";
    program.wait_for(first, |ti| ti["state"] == "running").await;
    program.send(Method::PATCH, first, json!({"new_state": "success"}), 200).await;
    let mut person = Browser::of(&app, Role::Viewer).await;
    let mut bells = app.queue.subscribe(&[queue::BellKind::Changed]).await;
    for _ in 0..100 {
        let page = person.open("/dags/line/runs/two/tasks/second").await;
        if page.has(".note-info") && page.said("[data-live=head] .note-info").contains("previous run") {
            return;
        }
        bells.next(Duration::from_millis(200)).await;
    }
    panic!("{}", person.open("/dags/line/runs/two/tasks/second").await.text);
}
