//! Pools, variables, connections, the audit log and the theme.

use store::account::Role;

use super::browser::Browser;
use crate::app::App;

#[tokio::test]
async fn a_pool_is_made_changed_and_deleted() {
    let app = App::start().await;
    let mut person = Browser::of(&app, Role::Op).await;
    let page = person.open("/pools").await;
    assert_eq!(page.words("tbody .main"), ["default_pool"]);
    assert!(!page.has("form[action='/pools/delete']"));
    let made = person.submit(&page, "#form", &[("name", "warehouse"), ("slots", "4")]).await;
    assert_eq!(made.words("tbody .main"), ["default_pool", "warehouse"]);
    assert_eq!(made.said(".note-good"), "The pool warehouse is there.");

    let edit = person.open("/pools?edit=warehouse").await;
    assert_eq!(edit.attr("#form [name=slots]", "value"), "4");
    assert!(edit.one("#form [name=name]").attr("readonly").is_some());
    assert_eq!(edit.all("#form [name=policy] option").len(), 7);
    let fields = [("slots", ""), ("include_deferred", "true"), ("policy", "shortest")];
    let changed = person.submit(&edit, "#form", &fields).await;
    assert_eq!(changed.said("tr[data-key=warehouse] td[data-label=Order]"), "shortest");
    assert_eq!(changed.said("tr[data-key=default_pool] td[data-label=Order]"), "as everywhere");
    let edit = person.open("/pools?edit=warehouse").await;
    assert_eq!(edit.attr("#form [name=policy] option[selected]", "value"), "shortest");
    assert_eq!(changed.words("tr[data-key=warehouse] td[data-label=Slots]"), ["unlimited"]);

    let again = person.open("/pools").await;
    let taken = person.submit(&again, "#form", &[("name", "warehouse"), ("slots", "1")]).await;
    assert_eq!(taken.status, 422);
    assert!(taken.said(".note-bad").contains("already exists"));
    let wrong =
        person.submit(&again, "#form", &[("name", "a b"), ("slots", "many"), ("policy", "shortes")]).await;
    assert_eq!(wrong.words("#form .error").len(), 3);
    assert!(wrong.text.contains("did you mean `shortest`"));
    assert_eq!(wrong.attr("#form [name=slots]", "value"), "many");

    let gone = person.submit(&again, "form[action='/pools/delete']", &[]).await;
    assert_eq!(gone.words("tbody .main"), ["default_pool"]);
    assert_eq!(person.open("/pools?edit=warehouse").await.status, 404);
}

#[tokio::test]
async fn variables_that_sound_secret_are_never_shown() {
    let app = App::start().await;
    let mut person = Browser::of(&app, Role::Op).await;
    let page = person.open("/variables").await;
    person.submit(&page, "#form", &[("key", "bucket"), ("value", "s3://b")]).await;
    let list = person.submit(&page, "#form", &[("key", "api_key"), ("value", "hunter2")]).await;
    assert_eq!(list.words("tbody .main"), ["api_key", "bucket"]);
    assert!(list.text.contains("s3://b") && !list.text.contains("hunter2"));
    let edit = person.open("/variables?edit=api_key").await;
    assert!(!edit.text.contains("hunter2"));
    // An empty field leaves the secret as it is.
    person.submit(&edit, "#form", &[("description", "for the API")]).await;
    assert_eq!(app.db.store.variable("api_key").await.unwrap().unwrap().value, "hunter2");
    assert_eq!(person.open("/variables?q=BUCK").await.words("tbody .main"), ["bucket"]);
    let taken = person.submit(&page, "#form", &[("key", "bucket"), ("value", "x")]).await;
    assert_eq!(taken.status, 422);
}

#[tokio::test]
async fn connections_keep_their_passwords_to_themselves() {
    let app = App::start().await;
    let mut person = Browser::of(&app, Role::Op).await;
    let page = person.open("/connections").await;
    let fields = [
        ("conn_id", "warehouse"),
        ("conn_type", "postgres"),
        ("host", "db"),
        ("port", "5432"),
        ("password", "hunter2"),
        ("extra", "{\"sslmode\": \"require\"}"),
    ];
    let list = person.submit(&page, "#form", &fields).await;
    assert!(
        list.text.contains("db:5432") && !list.text.contains("hunter2") && !list.text.contains("sslmode")
    );
    let edit = person.open("/connections?edit=warehouse").await;
    assert!(!edit.text.contains("hunter2") && !edit.text.contains("sslmode"));
    person.submit(&edit, "#form", &[("host", "other")]).await;
    let kept = app.db.store.connection("warehouse").await.unwrap().unwrap().connection;
    assert_eq!(
        (kept.host.as_deref(), kept.password.as_deref(), kept.extra.len()),
        (Some("other"), Some("hunter2"), 1)
    );
    let wrong = person.submit(&edit, "#form", &[("port", "70000")]).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.said(".note-bad").contains("65535"));
    let gone = person.submit(&list, "form[action='/connections/delete']", &[]).await;
    assert!(gone.has(".empty"));
}

#[tokio::test]
async fn the_audit_log_tells_who_did_what() {
    let app = App::start().await;
    let mut person = Browser::of(&app, Role::Op).await;
    let page = person.open("/dags?q=slow").await;
    person.submit(&page, "form[action='/dags/slow/pause']", &[]).await;
    let pools = person.open("/pools").await;
    person.submit(&pools, "#form", &[("name", "p"), ("slots", "1")]).await;
    let log = person.open("/audit").await;
    assert_eq!(log.words("tbody .main"), ["post pool", "patch dag"]);
    assert_eq!(log.words("td[data-label=Who]"), ["op-person", "op-person"]);
    assert_eq!(log.attr("tbody a", "href"), "/dags/slow");
    assert_eq!(person.open("/audit?dag=slow").await.words("tbody .main"), ["patch dag"]);
    assert!(person.open("/audit?user=nobody").await.has(".empty"));
}

#[tokio::test]
async fn the_theme_goes_round_without_scripts() {
    let app = App::start().await;
    let mut person = Browser::of(&app, Role::Viewer).await;
    let mut page = person.open("/import-errors").await;
    for theme in ["light", "dark", "auto"] {
        let form = page.all("form[action='/theme']")[0].attr("action").unwrap().to_owned();
        let token = page.all("input[name=csrf]")[0].attr("value").unwrap().to_owned();
        let back = ("back".to_owned(), "/import-errors".to_owned());
        page = person.post(&form, &[("csrf".to_owned(), token), back]).await;
        assert_eq!(page.path, "/import-errors");
        assert_eq!(page.attr("html", "data-theme"), theme);
        assert_eq!(person.cookie("tradewind_theme"), Some(theme));
    }
}
