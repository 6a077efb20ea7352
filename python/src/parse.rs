//! Reading a DAG file: Airflow's own parser in a child, within limits of time, memory and output.

use std::collections::{BTreeMap, VecDeque};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::channel::{Channel, Fault};
use crate::frame::Asked;
use crate::message::{Reply, Request as Asking};
use crate::zygote::{Child, Error, Launch, Target, Zygote};

/// How long a child may take to end once it has told what came of the file.
const OVERTIME: Duration = Duration::from_secs(2);
/// How long what it printed is still read when it has ended.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// The variable of its environment in which a child finds [`Request::last_runs`].
const LAST_RUNS: &str = "TRADEWIND_LAST_RUNS";
/// The variable of its environment in which a child finds [`Request::question`].
const QUESTION: &str = "TRADEWIND_QUESTION";
/// The variable of its environment in which a child finds [`Request::deadline`].
const DEADLINE: &str = "TRADEWIND_DEADLINE";

/// Which file is read.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Its absolute path.
    pub file: &'a str,
    /// The folder of DAG files, absolute.
    pub folder: &'a str,
    /// The name of that folder as a DAG bundle of Airflow's.
    pub bundle: &'a str,
    /// The last run by schedule of its DAGs, for timetables that plugins bring: by the id of the DAG, the start and the end of the data
    /// interval and the moment from which on it could start, in microseconds since 1970.
    pub last_runs: &'a BTreeMap<String, [i64; 3]>,
    /// Callbacks to run instead, in the form of Airflow's `CallbackRequest`.
    pub callbacks: &'a [Value],
    /// What is asked of a timetable that a plugin brings, instead of reading the file: `domain`'s `timetable::asked::Question`.
    pub question: Option<&'a Value>,
    /// The callback of a deadline to run instead: its `path`, `kwargs` as Airflow's `sdk/serde` writes them, `is_async`, and the `context`.
    pub deadline: Option<&'a Value>,
    /// The whole environment of the child.
    pub environment: &'a [(String, String)],
}

impl Request<'_> {
    const fn calls(&self) -> bool {
        !self.callbacks.is_empty() || self.deadline.is_some()
    }
}

/// What a file may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// After so long its child is ended.
    pub time: Duration,
    /// Most bytes of memory that it may map.
    pub memory: Option<u64>,
    /// So much of what it prints is kept for messages, in bytes.
    pub output: usize,
}

impl Default for Limits {
    /// Airflow's 50 seconds (`[dag_processor] dag_file_processor_timeout`), 2 GiB, 8 KiB.
    fn default() -> Self {
        Self { time: Duration::from_secs(50), memory: Some(2 << 30), output: 8 << 10 }
    }
}

/// Who answers what a file asks while it is read.
pub trait Answers: Send + Sync {
    /// Answers a question about variables or connections.
    fn answer(&self, asking: Asking) -> BoxFuture<'_, Reply>;
}

/// What came of a file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parsed {
    /// Its DAGs as Airflow serializes them (`{"__version": 3, "dag": {...}}`).
    pub dags: Vec<Value>,
    /// Tracebacks, by the file that could not be read.
    pub errors: BTreeMap<String, String>,
    /// What is strange about it.
    pub warnings: Vec<String>,
    /// What it uses of older versions of Airflow, as far as that is understood.
    pub old: Vec<Old>,
    /// The files below the folder that were read on the way, itself among them: modules that it imports, and whatever it opens.
    pub read: Vec<Touched>,
    /// What the timetable answered that was asked.
    pub answer: Option<Value>,
    /// The end of what it printed.
    pub printed: String,
    /// How many bytes it printed in all.
    pub printed_bytes: u64,
}

/// A place in a DAG file that uses something of an older version of Airflow.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Old {
    /// The absolute path of the file.
    pub file: String,
    /// The line in it.
    pub line: u32,
    /// What it uses, and what there is now.
    pub text: String,
}

