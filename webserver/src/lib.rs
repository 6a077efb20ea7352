//! The web server: pages for people, an API for programs.
//!
//! Pages and answers are read from the store; whatever changes a run is an intent that the engine carries out, so this crate
//! decides nothing about states. Who may do what is a value: a handler that changes pools takes a [`auth::Operator`], which
//! only a request of an operator can be turned into.
//!
//! What must never be in here: SQL, Redis commands, decisions about states, and the machine's clock.

mod api;
mod app;
mod artifacts;
mod auth;
mod backfill;
mod body;
mod error;
mod front;
mod graph;
mod health;
mod live;
mod log;
mod masked;
mod metrics;
mod openapi;
mod oracle;
mod pages;
mod settings;
mod state;
mod static_files;
mod tasks;
mod why;
mod wish;

pub use app::{Error, bind, run, serve};
pub use auth::password::{Error as PasswordError, hash_password};
pub use settings::Settings;
pub use state::AppState;
pub use why::why;
