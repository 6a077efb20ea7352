//! Pools, variables and connections.

use reqwest::Method;
use serde_json::{Value, json};
use store::account::Role;
use webserver::Settings;

use crate::app::App;

#[tokio::test]
async fn pools_come_change_and_go() {
    let app = App::without_leader(Settings::default()).await;
    let program = app.program(Role::Op).await;
    let pool = program
        .send(Method::POST, "/pools", json!({"name": "warehouse", "slots": 2, "description": "for SQL"}), 201)
        .await;
    assert_eq!(
        (&pool["open_slots"], &pool["occupied_slots"], &pool["include_deferred"]),
        (&json!(2), &json!(0), &json!(false))
    );
    program.send(Method::POST, "/pools", json!({"name": "warehouse", "slots": 2}), 409).await;
    let pool = program.send(Method::PATCH, "/pools/warehouse", json!({"slots": -1}), 200).await;
    assert_eq!((&pool["slots"], &pool["description"]), (&json!(-1), &json!("for SQL")));
    let masked = program
        .send(
            Method::PATCH,
            "/pools/warehouse?update_mask=description",
            json!({"slots": 9, "description": "x"}),
            200,
        )
        .await;
    assert_eq!((&masked["slots"], &masked["description"]), (&json!(-1), &json!("x")));
    assert_eq!(masked["policy"], Value::Null);
    let pool = program.send(Method::PATCH, "/pools/warehouse", json!({"policy": "critical_path"}), 200).await;
    assert_eq!((&pool["policy"], &pool["slots"]), (&json!("critical_path"), &json!(-1)));
    let pool = program.send(Method::PATCH, "/pools/warehouse", json!({"slots": 3}), 200).await;
    assert_eq!((&pool["policy"], &pool["slots"]), (&json!("critical_path"), &json!(3)));
    let pool = program.send(Method::PATCH, "/pools/warehouse", json!({"policy": null}), 200).await;
    assert_eq!(pool["policy"], Value::Null);
    let page = program.get("/pools?order_by=-name&limit=1").await;
    assert_eq!((&page["total_entries"], &page["pools"][0]["name"]), (&json!(2), &json!("warehouse")));
    assert_eq!(program.get("/pools?pool_name_pattern=ware").await["total_entries"], 1);
}

#[tokio::test]
async fn pools_that_make_no_sense_are_refused() {
    let app = App::without_leader(Settings::default()).await;
    let program = app.program(Role::Op).await;
    program.send(Method::POST, "/pools", json!({"name": "warehouse", "slots": 2}), 201).await;
    for (method, path, body, status) in [
        (Method::POST, "/pools", json!({"name": "a b", "slots": 1}), 422),
        (Method::POST, "/pools", json!({"name": "a", "slots": -2}), 422),
        (Method::POST, "/pools", json!({"name": "a"}), 422),
        (Method::POST, "/pools", json!({"name": "a", "slots": 1, "policy": "best"}), 422),
        (Method::PATCH, "/pools/warehouse", json!({"pool": "other", "slots": 1}), 400),
        (Method::PATCH, "/pools/default_pool", json!({"description": "mine"}), 400),
        (Method::DELETE, "/pools/default_pool", Value::Null, 400),
        (Method::DELETE, "/pools/none", Value::Null, 404),
        (Method::DELETE, "/pools/warehouse", Value::Null, 204),
        (Method::GET, "/pools/warehouse", Value::Null, 404),
    ] {
        program.send(method, path, body, status).await;
    }
    assert_eq!(program.get("/eventLogs?event_pattern=pool").await["total_entries"], 2);
}

#[tokio::test]
async fn variables_come_change_and_go() {
    let app = App::without_leader(Settings::default()).await;
    let program = app.program(Role::Op).await;
    let variable = program
        .send(Method::POST, "/variables", json!({"key": "city", "value": "Oslo", "description": "d"}), 201)
        .await;
    assert_eq!(
        variable,
        json!({"key": "city", "value": "Oslo", "description": "d", "is_encrypted": true, "team_name": null})
    );
    let object =
        program.send(Method::POST, "/variables", json!({"key": "conf", "value": {"a": [1]}}), 201).await;
    assert_eq!(object["value"], "{\"a\":[1]}");
    let secret =
        program.send(Method::POST, "/variables", json!({"key": "api_key", "value": "hunter2"}), 201).await;
    assert_eq!(secret["value"], "***");
    assert!(!program.get("/variables").await.to_string().contains("hunter2"));
    // What was shown can be sent back.
    program
        .send(
            Method::PATCH,
            "/variables/api_key",
            json!({"key": "api_key", "value": "***", "description": "k"}),
            200,
        )
        .await;
    assert_eq!(app.db.store.variable("api_key").await.unwrap().unwrap().value, "hunter2");
}

