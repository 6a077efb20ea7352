//! The process in which triggers run.

use std::process::ExitStatus;
use std::time::Duration;

use python::message::Reply;
use python::{Channel, Ending, Launch, Target};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::Instant;

use crate::process::Group;
use crate::station::Station;
use crate::warden::Watched;

/// Longest line of a log that is understood; the rest of a longer one is a line of its own.
const LONGEST: usize = 1 << 20;
/// How long what it has logged is still read before what it says counts.
const LAST_LINES: Duration = Duration::from_millis(20);
/// It speaks every second, also when nothing has happened. One that has been silent for so long hangs: a trigger keeps it from going on.
const SILENCE: Duration = Duration::from_secs(60);
/// How long it may take before its first word: it imports a lot.
const BEGINNING: Duration = Duration::from_secs(180);

/// The process.
pub(crate) struct Runner<'a> {
    channel: Channel,
    is_closed: bool,
    is_over: bool,
    death: Ending,
    streams: [Lines; 3],
    group: Group,
    _watched: Option<Watched<'a>>,
    patience: Duration,
    heard: Instant,
}

/// What the process says.
pub(crate) enum Heard {
    /// It asks, and waits for the answer to that number.
    Asked(i64, Value),
    /// A line of its log, or of what triggers print.
    Line(Vec<u8>),
    /// It has ended.
    Ended(Option<ExitStatus>),
}

impl<'a> Runner<'a> {
    /// Starts it.
    ///
    /// # Errors
    /// Why it cannot be started, for people.
    pub(crate) async fn start(station: &'a Station) -> Result<Runner<'a>, String> {
        let nursery = &station.nursery;
        let zygote = nursery.zygote().await?;
        let (environment, folder) = (nursery.bare_environment(), nursery.folder());
        let launch = Launch {
            target: Target::Trigger,
            environment: &environment,
            folder: &folder,
            memory: None,
            file: None,
        };
        let child = zygote.launch(&launch).await.map_err(|error| error.to_string())?;
        let pid = child.pid;
        let group = Group::led_by(pid).ok_or("the fork server gave no process")?;
        let watched = station.warden.as_ref().map(|warden| warden.watch(group));
        let (mut channel, death, [stdout, stderr, logs]) = child.apart();
        let begun = channel.tell(&json!({"type": "StartTriggerer"})).await;
        if let Err(fault) = begun {
            group.kill();
            return Err(format!("the process of triggers ended before it began: {fault}"));
        }
        tracing::info!(pid, "the process of triggers is started");
        Ok(Runner {
            channel,
            is_closed: false,
            is_over: false,
            death,
            streams: [logs, stdout, stderr].map(Lines::new),
            group,
            _watched: watched,
            patience: BEGINNING,
            heard: Instant::now(),
        })
    }

    /// What it says next: first what it has logged, then what it asks, then that it has ended. May be dropped and called again.
    pub(crate) async fn hear(&mut self) -> Heard {
        let [logs, stdout, stderr] = &mut self.streams;
        loop {
            tokio::select! {
                biased;
                line = logs.next() => return Heard::Line(line),
                line = stdout.next() => return Heard::Line(line),
                line = stderr.next() => return Heard::Line(line),
                asked = self.channel.next(), if !self.is_closed => match asked {
                    Ok(Some(asked)) => {
                        (self.heard, self.patience) = (Instant::now(), SILENCE);
                        return Heard::Asked(asked.id, asked.body);
                    }
                    Ok(None) => self.is_closed = true,
                    Err(fault) => {
                        tracing::warn!(%fault, "cannot understand the process of triggers");
                        self.group.kill();
                        self.is_closed = true;
                    }
                },
                end = self.death.wait() => {
                    self.is_over = true;
                    return Heard::Ended(end);
                }
            }
        }
    }

    /// The next line that it has logged already. What it says about a trigger comes after what that has logged.
    pub(crate) async fn line_before(&mut self) -> Option<Vec<u8>> {
        tokio::time::timeout(LAST_LINES, self.streams[0].next()).await.ok()
    }

    /// Answers it.
    pub(crate) async fn answer(&mut self, id: i64, reply: Reply) {
        let written = match reply {
            Reply::Body(body) => self.channel.answer(id, &body).await,
            Reply::Refusal(error) => self.channel.refuse(id, &error).await,
        };
        // One that does not listen any more is about to end.
        if let Err(fault) = written {
            tracing::debug!(%fault, "the process of triggers does not listen");
        }
    }

    /// It has been silent for too long.
    pub(crate) fn hangs(&self) -> bool {
        self.heard.elapsed() > self.patience
    }

    /// Kills it; [`Runner::hear`] tells its end.
    pub(crate) fn kill(&self) {
        self.group.kill();
    }

    /// Ends it, and everything that it has started.
    pub(crate) async fn end(self, grace: Duration) {
        let mut death = self.death;
        if !self.is_over {
            self.group.terminate();
            if tokio::time::timeout(grace, death.wait()).await.is_err() {
                self.group.kill();
                let _ = death.wait().await;
            }
        }
        self.group.end_rest(Duration::ZERO).await;
    }
}

/// The lines of a stream.
struct Lines {
    stream: BufReader<UnixStream>,
    begun: Vec<u8>,
    is_over: bool,
}

impl Lines {
    fn new(stream: UnixStream) -> Lines {
        Lines { stream: BufReader::new(stream), begun: Vec::new(), is_over: false }
    }

    /// The next line; waits for ever when there is none any more. May be dropped and called again.
    async fn next(&mut self) -> Vec<u8> {
        while !self.is_over {
            let room = LONGEST.saturating_sub(self.begun.len()) as u64;
            let read = (&mut self.stream).take(room).read_until(b'\n', &mut self.begun).await;
            self.is_over = !matches!(read, Ok(1..)) && room > 0;
            if self.begun.ends_with(b"\n")
                || self.begun.len() >= LONGEST
                || (self.is_over && !self.begun.is_empty())
            {
                return std::mem::take(&mut self.begun);
            }
        }
        std::future::pending().await
    }
}
