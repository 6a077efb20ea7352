//! An error of a DAG file with its place in the file.

use chrono::{DateTime, Utc};
use store::import_error::ImportError;

use super::{parts::Moment, words};

/// An error and its place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) file: String,
    /// Counted from 1.
    pub(crate) line: Option<i32>,
    /// Counted from 1.
    pub(crate) column: Option<i32>,
    pub(crate) text: String,
    pub(crate) hint: Option<String>,
    pub(crate) when: Moment,
    pub(crate) lines: Vec<FrameLine>,
}

/// A line of the file around an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FrameLine {
    pub(crate) number: String,
    pub(crate) text: String,
    /// Whether the error is in this line.
    pub(crate) bad: bool,
    /// Spaces and carets under the place.
    pub(crate) caret: Option<String>,
}

impl Frame {
    /// An error as the reader at `now` should see it.
    pub(crate) fn new(error: ImportError, now: DateTime<Utc>) -> Self {
        Self {
            file: error.file,
            line: error.line,
            column: error.column,
            text: error.message,
            hint: error.hint,
            when: words::moment(error.seen_at, now),
            lines: error.snippet.as_deref().map(lines).unwrap_or_default(),
        }
    }
}

/// Takes a drawn snippet (`5 |     retrys: 3`, then a line of carets without a number) apart again.
fn lines(snippet: &str) -> Vec<FrameLine> {
    let mut lines: Vec<FrameLine> = Vec::new();
    for drawn in snippet.lines() {
        let (number, text) = drawn.split_once('|').unwrap_or(("", drawn));
        let (number, text) = (number.trim(), text.strip_prefix(' ').unwrap_or(text));
        match lines.last_mut() {
            Some(last) if number.is_empty() && text.trim_start().starts_with('^') => {
                (last.bad, last.caret) = (true, Some(text.to_owned()));
            }
            Some(_) | None if number.is_empty() => {}
            Some(_) | None => {
                let (number, text) = (number.to_owned(), text.to_owned());
                lines.push(FrameLine { number, text, bad: false, caret: None });
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn a_drawn_snippet_is_taken_apart() {
        let lines = lines("  |\n4 |     bash: a | b\n5 |     retrys: 3\n  |     ^^^^^^");
        let told: Vec<_> =
            lines.iter().map(|line| (line.number.as_str(), line.text.as_str(), line.bad)).collect();
        assert_eq!(told, [("4", "    bash: a | b", false), ("5", "    retrys: 3", true)]);
        assert_eq!(lines[1].caret.as_deref(), Some("    ^^^^^^"));
    }

    #[test]
    fn a_snippet_in_another_form_is_no_frame() {
        assert!(lines("").is_empty());
        assert!(lines("Traceback (most recent call last)").is_empty());
    }
}
