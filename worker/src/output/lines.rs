//! Splits what a process writes into lines.

use tokio::time::Instant;

/// A line longer than this is shown in pieces.
const LONGEST: usize = 16 << 10;

/// A stream on its way into lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    partial: Vec<u8>,
    since: Option<Instant>,
}

impl Lines {
    /// Takes a chunk and gives each line that is complete now, without its end.
    pub(crate) fn feed(&mut self, chunk: &[u8], now: Instant, mut line: impl FnMut(&[u8])) {
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (head, tail) = (&rest[..end], &rest[end + 1..]);
            if self.partial.is_empty() {
                pieces(head, &mut line);
            } else {
                self.partial.extend_from_slice(head);
                pieces(&self.partial, &mut line);
                self.partial.clear();
            }
            rest = tail;
        }
        self.keep(rest, now, line);
    }

    /// When the unfinished line began, if there is one.
    pub(crate) fn partial_since(&self) -> Option<Instant> {
        self.since.filter(|_| !self.partial.is_empty())
    }

    /// Takes the unfinished line as it is.
    pub(crate) fn take_partial(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.partial)
    }

    fn keep(&mut self, rest: &[u8], now: Instant, mut line: impl FnMut(&[u8])) {
        if self.partial.is_empty() {
            self.since = Some(now);
        }
        self.partial.extend_from_slice(rest);
        while self.partial.len() > LONGEST {
            let at = cut(&self.partial);
            line(trimmed(&self.partial[..at]));
            self.partial.drain(..at);
            self.since = Some(now);
        }
    }
}

fn pieces(mut text: &[u8], line: &mut impl FnMut(&[u8])) {
    while text.len() > LONGEST {
        let (head, tail) = text.split_at(cut(text));
        line(head);
        text = tail;
    }
    line(trimmed(text));
}

/// Where to cut a long line: after a space when one is near, so that no word (and no secret) is torn, else between
/// two characters.
fn cut(text: &[u8]) -> usize {
    let near = &text[LONGEST - 1024..LONGEST];
    if let Some(space) = near.iter().rposition(|byte| byte.is_ascii_whitespace()) {
        return LONGEST - 1024 + space + 1;
    }
    let inner = |at: usize| text[at] & 0b1100_0000 == 0b1000_0000;
    (LONGEST - 3..=LONGEST).rev().find(|at| !inner(*at)).unwrap_or(LONGEST)
}

/// Without the carriage return of a line that ends as Windows has it.
fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

const _: () = assert!(LONGEST <= 16 * 1024, "a piece must fit into a line of the log");

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&str]) -> (Vec<String>, String) {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.feed(chunk.as_bytes(), Instant::now(), |line| {
                found.push(String::from_utf8(line.to_vec()).unwrap())
            });
        }
        let rest = lines.take_partial();
        (found, String::from_utf8(rest).unwrap())
    }

    #[test]
    fn lines_are_put_together_from_chunks() {
        let (lines, rest) = split(&["on", "e\ntwo\r\n\nth", "ree"]);
        assert_eq!((lines, rest), (vec!["one".into(), "two".into(), String::new()], "three".into()));
    }

    #[test]
    fn long_lines_come_in_pieces_that_lose_nothing() {
        for text in ["x".repeat(50_000), "€".repeat(20_000), "some words ".repeat(5_000)] {
            for chunks in [vec![text.as_str(), "\n"], vec![&text[..30_000], &text[30_000..]]] {
                let (lines, rest) = split(&chunks);
                assert!(lines.iter().all(|line| line.len() <= LONGEST) && lines.len() > 2);
                assert_eq!(lines.concat() + &rest, text);
            }
        }
    }

    #[test]
    fn an_unfinished_line_knows_when_it_began() {
        let mut lines = Lines::default();
        let began = Instant::now();
        lines.feed(b"10%", began, |_| ());
        lines.feed(b"\r20%", began + std::time::Duration::from_secs(1), |_| ());
        assert_eq!(lines.partial_since(), Some(began));
        assert_eq!(lines.take_partial(), b"10%\r20%");
        assert_eq!(lines.partial_since(), None);
    }
}
