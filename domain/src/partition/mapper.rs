//! What a partition of an asset is to the DAG that waits for it. Source: Airflow 3.3.2 `partition_mappers`.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{
    Error, FormatError,
    format::{Format, Shown},
    policy::Policy,
    window::{Decoded, Period, Window},
};
use crate::timetable::{clock_moment, clock_offset, clock_reading};

/// How many partitions of the consumer one event may be about, unless its mapper says otherwise (Airflow's
/// `partition_mapper_max_downstream_keys`).
pub const USUAL_MOST: usize = 1_000;

/// Turns the key of an asset's event into the keys of the partitions that a consumer has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapper {
    /// What it does.
    pub rule: Rule,
    /// How many keys one event may give; [`USUAL_MOST`] otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<usize>,
}

/// What a mapper does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The key stays as it is.
    Identity,
    /// Only these keys are known.
    Allowed(BTreeSet<String>),
    /// Whatever the key is.
    Fixed(String),
    /// A time becomes the start of the period that it is in.
    Start(Start),
    /// Each part of a key has a mapper of its own.
    Product {
        /// One for each part.
        parts: Vec<Mapper>,
        /// What stands between two parts.
        delimiter: String,
    },
    /// One after the other.
    Chain(Vec<Mapper>),
    /// Many partitions of the asset are one of the consumer.
    Rollup(Box<Rollup>),
    /// One partition of the asset is many of the consumer.
    FanOut(Box<FanOut>),
}

/// The start of a period, as a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
pub struct Start {
    of: Period,
    zone: Tz,
    input: Format,
    output: Format,
}

#[derive(Serialize, Deserialize)]
struct Form {
    of: Period,
    zone: Tz,
    input: String,
    output: String,
}

impl TryFrom<Form> for Start {
    type Error = FormatError;

    fn try_from(form: Form) -> Result<Self, FormatError> {
        Self::new(form.of, form.zone, &form.input, &form.output)
    }
}

impl From<Start> for Form {
    fn from(start: Start) -> Self {
        let Start { of, zone, input, output } = start;
        Self { of, zone, input: input.as_str().to_owned(), output: output.as_str().to_owned() }
    }
}

/// One run for many partitions of the asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollup {
    /// What each of them belongs to.
    pub upstream: Mapper,
    /// Which belong to one.
    pub window: Window,
    /// How many of them it takes.
    pub policy: Policy,
}

/// Many runs for one partition of the asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FanOut {
    /// What the partition is about.
    pub upstream: Mapper,
    /// Its parts.
    pub window: Window,
    /// How the keys of the parts are written.
    pub downstream: Mapper,
}

impl Mapper {
    /// The one that changes nothing.
    #[must_use]
    pub const fn identity() -> Self {
        Self { rule: Rule::Identity, most: None }
    }

    /// The consumer's partitions that an event of this key is about.
    ///
    /// # Errors
    /// When the mapper cannot understand the key, or makes too many of it.
    pub fn keys(&self, key: &str) -> Result<Vec<String>, Error> {
        let keys = self.mapped(key)?;
        let most = self.most.unwrap_or(USUAL_MOST);
        if keys.len() > most {
            Err(Error::TooMany { key: key.to_owned(), keys: keys.len(), most })
        } else {
            Ok(keys)
        }
    }

    fn mapped(&self, key: &str) -> Result<Vec<String>, Error> {
        match &self.rule {
            Rule::Identity => Ok(vec![key.to_owned()]),
            Rule::Allowed(keys) if keys.contains(key) => Ok(vec![key.to_owned()]),
            Rule::Allowed(keys) => Err(Error::NotAllowed { key: key.to_owned(), allowed: keys.clone() }),
            Rule::Fixed(fixed) => Ok(vec![fixed.clone()]),
            Rule::Start(start) => Ok(vec![start.key(key)?]),
            Rule::Product { parts, delimiter } => {
                let keys = segments(key, delimiter, parts)?
                    .map(|(part, segment)| part.only(segment))
                    .collect::<Result<Vec<_>, _>>()?;
                Ok(vec![keys.join(delimiter)])
            }
            Rule::Chain(links) => links.iter().try_fold(vec![key.to_owned()], |keys, link| {
                let mapped = keys.iter().map(|key| link.mapped(key)).collect::<Result<Vec<_>, _>>()?;
                let mapped = mapped.concat();
                let keys = mapped.len();
                let fits = keys <= MOST_IN_CHAIN;
                fits.then_some(mapped).ok_or(Error::TooMany {
                    key: key.to_owned(),
                    keys,
                    most: MOST_IN_CHAIN,
                })
            }),
            Rule::Rollup(rollup) => rollup.upstream.mapped(key),
            Rule::FanOut(fan_out) => {
                let whole = fan_out.upstream.decoded(&fan_out.upstream.only(key)?)?;
                fan_out.window.parts(&whole)?.iter().map(|part| fan_out.downstream.written(part)).collect()
            }
        }
    }

