//! How the web server listens, and its limits.

use std::time::Duration;

/// What can be set. Nothing here is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The address or host name to listen on.
    pub host: String,
    /// The port to listen on; 0 takes a free one.
    pub port: u16,
    /// Threads that answer requests.
    pub threads: usize,
    /// Most bytes of a request's body.
    pub body_limit: usize,
    /// A request that has not begun to be answered after this time is given up.
    pub request_timeout: Duration,
    /// How long requests that are under way may take to end when the server drains.
    pub drain_timeout: Duration,
    /// How long a person stays signed in.
    pub session_lifetime: Duration,
    /// How long a token of the API is good.
    pub token_lifetime: Duration,
    /// Failed sign-ins in a row after which an account is locked.
    pub sign_in_attempts: u32,
    /// How long it is locked then.
    pub lock_out: Duration,
    /// How long an answer waits for the engine to carry out what was asked.
    pub patience: Duration,
    /// Most pages that are told about changes at the same time.
    pub live_clients: usize,
    /// Where DAG files go, as people should read it.
    pub dags_folder: String,
}

impl Default for Settings {
    /// `127.0.0.1:8080`, 2 threads, bodies up to 1 MiB, 30 s for a request, 10 s to drain, sessions of 12 hours, tokens of
    /// 24 hours, 5 attempts before a lock-out of 5 minutes, 3 s for the engine, 500 live pages.
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 8080,
            threads: 2,
            body_limit: 1 << 20,
            request_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
            session_lifetime: Duration::from_secs(12 * 3600),
            token_lifetime: Duration::from_secs(24 * 3600),
            sign_in_attempts: 5,
            lock_out: Duration::from_secs(300),
            patience: Duration::from_secs(3),
            live_clients: 500,
            dags_folder: "dags".to_owned(),
        }
    }
}
