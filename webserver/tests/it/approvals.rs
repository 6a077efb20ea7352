//! Questions to people by the API, in Airflow's form.

use reqwest::Method;
use serde_json::{Value, json};
use store::account::Role;
use webserver::Settings;

use crate::app::{App, Program};

/// One DAG that asks everybody, and one that asks somebody else.
pub(crate) const FILE: &str = r#"
dag_id: ask
schedule: null
tasks:
  gate:
    approval:
      subject: Load 50% of it?
      body: "It has **many** rows. <script>alert(1)</script>"
      params:
        rows: {type: integer, minimum: 1, default: 5, description: How many}
        why: {type: string, default: ""}
  load: {depends_on: gate, bash: echo load}
  secret: {approval: {subject: Only for Bob, assigned_users: [bob]}}
"#;

const RUN: &str = "/dags/ask/dagRuns/one";
const GATE: &str = "/dags/ask/dagRuns/one/taskInstances/gate/-1/hitlDetails";

pub(crate) async fn asking() -> App {
    let mut app = App::without_leader(Settings::default()).await;
    app.load("ask.yaml", FILE).await;
    app.lead().await;
    app
}

async fn program(app: &App) -> Program<'_> {
    let program = app.program(Role::User).await;
    let body = json!({"dag_run_id": "one", "logical_date": null});
    program.send(Method::POST, "/dags/ask/dagRuns", body, 200).await;
    program.wait_for(&format!("{RUN}/hitlDetails"), |list| list["total_entries"] == 2).await;
    program
}

fn chosen(option: &str) -> Value {
    json!({"chosen_options": [option]})
}

#[tokio::test]
async fn a_question_has_airflows_form() {
    let app = asking().await;
    let program = program(&app).await;
    let asked = program.get(GATE).await;
    for (field, wanted) in [
        ("subject", json!("Load 50% of it?")),
        ("options", json!(["Approve", "Reject"])),
        ("defaults", Value::Null),
        ("multiple", json!(false)),
        ("assigned_users", json!([])),
        ("responded_by_user", Value::Null),
        ("responded_at", Value::Null),
        ("chosen_options", Value::Null),
        ("params_input", json!({})),
        ("response_received", json!(false)),
    ] {
        assert_eq!(asked[field], wanted, "{field} of {asked}");
    }
    assert_eq!(asked["params"]["rows"]["value"], 5);
    assert_eq!(asked["params"]["rows"]["schema"]["minimum"], 1);
    let ti = &asked["task_instance"];
    assert_eq!((&ti["task_id"], &ti["state"]), (&json!("gate"), &json!("awaiting_input")));
    assert_eq!((&ti["operator"], &ti["try_number"]), (&json!("ApprovalOperator"), &json!(1)));
    assert!(asked["created_at"].is_string());
    let tried = program.get(&format!("{GATE}/tries/1")).await;
    assert_eq!((&tried["subject"], &tried["task_instance"]["try_number"]), (&asked["subject"], &json!(1)));
    program.refused(&format!("{GATE}/tries/2"), 404).await;
    let missing = program.refused(&format!("{RUN}/taskInstances/load/-1/hitlDetails"), 404).await;
    assert!(missing["detail"].as_str().unwrap().contains("does not exist"), "{missing}");
    program.refused(&format!("{RUN}/taskInstances/gate/3/hitlDetails"), 404).await;
}

#[tokio::test]
async fn the_first_answer_counts_and_the_second_is_a_conflict() {
    let app = asking().await;
    let program = program(&app).await;
    let body = json!({"chosen_options": ["Approve"], "params_input": {"rows": 7}, "remark": "go"});
    let answered = program.send(Method::PATCH, GATE, body, 200).await;
    assert_eq!(answered["responded_by"], json!({"id": "user-program", "name": "user-program"}));
    assert_eq!(answered["chosen_options"], json!(["Approve"]));
    assert_eq!(answered["params_input"], json!({"rows": 7, "why": ""}));
    program.wait_for(&format!("{RUN}/taskInstances/load"), |ti| ti["state"] == "success").await;
    let conflict = program.send(Method::PATCH, GATE, chosen("Reject"), 409).await;
    assert!(conflict["detail"].as_str().unwrap().contains("already"), "{conflict}");
    let asked = program.get(GATE).await;
    assert_eq!((&asked["response_received"], &asked["remark"]), (&json!(true), &json!("go")));
    assert_eq!(asked["responded_at"], answered["responded_at"]);
    let left = program.get(&format!("{RUN}/taskInstances/gate/xcomEntries/return_value")).await;
    assert!(left["value"].to_string().contains("user-program"), "{left}");
    let log = program.get("/eventLogs?dag_id=ask&event=update_hitl_detail").await;
    assert_eq!(log["total_entries"], 1, "{log}");
}

