use chrono::{DateTime, TimeDelta, Utc};

use super::{Composed, Cron, Dates, Every, Timetable};

/// The finest difference between two moments that the records keep.
pub(super) const INSTANT: TimeDelta = TimeDelta::microseconds(1);

/// How many ticks, or windows, in a row a search may refuse before it gives up: what fires less often than that never
/// fires. A day at a time these are almost three years, a week at a time nineteen.
pub(super) const MOST_REFUSED: usize = 1_000;

/// Moments in a row, without end or with one.
pub(super) trait Ticks {
    /// The first one after `moment`.
    fn next(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>>;

    /// The last one before `moment`.
    fn previous(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>>;

    fn at_or_after(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.next(moment.checked_sub_signed(INSTANT)?)
    }

    fn at_or_before(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.previous(moment.checked_add_signed(INSTANT)?)
    }
}

/// The ticks of a timetable that has any.
#[derive(Clone, Copy)]
pub(super) enum Row<'a> {
    Cron(&'a Cron),
    /// With a moment that is on the grid.
    Grid(&'a Every, DateTime<Utc>),
    Dates(&'a Dates),
    /// With a moment that is on the grid of every [`Every`] in it.
    Composed(&'a Composed, DateTime<Utc>),
}

impl<'a> Row<'a> {
    /// The ticks of `timetable`; `None` when it has none.
    pub(super) const fn of(timetable: &'a Timetable, anchor: DateTime<Utc>) -> Option<Self> {
        match timetable {
            Timetable::Null | Timetable::Once | Timetable::Continuous | Timetable::Listed(_) => None,
            Timetable::Cron(cron) => Some(Self::Cron(cron)),
            Timetable::Every(every) => Some(Self::Grid(every, anchor)),
            Timetable::Dates(dates) => Some(Self::Dates(dates)),
            Timetable::Composed(composed) => Some(Self::Composed(composed, anchor)),
        }
    }
}

impl Ticks for Row<'_> {
    fn next(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Cron(cron) => cron.next_after(moment),
            Self::Grid(every, anchor) => every.next_after(*anchor, moment),
            Self::Dates(dates) => dates.next_after(moment),
            Self::Composed(composed, anchor) => composed.next_after(*anchor, moment),
        }
    }

    fn previous(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Cron(cron) => cron.previous_before(moment),
            Self::Grid(every, anchor) => every.previous_before(*anchor, moment),
            Self::Dates(dates) => dates.previous_before(moment),
            Self::Composed(composed, anchor) => composed.previous_before(*anchor, moment),
        }
    }
}
