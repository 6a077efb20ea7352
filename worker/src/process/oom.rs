//! Whether the kernel killed something in our control group because memory ran out.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many kills the kernel had counted when this was last looked at.
static SEEN: AtomicU64 = AtomicU64::new(0);

/// What had been seen when a process started; compare with [`happened_since`] after its end.
pub(crate) fn baseline() -> u64 {
    if counter_file().is_none() {
        return 0;
    }
    let seen = SEEN.load(Ordering::Relaxed);
    if seen > 0 { seen } else { look() }
}

/// Whether the kernel has killed for memory since `baseline`. Reads a file: ask only after a suspicious end.
pub(crate) fn happened_since(baseline: u64) -> bool {
    look() > baseline
}

fn look() -> u64 {
    let kills =
        counter_file().and_then(|file| std::fs::read_to_string(file).ok()).and_then(|text| kills(&text));
    // One is added so that 0 keeps meaning "never looked".
    let seen = kills.unwrap_or(0) + 1;
    SEEN.fetch_max(seen, Ordering::Relaxed).max(seen)
}

fn counter_file() -> Option<&'static Path> {
    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    FILE.get_or_init(|| candidates(&std::fs::read_to_string("/proc/self/cgroup").ok()?)).as_deref()
}

fn candidates(groups: &str) -> Option<PathBuf> {
    let file = groups.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            return Some(Path::new("/sys/fs/cgroup").join(path).join("memory.events"));
        }
        let memory = controllers.split(',').any(|name| name == "memory");
        memory.then(|| Path::new("/sys/fs/cgroup/memory").join(path).join("memory.oom_control"))
    })?;
    file.exists().then_some(file)
}

fn kills(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_found_in_both_generations() {
        assert_eq!(kills("low 0\nhigh 0\nmax 3\noom 2\noom_kill 2\n"), Some(2));
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), Some(7));
        assert_eq!(kills("low 0\n"), None);
    }

    #[test]
    fn nothing_happened_since_now() {
        assert!(!happened_since(look()));
    }
}
