use chrono::{DateTime, TimeDelta, Utc};

use super::error::Error;
use crate::span::Span;

/// A run whenever a length of time has passed. The ticks form a grid through the last run, or the start date, so a late
/// run never shifts the ones after it. Elapsed time: a day is 24 hours, also when the clocks change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Every {
    span: Span,
    data_interval: bool,
}

impl Every {
    /// The shortest interval.
    pub const MIN: Span = Span::from_secs(1);

    /// A run every `span`.
    ///
    /// # Errors
    /// [`Error::TooOften`] for less than [`Every::MIN`].
    pub fn new(span: Span) -> Result<Self, Error> {
        if span < Self::MIN { Err(Error::TooOften(span)) } else { Ok(Self { span, data_interval: false }) }
    }

    /// The same, with runs that cover the time since the tick before.
    #[must_use]
    pub const fn with_data_interval(self, data_interval: bool) -> Self {
        Self { data_interval, ..self }
    }

    /// The time between two ticks.
    #[must_use]
    pub const fn span(&self) -> Span {
        self.span
    }

    /// Whether runs cover the time since the tick before.
    #[must_use]
    pub const fn data_interval(&self) -> bool {
        self.data_interval
    }

    /// The first tick after `moment` of the grid through `anchor`.
    pub(super) fn next_after(&self, anchor: DateTime<Utc>, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.tick(anchor, self.index(anchor, moment).checked_add(1)?)
    }

    /// The last tick before `moment` of the grid through `anchor`.
    pub(super) fn previous_before(
        &self,
        anchor: DateTime<Utc>,
        moment: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let last = self.index(anchor, moment);
        self.tick(anchor, last)
            .filter(|tick| *tick < moment)
            .or_else(|| self.tick(anchor, last.checked_sub(1)?))
    }

    /// The number of the last tick that is not after `moment`.
    fn index(&self, anchor: DateTime<Utc>, moment: DateTime<Utc>) -> i64 {
        (moment.timestamp_micros() - anchor.timestamp_micros()).div_euclid(self.micros())
    }

    fn tick(&self, anchor: DateTime<Utc>, index: i64) -> Option<DateTime<Utc>> {
        anchor.checked_add_signed(TimeDelta::microseconds(index.checked_mul(self.micros())?))
    }

    fn micros(&self) -> i64 {
        i64::try_from(self.span.as_millis()).map_or(i64::MAX, |millis| millis.saturating_mul(1000))
    }
}
