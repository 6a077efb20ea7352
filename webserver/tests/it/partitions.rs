//! Partitions over the API, in Airflow's fields.

use std::collections::BTreeMap;

use domain::{
    dag::Dag,
    partition::{Mapper, Mappers, Partitions, Policy, Rollup, Rule, Window},
};
use reqwest::Method;
use serde_json::{Value, json};
use store::account::Role;
use webserver::Settings;

use crate::app::{App, Program};

const FILE: &str = "
dag_id: maker
tasks: {load: {empty: {}, outlets: orders}}
---
dag_id: report
schedule: {assets: orders}
tasks: {t: {empty: {}}}
";

/// `maker` makes the partition that it is started for, and `report` waits for two of them.
fn divide(dag: &mut Dag) {
    let mapper = |rule| Mapper { rule, most: None };
    let regions = ["eu", "us"].map(str::to_owned);
    let rollup = Rollup {
        upstream: mapper(Rule::Fixed("world".into())),
        window: Window::Segments(regions.into()),
        policy: Policy::All,
    };
    let whole = Mappers { usual: mapper(Rule::Rollup(Box::new(rollup))), of: BTreeMap::new() };
    let is_maker = dag.dag_id.as_str() == "maker";
    dag.partitions = Some(if is_maker { Partitions::AtRuntime } else { Partitions::Assets(whole) });
}

pub(crate) async fn app() -> App {
    let mut app = App::without_leader(Settings::default()).await;
    app.load_with("parts.yaml", FILE, divide).await;
    app.lead().await;
    app
}

pub(crate) async fn start(program: &Program<'_>, key: &str) -> Value {
    let body = json!({"logical_date": null, "dag_run_id": key, "partition_key": key});
    program.send(Method::POST, "/dags/maker/dagRuns", body, 200).await
}

#[tokio::test]
async fn parts_become_a_whole() {
    let app = app().await;
    let program = app.program(Role::User).await;
    let run = start(&program, "eu").await;
    assert_eq!((&run["partition_key"], &run["partition_date"]), (&json!("eu"), &Value::Null));
    let path = "/dags/maker/dagRuns?partition_key_pattern=e";
    assert_eq!(program.get(path).await["dag_runs"][0]["dag_run_id"], "eu");
    assert_eq!(program.get("/dags/maker/dagRuns?partition_key_prefix_pattern=u").await["total_entries"], 0);
    let events = program.wait_for("/assets/events", |events| events["total_entries"] == 1).await;
    assert_eq!(events["asset_events"][0]["partition_key"], "eu");
    assert_eq!(program.get("/dags/report/dagRuns").await["total_entries"], 0);

    let orders = events["asset_events"][0]["asset_id"].clone();
    let body = json!({"asset_id": orders, "partition_key": "us"});
    let event = program.send(Method::POST, "/assets/events", body, 200).await;
    assert_eq!(event["partition_key"], "us");
    let runs = program.wait_for("/dags/report/dagRuns", |runs| runs["total_entries"] == 1).await;
    assert_eq!(runs["dag_runs"][0]["partition_key"], "world");
    let name = runs["dag_runs"][0]["dag_run_id"].as_str().unwrap().replace('+', "%2B");
    let consumed = program.get(&format!("/dags/report/dagRuns/{name}/upstreamAssetEvents")).await;
    assert_eq!(consumed["total_entries"], 2);
    assert_eq!(consumed["asset_events"][0]["created_dagruns"][0]["partition_key"], "world");
}

#[tokio::test]
async fn a_dag_says_that_it_is_partitioned() {
    let app = app().await;
    let program = app.program(Role::Viewer).await;
    let partitioned = async |dag_id: &str| {
        let dag = program.get(&format!("/dags/{dag_id}/details")).await;
        (dag["timetable_partitioned"].clone(), dag["timetable_summary"].clone())
    };
    assert_eq!(partitioned("report").await, (json!(true), json!("Partitioned Asset")));
    assert_eq!(partitioned("maker").await, (json!(false), json!("PartitionedAtRuntime")));
}

#[tokio::test]
async fn what_waits_is_forgotten_when_somebody_asks_for_it() {
    let app = app().await;
    let program = app.program(Role::User).await;
    let path = "/dags/report/assets/queuedEvents";
    program.send(Method::DELETE, path, json!({}), 404).await;
    start(&program, "eu").await;
    program.wait_for("/assets/events", |events| events["total_entries"] == 1).await;
    program.send(Method::DELETE, path, json!({}), 204).await;
    start(&program, "us").await;
    program.wait_for("/assets/events", |events| events["total_entries"] == 2).await;
    assert_eq!(program.get("/dags/report/dagRuns").await["total_entries"], 0);
}
