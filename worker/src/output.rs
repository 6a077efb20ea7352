//! What a try writes: split into lines, masked, stamped, kept in a spool file and shown live.
//!
//! Memory is bounded whatever a task writes, and nothing here waits for the network: a slow Redis loses live chunks, a
//! slow log storage delays only the archive.

mod archive;
mod carried;
mod last_line;
mod lines;
mod live;
mod shown;
mod spool;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runtime::clock::Clock;
use runtime::logs::{LogLine, Stream};
use serde_json::{Map, Value};
use tokio::time::Instant;

use last_line::LastLine;
use lines::{Lines, pieces};

pub(crate) use archive::Archive;
pub(crate) use carried::Before;
pub(crate) use last_line::Kept;
pub(crate) use live::{Live, Tail};
pub(crate) use runtime::mask::{Masker, secrets_in_json};
pub(crate) use shown::{Hides, shortened, shown};
pub(crate) use spool::{Spool, Spooled};

/// A stream of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Shows lines as they come, for a task that is run in the foreground.
pub type Echo = Arc<dyn Fn(Stream, &str) + Send + Sync>;

/// Where lines go.
pub(crate) enum Sink {
    /// To a spool file and, while the try runs, to the live log.
    Spool(Spool, Arc<Tail>),
    /// To somebody who watches.
    Echo(Echo),
}

/// The output of one try.
pub(crate) struct Output {
    clock: Clock,
    state: Mutex<State>,
    sink: Sink,
}

struct State {
    stdout: Lines,
    stderr: Lines,
    last: LastLine,
    masker: Masker,
    /// What templates became, as it is and as it was shown.
    rendered: Option<(Map<String, Value>, Map<String, Value>)>,
    /// Lines in the format of logs that the spool has not taken yet.
    fresh: Vec<u8>,
    /// The length of the whole log so far.
    length: u64,
}

impl Output {
    /// An empty output.
    pub(crate) fn new(clock: Clock, sink: Sink) -> Output {
        let state = State {
            stdout: Lines::default(),
            stderr: Lines::default(),
            last: LastLine::default(),
            masker: Masker::default(),
            rendered: None,
            fresh: Vec::new(),
            length: 0,
        };
        Output { clock, state: Mutex::new(state), sink }
    }

    /// Hides these texts from now on, wherever they appear.
    pub(crate) fn hide(&self, secrets: impl IntoIterator<Item = String>) {
        self.state().masker.add(secrets);
    }

    /// `text` with everything hidden that must be.
    pub(crate) fn masked(&self, text: &str) -> String {
        self.state().masker.text(text)
    }

    /// A remark of the worker's own.
    pub(crate) fn note(&self, text: &str) {
        self.say(Stream::Tradewind, text);
    }

    /// A line as if the task had written it to its standard output or error.
    pub(crate) fn line(&self, source: Source, text: &str) {
        self.say(source.stream(), text);
    }

    // Secrets are hidden before the text is split: one may have several lines, too short to be known by themselves.
    fn say(&self, stream: Stream, text: &str) {
        let mut state = self.state();
        let text = state.masker.text(text);
        for line in text.lines() {
            self.emit(&mut state, stream, line.as_bytes());
        }
    }

    /// What a process wrote.
    pub(crate) fn write(&self, source: Source, chunk: &[u8]) {
        let state = &mut *self.state();
        let lines = match source {
            Source::Stdout => {
                state.last.feed(chunk);
                &mut state.stdout
            }
            Source::Stderr => &mut state.stderr,
        };
        let (mut taken, masker) = (std::mem::take(lines), std::mem::take(&mut state.masker));
        let emit = |line: &[u8]| self.emit(state, source.stream(), &masker.bytes(line));
        taken.feed(chunk, Instant::now(), &masker, emit);
        state.masker = masker;
        match source {
            Source::Stdout => state.stdout = taken,
            Source::Stderr => state.stderr = taken,
        }
    }

    /// When the last line, which has no end yet, began.
    pub(crate) fn partial_since(&self, source: Source) -> Option<Instant> {
        let state = self.state();
        match source {
            Source::Stdout => state.stdout.partial_since(),
            Source::Stderr => state.stderr.partial_since(),
        }
    }

    /// Shows the last line although it has no end yet. What may be the beginning of a secret is shown with its rest.
    pub(crate) fn flush_partial(&self, source: Source) {
        let state = &mut *self.state();
        let partial = match source {
            Source::Stdout => state.stdout.take_partial_before_secret(&state.masker),
            Source::Stderr => state.stderr.take_partial_before_secret(&state.masker),
        };
        self.emit_partial(state, source, &partial);
    }

    /// Shows the last line: it will never have an end.
    pub(crate) fn flush_rest(&self, source: Source) {
        let state = &mut *self.state();
        let rest = match source {
            Source::Stdout => state.stdout.take_partial(),
            Source::Stderr => state.stderr.take_partial(),
        };
        self.emit_partial(state, source, &rest);
    }

    fn emit_partial(&self, state: &mut State, source: Source, partial: &[u8]) {
        if partial.is_empty() {
            return;
        }
        let masker = std::mem::take(&mut state.masker);
        let masked = masker.bytes(partial);
        pieces(&masked, &masker, &mut |piece| self.emit(state, source.stream(), piece));
        state.masker = masker;
    }

    /// Moves what has piled up to the spool file; waits for the disk when that is slow, and so does the task.
    pub(crate) async fn settle(&self) {
        if let Sink::Spool(spool, _) = &self.sink
            && self.state().fresh.len() >= spool::IN_MEMORY
        {
            spool.write(|| std::mem::take(&mut self.state().fresh)).await;
        }
    }

    /// The last line that was not empty of the standard output.
    pub(crate) fn last_line(&self) -> Kept {
        self.state().last.take()
    }

    /// Ends the output. None when it went to somebody who watched.
    pub(crate) fn finish(self) -> Option<(Spooled, Arc<Tail>)> {
        let fresh = self.state.into_inner().unwrap_or_else(PoisonError::into_inner).fresh;
        match self.sink {
            Sink::Spool(spool, tail) => Some((spool.finish(fresh), tail)),
            Sink::Echo(_) => None,
        }
    }

    // What comes here has no secret in it any more.
    fn emit(&self, state: &mut State, stream: Stream, text: &[u8]) {
        match &self.sink {
            Sink::Echo(echo) => echo(stream, &String::from_utf8_lossy(text)),
            Sink::Spool(spool, tail) => {
                if state.length >= spool.limit() {
                    return;
                }
                let begin = state.fresh.len();
                LogLine::write(&mut state.fresh, self.clock.now(), stream, text);
                let mut written = (state.fresh.len() - begin) as u64;
                if state.length + written >= spool.limit() {
                    let note = format!("the log ends here: it is longer than {} bytes", spool.limit());
                    LogLine::write(&mut state.fresh, self.clock.now(), Stream::Tradewind, note.as_bytes());
                    written = (state.fresh.len() - begin) as u64;
                }
                tail.push(state.length, &state.fresh[begin..]);
                state.length += written;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing here panics while it holds the lock, and half a log is better than none.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    const fn stream(self) -> Stream {
        match self {
            Source::Stdout => Stream::Output,
            Source::Stderr => Stream::Error,
        }
    }
}
