//! Partitions over the API, in Airflow's fields.

use std::collections::BTreeMap;

use domain::{
    dag::Dag,
    partition::{Mapper, Mappers, Partitions, Policy, Rollup, Rule, Ticks, Window},
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

/// Every hour is a partition on the clock of Taipei. Its schedule is over, so that only backfills run it.
async fn hours() -> App {
    let file = "
dag_id: hours
schedule: {cron: '0 * * * *', timezone: Asia/Taipei}
start_date: 2020-01-01
end_date: 2020-01-02
tasks: {t: {empty: {}}}
---
dag_id: whole
schedule: '0 * * * *'
start_date: 2020-01-01
end_date: 2020-01-02
tasks: {t: {empty: {}}}
";
    let divide = |dag: &mut Dag| {
        let ticks = Partitions::Cron(Ticks::new(0, "%dT%H").unwrap());
        dag.partitions = (dag.dag_id.as_str() == "hours").then_some(ticks);
    };
    let mut app = App::without_leader(Settings::default()).await;
    app.load_with("hours.yaml", file, divide).await;
    app.lead().await;
    app
}

fn names(list: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = list["dag_runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["partition_key"].as_str().unwrap())
        .collect();
    keys.sort_unstable();
    keys
}

async fn backfilled(app: &App) -> Program<'_> {
    let program = app.program(Role::User).await;
    let body =
        json!({"dag_id": "hours", "from_date": "2020-01-01T22:00:00Z", "to_date": "2020-01-02T01:00:00Z"});
    let dry = program.send(Method::POST, "/backfills/dry_run", body.clone(), 200).await;
    let first =
        json!({"logical_date": null, "partition_key": "01T22", "partition_date": "2020-01-01T14:00:00Z"});
    assert_eq!((&dry["total_entries"], &dry["backfills"][0]), (&json!(4), &first));
    let made = program.send(Method::POST, "/backfills", body.clone(), 200).await;
    let path = format!("/backfills/{}", made["id"]);
    program.wait_for(&path, |backfill| backfill["completed_at"].is_string()).await;
    let again = program.send(Method::POST, "/backfills/dry_run", body, 200).await;
    assert_eq!(again["total_entries"], 0, "all of them have runs");
    program
}

#[tokio::test]
async fn a_backfill_runs_partitions_and_lists_find_them_by_their_days() {
    let app = hours().await;
    let program = backfilled(&app).await;
    let list = async |query: &str| program.get(&format!("/dags/hours/dagRuns?{query}")).await;
    assert_eq!(names(&list("").await), ["01T22", "01T23", "02T00", "02T01"]);
    assert_eq!(names(&list("partition_date_gte=2020-01-02").await), ["02T00", "02T01"]);
    assert_eq!(names(&list("partition_date_lte=2020-01-01").await), ["01T22", "01T23"]);
    let both = "partition_date_gte=2020-01-03&partition_date_lte=2020-01-04";
    assert_eq!(names(&list(both).await), [] as [&str; 0]);
    for (path, told) in [
        ("/dags/~/dagRuns?partition_date_gte=2020-01-01", "require a specific dag_id"),
        ("/dags/whole/dagRuns?partition_date_lte=2020-01-01", "is not partitioned"),
    ] {
        let refused = program.send(Method::GET, path, Value::Null, 400).await;
        assert!(refused["detail"].as_str().unwrap().contains(told), "{refused}");
    }
    program.send(Method::GET, "/dags/hours/dagRuns?partition_date_gte=soon", Value::Null, 422).await;
}

#[tokio::test]
async fn partitions_are_taken_away_from_runs() {
    let app = hours().await;
    let program = backfilled(&app).await;
    let clear = async |body: Value, status: u16| {
        program.send(Method::POST, "/dags/hours/dagRuns/clearPartitions", body, status).await
    };
    let said = |runs: u32, instances: u32, dry_run: bool| json!({"dag_runs_cleared": runs, "task_instances_cleared": instances, "dry_run": dry_run});
    let since = json!({"partition_date_start": "2020-01-02T00:00:00", "clear_task_instances": true});
    assert_eq!(clear(since, 200).await, said(2, 2, true));
    assert_eq!(names(&program.get("/dags/hours/dagRuns").await).len(), 4, "nothing was changed");
    assert_eq!(clear(json!({"partition_key": "01T22", "dry_run": false}), 200).await, said(1, 0, false));
    let cleared = program.get("/dags/hours/dagRuns?partition_key_pattern=01T22").await;
    assert_eq!(cleared["total_entries"], 0);
    let body =
        json!({"dag_id": "hours", "from_date": "2020-01-01T22:00:00Z", "to_date": "2020-01-02T01:00:00Z"});
    let dry = program.send(Method::POST, "/backfills/dry_run", body, 200).await;
    assert_eq!(dry["backfills"][0]["partition_key"], "01T22", "it has no run any more");
    for wrong in [
        json!({}),
        json!({"run_id": "a", "partition_key": "b"}),
        json!({"partition_date_start": "2020-01-02", "partition_date_end": "2020-01-01"}),
        json!({"partition_date_end": "soon"}),
    ] {
        clear(wrong, 422).await;
    }
    let audit = program.get("/eventLogs?event=clear_dag_run_partitions").await;
    assert_eq!(audit["total_entries"], 1);
}
