//! The structured log of a task runner, as lines for people.

use futures_util::stream::{FuturesUnordered, StreamExt};
use python::log::{Stream, line};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::output::{Output, Source};

/// Longest line that is understood; the rest of a longer one is a line of its own.
const LONGEST: u64 = 1 << 20;

/// Copies everything until the first stream and those that come later have ended, and no other can come.
pub(super) async fn copy_all(first: UnixStream, mut more: UnboundedReceiver<UnixStream>, output: &Output) {
    let open = FuturesUnordered::from_iter([copy(first, output)]);
    tokio::pin!(open);
    let mut may_come = true;
    loop {
        tokio::select! {
            another = more.recv(), if may_come => match another {
                Some(stream) => open.push(copy(stream, output)),
                None => may_come = false,
            },
            Some(()) = open.next() => {}
            else => return,
        }
    }
}

/// Copies everything until the stream ends.
async fn copy(stream: UnixStream, output: &Output) {
    let mut lines = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut lines).take(LONGEST).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => show(&line, output),
        }
        output.settle().await;
    }
}

fn show(bytes: &[u8], output: &Output) {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(event) => {
            let (source, text) = told(&event);
            output.line(source, &text);
        }
        Err(_) => output.line(Source::Stdout, &String::from_utf8_lossy(bytes)),
    }
}

/// What an event says, and where it belongs.
pub(crate) fn told(event: &Value) -> (Source, String) {
    let (stream, text) = line(event);
    let source = match stream {
        Stream::Out => Source::Stdout,
        Stream::Err => Source::Stderr,
    };
    (source, text)
}
