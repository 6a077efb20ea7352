//! Assets over the API, in Airflow's shapes.

use reqwest::Method;
use serde_json::{Value, json};
use store::account::Role;
use webserver::Settings;

use crate::app::{App, Program};

const MAKER: &str = "
dag_id: maker
assets: {orders: {uri: 's3://shop/orders', group: tables, extra: {owner: ann}}}
tasks: {load: {bash: echo, outlets: orders, inlets: raw}}
";
const REPORT: &str = "
dag_id: report
schedule: {assets: {all: [orders, items]}}
tasks: {t: {bash: echo}}
";

pub(crate) async fn app() -> App {
    app_with(&[]).await
}

/// The same with more DAG files.
pub(crate) async fn app_with(files: &[(&str, &str)]) -> App {
    let mut app = App::without_leader(Settings::default()).await;
    for (name, text) in [("maker.yaml", MAKER), ("report.yaml", REPORT)].iter().chain(files) {
        app.load(name, text).await;
    }
    app.lead().await;
    app
}

async fn id(program: &Program<'_>, name: &str) -> i64 {
    let found = program.get(&format!("/assets?name_pattern={name}")).await;
    assert_eq!(found["total_entries"], 1, "{found}");
    found["assets"][0]["id"].as_i64().unwrap()
}

