//! The one binary, `tradewind`: it reads the command line and hands over to the rooms that do the work.
//!
//! Never in here: SQL, Redis, rules about runs and tasks.

mod args;
mod command;
mod dagfiles;
mod oracle;
mod output;
mod process;
mod pythonfiles;
mod setup;
mod trial;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::Parser;

use args::{Cli, Command};

/// How long work that nobody waits for any more may hold up the end of the process.
const LAST_CALL: Duration = Duration::from_secs(1);

/// Exit status of a command that failed; clap ends with 2 for wrong usage.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            output::note(&format!("error: {}", in_words(&error)));
            ExitCode::from(FAILED)
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    // The warden has a runtime of its own, and must be small.
    if let Command::Warden = cli.command {
        return worker::warden::main().context("the warden ended").map(|()| ExitCode::SUCCESS);
    }
    // Fails only when somebody was faster, and then there is a provider too.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(dispatch(cli));
    runtime.shutdown_timeout(LAST_CALL);
    result
}

async fn dispatch(cli: Cli) -> Result<ExitCode> {
    let common = &cli.common;
    match cli.command {
        Command::Standalone(flags) => process::standalone(common, &flags).await.map(succeeded),
        Command::Scheduler(args) => process::scheduler(common, &args).await.map(succeeded),
        Command::Worker(flags) => process::worker(common, &flags).await.map(succeeded),
        Command::Webserver(flags) => process::webserver(common, &flags).await.map(succeeded),
        Command::Dags(dags) => command::dags::run(common, dags).await,
        Command::Backfill(backfill) => command::backfill::run(common, backfill).await,
        Command::Tasks(tasks) => command::tasks::run(common, tasks).await,
        Command::Approvals(approvals) => command::approvals::run(common, approvals).await.map(succeeded),
        Command::Assets(assets) => command::assets::run(common, assets).await.map(succeeded),
        Command::Pools(pools) => command::pools::run(common, pools).await.map(succeeded),
        Command::Variables(variables) => command::variables::run(common, variables).await.map(succeeded),
        Command::Connections(connections) => {
            command::connections::run(common, connections).await.map(succeeded)
        }
        Command::Users(users) => command::users::run(common, users).await.map(succeeded),
        Command::Db(db) => command::db::run(common, db).await.map(succeeded),
        Command::Python(python) => command::python::run(common, python).await.map(succeeded),
        Command::MigrateFromAirflow(wanted) => {
            command::migrate_from_airflow::run(common, &wanted).await.map(succeeded)
        }
        Command::Config(config) => command::config::run(common, &config).map(succeeded),
        Command::Jobs(jobs) => command::jobs::run(common, jobs).await.map(succeeded),
        Command::Schema => command::schema::run().map(succeeded),
        Command::Info => command::info::run(common).await.map(succeeded),
        Command::Version => output::say(env!("CARGO_PKG_VERSION")).map(succeeded),
        Command::Warden => Ok(ExitCode::SUCCESS),
    }
}

const fn succeeded((): ()) -> ExitCode {
    ExitCode::SUCCESS
}

/// An error and its causes in one line. Some errors repeat their cause, which is then left out.
fn in_words(error: &anyhow::Error) -> String {
    let mut words = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if words.is_empty() {
            words = cause;
        } else if !words.contains(&cause) {
            words = format!("{words}: {cause}");
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_makes_sense() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn causes_are_told_once() {
        let error =
            anyhow::anyhow!("no route").context("cannot reach it: no route").context("nothing was done");
        assert_eq!(in_words(&error), "nothing was done: cannot reach it: no route");
    }
}