#[tokio::test]
async fn variables_change_in_parts() {
    let app = App::without_leader(Settings::default()).await;
    let program = app.program(Role::Op).await;
    for (key, description) in [("city", "d"), ("conf", "e"), ("zone", "f")] {
        let body = json!({"key": key, "value": "Oslo", "description": description});
        program.send(Method::POST, "/variables", body, 201).await;
    }
    program.send(Method::PATCH, "/variables/city", json!({"key": "city", "value": "Bergen"}), 200).await;
    let city = program.get("/variables/city").await;
    assert_eq!((&city["value"], &city["description"]), (&json!("Bergen"), &json!("d")));
    let page = program.get("/variables?order_by=-key&limit=2").await;
    assert_eq!((&page["total_entries"], &page["variables"][1]["key"]), (&json!(3), &json!("conf")));
    assert_eq!(program.get("/variables?variable_key_pattern=CIT").await["total_entries"], 1);
}

#[tokio::test]
async fn variables_that_make_no_sense_are_refused() {
    let app = App::without_leader(Settings::default()).await;
    let program = app.program(Role::Op).await;
    program.send(Method::POST, "/variables", json!({"key": "city", "value": "Oslo"}), 201).await;
    for (method, path, body, status) in [
        (Method::POST, "/variables", json!({"key": "city", "value": "x"}), 409),
        (Method::POST, "/variables", json!({"key": "", "value": "x"}), 400),
        (Method::POST, "/variables", json!({"key": "x"}), 422),
        (Method::PATCH, "/variables/city", json!({"key": "town", "value": "x"}), 400),
        (Method::PATCH, "/variables/none", json!({"key": "none", "value": "x"}), 404),
        (Method::DELETE, "/variables/city", Value::Null, 204),
        (Method::DELETE, "/variables/city", Value::Null, 404),
    ] {
        program.send(method, path, body, status).await;
    }
}

#[tokio::test]
async fn connections_never_show_their_secrets() {
    let app = App::without_leader(Settings::default()).await;
    let program = app.program(Role::Op).await;
    let sent = json!({
        "connection_id": "warehouse", "conn_type": "postgres", "host": "db", "login": "ann", "password": "hunter2", "port": 5432,
        "schema": "flights", "extra": "{\"sslmode\": \"require\", \"private_key\": \"hunter3\"}"
    });
    let shown = program.send(Method::POST, "/connections", sent.clone(), 201).await;
    assert_eq!(
        (&shown["password"], &shown["port"], &shown["host"]),
        (&json!("***"), &json!(5432), &json!("db"))
    );
    let extra: Value = serde_json::from_str(shown["extra"].as_str().unwrap()).unwrap();
    assert_eq!(extra, json!({"sslmode": "require", "private_key": "***"}));
    program.send(Method::POST, "/connections", sent, 409).await;

    // What was shown can be sent back, with one field changed.
    let mut back = shown.clone();
    back["host"] = "db2".into();
    program.send(Method::PATCH, "/connections/warehouse", back, 200).await;
    let kept = app.db.store.connection("warehouse").await.unwrap().unwrap().connection;
    assert_eq!((kept.host.as_deref(), kept.password.as_deref()), (Some("db2"), Some("hunter2")));
    assert_eq!(kept.extra["private_key"], "hunter3");
    let cleared =
        json!({"connection_id": "warehouse", "conn_type": "postgres", "password": null, "extra": null});
    let shown =
        program.send(Method::PATCH, "/connections/warehouse?update_mask=password", cleared, 200).await;
    assert_eq!((&shown["password"], &shown["host"]), (&Value::Null, &json!("db2")));
    assert!(shown["extra"].is_string());

    let listed = program.get("/connections?connection_id_pattern=ware").await;
    assert_eq!((&listed["total_entries"], &listed["connections"][0]), (&json!(1), &shown));
}

#[tokio::test]
async fn connections_that_make_no_sense_are_refused() {
    let app = App::without_leader(Settings::default()).await;
    let program = app.program(Role::Op).await;
    program
        .send(Method::POST, "/connections", json!({"connection_id": "warehouse", "conn_type": "http"}), 201)
        .await;
    for (method, path, body, status) in [
        (
            Method::POST,
            "/connections",
            json!({"connection_id": "x", "conn_type": "http", "port": 70_000}),
            422,
        ),
        (
            Method::POST,
            "/connections",
            json!({"connection_id": "x", "conn_type": "http", "extra": "no"}),
            422,
        ),
        (Method::POST, "/connections", json!({"connection_id": "x"}), 422),
        (Method::PATCH, "/connections/warehouse", json!({"connection_id": "y", "conn_type": "http"}), 400),
        (Method::DELETE, "/connections/warehouse", Value::Null, 204),
        (Method::GET, "/connections/warehouse", Value::Null, 404),
    ] {
        program.send(method, path, body, status).await;
    }
}
