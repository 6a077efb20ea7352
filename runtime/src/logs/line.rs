//! The format of a log: one line is
//!
//! ```text
//! 2026-03-27T10:15:30.123Z O the text as the task wrote it
//! ```
//!
//! the time it was read (RFC 3339, UTC, milliseconds), one letter for the stream (`O` standard output, `E` standard
//! error, `T` a note of Tradewind's own), and the text up to the end of the line. Text is stored as the bytes that
//! came; what is not UTF-8 in it is replaced when it is read. A line longer than 16 KiB is cut, and says so.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, Timelike, Utc};

/// The most bytes of one line's text.
pub const LONGEST_TEXT: usize = 16 * 1024;

/// The length of the time, the stream and the two spaces.
const PREFIX: usize = "2026-03-27T10:15:30.123Z O ".len();

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// The task's standard output.
    Output,
    /// The task's standard error.
    Error,
    /// Tradewind itself.
    Tradewind,
}

/// One line of a log, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine<'a> {
    /// When it was written. `None` for a line that is not in the format, as where a read begins within one.
    pub at: Option<DateTime<Utc>>,
    /// Where it came from; [`Stream::Output`] for a line that is not in the format.
    pub stream: Stream,
    /// What it says, without the line's end.
    pub text: Cow<'a, str>,
}

impl Stream {
    /// Its letter.
    pub fn letter(self) -> char {
        match self {
            Stream::Output => 'O',
            Stream::Error => 'E',
            Stream::Tradewind => 'T',
        }
    }

    /// The stream of a letter.
    pub fn from_letter(letter: char) -> Option<Stream> {
        match letter {
            'O' => Some(Stream::Output),
            'E' => Some(Stream::Error),
            'T' => Some(Stream::Tradewind),
            _ => None,
        }
    }
}

impl<'a> LogLine<'a> {
    /// Appends one line to `log`. `text` is one line's bytes without its end; a line break within it is written as
    /// a space, so that one call is always one line.
    pub fn write(log: &mut Vec<u8>, at: DateTime<Utc>, stream: Stream, text: &[u8]) {
        let kept = &text[..cut(text)];
        log.reserve(PREFIX + kept.len() + 1);
        write_time(log, at);
        log.extend([b' ', stream.letter() as u8, b' ']);
        let begin = log.len();
        log.extend_from_slice(kept);
        log[begin..].iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
        if kept.len() < text.len() {
            log.extend_from_slice(
                format!(" [{} more bytes cut by Tradewind]", text.len() - kept.len()).as_bytes(),
            );
        }
        log.push(b'\n');
    }

    /// Reads one line, with or without its end. Every line can be read.
    pub fn parse(line: &'a [u8]) -> LogLine<'a> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        match parse_prefix(line) {
            Some((at, stream)) => {
                LogLine { at: Some(at), stream, text: String::from_utf8_lossy(&line[PREFIX..]) }
            }
            None => LogLine { at: None, stream: Stream::Output, text: String::from_utf8_lossy(line) },
        }
    }

