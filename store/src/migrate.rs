//! The tables: bringing them up to date, and refusing to work on others.

use diesel::{
    OptionalExtension,
    migration::{Migration, MigrationSource},
    pg::Pg,
    sql_types::{BigInt, Text},
};
use diesel_async::{
    AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection, async_connection_wrapper::AsyncConnectionWrapper,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::{Error, Store, hot::hot_query};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations");

/// Any number will do; it must only be the same in every version of Tradewind.
const LOCK: i64 = 0x7261_6465_7769_6e64;

/// What [`Store::migrate`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The migrations that were applied now, oldest first; empty when there was nothing to do.
    pub applied: Vec<String>,
    /// The newest migration, now applied.
    pub version: String,
}

impl Store {
    /// Brings the tables up to date. Several processes may call it at the same time: one does the work.
    ///
    /// # Errors
    /// [`Error::Schema`] when the tables belong to a newer program.
    pub async fn migrate(&self) -> Result<Migrated, Error> {
        let conn = self.lone_conn().await?;
        let applied = blocking(conn, |conn| {
            let pending = conn.run_pending_migrations(MIGRATIONS)?;
            Ok(pending.into_iter().map(|version| version.to_string()).collect())
        })
        .await?;
        self.check_schema().await?;
        Ok(Migrated { applied, version: wanted()? })
    }

    /// Undoes every migration: all tables and all that is in them.
    ///
    /// # Errors
    /// [`Error::Database`] when a table is in the way.
    pub async fn unmigrate(&self) -> Result<(), Error> {
        let conn = self.lone_conn().await?;
        blocking(conn, |conn| conn.revert_all_migrations(MIGRATIONS).map(|_| ())).await
    }

    /// Whether the tables are those that this program was built for.
    ///
    /// # Errors
    /// [`Error::Schema`] when they are not.
    pub async fn check_schema(&self) -> Result<(), Error> {
        let mut conn = self.conn().await?;
        let wanted = wanted()?;
        let known: Flag = HasMigrations {}.get_result(&mut conn).await?;
        if !known.flag {
            return Err(mismatch("none".to_owned(), wanted));
        }
        let found: Option<Version> = NewestMigration {}.get_result(&mut conn).await.optional()?;
        let found = found.map_or_else(|| "none".to_owned(), |row| row.version);
        if found == wanted { Ok(()) } else { Err(mismatch(found, wanted)) }
    }

    /// The server's version, for example `15.14 (Debian 15.14-0+deb12u1)`.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub async fn server_version(&self) -> Result<String, Error> {
        let mut conn = self.conn().await?;
        let row: Version = ServerVersion {}.get_result(&mut conn).await?;
        Ok(row.version)
    }
}

fn mismatch(found: String, wanted: String) -> Error {
    let remedy = if found == "none" || found < wanted {
        "run `tradewind db migrate`"
    } else {
        "a newer Tradewind has already run `tradewind db migrate`; use that program"
    };
    Error::Schema { found, wanted, remedy }
}

fn wanted() -> Result<String, Error> {
    let migrations: Vec<Box<dyn Migration<Pg>>> =
        MIGRATIONS.migrations().map_err(|error| Error::Invalid(error.to_string()))?;
    let newest = migrations.iter().map(|migration| migration.name().version().to_string()).max();
    newest.ok_or_else(|| Error::Invalid("this program was built without migrations".to_owned()))
}

/// Diesel's harness is synchronous, so it gets a thread of its own; the lock lets one process in at a time.
async fn blocking<T: Send + 'static>(
    mut conn: AsyncPgConnection,
    work: impl FnOnce(&mut AsyncConnectionWrapper<AsyncPgConnection>) -> diesel::migration::Result<T>
    + Send
    + 'static,
) -> Result<T, Error> {
    let _: Vec<Flag> = TakeLock { key: &LOCK }.load(&mut conn).await?;
    conn.batch_execute("SET client_min_messages = warning").await?;
    let task = tokio::task::spawn_blocking(move || {
        let mut conn = AsyncConnectionWrapper::from(conn);
        work(&mut conn).map_err(|error| Error::Invalid(format!("a migration failed: {error}")))
    });
    task.await.map_err(|error| Error::Invalid(format!("a migration was broken off: {error}")))?
}

hot_query! {
    /// Held until the connection is closed.
    TakeLock { key: i64 => BigInt }
    "SELECT pg_advisory_lock($1) IS NOT NULL AS flag"
}

hot_query! {
    HasMigrations {}
    "SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL AS flag"
}

hot_query! {
    NewestMigration {}
    "SELECT version::text AS version FROM __diesel_schema_migrations ORDER BY version DESC LIMIT 1"
}

hot_query! {
    ServerVersion {}
    "SELECT current_setting('server_version') AS version"
}

#[derive(diesel::QueryableByName)]
struct Flag {
    #[diesel(sql_type = diesel::sql_types::Bool)]
    flag: bool,
}

#[derive(diesel::QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}
