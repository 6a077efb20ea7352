//! Commands on a real database, without any other process.

use std::fs;

use runtime::postgres::{PrivatePostgres, Settings};
use serde_json::json;

use crate::binary::Place;

/// Commands that find a database with current tables. The server comes last, so that it stops before its folder goes.
pub fn migrated() -> (Place, PrivatePostgres) {
    let (place, server) = fresh();
    place.run(&["db", "migrate"]).good();
    (place, server)
}

fn fresh() -> (Place, PrivatePostgres) {
    let mut place = Place::new();
    let server = PrivatePostgres::start(&Settings::for_tests(place.path().join("server"))).unwrap();
    place.find(&server.url("tradewind"));
    (place, server)
}

#[test]
fn the_tables_are_made_checked_and_remade() {
    let (place, _server) = fresh();
    place.run(&["db", "check"]).bad(1, &["schema none", "tradewind db migrate"]);
    place.run(&["dags", "list"]).bad(1, &["tradewind db migrate"]);
    assert!(place.run(&["db", "migrate"]).good().contains("tables are current"));
    assert_eq!(place.run(&["db", "migrate", "--output", "json"]).json()["applied"], json!([]));
    assert!(place.run(&["db", "check"]).good().contains("answers, and its tables are current"));

    place.run(&["variables", "set", "kept", "1"]).good();
    place.run(&["db", "reset"]).bad(1, &["[y/N]", "not confirmed"]);
    place.run_with_input(&["db", "reset"], "no\n").bad(1, &["not confirmed"]);
    assert_eq!(place.run(&["variables", "get", "kept"]).good(), "1\n");
    place.run_with_input(&["db", "reset"], "y\n").good();
    place.run(&["variables", "get", "kept"]).bad(1, &["no variable `kept`"]);
    let cleaned = place.run(&["db", "clean", "--older-than", "1d", "--dry-run", "-o", "json"]).json();
    assert_eq!(cleaned["runs"], 0);
    place.run(&["db", "clean", "--clean-before-timestamp", "2026-01-01", "--yes"]).good();
    let nowhere = place.run(&["db", "check", "--database-url", &_server.url("tradewind_nowhere")]);
    nowhere.bad(1, &["does not exist", "createdb"]);
}

#[test]
fn pools_are_kept_imported_and_exported() {
    let (place, _server) = migrated();
    place.run(&["pools", "set", "small", "3", "for small things"]).good();
    place.run(&["pools", "set", "small", "4", "for small things"]).good();
    place.run(&["pools", "set", "endless", "-1"]).good();
    let pool = place.run(&["pools", "get", "small", "--output", "json"]).json();
    assert_eq!(
        (&pool["slots"], &pool["open"], &pool["description"]),
        (&json!(4), &json!(4), &json!("for small things"))
    );
    assert_eq!(pool["policy"], json!(null));
    place.run(&["pools", "set", "small", "4", "for small things", "--policy", "shortest"]).good();
    place.run(&["pools", "set", "small", "4", "--policy", "shortes"]).bad(2, &["did you mean `shortest`"]);
    place.run(&["pools", "export", "pools.json"]).good();
    place.run(&["pools", "delete", "small"]).good();
    place.run(&["pools", "delete", "small"]).bad(1, &["no pool `small`"]);
    place.run(&["pools", "delete", "default_pool"]).bad(1, &["cannot be deleted"]);
    place.run(&["pools", "import", "pools.json"]).good();
    let pool = place.run(&["pools", "get", "small", "--output", "json"]).json();
    assert_eq!((&pool["slots"], &pool["policy"]), (&json!(4), &json!("shortest")));
    let names = place.run(&["pools", "list", "--output", "plain"]).good();
    let names: Vec<&str> = names.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(names, ["default_pool", "endless", "small"]);
    let file = place.file("wrong.json", r#"{"good": {"slots": 1}, "bad": {"slot": 1}}"#);
    place.run(&["pools", "import", &file]).bad(1, &["`bad`", "slot"]);
    place.run(&["pools", "get", "good"]).bad(1, &["no pool"]);
}

#[test]
fn variables_are_kept_imported_and_exported() {
    let (place, _server) = migrated();
    place.run(&["variables", "set", "plain", "text"]).good();
    place.run_with_input(&["variables", "set", "piped", "-"], "from a pipe\n").good();
    place.run(&["variables", "set", "list", "[1, 2]", "--json"]).good();
    place.run(&["variables", "set", "broken", "[1,", "--json"]).bad(1, &["`broken` is not JSON"]);
    assert_eq!(place.run(&["variables", "get", "piped"]).good(), "from a pipe\n");
    assert_eq!(place.run(&["variables", "get", "list", "--json"]).good(), "[\n  1,\n  2\n]\n");
    assert_eq!(place.run(&["variables", "get", "missing", "--default", "x"]).good(), "x\n");
    place.run(&["variables", "get", "missing"]).bad(1, &["no variable `missing`"]);
    let keys = place.run(&["variables", "list", "--output", "json"]).json();
    assert_eq!(
        keys,
        json!([
            {"key": "list", "description": null}, {"key": "piped", "description": null}, {"key": "plain", "description": null}
        ])
    );

    place.run(&["variables", "export", "vars.json"]).good();
    let text = fs::read_to_string(place.path().join("vars.json")).unwrap();
    let exported: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(exported, json!({"list": [1, 2], "piped": "from a pipe", "plain": "text"}));
    let new = r#"{"plain": "new", "number": 5, "described": {"value": {"a": 1}, "description": "why"}}"#;
    let file = place.file("new.json", new);
    place
        .run(&["variables", "import", &file, "--action-on-existing-key", "fail"])
        .bad(1, &["`plain` exists already"]);
    place.run(&["variables", "get", "number"]).bad(1, &[]);
    place.run(&["variables", "import", &file, "-a", "skip"]).good();
    assert_eq!(place.run(&["variables", "get", "plain"]).good(), "text\n");
    assert_eq!(place.run(&["variables", "get", "described"]).good(), "{\"a\":1}\n");
    place.run_with_input(&["variables", "import", "-"], new).good();
    assert_eq!(place.run(&["variables", "get", "plain"]).good(), "new\n");
    assert_eq!(
        place.run(&["variables", "export", "-"]).json()["described"],
        json!({"value": {"a": 1}, "description": "why"})
    );

    let mut other = place.command(&["variables", "get", "plain"]);
    let output = other.env("TRADEWIND_SECRET_KEY", "a key that nothing was written with").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("another secret key"));
}

