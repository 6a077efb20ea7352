//! The benchmark: Tradewind's own speed, and beside it what the bare machine does in the same minutes.
//!
//! It starts a PostgreSQL (as durable as out of the box) and a Redis of its own, Tradewind as real processes, runs workloads, and
//! reads the results from PostgreSQL. Nothing is switched off for it: logs, states and history are written.
//!
//! Never in here: a dependency on another room. What is measured is what a user of the binary gets.

mod api;
mod baseline;
mod dagfile;
mod folder;
mod machine;
mod measure;
mod platform;
mod postgres;
mod process;
mod records;
mod redis;
mod report;
mod sample;
mod usage;

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::folder::Folder;
use crate::measure::{Part, Plan};
use crate::platform::{Platform, Settings};
use crate::postgres::Postgres;
use crate::redis::Redis;
use crate::report::Report;

/// Measures Tradewind against the bare machine. Takes about six minutes; let nothing else run meanwhile.
#[derive(Parser)]
#[command(name = "bench", max_term_width = 110)]
struct Args {
    /// Only these parts: a fan-out, b chain, c many tasks, d idle, e cron, f large DAGs, g 5,000 DAGs, h long history, i cron behind a
    /// backlog, j take-over.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PARTS")]
    only: Vec<Part>,
    /// Say which goals are met.
    #[arg(long)]
    check: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Only the bare machine, without Tradewind.
    #[arg(long, conflicts_with = "only")]
    bare: bool,
    /// How many tasks run at once, in Tradewind and in xargs.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    slots: u16,
    /// How often runs are repeated; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=50))]
    repeat: u8,
    /// How long processor time is measured when idle.
    #[arg(long, default_value_t = 20, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3600))]
    idle_seconds: u32,
    /// How many seconds the cron DAGs are watched.
    #[arg(long, default_value_t = 40, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3600))]
    ticks: u32,
    /// Measure `tradewind standalone` (one process, queue in memory) instead of scheduler, worker and web server.
    #[arg(long)]
    standalone: bool,
    /// The binary to measure; otherwise the `tradewind` beside this program.
    #[arg(long, value_name = "FILE")]
    tradewind: Option<PathBuf>,
    /// The folder with the PostgreSQL server's programs, if it is not a usual one.
    #[arg(long, value_name = "DIR")]
    postgres: Option<PathBuf>,
    /// Where the temporary files go: on the disk that is to be measured.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Keep the temporary files, with the processes' logs.
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    // Fails only when there is a provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let done = tokio::runtime::Runtime::new()
        .context("cannot start")
        .and_then(|runtime| runtime.block_on(guarded(&args)));
    let printed = done.and_then(|report| print(&args, &report).map(|()| report.failures.is_empty()));
    match printed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures until somebody interrupts. What was started ends when the future is dropped.
async fn guarded(args: &Args) -> Result<Report> {
    let (mut interrupt, mut terminate, mut hang_up) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    tokio::select! {
        report = measure(args) => report,
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
        _ = hang_up.recv() => bail!("the terminal was closed"),
    }
}

async fn measure(args: &Args) -> Result<Report> {
    let tradewind = if args.bare { None } else { Some(binary(args)?) };
    let parent = args.folder.clone().unwrap_or_else(env::temp_dir);
    let folder = Folder::create(&parent, args.keep)?;
    let logs = folder.private("logs")?;
    // They end in the reverse order.
    let postgres = Postgres::start(&folder, &logs, args.postgres.as_deref()).await?;
    let redis = Redis::start(&folder, &logs).await?;
    let mut report = Report::default();
    let client = postgres.connect("postgres").await?;
    report.machine = machine::facts(&client, tradewind.as_deref(), folder.path()).await?;
    say("the bare machine");
    let (slots, repeat) = (usize::from(args.slots), usize::from(args.repeat));
    let (baseline, measures) = baseline::measure(&postgres, slots, repeat).await?;
    report.measures = measures;
    let Some(tradewind) = tradewind else {
        return Ok(report);
    };

    let settings = Settings { tradewind, slots, standalone: args.standalone };
    let idle: Vec<_> = (0..dagfile::IDLE).map(dagfile::idle).collect();
    say("starting Tradewind");
    let started = Platform::start(settings, &folder, &logs, &postgres, &redis, &idle).await;
    let mut platform = match started {
        Ok(platform) => platform,
        Err(error) => {
            say(&process::log_tails(&logs));
            report.failures.push(format!("Tradewind does not start: {error:#}"));
            return Ok(report);
        }
    };
    let servers = [postgres.pid(), redis.pid()];
    let plan = Plan { baseline, slots, repeat, idle_seconds: args.idle_seconds, ticks: args.ticks, servers };
    measure_parts(args, &logs, &mut platform, &plan, &mut report).await;
    Ok(report)
}

/// Measures the parts that were asked for; one that fails does not keep the others from being measured.
async fn measure_parts(args: &Args, logs: &Path, platform: &mut Platform, plan: &Plan, report: &mut Report) {
    // Idleness first, while nothing has run yet, and memory is not what large runs left; the fan before 5,000 files are removed,
    // because file systems are slow to make files for half a minute after that. Then what leaves something behind: cron and its
    // runs, the long history, and the take-over, which restores everything from records with that history.
    let all = [Part::D, Part::A, Part::B, Part::G, Part::C, Part::F, Part::E, Part::I, Part::H, Part::J];
    for part in all {
        if !args.only.is_empty() && !args.only.contains(&part) {
            continue;
        }
        say(&format!("part {}", letter(part)));
        match part.measure(platform, plan).await {
            Ok(measures) => report.measures.extend(measures),
            Err(error) => {
                report.failures.push(format!("part {}: {error:#}", letter(part)));
                say(&process::log_tails(logs));
            }
        }
    }
    // The bare machine first, then the parts by their letters.
    report.measures.sort_by_key(|measure| (measure.part != "bare", measure.part));
}

fn letter(part: Part) -> char {
    match part {
        Part::A => 'a',
        Part::B => 'b',
        Part::C => 'c',
        Part::D => 'd',
        Part::E => 'e',
        Part::F => 'f',
        Part::G => 'g',
        Part::H => 'h',
        Part::I => 'i',
        Part::J => 'j',
    }
}

fn binary(args: &Args) -> Result<PathBuf> {
    let beside =
        || Ok(env::current_exe().context("cannot tell where this program is")?.with_file_name("tradewind"));
    let path = args.tradewind.clone().map_or_else(beside, anyhow::Ok)?;
    path.canonicalize()
        .with_context(|| format!("there is no {}: run `make bench`, or say --tradewind FILE", path.display()))
}

fn print(args: &Args, report: &Report) -> Result<()> {
    let text = if args.json { serde_json::to_string_pretty(report)? + "\n" } else { report.text(args.check) };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot print")
}

/// Tells people what goes on, apart from the result.
fn say(what: &str) {
    // Nobody may be listening any more.
    let _ = writeln!(std::io::stderr(), "bench: {what}");
}
