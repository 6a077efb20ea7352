//! What people see and do in a browser without scripts, and what the scripts ask for.

mod actions;
mod alerts;
mod approvals;
mod assets;
mod backfills;
mod browser;
mod control;
mod dags;
mod large;
mod mapping;
mod partitions;
mod resources;
mod runs;
mod tasks;
mod trigger;

use crate::app::{App, Program};

/// Starts a run of the DAG and waits until it has ended.
async fn ran(program: &Program<'_>, dag_id: &str, run_id: &str) {
    program.run(dag_id, run_id).await;
}

/// A server with a run `one` of the pipeline that has ended.
async fn with_a_run() -> App {
    let app = App::start().await;
    ran(&app.program(store::account::Role::User).await, "pipeline", "one").await;
    app
}
