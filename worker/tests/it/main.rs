//! The worker from outside: real processes, a real PostgreSQL, and the queue inside this process.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod choosing;
mod database;
mod fixture;
mod going_on;
mod http;
mod processes;
mod rounds;
mod site;
mod sql;
mod templates;
mod waits;
mod warden;
mod working;
mod xcoms;
