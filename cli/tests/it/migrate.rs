//! Moving from an Airflow: its database is made here, with the columns that matter, as versions 2 and 3 have them.

use std::{fs, process::Command};

use runtime::postgres::PrivatePostgres;
use serde_json::{Value, json};

use crate::records::migrated;

/// The Fernet key of the values below, which Python's `cryptography` made with it.
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const VARIABLE: &str =
    "gAAAAABlU_EAMDEyMzQ1Njc4OWFiY2RlZnk2PFk-FOuilTK7cGnPWWBoJ9PI1IXq5P9cx5DlH0vOPxoxCdVFnnbEkTujnwmLZA==";
const PASSWORD: &str =
    "gAAAAABlU_EAMDEyMzQ1Njc4OWFiY2RlZq1ytNcAto4P33NlLS6ldTVC2nbwP2RrSNEPfbyV-LedM6t6JPS6p-6xix_mHBNK8Q==";
const EXTRA: &str = "gAAAAABlU_EAMDEyMzQ1Njc4OWFiY2RlZuUSz-KHWKT0-3_K6hJNFqX_hvvmA4yV_KWDdURPfxNpObtaLCvPeKAgOqWZBCeQRrrYJ1zdmr3Pq7F-YGidOGA=";

const TABLES: &str = "
    CREATE TABLE alembic_version (version_num text);
    CREATE TABLE slot_pool (id serial, pool text, slots integer, description text);
    CREATE TABLE variable (id serial, key text, val text, description text, is_encrypted boolean);
    CREATE TABLE connection (id serial, conn_id text, conn_type text, description text, host text, schema text,
        login text, password text, port integer, is_encrypted boolean, is_extra_encrypted boolean, extra text);
    CREATE TABLE dag (dag_id text, is_paused boolean);
    CREATE TABLE dag_run (id serial, dag_id text, run_id text, run_type text, state text, data_interval_start timestamptz,
        data_interval_end timestamptz, queued_at timestamptz, start_date timestamptz, end_date timestamptz);
    CREATE TABLE task_instance (dag_id text, run_id text, task_id text, map_index integer DEFAULT -1, state text, try_number integer,
        max_tries integer, queued_dttm timestamptz, start_date timestamptz, end_date timestamptz, pool text, pool_slots integer DEFAULT 1,
        queue text, priority_weight integer, operator text, executor_config bytea);
    CREATE TABLE xcom (dag_run_id integer, dag_id text, run_id text, task_id text, map_index integer DEFAULT -1, key text);
    INSERT INTO slot_pool (pool, slots, description) VALUES ('default_pool', 64, 'Default pool'), ('etl', 4, 'Loads');";

pub fn execute(url: &str, statements: &str) {
    let psql = Command::new("psql")
        .args([url, "--quiet", "--set=ON_ERROR_STOP=1", "--command", statements])
        .status();
    assert!(psql.unwrap().success());
}

/// The metadata database of an Airflow of that version.
pub fn airflow(server: &PrivatePostgres, version: u8) -> String {
    let url = server.url("airflow");
    server.create_database("airflow").unwrap();
    execute(&url, TABLES);
    // The date of a run, and whether the file is gone, have other names in each.
    let own = match version {
        2 => {
            "ALTER TABLE dag ADD is_active boolean; ALTER TABLE dag_run ADD execution_date timestamptz, ADD conf bytea;
             ALTER TABLE xcom ADD value bytea;
             INSERT INTO dag VALUES ('nightly', true, true), ('hourly', false, true), ('gone', false, false)"
        }
        _ => {
            "ALTER TABLE dag ADD is_stale boolean;
             ALTER TABLE dag_run ADD logical_date timestamptz, ADD run_after timestamptz, ADD conf jsonb, ADD clear_number integer DEFAULT 0,
                 ADD triggering_user_name text;
             ALTER TABLE xcom ADD value jsonb;
             CREATE TABLE dag_run_note (dag_run_id integer, content text);
             CREATE TABLE task_instance_history (dag_id text, run_id text, task_id text, map_index integer DEFAULT -1, try_number integer,
                 state text, queued_dttm timestamptz, start_date timestamptz, end_date timestamptz);
             ALTER TABLE slot_pool ADD include_deferred boolean DEFAULT true;
             INSERT INTO dag VALUES ('nightly', true, false), ('hourly', false, false), ('gone', false, true)"
        }
    };
    execute(&url, own);
    let rows = format!(
        "INSERT INTO variable (key, val, description, is_encrypted) VALUES
             ('api_key', '{VARIABLE}', 'for the API', true), ('plain', 'text', '', false);
         INSERT INTO connection (conn_id, conn_type, host, login, password, port, is_encrypted, is_extra_encrypted, extra) VALUES
             ('warehouse', 'postgres', 'db.example.org', 'loader', '{PASSWORD}', 5432, true, true, '{EXTRA}'),
             ('without_type', NULL, NULL, NULL, NULL, NULL, false, false, '');
         INSERT INTO dag_run (dag_id, run_id, run_type, data_interval_start, data_interval_end) VALUES
             ('hourly', 'first', 'scheduled', '2026-01-01T00:00Z', '2026-01-01T01:00Z'),
             ('hourly', 'second', 'scheduled', '2026-01-01T01:00Z', '2026-01-01T02:00Z'),
             ('hourly', 'third', 'manual', '2026-06-01T01:00Z', '2026-06-01T02:00Z')"
    );
    execute(&url, &rows);
    url
}

