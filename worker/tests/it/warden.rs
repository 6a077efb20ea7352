//! The warden ends what a killed worker leaves behind.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use worker::Settings;

use crate::site::{self, Site};

/// Set when this binary is started again to play a part.
const PART: &str = "WORKER_TEST_PART";
/// Where the part of the worker finds its things.
const DATABASE: &str = "WORKER_TEST_DATABASE";
const HOME: &str = "WORKER_TEST_HOME";

/// Started again, this is the warden.
#[test]
fn warden_part() {
    if std::env::var(PART).as_deref() == Ok("warden") {
        worker::warden::main().unwrap();
    }
}

/// Started again, this is a worker with one task.
#[test]
fn worker_part() {
    if std::env::var(PART).as_deref() != Ok("worker") {
        return;
    }
    let (url, home) =
        (std::env::var(DATABASE).unwrap(), std::path::PathBuf::from(std::env::var_os(HOME).unwrap()));
    let settings = Settings::new(1, "testhost".to_owned(), home.join("dags"), home.join("scratch"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(site::work_for_ever(&url, settings, warden_command()));
}

/// The command that plays the warden.
fn warden_command() -> Vec<OsString> {
    let program = std::env::current_exe().unwrap().into_os_string();
    let part = OsString::from(format!("{PART}=warden"));
    let args = ["warden::warden_part", "--exact", "--nocapture"].map(OsString::from);
    ["/usr/bin/env".into(), part, program].into_iter().chain(args).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_on_after_a_killed_worker() {
    // One process stays in the group, the other leaves it; both hold the pipe.
    let site =
        Site::new("  t: {bash: 'exec 3>\"$LIFELINE\"; setsid sleep 300 & echo runs >&3; sleep 300'}\n").await;
    let pipe = site.home().join("lifeline");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let mut worker = Command::new(std::env::current_exe().unwrap())
        .args(["warden::worker_part", "--exact", "--nocapture"])
        .envs([(PART, "worker"), (DATABASE, &site.db.url)])
        .env(HOME, site.home())
        .env("LIFELINE", &pipe)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let ended = tokio::task::spawn_blocking(move || {
        let mut seen = BufReader::new(std::fs::File::open(pipe).unwrap());
        let mut line = String::new();
        seen.read_line(&mut line).unwrap();
        assert_eq!(line, "runs\n");
        kill(Pid::from_raw(worker.id().try_into().unwrap()), Signal::SIGKILL).unwrap();
        worker.wait().unwrap();
        seen.read_to_string(&mut line).unwrap();
    });
    tokio::time::timeout(crate::fixture::LIMIT, ended).await.expect("something goes on").unwrap();
}