#[test]
fn connections_show_no_secrets_and_survive_a_round_trip() {
    let (place, _server) = migrated();
    let uri = "postgres://joe:hunter2@db:5433/sales?sslmode=require&token=t0ken";
    place.run(&["connections", "add", "sales", "--conn-uri", uri]).good();
    let parts = [
        "connections",
        "set",
        "api",
        "--conn-type",
        "http",
        "--conn-host",
        "h",
        "--conn-password",
        "-",
        "--conn-port",
        "80",
    ];
    place.run_with_input(&parts, "s3cret\n").good();
    for output in ["table", "json", "yaml", "plain"] {
        for args in [
            &["connections", "list", "--output", output][..],
            &["connections", "get", "sales", "--output", output],
        ] {
            let said = place.run(args).good();
            assert!(said.contains("***") && said.contains("sales"), "{said}");
            assert!(!["hunter2", "t0ken", "s3cret"].iter().any(|secret| said.contains(secret)), "{said}");
        }
    }
    place.run(&["connections", "export", "all.json"]).good();
    let text = fs::read_to_string(place.path().join("all.json")).unwrap();
    let exported: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&exported["sales"]["password"], &exported["api"]["password"]),
        (&json!("hunter2"), &json!("s3cret"))
    );
    let uris = place.run(&["connections", "export", "-", "--serialization-format", "uri"]).json();
    assert!(uris["sales"].as_str().unwrap().starts_with("postgres://joe:hunter2@db:5433/sales?"), "{uris}");

    place.run(&["connections", "delete", "sales"]).good();
    place.run(&["connections", "get", "sales"]).bad(1, &["no connection `sales`"]);
    let ended = place.run(&["connections", "import", "all.json"]);
    assert!(
        ended.stderr.contains("kept: api") && ended.stdout.contains("1 connections imported"),
        "{ended:#?}"
    );
    assert_eq!(place.run(&["connections", "get", "sales", "--output", "json"]).json()["port"], 5433);
    let ended = place.run(&[
        "connections",
        "set",
        "odd",
        "--conn-json",
        r#"{"conn_type": "http", "pasword": "hunter2"}"#,
    ]);
    let ended = ended.bad(1, &["`pasword`"]);
    assert!(!ended.stderr.contains("hunter2"), "{ended:#?}");
}

#[test]
fn accounts_are_made_with_a_password_or_a_link() {
    let (place, _server) = migrated();
    let create =
        ["users", "create", "-u", "ada", "-r", "Admin", "-e", "ada@example.org", "-f", "Ada", "-l", "L"];
    place.run(&create).bad(1, &["no password", "--link"]);
    place.run_with_input(&create, "short\n").bad(1, &["8 characters"]);
    assert!(place.run_with_input(&create, "long enough\n").good().contains("ada with the role admin"));
    place.run_with_input(&create, "long enough\n").bad(1, &["`ada` exists already"]);
    let link = place.run(&["users", "create", "--username", "bob", "--link"]).good();
    assert!(link.lines().last().unwrap().starts_with("http://127.0.0.1:8080/auth/link/"), "{link}");
    let users = place.run(&["users", "list", "--output", "json"]).json();
    assert_eq!(
        (&users[0]["username"], &users[0]["role"], &users[1]["role"]),
        (&json!("ada"), &json!("admin"), &json!("viewer"))
    );

    place.run_with_input(&["users", "reset-password", "-u", "bob"], "another one\n").good();
    let ended = place.run(&["users", "reset-password", "-u", "bob", "--password", "a third one"]);
    assert!(ended.stderr.contains("warning") && ended.status == Some(0), "{ended:#?}");
    place.run(&["users", "reset-password", "-u", "eve", "--link"]).bad(1, &["no user `eve`"]);
    place.run(&["users", "delete", "-u", "ada"]).bad(1, &["last active admin"]);
    place.run(&["users", "delete", "-u", "bob"]).good();
    place.run(&["users", "delete", "-u", "bob"]).bad(1, &["no user `bob`"]);
}

