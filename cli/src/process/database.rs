//! The database of `standalone`: the one that was named, or a private PostgreSQL that is kept alive.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use runtime::{
    config::Config,
    postgres::{PrivatePostgres, Settings},
    shutdown::Shutdown,
};

/// So often in a row a private PostgreSQL that died is started again.
const RESTARTS: u32 = 5;
/// A private PostgreSQL that lived for so long died of something new.
const LIVED: Duration = Duration::from_secs(60);

/// Where the records are.
pub struct Database {
    /// The records' URL.
    pub url: String,
    /// The warehouse's URL, when the database is private.
    pub warehouse: Option<String>,
    private: Option<Arc<Mutex<Option<PrivatePostgres>>>>,
    home: PathBuf,
}

impl Database {
    /// Starts the private PostgreSQL, unless another database was named.
    pub async fn start(config: &Config) -> Result<Self> {
        let home = config.home.path().to_path_buf();
        if let Some(url) = config.database_url.as_ref() {
            return Ok(Self { url: url.expose().to_owned(), warehouse: None, private: None, home });
        }
        let server = start(home.clone()).await?;
        let (url, warehouse) = (server.url("tradewind"), Some(server.url("warehouse")));
        Ok(Self { url, warehouse, private: Some(Arc::new(Mutex::new(Some(server)))), home })
    }

    /// Starts the private PostgreSQL again whenever it dies, until shutdown. Clients reconnect by themselves: its address
    /// stays the same.
    pub async fn keep_alive(&self, shutdown: &Shutdown) {
        let Some(slot) = &self.private else { return };
        let mut restarts = 0;
        loop {
            // Taken in a statement of its own, so that the lock is not held while the server lives.
            let taken = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some(server) = taken else { break };
            let began = tokio::time::Instant::now();
            let how = tokio::select! {
                how = server.exited() => how,
                () = shutdown.drain.cancelled() => {
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
                    return;
                }
            };
            restarts = if began.elapsed() > LIVED { 1 } else { restarts + 1 };
            tracing::error!(how, restarts, "the private PostgreSQL died");
            drop(server);
            match start(self.home.clone()).await {
                Ok(server) if restarts <= RESTARTS => {
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
                }
                Ok(_) => tracing::error!("the private PostgreSQL dies again and again: giving up"),
                Err(error) => tracing::error!("cannot start the private PostgreSQL again: {error:#}"),
            }
        }
        shutdown.stop();
    }

    /// Stops the private PostgreSQL.
    pub async fn stop(self) -> Result<()> {
        let server = self.private.and_then(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner).take());
        match server {
            Some(server) => Ok(tokio::task::spawn_blocking(move || server.stop()).await??),
            None => Ok(()),
        }
    }
}

async fn start(home: PathBuf) -> Result<PrivatePostgres> {
    tokio::task::spawn_blocking(move || PrivatePostgres::start(&Settings::new(home)))
        .await?
        .context("cannot start the private PostgreSQL")
}
