//! The tables come, go and come again.

use store::{Error, Settings, Store};

use crate::database::{Database, KEY, connect};

/// Everything that a migration can make, in words.
const SHAPE: &str = "
    SELECT format('%s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default)
    FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT format('%s %s', relname, reloptions) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S')
    ORDER BY 1";

#[tokio::test]
async fn up_down_up_makes_the_same_tables() {
    let db = Database::new().await;
    let before = db.texts(SHAPE).await;
    assert!(before.iter().any(|line| line.starts_with("task_instance.state text NO")), "{before:#?}");
    db.store.unmigrate().await.unwrap();
    let left =
        db.texts("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1").await;
    assert!(left.iter().all(|name| name.starts_with("__diesel_schema_migrations")), "{left:?}");
    db.store.migrate().await.unwrap();
    assert_eq!(db.texts(SHAPE).await, before);
}

#[tokio::test]
async fn several_processes_may_migrate_at_the_same_time() {
    let db = Database::empty().await;
    let other = connect(&db.url).await;
    let (one, two) = tokio::join!(db.store.migrate(), other.migrate());
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.version, two.version);
    assert!(one.applied.is_empty() != two.applied.is_empty(), "{one:?} {two:?}");
    assert!(db.store.migrate().await.unwrap().applied.is_empty());
}

#[tokio::test]
async fn other_tables_are_refused_with_what_to_do() {
    let db = Database::empty().await;
    let error = db.store.check_schema().await.unwrap_err().to_string();
    assert!(error.contains("the schema none") && error.contains("run `tradewind db migrate`"), "{error}");
    db.store.migrate().await.unwrap();
    db.store.check_schema().await.unwrap();
    db.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231000000')").await;
    let error = db.store.check_schema().await.unwrap_err();
    assert!(matches!(&error, Error::Schema { found, .. } if found == "99991231000000"), "{error}");
    assert!(error.to_string().contains("newer"), "{error}");
    assert!(db.store.migrate().await.is_err());
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_said_without_the_password() {
    let db = Database::new().await;
    let missing = db.url.replace("/test_", "/missing_");
    let error = Store::connect(Settings::new(missing, KEY)).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }) && error.is_transient());
    let text = error.to_string();
    assert!(text.contains("does not exist") && text.contains("createdb missing_"), "{text}");

    let closed = "postgres://user:s3cret@127.0.0.1:1/db";
    let error = Store::connect(Settings::new(closed, KEY)).await.unwrap_err().to_string();
    assert!(error.contains("at postgres://user:***@127.0.0.1:1/db") && error.contains("refused"), "{error}");
    assert!(!error.contains("s3cret"));

    let error = Store::connect(Settings::new("not a url", KEY)).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error}");
}

#[tokio::test]
async fn the_pool_replaces_connections_that_were_cut() {
    let db = Database::new().await;
    assert!(db.store.server_version().await.unwrap().starts_with(|c: char| c.is_ascii_digit()));
    assert_eq!(db.store.pool_status().size, 1);
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE application_name = 'tradewind' AND datname = current_database()";
    db.execute(cut).await;
    let mut worked = Vec::new();
    for _ in 0..5 {
        match db.store.server_version().await {
            Ok(_) => worked.push(true),
            Err(Error::Unreachable { .. }) => worked.push(false),
            Err(other) => panic!("{other}"),
        }
    }
    // Two calls may meet the one connection that was cut: the first reads the server's goodbye, the second is sent before
    // the end of the stream was seen. From then on the connection counts as closed and is not given out again.
    let failed = worked.iter().take_while(|worked| !**worked).count();
    assert!(failed <= 2 && worked[failed..].iter().all(|worked| *worked), "{worked:?}");
}

#[test]
fn every_migration_has_a_number_of_its_own() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut numbers: Vec<String> =
        names.map(|name| name.to_str().unwrap().split('_').next().unwrap().to_owned()).collect();
    numbers.sort_unstable();
    // Diesel would take one of two with the same number for the other.
    assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]), "{numbers:?}");
}
