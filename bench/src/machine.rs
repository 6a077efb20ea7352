//! The machine and the programs that a run of the benchmark was made with.

use std::fs;
use std::path::Path;
use std::thread::available_parallelism;

use anyhow::Result;
use tokio_postgres::Client;

use crate::{process, redis};

/// Name and value of what a reader has to know to judge the figures.
pub async fn facts(
    client: &Client,
    tradewind: Option<&Path>,
    folder: &Path,
) -> Result<Vec<(String, String)>> {
    let setting = async |name: &str| -> Result<String> {
        Ok(client.query_one("SELECT current_setting($1)", &[&name]).await?.get(0))
    };
    let durability = format!(
        "fsync {}, synchronous_commit {}",
        setting("fsync").await?,
        setting("synchronous_commit").await?
    );
    let mut facts = vec![
        (
            "processors",
            format!(
                "{}, {}",
                available_parallelism().map_or(1, usize::from),
                line_of("/proc/cpuinfo", "model name")
            ),
        ),
        ("memory", line_of("/proc/meminfo", "MemTotal")),
        ("kernel", read("/proc/sys/kernel/osrelease")),
        ("load before", load()),
        ("files", format!("{} ({})", folder.display(), file_system(folder))),
        ("PostgreSQL", format!("{} ({durability})", setting("server_version").await?)),
        ("Redis", process::first_line(&redis::program()?, "--version").await?),
    ];
    if let Some(tradewind) = tradewind {
        facts.push((
            "Tradewind",
            format!("{} ({})", process::first_line(tradewind, "version").await?, tradewind.display()),
        ));
    }
    Ok(facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// The load of the last minute. Other work takes away from the bare machine and from Tradewind, not always alike.
fn load() -> String {
    let text = read("/proc/loadavg");
    let minute = text.split(' ').next().unwrap_or_default().to_owned();
    let processors = available_parallelism().map_or(1, usize::from) as f64;
    let busy = minute.parse::<f64>().is_ok_and(|load| load > 0.25 * processors);
    if busy { format!("{minute} (BUSY: let nothing else run, and measure again)") } else { minute }
}

/// The value of the first line of `path` that begins with `name`.
fn line_of(path: &str, name: &str) -> String {
    let text = read(path);
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    value.map_or_else(|| "unknown".to_owned(), |value| value.trim().to_owned())
}

/// The kind of file system that `folder` is on: on one that lives in memory, fsync costs nothing.
fn file_system(folder: &Path) -> String {
    let mounts = read("/proc/mounts");
    let mut best: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(place), Some(kind)) = (fields.next(), fields.next()) else {
            continue;
        };
        let deeper = best.is_none_or(|(length, _)| place.len() >= length);
        if folder.starts_with(place) && deeper {
            best = Some((place.len(), kind));
        }
    }
    best.map_or_else(|| "unknown file system".to_owned(), |(_, kind)| kind.to_owned())
}