/// A file that was read, as it was just before.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Touched {
    /// Its absolute path.
    pub path: PathBuf,
    /// When it was changed last: nanoseconds since 1970.
    pub modified: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// What the bridge adds to what Airflow's parser tells.
#[derive(Debug, Default, Deserialize)]
struct Added {
    old: Vec<Old>,
    read: Vec<Touched>,
    #[serde(default)]
    answer: Option<Value>,
}

/// Why nothing came of a file.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No child could be started.
    #[error(transparent)]
    Start(#[from] Error),
    /// It took too long.
    #[error("reading it took longer than {0:?}; move slow work from the top of the file into its tasks")]
    TooSlow(Duration),
    /// The child ended without a word.
    #[error("the process that read it {how}{printed}")]
    Died {
        /// How it ended.
        how: String,
        /// What it printed last.
        printed: String,
    },
    /// The child said what nobody can understand.
    #[error(transparent)]
    Conversation(#[from] Fault),
}

/// Reads a DAG file, or runs callbacks of DAGs in it.
///
/// # Errors
/// When the child could not be started, took too long, or died. What is wrong in the file itself is in the answer.
pub async fn parse(
    zygote: &Zygote,
    request: &Request<'_>,
    limits: Limits,
    answers: &dyn Answers,
) -> Result<Parsed, Failure> {
    let mut environment = request.environment.to_vec();
    if !request.last_runs.is_empty() {
        environment.push((LAST_RUNS.to_owned(), json!(request.last_runs).to_string()));
    }
    if let Some(question) = request.question {
        environment.push((QUESTION.to_owned(), question.to_string()));
    }
    if let Some(deadline) = request.deadline {
        environment.push((DEADLINE.to_owned(), deadline.to_string()));
    }
    let launch = Launch {
        target: Target::Parse,
        environment: &environment,
        folder: request.folder,
        memory: limits.memory,
        file: None,
    };
    let child = zygote.launch(&launch).await?;
    let printed = Tail::new(limits.output);
    let read = supervise(child, request, limits, answers, &printed).await;
    match read {
        Ok(mut parsed) => {
            parsed.printed = printed.text();
            parsed.printed_bytes = printed.total.load(Ordering::Relaxed);
            Ok(parsed)
        }
        Err(Failure::Died { how, .. }) => Err(Failure::Died { how, printed: printed.quoted() }),
        Err(failure) => Err(failure),
    }
}

async fn supervise(
    child: Child,
    request: &Request<'_>,
    limits: Limits,
    answers: &dyn Answers,
    printed: &Tail,
) -> Result<Parsed, Failure> {
    // Whatever happens, nothing of it lives on.
    let group = Group(child.pid);
    let deadline = Instant::now() + limits.time;
    let (mut channel, mut end, output) = child.apart();
    let conversation = converse(&mut channel, request, answers);
    let reading = async {
        let [out, err, log] = output;
        tokio::join!(printed.take(out), printed.take(err), printed.take(log));
    };
    tokio::pin!(reading);
    let mut is_silent = false;
    let told = {
        let conversation = timeout_at(deadline, conversation);
        tokio::pin!(conversation);
        loop {
            tokio::select! {
                told = &mut conversation => break told,
                _ = &mut reading, if !is_silent => is_silent = true,
            }
        }
    };
    let told = told.map_err(|_| Failure::TooSlow(limits.time))??;
    let last = async {
        let ended = end.wait().await;
        if !is_silent {
            // What it started and left behind may hold its output open for ever.
            let _open_for_ever = timeout(LAST_WORDS, &mut reading).await;
        }
        ended
    };
    let ended = timeout_at(deadline.min(Instant::now() + OVERTIME), last).await;
    drop(group);
    match (told, ended) {
        (Some(parsed), _) => Ok(parsed),
        // A callback has nothing to tell.
        (None, Ok(Some(status))) if status.success() && request.calls() => Ok(Parsed::default()),
        (None, ended) => Err(Failure::Died { how: how(ended.ok().flatten()), printed: String::new() }),
    }
}

/// Speaks with the child until it has told what came of the file, or has closed its side.
async fn converse(
    channel: &mut Channel,
    request: &Request<'_>,
    answers: &dyn Answers,
) -> Result<Option<Parsed>, Failure> {
    let first = json!({
        "type": "DagFileParseRequest", "file": request.file, "bundle_path": request.folder,
        "bundle_name": request.bundle, "callback_requests": request.callbacks,
    });
    channel.tell(&first).await?;
    while let Some(Asked { id, body }) = channel.next().await? {
        let kind = body.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let reply = match Asking::deserialize(body) {
            Ok(Asking::DagFileParsingResult { serialized_dags, import_errors, warnings }) => {
                channel.answer(id, &Value::Null).await?;
                return Ok(Some(parsed(serialized_dags, import_errors, warnings)));
            }
            Ok(asking) => answers.answer(asking).await,
            Err(error) => {
                Reply::refusal(400, &format!("`{kind}` cannot be asked while a DAG file is read ({error})"))
            }
        };
        match reply {
            Reply::Body(body) => channel.answer(id, &body).await?,
            Reply::Refusal(error) => channel.refuse(id, &error).await?,
        }
    }
    Ok(None)
}

fn parsed(
    dags: Vec<Value>,
    errors: Option<serde_json::Map<String, Value>>,
    warnings: Option<Vec<Value>>,
) -> Parsed {
    let text = |value: Value| match value {
        Value::String(text) => text,
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            other.to_string()
        }
    };
    let (added, warnings): (Vec<Value>, Vec<Value>) =
        warnings.into_iter().flatten().partition(|warning| warning.get("tradewind").is_some());
    let added = added.into_iter().next().and_then(|mut added| added.get_mut("tradewind").map(Value::take));
    let Added { old, read, answer } =
        added.and_then(|added| Added::deserialize(added).ok()).unwrap_or_default();
    Parsed {
        dags: dags.into_iter().filter_map(|mut dag| dag.get_mut("data").map(Value::take)).collect(),
        errors: errors.into_iter().flatten().map(|(file, trace)| (file, text(trace))).collect(),
        warnings: warnings.into_iter().map(text).collect(),
        old,
        read,
        answer,
        printed: String::new(),
        printed_bytes: 0,
    }
}