#[test]
fn dags_can_be_brought_into_the_records_without_a_scheduler() {
    let (place, _server) = migrated();
    place.file(
        "dags/good.yaml",
        "dag_id: good\nschedule: '@daily'\ntags: [t]\ntasks: {a: {bash: x}, b: {depends_on: a, bash: x}}\n",
    );
    place.file("dags/bad.yaml", "tasks: {a: {bahs: x}}\n");
    let said = place.run(&["dags", "reserialize", "--dags", "dags"]).good();
    assert_eq!(said, "1 DAGs read; 1 problems in their files.\n");
    let dags = place.run(&["dags", "list", "--output", "json"]).json();
    assert_eq!(
        (&dags[0]["dag_id"], &dags[0]["is_paused"], &dags[0]["fileloc"]),
        (&json!("good"), &json!(false), &json!("good.yaml"))
    );
    assert_eq!(place.run(&["dags", "details", "good", "-o", "json"]).json()["tags"], json!(["t"]));
    assert_eq!(place.run(&["dags", "show", "good", "-o", "json"]).json()[1]["waits_for"], json!(["a"]));
    assert_eq!(place.run(&["tasks", "list", "good", "-o", "plain"]).good().lines().count(), 2);
    let ended = place.run(&["dags", "list-import-errors", "--output", "json"]).bad(1, &[]);
    assert!(ended.stdout.contains("bahs"), "{ended:#?}");
    place.run(&["dags", "pause", "good"]).good();
    assert_eq!(place.run(&["dags", "list", "--output", "json"]).json()[0]["is_paused"], true);
    place.run(&["dags", "unpause", "good"]).good();
    place.run(&["dags", "pause", "unknown"]).bad(1, &["no DAG `unknown`"]);
    let next = place.run(&["dags", "next-execution", "good", "--after", "2026-01-01", "-o", "json"]).json();
    assert_eq!(next, json!([{"dag_id": "good", "executions": ["2026-01-01T00:00:00Z"]}]));

    place.run(&["dags", "list-runs", "good"]).good();
    place.run(&["tasks", "states-for-dag-run", "good", "none"]).bad(1, &["no run `none`"]);
    place.run(&["tasks", "clear", "good", "--run-id", "none", "--yes"]).bad(1, &["no run `none`"]);
    place.run(&["tasks", "clear", "good", "-s", "2026-01-01", "--yes"]).bad(1, &["no run of good"]);
    place.run(&["jobs", "check", "--job-type", "SchedulerJob"]).bad(1, &["no scheduler is alive"]);
    place.run(&["dags", "delete", "good", "--yes"]).good();
    assert_eq!(place.run(&["dags", "list", "--output", "json"]).json(), json!([]));
}

#[test]
fn assets_are_listed_shown_and_asked_for() {
    let (place, _server) = migrated();
    let maker = "dag_id: maker\nassets: {orders: {uri: 's3://shop/orders', extra: {owner: ann}}}\ntasks: {t: {bash: x, outlets: [orders, {alias: files}]}}\n";
    place.file("dags/maker.yaml", maker);
    place.file(
        "dags/report.yaml",
        "dag_id: report\nschedule: {assets: {any: [orders, items]}}\ntasks: {t: {bash: x}}\n",
    );
    place.run(&["dags", "reserialize", "--dags", "dags"]).good();
    let names = place.run(&["assets", "list", "--output", "plain"]).good();
    assert_eq!(
        names.lines().map(|line| line.split('\t').next().unwrap()).collect::<Vec<_>>(),
        ["items", "orders"]
    );
    let aliases = place.run(&["assets", "list", "--alias", "--output", "json"]).json();
    assert_eq!((&aliases[0]["name"], &aliases[0]["group"]), (&json!("files"), &json!("asset")));
    let shown = place.run(&["assets", "details", "--uri", "s3://shop/orders", "--output", "json"]).json();
    assert_eq!((&shown["name"], &shown["extra"]), (&json!("orders"), &json!({"owner": "ann"})));
    assert_eq!(
        (&shown["producing_tasks"], &shown["scheduled_dags"]),
        (&json!(["maker/t"]), &json!(["report"]))
    );
    assert_eq!(
        place.run(&["assets", "details", "--alias", "--name", "files", "-o", "json"]).json()["name"],
        "files"
    );
    place.run(&["assets", "details", "--name", "nothing"]).bad(1, &["there is no asset `nothing`"]);
    place.run(&["assets", "details"]).bad(2, &["--name"]);
    place.run(&["assets", "materialize", "--name", "items"]).bad(1, &["no DAG makes `items`"]);
    let waits = place.run(&["dags", "next-execution", "report", "--output", "json"]).json();
    let expected = json!({"condition": "orders or items", "missing": ["orders", "items"]});
    assert_eq!(waits[0]["assets"], expected);
}
