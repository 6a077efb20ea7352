//! What every handler can reach.

use std::sync::Arc;

use queue::Queue;
use runtime::{clock::Clock, health::Health, logs::LogStore, secret_key::SecretKey};
use store::Store;

use crate::{
    auth::{keys::Keys, password::Passwords},
    live::Hub,
    metrics::Metrics,
    settings::Settings,
};

/// Everything that a request may need. Cheap to clone.
///
/// The store should be one of its own: connections of the pool are driven by the threads that opened them, and those of the
/// web server end with it.
#[derive(Clone)]
pub struct AppState {
    pub(crate) settings: Arc<Settings>,
    pub(crate) store: Store,
    pub(crate) queue: Queue,
    pub(crate) logs: LogStore,
    pub(crate) clock: Clock,
    pub(crate) health: Health,
    pub(crate) keys: Arc<Keys>,
    pub(crate) passwords: Passwords,
    pub(crate) live: Hub,
    pub(crate) metrics: Arc<Metrics>,
}

impl AppState {
    /// Puts together what the server needs. Nothing is asked of the database or the queue yet.
    #[must_use]
    pub fn new(
        settings: Settings,
        store: Store,
        queue: Queue,
        logs: LogStore,
        clock: Clock,
        health: Health,
        key: &SecretKey,
    ) -> Self {
        Self {
            live: Hub::new(settings.live_clients),
            settings: Arc::new(settings),
            store,
            queue,
            logs,
            clock,
            health,
            keys: Arc::new(Keys::derive(key)),
            passwords: Passwords::default(),
            metrics: Arc::default(),
        }
    }
}
