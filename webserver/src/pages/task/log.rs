//! A task's log. A script reads it by byte range and follows it; without scripts there are links to the parts.

use std::collections::HashMap;

use actix_web::{
    HttpResponse,
    web::{Path, Query},
};
use askama::Template;
use runtime::logs::{self, LONGEST_READ, Stream};
use serde::Deserialize;
use store::view::{api_log::LogPlace, task::Instance};

use super::{Seen, TaskHead, View, attempts::log_href, rounds};
use crate::{
    error::Error,
    log::{self, Part},
    pages::{
        parts::{Shell, Tab},
        paths,
        visit::Visit,
        words,
    },
};

/// Bytes of the log that are in the page itself.
const SHOWN: u64 = 64 << 10;
/// Tries offered above the log; the list of attempts has all of them.
const TRIES: u32 = 12;
/// Longest line in the page, in characters.
const LONGEST_LINE: usize = 4_000;

/// What is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Params {
    map_index: Option<i32>,
    #[serde(rename = "try")]
    try_number: Option<u32>,
    /// The first byte shown; the end of the log when absent.
    from: Option<u64>,
}

/// The log; live parts `as_head` and `as_artifacts` (the log reads itself by byte range).
#[derive(Debug, Template)]
#[template(path = "task.html", blocks = ["head", "artifacts"])]
pub(crate) struct TaskPage {
    pub(crate) shell: Shell,
    pub(crate) head: TaskHead,
    /// The number of the newest try, and whether it has a log: when it changes, the page shows another log.
    pub(crate) newest: u32,
    pub(crate) tries: Vec<Tab>,
    pub(crate) log: Option<LogView>,
    pub(crate) artifacts: Vec<Artifact>,
}

/// The log of one try; the lines are for readers without scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogView {
    pub(crate) try_number: u32,
    /// Answers byte ranges: `&from=BYTE&max=BYTES`.
    pub(crate) href: String,
    /// The whole log as a file.
    pub(crate) raw_href: String,
    /// Bytes so far.
    pub(crate) size: u64,
    /// Whether nothing will be added.
    pub(crate) ended: bool,
    /// What part is shown, for example `65.5 kB of 400.0 MB`.
    pub(crate) shown: String,
    pub(crate) lines: Vec<LogLine>,
    pub(crate) earlier: Option<String>,
    pub(crate) later: Option<String>,
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogLine {
    /// Time of day.
    pub(crate) time: Option<String>,
    /// The class of its stream; empty for standard output.
    pub(crate) class: &'static str,
    pub(crate) text: String,
}

/// A file that the task left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Artifact {
    pub(crate) name: String,
    pub(crate) href: String,
    pub(crate) size: String,
}

/// Answers.
pub(crate) async fn show(
    visit: Visit,
    names: Path<(String, String, String)>,
    params: Query<Params>,
) -> Result<HttpResponse, Error> {
    let seen = Seen::find(&visit, &names, params.map_index).await?;
    let Some(instance) = &seen.instance else {
        return Ok(seen.to_instances());
    };
    let number = params.try_number.unwrap_or(instance.try_number);
    let place = if number == 0 { None } else { Some(place(&visit, &seen, number).await?) };
    // A part of the page is asked for often, and needs no log.
    let is_head = visit.fragment() == Some("head");
    let log = match &place {
        Some(place) if visit.fragment().is_none() => Some(view(&visit, &seen, place, params.from).await?),
        Some(_) | None => None,
    };
    let artifacts = match &place {
        Some(place) if !is_head => artifacts(&visit, &seen, place).await?,
        Some(_) | None => Vec::new(),
    };
    let page = TaskPage {
        shell: visit.shell("dags").await?,
        head: seen.head(&visit, View::Log).await?,
        newest: instance.try_number,
        tries: tries(&seen, instance, &rounds::by_try(&visit, &seen, instance).await?, number),
        log,
        artifacts,
    };
    visit.answer(match visit.fragment() {
        Some("head") => page.as_head().render(),
        Some("artifacts") => page.as_artifacts().render(),
        Some(_) | None => page.render(),
    })
}

async fn place(visit: &Visit, seen: &Seen, number: u32) -> Result<LogPlace, Error> {
    let (dag, run) = (seen.run.run.dag_id.as_str(), seen.run.run.run_id.as_str());
    log::place(&visit.state, dag, run, seen.task_id.as_str(), seen.map_index().unwrap_or(-1), Some(number))
        .await
}

fn tries(seen: &Seen, instance: &Instance, rounds: &HashMap<u32, u32>, chosen: u32) -> Vec<Tab> {
    let first = instance.try_number.saturating_sub(TRIES - 1).max(1);
    let tab = |number: u32| Tab {
        label: rounds
            .get(&number)
            .map_or_else(|| format!("Try {number}"), |round| format!("Round {round}, try {number}")),
        href: log_href(seen, number),
        count: None,
        current: number == chosen,
    };
    (first..=instance.try_number).map(tab).collect()
}

async fn view(visit: &Visit, seen: &Seen, place: &LogPlace, from: Option<u64>) -> Result<LogView, Error> {
    let part = match from {
        Some(from) => log::read(&visit.state, place, from, SHOWN).await?,
        None => tail(visit, place).await?,
    };
    let piece = Piece::of(&part);
    let number = place.try_number.to_string();
    let href = paths::with_query(&seen.view("/log"), &[("try", &number)]);
    let at = |from: u64| paths::with_query(&log_href(seen, place.try_number), &[("from", &from.to_string())]);
    let is_part = piece.start > 0 || piece.end < part.size;
    Ok(LogView {
        try_number: place.try_number,
        raw_href: paths::with_query(&href, &[("download", "true")]),
        href,
        size: part.size,
        ended: part.ended,
        shown: if is_part {
            format!("{} of {}", words::bytes(piece.end - piece.start), words::bytes(part.size))
        } else {
            words::bytes(part.size)
        },
        earlier: (piece.start > 0).then(|| at(piece.start.saturating_sub(SHOWN))),
        later: (piece.end < part.size && piece.end > piece.start).then(|| at(piece.end)),
        lines: piece.lines,
    })
}

