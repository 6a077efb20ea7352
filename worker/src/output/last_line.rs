//! The last line of a task's output, which becomes its result.

/// The longest line that is kept, in bytes.
pub(crate) const LONGEST: usize = 64 << 10;

/// Keeps the last line that is not blank.
#[derive(Debug, Default)]
pub(crate) struct LastLine {
    last: Option<Line>,
    current: Line,
}

#[derive(Debug, Default)]
struct Line {
    text: Vec<u8>,
    too_long: bool,
}

/// What is known of the last line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Nothing but blank lines was written.
    Nothing,
    /// The line, without white space at its end.
    Text(String),
    /// It was longer than [`LONGEST`].
    TooLong,
}

impl LastLine {
    /// Takes what was written.
    pub(crate) fn feed(&mut self, chunk: &[u8]) {
        let Some(end) = chunk.iter().rposition(|byte| *byte == b'\n') else {
            return self.current.extend(chunk);
        };
        let (lines, rest) = (&chunk[..end], &chunk[end + 1..]);
        // Only the last line of the chunk that is not blank matters; its first line continues what came before.
        let first = lines.iter().position(|byte| *byte == b'\n').unwrap_or(lines.len());
        let others = &lines[first..];
        match others.split(|byte| *byte == b'\n').rev().find(|line| !is_blank(line)) {
            Some(line) => {
                self.current = Line::default();
                self.current.extend(line);
            }
            None => self.current.extend(&lines[..first]),
        }
        self.end_line();
        self.current.extend(rest);
    }

    /// The last line, including one without an end. Empties this.
    pub(crate) fn take(&mut self) -> Kept {
        self.end_line();
        match self.last.take() {
            None => Kept::Nothing,
            Some(line) if line.too_long => Kept::TooLong,
            Some(line) => Kept::Text(String::from_utf8_lossy(&line.text).trim_end().to_owned()),
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.current);
        if line.too_long || !is_blank(&line.text) {
            self.last = Some(line);
        }
    }
}

impl Line {
    fn extend(&mut self, text: &[u8]) {
        if self.text.len() + text.len() > LONGEST {
            self.too_long = true;
            self.text = Vec::new();
        } else if !self.too_long {
            self.text.extend_from_slice(text);
        }
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(&["one\ntwo\n"], "two")]
    #[test_case(&["one\ntwo"], "two" ; "without an end")]
    #[test_case(&["one\n", "\n \t\n\n"], "one" ; "blank lines")]
    #[test_case(&["on", "e\n\n"], "one" ; "split")]
    #[test_case(&["a\nb", "c\n\nd", "\n", "\r\n"], "d" ; "split again")]
    #[test_case(&["half", " line\nlast  \r\n"], "last" ; "white space at the end")]
    fn the_last_line_counts(chunks: &[&str], kept: &str) {
        let mut last = LastLine::default();
        chunks.iter().for_each(|chunk| last.feed(chunk.as_bytes()));
        assert_eq!(last.take(), Kept::Text(kept.to_owned()));
    }

    #[test]
    fn no_line_is_no_result() {
        let mut last = LastLine::default();
        assert_eq!(last.take(), Kept::Nothing);
        last.feed(b"\n\n  ");
        assert_eq!(last.take(), Kept::Nothing);
    }

    #[test]
    fn what_is_too_long_is_said_and_not_kept() {
        let mut last = LastLine::default();
        last.feed(b"short\n");
        (0..20).for_each(|_| last.feed(&[b'x'; 10_000]));
        last.feed(b"\n");
        assert_eq!(last.take(), Kept::TooLong);
    }
}
