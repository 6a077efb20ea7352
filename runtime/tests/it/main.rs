//! Tests of `runtime` against the real things: PostgreSQL, files, processes.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should panic; fixtures are outside #[test]"
)]

mod config;
mod logs;
mod postgres;
mod secret_key;
