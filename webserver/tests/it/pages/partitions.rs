//! Partitions on pages: what waits for an asset, what a run is about, and the form that asks for it.

use store::account::Role;

use super::browser::Browser;
use crate::partitions::{app, start};

#[tokio::test]
async fn an_asset_shows_what_waits_for_it_and_what_that_lacks() {
    let app = app().await;
    let program = app.program(Role::User).await;
    start(&program, "eu").await;
    let events = program.wait_for("/assets/events", |events| events["total_entries"] == 1).await;
    let orders = format!("/assets/{}", events["asset_events"][0]["asset_id"]);
    let mut person = Browser::of(&app, Role::User).await;
    let page = person.open(&orders).await;
    let waiting = page.said("#waiting");
    assert!(waiting.contains("report") && waiting.contains("world"), "{waiting}");
    assert!(waiting.contains("1 of 2") && waiting.contains("us"), "{waiting}");
    let dag = person.open("/dags/report").await;
    assert!(dag.text.contains("world: 0 of 1 asset ready"), "{}", dag.text);
    let form = "form[action$='/events']";
    let told = person.submit(&page, form, &[("partition_key", &"x".repeat(251))]).await;
    assert!(told.said(".note-bad").contains("at most 250 characters"), "{}", told.text);
    let told = person.submit(&page, form, &[("partition_key", "us")]).await;
    assert!(told.said(".note-good").starts_with("The event is there"), "{}", told.text);
    program.wait_for("/dags/report/dagRuns", |runs| runs["total_entries"] == 1).await;
    assert!(!person.open(&orders).await.has("#waiting"));
    let runs = person.open("/dags/report/runs").await;
    assert!(runs.text.contains("world"), "{}", runs.text);
    let run = person.open("/dags/maker/runs/eu/details").await;
    assert!(run.text.contains("<dt>Partition</dt><dd>eu</dd>"), "{}", run.text);
}

#[tokio::test]
async fn the_form_of_a_partitioned_dag_asks_for_the_partition() {
    let app = app().await;
    let mut person = Browser::of(&app, Role::User).await;
    let page = person.open("/dags/maker/trigger").await;
    let wrong = person.submit(&page, "form.card", &[("partition_key", &"x".repeat(251))]).await;
    assert!(wrong.text.contains("at most 250 characters"), "{}", wrong.text);
    person.submit(&page, "form.card", &[("partition_key", "us"), ("run_id", "mine")]).await;
    let program = app.program(Role::Viewer).await;
    let run = program.wait_for("/dags/maker/dagRuns/mine", |run| run["state"] == "success").await;
    assert_eq!(run["partition_key"], "us");
}
