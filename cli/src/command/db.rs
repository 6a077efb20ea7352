//! `tradewind db`

use std::{os::unix::process::CommandExt, process::Command};

use anyhow::{Context, Result, anyhow};
use runtime::{clock::Clock, config::Config};
use serde::Serialize;
use store::clean::Cleaned;
use url::Url;

use crate::{
    args::{
        Common,
        db::{Clean, Db},
    },
    output, setup,
};

#[derive(Serialize)]
struct Migrated {
    applied: Vec<String>,
    version: String,
}

#[derive(Serialize)]
struct Old {
    runs: usize,
    backfills: usize,
    versions: usize,
    alerts: usize,
    asset_events: usize,
    task_states: usize,
    events: usize,
    processes: usize,
    sessions: usize,
}

/// Works with the database.
pub async fn run(common: &Common, command: Db) -> Result<()> {
    let config = setup::command_config(common)?;
    match command {
        Db::Migrate => migrate(common, &config).await,
        Db::Check => {
            let store = setup::command_store(&config).await?;
            let version = store.server_version().await?;
            output::say(&format!(
                "PostgreSQL {version} at {} answers, and its tables are current.",
                store.place()
            ))
        }
        Db::Clean(clean) => self::clean(common, &config, &clean).await,
        Db::Reset { yes } => {
            let store = setup::bare_store(&config).await?;
            let place = store.place();
            output::confirm(&format!("Delete everything that Tradewind has in {place}?"), yes)?;
            store.reset().await?;
            output::say(&format!("{place} is as new."))
        }
        Db::Shell => Err(shell(&setup::database_url(&config).await?)),
    }
}

async fn migrate(common: &Common, config: &Config) -> Result<()> {
    let migrated = setup::bare_store(config).await?.migrate().await?;
    let sentence = match migrated.applied.len() {
        0 => format!("The tables are current (schema {}).", migrated.version),
        count => format!("{count} migrations applied: the tables are current (schema {}).", migrated.version),
    };
    output::done(common.output, &sentence, &Migrated { applied: migrated.applied, version: migrated.version })
}

async fn clean(common: &Common, config: &Config, clean: &Clean) -> Result<()> {
    let store = setup::command_store(config).await?;
    let now = Clock::system().now();
    let before = clean.clean_before_timestamp.unwrap_or(now - clean.older_than.delta());
    let found = store.count_old(before).await?;
    let what = format!(
        "{} runs, {} alerts, {} lines of the audit log, {} processes",
        found.runs, found.alerts, found.events, found.jobs
    );
    let when = before.format("%Y-%m-%d %H:%M:%S UTC");
    if clean.dry_run {
        return output::done(common.output, &format!("{what} ended before {when}."), &old(&found));
    }
    output::confirm(&format!("Delete what ended before {when}: {what}?"), clean.yes)?;
    let cleaned = store.clean(before).await?;
    let sentence = format!(
        "{} runs, {} alerts, {} lines of the audit log and {} processes deleted.",
        cleaned.runs, cleaned.alerts, cleaned.events, cleaned.jobs
    );
    output::done(common.output, &sentence, &old(&cleaned))
}

fn old(cleaned: &Cleaned) -> Old {
    Old {
        runs: cleaned.runs,
        backfills: cleaned.backfills,
        versions: cleaned.versions,
        alerts: cleaned.alerts,
        asset_events: cleaned.asset_events,
        task_states: cleaned.task_states,
        events: cleaned.events,
        processes: cleaned.jobs,
        sessions: cleaned.sessions,
    }
}

/// Becomes psql; returns only when that fails.
fn shell(url: &str) -> anyhow::Error {
    let (url, password) = match without_password(url) {
        Ok(parts) => parts,
        Err(error) => return error,
    };
    let mut psql = Command::new("psql");
    psql.arg(url);
    if let Some(password) = password {
        psql.env("PGPASSWORD", password);
    }
    anyhow!(psql.exec())
        .context("cannot start psql; it comes with PostgreSQL's client programs (`postgresql-client`)")
}

/// The URL without its password, which everybody on this machine could see among the arguments, and the password.
fn without_password(url: &str) -> Result<(String, Option<String>)> {
    let mut url = Url::parse(url).context("the URL of the database cannot be read")?;
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let (secret, open): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(key, _)| key == "password");
    let password = url.password().map(decoded).or(secret.into_iter().next().map(|(_, password)| password));
    url.set_password(None).map_err(|()| anyhow!("the URL of the database names no host"))?;
    url.set_query(None);
    if !open.is_empty() {
        url.query_pairs_mut().extend_pairs(open);
    }
    Ok((url.to_string(), password))
}

fn decoded(text: &str) -> String {
    // As the value of a form field, in which a plus would be a space.
    let field = format!("p={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(field.as_bytes()).map(|(_, value)| value.into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn psql_gets_the_password_apart() {
        for (url, open, password) in [
            ("postgres://joe:p%40s+s@db:5433/sales", "postgres://joe@db:5433/sales", Some("p@s+s")),
            ("postgres://joe@%2Ftmp%2Fx:5432/t", "postgres://joe@%2Ftmp%2Fx:5432/t", None),
            ("postgres://db/t?user=joe&password=s3c", "postgres://db/t?user=joe", Some("s3c")),
        ] {
            assert_eq!(
                without_password(url).unwrap(),
                (open.to_owned(), password.map(str::to_owned)),
                "{url}"
            );
        }
    }
}
