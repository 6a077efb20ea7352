//! Reaching the database: the pool of connections, its limits, and clear words when it cannot be reached.

use std::{fmt, sync::Arc, time::Duration};

use diesel::{ConnectionError, ConnectionResult};
use diesel_async::{
    AsyncPgConnection, SimpleAsyncConnection,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, PoolError as BackendError, RecyclingMethod,
        deadpool::{Hook, HookError, Object, Pool, PoolError},
    },
};
use tokio_postgres::{Config, NoTls, error::SqlState};

use crate::{Error, cipher::Cipher};

/// A connection that was idle for longer is tried out before it is used again.
const TRIED_AFTER: Duration = Duration::from_secs(30);

/// Every hot statement finds its rows by primary key, in the order of its arrays. Planning costs more than carrying it out,
/// so the plan is made once; and since a plan that was made while the tables were empty would read them whole for ever,
/// the planner may only choose ways by index.
const HOT: &str = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_hashjoin = off; \
                   SET enable_mergejoin = off; SET enable_bitmapscan = off";

/// How the database is reached.
#[derive(Clone)]
pub struct Settings {
    /// `postgres://user:password@host:port/database`; a percent-encoded folder as host is a Unix socket.
    pub url: String,
    /// Encrypts variables and connections.
    pub key: [u8; 32],
    /// Most connections of each of the two pools at the same time.
    pub pool_size: usize,
    /// Shown in `pg_stat_activity`.
    pub application_name: String,
    /// A statement that runs longer is given up.
    pub statement_timeout: Duration,
    /// A statement that waits longer for a lock is given up.
    pub lock_timeout: Duration,
    /// Longest wait for a free connection of the pool, and for a new one to be established.
    pub connect_timeout: Duration,
}

impl Settings {
    /// The defaults: twice 10 connections, 30 s for a statement, 10 s for a lock, 10 s to connect.
    #[must_use]
    pub fn new(url: impl Into<String>, key: [u8; 32]) -> Self {
        Self {
            url: url.into(),
            key,
            pool_size: 10,
            application_name: "tradewind".to_owned(),
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("url", &masked(&self.url))
            .field("pool_size", &self.pool_size)
            .finish_non_exhaustive()
    }
}

pub(crate) type Conn = Object<AsyncPgConnection>;

/// The database. Cheap to clone; every clone shares the same pools of connections: one for what happens to every task, so
/// that pages can never keep the engine or a worker waiting, and one for everything else.
#[derive(Clone)]
pub struct Store {
    pool: Pool<AsyncPgConnection>,
    hot_pool: Pool<AsyncPgConnection>,
    settings: Arc<Settings>,
    cipher: Arc<Cipher>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// How much of the pool is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// Most connections at the same time.
    pub max_size: usize,
    /// Connections that exist.
    pub size: usize,
    /// Connections that nobody uses.
    pub idle: usize,
    /// Callers that wait for one.
    pub waiting: usize,
}

impl Store {
    /// Opens the pools. Nothing is asked of the database yet: see [`Store::wait_until_ready`].
    ///
    /// # Errors
    /// [`Error::Invalid`] when the URL is none.
    pub fn open(settings: Settings) -> Result<Self, Error> {
        let config = parse(&settings)?;
        let settings = Arc::new(settings);
        Ok(Self {
            pool: pool(&config, &settings, "")?,
            hot_pool: pool(&config, &settings, HOT)?,
            cipher: Arc::new(Cipher::new(&settings.key)),
            settings,
        })
    }

    /// Opens the pools and makes sure that the database answers.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the URL is none, [`Error::Unreachable`] when nobody answers there or we are turned away.
    pub async fn connect(settings: Settings) -> Result<Self, Error> {
        let store = Self::open(settings)?;
        drop(store.conn().await?);
        Ok(store)
    }

