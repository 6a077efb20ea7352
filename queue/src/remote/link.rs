//! Connections to Redis: one shared for everything that answers at once, and spare ones for calls that block.

use crate::{CALL_LIMIT, Error, held};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, FromRedisValue, IntoConnectionInfo, Pipeline, RedisResult};
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long connecting may take, with greeting and password.
const CONNECT_LIMIT: Duration = Duration::from_millis(1500);
/// How long an answer may take. (The client's own default of half a second is short for a large pipeline on a
/// busy machine.)
const RESPONSE_LIMIT: Duration = Duration::from_millis(1500);
/// How many unused connections for blocking calls are kept.
const SPARE_LIMIT: usize = 4;

/// Connections to one Redis, made when needed and made again when broken.
#[derive(Debug)]
pub(crate) struct Link {
    client: Client,
    shared: tokio::sync::Mutex<Shared>,
    spare: Mutex<Vec<MultiplexedConnection>>,
}

/// The shared connection. The generation tells a connection that broke from the one that has replaced it.
#[derive(Debug, Default)]
struct Shared {
    generation: u64,
    connection: Option<MultiplexedConnection>,
}

impl Link {
    pub(crate) fn new(url: &str) -> Result<Link, Error> {
        let client = open(url).map_err(|error| Error::Url { reason: error.to_string() })?;
        Ok(Link { client, shared: tokio::sync::Mutex::default(), spare: Mutex::default() })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn database(&self) -> i64 {
        self.client.get_connection_info().redis_settings().db()
    }

    pub(crate) fn address(&self) -> String {
        format!("redis://{}/{}", self.client.get_connection_info().addr(), self.database())
    }

    /// Runs a pipeline on the shared connection, within [`CALL_LIMIT`].
    ///
    /// On a connection that turns out to be broken it connects and runs it once more: whatever we send may be sent
    /// twice, as pushing is idempotent, a bell heard twice is one bell, and a pop whose answer was lost is repaired
    /// by the sweep.
    pub(crate) async fn query<T: FromRedisValue>(
        &self,
        action: &'static str,
        pipe: &Pipeline,
    ) -> Result<T, Error> {
        match timeout(CALL_LIMIT, self.try_twice(pipe)).await {
            Ok(answer) => answer.map_err(|error| Error::from_redis(action, &error)),
            Err(_) => {
                self.forget_any();
                Err(Error::Timeout { action })
            }
        }
    }

    async fn try_twice<T: FromRedisValue>(&self, pipe: &Pipeline) -> RedisResult<T> {
        let (generation, mut connection) = self.shared().await?;
        match pipe.query_async(&mut connection).await {
            Err(error) if error.is_unrecoverable_error() => {
                self.forget(generation).await;
                let (_, mut connection) = self.shared().await?;
                pipe.query_async(&mut connection).await
            }
            Err(error) if error.is_timeout() => {
                // The other side may be gone without a word; a fresh connection finds out.
                self.forget(generation).await;
                Err(error)
            }
            answer => answer,
        }
    }

    async fn shared(&self) -> RedisResult<(u64, MultiplexedConnection)> {
        let mut shared = self.shared.lock().await;
        if let Some(connection) = &shared.connection {
            return Ok((shared.generation, connection.clone()));
        }
        let connection = self.connect(Some(RESPONSE_LIMIT)).await?;
        shared.generation += 1;
        shared.connection = Some(connection.clone());
        Ok((shared.generation, connection))
    }

    async fn forget(&self, generation: u64) {
        let mut shared = self.shared.lock().await;
        if shared.generation == generation {
            shared.connection = None;
        }
    }

    /// Forgets the shared connection, unless somebody is making a new one just now.
    fn forget_any(&self) {
        if let Ok(mut shared) = self.shared.try_lock() {
            shared.connection = None;
        }
    }

    /// Runs commands of which one blocks for up to `wait` in Redis, on a connection of their own. `commands` makes
    /// them for the time that is left.
    ///
    /// When the call is dropped, the connection closes, and Redis stops serving them.
    pub(crate) async fn block<T: FromRedisValue>(
        &self,
        action: &'static str,
        commands: impl Fn(Duration) -> Pipeline,
        wait: Duration,
    ) -> Result<T, Error> {
        match timeout(wait + CALL_LIMIT, self.block_twice(commands, wait)).await {
            Ok(answer) => answer.map_err(|error| Error::from_redis(action, &error)),
            Err(_) => Err(Error::Timeout { action }),
        }
    }

    async fn block_twice<T: FromRedisValue>(
        &self,
        commands: impl Fn(Duration) -> Pipeline,
        wait: Duration,
    ) -> RedisResult<T> {
        let deadline = Instant::now() + wait;
        let spare = held(&self.spare).pop();
        if let Some(connection) = spare {
            match self.block_on(connection, &commands(wait)).await {
                // A spare connection may have died of old age: all its like are suspect.
                Err(error) if error.is_unrecoverable_error() => held(&self.spare).clear(),
                answer => return answer,
            }
        }
        let connection = self.connect(None).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        self.block_on(connection, &commands(left)).await
    }

    async fn block_on<T: FromRedisValue>(
        &self,
        mut connection: MultiplexedConnection,
        commands: &Pipeline,
    ) -> RedisResult<T> {
        let answer = commands.query_async(&mut connection).await;
        if answer.is_ok() {
            let mut spare = held(&self.spare);
            if spare.len() < SPARE_LIMIT {
                spare.push(connection);
            }
        }
        answer
    }

    async fn connect(&self, response_limit: Option<Duration>) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_LIMIT))
            .set_response_timeout(response_limit);
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }
}

fn open(url: &str) -> RedisResult<Client> {
    let address = url.into_connection_info()?;
    // Commands are small and somebody waits for each: without this, one that follows another too closely is held
    // back until the first is acknowledged.
    let sockets = address.tcp_settings().clone().set_nodelay(true);
    Client::open(address.set_tcp_settings(sockets))
}
