//! How people are asked, and how they answer.

use reqwest::Method;
use serde_json::json;
use store::account::Role;

use super::browser::Browser;
use crate::{
    app::{App, Program},
    approvals::asking,
};

const TASK: &str = "/dags/ask/runs/one/tasks/gate";
const FORM: &str = ".question form";

async fn started(app: &App) -> Program<'_> {
    let program = app.program(Role::User).await;
    let body = json!({"dag_run_id": "one", "logical_date": null});
    program.send(Method::POST, "/dags/ask/dagRuns", body, 200).await;
    program.wait_for("/dags/ask/dagRuns/one/hitlDetails", |list| list["total_entries"] == 2).await;
    program
}

#[tokio::test]
async fn a_question_is_found_answered_and_remembered() {
    let app = asking().await;
    let _program = started(&app).await;
    let mut person = Browser::of(&app, Role::User).await;
    let inbox = person.open("/approvals").await;
    assert_eq!(inbox.words(".question h2").len(), 2, "{}", inbox.text);
    let link = "header > .side-nav a[href='/approvals']";
    assert_eq!(inbox.said(&format!("{link} .count")), "1", "only those that they may answer are counted");
    assert!(inbox.text.contains("You are not among those who may answer."), "{}", inbox.text);
    assert!(!inbox.text.contains("<script>alert"), "what people write is shown as text");
    assert!(
        inbox.has(&format!(".question-foot a[href='{TASK}']")),
        "a form with params is on the task's page"
    );

    let run = person.open("/dags/ask/runs/one").await;
    assert_eq!(run.words(".question h2").len(), 2, "{}", run.text);
    let page = person.open(TASK).await;
    assert_eq!(page.said(".question h2"), "Load 50% of it?");
    assert_eq!(page.said(".question-body strong"), "many");
    assert_eq!(page.words(&format!("{FORM} button[name=option]")), ["Approve", "Reject"]);
    assert_eq!(page.attr(&format!("{FORM} input[name='p.rows']"), "value"), "5");
    assert_eq!(page.said(".why h2"), "Why is it not running?");

    let wrong = person.submit(&page, FORM, &[("option", "Approve"), ("p.rows", "0"), ("remark", "hm")]).await;
    assert_eq!(
        (wrong.status, wrong.said(".field-bad .error").as_str()),
        (422, "This must be at least 1, not 0.")
    );
    assert_eq!(wrong.said(&format!("{FORM} textarea[name=remark]")), "hm", "nothing typed is lost");
    let done = person.submit(&wrong, FORM, &[("option", "Approve"), ("p.rows", "8")]).await;
    assert_eq!(done.said(".note-good"), "You answered “Load 50% of it?”: Approve.");
    let page = person.open(TASK).await;
    assert!(!page.has(FORM), "{}", page.text);
    assert!(page.said(".question-answer").starts_with("Approve by user-person"), "{}", page.text);
    assert_eq!(
        (page.said(".question-remark"), page.words(".question dd")),
        ("hm".to_owned(), vec!["8".to_owned(), String::new()])
    );
    let answered = person.open("/approvals?show=answered").await;
    assert_eq!(answered.words(".question h2"), ["Load 50% of it?"]);
    assert!(!answered.has(&format!("{link} .count")));
}

#[tokio::test]
async fn whoever_is_late_learns_why() {
    let app = asking().await;
    let program = started(&app).await;
    let mut person = Browser::of(&app, Role::User).await;
    let page = person.open(TASK).await;
    let gate = "/dags/ask/dagRuns/one/taskInstances/gate/-1/hitlDetails";
    program.send(Method::PATCH, gate, json!({"chosen_options": ["Reject"]}), 200).await;
    let late = person.submit(&page, FORM, &[("option", "Approve")]).await;
    assert!(late.said(".notices .note-warn").contains("somebody else was faster"), "{}", late.text);
    assert!(late.said(".question-answer").starts_with("Reject by user-program"), "{}", late.text);
    let clear = json!({"dag_run_id": "one", "task_ids": ["gate"], "only_failed": false, "dry_run": false});
    program.send(Method::POST, "/dags/ask/clearTaskInstances", clear, 200).await;
    program.wait_for(gate, |asked| asked["task_instance"]["try_number"] == 2).await;
    let late = person.submit(&page, FORM, &[("option", "Approve")]).await;
    assert!(late.said(".notices .note-warn").contains("asks anew"), "{}", late.text);
    assert!(late.has(FORM), "the question that is open now is there");
}

#[tokio::test]
async fn viewers_and_strangers_see_no_form() {
    let app = asking().await;
    let _program = started(&app).await;
    let mut viewer = Browser::of(&app, Role::Viewer).await;
    let page = viewer.open(TASK).await;
    assert!(!page.has(FORM) && page.text.contains("Answering takes the role user."), "{}", page.text);
    let mut admin = Browser::of(&app, Role::Admin).await;
    let page = admin.open("/dags/ask/runs/one/tasks/secret").await;
    assert!(!page.has(FORM), "{}", page.text);
    let fields = |token: &str| {
        [
            ("csrf", token),
            ("dag_id", "ask"),
            ("run_id", "one"),
            ("task_id", "secret"),
            ("map_index", "-1"),
            ("try_number", "1"),
            ("option", "Approve"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let token = page.all("input[name=csrf]")[0].attr("value").unwrap().to_owned();
    assert_eq!(admin.post("/approvals/answer", &fields(&token)).await.status, 403);
    assert_eq!(admin.post("/approvals/answer", &fields("none")).await.status, 403);
}

#[tokio::test]
async fn the_inbox_is_searched_by_words_and_dag() {
    let app = asking().await;
    let _program = started(&app).await;
    let mut person = Browser::of(&app, Role::User).await;
    for (query, wanted) in
        [("q=bob", 1), ("q=load&dag=ask", 1), ("dag=other", 0), ("show=answered", 0), ("show=all", 2)]
    {
        let page = person.open(&format!("/approvals?{query}")).await;
        assert_eq!(page.all(".question").len(), wanted, "{query}: {}", page.text);
        assert_eq!(page.has(".empty"), wanted == 0, "{query}");
    }
    let part = person.part("/approvals", "questions").await;
    assert!(!part.has("header") && part.all(".question").len() == 2, "{}", part.text);
}
