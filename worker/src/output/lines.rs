//! Splits what a process writes into lines.

use std::borrow::Cow;

use runtime::mask::Masker;
use tokio::time::Instant;

/// A line longer than this is shown in pieces.
const LONGEST: usize = 16 << 10;
/// So much more of it must be there before a piece is cut off: a secret that begins in the piece has come to its end then.
const SPARE: usize = 4 << 10;

/// A stream on its way into lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    partial: Vec<u8>,
    since: Option<Instant>,
}

impl Lines {
    /// Takes a chunk and gives each line that is complete now, without its end. In what is cut into pieces secrets are hidden before, so
    /// that none is torn; in other lines they are not.
    pub(crate) fn feed(&mut self, chunk: &[u8], now: Instant, masker: &Masker, mut line: impl FnMut(&[u8])) {
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (head, tail) = (&rest[..end], &rest[end + 1..]);
            if self.partial.is_empty() {
                pieces(head, masker, &mut line);
            } else {
                self.partial.extend_from_slice(head);
                pieces(&self.partial, masker, &mut line);
                self.partial.clear();
            }
            rest = tail;
        }
        self.keep(rest, now, masker, line);
    }

    /// When the unfinished line began, if there is one.
    pub(crate) fn partial_since(&self) -> Option<Instant> {
        self.since.filter(|_| !self.partial.is_empty())
    }

    /// Takes the unfinished line as it is; it may have to be given in [`pieces`].
    pub(crate) fn take_partial(&mut self) -> Vec<u8> {
        self.since = None;
        std::mem::take(&mut self.partial)
    }

    /// Takes the unfinished line, but not the beginning of a secret at its end: that waits, however long, for what follows.
    pub(crate) fn take_partial_before_secret(&mut self, masker: &Masker) -> Vec<u8> {
        // Those that are whole are hidden before: no end of one is taken for the beginning of another.
        let mut taken = masker.bytes(&self.partial).into_owned();
        self.partial = taken.split_off(taken.len() - masker.begun(&taken));
        self.since = None;
        taken
    }

    fn keep(&mut self, rest: &[u8], now: Instant, masker: &Masker, mut line: impl FnMut(&[u8])) {
        if rest.is_empty() {
            return;
        }
        self.since.get_or_insert(now);
        self.partial.extend_from_slice(rest);
        while self.partial.len() > LONGEST + SPARE {
            if let Cow::Owned(masked) = masker.bytes(&self.partial) {
                self.partial = masked;
                continue;
            }
            let at = cut(&self.partial);
            line(trimmed(&self.partial[..at]));
            self.partial.drain(..at);
            self.since = Some(now);
        }
    }
}

/// Gives a text in pieces that are short enough.
pub(super) fn pieces(text: &[u8], masker: &Masker, line: &mut impl FnMut(&[u8])) {
    let masked = if text.len() > LONGEST { masker.bytes(text) } else { Cow::Borrowed(text) };
    let mut text = &*masked;
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
        split_masked(chunks, &Masker::default())
    }

    fn split_masked(chunks: &[&str], masker: &Masker) -> (Vec<String>, String) {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.feed(chunk.as_bytes(), Instant::now(), masker, |line| {
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
                assert!(lines.iter().all(|line| line.len() <= LONGEST) && lines.len() > 1);
                assert_eq!(lines.concat() + &rest, text);
            }
        }
    }

    #[test]
    fn no_secret_is_torn_between_two_pieces() {
        let mut masker = Masker::default();
        masker.add(["s3cr3t/pheasant".to_owned()]);
        for before in LONGEST - 40..LONGEST + 3 {
            let text = format!("{}s3cr3t/pheasant{}", "x".repeat(before), "y".repeat(10_000));
            for chunks in [vec![text.as_str(), "\n"], vec![&text[..LONGEST + 1], &text[LONGEST + 1..], "\n"]]
            {
                let (lines, rest) = split_masked(&chunks, &masker);
                let shown = lines.concat() + &rest;
                let expected = format!("{}***{}", "x".repeat(before), "y".repeat(10_000));
                assert!(lines.len() > 1 && shown == expected, "{before}: {} lines", lines.len());
            }
        }
    }

    #[test]
    fn a_secret_that_is_not_yet_whole_is_held_back() {
        let mut masker = Masker::default();
        masker.add(["s3cr3t/pheasant".to_owned()]);
        let (mut lines, now) = (Lines::default(), Instant::now());
        lines.feed(b"the key: s3cr3t", now, &masker, |_| ());
        assert_eq!(lines.take_partial_before_secret(&masker), b"the key: ");
        assert_eq!(lines.partial_since(), None, "nobody waits for it");
        lines.feed(b"/phea", now, &masker, |_| ());
        assert_eq!(lines.partial_since(), Some(now));
        assert_eq!(lines.take_partial_before_secret(&masker), b"");
        lines.feed(b"sant, !", now, &masker, |_| ());
        assert_eq!(lines.take_partial_before_secret(&masker), b"***, !");
        lines.feed(b"s3cr3t/pheasant", now, &masker, |_| ());
        assert_eq!(lines.take_partial_before_secret(&masker), b"***", "its own end begins nothing");
        lines.feed(b"s3cr", now, &masker, |_| ());
        assert_eq!(lines.take_partial(), b"s3cr");
    }

    #[test]
    fn an_unfinished_line_knows_when_it_began() {
        let mut lines = Lines::default();
        let began = Instant::now();
        let masker = Masker::default();
        lines.feed(b"10%", began, &masker, |_| ());
        lines.feed(b"\r20%", began + std::time::Duration::from_secs(1), &masker, |_| ());
        assert_eq!(lines.partial_since(), Some(began));
        assert_eq!(lines.take_partial(), b"10%\r20%");
        assert_eq!(lines.partial_since(), None);
    }
}
