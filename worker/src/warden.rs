//! The warden: a small process beside the worker that ends what the worker was running, should the worker die without
//! being able to do that itself (`kill -9`, out of memory).
//!
//! It learns over a pipe which process groups are running. When the pipe closes, everything that is still alive is
//! killed: the groups it knows, and every process that carries the worker's mark in its environment, so that also those
//! are found that were started in the last moment or left their group. It costs no process per task.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::process::Group;

/// The variable that marks the processes of a worker; its value is the worker's id.
pub const MARK: &str = "TRADEWIND_WORKER_ID";

/// The time between SIGTERM and SIGKILL for what a dead worker left.
const GRACE: Duration = Duration::from_secs(3);
/// The pause before a warden that ended by itself is started again.
const RESTART: Duration = Duration::from_secs(1);

/// The worker's side: tells the warden what is running.
#[derive(Debug, Clone)]
pub(crate) struct Warden {
    groups: Arc<Mutex<HashSet<i32>>>,
    changes: mpsc::UnboundedSender<Change>,
}

#[derive(Debug)]
enum Change {
    Began(i32),
    Ended(i32),
}

/// Tells the warden that a group has ended when it is dropped.
#[derive(Debug)]
pub(crate) struct Watched<'a> {
    warden: &'a Warden,
    group: i32,
}

impl Warden {
    /// Starts the warden by `command`, whose processes carry `mark`, and keeps it running.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(command: &[OsString], mark: &str) -> io::Result<Warden> {
        let child = spawn(command, mark)?;
        let (changes, told) = mpsc::unbounded_channel();
        let warden = Warden { groups: Arc::default(), changes };
        tokio::spawn(keep(child, command.to_vec(), mark.to_owned(), Arc::clone(&warden.groups), told));
        Ok(warden)
    }

    /// Watches a group until the answer is dropped.
    pub(crate) fn watch(&self, group: Group) -> Watched<'_> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).insert(group.id());
        // The receiver lives as long as the runtime; without one there is nothing to be told.
        let _ = self.changes.send(Change::Began(group.id()));
        Watched { warden: self, group: group.id() }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.warden.groups.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.group);
        let _ = self.warden.changes.send(Change::Ended(self.group));
    }
}

fn spawn(command: &[OsString], mark: &str) -> io::Result<Child> {
    let Some((program, args)) = command.split_first() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the command of the warden is empty"));
    };
    // A group of its own: Ctrl-C at the terminal is meant for the worker. The mark goes as an argument, because in
    // its environment it would mark the warden itself.
    Command::new(program)
        .args(args)
        .env(MARK_OF_WARDEN, mark)
        .env_remove(MARK)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
}

/// The variable that tells a warden whose it is.
const MARK_OF_WARDEN: &str = "TRADEWIND_WARDEN_OF";

/// Tells a warden everything, and starts another should it end.
async fn keep(
    mut child: Child,
    command: Vec<OsString>,
    mark: String,
    groups: Arc<Mutex<HashSet<i32>>>,
    mut told: mpsc::UnboundedReceiver<Change>,
) {
    loop {
        if tell(&mut child, &groups, &mut told).await.is_ok() {
            return;
        }
        let _ = child.kill().await;
        tracing::warn!("the warden ended; starting another");
        tokio::time::sleep(RESTART).await;
        match spawn(&command, &mark) {
            Ok(another) => child = another,
            Err(error) => tracing::error!(%error, "cannot start the warden"),
        }
    }
}

/// Ends well when nobody tells anything any more.
async fn tell(
    child: &mut Child,
    groups: &Mutex<HashSet<i32>>,
    told: &mut mpsc::UnboundedReceiver<Change>,
) -> io::Result<()> {
    let mut pipe = child.stdin.take().ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
    let running: Vec<i32> = groups.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
    for group in running {
        pipe.write_all(format!("+{group}\n").as_bytes()).await?;
    }
    let mut changes = Vec::new();
    while told.recv_many(&mut changes, 256).await > 0 {
        let mut text = String::new();
        for change in changes.drain(..) {
            match change {
                Change::Began(group) => text.push_str(&format!("+{group}\n")),
                Change::Ended(group) => text.push_str(&format!("-{group}\n")),
            }
        }
        pipe.write_all(text.as_bytes()).await?;
    }
    Ok(())
}

/// The warden itself: what the program that [`crate::Settings::warden`] names runs. Returns when the worker is gone and
/// nothing of it is left.
///
/// # Errors
/// When signals or the standard input cannot be used.
pub fn main() -> io::Result<()> {
    let mark = std::env::var(MARK_OF_WARDEN).ok();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // A service manager may ask every process to end at once: the worker still has tasks to end then, and this
        // process ends with it in any case.
        let _deaf = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
        let groups = listen(tokio::io::stdin()).await;
        end_all(&groups, mark.as_deref()).await;
        Ok(())
    })
}

/// The groups that are running when the pipe closes, each with what tells its leader from a later process of that number.
async fn listen(pipe: impl AsyncRead + Unpin) -> HashMap<i32, Option<String>> {
    let mut groups = HashMap::new();
    let mut lines = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let (sign, number) = line.split_at(line.len().min(1));
        match (sign, number.parse::<i32>()) {
            ("+", Ok(group)) if group > 1 => drop(groups.insert(group, birth(group))),
            ("-", Ok(group)) => drop(groups.remove(&group)),
            _ => tracing::warn!(%line, "not understood"),
        }
    }
    groups
}

async fn end_all(groups: &HashMap<i32, Option<String>>, mark: Option<&str>) {
    for step in [Signal::SIGTERM, Signal::SIGKILL] {
        let known = groups.iter().filter(|(group, born)| is_same(**group, born.as_deref()));
        let mut alive: Vec<Group> = known
            .filter_map(|(group, _)| Group::led_by(group.unsigned_abs()))
            .filter(|group| group.is_alive())
            .collect();
        let marked = mark.map(marked).unwrap_or_default();
        if alive.is_empty() && marked.is_empty() {
            return;
        }
        for group in &alive {
            if step == Signal::SIGTERM { group.terminate() } else { group.kill() }
        }
        for pid in &marked {
            let _ = kill(Pid::from_raw(*pid), step);
        }
        let deadline = tokio::time::Instant::now() + GRACE;
        while tokio::time::Instant::now() < deadline
            && (!alive.is_empty() || mark.is_some_and(|mark| !self::marked(mark).is_empty()))
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
            alive.retain(|group| group.is_alive());
        }
    }
}

/// Whether the leader of a group is still the one that was announced. A leader that has ended leaves its number to its
/// group for as long as that has members.
fn is_same(group: i32, born: Option<&str>) -> bool {
    match (birth(group), born) {
        (Some(now), Some(born)) => now == born,
        (None, _) | (Some(_), None) => true,
    }
}

/// The time when a process was started, as the kernel writes it; none when there is no such process, or no `/proc`.
fn birth(pid: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the fields after it are counted from the third.
    let rest = stat.rsplit_once(") ")?.1;
    rest.split(' ').nth(22 - 3).map(str::to_owned)
}

/// The processes that carry the mark. Finds none where there is no `/proc`.
fn marked(mark: &str) -> Vec<i32> {
    let wanted = format!("{MARK}={mark}");
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let own = std::process::id();
    pids.filter(|pid| pid.unsigned_abs() != own)
        .filter(|pid| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
        })
        .collect()
}
