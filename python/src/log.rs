//! The structured log of Airflow's processes, as lines for people.

use serde_json::Value;

/// Most frames of a traceback that are shown.
const MOST_FRAMES: usize = 100;

/// Where a line belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// What an event of the log says, and where that belongs.
#[must_use]
pub fn line(event: &Value) -> (Stream, String) {
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    let level = text("level");
    let logger = text("logger");
    let begin = match (level, logger) {
        // What a task prints, Airflow logs too; it is the task's own line.
        (_, "task.stdout") => return (Stream::Out, text("event").to_owned()),
        (_, "task.stderr") => return (Stream::Err, text("event").to_owned()),
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
    (if is_bad { Stream::Err } else { Stream::Out }, whole)
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
        let say = |event: Value| line(&event).1;
        assert_eq!(say(json!({"level": "info", "logger": "task", "event": "hello"})), "hello");
        assert_eq!(say(json!({"level": "info", "logger": "a.b", "event": "x"})), "INFO a.b - x");
        assert_eq!(line(&json!({"level": "info", "logger": "task.stderr", "event": "x"})).0, Stream::Err);
        let failed = json!({"level": "error", "logger": "task", "event": "Task failed", "exception": [{
            "exc_type": "ValueError", "exc_value": "no", "frames": [{"filename": "/d.py", "lineno": 3, "name": "f"}]}]});
        let (stream, text) = line(&failed);
        assert_eq!(stream, Stream::Err);
        assert!(text.ends_with("  File \"/d.py\", line 3, in f\nValueError: no"), "{text}");
    }
}
