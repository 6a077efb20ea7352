//! Pendulum's own date format: `YYYY-MM-DD HH:mm:ss`.

use chrono::{DateTime, Datelike, Timelike};
use chrono_tz::Tz;

/// The tokens, longer before shorter, with the chrono pattern of each.
const TOKENS: [(&str, &str); 27] = [
    ("YYYY", "%Y"),
    ("YY", "%y"),
    ("MMMM", "%B"),
    ("MMM", "%b"),
    ("MM", "%m"),
    ("M", "%-m"),
    ("DDDD", "%j"),
    ("DDD", "%-j"),
    ("DD", "%d"),
    ("D", "%-d"),
    ("dddd", "%A"),
    ("ddd", "%a"),
    ("E", "%u"),
    ("HH", "%H"),
    ("H", "%-H"),
    ("hh", "%I"),
    ("h", "%-I"),
    ("mm", "%M"),
    ("m", "%-M"),
    ("ss", "%S"),
    ("s", "%-S"),
    ("SSSSSS", "%6f"),
    ("SSS", "%3f"),
    ("ZZ", "%z"),
    ("Z", "%:z"),
    ("z", "%Z"),
    ("A", "%p"),
];

/// Shows `at` in the format of pendulum. `[text]` is taken literally, and so is everything that is no token.
pub(super) fn format(at: &DateTime<Tz>, form: &str) -> String {
    let mut shown = String::new();
    let mut rest = form;
    while let Some(c) = rest.chars().next() {
        let (piece, taken) = token(at, rest).unwrap_or_else(|| (c.to_string(), c.len_utf8()));
        shown.push_str(&piece);
        rest = &rest[taken..];
    }
    shown
}

fn token(at: &DateTime<Tz>, rest: &str) -> Option<(String, usize)> {
    if let Some(literal) = rest.strip_prefix('[')
        && let Some(end) = literal.find(']')
    {
        return Some((literal[..end].to_owned(), end + 2));
    }
    let special = [
        ("Do", ordinal(at.day())),
        ("Q", (at.month0() / 3 + 1).to_string()),
        ("X", at.timestamp().to_string()),
        ("x", at.timestamp_millis().to_string()),
        ("d", at.weekday().num_days_from_sunday().to_string()),
        ("a", if at.hour() < 12 { "am" } else { "pm" }.to_owned()),
    ];
    let is_special = special.iter().find(|(token, _)| rest.starts_with(token) && !rest.starts_with("ddd"));
    if let Some((token, shown)) = is_special {
        return Some((shown.clone(), token.len()));
    }
    let (token, pattern) = TOKENS.iter().find(|(token, _)| rest.starts_with(token))?;
    Some((at.format(pattern).to_string(), token.len()))
}

fn ordinal(day: u32) -> String {
    let ending = match (day % 10, day % 100) {
        (1, 1 | 21 | 31) => "st",
        (2, 2 | 22) => "nd",
        (3, 3 | 23) => "rd",
        _ => "th",
    };
    format!("{day}{ending}")
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("YYYY-MM-DD HH:mm:ss", "2026-03-02 07:05:09")]
    #[test_case("D MMMM YYYY", "2 March 2026")]
    #[test_case("dddd Do [of] MMM YY, h A", "Monday 2nd of Mar 26, 7 AM")]
    #[test_case("YYYYMMDDTHHmmss", "20260302T070509")]
    #[test_case("Z ZZ z Q X", "+00:00 +0000 UTC 1 1772435109")]
    fn formats(form: &str, shown: &str) {
        let at: DateTime<chrono::Utc> = "2026-03-02T07:05:09Z".parse().unwrap();
        assert_eq!(format(&at.with_timezone(&Tz::UTC), form), shown);
    }
}
