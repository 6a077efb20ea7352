//! Reading DAGs, runs and task instances.

use reqwest::Method;
use serde_json::{Value, json};
use store::account::Role;
use webserver::Settings;

use crate::app::{App, PIPELINE};

fn names<'a>(page: &'a Value, list: &str, field: &str) -> Vec<&'a str> {
    page[list].as_array().unwrap().iter().map(|row| row[field].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_dag_is_shown_in_full() {
    let app = App::start().await;
    let program = app.program(Role::Viewer).await;
    let dag = program.wait_for("/dags/pipeline", |dag| !dag["next_dagrun_run_after"].is_null()).await;
    assert_eq!(dag["next_dagrun_logical_date"], "2090-01-01T02:30:00Z");
    assert_eq!(
        (&dag["dag_id"], &dag["is_paused"], &dag["description"]),
        (&json!("pipeline"), &json!(false), &json!("A DAG to test with"))
    );
    assert_eq!(
        (&dag["timetable_summary"], &dag["timetable_periodic"], &dag["is_backfillable"]),
        (&json!("30 2 * * *"), &json!(true), &json!(true))
    );
    assert_eq!(dag["tags"][0], json!({"name": "a", "dag_id": "pipeline", "dag_display_name": "pipeline"}));
    assert_eq!(
        (&dag["relative_fileloc"], &dag["fileloc"]),
        (&json!("pipeline.yaml"), &json!("dags/pipeline.yaml"))
    );
    assert_eq!(
        (&dag["max_active_tasks"], &dag["max_active_runs"], &dag["owners"]),
        (&json!(16), &json!(16), &json!(["ann"]))
    );

    let details = program.get("/dags/pipeline/details").await;
    assert_eq!(
        (&details["catchup"], &details["timezone"], &details["concurrency"]),
        (&json!(false), &json!("UTC"), &json!(16))
    );
    assert_eq!(details["start_date"], "2090-01-01T00:00:00Z");
    assert_eq!(details["params"]["day"]["value"], "2026-01-01");
    assert_eq!(details["latest_dag_version"]["version_number"], 1);
    for (field, value) in dag.as_object().unwrap() {
        assert_eq!(&details[field], value, "{field}");
    }
    assert_eq!(
        program.refused("/dags/nothing", 404).await,
        json!({"detail": "The Dag with ID: `nothing` was not found"})
    );
}

#[tokio::test]
async fn tasks_are_shown() {
    let mut app = App::without_leader(webserver::Settings::default()).await;
    app.load("pipeline.yaml", PIPELINE).await;
    let program = app.program(Role::Viewer).await;
    let tasks = program.get("/dags/pipeline/tasks").await;
    assert_eq!(names(&tasks, "tasks", "task_id"), ["check", "each", "extract", "load", "report"]);
    assert_eq!(
        names(&program.get("/dags/pipeline/tasks?order_by=-task_id").await, "tasks", "task_id")[0],
        "report"
    );
    program.refused("/dags/pipeline/tasks?order_by=nothing", 400).await;
    let extract = program.get("/dags/pipeline/tasks/extract").await;
    assert_eq!(extract["downstream_task_ids"], json!(["each", "load"]));
    assert_eq!(
        (&extract["operator_name"], &extract["trigger_rule"]),
        (&json!("BashOperator"), &json!("all_success"))
    );
    assert_eq!(
        extract["retry_delay"],
        json!({"__type": "TimeDelta", "days": 0, "seconds": 300, "microseconds": 0})
    );
    assert_eq!(program.get("/dags/pipeline/tasks/each").await["is_mapped"], true);
    assert_eq!(
        program.refused("/dags/pipeline/tasks/none", 404).await["detail"],
        "Task with id none was not found"
    );
}

#[tokio::test]
async fn versions_and_sources_are_shown() {
    let mut app = App::without_leader(webserver::Settings::default()).await;
    app.load("pipeline.yaml", PIPELINE).await;
    app.load("pipeline.yaml", &PIPELINE.replace("echo report", "echo a better report")).await;
    let program = app.program(Role::Viewer).await;
    let versions = program.get("/dags/pipeline/dagVersions?order_by=-version_number").await;
    assert_eq!(versions["total_entries"], 2);
    assert_eq!(versions["dag_versions"][0]["version_number"], 2);
    assert_eq!(program.get("/dags/pipeline/dagVersions/1").await["id"], versions["dag_versions"][1]["id"]);
    program.refused("/dags/pipeline/dagVersions/9", 404).await;
    assert_eq!(program.get("/dags/~/dagVersions?version_number=2").await["total_entries"], 1);

    let source = program.get("/dagSources/pipeline?version_number=1").await;
    assert_eq!((&source["content"], &source["version_number"]), (&json!(PIPELINE), &json!(1)));
    let plain =
        program.request(reqwest::Method::GET, "/api/v2/dagSources/pipeline").header("accept", "text/plain");
    assert!(plain.send().await.unwrap().text().await.unwrap().contains("a better report"));
}

#[tokio::test]
async fn a_run_and_its_task_instances_are_shown() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    let run = program.run("pipeline", "mine").await;
    assert_eq!(
        (&run["state"], &run["run_type"], &run["triggering_user_name"]),
        (&json!("failed"), &json!("manual"), &json!("user-program"))
    );
    assert!(run["duration"].as_f64().unwrap() >= 0.0 && run["queued_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(program.get("/dags/~/dagRuns/~/taskInstances").await["total_entries"], 7);

    let path = "/dags/pipeline/dagRuns/mine/taskInstances";
    let all = program.get(path).await;
    let states: Vec<(&str, &str)> = all["task_instances"]
        .as_array()
        .unwrap()
        .iter()
        .map(|ti| (ti["task_id"].as_str().unwrap(), ti["state"].as_str().unwrap()))
        .collect();
    assert!(
        states.contains(&("check", "failed")) && states.contains(&("report", "upstream_failed")),
        "{states:?}"
    );
    let check = program.get(&format!("{path}/check")).await;
    assert_eq!(
        (&check["try_number"], &check["hostname"], &check["map_index"]),
        (&json!(1), &json!("workshop"), &json!(-1))
    );
    assert_eq!(program.get(&format!("{path}/each/2")).await["map_index"], 2);
}

#[tokio::test]
async fn mapped_instances_have_their_own_addresses() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    program.run("pipeline", "mine").await;
    let path = "/dags/pipeline/dagRuns/mine/taskInstances";
    let mapped = program.get(&format!("{path}/each/listMapped?order_by=-map_index")).await;
    let indices: Vec<&Value> =
        mapped["task_instances"].as_array().unwrap().iter().map(|ti| &ti["map_index"]).collect();
    assert_eq!(indices, [2, 1, 0]);
    assert_eq!(
        program.refused(&format!("{path}/each"), 404).await["detail"],
        "Task instance is mapped, add the map_index value to the URL"
    );
    assert_eq!(
        program.refused(&format!("{path}/check/listMapped"), 404).await["detail"],
        "Task id check is not mapped"
    );
    program.refused(&format!("{path}/each/3"), 404).await;
    program.refused("/dags/pipeline/dagRuns/none/taskInstances", 404).await;
    let waits = program.get(&format!("{path}/check/dependencies")).await;
    assert_eq!(
        waits["dependencies"][0],
        json!({"name": "Task Instance State", "reason": "Task is in the 'failed' state."})
    );
}

#[tokio::test]
async fn tries_and_xcoms_are_shown() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    program.run("pipeline", "mine").await;
    let path = "/dags/pipeline/dagRuns/mine/taskInstances";
    let tries = program.get(&format!("{path}/check/tries")).await;
    assert_eq!(
        (&tries["total_entries"], &tries["task_instances"][0]["state"]),
        (&json!(1), &json!("failed"))
    );
    assert_eq!(program.get(&format!("{path}/check/tries/1")).await["try_number"], 1);
    assert_eq!(program.get(&format!("{path}/each/0/tries")).await["task_instances"][0]["map_index"], 0);
    program.refused(&format!("{path}/check/tries/2"), 404).await;
    // What never ran has no tries.
    assert_eq!(program.get(&format!("{path}/report/tries")).await["total_entries"], 0);

    let entries = program.get(&format!("{path}/extract/xcomEntries")).await;
    assert_eq!(
        (&entries["total_entries"], &entries["xcom_entries"][0]["key"]),
        (&json!(1), &json!("return_value"))
    );
    assert!(entries["xcom_entries"][0].get("value").is_none());
    let value = program.get(&format!("{path}/extract/xcomEntries/return_value")).await;
    assert_eq!(value["value"], json!({"rows": 3, "from": "echo rows"}));
    let text = program
        .get(&format!("{path}/extract/xcomEntries/return_value?stringify=true&deserialize=false"))
        .await;
    assert_eq!(text["value"], r#"{"rows":3,"from":"echo rows"}"#);
    assert_eq!(
        program.get("/dags/~/dagRuns/~/taskInstances/~/xcomEntries?map_index=1").await["total_entries"],
        1
    );
    assert_eq!(
        program.refused(&format!("{path}/extract/xcomEntries/none"), 404).await["detail"],
        "XCom entry with key: `none` not found"
    );
}

#[tokio::test]
async fn the_deadlines_of_a_run_say_whether_they_were_missed() {
    let mut app = App::without_leader(Settings::default()).await;
    let deadlines = "deadline: [{within: 1d, name: tomorrow}, {within: 1ms, from: start}, {within: 1d, from: logical_date}]";
    app.load("late.yaml", &format!("{deadlines}\ntasks: {{t: {{bash: wait}}}}")).await;
    app.lead().await;
    let program = app.program(Role::User).await;
    let body = json!({"dag_run_id": "mine", "logical_date": null});
    program.send(Method::POST, "/dags/late/dagRuns", body, 200).await;
    let path = "/dags/late/dagRuns/mine/deadlines";
    let found = program.wait_for(path, |found| found["deadlines"][1]["missed"] == true).await;
    assert_eq!(found["total_entries"], 2, "a run without a date has no deadline that counts from it");
    let first = &found["deadlines"][0];
    assert_eq!((&first["missed"], &first["alert_name"]), (&json!(false), &json!("tomorrow")));
    assert_eq!((&first["dag_id"], &first["dag_run_id"]), (&json!("late"), &json!("mine")));
    assert_ne!(first["id"], found["deadlines"][1]["id"]);
    program.refused("/dags/late/dagRuns/other/deadlines", 404).await;
}

#[tokio::test]
async fn the_deadlines_of_a_dag_say_what_they_count_from() {
    let mut app = App::without_leader(Settings::default()).await;
    let deadlines =
        "deadline: [{within: 90s, name: soon}, {at: 2026-01-01}, {within: 1h, from: average_runtime}]";
    app.load("late.yaml", &format!("{deadlines}\ntasks: {{t: {{bash: wait}}}}")).await;
    app.lead().await;
    let program = app.program(Role::User).await;
    let found = program.get("/dags/late/deadlineAlerts").await;
    let alerts = found["deadline_alerts"].as_array().unwrap();
    let shown: Vec<_> = alerts.iter().map(|alert| (&alert["reference_type"], &alert["interval"])).collect();
    let named = |name: &str, seconds: f64| (json!(name), json!(seconds));
    let expected = [
        named("DagRunQueuedAtDeadline", 90.0),
        named("FixedDatetimeDeadline", 0.0),
        named("AverageRuntimeDeadline", 3600.0),
    ];
    let expected: Vec<_> = expected.iter().map(|(name, seconds)| (name, seconds)).collect();
    assert_eq!((shown, &found["total_entries"]), (expected, &json!(3)));
    assert_eq!((&alerts[0]["name"], &alerts[1]["name"]), (&json!("soon"), &json!(null)));
    assert_eq!(program.get("/dags/late/deadlineAlerts?version_number=1").await, found);
    program.refused("/dags/late/deadlineAlerts?version_number=9", 404).await;
    program.refused("/dags/none/deadlineAlerts", 404).await;

    // Nothing has run before, so there is no average: the run says so, and has no such deadline.
    let body = json!({"dag_run_id": "mine", "logical_date": null});
    program.send(Method::POST, "/dags/late/dagRuns", body, 200).await;
    let path = "/dags/late/dagRuns/mine/deadlines";
    let found = program.wait_for(path, |found| found["deadlines"][1]["missed"] == true).await;
    let ids: Vec<_> = found["deadlines"].as_array().unwrap().iter().map(|row| &row["alert_id"]).collect();
    assert_eq!(ids, [&alerts[0]["id"], &alerts[1]["id"]]);
}
