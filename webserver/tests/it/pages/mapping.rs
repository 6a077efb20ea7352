//! Mapped tasks and groups, as people and programs see them.

use reqwest::Method;
use serde_json::{Value, json};
use store::account::Role;

use super::browser::Browser;
use crate::app::App;

const MAPPED: &str = "
dag_id: mapped
schedule: null
tasks:
  site:
    expand_kwargs: [{name: a}, {name: b}]
    tasks:
      fetch: {bash: echo named}
      part: {bash: echo plain, expand: {n: [1, 2, 3]}}
  after: {depends_on: site, bash: echo end}
";

async fn with_a_run() -> App {
    let mut app = App::without_leader(webserver::Settings::default()).await;
    app.load("mapped.yaml", MAPPED).await;
    app.lead().await;
    app.program(Role::User).await.run("mapped", "one").await;
    app
}

#[tokio::test]
async fn programs_see_the_instances_of_a_group_and_their_names() {
    let app = with_a_run().await;
    let program = app.program(Role::Admin).await;
    let path = "/dags/mapped/dagRuns/one/taskInstances";
    let listed = async |query: &str| {
        let answer = program.get(&format!("{path}/{query}")).await;
        let tis = answer["task_instances"].as_array().unwrap();
        tis.iter().map(|ti| ti["rendered_map_index"].clone()).collect::<Vec<Value>>()
    };
    assert_eq!(listed("site.fetch/listMapped").await, ["named 0", "named 1"]);
    assert_eq!(listed("site.part/listMapped?limit=2&offset=3").await, ["3", "4"]);
    assert_eq!(listed("site.fetch/listMapped?rendered_map_index_pattern=ed%201").await, ["named 1"]);
    assert_eq!(program.get(&format!("{path}/after")).await["rendered_map_index"], json!(null));
    let task = async |id: &str| program.get(&format!("/dags/mapped/tasks/{id}")).await["is_mapped"].clone();
    assert_eq!((task("site.fetch").await, task("site.part").await), (json!(false), json!(true)));
    program.refused(&format!("{path}/after/listMapped"), 404).await;
    let cleared =
        json!({"dry_run": true, "dag_run_id": "one", "only_failed": false, "task_ids": [["site.part", 4]]});
    let cleared = program.send(Method::POST, "/dags/mapped/clearTaskInstances", cleared, 200).await;
    assert_eq!(cleared["total_entries"], json!(1));
}

#[tokio::test]
async fn people_see_how_many_there_are_and_what_they_are_called() {
    let app = with_a_run().await;
    let mut person = Browser::of(&app, Role::Viewer).await;
    let graph = person.open("/dags/mapped/graph").await;
    assert_eq!(graph.words(".g-group text"), ["site ×2"]);
    let counts: Vec<String> = graph.words(".g-sub").into_iter().filter(|text| text.contains('×')).collect();
    assert_eq!(counts, ["×2", "×6"]);
    assert_eq!(person.open("/dags/mapped").await.all(".many").len(), 3);
    let page = person.open("/dags/mapped/runs/one/tasks/site.fetch/instances").await;
    assert_eq!(page.words("tbody .sub"), ["named 0", "named 1"]);
    let page = person.open("/dags/mapped/runs/one/tasks/site.part/instances").await;
    assert_eq!(page.words("tbody .sub")[4], "name = b, n = 2");
    let one = person.open("/dags/mapped/runs/one/tasks/site.fetch?map_index=1").await;
    assert!(one.said(".head-facts").contains("named 1"));
}
