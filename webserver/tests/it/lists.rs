//! Filters, orders and pages of lists.

use reqwest::Method;
use serde_json::{Value, json};
use store::account::Role;

use crate::app::App;

fn ids(page: &Value, list: &str, field: &str) -> Vec<String> {
    page[list].as_array().unwrap().iter().map(|row| row[field].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn dags_are_filtered_and_ordered() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    program.send(Method::PATCH, "/dags/slow", json!({"is_paused": true}), 200).await;
    let total =
        async |query: &str| program.get(&format!("/dags?{query}")).await["total_entries"].as_i64().unwrap();
    for (query, wanted) in [
        ("", 2),
        ("dag_id_pattern=PIPE", 1),
        ("dag_id_pattern=pipe|slow", 2),
        ("dag_id_pattern=%25", 2),
        ("dag_id_prefix_pattern=sl", 1),
        ("dag_id_prefix_pattern=%25", 0),
        ("paused=true", 1),
        ("paused=false", 1),
        ("tags=a", 1),
        ("tags=a&tags=zzz", 1),
        ("tags=a&tags=zzz&tags_match_mode=all", 0),
        ("tags=a&tags=b&tags_match_mode=all", 1),
        ("owners=ann", 1),
        ("has_import_errors=true", 0),
        ("last_dag_run_state=success", 0),
        ("paused=&tags=&limit=&offset=&order_by=", 2),
    ] {
        assert_eq!(total(query).await, wanted, "{query}");
    }
    let ordered = async |query: &str| ids(&program.get(&format!("/dags?{query}")).await, "dags", "dag_id");
    assert_eq!(ordered("order_by=-dag_id").await, ["slow", "pipeline"]);
    assert_eq!(ordered("order_by=is_paused&order_by=-dag_id").await, ["pipeline", "slow"]);
    assert_eq!(ordered("limit=1&offset=1").await, ["slow"]);
    assert!(
        ordered("limit=0").await.is_empty() && ordered("offset=99999999999999999999999").await.is_empty()
    );
    assert_eq!(program.get("/dagTags?order_by=-name").await, json!({"tags": ["b", "a"], "total_entries": 2}));
    assert_eq!(program.get("/dagTags?tag_name_pattern=b").await["tags"], json!(["b"]));
}

#[tokio::test]
async fn queries_that_make_no_sense_are_refused_in_fastapis_words() {
    let app = App::start().await;
    let program = app.program(Role::Viewer).await;
    for (path, kind, name) in [
        ("/dags?limit=-1", "greater_than_equal", "limit"),
        ("/dags?limit=ten", "int_parsing", "limit"),
        ("/dags?paused=perhaps", "bool_parsing", "paused"),
        ("/dags/~/dagRuns?start_date_gte=yesterday", "datetime_parsing", "start_date_gte"),
        ("/dags/~/dagRuns?duration_lt=long", "float_parsing", "duration_lt"),
        ("/dags/~/dagRuns/~/taskInstances?map_index=x", "int_parsing", "map_index"),
    ] {
        let refusal = program.refused(path, 422).await;
        assert_eq!(
            (&refusal["detail"][0]["type"], &refusal["detail"][0]["loc"]),
            (&json!(kind), &json!(["query", name])),
            "{path}"
        );
    }
    let order = program.refused("/dags?order_by=password", 400).await;
    assert_eq!(
        order["detail"],
        "Ordering with 'password' is disallowed or the attribute does not exist on the model"
    );
    program.refused("/pools?order_by=password", 400).await;
    program.refused("/dags/~/dagRuns?order_by=conf%27;--", 400).await;
}

#[tokio::test]
async fn runs_and_task_instances_are_filtered() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    program.run("pipeline", "one").await;
    program.run("pipeline", "two").await;
    let total = async |path: &str| program.get(path).await["total_entries"].as_i64().unwrap();
    for (query, wanted) in [
        ("run_id_pattern=one", 1),
        ("run_id_prefix_pattern=t", 1),
        ("state=failed", 2),
        ("state=success&state=queued", 0),
        ("run_type=manual", 2),
        ("run_type=scheduled", 0),
        ("triggering_user_name_pattern=user", 2),
        ("run_after_gte=2020-01-01T00:00:00Z", 2),
        ("run_after_lt=2020-01-01T00:00:00Z", 0),
        ("logical_date_gte=2020-01-01", 0),
        ("duration_gte=0", 2),
        ("duration_gt=1000", 0),
        ("dag_version=1", 2),
        ("dag_version=2", 0),
        ("conf_contains=nothing", 0),
    ] {
        assert_eq!(total(&format!("/dags/pipeline/dagRuns?{query}")).await, wanted, "{query}");
    }
    assert_eq!(
        ids(&program.get("/dags/~/dagRuns?order_by=-id&limit=1").await, "dag_runs", "dag_run_id"),
        ["two"]
    );
    for (query, wanted) in [
        ("state=success", 10),
        ("state=failed", 2),
        ("task_id=each", 6),
        ("map_index=2", 2),
        ("operator=BashOperator", 14),
        ("pool=default_pool", 14),
        ("queue=none", 0),
        ("try_number=1", 12),
    ] {
        assert_eq!(
            total(&format!("/dags/pipeline/dagRuns/~/taskInstances?{query}")).await,
            wanted,
            "{query}"
        );
    }
}

