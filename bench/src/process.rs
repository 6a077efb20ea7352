//! Child processes that do not outlive the benchmark: whoever drops one ends it, also on Ctrl-C and in a panic.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a process may take to end when it is asked to; then it is killed.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often an ending process is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// How much of a log is shown when its process has died, in bytes.
const SHOWN_LOG: u64 = 2000;

/// A running process with a log file.
pub struct Running {
    name: String,
    child: Child,
    log: PathBuf,
    stop_with: Signal,
}

impl Running {
    /// Starts `command` in a process group of its own, so that Ctrl-C in a terminal reaches only the benchmark, which ends its
    /// processes in their order. Output is appended to `NAME.log` in `logs`.
    pub fn start(name: &str, mut command: Command, logs: &Path, stop_with: Signal) -> Result<Running> {
        let log = logs.join(format!("{name}.log"));
        let opened = File::options().create(true).append(true).open(&log);
        let out = opened.with_context(|| format!("cannot open {}", log.display()))?;
        let copy = out.try_clone().context("cannot share a log file")?;
        command.stdin(Stdio::null()).stdout(out).stderr(copy).process_group(0);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("cannot start {program}"))?;
        Ok(Running { name: name.to_owned(), child, log, stop_with })
    }

    /// The process id.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Fails, with the end of the log, when the process has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait().with_context(|| format!("cannot look at {}", self.name))? {
            None => Ok(()),
            Some(status) => {
                bail!("{} ended too early ({status}); the end of its log:\n{}", self.name, tail(&self.log))
            }
        }
    }

    /// Asks the process to end, waits, and kills it when that takes too long.
    pub fn stop(&mut self) {
        for (signal, patience) in [(self.stop_with, PATIENCE), (Signal::SIGKILL, PATIENCE)] {
            if self.has_ended() {
                return;
            }
            // It is our child and not reaped yet, so the id is still its own.
            let _ = kill(Pid::from_raw(self.pid()), signal);
            let began = Instant::now();
            while began.elapsed() < patience && !self.has_ended() {
                thread::sleep(LOOK);
            }
        }
    }

    /// Kills the process, which learns nothing of it, and waits until it is gone.
    pub fn kill(mut self) {
        self.stop_with = Signal::SIGKILL;
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs `command` to its end; fails when it fails or takes longer than `limit`, and then it is killed.
pub async fn run(command: Command, limit: Duration) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(limit, command.output()).await;
    let output = output.with_context(|| format!("{program} took longer than {} s", limit.as_secs()))?;
    let output = output.with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let text = [output.stdout.as_slice(), &output.stderr].concat();
        bail!("{program} failed ({}): {}", output.status, String::from_utf8_lossy(&text).trim());
    }
    Ok(output)
}

/// The first line that `program ARGUMENT` prints.
pub async fn first_line(program: &Path, argument: &str) -> Result<String> {
    let mut command = Command::new(program);
    command.arg(argument);
    let output = run(command, Duration::from_secs(10)).await?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().trim().to_owned())
}

/// Where `program` is: in one of `folders`, else on PATH.
pub fn find(program: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = folders.iter().cloned().chain(env::split_paths(&path));
    places.map(|folder| folder.join(program)).find(|file| is_program(file))
}

/// A port of 127.0.0.1 that was free a moment ago.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("cannot find a free port")?;
    Ok(listener.local_addr()?.port())
}

/// A password that nobody can guess.
pub fn random_password() -> Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("cannot read /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The end of every log in `folder`, for when something went wrong.
pub fn log_tails(folder: &Path) -> String {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    files.map(|file| format!("--- {}\n{}\n", file.display(), tail(&file))).collect()
}

fn is_program(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn tail(path: &Path) -> String {
    end_of(path).unwrap_or_else(|error| format!("(cannot read {}: {error})", path.display()))
}

fn end_of(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(SHOWN_LOG)))?;
    let mut bytes = Vec::new();
    file.take(SHOWN_LOG).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_dropped_process_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let mut running =
            Running::start("sleeper", shell("exec sleep 600"), folder.path(), Signal::SIGTERM).unwrap();
        running.check().unwrap();
        let pid = Pid::from_raw(running.pid());
        assert!(kill(pid, None).is_ok());
        drop(running);
        assert!(kill(pid, None).is_err());
    }

    #[test]
    fn an_early_end_is_an_error_that_shows_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let mut running =
            Running::start("quitter", shell("echo no luck; exit 3"), folder.path(), Signal::SIGTERM).unwrap();
        running.child.wait().unwrap();
        let error = running.check().unwrap_err().to_string();
        assert!(error.contains("quitter") && error.contains("no luck"), "{error}");
    }

    #[tokio::test]
    async fn a_command_that_fails_or_never_ends_is_an_error() {
        let error =
            run(shell("echo why >&2; exit 4"), Duration::from_secs(60)).await.unwrap_err().to_string();
        assert!(error.contains("why"), "{error}");
        let error = run(shell("exec sleep 600"), Duration::from_millis(20)).await.unwrap_err().to_string();
        assert!(error.contains("took longer"), "{error}");
    }
}
