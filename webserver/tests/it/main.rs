//! Tests of the web server: a real PostgreSQL, a real engine, real HTTP on a port of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should panic; fixtures are outside #[test]"
)]

mod app;
mod approvals;
mod assets;
mod backfills;
#[path = "../../../store/tests/it/cluster.rs"]
mod cluster;
mod conformance;
mod control;
#[path = "../../../store/tests/it/database.rs"]
#[expect(dead_code, reason = "shared with the tests of the store, which use more of it")]
mod database;
mod leader;
mod lists;
mod live;
mod logs;
mod manners;
mod operating;
mod pages;
mod partitions;
mod reading;
mod resources;
mod sign_in;
mod tasks;
mod triggers;
mod why;
