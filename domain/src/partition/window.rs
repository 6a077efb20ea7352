//! Which parts make up a whole: the hours of a day, the days of a month, the regions of the world. Source: Airflow 3.3.2
//! `partition_mappers/window.py`.

use std::collections::BTreeSet;

use chrono::{Datelike, Months, NaiveDateTime, TimeDelta};

use serde::{Deserialize, Serialize};

use super::{Error, format::Shown};

/// The parts of a period, or a set of names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// The parts of a period of time.
    Period {
        /// Which.
        period: Period,
        /// They end with its first moment, instead of starting there.
        backward: bool,
    },
    /// These keys, whatever the whole is called.
    Segments(BTreeSet<String>),
}

/// A period of the calendar: it has a start, and parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// Of 60 minutes.
    Hour,
    /// Of 24 hours.
    Day,
    /// Of 7 days, from Monday on.
    Week,
    /// Of as many days as it has.
    Month,
    /// Of 3 months.
    Quarter,
    /// Of 12 months.
    Year,
}

/// What a key stands for: a time when its mapper understands it, else itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decoded {
    /// The start of a period.
    Start(Shown),
    /// Just a name.
    Key(String),
}

impl Window {
    /// The parts, in their order.
    ///
    /// # Errors
    /// When the whole is not what this window divides.
    pub fn parts(&self, whole: &Decoded) -> Result<Vec<Decoded>, Error> {
        match (self, whole) {
            (Self::Segments(keys), Decoded::Start(_) | Decoded::Key(_)) => {
                Ok(keys.iter().cloned().map(Decoded::Key).collect())
            }
            (Self::Period { period, backward }, Decoded::Start(start)) => {
                let walls = period.parts(start.wall, *backward)?;
                Ok(walls.into_iter().map(|wall| Decoded::Start(Shown { wall, ..*start })).collect())
            }
            (Self::Period { period, .. }, Decoded::Key(key)) => {
                Err(Error::NoTime(period.name(), key.clone()))
            }
        }
    }
}

impl Period {
    const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }

    fn parts(self, start: NaiveDateTime, backward: bool) -> Result<Vec<NaiveDateTime>, Error> {
        let starts_month = start.day() == 1;
        let is_of_months = matches!(self, Self::Month | Self::Quarter | Self::Year);
        if is_of_months && !starts_month {
            return Err(Error::NotTheFirst(self.name(), start));
        }
        let parts = match self {
            Self::Hour => steps(start, 60, backward, &|from, n| later(from, TimeDelta::minutes(n))),
            Self::Day => steps(start, 24, backward, &|from, n| later(from, TimeDelta::hours(n))),
            Self::Week => steps(start, 7, backward, &|from, n| later(from, TimeDelta::days(n))),
            Self::Month => month(start, backward),
            Self::Quarter => steps(start, 3, backward, &shifted),
            Self::Year => steps(start, 12, backward, &shifted),
        };
        parts.ok_or(Error::OutOfRange(start))
    }
}

type Step<'a> = &'a dyn Fn(NaiveDateTime, i64) -> Option<NaiveDateTime>;

fn steps(start: NaiveDateTime, count: i64, backward: bool, step: Step<'_>) -> Option<Vec<NaiveDateTime>> {
    let first = if backward { step(start, 1 - count)? } else { start };
    (0..count).map(|n| step(first, n)).collect()
}

fn later(from: NaiveDateTime, by: TimeDelta) -> Option<NaiveDateTime> {
    from.checked_add_signed(by)
}

fn shifted(from: NaiveDateTime, months: i64) -> Option<NaiveDateTime> {
    let by = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
    if months < 0 { from.checked_sub_months(by) } else { from.checked_add_months(by) }
}

// Backward: the days behind the start of the month before, up to the start of this one.
fn month(start: NaiveDateTime, backward: bool) -> Option<Vec<NaiveDateTime>> {
    let (from, to) = if backward { (shifted(start, -1)?, start) } else { (start, shifted(start, 1)?) };
    let shift = i64::from(backward);
    (0..(to - from).num_days()).map(|day| later(from, TimeDelta::days(day + shift))).collect()
}
