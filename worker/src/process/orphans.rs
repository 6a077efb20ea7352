//! Orphans: processes whose parent ended before them. The kernel hands those of our tasks to us, so that their
//! groups can be seen to their end, and somebody has to reap them.

use std::collections::HashSet;

use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// Makes this process the one that inherits the orphans below it (Linux). Without it they go to process 1, and a
/// task's group is then seen to end a little later.
pub(crate) fn adopt() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_child_subreaper(true) {
        tracing::warn!(%error, "cannot adopt orphaned processes");
    }
}

/// Reaps adopted processes that left their task's group (by `setsid`) and so are waited for by nobody.
///
/// A child that we started ourselves also is a zombie for a moment before its owner reaps it; so only one that is a
/// zombie in two sweeps in a row is taken for an orphan. Sweep seconds apart.
#[derive(Debug, Default)]
pub(crate) struct Sweeper {
    zombies: HashSet<i32>,
}

impl Sweeper {
    /// Looks at our children once.
    pub(crate) fn sweep(&mut self) {
        let now: HashSet<i32> = children().into_iter().filter(|pid| is_zombie(*pid)).collect();
        for pid in now.intersection(&self.zombies) {
            let _ = waitpid(Pid::from_raw(*pid), Some(WaitPidFlag::WNOHANG));
        }
        self.zombies = now;
    }
}

/// The ids of our children, from `/proc`; empty where there is none.
fn children() -> Vec<i32> {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    let lists =
        threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>())
        .collect()
}

fn is_zombie(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold anything; the state follows the last one.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
}
