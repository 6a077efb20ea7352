//! A length of time as people write it in a DAG file: `30s`, `10m`, `2h`, `1d`.

use std::{fmt, str::FromStr};

use chrono::TimeDelta;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time in milliseconds, at most [`Span::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(u64);

/// Why a text is not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a number with a unit.
    #[error("`{0}` is not a duration: write a number and a unit, as in 30s, 10m, 2h, 1d or 1h30m")]
    Shape(String),
    /// More than a hundred years.
    #[error("`{0}` is longer than 100 years")]
    TooLong(String),
}

impl Span {
    /// A hundred years: far beyond any timeout, and safe to add to any date.
    pub const MAX: Self = Self(100 * 366 * 86_400_000);

    /// From milliseconds, capped at [`Span::MAX`].
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        if millis > Self::MAX.0 { Self::MAX } else { Self(millis) }
    }

    /// From seconds, capped at [`Span::MAX`].
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self::from_millis(seconds.saturating_mul(1000))
    }

    /// Milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// As a difference between two instants.
    #[must_use]
    pub fn delta(self) -> TimeDelta {
        TimeDelta::milliseconds(i64::try_from(self.0).unwrap_or(i64::MAX))
    }

    /// As the standard library's duration.
    #[must_use]
    pub const fn duration(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }
}

const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, size) in &UNITS[1..] {
            if rest >= *size {
                write!(f, "{}{unit}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

impl FromStr for Span {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Shape(text.chars().take(40).collect());
        let mut rest = text.trim();
        let mut total = 0_u64;
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let (number, tail) = rest.split_at(digits);
            let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(letters);
            let size = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1;
            let amount: u64 = number.parse().map_err(|_| wrong())?;
            total = amount.checked_mul(size).and_then(|ms| total.checked_add(ms)).unwrap_or(u64::MAX);
            rest = tail.trim_start();
        }
        if total > Self::MAX.0 {
            Err(Error::TooLong(text.chars().take(40).collect()))
        } else {
            Ok(Self(total))
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write_and_writes_it_back() {
        for (text, millis, shown) in [
            ("30s", 30_000, "30s"),
            ("10m", 600_000, "10m"),
            ("2h", 7_200_000, "2h"),
            ("1d", 86_400_000, "1d"),
            ("1h30m", 5_400_000, "1h30m"),
            ("90m", 5_400_000, "1h30m"),
            ("250ms", 250, "250ms"),
            ("1w", 604_800_000, "7d"),
            ("0s", 0, "0s"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.as_millis(), span.to_string().as_str()), (millis, shown), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in ["", "10", "m", "-5s", "1.5h", "5 parsecs", "99999999999999999999s"] {
            assert!(matches!(text.parse::<Span>(), Err(Error::Shape(_))), "{text}");
        }
        assert!(matches!("200000d".parse::<Span>(), Err(Error::TooLong(_))));
    }
}