    fn only(&self, key: &str) -> Result<String, Error> {
        let mut keys = self.mapped(key)?;
        match keys.pop() {
            Some(key) if keys.is_empty() => Ok(key),
            Some(_) | None => Err(Error::NotOne(key.to_owned())),
        }
    }

    /// The asset's partitions that a consumer's partition is made from, when it takes more than one event; with how many it takes.
    ///
    /// # Errors
    /// When the mapper cannot understand the key.
    pub fn expected(&self, key: &str) -> Result<Option<(BTreeSet<String>, Policy)>, Error> {
        let Rule::Rollup(rollup) = &self.rule else { return Ok(None) };
        let parts = rollup.window.parts(&rollup.upstream.decoded(key)?)?;
        let keys = parts.iter().map(|part| rollup.upstream.encoded(part)).collect::<Result<_, _>>()?;
        Ok(Some((keys, rollup.policy)))
    }

    /// The moment that a consumer's partition is about, if it is about one.
    ///
    /// # Errors
    /// When the mapper cannot understand the key.
    pub fn date(&self, key: &str) -> Result<Option<DateTime<Utc>>, Error> {
        match &self.rule {
            Rule::Identity | Rule::Allowed(_) | Rule::Fixed(_) => Ok(None),
            Rule::Start(start) => start.date(key).map(Some),
            Rule::Product { parts, delimiter } => {
                let Ok(segments) = segments(key, delimiter, parts) else { return Ok(None) };
                let dates =
                    segments.map(|(part, segment)| part.date(segment)).collect::<Result<Vec<_>, _>>()?;
                let mut dates = dates.into_iter().flatten();
                let first = dates.next();
                Ok(first.filter(|_| dates.next().is_none()))
            }
            Rule::Chain(links) => links.last().map_or(Ok(None), |link| link.date(key)),
            Rule::Rollup(rollup) => rollup.upstream.date(key),
            Rule::FanOut(fan_out) => fan_out.downstream.date(key),
        }
    }

    /// The consumer's partition is about the same moment as the run that the event comes from.
    #[must_use]
    pub const fn keeps_date(&self) -> bool {
        matches!(self.rule, Rule::Identity)
    }

    fn decoded(&self, key: &str) -> Result<Decoded, Error> {
        match &self.rule {
            Rule::Start(start) => start.decoded(key).map(Decoded::Start),
            Rule::Identity
            | Rule::Allowed(_)
            | Rule::Fixed(_)
            | Rule::Product { .. }
            | Rule::Chain(_)
            | Rule::Rollup(_)
            | Rule::FanOut(_) => Ok(Decoded::Key(key.to_owned())),
        }
    }

    // A key of the asset.
    fn encoded(&self, part: &Decoded) -> Result<String, Error> {
        match (&self.rule, part) {
            (Rule::Start(start), Decoded::Start(shown)) => Ok(start.encoded(*shown)),
            (_, Decoded::Key(key)) => Ok(key.clone()),
            (_, Decoded::Start(shown)) => Err(Error::NoKey(shown.wall)),
        }
    }

    // A key of the consumer.
    fn written(&self, part: &Decoded) -> Result<String, Error> {
        match (&self.rule, part) {
            (Rule::Start(start), Decoded::Start(shown)) => Ok(start.output.write(*shown)),
            (Rule::Start(start), Decoded::Key(key)) => Err(start.unreadable(key, &start.input)),
            (_, Decoded::Key(key)) => Ok(key.clone()),
            (_, Decoded::Start(shown)) => Ok(iso(*shown)),
        }
    }
}

/// How many keys a chain may have on its way.
const MOST_IN_CHAIN: usize = 100_000;

