//! The structured log of a task runner, as lines for people.

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::UnixStream;

use crate::output::{Output, Source};

/// Longest line that is understood; the rest of a longer one is a line of its own.
const LONGEST: u64 = 1 << 20;
/// Most frames of a traceback that are shown.
const MOST_FRAMES: usize = 100;

/// Copies everything until the stream ends.
pub(super) async fn copy(stream: UnixStream, output: &Output) {
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

fn show(line: &[u8], output: &Output) {
    match serde_json::from_slice::<Value>(line) {
        Ok(event) => {
            let (source, text) = told(&event);
            output.line(source, &text);
        }
        Err(_) => output.line(Source::Stdout, &String::from_utf8_lossy(line)),
    }
}

/// What an event says, and where it belongs.
pub(crate) fn told(event: &Value) -> (Source, String) {
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    let level = text("level");
    let logger = text("logger");
    let begin = match (level, logger) {
        // What a task prints, Airflow logs too; it is the task's own line.
        (_, "task.stdout") => return (Source::Stdout, text("event").to_owned()),
        (_, "task.stderr") => return (Source::Stderr, text("event").to_owned()),
        ("" | "info", "" | "task") => String::new(),
        (level, "" | "task") => format!("{} - ", level.to_uppercase()),
        (level, logger) => format!("{} {logger} - ", level.to_uppercase()),
    };
    let mut whole = format!("{begin}{}", text("event"));
    for error in ["exception", "error_detail"].iter().filter_map(|name| event.get(name)?.as_array()).flatten()
    {
        traceback(error, &mut whole);
    }
    let is_bad = matches!(level, "error" | "critical" | "exception" | "warning");
    (if is_bad { Source::Stderr } else { Source::Stdout }, whole)
}

/// One exception as Python prints it.
fn traceback(error: &Value, whole: &mut String) {
    let text =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    whole.push_str("\nTraceback (most recent call last):");
    for frame in error.get("frames").and_then(Value::as_array).into_iter().flatten().take(MOST_FRAMES) {
        let line = frame.get("lineno").and_then(Value::as_i64).unwrap_or_default();
        whole.push_str(&format!(
            "\n  File \"{}\", line {line}, in {}",
            text(frame, "filename"),
            text(frame, "name")
        ));
    }
    whole.push_str(&format!("\n{}: {}", text(error, "exc_type"), text(error, "exc_value")));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_lines() {
        let say = |event: Value| told(&event).1;
        assert_eq!(say(json!({"level": "info", "logger": "task", "event": "hello"})), "hello");
        assert_eq!(say(json!({"level": "info", "logger": "a.b", "event": "x"})), "INFO a.b - x");
        assert_eq!(told(&json!({"level": "info", "logger": "task.stderr", "event": "x"})).0, Source::Stderr);
        let failed = json!({"level": "error", "logger": "task", "event": "Task failed", "exception": [{
            "exc_type": "ValueError", "exc_value": "no", "frames": [{"filename": "/d.py", "lineno": 3, "name": "f"}]}]});
        let (source, text) = told(&failed);
        assert_eq!(source, Source::Stderr);
        assert!(text.ends_with("  File \"/d.py\", line 3, in f\nValueError: no"), "{text}");
    }
}