async fn update(program: &Program<'_>, name: &str) -> Value {
    let body = json!({"asset_id": id(program, name).await, "extra": {"rows": 3}});
    program.send(Method::POST, "/assets/events", body, 200).await
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn assets_are_listed_with_who_makes_and_who_waits() {
    let app = app().await;
    let program = app.program(Role::Viewer).await;
    let all = program.get("/assets?order_by=-name").await;
    let names: Vec<&str> =
        all["assets"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["raw", "orders", "items"]);
    let orders = program.get(&format!("/assets/{}", id(&program, "orders").await)).await;
    let wanted = [
        "aliases",
        "consuming_tasks",
        "created_at",
        "extra",
        "group",
        "id",
        "last_asset_event",
        "name",
        "producing_tasks",
        "scheduled_dags",
        "updated_at",
        "uri",
        "watchers",
    ];
    assert_eq!(keys(&orders), wanted);
    assert_eq!((&orders["uri"], &orders["extra"]), (&json!("s3://shop/orders"), &json!({"owner": "ann"})));
    assert_eq!(keys(&orders["producing_tasks"][0]), ["created_at", "dag_id", "task_id", "updated_at"]);
    assert_eq!(keys(&orders["scheduled_dags"][0]), ["created_at", "dag_id", "updated_at"]);
    assert_eq!(orders["last_asset_event"], json!({"id": null, "timestamp": null}));
    for (query, count) in [("dag_ids=maker", 2), ("uri_prefix_pattern=s3:", 1), ("name_pattern=zzz", 0)] {
        assert_eq!(program.get(&format!("/assets?{query}")).await["total_entries"], count, "{query}");
    }
    program.refused("/assets?order_by=extra", 400).await;
    let missing = program.refused("/assets/999", 404).await;
    assert_eq!(missing["detail"], "The Asset with ID: `999` was not found");
    program.refused("/assets/aliases/9", 404).await;
    assert_eq!(program.get("/assets/aliases").await, json!({"asset_aliases": [], "total_entries": 0}));
    let body = json!({"asset_id": 1});
    program.send(Method::POST, "/assets/events", body, 403).await;
}

#[tokio::test]
async fn events_are_created_queued_and_consumed() {
    let app = app().await;
    let program = app.program(Role::User).await;
    let made = update(&program, "orders").await;
    let wanted = [
        "asset_id",
        "created_dagruns",
        "extra",
        "group",
        "id",
        "name",
        "partition_key",
        "source_dag_id",
        "source_map_index",
        "source_run_id",
        "source_task_id",
        "timestamp",
        "uri",
    ];
    assert_eq!(keys(&made), wanted);
    assert_eq!(made["extra"], json!({"rows": 3, "from_rest_api": true}));
    let queued = program.get("/dags/report/assets/queuedEvents").await;
    assert_eq!(queued["total_entries"], 1);
    assert_eq!(keys(&queued["queued_events"][0]), ["asset_id", "created_at", "dag_display_name", "dag_id"]);
    let orders = id(&program, "orders").await;
    assert_eq!(program.get(&format!("/dags/report/assets/{orders}/queuedEvents")).await["asset_id"], orders);
    assert_eq!(program.get(&format!("/assets/{orders}/queuedEvents")).await["total_entries"], 1);

    update(&program, "items").await;
    let runs = program.wait_for("/dags/report/dagRuns", |runs| runs["total_entries"] == 1).await;
    let run = &runs["dag_runs"][0];
    assert_eq!((&run["run_type"], &run["triggered_by"]), (&json!("asset_triggered"), &json!("asset")));
    assert_eq!((&run["logical_date"], &run["data_interval_start"]), (&Value::Null, &Value::Null));
    let name = run["dag_run_id"].as_str().unwrap();
    assert!(name.starts_with("asset_triggered__"), "{name}");
    let path = format!("/dags/report/dagRuns/{}/upstreamAssetEvents", name.replace('+', "%2B"));
    let consumed = program.get(&path).await;
    assert_eq!(consumed["total_entries"], 2, "{consumed}");
    let triggering = |at: usize| consumed["asset_events"][at]["created_dagruns"][0]["triggering"].clone();
    assert_eq!((triggering(0), triggering(1)), (json!(false), json!(true)));
    assert_eq!(program.get("/dags/report/assets/queuedEvents").await["total_entries"], 0);
    program.refused("/dags/report/dagRuns/none/upstreamAssetEvents", 404).await;
    let filtered = program.get(&format!("/assets/events?asset_id={orders}&order_by=-timestamp")).await;
    assert_eq!(filtered["total_entries"], 1);
    assert_eq!(program.get("/assets/events?source_dag_id=maker").await["total_entries"], 0);
}

#[tokio::test]
async fn what_is_queued_can_be_forgotten() {
    let app = app().await;
    let program = app.program(Role::User).await;
    let orders = id(&program, "orders").await;
    for path in [
        format!("/assets/{orders}/queuedEvents"),
        "/dags/report/assets/queuedEvents".to_owned(),
        format!("/dags/report/assets/{orders}/queuedEvents"),
    ] {
        program.send(Method::DELETE, &path, json!({}), 404).await;
        update(&program, "orders").await;
        program.send(Method::DELETE, &format!("{path}?before=2000-01-01T00:00:00Z"), json!({}), 404).await;
        program.send(Method::DELETE, &path, json!({}), 204).await;
        assert_eq!(program.get("/dags/report/assets/queuedEvents").await["total_entries"], 0, "{path}");
    }
    let log = program.get("/eventLogs?event=delete_asset_queued_events").await;
    assert_eq!(log["event_logs"][0]["owner"], "user-program");
    program.refused(&format!("/dags/report/assets/{orders}/queuedEvents"), 404).await;
}

#[tokio::test]
async fn an_asset_is_made_anew_by_the_dag_that_makes_it() {
    let mut app = App::without_leader(Settings::default()).await;
    app.load("maker.yaml", MAKER).await;
    app.load("report.yaml", REPORT).await;
    app.load("other.yaml", "dag_id: other\ntasks: {t: {bash: echo, outlets: items}}").await;
    app.load("again.yaml", "dag_id: again\ntasks: {t: {bash: echo, outlets: items}}").await;
    app.lead().await;
    let program = app.program(Role::User).await;
    let orders = id(&program, "orders").await;
    let run = program.send(Method::POST, &format!("/assets/{orders}/materialize"), json!({}), 200).await;
    assert_eq!((&run["dag_id"], &run["run_type"]), (&json!("maker"), &json!("asset_materialization")));
    assert!(run["dag_run_id"].as_str().unwrap().starts_with("asset_materialization__"), "{run}");
    let found =
        program.wait_for("/assets/events?source_dag_id=maker", |list| list["total_entries"] == 1).await;
    assert_eq!(found["asset_events"][0]["source_task_id"], "load");
    assert_eq!(found["asset_events"][0]["source_run_id"], run["dag_run_id"]);
    let path = format!("/api/v2/assets/{orders}/materialize");
    assert_eq!(
        program.request(Method::POST, &path).send().await.unwrap().status(),
        200,
        "a body may be left out"
    );
    program.send(Method::POST, &format!("/assets/{orders}/materialize"), json!({"confg": {}}), 422).await;
    let raw = id(&program, "raw").await;
    let none = program.send(Method::POST, &format!("/assets/{raw}/materialize"), json!({}), 404).await;
    assert_eq!(none["detail"], format!("No Dag materializes asset with ID: {raw}"));
    let items = id(&program, "items").await;
    program.send(Method::POST, &format!("/assets/{items}/materialize"), json!({}), 409).await;
}

#[tokio::test]
async fn bad_events_are_refused() {
    let app = app().await;
    let program = app.program(Role::User).await;
    let orders = id(&program, "orders").await;
    let missing = program.send(Method::POST, "/assets/events", json!({"asset_id": 999}), 404).await;
    assert_eq!(missing["detail"], "Asset with ID: `999` was not found");
    for body in [
        json!({}),
        json!({"asset_id": orders, "extra": 3}),
        json!({"asset_id": orders, "unknown": 3}),
        json!({"asset_id": orders, "partition_key": " "}),
        json!({"asset_id": orders, "partition_key": "x".repeat(251)}),
        json!({"asset_id": orders, "partition_key": 3}),
        json!({"asset_id": orders, "extra": {"x": "y".repeat(20_000)}}),
    ] {
        program.send(Method::POST, "/assets/events", body, 422).await;
    }
    let details = program.get("/dags/report/details").await;
    let expression = json!({"all": [
        {"asset": {"uri": "orders", "name": "orders", "group": "asset"}},
        {"asset": {"uri": "items", "name": "items", "group": "asset"}},
    ]});
    assert_eq!(details["asset_expression"], expression);
    assert_eq!(details["timetable_summary"], "Asset");
}
