//! What processes and all their descendants use, as Linux accounts it in `/proc`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, ensure};

/// The unit of times in `/proc/PID/stat`: USER_HZ, which is 100 on every Linux that is built for.
const TICKS_PER_SECOND: f64 = 100.0;

/// The memory of several processes, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// Proportional: a page that several processes share counts once, divided among them.
    pub pss: u64,
    /// Resident: a shared page counts in full for each.
    pub rss: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Process {
    parent: i32,
    /// Of the process and of those of its children that have ended and were waited for.
    ticks: u64,
}

/// The memory of `roots` and all processes below them.
pub fn memory(roots: &[i32]) -> Result<Memory> {
    let mut sum = Memory::default();
    for pid in descendants(&processes()?, roots) {
        // A process may end while we look.
        if let Ok(text) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) {
            let one =
                parse_rollup(&text).with_context(|| format!("cannot read the memory of process {pid}"))?;
            sum = Memory { pss: sum.pss + one.pss, rss: sum.rss + one.rss };
        }
    }
    ensure!(sum.pss > 0, "no memory could be read from /proc: this needs Linux and the processes' own user");
    Ok(sum)
}

/// The processor time that `roots` and all processes below them have used so far, in seconds.
pub fn processor_seconds(roots: &[i32]) -> Result<f64> {
    let all = processes()?;
    let ticks: u64 =
        descendants(&all, roots).iter().filter_map(|pid| all.get(pid)).map(|process| process.ticks).sum();
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

fn processes() -> Result<BTreeMap<i32, Process>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc").context("cannot read /proc: this needs Linux")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Some(process) =
            fs::read_to_string(entry.path().join("stat")).ok().as_deref().and_then(parse_stat)
        {
            found.insert(pid, process);
        }
    }
    Ok(found)
}

fn descendants(all: &BTreeMap<i32, Process>, roots: &[i32]) -> BTreeSet<i32> {
    let mut found: BTreeSet<i32> = roots.iter().copied().filter(|pid| all.contains_key(pid)).collect();
    loop {
        let more =
            all.iter().filter(|(pid, process)| found.contains(&process.parent) && !found.contains(pid));
        let more: Vec<i32> = more.map(|(pid, _)| *pid).collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// Reads `/proc/PID/stat`: the name in parentheses may contain anything, also parentheses.
fn parse_stat(text: &str) -> Option<Process> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum::<Option<u64>>()?;
    Some(Process { parent: fields.get(1)?.parse().ok()?, ticks })
}

fn parse_rollup(text: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
    };
    Some(Memory { pss: field("Pss:")?, rss: field("Rss:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_confuse() {
        let text = "77 (a (b) c) S 12 77 77 0 -1 4194560 1 2 3 4 50 7 30 13 20 0 9 0 1 2 3";
        assert_eq!(parse_stat(text), Some(Process { parent: 12, ticks: 100 }));
        assert_eq!(parse_stat("77 (cut"), None);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let text =
            "5-7 ---p 00000000 00:00 0    [rollup]\nRss:    2048 kB\nPss:    1024 kB\nPss_Anon:   1 kB\n";
        assert_eq!(parse_rollup(text), Some(Memory { pss: 1024 * 1024, rss: 2048 * 1024 }));
        assert_eq!(parse_rollup("Rss: 1 kB\n"), None);
    }

    #[test]
    fn grandchildren_belong_to_the_tree() {
        let process = |parent| Process { parent, ticks: 1 };
        let all = BTreeMap::from([
            (1, process(0)),
            (5, process(9)),
            (9, process(1)),
            (6, process(5)),
            (7, process(1)),
        ]);
        assert_eq!(descendants(&all, &[9]), BTreeSet::from([5, 6, 9]));
        assert_eq!(descendants(&all, &[4]), BTreeSet::new());
    }

    #[test]
    fn this_process_uses_something() {
        let me = std::process::id().cast_signed();
        assert!(memory(&[me]).unwrap().pss > 100_000);
        assert!(processor_seconds(&[me]).unwrap() >= 0.0);
    }
}
