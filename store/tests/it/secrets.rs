//! Variables, connections and pools.

use domain::engine::floor::Policy;
use serde_json::json;
use store::{Error, Settings, Store, connection::Connection, pool::NewPool};

use crate::{
    database::Database,
    fixture::{queued_run, try_of, worker},
};

async fn with_another_key(db: &Database) -> Store {
    Store::connect(Settings { pool_size: 1, ..Settings::new(&db.url, [8; 32]) }).await.unwrap()
}

#[tokio::test]
async fn variables_are_kept_encrypted() {
    let db = Database::new().await;
    db.store.set_variable("api_token", "s3cret", Some("for the API")).await.unwrap();
    db.store.set_variable("api_token", "s3cret again", None).await.unwrap();
    db.store.set_variable("other", "", None).await.unwrap();
    let variable = db.store.variable("api_token").await.unwrap().unwrap();
    assert_eq!(
        (variable.value.as_str(), variable.description.as_deref()),
        ("s3cret again", Some("for the API"))
    );
    assert_eq!(db.store.variable("unknown").await.unwrap(), None);
    let (found, total) = db.store.variables("TOKEN", 10, 0).await.unwrap();
    assert_eq!((found.len(), total, found[0].key.as_str()), (1, 1, "api_token"));
    assert_eq!(db.store.variables("", 1, 1).await.unwrap().0[0].key, "other");
    let raw =
        db.text("SELECT position('s3cret'::bytea IN value) FROM variable WHERE key = 'api_token'").await;
    assert_eq!(raw.unwrap(), "0");

    let error = with_another_key(&db).await.variable("api_token").await.unwrap_err();
    assert!(matches!(&error, Error::Invalid(text) if text.contains("another secret key")), "{error}");
    db.execute("UPDATE variable SET value = (SELECT value FROM variable WHERE key = 'api_token') WHERE key = 'other'").await;
    assert!(
        db.store.variable("other").await.unwrap_err().to_string().contains("damaged"),
        "a value cannot be moved"
    );
    assert!(db.store.delete_variable("other").await.unwrap());
    assert!(!db.store.delete_variable("other").await.unwrap());
    for (key, value) in
        [("", "x".to_owned()), (&*"k".repeat(251), "x".to_owned()), ("k", "x".repeat((1 << 20) + 1))]
    {
        assert!(matches!(db.store.set_variable(key, &value, None).await, Err(Error::Invalid(_))));
    }
}

#[tokio::test]
async fn connections_are_kept_with_password_and_extra_encrypted() {
    let db = Database::new().await;
    let connection = Connection {
        conn_id: "warehouse".to_owned(),
        conn_type: "postgres".to_owned(),
        description: Some("the warehouse".to_owned()),
        host: Some("db.example.org".to_owned()),
        login: Some("ann".to_owned()),
        password: Some("pa/ss:w@rd".to_owned()),
        schema: Some("flights".to_owned()),
        port: Some(5432),
        extra: json!({"sslmode": "require", "zz": "1", "aa": "2"}).as_object().unwrap().clone(),
    };
    db.store.set_connection(&connection).await.unwrap();
    let stored = db.store.connection("warehouse").await.unwrap().unwrap();
    assert_eq!(stored.connection, connection);
    assert_eq!(stored.connection.extra.keys().collect::<Vec<_>>(), ["sslmode", "zz", "aa"]);
    let (found, total) = db.store.connections("ware", 10, 0).await.unwrap();
    assert_eq!((found.len(), total), (1, 1));
    let plain =
        Connection { password: None, extra: serde_json::Map::new(), port: None, ..connection.clone() };
    db.store.set_connection(&plain).await.unwrap();
    assert_eq!(db.store.connection("warehouse").await.unwrap().unwrap().connection, plain);

    db.store.set_connection(&connection).await.unwrap();
    assert!(with_another_key(&db).await.connection("warehouse").await.is_err());
    assert!(db.store.delete_connection("warehouse").await.unwrap());
    assert_eq!(db.store.connection("warehouse").await.unwrap(), None);
    let nameless = Connection { conn_id: String::new(), ..connection };
    assert!(matches!(db.store.set_connection(&nameless).await, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn pools_show_their_use() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let pool = NewPool {
        name: "warehouse".parse().unwrap(),
        slots: Some(3),
        description: Some("at most three".to_owned()),
        include_deferred: true,
        policy: None,
    };
    db.store.create_pool(&pool).await.unwrap();
    assert!(matches!(db.store.create_pool(&pool).await, Err(Error::Conflict(_))));
    let (_, tis) = queued_run(&db, &proof).await;
    let worker = worker(&db).await;
    db.store.claim(worker, &[try_of(&tis[0])]).await.unwrap();
    let pools = db.store.pools(10, 0).await.unwrap();
    assert_eq!(
        pools.iter().map(|pool| pool.name.as_str()).collect::<Vec<_>>(),
        ["default_pool", "warehouse"]
    );
    assert_eq!(
        (pools[0].running, pools[0].queued, pools[0].occupied(), pools[0].open()),
        (1, 1, 2, Some(126))
    );
    assert_eq!((pools[1].occupied(), pools[1].open()), (0, Some(3)));

    let endless = NewPool { slots: None, policy: Some(Policy::Shortest), ..pool.clone() };
    assert!(db.store.update_pool(&endless).await.unwrap());
    assert_eq!(db.store.pool(&pool.name).await.unwrap().unwrap().open(), None);
    let record = db.store.pool_records().await.unwrap().remove(1);
    assert_eq!((record.slots, record.include_deferred), (None, true));
    assert_eq!(record.policy, Some(Policy::Shortest));
    assert!(db.store.delete_pool(&pool.name).await.unwrap());
    assert!(!db.store.update_pool(&pool).await.unwrap());
    assert!(matches!(db.store.delete_pool(&"default_pool".parse().unwrap()).await, Err(Error::Conflict(_))));
}
