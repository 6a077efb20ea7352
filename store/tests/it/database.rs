//! A database for each test: one private PostgreSQL for all tests of this process that run at the same time, a migrated
//! template in it, and a copy of the template for each test.

use std::{
    sync::{Arc, LazyLock, Weak},
    time::Duration,
};

use runtime::postgres::PrivatePostgres;
use store::{LeaderProof, Settings, Store, lease};
use tempfile::TempDir;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::cluster::{self, TEMPLATE};

pub(crate) const KEY: [u8; 32] = [7; 32];

static SERVER: LazyLock<Mutex<Weak<Server>>> = LazyLock::new(|| Mutex::new(Weak::new()));

struct Server {
    postgres: PrivatePostgres,
    _home: TempDir,
}

/// A test's own database. The server stops when no test needs it any more.
pub(crate) struct Database {
    pub(crate) store: Store,
    pub(crate) url: String,
    _server: Arc<Server>,
}

impl Database {
    /// With all tables.
    pub(crate) async fn new() -> Self {
        Self::copy_of(TEMPLATE).await
    }

    /// Without any table.
    pub(crate) async fn empty() -> Self {
        Self::copy_of("template0").await
    }

    async fn copy_of(template: &str) -> Self {
        let server = server().await;
        let name = format!("test_{}", Uuid::new_v4().simple());
        let url = server.postgres.url(&name);
        // Two copies of a template cannot be made at the same time.
        static COPYING: Mutex<()> = Mutex::const_new(());
        let copying = COPYING.lock().await;
        let sql = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy");
        execute(&server.postgres.url("postgres"), &sql).await;
        drop(copying);
        Self { store: connect(&url).await, url, _server: server }
    }

    /// Becomes the leader for a long time.
    pub(crate) async fn lead(&self) -> LeaderProof {
        let lease = self.store.acquire(lease::MAIN, Uuid::new_v4(), Duration::from_secs(600)).await;
        lease.unwrap().unwrap()
    }

    /// Runs a statement that no room of the store has.
    pub(crate) async fn execute(&self, sql: &str) {
        execute(&self.url, sql).await;
    }

    /// The first column of the first row, as text.
    pub(crate) async fn text(&self, sql: &str) -> Option<String> {
        rows(&self.url, sql).await.into_iter().next()
    }

    /// The first column of every row, as text; nulls are left out.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        rows(&self.url, sql).await
    }
}

pub(crate) async fn connect(url: &str) -> Store {
    let settings = Settings { pool_size: 4, ..Settings::new(url, KEY) };
    Store::connect(settings).await.unwrap()
}

async fn server() -> Arc<Server> {
    let mut shared = SERVER.lock().await;
    if let Some(server) = shared.upgrade() {
        return server;
    }
    let home = cluster::copy().await;
    let server = Arc::new(Server { postgres: cluster::start(home.path()).await, _home: home });
    *shared = Arc::downgrade(&server);
    server
}

async fn client(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn execute(url: &str, sql: &str) {
    client(url).await.batch_execute(sql).await.unwrap();
}

async fn rows(url: &str, sql: &str) -> Vec<String> {
    let messages = client(url).await.simple_query(sql).await.unwrap();
    let text = |message| {
        let tokio_postgres::SimpleQueryMessage::Row(row) = message else {
            return None;
        };
        row.get(0).map(str::to_owned)
    };
    messages.into_iter().filter_map(text).collect()
}
