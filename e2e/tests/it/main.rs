//! Tests of the whole: the real binary, real servers, a real browser.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod airflow;
mod airflow_asking;
mod airflow_deadlines;
mod airflow_diff;
#[path = "../../../python/tests/it/airflow.rs"]
mod airflow_environment;
mod airflow_older;
mod airflow_orphans;
mod airflow_other_user;
mod airflow_partitions;
mod airflow_people;
mod airflow_plugins;
mod airflow_secrets;
mod alerted;
mod approved;
mod audit;
mod availability;
mod bad_input;
mod browser;
mod deferred;
mod flights;
mod in_the_browser;
mod laws;
mod nothing_lost;
mod platform;
mod posted_tasks;
mod raw;
mod relay;
mod servers;
