//! What Tradewind logs about itself, and how.

use std::fmt;

use tracing_subscriber::filter::Targets;

use super::value::Expected;

/// The levels, from silent to talkative.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The furthest a word may be from a level to be taken for a misspelling of it, in edits.
const FURTHEST_GUESS: usize = 2;

/// The most parts of a filter.
const MOST_PARTS: usize = 64;

/// Which events are logged: a level, or levels by module, as `info,scheduler=debug`. Default `info`.
#[derive(Clone, Debug, PartialEq)]
pub struct LogFilter {
    text: String,
    targets: Targets,
}

/// How events are written. Default [`LogFormat::Auto`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFilter {
    pub(super) fn parse(text: &str) -> Result<LogFilter, Expected> {
        if text.split(',').count() > MOST_PARTS {
            return Err(Expected::new(format!("at most {MOST_PARTS} parts long")));
        }
        text.split(',').try_for_each(check_part)?;
        let targets = text.to_ascii_lowercase().parse().map_err(|_| expected(None))?;
        Ok(LogFilter { text: text.to_owned(), targets })
    }

    /// The filter itself.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }
}

impl Default for LogFilter {
    fn default() -> LogFilter {
        LogFilter { text: "info".to_owned(), targets: Targets::new().with_default(tracing::Level::INFO) }
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl LogFormat {
    pub(super) fn parse(text: &str) -> Result<LogFormat, Expected> {
        match text.to_ascii_lowercase().as_str() {
            "auto" => Ok(LogFormat::Auto),
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(Expected::new("auto, text or json")),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogFormat::Auto => "auto",
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        })
    }
}

/// A part is `level` or `module=level`. The library also takes a bare module, which would make a misspelt level
/// mean "everything of a module of that name, and nothing else".
fn check_part(part: &str) -> Result<(), Expected> {
    let (module, level) = part.trim().split_once('=').unwrap_or(("", part.trim()));
    let plain = module.bytes().all(|b| b.is_ascii_alphanumeric() || b"_:-".contains(&b));
    let known = LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level));
    if plain && known { Ok(()) } else { Err(expected(Some(level))) }
}

fn expected(level: Option<&str>) -> Expected {
    let meant = level.and_then(closest).map(|meant| format!(" (did you mean {meant}?)")).unwrap_or_default();
    let levels = LEVELS.join(", ");
    Expected::new(format!("one of {levels}, or parts such as info,scheduler=debug{meant}"))
}

fn closest(level: &str) -> Option<&'static str> {
    let level = level.to_ascii_lowercase();
    let near = LEVELS.iter().map(|known| (strsim::damerau_levenshtein(&level, known), *known)).min()?;
    (near.0 <= FURTHEST_GUESS).then_some(near.1)
}
