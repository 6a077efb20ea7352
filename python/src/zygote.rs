//! The fork server: one Python process that has imported Airflow, and forks a child for each task or file.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Command;
use tokio::sync::oneshot;

use crate::channel::Channel;
use crate::ending::Ending;
use crate::packet::{self, Order, Said};

/// What makes the modules and starts the fork server.
const PROGRAM: &str = include_str!("../bridge/boot.py");
/// The bridge's modules. Each comes after those that it imports.
const MODULES: [(&str, &str); 18] = [
    ("notices", include_str!("../bridge/notices.py")),
    ("names", include_str!("../bridge/names.py")),
    ("stand_ins", include_str!("../bridge/stand_ins.py")),
    ("moved", include_str!("../bridge/moved.py")),
    ("arguments", include_str!("../bridge/arguments.py")),
    ("context", include_str!("../bridge/context.py")),
    ("plugins", include_str!("../bridge/plugins.py")),
    ("deadline", include_str!("../bridge/deadline.py")),
    ("reading", include_str!("../bridge/reading.py")),
    ("wire", include_str!("../bridge/wire.py")),
    ("orphans", include_str!("../bridge/orphans.py")),
    ("pages", include_str!("../bridge/pages.py")),
    ("witness", include_str!("../bridge/witness.py")),
    ("rehearsal", include_str!("../bridge/rehearsal.py")),
    ("other_user", include_str!("../bridge/other_user.py")),
    ("kept", include_str!("../bridge/kept.py")),
    ("nests", include_str!("../bridge/nests.py")),
    ("zygote", include_str!("../bridge/zygote.py")),
];
/// How long it may take to import Airflow.
const PATIENCE: Duration = Duration::from_secs(120);
/// How much of what it writes on its standard error is kept for messages, in bytes.
const LAST_WORDS: usize = 4 << 10;

/// What a child does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Runs one try of a task.
    Task,
    /// Reads one DAG file, or runs callbacks of DAGs in it.
    Parse,
    /// Runs triggers, many beside each other, until it is told to end.
    Trigger,
}

/// How a fork server is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The Python interpreter of an environment that has Airflow.
    pub interpreter: PathBuf,
    /// The whole environment of the server, and what Airflow reads of its configuration when it is imported.
    pub environment: Vec<(String, String)>,
    /// Modules to import beside Airflow itself. One that cannot be imported is left out.
    pub preload: Vec<String>,
}

/// A DAG file as Airflow names it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct DagFile<'a> {
    /// The name of the bundle that it belongs to.
    pub bundle: &'a str,
    /// Its path in there.
    pub path: &'a str,
}

/// What a child is started with.
#[derive(Debug, Clone)]
pub struct Launch<'a> {
    /// What it does.
    pub target: Target,
    /// Its whole environment.
    pub environment: &'a [(String, String)],
    /// The folder that it starts in.
    pub folder: &'a str,
    /// Most bytes of memory that it may map; none is no limit.
    pub memory: Option<u64>,
    /// The DAG file of a task: where the server has kept what was read of it, the task need not read it.
    pub file: Option<DagFile<'a>>,
}

/// A child that runs. It leads a process group of its own.
#[derive(Debug)]
pub struct Child {
    /// Its process.
    pub pid: u32,
    /// Where it asks.
    pub channel: Channel,
    /// What it prints.
    pub stdout: UnixStream,
    /// What it prints on its standard error.
    pub stderr: UnixStream,
    /// What it logs: a JSON object in each line.
    pub logs: UnixStream,
    end: Ending,
}

