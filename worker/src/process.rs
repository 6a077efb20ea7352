//! Real processes: started in a group of their own, read as they write, and seen to their end with everything
//! that they started.
//!
//! Nothing may run between fork and exec here: a `pre_exec` hook, another user or a bare program name would make the
//! standard library copy the page tables of the whole worker for each task instead of using `posix_spawn`.

mod ends;
mod group;
mod oom;
mod orphans;
mod others;
pub(crate) mod pump;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::output::Output;
use crate::stop::{Halt, StopSignal};
use crate::warden::Warden;

pub(crate) use ends::End;
pub(crate) use group::Group;
pub(crate) use orphans::{Sweeper, adopt};

/// How long the output of a process is still read after its group has ended. A daemon that left the group may hold
/// the pipe open for ever.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A program to start.
#[derive(Debug)]
pub(crate) struct Launch {
    /// Its absolute path.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<OsString>,
    /// Its whole environment.
    pub(crate) env: Vec<(OsString, OsString)>,
    /// The folder that it starts in.
    pub(crate) cwd: PathBuf,
}

/// How long and by whose leave a process may run.
#[derive(Debug)]
pub(crate) struct Leash<'a> {
    /// It is stopped at this moment.
    pub(crate) deadline: Option<Instant>,
    /// It is stopped when this says so.
    pub(crate) stop: &'a StopSignal,
    /// The time between SIGTERM and SIGKILL.
    pub(crate) grace: Duration,
    /// Who kills it should this process die.
    pub(crate) warden: Option<&'a Warden>,
}

/// Why a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It was done.
    Itself,
    /// Its time was up.
    Timeout,
    /// It was stopped.
    Halted(Halt),
}

/// A process that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// How.
    pub(crate) end: End,
    /// Why.
    pub(crate) cause: Cause,
    /// The kernel killed something of ours for memory while it ran.
    pub(crate) out_of_memory: bool,
    /// It left processes behind, which were ended.
    pub(crate) left_behind: bool,
}

/// Why a program could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The folder to start in is not there.
    #[error("the folder {} that it should start in {reason}", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system refused.
    #[error("cannot start {}: {reason}", .program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        reason: String,
    },
}

/// Starts a program and sees it and its group to their end. `started` is told the process id.
///
/// # Errors
/// When the program cannot be started.
pub(crate) async fn run(
    launch: &Launch,
    leash: &Leash<'_>,
    output: &Output,
    started: impl FnOnce(u32),
) -> Result<Ended, Error> {
    let baseline = oom::baseline();
    let mut child = spawn(launch)?;
    let Some((pid, group)) = child.id().and_then(|pid| Some((pid, Group::led_by(pid)?))) else {
        return Err(Error::Start {
            program: launch.program.clone(),
            reason: "it has no process id".to_owned(),
        });
    };
    let watched = leash.warden.map(|warden| warden.watch(group));
    started(pid);
    let pumps = pump::both(child.stdout.take(), child.stderr.take(), output);
    tokio::pin!(pumps);
    let mut read_all = false;
    let (end, cause, left_behind) = {
        let supervised = supervise(&mut child, group, leash);
        tokio::pin!(supervised);
        loop {
            tokio::select! {
                ended = &mut supervised => break ended,
                () = &mut pumps, if !read_all => read_all = true,
            }
        }
    };
    if !read_all && tokio::time::timeout(LAST_WORDS, pumps).await.is_err() {
        output.note("something it started still holds its output open; what that writes is not read");
    }
    drop(watched);
    let out_of_memory = end.may_be_out_of_memory() && oom::happened_since(baseline);
    Ok(Ended { end, cause, out_of_memory, left_behind })
}

fn spawn(launch: &Launch) -> Result<Child, Error> {
    let spawned = Command::new(&launch.program)
        .args(&launch.args)
        .env_clear()
        .envs(launch.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&launch.cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn();
    spawned.map_err(|error| refused(launch, &error))
}

fn refused(launch: &Launch, error: &std::io::Error) -> Error {
    if let Some(reason) = fault_of_folder(&launch.cwd) {
        return Error::Folder { folder: launch.cwd.clone(), reason };
    }
    let reason = match error.raw_os_error() {
        Some(code) if code == nix::errno::Errno::E2BIG as i32 => {
            "its arguments and environment are larger than the system allows; pass large values in a file"
                .to_owned()
        }
        Some(_) | None => error.to_string(),
    };
    Error::Start { program: launch.program.clone(), reason }
}

fn fault_of_folder(folder: &Path) -> Option<String> {
    match std::fs::metadata(folder) {
        Ok(meta) if meta.is_dir() => None,
        Ok(_) => Some("is not a folder".to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some("does not exist".to_owned()),
        Err(error) => Some(format!("cannot be used: {error}")),
    }
}

async fn supervise(child: &mut Child, group: Group, leash: &Leash<'_>) -> (End, Cause, bool) {
    let cause = tokio::select! {
        biased;
        end = wait(child) => {
            let left_behind = group.end_rest(leash.grace).await;
            return (end, Cause::Itself, left_behind);
        }
        halt = leash.stop.halted() => Cause::Halted(halt),
        () = sleep_until(leash.deadline) => Cause::Timeout,
    };
    group.terminate();
    let end = match tokio::time::timeout(leash.grace, wait(child)).await {
        Ok(end) => end,
        Err(_) => {
            group.kill();
            wait(child).await
        }
    };
    // The leader's grace was the grace of all: what ignored it is ended now.
    group.end_rest(Duration::ZERO).await;
    (end, cause, false)
}

async fn wait(child: &mut Child) -> End {
    match child.wait().await {
        Ok(status) => End::of(status),
        Err(error) => {
            tracing::error!(%error, "cannot wait for a task's process");
            End::Exit(-1)
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