    /// Reads the lines of a piece of a log. The last one may lack its end.
    pub fn parse_all(log: &'a [u8]) -> impl Iterator<Item = LogLine<'a>> {
        log.split_inclusive(|byte| *byte == b'\n').map(LogLine::parse)
    }
}

/// How much of `text` is kept: not half of a UTF-8 character.
fn cut(text: &[u8]) -> usize {
    if text.len() <= LONGEST_TEXT {
        return text.len();
    }
    let is_inner = |at: usize| text[at] & 0b1100_0000 == 0b1000_0000;
    (LONGEST_TEXT - 3..=LONGEST_TEXT).rev().find(|&at| !is_inner(at)).unwrap_or(LONGEST_TEXT)
}

/// The time with its digits put down one by one: this is done for every line of every task, and the general
/// formatter takes several times as long.
fn write_time(log: &mut Vec<u8>, at: DateTime<Utc>) {
    let year = at.year().clamp(0, 9999).unsigned_abs();
    // A leap second is written as the one before it.
    let milliseconds = (at.nanosecond() / 1_000_000).min(999);
    let mut put = |number: u32, digits: u32, after: u8| {
        for digit in (0..digits).rev() {
            log.push(b'0' + u8::try_from(number / 10_u32.pow(digit) % 10).unwrap_or(0));
        }
        log.push(after);
    };
    put(year, 4, b'-');
    put(at.month(), 2, b'-');
    put(at.day(), 2, b'T');
    put(at.hour(), 2, b':');
    put(at.minute(), 2, b':');
    put(at.second(), 2, b'.');
    put(milliseconds, 3, b'Z');
}

fn parse_prefix(line: &[u8]) -> Option<(DateTime<Utc>, Stream)> {
    let prefix = std::str::from_utf8(line.get(..PREFIX)?).ok()?;
    let (time, rest) = prefix.split_once(' ')?;
    let mut rest = rest.chars();
    let stream = Stream::from_letter(rest.next()?)?;
    let plain = time.ends_with('Z') && rest.as_str() == " ";
    let at = DateTime::parse_from_rfc3339(time).ok().filter(|_| plain)?;
    Some((at.to_utc(), stream))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn written(text: &[u8]) -> Vec<u8> {
        let mut log = Vec::new();
        LogLine::write(&mut log, at("2026-03-27T10:15:30.123456Z"), Stream::Error, text);
        log
    }

    #[test]
    fn a_line_is_written_and_read() {
        let log = written("grüße".as_bytes());
        assert_eq!(log, "2026-03-27T10:15:30.123Z E grüße\n".as_bytes());
        let line = LogLine::parse(&log);
        assert_eq!(line.at, Some(at("2026-03-27T10:15:30.123Z")));
        assert_eq!((line.stream, &*line.text), (Stream::Error, "grüße"));
    }

    #[test_case("1970-01-01T00:00:00.000Z")]
    #[test_case("2024-02-29T23:59:59.999Z")]
    #[test_case("9999-12-31T09:08:07.006Z")]
    fn the_time_is_rfc_3339(time: &str) {
        let mut log = Vec::new();
        LogLine::write(&mut log, at(time), Stream::Output, b"");
        assert_eq!(String::from_utf8(log).unwrap(), format!("{time} O \n"));
    }

    #[test]
    fn bytes_are_kept_and_replaced_only_when_read() {
        let log = written(b"a\xff\xfeb\rc\0");
        assert!(log.ends_with(b"E a\xff\xfeb\rc\0\n"));
        assert_eq!(LogLine::parse(&log).text, "a\u{fffd}\u{fffd}b\rc\0");
    }

    #[test]
    fn one_call_is_one_line() {
        let log = written(b"2026-03-27T10:15:30.123Z T forged\n2026-03-27T10:15:30.123Z T forged");
        assert_eq!(LogLine::parse_all(&log).count(), 1);
        assert_eq!(LogLine::parse(&log).stream, Stream::Error);
    }

    #[test]
    fn a_long_line_is_cut_between_characters_and_says_so() {
        let text = "€".repeat(LONGEST_TEXT);
        let log = written(text.as_bytes());
        let line = LogLine::parse(&log);
        let left = text.len() - LONGEST_TEXT / 3 * 3;
        assert!(
            line.text.ends_with(&format!("€ [{left} more bytes cut by Tradewind]")),
            "{}",
            &line.text[16_300..]
        );
        assert!(!line.text.contains('\u{fffd}'));
        assert_eq!(written(&vec![b'x'; LONGEST_TEXT]).len(), PREFIX + LONGEST_TEXT + 1);
    }

    #[test_case("" ; "empty")]
    #[test_case("2026-03-27T10:15:30.123Z X text" ; "unknown stream")]
    #[test_case("2026-13-27T10:15:30.123Z O text" ; "no such month")]
    #[test_case("2026-03-27T10:15:30.123Z Otext" ; "no space")]
    #[test_case("the second half of a line" ; "half a line")]
    fn what_is_not_in_the_format_is_text(line: &str) {
        let read = LogLine::parse(line.as_bytes());
        assert_eq!((read.at, read.stream, &*read.text), (None, Stream::Output, line));
    }

    #[test]
    fn a_piece_of_a_log_is_read_line_by_line() {
        let log = b"lf\n2026-03-27T10:15:30.123Z O one\n2026-03-27T10:15:31.000Z T two";
        let texts: Vec<_> = LogLine::parse_all(log).map(|line| line.text.into_owned()).collect();
        assert_eq!(texts, ["lf", "one", "two"]);
    }
}
