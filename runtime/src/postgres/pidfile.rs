//! `postmaster.pid`: how PostgreSQL says that it runs, where it listens and how far it is. Its lines are: process
//! id, data folder, start time, port, folder of the socket, address, shared memory, state (`starting`, `ready`,
//! `stopping`).

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::child::Child;
use super::{Error, ROLE, failed_to};

/// How often the file is looked at; a start takes about 40 ms.
const LOOK: Duration = Duration::from_millis(2);

/// How long a server whose Tradewind was killed may take to begin to stop (the kernel tells it at once).
const ORPHAN_NOTICE: Duration = Duration::from_secs(3);

/// How long it may then take to write its last pages.
const ORPHAN_STOP: Duration = Duration::from_secs(60);

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The folder of its socket.
    pub socket_folder: PathBuf,
    /// The number in the socket's name.
    pub port: u16,
    /// The server's process id.
    pub pid: i32,
}

impl Address {
    /// The URL of `database`: the folder of the socket, percent-encoded, is the host.
    pub fn url(&self, database: &str) -> String {
        let host: String =
            self.socket_folder.as_os_str().as_bytes().iter().map(|&byte| encode(byte)).collect();
        format!("postgres://{ROLE}@{host}:{}/{database}", self.port)
    }
}

/// What came of waiting for a server.
pub(super) enum Readiness {
    /// It accepts connections.
    Ready,
    /// It ended; in words.
    Exited(String),
    /// It did neither in time.
    TimedOut,
}

/// What one `postmaster.pid` says.
struct PidFile {
    pid: i32,
    port: u16,
    socket_folder: PathBuf,
    state: String,
}

/// Waits until the server `child` on `data` accepts connections.
pub(super) fn wait_ready(data: &Path, child: &Child, timeout: Duration) -> Readiness {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(status) = child.status() {
            return Readiness::Exited(status);
        }
        if matches!(read(data), Ok(Some(file)) if file.pid == child.pid() && file.state == "ready") {
            return Readiness::Ready;
        }
        if Instant::now() >= deadline {
            return Readiness::TimedOut;
        }
        sleep(LOOK);
    }
}

/// Makes sure that no other server uses `data`. One whose Tradewind was killed is stopping by itself: wait for it.
/// A file left by a server that was killed, whose process id now belongs to something else, is removed (as happens
/// in containers, where ids begin anew); PostgreSQL itself would refuse to start.
pub(super) fn settle(data: &Path) -> Result<(), Error> {
    let begin = Instant::now();
    loop {
        let Some(file) = read(data)? else { return Ok(()) };
        if !is_alive(file.pid) {
            return Ok(());
        }
        if !is_server_on(file.pid, data) {
            let path = path_in(data);
            return fs::remove_file(&path).map_err(failed_to("removing the stale", &path));
        }
        let patience = if file.state == "stopping" { ORPHAN_STOP } else { ORPHAN_NOTICE };
        if begin.elapsed() > patience {
            return Err(Error::ForeignServer { folder: data.to_owned(), pid: file.pid });
        }
        sleep(LOOK * 5);
    }
}

/// The address of the server on `data`, when one is ready.
pub(super) fn find_running(data: &Path) -> Result<Option<Address>, Error> {
    let data = match data.canonicalize() {
        Ok(data) => data,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed_to("reading", data)(source)),
    };
    let Some(file) = read(&data)? else {
        return Ok(None);
    };
    if file.state != "ready" || !is_alive(file.pid) || !is_server_on(file.pid, &data) {
        return Ok(None);
    }
    Ok(Some(Address { socket_folder: file.socket_folder, port: file.port, pid: file.pid }))
}

fn path_in(data: &Path) -> PathBuf {
    data.join("postmaster.pid")
}

/// `None` when there is no file, or not all of it yet: the server writes it line by line.
fn read(data: &Path) -> Result<Option<PidFile>, Error> {
    let path = path_in(data);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(parse(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed_to("reading", &path)(source)),
    }
}

fn parse(text: &str) -> Option<PidFile> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    Some(PidFile {
        pid: lines.first()?.parse().ok()?,
        port: lines.get(3).and_then(|port| port.parse().ok()).unwrap_or(0),
        socket_folder: PathBuf::from(lines.get(4).copied().unwrap_or_default()),
        state: lines.get(7).copied().unwrap_or_default().to_owned(),
    })
}

/// Whether the process exists, whoever it belongs to.
fn is_alive(pid: i32) -> bool {
    pid > 0 && matches!(kill(Pid::from_raw(pid), None), Ok(()) | Err(Errno::EPERM))
}

/// Whether the process is a PostgreSQL server on `data`: its command line names the folder.
fn is_server_on(pid: i32, data: &Path) -> bool {
    let line = match fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(line) => line,
        Err(error) if error.kind() == io::ErrorKind::NotFound && Path::new("/proc/self").exists() => {
            return false;
        }
        Err(_) => match Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output() {
            Ok(output) => output.stdout,
            // Not to be told: the careful answer is that it is one.
            Err(_) => return true,
        },
    };
    let folder = data.as_os_str().as_bytes();
    line.windows(folder.len()).any(|part| part == folder)
}

fn encode(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: &str = "4242\n/h/postgres\n1780000000\n5432\n/h/socket\n\n  5432001   3\nready   \n";

    #[test]
    fn a_running_server_is_read() {
        let file = parse(RUNNING).unwrap();
        assert_eq!((file.pid, file.port, file.state.as_str()), (4242, 5432, "ready"));
        assert_eq!(file.socket_folder, Path::new("/h/socket"));
    }

    #[test]
    fn half_a_file_is_not_ready() {
        assert_eq!(parse("4242\n/h/postgres\n1780000000\n").unwrap().state, "");
        assert!(parse("").is_none());
        assert!(parse("rubbish\n").is_none());
    }

    #[test]
    fn the_url_holds_the_folder_as_its_host() {
        let address = Address { socket_folder: "/tmp/a b%/ü".into(), port: 5432, pid: 1 };
        assert_eq!(
            address.url("warehouse"),
            "postgres://tradewind@%2Ftmp%2Fa%20b%25%2F%C3%BC:5432/warehouse"
        );
    }

    #[test]
    fn a_stale_file_whose_process_id_was_given_to_another_is_removed() {
        let data = tempfile::tempdir().unwrap();
        let text = RUNNING.replace("4242", &std::process::id().to_string());
        fs::write(path_in(data.path()), text).unwrap();
        settle(data.path()).unwrap();
        assert!(!path_in(data.path()).exists());
    }
}
