//! The commands, one file for each noun.

pub mod approvals;
pub mod assets;
pub mod backfill;
pub mod config;
pub mod connections;
pub mod dags;
pub mod db;
pub mod info;
pub mod jobs;
pub mod migrate_from_airflow;
pub mod pools;
pub mod python;
pub mod schema;
pub mod tasks;
pub mod users;
pub mod variables;

mod control;
mod file;
mod inbox;
mod runs;
mod why;