/// Why there is no child, or no server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The interpreter cannot be started.
    #[error("cannot start {}: {reason}", .interpreter.display())]
    Interpreter {
        /// The interpreter.
        interpreter: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Airflow cannot be used in this environment.
    #[error("the Python environment cannot run Airflow: {0}")]
    Unfit(String),
    /// The server has ended.
    #[error("the fork server ended{0}")]
    Gone(String),
    /// The server did not start a child.
    #[error("the fork server started no process: {0}")]
    Refused(String),
    /// Its sockets cannot be made or used.
    #[error("cannot speak to the fork server: {0}")]
    Io(#[from] std::io::Error),
}

/// A fork server. It ends when this is dropped; children that it started live on.
#[derive(Debug)]
pub struct Zygote {
    control: tokio::sync::Mutex<OwnedWriteHalf>,
    shared: Arc<Shared>,
    next: AtomicU64,
    pid: u32,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    last_words: Mutex<String>,
}

#[derive(Debug, Default)]
struct State {
    is_gone: bool,
    ordered: HashMap<u64, oneshot::Sender<Result<Launched, String>>>,
    running: HashMap<u32, oneshot::Sender<ExitStatus>>,
}

#[derive(Debug)]
struct Launched {
    pid: u32,
    ended: oneshot::Receiver<ExitStatus>,
}

impl Child {
    /// Its parts: where it asks, how it ends, and its standard output, standard error and log.
    #[must_use]
    pub fn apart(self) -> (Channel, Ending, [UnixStream; 3]) {
        (self.channel, self.end, [self.stdout, self.stderr, self.logs])
    }
}

impl Zygote {
    /// Starts a server and waits until it has imported Airflow: some seconds.
    ///
    /// # Errors
    /// When the interpreter cannot be started, has no usable Airflow, or takes too long.
    pub async fn start(setup: &Setup) -> Result<Self, Error> {
        let (ours, theirs) = StdStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut server = Command::new(&setup.interpreter)
            .args(["-P", "-c", PROGRAM])
            .arg(serde_json::json!(MODULES).to_string())
            .args(&setup.preload)
            .env_clear()
            .envs(setup.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Error::Interpreter {
                interpreter: setup.interpreter.clone(),
                reason: error.to_string(),
            })?;
        let shared = Arc::new(Shared::default());
        if let Some(stderr) = server.stderr.take() {
            tokio::spawn(listen(BufReader::new(stderr), Arc::clone(&shared)));
        }
        let (mut from, control) = UnixStream::from_std(ours)?.into_split();
        match tokio::time::timeout(PATIENCE, packet::receive(&mut from)).await {
            Ok(Ok(Some(Said::Ready { threads }))) if threads.is_empty() => {}
            Ok(Ok(Some(Said::Ready { threads }))) => {
                let names = threads.join(", ");
                return Err(Error::Unfit(format!(
                    "importing it starts threads ({names}), which a fork would lose"
                )));
            }
            Ok(Ok(Some(Said::Unfit { reason }))) => return Err(Error::Unfit(reason)),
            Ok(Ok(Some(
                Said::Launched { .. } | Said::Refused { .. } | Said::Ended { .. } | Said::Apart { .. },
            ))) => {
                return Err(Error::Unfit("the fork server spoke out of turn".to_owned()));
            }
            Ok(Ok(None)) => return Err(Error::Gone(shared.words_after_its_end(&mut server).await)),
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => return Err(Error::Unfit(format!("importing it took longer than {PATIENCE:?}"))),
        }
        let pid = server.id().unwrap_or_default();
        tokio::spawn(Arc::clone(&shared).hear(from, server));
        Ok(Self { control: tokio::sync::Mutex::new(control), shared, next: AtomicU64::new(1), pid })
    }

    /// The process of the server.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it has ended, so that another one is needed.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.shared.lock().is_gone
    }

    /// Starts a child.
    ///
    /// # Errors
    /// When the server has ended or cannot fork.
    pub async fn launch(&self, launch: &Launch<'_>) -> Result<Child, Error> {
        let (channel, requests) = pair()?;
        let (stdout, out) = pair()?;
        let (stderr, err) = pair()?;
        let (logs, log) = pair()?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let launched = self.shared.expect(number)?;
        let order = Order {
            launch: number,
            target: launch.target,
            environment: launch.environment,
            folder: launch.folder,
            memory: launch.memory,
            file: launch.file,
        };
        packet::send(&mut *self.control.lock().await, &order, &[&requests, &out, &err, &log]).await?;
        match launched.await {
            Ok(Ok(Launched { pid, ended })) => {
                let end = Ending::of(pid, ended);
                Ok(Child { pid, channel: Channel::new(channel), stdout, stderr, logs, end })
            }
            Ok(Err(reason)) => Err(Error::Refused(reason)),
            Err(_) => Err(Error::Gone(self.shared.words())),
        }
    }
}

fn pair() -> std::io::Result<(UnixStream, OwnedFd)> {
    let (ours, theirs) = StdStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((UnixStream::from_std(ours)?, theirs.into()))
}

/// Keeps the end of what the server says on its standard error, and tells the log.
async fn listen(mut stderr: BufReader<tokio::process::ChildStderr>, shared: Arc<Shared>) {
    let mut line = Vec::new();
    while stderr.read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        tracing::warn!("fork server: {text}");
        let mut words = shared.last_words.lock().unwrap_or_else(PoisonError::into_inner);
        words.push('\n');
        words.push_str(&text);
        if words.len() > LAST_WORDS {
            let kept = words.char_indices().map(|(at, _)| at).find(|at| words.len() - at <= LAST_WORDS);
            words.drain(..kept.unwrap_or_default());
        }
        line.clear();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn words(&self) -> String {
        let words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
        if words.is_empty() { String::new() } else { format!("; it said:{words}") }
    }

    async fn words_after_its_end(&self, server: &mut tokio::process::Child) -> String {
        // Its last words are in the pipe when it has ended.
        let ended = server.wait().await;
        tokio::task::yield_now().await;
        let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
        format!(" ({how}){}", self.words())
    }

    fn expect(&self, number: u64) -> Result<oneshot::Receiver<Result<Launched, String>>, Error> {
        let (to, from) = oneshot::channel();
        let mut state = self.lock();
        if state.is_gone {
            drop(state);
            return Err(Error::Gone(self.words()));
        }
        state.ordered.insert(number, to);
        Ok(from)
    }

    async fn hear(self: Arc<Self>, mut from: OwnedReadHalf, mut server: tokio::process::Child) {
        loop {
            match packet::receive(&mut from).await {
                Ok(Some(said)) => self.take_in(said),
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "cannot understand the fork server");
                    break;
                }
            }
        }
        // Whoever waits learns it by the loss of its sender.
        *self.lock() = State { is_gone: true, ..State::default() };
        let _already_ended = server.start_kill();
        let _reaped = server.wait().await;
    }

    fn take_in(&self, said: Said) {
        let mut state = self.lock();
        match said {
            Said::Launched { launch, pid } => {
                // The one who listens for the end is there before the next word can be heard.
                let (to, ended) = oneshot::channel();
                state.running.insert(pid, to);
                if let Some(order) = state.ordered.remove(&launch) {
                    let _given_up = order.send(Ok(Launched { pid, ended }));
                }
            }
            Said::Refused { launch, reason } => {
                if let Some(order) = state.ordered.remove(&launch) {
                    let _given_up = order.send(Err(reason));
                }
            }
            Said::Ended { pid, status } => {
                if let Some(child) = state.running.remove(&pid) {
                    let _given_up = child.send(ExitStatus::from_raw(status));
                }
            }
            Said::Apart { file, reason } => {
                tracing::info!(file, reason, "every task reads this DAG file itself");
            }
            Said::Ready { .. } | Said::Unfit { .. } => tracing::warn!("the fork server spoke out of turn"),
        }
    }
}
