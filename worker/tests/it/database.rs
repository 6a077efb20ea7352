//! A PostgreSQL of our own, shared by the tests of this process, with a database for each.

use std::sync::{Arc, LazyLock, Weak};

use runtime::postgres::{PrivatePostgres, Settings as PostgresSettings};
use store::{Settings, Store};
use tempfile::TempDir;
use tokio::sync::Mutex;
use uuid::Uuid;

static SERVER: LazyLock<Mutex<Weak<Server>>> = LazyLock::new(|| Mutex::new(Weak::new()));
/// Two copies of a template cannot be made at the same time.
static COPYING: Mutex<()> = Mutex::const_new(());
const TEMPLATE: &str = "template_worker";

struct Server {
    postgres: PrivatePostgres,
    _home: TempDir,
}

/// A test's own database. The server stops when no test needs it any more.
pub(crate) struct Database {
    pub(crate) url: String,
    server: Arc<Server>,
}

impl Database {
    /// With the tables of the platform.
    pub(crate) async fn migrated() -> Database {
        Database::copy_of(TEMPLATE).await
    }

    /// Without any table.
    pub(crate) async fn empty() -> Database {
        Database::copy_of("template0").await
    }

    /// A connection to it as the platform makes it.
    pub(crate) async fn store(&self) -> Store {
        connect(&self.url).await
    }

    /// Runs statements.
    pub(crate) async fn execute(&self, sql: &str) {
        client(&self.url).await.batch_execute(sql).await.unwrap();
    }

    /// The first value of the first row, as text.
    pub(crate) async fn text(&self, sql: &str) -> Option<String> {
        let messages = client(&self.url).await.simple_query(sql).await.unwrap();
        messages.into_iter().find_map(|message| {
            let tokio_postgres::SimpleQueryMessage::Row(row) = message else {
                return None;
            };
            row.get(0).map(str::to_owned)
        })
    }

    /// Ends every connection and lets nobody in.
    pub(crate) async fn close_to_all(&self) {
        let name = self.name();
        let sql = format!(
            "ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        client(&self.server.postgres.url("postgres")).await.batch_execute(&sql).await.unwrap();
    }

    /// After [`Database::close_to_all`].
    pub(crate) async fn open_again(&self) {
        let sql = format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true", self.name());
        client(&self.server.postgres.url("postgres")).await.batch_execute(&sql).await.unwrap();
    }

    fn name(&self) -> &str {
        let start = self.url.find("test_").unwrap();
        self.url[start..].split('?').next().unwrap()
    }

    async fn copy_of(template: &str) -> Database {
        let server = server().await;
        let name = format!("test_{}", Uuid::new_v4().simple());
        let sql = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy");
        let copying = COPYING.lock().await;
        client(&server.postgres.url("postgres")).await.batch_execute(&sql).await.unwrap();
        drop(copying);
        Database { url: server.postgres.url(&name), server }
    }
}

/// A store on the database at `url`.
pub(crate) async fn connect(url: &str) -> Store {
    let settings = Settings { pool_size: 4, ..Settings::new(url, [7; 32]) };
    Store::connect(settings).await.unwrap()
}

async fn client(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn server() -> Arc<Server> {
    let mut shared = SERVER.lock().await;
    if let Some(server) = shared.upgrade() {
        return server;
    }
    let server = Arc::new(tokio::task::spawn_blocking(start).await.unwrap());
    *shared = Arc::downgrade(&server);
    connect(&server.postgres.url(TEMPLATE)).await.migrate().await.unwrap();
    server
}

fn start() -> Server {
    let home = TempDir::new().unwrap();
    // PostgreSQL may run as another user, who has to get in.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(home.path(), open).unwrap();
    let settings =
        PostgresSettings { databases: vec![TEMPLATE.to_owned()], ..PostgresSettings::for_tests(home.path()) };
    Server { postgres: PrivatePostgres::start(&settings).unwrap(), _home: home }
}
