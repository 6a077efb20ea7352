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

/// Whether the kernel has killed for memory since `baseline`; no where it does not say. Reads a file: ask only after a
/// suspicious end.
pub(crate) fn happened_since(baseline: u64) -> bool {
    counter_file().is_some() && look() > baseline
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
    let find = || {
        let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        candidates(&groups).into_iter().find(|file| file.exists())
    };
    FILE.get_or_init(find).as_deref()
}

/// Where the counter may be. Within a container the file system begins at the container's own group, although its name is
/// told as it is outside.
fn candidates(groups: &str) -> Vec<PathBuf> {
    let of_line = |line: &str| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.events"),
            names if names.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.oom_control")
            }
            _ => return None,
        };
        let root = Path::new(root);
        Some([root.join(path.trim_start_matches('/')).join(file), root.join(file)])
    };
    groups.lines().filter_map(of_line).flatten().collect()
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
    fn the_counter_is_looked_for_outside_and_inside_a_container() {
        let paths = ["/sys/fs/cgroup/a/b/memory.events", "/sys/fs/cgroup/memory.events"];
        assert_eq!(candidates("0::/a/b\n"), paths.map(PathBuf::from));
        let paths =
            ["/sys/fs/cgroup/memory/c/memory.oom_control", "/sys/fs/cgroup/memory/memory.oom_control"];
        assert_eq!(candidates("5:cpu,cpuacct:/c\n4:memory:/c\nnonsense\n"), paths.map(PathBuf::from));
    }

    #[test]
    fn nothing_happened_since_now() {
        assert!(!happened_since(look()));
    }
}