/// The end of a log. Of a stored one the size is known; of a live one only the newest part is kept, and all of it is read.
async fn tail(visit: &Visit, place: &LogPlace) -> Result<Part, Error> {
    let beyond = log::read(&visit.state, place, u64::MAX, 1).await?;
    if beyond.start < u64::MAX {
        return log::read(&visit.state, place, beyond.size.saturating_sub(SHOWN), SHOWN).await;
    }
    let mut part = log::read(&visit.state, place, 0, LONGEST_READ).await?;
    let most = usize::try_from(SHOWN).unwrap_or(usize::MAX);
    let skipped = part.bytes.len().saturating_sub(most);
    part.bytes = part.bytes.slice(skipped..);
    part.start += skipped as u64;
    Ok(part)
}

/// The whole lines of a part of a log.
struct Piece {
    start: u64,
    end: u64,
    lines: Vec<LogLine>,
}

impl Piece {
    fn of(part: &Part) -> Self {
        let bytes = &part.bytes[..];
        // The first line may be the second half of one, and the last one may not be complete.
        let is_half = part.start > 0 && logs::LogLine::parse(first_line(bytes)).at.is_none();
        let first = if is_half { first_line(bytes).len() } else { 0 };
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let last = if part.is_last() || whole <= first { bytes.len() } else { whole };
        let shown = &bytes[first.min(last)..last];
        Self {
            start: part.start + first.min(last) as u64,
            end: part.start + last as u64,
            lines: logs::LogLine::parse_all(shown).map(|line| read(&line)).collect(),
        }
    }
}

fn first_line(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
    &bytes[..end]
}

fn read(line: &logs::LogLine<'_>) -> LogLine {
    let plain = without_escapes(&line.text);
    let mut text: String = plain.chars().take(LONGEST_LINE).collect();
    if text.len() < plain.len() {
        text.push('…');
    }
    LogLine {
        time: line.at.map(|at| at.format("%H:%M:%S%.3f").to_string()),
        class: match line.stream {
            Stream::Output => "",
            Stream::Error => "log-err",
            Stream::Tradewind => "log-note",
        },
        text,
    }
}

/// Without the sequences that colour a terminal.
fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(letter) = rest.next() {
        if letter != '\u{1b}' {
            plain.push(letter);
        } else if rest.next_if_eq(&'[').is_some() {
            while rest.next_if(|letter| !letter.is_ascii_alphabetic()).is_some() {}
            rest.next();
        }
    }
    plain
}

async fn artifacts(visit: &Visit, seen: &Seen, place: &LogPlace) -> Result<Vec<Artifact>, Error> {
    let found = visit.state.logs.list_artifacts(&log::key(place)).await?;
    let number = place.try_number.to_string();
    let artifact = |found: logs::Artifact| {
        let name: Vec<String> = found.name.as_str().split('/').map(paths::segment).collect();
        let path = seen.view(&format!("/artifacts/{}", name.join("/")));
        Artifact {
            href: paths::with_query(&path, &[("try", &number)]),
            size: words::bytes(found.size),
            name: found.name.as_str().to_owned(),
        }
    };
    Ok(found.into_iter().map(artifact).collect())
}

#[cfg(test)]
mod tests {
    use actix_web::web::Bytes;

    use super::*;

    const LOG: &str =
        "2026-03-27T10:15:30.123Z O one\n2026-03-27T10:15:31.000Z E two\n2026-03-27T10:15:32.000Z T thr";

    fn piece(
        start: u64,
        text: &'static str,
        size: u64,
        ended: bool,
    ) -> (u64, u64, Vec<(&'static str, String)>) {
        let piece = Piece::of(&Part { start, bytes: Bytes::from_static(text.as_bytes()), size, ended });
        (piece.start, piece.end, piece.lines.into_iter().map(|line| (line.class, line.text)).collect())
    }

    #[test]
    fn a_growing_log_shows_whole_lines() {
        let (start, end, lines) = piece(0, LOG, LOG.len() as u64, false);
        assert_eq!((start, end), (0, 62));
        assert_eq!(lines, [("", "one".to_owned()), ("log-err", "two".to_owned())]);
    }

    #[test]
    fn an_ended_log_shows_its_last_line_even_when_it_has_no_end() {
        let (_, end, lines) = piece(0, LOG, LOG.len() as u64, true);
        assert_eq!((end, lines.len()), (LOG.len() as u64, 3));
        assert_eq!(lines[2], ("log-note", "thr".to_owned()));
    }

    #[test]
    fn half_a_line_at_the_beginning_is_left_out() {
        let (start, _, lines) = piece(20, &LOG[20..], LOG.len() as u64, true);
        assert_eq!((start, lines.len()), (31, 2));
        let (start, _, lines) = piece(31, &LOG[31..], LOG.len() as u64, true);
        assert_eq!((start, lines.len()), (31, 2));
    }

    #[test]
    fn a_piece_of_one_line_has_no_lines_to_show() {
        let (start, end, lines) = piece(40, "no end and no beginning", 9_000, true);
        assert_eq!((start, end), (63, 63));
        assert!(lines.is_empty());
    }

    #[test]
    fn colours_of_terminals_are_left_out() {
        assert_eq!(without_escapes("\u{1b}[1;31mred\u{1b}[0m and \u{1b}[Kplain"), "red and plain");
    }
}
