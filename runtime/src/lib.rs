//! What every Tradewind process stands on: configuration, the clock, tracing, shutdown, health, the private
//! PostgreSQL of `standalone`, and log storage.
//!
//! What must never be in here: SQL, Redis, HTTP, and anything that knows what a DAG is. This crate is the only
//! one that reads the wall clock ([`clock::Clock`]) and the only one that reads `TRADEWIND_*` variables
//! ([`config::Config`]).

pub mod clock;
pub mod config;
pub mod health;
pub mod logs;
pub mod mask;
pub mod postgres;
pub mod secret;
pub mod secret_key;
pub mod shutdown;
pub mod trace;
