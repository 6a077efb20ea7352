//! The server as a child process that does not outlive this one.
//!
//! On Linux the kernel sends the server SIGINT (a fast shutdown) when the thread that started it ends. So that
//! thread does nothing else: it starts the server and waits for its end, which also keeps its process id from
//! being given to another process while it may still be signalled. Elsewhere a small shell holds one end of a pipe
//! whose other end is ours, and sends the signal when the pipe closes, which the kernel does for a dead process too.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{self, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_util::sync::CancellationToken;

use super::Error;

/// How long each way of stopping may take before the next, harder one.
const STOPS: [(Stop, Duration); 3] = [
    (Stop::Fast, Duration::from_secs(30)),
    (Stop::Immediate, Duration::from_secs(4)),
    (Stop::Kill, Duration::from_secs(1)),
];

/// A running server.
#[derive(Debug)]
pub(super) struct Child {
    pid: Pid,
    end: Arc<End>,
}

/// A way to stop a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Cut the connections, write everything, end.
    Fast,
    /// End at once; the next start replays the log.
    Immediate,
    /// Be ended by the kernel.
    Kill,
}

/// How a server ended, once it has.
#[derive(Debug, Default)]
struct End {
    status: Mutex<Option<String>>,
    changed: Condvar,
    /// The same for those who wait asynchronously.
    token: CancellationToken,
}

impl Child {
    /// Starts `command` in a process group of its own, so that Ctrl-C in a terminal reaches only Tradewind, which
    /// needs its database until it has drained.
    pub(super) fn spawn(mut command: Command) -> io::Result<Child> {
        command.process_group(0);
        #[cfg(target_os = "linux")]
        end_with_parent(&mut command);
        let end = Arc::new(End::default());
        let (sender, started) = mpsc::sync_channel(1);
        let guard = thread::Builder::new().name("postgres-guard".to_owned());
        guard.spawn({
            let end = Arc::clone(&end);
            move || guard_child(command, &sender, &end)
        })?;
        let pid = started.recv().map_err(io::Error::other)??;
        Ok(Child { pid, end })
    }

    /// The server's process id.
    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// How the server ended, in words; `None` while it runs.
    pub(super) fn status(&self) -> Option<String> {
        self.end.lock().clone()
    }

    /// Returns when the server has ended, with how.
    pub(super) async fn exited(&self) -> String {
        self.end.token.cancelled().await;
        self.status().unwrap_or_default()
    }

    /// Sends the server a signal, unless it has ended.
    pub(super) fn signal(&self, stop: Stop) {
        let status = self.end.lock();
        if status.is_none() {
            let signal = match stop {
                Stop::Fast => Signal::SIGINT,
                Stop::Immediate => Signal::SIGQUIT,
                Stop::Kill => Signal::SIGKILL,
            };
            // It cannot have been reaped: that happens under the lock. So this fails for no reason we could act on.
            let _ = kill(self.pid, signal);
        }
    }

    /// Stops the server, ever harder.
    pub(super) fn stop(&self) -> Result<(), Error> {
        for (stop, patience) in STOPS {
            self.signal(stop);
            let status = self.end.lock();
            let wait = self.end.changed.wait_timeout_while(status, patience, |status| status.is_none());
            let (status, timeout) = wait.unwrap_or_else(PoisonError::into_inner);
            drop(status);
            if !timeout.timed_out() {
                return Ok(());
            }
            tracing::warn!(pid = self.pid(), ?stop, "PostgreSQL does not stop");
        }
        Err(Error::NotStopped { pid: self.pid() })
    }
}

impl End {
    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The whole life of the guarding thread.
fn guard_child(mut command: Command, started: &mpsc::SyncSender<io::Result<Pid>>, end: &End) {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    let pid = Pid::from_raw(child.id().cast_signed());
    let watcher = if cfg!(target_os = "linux") { None } else { watch_parent(pid).ok() };
    let _ = started.send(Ok(pid));

    wait_without_reaping(pid);
    let mut status = end.lock();
    *status = Some(describe(child.wait()));
    drop(status);
    end.changed.notify_all();
    end.token.cancel();
    if let Some(mut watcher) = watcher {
        // Killed, not just let go: closing its pipe would make it signal a process id that is free again.
        let _ = watcher.kill();
        let _ = watcher.wait();
    }
}

/// Waits until the process has ended but leaves it a zombie, so that its id stays taken.
#[cfg(target_os = "linux")]
fn wait_without_reaping(pid: Pid) {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};

    while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(nix::errno::Errno::EINTR) {
    }
}

/// Where there is no such wait, a signal can meet a reused process id in the moment after the end.
#[cfg(not(target_os = "linux"))]
fn wait_without_reaping(_pid: Pid) {}

fn describe(waited: io::Result<ExitStatus>) -> String {
    waited.map_or_else(|error| format!("unknown: {error}"), |status| status.to_string())
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the parent-death signal can only be set in the child, between fork and exec")]
fn end_with_parent(command: &mut Command) {
    use nix::errno::Errno;
    use nix::sys::prctl::set_pdeathsig;
    use nix::unistd::getppid;

    let parent = Pid::from_raw(process::id().cast_signed());
    // SAFETY: the closure makes two system calls and allocates nothing, so it may run in a forked child of a
    // process with threads. std runs it after changing the user, which would clear the signal.
    unsafe {
        command.pre_exec(move || {
            set_pdeathsig(Signal::SIGINT)?;
            if getppid() != parent {
                // The parent died before the signal was set.
                return Err(Errno::ESRCH.into());
            }
            Ok(())
        });
    }
}

/// Starts a shell that sends `pid` SIGINT when this process is gone.
fn watch_parent(pid: Pid) -> io::Result<process::Child> {
    let script = r#"read -r _; kill -INT "$0""#;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script, &pid.to_string()]).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Child {
        let mut command = Command::new("/bin/sleep");
        command.arg("600");
        Child::spawn(command).unwrap()
    }

    #[tokio::test]
    async fn the_end_of_a_child_is_told() {
        let child = sleeper();
        assert_eq!(child.status(), None);
        child.signal(Stop::Kill);
        assert!(child.exited().await.contains("signal: 9"), "{:?}", child.status());
        child.stop().unwrap();
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        assert_eq!(
            Child::spawn(Command::new("/no/such/program")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[tokio::test]
    async fn the_watching_shell_ends_the_child_when_its_pipe_closes() {
        let child = sleeper();
        let mut watcher = watch_parent(Pid::from_raw(child.pid())).unwrap();
        drop(watcher.stdin.take());
        watcher.wait().unwrap();
        assert!(child.exited().await.contains("signal: 2"), "{:?}", child.status());
    }
}