    /// Waits until the database answers, for at most `timeout`.
    ///
    /// # Errors
    /// The last [`Error::Unreachable`] when it never did; at once when it knows neither this user, the password nor the
    /// database.
    pub async fn wait_until_ready(&self, timeout: Duration) -> Result<(), Error> {
        let deadline = tokio::time::Instant::now() + timeout;
        let mut told = String::new();
        loop {
            let error = match self.pool.get().await {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            let reason = reason(&error);
            if is_refusal(&error) || tokio::time::Instant::now() >= deadline {
                return Err(self.unreachable(reason));
            }
            if reason != told {
                tracing::warn!(
                    database = self.place(),
                    reason,
                    seconds = timeout.as_secs(),
                    "waiting for the database"
                );
                told = reason;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// How much of both pools is in use, for metrics.
    #[must_use]
    pub fn pool_status(&self) -> PoolStatus {
        let (one, two) = (self.pool.status(), self.hot_pool.status());
        PoolStatus {
            max_size: one.max_size + two.max_size,
            size: one.size + two.size,
            idle: one.available + two.available,
            waiting: one.waiting + two.waiting,
        }
    }

    /// Closes the connections that nobody uses: after trouble with the network they may lead nowhere without showing it.
    pub fn close_idle(&self) {
        for pool in [&self.pool, &self.hot_pool] {
            drop(pool.retain(|_, _| false));
        }
    }

    /// The database's address with the password masked, for messages.
    #[must_use]
    pub fn place(&self) -> String {
        masked(&self.settings.url)
    }

    /// The settings it was opened with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn cipher(&self) -> &Cipher {
        &self.cipher
    }

    /// A connection.
    pub(crate) async fn conn(&self) -> Result<Conn, Error> {
        self.take(&self.pool).await
    }

    /// A connection for what happens to every task: see [`HOT`].
    pub(crate) async fn hot_conn(&self) -> Result<Conn, Error> {
        self.take(&self.hot_pool).await
    }

    async fn take(&self, pool: &Pool<AsyncPgConnection>) -> Result<Conn, Error> {
        let wait = self.settings.connect_timeout * 2;
        match tokio::time::timeout(wait, pool.get()).await {
            Ok(Ok(conn)) => Ok(conn),
            Ok(Err(error)) => Err(self.unreachable(reason(&error))),
            Err(_) => Err(self.unreachable(format!(
                "no connection was free within {} s (the pool has {})",
                wait.as_secs(),
                self.settings.pool_size
            ))),
        }
    }

    /// A connection of its own, outside the pool, without a limit on how long statements run.
    pub(crate) async fn lone_conn(&self) -> Result<AsyncPgConnection, Error> {
        let config = parse(&self.settings)?;
        let mut conn = establish(&config, &self.settings, "")
            .await
            .map_err(|error| self.unreachable(error.to_string()))?;
        conn.batch_execute("SET statement_timeout = 0; SET lock_timeout = 0").await?;
        Ok(conn)
    }

    fn unreachable(&self, reason: String) -> Error {
        Error::Unreachable { place: format!(" at {}", self.place()), reason }
    }
}

fn parse(settings: &Settings) -> Result<Config, Error> {
    let mut config: Config = settings.url.parse().map_err(|error| {
        Error::Invalid(format!(
            "`{}` is not the URL of a PostgreSQL database: {error}",
            masked(&settings.url)
        ))
    })?;
    if config.get_application_name().is_none() {
        config.application_name(&settings.application_name);
    }
    // The other end may vanish without a word: then a connection ends sooner than a worker's lease.
    config.connect_timeout(settings.connect_timeout).tcp_user_timeout(Duration::from_secs(10));
    config
        .keepalives_idle(Duration::from_secs(5))
        .keepalives_interval(Duration::from_secs(2))
        .keepalives_retries(2);
    Ok(config)
}

fn pool(
    config: &Config,
    settings: &Arc<Settings>,
    setup: &'static str,
) -> Result<Pool<AsyncPgConnection>, Error> {
    let manager = manager_config(config.clone(), Arc::clone(settings), setup);
    let manager = AsyncDieselConnectionManager::new_with_config(settings.url.clone(), manager);
    let tried_out = Hook::async_fn(|conn: &mut AsyncPgConnection, metrics| {
        let idle = metrics.last_used();
        Box::pin(async move {
            if idle < TRIED_AFTER {
                return Ok(());
            }
            let tried = conn.batch_execute("").await;
            tried.map_err(|error| HookError::Backend(BackendError::QueryError(error)))
        })
    });
    let pool = Pool::builder(manager).max_size(settings.pool_size.max(1)).pre_recycle(tried_out).build();
    pool.map_err(|error| Error::Invalid(error.to_string()))
}

fn manager_config(
    config: Config,
    settings: Arc<Settings>,
    setup: &'static str,
) -> ManagerConfig<AsyncPgConnection> {
    let mut manager = ManagerConfig::default();
    manager.recycling_method = RecyclingMethod::Fast;
    manager.custom_setup = Box::new(move |_| {
        let (config, settings) = (config.clone(), Arc::clone(&settings));
        Box::pin(async move { establish(&config, &settings, setup).await })
    });
    manager
}

async fn establish(config: &Config, settings: &Settings, setup: &str) -> ConnectionResult<AsyncPgConnection> {
    let attempt = tokio::time::timeout(settings.connect_timeout, config.connect(NoTls)).await;
    let (client, connection) = attempt
        .map_err(|_| ConnectionError::BadConnection("no answer in time".to_owned()))?
        .map_err(|error| refusal_or_fault(&error, config))?;
    let mut conn = AsyncPgConnection::try_from_client_and_connection(client, connection).await?;
    // An idle transaction can only be one whose process was stopped in the middle; its locks must not stay.
    let limits = format!(
        "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = 30000; {setup}",
        settings.statement_timeout.as_millis(),
        settings.lock_timeout.as_millis()
    );
    conn.batch_execute(&limits).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(conn)
}

/// A URL that the server refuses stays wrong however long one waits; anything else may pass.
fn refusal_or_fault(error: &tokio_postgres::Error, config: &Config) -> ConnectionError {
    let refusals = [
        SqlState::INVALID_CATALOG_NAME,
        SqlState::INVALID_PASSWORD,
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
    ];
    let reason = explain(error, config);
    if error.code().is_some_and(|code| refusals.contains(code)) {
        ConnectionError::InvalidConnectionUrl(reason)
    } else {
        ConnectionError::BadConnection(reason)
    }
}

const fn is_refusal(error: &PoolError) -> bool {
    matches!(
        error,
        PoolError::Backend(BackendError::ConnectionError(ConnectionError::InvalidConnectionUrl(_)))
    )
}

fn explain(error: &tokio_postgres::Error, config: &Config) -> String {
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    let Some(code) = error.code() else {
        let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
        return format!("{error}{source}; is the server running, and are host and port right?");
    };
    let said = error.as_db_error().map_or_else(|| error.to_string(), |about| about.message().to_owned());
    match *code {
        SqlState::INVALID_CATALOG_NAME => format!("{said}; create it with `createdb {database}`"),
        SqlState::INVALID_PASSWORD => format!("{said}; the user name or the password in the URL is wrong"),
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            format!("{said}; the server does not let this user in")
        }
        SqlState::TOO_MANY_CONNECTIONS => {
            format!("{said}; raise the server's max_connections or use smaller pools")
        }
        _ => said,
    }
}

fn reason(error: &PoolError) -> String {
    match error {
        PoolError::Backend(BackendError::ConnectionError(
            ConnectionError::BadConnection(text) | ConnectionError::InvalidConnectionUrl(text),
        )) => text.clone(),
        PoolError::Backend(error) => error.to_string(),
        PoolError::Timeout(_) => "no connection was free in time".to_owned(),
        PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => error.to_string(),
    }
}

/// The URL without its password. The last `@` ends the login, since people forget to encode one in a password.
fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return "***".to_owned();
    };
    let (login, place) = rest.rsplit_once('@').map_or((None, rest), |(login, place)| (Some(login), place));
    let place = place.split_once('?').map_or(place, |(place, _)| place);
    match login.map(|login| login.split_once(':').map_or((login, ""), |(user, _)| (user, ":***"))) {
        Some((user, mask)) => format!("{scheme}://{user}{mask}@{place}"),
        None => format!("{scheme}://{place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_shows_the_password() {
        for (url, shown) in [
            ("postgres://u:p@w@h:5432/d", "postgres://u:***@h:5432/d"),
            ("postgres://h/d?user=u&password=pw", "postgres://h/d"),
            ("postgres://u@%2Ftmp%2Fx/d", "postgres://u@%2Ftmp%2Fx/d"),
            ("host=h password=pw", "***"),
        ] {
            assert_eq!(masked(url), shown);
            assert!(!format!("{:?}", Settings::new(url, [7; 32])).contains("pw"), "{url}");
        }
    }
}
