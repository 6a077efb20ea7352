//! The sql operator against a real PostgreSQL.

use domain::outcome::TryResult::{Failed, FailedForGood, Success};
use serde_json::{Value, json};

use crate::database::Database;
use crate::fixture::{Bench, end, xcoms};

fn sql(database: &Database, sql: &str) -> Bench {
    let task = json!({"sql": {"conn_id": "db", "sql": sql}});
    Bench::task(&task.to_string()).with_env("TRADEWIND_CONN_DB", &database.url)
}

async fn result(database: &Database, text: &str) -> Value {
    let finished = sql(database, text).run().await;
    assert_eq!(finished.result, Success, "{finished:?}");
    json!(xcoms(&finished))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_result_set_becomes_an_xcom_with_its_types() {
    let db = Database::empty().await;
    let text = "create table t (n int, name text);\ninsert into t values (1, 'a;b'), (2, null);\n\
        select 'other' as x; -- not the last\n\
        select n, name, n > 1 as big, n * 1.5 as half, '{\"a\": [1]}'::jsonb as j, date '2026-01-02' as d, '007' as zip from t order by n;\n\
        update t set n = n + 1;";
    let row = |n: i32, name: Value, half: Value| json!({"n": n, "name": name, "big": n > 1, "half": half, "j": {"a": [1]}, "d": "2026-01-02", "zip": "007"});
    let wanted = json!({"return_value": [row(1, json!("a;b"), json!(1.5)), row(2, json!(null), json!(3.0))]});
    assert_eq!(result(&db, text).await, wanted);
    assert_eq!(
        result(&db, "select n from t order by n").await,
        json!({"return_value": [{"n": 2}, {"n": 3}]})
    );
    assert_eq!(result(&db, "delete from t").await, json!({}));
    assert_eq!(result(&db, "select n from t").await, json!({"return_value": []}));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_one_transaction() {
    let db = Database::empty().await;
    let bench = sql(&db, "create table t (n int);\ninsert into t values (1);\nselect 1 / (n - 1)\n  from t;");
    let finished = bench.run().await;
    assert_eq!(end(&finished), (Failed, None, "ERROR 22012: division by zero"));
    assert_eq!(db.text("select count(*) from pg_tables where tablename = 't'").await.as_deref(), Some("0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_name_their_place() {
    let db = Database::empty().await;
    let finished = sql(&db, "select 1;\nselect nope\n  from pg_class").run().await;
    assert_eq!(
        end(&finished),
        (Failed, None, "ERROR 42703: column \"nope\" does not exist at line 2, column 8: select nope")
    );
    let finished = sql(&db, "vacuum").run().await;
    assert!(finished.reason.as_ref().unwrap().contains("one transaction; use psql"), "{finished:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_and_row_counts_are_logged() {
    let db = Database::empty().await;
    let bench =
        sql(&db, "do $$ begin raise notice 'halfway; there'; end $$; select generate_series(1, 1500) as n");
    let finished = bench.run().await;
    let kept = finished.xcoms["return_value"].as_array().unwrap();
    assert_eq!((kept.len(), &kept[999]), (1000, &json!({"n": 1000})));
    let lines = bench.lines.all();
    for wanted in
        ["NOTICE: halfway; there", "statement 2: 1500 rows", "only the first 1000 of 1500 rows are kept"]
    {
        assert!(lines.contains(wanted), "{lines}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_is_cancelled_on_the_server() {
    let db = Database::empty().await;
    let task = json!({"sql": {"conn_id": "db", "sql": "create table t (n int); select pg_sleep(300)"}, "execution_timeout": "300ms"});
    let finished = Bench::task(&task.to_string()).with_env("TRADEWIND_CONN_DB", &db.url).run().await;
    assert_eq!(end(&finished), (Failed, None, "stopped after execution_timeout 300ms"));
    // Blocks as long as the other transaction holds its table, and fails if that was committed.
    db.execute("set statement_timeout = '30s'; create table t (n int)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_cannot_be_used() {
    let db = Database::empty().await;
    let missing = Bench::task("{sql: {conn_id: nope, sql: select 1}}").run().await;
    assert_eq!(missing.result, FailedForGood);
    assert!(
        missing.reason.as_ref().unwrap().contains("the connection `nope`, which does not exist"),
        "{missing:?}"
    );
    let other = Bench::task("{sql: {conn_id: db, sql: select 1}}")
        .with_env("TRADEWIND_CONN_DB", "mysql://h/d")
        .run()
        .await;
    assert_eq!(
        end(&other),
        (FailedForGood, None, "the connection `db` is of type mysql; the sql operator speaks to postgres")
    );
    let nobody = Bench::task("{sql: {conn_id: db, sql: select 1}}")
        .with_env("TRADEWIND_CONN_DB", "postgres://u:hunter2@127.0.0.1:1/d")
        .run()
        .await;
    assert_eq!(nobody.result, Failed);
    assert!(nobody.reason.as_ref().unwrap().starts_with("cannot connect to 127.0.0.1:1/d: "), "{nobody:?}");
    drop(db);
}