#[tokio::test]
async fn lists_are_asked_for_by_bodies_too() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    program.run("pipeline", "one").await;
    program.run("pipeline", "two").await;
    let body = json!({"dag_ids": ["pipeline"], "states": ["failed"], "page_limit": 1, "order_by": "-id", "run_after_gte": "2020-01-01T00:00:00Z"});
    let page = program.send(Method::POST, "/dags/~/dagRuns/list", body, 200).await;
    assert_eq!(
        (&page["total_entries"], ids(&page, "dag_runs", "dag_run_id")),
        (&json!(2), vec!["two".to_owned()])
    );
    let body = json!({"dag_run_ids": ["one"], "state": ["failed", null], "task_ids": ["check", "load"]});
    let page = program.send(Method::POST, "/dags/~/dagRuns/~/taskInstances/list", body, 200).await;
    assert_eq!(ids(&page, "task_instances", "task_id"), ["check"]);
    for wrong in [json!({"page_limit": -1}), json!({"run_after_gte": "x"}), json!({"nonsense": 1})] {
        program.send(Method::POST, "/dags/~/dagRuns/list", wrong, 422).await;
    }
    let stats = program.get("/dagStats?dag_ids=pipeline").await;
    assert_eq!(stats["dags"][0]["stats"][3], json!({"state": "failed", "count": 2}));
}

#[tokio::test]
async fn long_lists_are_paged_by_cursor() {
    let app = App::start().await;
    let program = app.program(Role::User).await;
    for run in ["one", "two", "three"] {
        program.run("pipeline", run).await;
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = program.get(&format!("/dags/~/dagRuns?limit=2&order_by=-id&cursor={cursor}")).await;
        seen.extend(ids(&page, "dag_runs", "dag_run_id"));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => {
                let back = page["previous_cursor"].as_str().unwrap();
                let page = program.get(&format!("/dags/~/dagRuns?limit=2&order_by=-id&cursor={back}")).await;
                assert_eq!(ids(&page, "dag_runs", "dag_run_id"), ["three", "two"]);
                assert!(page["previous_cursor"].is_null() && page["next_cursor"].is_string());
                break;
            }
        }
    }
    assert_eq!(seen, ["three", "two", "one"]);

    let path = "/dags/pipeline/dagRuns/~/taskInstances?limit=8";
    let (mut count, mut cursor) = (0, Some(String::new()));
    while let Some(token) = cursor {
        let page = program.get(&format!("{path}&cursor={token}")).await;
        count += page["task_instances"].as_array().unwrap().len();
        cursor = page["next_cursor"].as_str().map(str::to_owned);
    }
    assert_eq!(count, 21);
    for wrong in ["cursor=x", "cursor=&order_by=state", "cursor=WzFd"] {
        program.refused(&format!("{path}&{wrong}"), 400).await;
    }
}

#[tokio::test]
async fn import_errors_and_the_audit_log_are_listed() {
    let mut app = App::without_leader(webserver::Settings::default()).await;
    app.load("broken.yaml", "dag_id: broken\ntasks:\n  a: {bush: true}\n").await;
    app.lead().await;
    let program = app.program(Role::User).await;
    let errors = program.get("/importErrors").await;
    assert_eq!(errors["total_entries"], 1);
    let error = &errors["import_errors"][0];
    assert_eq!(error["filename"], "broken.yaml");
    let trace = error["stack_trace"].as_str().unwrap();
    assert!(trace.starts_with("broken.yaml:3:") && trace.contains("bush"), "{trace}");
    assert_eq!(&program.get(&format!("/importErrors/{}", error["import_error_id"])).await, error);
    assert_eq!(program.get("/importErrors?filename_pattern=other").await["total_entries"], 0);
    program.refused("/importErrors/99", 404).await;
    program.refused("/importErrors/99999999999999999999", 404).await;

    app.db.store.set_paused(&domain::id::DagId::new("broken").unwrap(), true, "ann").await.unwrap();
    let none = program.get("/eventLogs?dag_id=broken").await;
    assert_eq!(none["total_entries"], 0);
    app.db
        .execute(
            "INSERT INTO event_log (at, event, owner, extra) VALUES (now(), 'seen', 'ann', '{\"a\": 1}')",
        )
        .await;
    let log = program.get("/eventLogs?included_events=seen&order_by=-when").await;
    let line = &log["event_logs"][0];
    assert_eq!(
        (&line["event"], &line["owner"], &line["extra"]),
        (&json!("seen"), &json!("ann"), &json!("{\"a\": 1}"))
    );
    assert_eq!(program.get("/eventLogs?excluded_events=seen").await["total_entries"], 0);
    assert_eq!(program.get("/eventLogs?before=2020-01-01T00:00:00Z").await["total_entries"], 0);
    assert_eq!(&program.get(&format!("/eventLogs/{}", line["event_log_id"])).await, line);
}
