use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Blackout, Calendar, Interval, Jitter, Timetable,
    cron::{FIRST, LAST},
    error::Error,
    row::{Row, Ticks},
};

/// Ticks that are put together from those of others, each moment once: then moved to business days, then kept out of
/// blackouts, and started with a delay.
///
/// The ticks of the years 1970 to 2100 are known. A grid ([`super::Every`]) in it goes through the DAG's start date, or
/// through midnight UTC of 1970-01-01 without one; through the last run only when it stands alone and is never moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Form")]
pub struct Composed {
    any: Vec<Timetable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calendar: Option<Calendar>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blackout: Option<Blackout>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jitter: Option<Jitter>,
    #[serde(skip_serializing_if = "Interval::is_moment")]
    data_interval: Interval,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    any: Vec<Timetable>,
    calendar: Option<Calendar>,
    blackout: Option<Blackout>,
    jitter: Option<Jitter>,
    #[serde(default)]
    data_interval: Interval,
}

impl TryFrom<Form> for Composed {
    type Error = Error;

    fn try_from(Form { any, calendar, blackout, jitter, data_interval }: Form) -> Result<Self, Error> {
        Ok(Self { calendar, blackout, jitter, data_interval, ..Self::new(any)? })
    }
}

impl Composed {
    /// Most schedules that may be put together.
    pub const MOST: usize = 50;

    /// The ticks of all of `any`.
    ///
    /// # Errors
    /// [`Error::Count`] for none or more than [`Composed::MOST`]; [`Error::Element`] for one that has no ticks, that
    /// says itself what its runs are about or by how much they are delayed, or that is put together twice over.
    pub fn new(any: Vec<Timetable>) -> Result<Self, Error> {
        Error::check_count("schedules", any.len(), 1, Self::MOST)?;
        for element in &any {
            check(element)?;
        }
        Ok(Self { any, calendar: None, blackout: None, jitter: None, data_interval: Interval::Moment })
    }

    /// The same, on business days only.
    #[must_use]
    pub fn with_calendar(self, calendar: Option<Calendar>) -> Self {
        Self { calendar, ..self }
    }

    /// The same, outside of blackouts only.
    #[must_use]
    pub fn with_blackout(self, blackout: Option<Blackout>) -> Self {
        Self { blackout, ..self }
    }

    /// The same, started a little later.
    #[must_use]
    pub fn with_jitter(self, jitter: Option<Jitter>) -> Self {
        Self { jitter, ..self }
    }

    /// The same, with runs about `data_interval`.
    #[must_use]
    pub fn with_data_interval(self, data_interval: Interval) -> Self {
        Self { data_interval, ..self }
    }

    /// What it is put together from.
    #[must_use]
    pub fn any(&self) -> &[Timetable] {
        &self.any
    }

    /// The business days, if it keeps to them.
    #[must_use]
    pub const fn calendar(&self) -> Option<&Calendar> {
        self.calendar.as_ref()
    }

    /// The times at which nothing starts, if there are any.
    #[must_use]
    pub const fn blackout(&self) -> Option<&Blackout> {
        self.blackout.as_ref()
    }

    /// The delay, if there is one.
    #[must_use]
    pub const fn jitter(&self) -> Option<&Jitter> {
        self.jitter.as_ref()
    }

    /// What its runs are about.
    #[must_use]
    pub const fn data_interval(&self) -> Interval {
        self.data_interval
    }

    /// One grid and nothing that moves its ticks: the last run is on the grid.
    pub(super) fn is_lone_grid(&self) -> bool {
        matches!(self.any.as_slice(), [Timetable::Every(_)])
            && self.calendar.is_none()
            && self.blackout.is_none()
    }

    pub(super) fn next_after(&self, anchor: DateTime<Utc>, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if moment >= LAST {
            return None;
        }
        self.ask(anchor, |ticks| ticks.next(moment.max(FIRST))).filter(|tick| *tick <= LAST)
    }

    pub(super) fn previous_before(
        &self,
        anchor: DateTime<Utc>,
        moment: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        if moment <= FIRST {
            return None;
        }
        self.ask(anchor, |ticks| ticks.previous(moment.min(LAST))).filter(|tick| *tick >= FIRST)
    }

    /// Puts a question to the ticks as they are after all has been done to them.
    fn ask<T>(&self, anchor: DateTime<Utc>, question: impl Fn(&dyn Ticks) -> T) -> T {
        let union = Union { any: &self.any, anchor };
        let moved = self.calendar.as_ref().map(|calendar| calendar.over(&union));
        let below: &dyn Ticks = moved.as_ref().map_or(&union, |moved| moved);
        match &self.blackout {
            Some(blackout) => question(&blackout.over(below)),
            None => question(below),
        }
    }
}

struct Union<'a> {
    any: &'a [Timetable],
    anchor: DateTime<Utc>,
}

impl<'a> Union<'a> {
    fn rows(&self) -> impl Iterator<Item = Row<'a>> {
        self.any.iter().filter_map(|element| Row::of(element, self.anchor))
    }
}

impl Ticks for Union<'_> {
    fn next(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.rows().filter_map(|row| row.next(moment)).min()
    }

    fn previous(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.rows().filter_map(|row| row.previous(moment)).max()
    }
}

fn check(element: &Timetable) -> Result<(), Error> {
    let why = match element {
        Timetable::Null | Timetable::Once | Timetable::Continuous => Some("it has no ticks"),
        Timetable::Cron(cron) => cron.data_interval().then_some(INTERVAL),
        Timetable::Every(every) => every.data_interval().then_some(INTERVAL),
        Timetable::Dates(_) => None,
        Timetable::Composed(inner) => inside(inner),
        Timetable::Listed(_) => Some("its runs are known only one by one"),
    };
    why.map_or(Ok(()), |why| Err(Error::Element { element: element.summary(), why }))
}

const INTERVAL: &str = "`data_interval` is said once, for the whole: {any: [...], data_interval: true}";

fn inside(inner: &Composed) -> Option<&'static str> {
    if inner.jitter.is_some() {
        return Some("`jitter` is said once, for the whole: {any: [...], jitter: 5m}");
    }
    if !inner.data_interval.is_moment() {
        return Some(INTERVAL);
    }
    let twice = inner.any.iter().any(|element| matches!(element, Timetable::Composed(_)));
    (twice || inner.any.len() > 1).then_some("it is a list itself; write all into one list")
}