pub fn verdicts(told: &Value) -> Vec<String> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = told.as_array().unwrap().iter();
    rows.map(|row| format!("{} {}: {}", text(row, "kind"), text(row, "name"), text(row, "what"))).collect()
}

#[test]
fn what_an_airflow_keeps_moves_over_once() {
    for version in [2, 3] {
        let (place, server) = migrated();
        let url = airflow(&server, version);
        place.run(&["variables", "set", "plain", "other"]).good();
        let migrate = ["migrate-from-airflow", "--from", &url, "--fernet-key", KEY, "-o", "json"];
        let first = [
            "pool default_pool: changed",
            "pool etl: new",
            "variable api_key: new",
            "variable plain: kept",
            "connection warehouse: new",
            "connection without_type: refused",
            "dag hourly: new",
            "dag nightly: new",
        ];
        assert_eq!(verdicts(&place.run(&migrate).json()), first, "Airflow {version}");
        place.run(&["variables", "get", "api_key"]).bad(1, &["no variable `api_key`"]);
        assert_eq!(place.run(&["pools", "get", "default_pool", "-o", "json"]).json()["slots"], 128);

        let apply = [&migrate[..], &["--apply"]].concat();
        assert_eq!(verdicts(&place.run(&apply).json()), first);
        assert_eq!(place.run(&["variables", "get", "api_key"]).good(), "s3cr3t\n");
        assert_eq!(place.run(&["variables", "get", "plain"]).good(), "other\n");
        let pool = place.run(&["pools", "get", "etl", "-o", "json"]).json();
        assert_eq!((&pool["slots"], &pool["include_deferred"]), (&json!(4), &json!(version == 3)));
        let warehouse = place.run(&["connections", "get", "warehouse", "-o", "json"]).json();
        assert_eq!((&warehouse["host"], &warehouse["port"]), (&json!("db.example.org"), &json!(5432)));
        place.run(&["connections", "export", "connections.json"]).good();
        let exported = fs::read_to_string(place.path().join("connections.json")).unwrap();
        assert!(exported.contains("pa55") && exported.contains("t0ken"), "{exported}");

        let again = verdicts(&place.run(&apply).json());
        let same = again.iter().filter(|told| told.ends_with(": same")).count();
        assert_eq!(same, 6, "nothing is left to do but {again:?}");
        let over = [&apply[..], &["--overwrite"]].concat();
        assert!(verdicts(&place.run(&over).json()).contains(&"variable plain: changed".to_owned()));
        assert_eq!(place.run(&["variables", "get", "plain"]).good(), "text\n");
    }
}

#[test]
fn what_cannot_be_read_is_said_and_stays_secret() {
    let (place, server) = migrated();
    let url = airflow(&server, 3);
    let told = place.run(&["migrate-from-airflow", "--from", &url]).good();
    assert!(told.contains("unreadable") && told.contains("--fernet-key is needed"), "{told}");
    assert!(!told.contains(VARIABLE) && !told.contains("db.example.org"), "{told}");
    let other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let apply = ["migrate-from-airflow", "--from", &url, "--fernet-key", other, "--apply"];
    place.run(&apply).bad(1, &["2 could not be read"]);
    assert_eq!(place.run(&["variables", "get", "plain"]).good(), "text\n", "the rest has moved");
    let refused = ["migrate-from-airflow", "--from", &url, "--fernet-key", "secret"];
    place.run(&refused).bad(1, &["no Fernet key"]);
    place
        .run(&["migrate-from-airflow", "--from", &server.url("tradewind")])
        .bad(1, &["not the metadata database"]);
    let driver = url.replacen("postgres", "postgresql+psycopg2", 1);
    let driver = driver.replacen("postgresql+psycopg2ql", "postgresql+psycopg2", 1);
    place.run(&["migrate-from-airflow", "--from", &driver, "--paused"]).good();
}