#[tokio::test]
async fn two_answers_at_once_have_one_winner() {
    let app = asking().await;
    let program = program(&app).await;
    app.account("eve", Role::User).await;
    let answer = async |option: &str| {
        let request = program.request(Method::PATCH, &format!("/api/v2{GATE}")).json(&chosen(option));
        request.send().await.unwrap().status().as_u16()
    };
    let (yes, no) = tokio::join!(answer("Approve"), answer("Reject"));
    let mut statuses = [yes, no];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let asked = program.get(GATE).await;
    let winner = if yes == 200 { "Approve" } else { "Reject" };
    assert_eq!(asked["chosen_options"], json!([winner]));
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_changes_nothing() {
    let app = asking().await;
    let program = program(&app).await;
    for (body, status, words) in [
        (json!({"chosen_options": []}), 422, "at least 1 item"),
        (json!({}), 422, "chosen_options"),
        (chosen("Perhaps"), 400, "`Perhaps` is not an option"),
        (json!({"chosen_options": ["Approve", "Reject"]}), 400, "only one option"),
        (json!({"chosen_options": ["Approve"], "params_input": {"rows": 0}}), 400, "at least 1"),
        (json!({"chosen_options": ["Approve"], "params_input": {"cols": 1}}), 400, "not asked for"),
    ] {
        let refusal = program.send(Method::PATCH, GATE, body, status).await.to_string();
        assert!(refusal.contains(words), "{refusal}");
    }
    let secret = format!("{RUN}/taskInstances/secret/-1/hitlDetails");
    let refusal = program.send(Method::PATCH, &secret, chosen("Approve"), 403).await.to_string();
    assert!(refusal.contains("not among those who may answer"), "{refusal}");
    let viewer = app.program(Role::Viewer).await;
    viewer.send(Method::PATCH, GATE, chosen("Approve"), 403).await;
    let admin = app.program(Role::Admin).await;
    admin.send(Method::PATCH, &secret, chosen("Approve"), 403).await;
    assert_eq!(viewer.get(GATE).await["response_received"], false);
}

#[tokio::test]
async fn a_question_that_is_withdrawn_takes_no_answer_and_a_cleared_task_asks_anew() {
    let app = asking().await;
    let program = program(&app).await;
    let mark = json!({"new_state": "success"});
    program.send(Method::PATCH, &format!("{RUN}/taskInstances/gate"), mark, 200).await;
    program.send(Method::PATCH, GATE, chosen("Approve"), 409).await;
    assert!(program.get(GATE).await["withdrawn_at"].is_string());
    let clear = json!({"dag_run_id": "one", "task_ids": ["gate"], "only_failed": false, "dry_run": false});
    program.send(Method::POST, "/dags/ask/clearTaskInstances", clear, 200).await;
    program.wait_for(GATE, |asked| asked["task_instance"]["try_number"] == 2).await;
    program.send(Method::PATCH, GATE, chosen("Approve"), 200).await;
    let first = program.get(&format!("{GATE}/tries/1")).await;
    assert_eq!(
        (&first["response_received"], &first["task_instance"]["state"]),
        (&json!(false), &json!("success"))
    );
}

#[tokio::test]
async fn lists_are_filtered_and_ordered() {
    let app = asking().await;
    let program = program(&app).await;
    program.send(Method::PATCH, GATE, chosen("Approve"), 200).await;
    for (query, wanted) in [
        ("/dags/~/dagRuns/~/hitlDetails", 2),
        ("/dags/ask/dagRuns/~/hitlDetails?response_received=false", 1),
        ("/dags/ask/dagRuns/~/hitlDetails?response_received=true", 1),
        ("/dags/~/dagRuns/~/hitlDetails?responded_by_user_name=user-program", 1),
        ("/dags/~/dagRuns/~/hitlDetails?responded_by_user_id=nobody", 0),
        ("/dags/~/dagRuns/~/hitlDetails?subject_search=LOAD", 1),
        ("/dags/~/dagRuns/~/hitlDetails?body_search=many", 1),
        ("/dags/~/dagRuns/~/hitlDetails?state=awaiting_input", 1),
        ("/dags/~/dagRuns/~/hitlDetails?task_id=gate", 1),
        ("/dags/~/dagRuns/~/hitlDetails?dag_id_pattern=as&task_id_prefix_pattern=sec", 1),
        ("/dags/~/dagRuns/~/hitlDetails?created_at_gte=2090-01-01T00:00:00Z", 0),
        ("/dags/other/dagRuns/~/hitlDetails", 0),
        ("/dags/ask/dagRuns/~/hitlDetails?map_index=-1", 2),
    ] {
        assert_eq!(program.get(query).await["total_entries"], wanted, "{query}");
    }
    let ordered = program.get("/dags/~/dagRuns/~/hitlDetails?order_by=-subject&limit=1").await;
    assert_eq!(ordered["hitl_details"][0]["subject"], "Only for Bob");
    program.refused("/dags/~/dagRuns/~/hitlDetails?order_by=nothing", 400).await;
}
