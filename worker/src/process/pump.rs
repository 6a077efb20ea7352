//! Reads what a process writes, as it writes it.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{ChildStderr, ChildStdout};

use crate::output::{Output, Source};

/// How much is read at once: the size of a pipe.
const READ: usize = 64 << 10;
/// How long an unfinished line waits for its end before it is shown.
const PARTIAL: Duration = Duration::from_millis(200);

/// Reads both streams to their ends.
pub(crate) async fn both(stdout: Option<ChildStdout>, stderr: Option<ChildStderr>, output: &Output) {
    tokio::join!(pump(stdout, Source::Stdout, output), pump(stderr, Source::Stderr, output));
}

async fn pump(pipe: Option<impl AsyncRead + Unpin>, source: Source, output: &Output) {
    if let Some(pipe) = pipe {
        stream(pipe, source, output).await;
    }
}

/// Reads one stream to its end.
pub(crate) async fn stream(mut pipe: impl AsyncRead + Unpin, source: Source, output: &Output) {
    // Most tasks write little: the buffer grows with what comes.
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        buffer.reserve(if buffer.capacity() == 0 { 4 << 10 } else { READ });
        let read = pipe.read_buf(&mut buffer);
        let read = match output.partial_since(source) {
            None => read.await,
            Some(since) => match tokio::time::timeout_at(since + PARTIAL, read).await {
                Ok(read) => read,
                Err(_) => {
                    output.flush_partial(source);
                    continue;
                }
            },
        };
        match read {
            Ok(0) | Err(_) => break,
            Ok(_) => {
                output.write(source, &buffer);
                // A progress bar never ends its line and never pauses either.
                if output.partial_since(source).is_some_and(|since| since.elapsed() >= PARTIAL) {
                    output.flush_partial(source);
                }
                output.settle().await;
            }
        }
    }
    output.flush_rest(source);
}
