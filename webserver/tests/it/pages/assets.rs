//! The pages of assets, and what other pages say of them.

use store::account::Role;

use super::browser::Browser;
use crate::assets::{app, app_with};

#[tokio::test]
async fn an_asset_is_updated_by_hand_and_asks_for_a_run() {
    let app = app().await;
    let mut person = Browser::of(&app, Role::User).await;
    let list = person.open("/assets").await;
    assert!(list.text.contains("orders") && list.text.contains("maker / load"), "{}", list.text);
    let list = person.open("/assets?q=item").await;
    assert!(!list.text.contains("orders"), "{}", list.text);
    let program = app.program(Role::Viewer).await;
    let id = |found: serde_json::Value| found["assets"][0]["id"].as_i64().unwrap();
    let orders = format!("/assets/{}", id(program.get("/assets?name_pattern=orders").await));
    let items = format!("/assets/{}", id(program.get("/assets?name_pattern=items").await));
    let dag = person.open("/dags/report").await;
    assert!(dag.text.contains("0 of 2 assets ready"), "{}", dag.text);
    assert!(dag.text.contains("No task makes items"), "{}", dag.text);
    let page = person.open(&orders).await;
    assert!(page.text.contains("Nothing has happened to it yet."), "{}", page.text);
    let form = "form[action$='/events']";
    let told = person.submit(&page, form, &[("extra", "rows")]).await;
    assert!(told.said(".note-bad").contains("not a JSON object"), "{}", told.text);
    let told = person.submit(&page, form, &[("extra", "{\"rows\": 12}")]).await;
    assert!(told.said(".note-good").starts_with("The event is there"), "{}", told.text);
    assert!(told.text.contains("by hand") && told.said("td code") == "{\"rows\":12}", "{}", told.text);
    assert!(person.open("/dags/report").await.text.contains("1 of 2 assets ready"));
    let page = person.open(&items).await;
    person.submit(&page, form, &[("extra", "")]).await;
    let runs = program.wait_for("/dags/report/dagRuns", |runs| runs["total_entries"] == 1).await;
    let name = runs["dag_runs"][0]["dag_run_id"].as_str().unwrap().to_owned();
    let run = person.open(&format!("/dags/report/runs/{}/details", name.replace('+', "%2B"))).await;
    assert!(run.text.contains("Asset events") && run.text.contains("items"), "{}", run.text);
    assert!(person.open(&orders).await.has("td a[href*='/dags/report/runs/']"));
}

#[tokio::test]
async fn an_asset_is_made_anew_and_readers_only_read() {
    let app = app().await;
    let program = app.program(Role::Viewer).await;
    let found = program.get("/assets?name_pattern=orders").await;
    let orders = format!("/assets/{}", found["assets"][0]["id"]);
    let mut person = Browser::of(&app, Role::User).await;
    let page = person.open(&orders).await;
    let run = person.submit(&page, "form[action$='/materialize']", &[]).await;
    assert_eq!(run.said(".note-good"), "A run of maker makes it anew.");
    let mut reader = Browser::of(&app, Role::Viewer).await;
    let page = reader.open(&orders).await;
    assert!(!page.has("form[action$='/materialize']") && !page.has("form[action$='/events']"));
}

const COPY: &str = "
dag_id: copier
tasks: {copy: {bash: echo, inlets: {name: copy, uri: 's3://shop/orders'}}}
";

#[tokio::test]
async fn an_asset_whose_uri_belongs_to_another_one_says_so() {
    let app = app_with(&[("copier.yaml", COPY)]).await;
    let program = app.program(Role::Viewer).await;
    let warnings = program.get("/dagWarnings?warning_type=asset%20conflict").await;
    assert_eq!(
        (&warnings["total_entries"], &warnings["dag_warnings"][0]["dag_id"]),
        (&1.into(), &"copier".into())
    );
    assert_eq!(program.get("/dagWarnings?dag_id=maker").await["total_entries"], 0);
    assert_eq!(program.get("/assets?name_pattern=copy").await["total_entries"], 0);
    let found = program.get("/assets?name_pattern=copy&only_active=false").await;
    let mut person = Browser::of(&app, Role::Viewer).await;
    let page = person.open(&format!("/assets/{}", found["assets"][0]["id"])).await;
    assert!(page.said(".note-warn").contains("is already that of asset orders"), "{}", page.text);
    assert!(person.open("/assets").await.text.contains("copy"), "people still find it");
    let dag = person.open("/dags/copier").await;
    assert!(dag.said(".note-warn").starts_with("Asset \"copy\" is not active"), "{}", dag.text);
    assert!(!person.open("/dags/maker").await.has(".note-warn"));
}
