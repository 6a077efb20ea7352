//! Processes of other users in a task's group (Airflow's `run_as_user`): a worker that is not root may not signal them. It had them
//! started by `sudo`, and has `sudo` signal them, as the user that they belong to: that needs no right beyond the one to start them.
//!
//! `sudo` itself belongs to root and cannot be reached; it ends when what it has started ends. What it starts may stand in a group of
//! its own (`use_pty`), so that what counts is who descends from the group, and not who belongs to it.

use std::collections::{BTreeMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use nix::unistd::{Pid, geteuid};

/// Most processes of one order.
const AT_ONCE: usize = 1_000;

/// A process, as `/proc` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    pid: i32,
    parent: i32,
    group: i32,
    user: u32,
}

/// Has the processes of other users signalled that belong to a group or descend from it. What refuses is said in the log of the worker.
pub(super) fn signal(group: Pid, signal: Signal) {
    let orders = orders(&all(), group.as_raw(), geteuid().as_raw());
    for (user, pids) in orders {
        let mut command = Command::new("sudo");
        command.args(["-n", "-u", &format!("#{user}"), "kill", "-s", name(signal)]);
        command.args(pids.iter().take(AT_ONCE).map(i32::to_string));
        // In a group of its own: it must not be met by what it carries out.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        match command.spawn() {
            // It is waited for beside everything else; who ends tasks must not wait for an authority.
            Ok(child) => drop(std::thread::spawn(move || match child.wait_with_output() {
                Ok(output) if output.status.success() => {}
                Ok(output) => {
                    let said = String::from_utf8_lossy(&output.stderr);
                    tracing::warn!(user, said = said.trim(), "processes of another user could not be ended");
                }
                Err(error) => tracing::warn!(user, %error, "processes of another user could not be ended"),
            })),
            Err(error) => tracing::warn!(user, %error, "processes of another user could not be ended"),
        }
    }
}

fn name(signal: Signal) -> &'static str {
    signal.as_str().trim_start_matches("SIG")
}

/// Whom to tell it, by user.
fn orders(all: &[Seen], group: i32, own: u32) -> BTreeMap<u32, Vec<i32>> {
    let mut members: HashSet<i32> =
        all.iter().filter(|seen| seen.group == group || seen.pid == group).map(|seen| seen.pid).collect();
    loop {
        let more: Vec<i32> = all
            .iter()
            .filter(|seen| members.contains(&seen.parent) && !members.contains(&seen.pid))
            .map(|seen| seen.pid)
            .collect();
        if more.is_empty() {
            break;
        }
        members.extend(more);
    }
    let mut orders: BTreeMap<u32, Vec<i32>> = BTreeMap::new();
    for seen in all.iter().filter(|seen| members.contains(&seen.pid) && seen.user != own && seen.user != 0) {
        orders.entry(seen.user).or_default().push(seen.pid);
    }
    orders
}

/// Every process; none where there is no `/proc`.
fn all() -> Vec<Seen> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes.flatten().filter_map(|entry| seen(entry.file_name().to_str()?.parse().ok()?)).collect()
}

fn seen(pid: i32) -> Option<Seen> {
    let user = std::fs::metadata(format!("/proc/{pid}")).ok()?.uid();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; behind it stand the state, the parent and the group.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(1);
    let mut number = || fields.next()?.parse().ok();
    Some(Seen { pid, parent: number()?, group: number()?, user })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, group: i32, user: u32) -> Seen {
        Seen { pid, parent, group, user }
    }

    #[test]
    fn whoever_descends_from_the_group_is_told_by_way_of_its_user() {
        let all = [
            process(10, 1, 10, 0),
            process(11, 10, 10, 500),
            process(12, 11, 12, 500),
            process(13, 12, 12, 501),
            process(14, 11, 10, 1000),
            process(20, 1, 20, 500),
            process(21, 1, 10, 500),
        ];
        let orders = orders(&all, 10, 1000);
        assert_eq!(orders, BTreeMap::from([(500, vec![11, 12, 21]), (501, vec![13])]));
        assert!(super::orders(&all, 30, 1000).is_empty());
    }

    #[test]
    fn processes_are_seen_as_they_are() {
        let own = i32::try_from(std::process::id()).unwrap();
        let found = all().into_iter().find(|seen| seen.pid == own).unwrap();
        let group = nix::unistd::getpgrp().as_raw();
        let parent = nix::unistd::getppid().as_raw();
        assert_eq!(found, process(own, parent, group, geteuid().as_raw()));
        assert_eq!((name(Signal::SIGTERM), name(Signal::SIGKILL)), ("TERM", "KILL"));
    }
}
