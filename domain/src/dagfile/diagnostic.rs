//! What is wrong in a file, said so that it can be put right without opening the documentation.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::node::{At, printable, shown};

/// Most problems told about one file; the last one then counts the rest.
pub const MAX_DIAGNOSTICS: usize = 100;

/// One problem of a DAG file.
///
/// Its `Display` is what a compiler prints: place, problem, remedy, and the offending lines with a caret below.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The file's name as the caller gave it.
    pub file: String,
    /// Counts from 1.
    pub line: u32,
    /// Counts from 1, in characters.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The lines around it with their numbers, then a line with a caret below the place; to be shown in a fixed-width font.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snippet: Vec<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        for line in &self.snippet {
            write!(f, "\n{line}")?;
        }
        Ok(())
    }
}

/// A problem on its way to becoming a [`Diagnostic`].
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) at: At,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Problem {
    pub(super) fn new(at: At, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn maybe(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// Says in front to what it belongs.
    pub(super) fn of(mut self, owner: &str) -> Self {
        self.message = format!("{owner}: {}", self.message);
        self
    }
}

/// The lines of the file that is being read, and the problems found so far.
pub(super) struct Report<'a> {
    file: &'a str,
    lines: Vec<&'a str>,
    found: Vec<Diagnostic>,
    untold: usize,
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, lines: text.lines().collect(), found: Vec::new(), untold: 0 }
    }

    /// Problems so far.
    pub(super) const fn count(&self) -> usize {
        self.found.len() + self.untold
    }

    /// Nothing more will be told: suggestions are no longer worth computing.
    pub(super) const fn is_full(&self) -> bool {
        self.found.len() >= MAX_DIAGNOSTICS
    }

    pub(super) fn add(&mut self, problem: Problem) {
        if self.is_full() {
            self.untold += 1;
            return;
        }
        let Problem { at, message, hint } = problem;
        self.found.push(Diagnostic {
            file: printable(self.file),
            line: at.line,
            column: at.column,
            message: printable(&message),
            hint: hint.as_deref().map(printable),
            snippet: frame(&self.lines, at),
        });
    }

    /// All of them, in the order of the file.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        if self.untold > 0
            && let Some(last) = self.found.last_mut()
        {
            last.message = format!("{}; and {} more problems", last.message, self.untold);
        }
        self.found
    }
}

/// Longest piece of a line that is shown, in characters.
const WIDEST: usize = 100;

fn frame(lines: &[&str], at: At) -> Vec<String> {
    let index = at.line.saturating_sub(1) as usize;
    let Some(line) = lines.get(index) else {
        return Vec::new();
    };
    let column = at.column.saturating_sub(1) as usize;
    let from = column.saturating_sub(WIDEST / 2).min(line.chars().count().saturating_sub(WIDEST));
    let gutter = at.line.to_string().len();
    let mut shown = vec![format!("{:gutter$} |", "")];
    if let Some(before) =
        index.checked_sub(1).and_then(|before| lines.get(before)).filter(|text| !text.trim().is_empty())
    {
        shown.push(format!("{:gutter$} | {}", at.line - 1, window(before, from)).trim_end().to_owned());
    }
    let text = window(line, from);
    let indent = column.saturating_sub(from);
    let room = text.chars().count().saturating_sub(indent).max(1);
    let carets = "^".repeat((at.width as usize).clamp(1, room));
    shown.push(format!("{} | {text}", at.line).trim_end().to_owned());
    shown.push(format!("{:gutter$} | {:indent$}{carets}", "", ""));
    shown
}

/// One character for each character, so that the caret below stays in its place.
fn window(line: &str, from: usize) -> String {
    let plain = |c: char| {
        if c == '\t' {
            ' '
        } else if c.is_control() {
            '\u{fffd}'
        } else {
            c
        }
    };
    line.chars().skip(from).take(WIDEST).map(plain).collect()
}

/// Puts words between commas, the last two joined by `word`: `a`, `b` or `c`.
pub(super) fn alternatives<'t>(texts: impl IntoIterator<Item = &'t str>, word: &str) -> String {
    let quoted: Vec<String> = texts.into_iter().map(|text| format!("`{}`", shown(text))).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} {word} {last}", most.join(", ")),
    }
}
