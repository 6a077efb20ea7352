//! Tests of the store against a real PostgreSQL.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should panic; fixtures are outside #[test]"
)]

mod accounts;
mod alerts;
mod approvals;
mod asked;
mod assets;
mod backfills;
mod claims;
mod cleaning;
mod cluster;
mod commits;
mod dags;
mod database;
mod deadlines;
mod deferrals;
mod fixture;
mod inbox;
mod jobs;
mod laws;
mod leases;
mod migrations;
mod partitions;
mod rounds;
mod secrets;
mod snapshots;
mod views;
mod waits;
mod xcoms;