fn how(status: Option<ExitStatus>) -> String {
    match status {
        Some(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("ended with exit code {code} before it was done"),
            (None, Some(9)) => "was killed; the machine may be short of memory".to_owned(),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "ended in an unknown way".to_owned(),
        },
        None => "ended in an unknown way".to_owned(),
    }
}

/// A process group that is killed when this is dropped.
struct Group(u32);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.0).ok().filter(|pid| *pid > 1) {
            // There is nobody left in the usual case.
            let _nobody_left = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// The end of what a process prints.
struct Tail {
    limit: usize,
    kept: Mutex<VecDeque<u8>>,
    /// How much there was.
    total: AtomicU64,
}

impl Tail {
    fn new(limit: usize) -> Self {
        Self { limit, kept: Mutex::default(), total: AtomicU64::new(0) }
    }

    /// Reads a stream to its end. However much there is, only the end is kept.
    async fn take(&self, mut stream: UnixStream) {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            self.total.fetch_add(read as u64, Ordering::Relaxed);
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend(&buffer[..read]);
            let surplus = kept.len().saturating_sub(self.limit);
            kept.drain(..surplus);
        }
    }

    fn text(&self) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (a, b) = kept.as_slices();
        String::from_utf8_lossy(&[a, b].concat()).trim().to_owned()
    }

    fn quoted(&self) -> String {
        let text = self.text();
        if text.is_empty() { text } else { format!("; it printed last:\n{text}") }
    }
}
