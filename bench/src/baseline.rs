//! What the bare machine does, without Tradewind: the other side of every ratio.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use tokio_postgres::Client;

use crate::postgres::Postgres;
use crate::process;
use crate::report::Measure;
use crate::sample::median;

const PATIENCE: Duration = Duration::from_secs(120);
/// How long the commits of one measurement go on.
const COMMITTING: Duration = Duration::from_secs(2);
/// Rows in one statement, and in one transaction.
const BATCH: i64 = 500;
/// Rows of the batch measurement.
const ROWS: i64 = 10_000;
/// Processes of the spawn measurement.
const SPAWNS: usize = 1000;

/// The figures of the machine that others are compared with.
#[derive(Clone, Copy, Debug)]
pub struct Baseline {
    /// `sh -c true` through `xargs -P SLOTS`, in processes/s.
    pub shell: f64,
    /// Single rows, each inserted in a transaction of its own by one client, in commits/s.
    pub commits: f64,
    /// Rows inserted and then updated, in batches, in rows/s.
    pub rows: f64,
}

/// Measures the machine. Everything is done in a database of its own.
pub async fn measure(postgres: &Postgres, slots: usize, repeat: usize) -> Result<(Baseline, Vec<Measure>)> {
    let mut shell = Vec::new();
    let mut spawn = Vec::new();
    for _ in 0..repeat {
        shell.push(xargs(slots, SPAWNS, "sh").await?);
        spawn.push(spawns(slots).await?);
    }
    let client = postgres.create("bare").await?;
    client
        .batch_execute(
            "CREATE TABLE single (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, state text NOT NULL)",
        )
        .await?;
    let one = commits(postgres, 1).await?;
    let eight = commits(postgres, 8).await?;
    let mut batches = Vec::new();
    for _ in 0..repeat {
        batches.push(rows(&client).await?);
    }
    let none = "nothing was measured";
    let baseline = Baseline {
        shell: median(&shell).context(none)?,
        commits: one,
        rows: median(&batches).context(none)?,
    };
    let part = "bare";
    let measures = vec![
        Measure::new(
            part,
            format!("seq {SPAWNS} | xargs -P{slots} -I{{}} sh -c true"),
            baseline.shell,
            "processes/s",
        ),
        Measure::new(
            part,
            format!("sh -c true from one program, {slots} at once"),
            median(&spawn).context(none)?,
            "processes/s",
        ),
        Measure::new(part, "PostgreSQL, single-row insert and commit, 1 client", one, "commits/s"),
        Measure::new(part, "PostgreSQL, single-row insert and commit, 8 clients", eight, "commits/s"),
        Measure::new(
            part,
            format!("PostgreSQL, {ROWS} rows inserted, then updated, {BATCH} at a time"),
            baseline.rows,
            "rows/s",
        ),
    ];
    Ok((baseline, measures))
}

/// Runs `SHELL -c true` so often through `xargs`, `slots` at once, and answers with processes/s.
pub async fn xargs(slots: usize, count: usize, shell: &str) -> Result<f64> {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("seq {count} | xargs -P{slots} -I{{}} {shell} -c true")]);
    let began = Instant::now();
    process::run(command, PATIENCE).await?;
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

/// Starts processes as a worker does: each in a process group of its own, as many at once as there are slots.
async fn spawns(slots: usize) -> Result<f64> {
    let left = Arc::new(AtomicUsize::new(SPAWNS));
    let began = Instant::now();
    let lanes = (0..slots).map(|_| {
        let left = Arc::clone(&left);
        async move {
            let taken =
                || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            while taken().is_ok() {
                let mut command = tokio::process::Command::new("sh");
                command.args(["-c", "true"]).process_group(0).kill_on_drop(true);
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                command.status().await.context("cannot run sh")?;
            }
            anyhow::Ok(())
        }
    });
    tokio::time::timeout(PATIENCE, try_join_all(lanes))
        .await
        .context("starting processes took too long")??;
    Ok(SPAWNS as f64 / began.elapsed().as_secs_f64())
}

/// Commits of `clients` connections together, per second.
async fn commits(postgres: &Postgres, clients: usize) -> Result<f64> {
    let connections = try_join_all((0..clients).map(|_| postgres.connect("bare"))).await?;
    let began = Instant::now();
    let lanes = connections.iter().map(|client| async move {
        let insert = client.prepare("INSERT INTO single (state) VALUES ($1)").await?;
        let mut count = 0_u64;
        while began.elapsed() < COMMITTING {
            client.execute(&insert, &[&"queued"]).await?;
            count += 1;
        }
        anyhow::Ok(count)
    });
    let counts =
        tokio::time::timeout(PATIENCE, try_join_all(lanes)).await.context("committing took too long")??;
    Ok(counts.iter().sum::<u64>() as f64 / began.elapsed().as_secs_f64())
}

/// Rows inserted and then updated, per second: the least that a run of so many tasks has to write.
async fn rows(client: &Client) -> Result<f64> {
    client.batch_execute("DROP TABLE IF EXISTS many; CREATE TABLE many (id bigint PRIMARY KEY, state text NOT NULL, at timestamptz)").await?;
    let insert = client.prepare("INSERT INTO many SELECT id, 'queued' FROM unnest($1::bigint[]) id").await?;
    let update = client.prepare("UPDATE many SET state = 'success', at = now() WHERE id = ANY($1)").await?;
    let batches: Vec<Vec<i64>> =
        (0..ROWS / BATCH).map(|batch| (batch * BATCH..(batch + 1) * BATCH).collect()).collect();
    let began = Instant::now();
    let work = async {
        for statement in [&insert, &update] {
            for batch in &batches {
                client.execute(statement, &[batch]).await?;
            }
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, work).await.context("writing rows took too long")??;
    Ok(ROWS as f64 / began.elapsed().as_secs_f64())
}