fn segments<'a>(
    key: &'a str,
    delimiter: &'a str,
    parts: &'a [Mapper],
) -> Result<impl Iterator<Item = (&'a Mapper, &'a str)>, Error> {
    let found = key.split(delimiter).count();
    if found == parts.len() {
        Ok(parts.iter().zip(key.split(delimiter)))
    } else {
        Err(Error::Segments { key: key.to_owned(), expected: parts.len(), found })
    }
}

impl Start {
    /// The start of the unit by the clock of a zone; with how the keys of the asset and those of the consumer are written.
    ///
    /// # Errors
    /// When one of them is no format.
    pub fn new(of: Period, zone: Tz, input: &str, output: &str) -> Result<Self, FormatError> {
        let output = match of {
            Period::Week => Format::of_weeks(output),
            Period::Quarter => Format::of_quarters(output),
            Period::Hour | Period::Day | Period::Month | Period::Year => Format::new(output),
        };
        Ok(Self { of, zone, input: Format::new(input)?, output: output? })
    }

    fn unreadable(&self, key: &str, format: &Format) -> Error {
        Error::Unreadable { key: key.to_owned(), format: format.as_str().to_owned() }
    }

    fn key(&self, key: &str) -> Result<String, Error> {
        let read = self.input.read(key).ok_or_else(|| self.unreadable(key, &self.input))?;
        let wall = match read.offset {
            Some(_) => clock_reading(self.zone, moment(read)),
            None => clock_reading(self.zone, clock_moment(self.zone, read.wall)),
        };
        let wall = self.of.start(wall).ok_or(Error::OutOfRange(wall))?;
        Ok(self.output.write(self.shown(wall)))
    }

    // What the clock of the zone shows then.
    fn shown(&self, wall: NaiveDateTime) -> Shown {
        Shown { wall, offset: Some(clock_offset(self.zone, clock_moment(self.zone, wall))) }
    }

    fn decoded(&self, key: &str) -> Result<Shown, Error> {
        let read = match self.of {
            Period::Week | Period::Quarter => {
                let day = self.output.read_start(key);
                day.map(|day| Shown { wall: day.and_time(NaiveTime::MIN), offset: None })
            }
            Period::Hour | Period::Day | Period::Month | Period::Year => self.output.read(key),
        };
        read.ok_or_else(|| self.unreadable(key, &self.output))
    }

    fn encoded(&self, shown: Shown) -> String {
        let wall = match shown.offset {
            Some(_) => clock_reading(self.zone, moment(shown)),
            None => shown.wall,
        };
        let read = clock_reading(self.zone, clock_moment(self.zone, wall));
        self.input.write(self.shown(read))
    }

    fn date(&self, key: &str) -> Result<DateTime<Utc>, Error> {
        let decoded = self.decoded(key)?;
        let wall = self.of.start(decoded.wall).ok_or(Error::OutOfRange(decoded.wall))?;
        Ok(match decoded.offset {
            Some(_) => moment(Shown { wall, ..decoded }),
            None => clock_moment(self.zone, wall),
        })
    }
}

impl Period {
    fn start(self, wall: NaiveDateTime) -> Option<NaiveDateTime> {
        let day = wall.date();
        let first = |month| NaiveDate::from_ymd_opt(day.year(), month, 1);
        let start = match self {
            Self::Hour => return wall.date().and_hms_opt(wall.hour(), 0, 0),
            Self::Day => day,
            Self::Week => {
                day.checked_sub_signed(TimeDelta::days(day.weekday().num_days_from_monday().into()))?
            }
            Self::Month => first(day.month())?,
            Self::Quarter => first(day.month0() / 3 * 3 + 1)?,
            Self::Year => first(1)?,
        };
        Some(start.and_time(NaiveTime::MIN))
    }
}

fn moment(shown: Shown) -> DateTime<Utc> {
    (shown.wall - TimeDelta::seconds(shown.offset.unwrap_or(0).into())).and_utc()
}

// Python's `isoformat`.
fn iso(shown: Shown) -> String {
    let fraction = if shown.wall.nanosecond() == 0 { "" } else { "%.6f" };
    let offset = shown.offset.map_or_else(String::new, |offset| {
        let (sign, ahead) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
        format!("{sign}{:02}:{:02}", ahead / 3600, ahead / 60 % 60)
    });
    format!("{}{offset}", shown.wall.format(&format!("%Y-%m-%dT%H:%M:%S{fraction}")))
}
