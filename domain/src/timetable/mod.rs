//! Timetables: when runs are due. Pure: the moment that counts as now is an argument.
//!
//! A timetable is a set of *ticks*, a function of the wall clock alone. The next run is always derived from the data
//! interval of the last run that the schedule created (the cursor), never from a plan made earlier, so asking again
//! later gives the same answer unless a tick was missed in between, which is what [`Catchup`] is about.
//!
//! The rules are those of Airflow 3: a cron string fires at its ticks with an empty data interval; with `data_interval`
//! a run covers the time from the tick before to the tick that starts it.
//!
//! Timetables can be put together ([`Composed`]). The ticks of all parts are one row, a moment that several name is one
//! tick, and on that row the rules are the same as on any other. With catch-up that is the earliest of what the parts ask
//! for; without, the latest that has passed or else the soonest to come (Airflow's `MultipleCronTriggerTimetable`). The row
//! is then moved to business days ([`Calendar`]), then kept out of blackouts ([`Blackout`]), then started with a delay
//! ([`Jitter`]).
//!
//! [`Timetable::Continuous`] has no ticks: its next run begins where the last one's time ended, and is due at once, but not
//! within a second of the last one's start. The engine asks for it only while no run of the DAG is queued or running, which `max_active_runs: 1` sees to: the loader
//! sets it and refuses any other number.
//!
//! # Daylight saving
//!
//! A cron expression is compared with the wall clock of its zone.
//!
//! | the wall clock | a tick at a given hour (`30 2 * * *`) | a tick in every hour (`30 * * * *`) |
//! |---|---|---|
//! | reads the time once | fires then | fires then |
//! | leaves the time out (spring) | fires later by what was left out: 02:30 becomes 03:30 | the same, and two ticks that meet are one |
//! | reads the time twice (autumn) | fires once, the second time | fires both times |
//!
//! "Every hour" means that the hour field allows all 24 hours, however it is written. These are Airflow's rules, with one
//! difference: Airflow measures the way to the next tick of an every-hour expression by the wall clock and walks it in
//! elapsed time, so that a change of the clock on the way (`0 * * * 1`, every hour on Mondays, after a change on Sunday)
//! moves that tick off its own expression. Here a tick is never moved except out of a gap.
//!
//! | the others | time left out (spring) | time read twice (autumn) |
//! |---|---|---|
//! | `every` | elapsed time: a day is 24 hours and drifts on the wall clock by the change | the same |
//! | `at` without offset | refused: nobody can know which moment was meant | the first of the two |
//! | moved to another business day | as a tick at a given hour of that day | the same: once, the second time |
//! | daily and cron blackouts | what the clock never reads needs no blackout; it begins or ends at the jump | in it both times |
//! | `jitter`, a length as `data_interval` | elapsed time | elapsed time |
//! | several | each by its own rule; ticks that meet are one | the same |

pub mod asked;
mod blackout;
mod calendar;
mod catchup;
mod composed;
mod cron;
mod dates;
mod days;
mod error;
mod every;
mod field;
mod form;
mod interval;
mod jitter;
mod law;
mod listed;
mod overlap;
mod row;
mod said;
mod words;
mod zone;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

pub(crate) use self::zone::{
    fires_at as clock_moment, first_at, offset_at as clock_offset, reading as clock_reading,
};
pub use self::{
    blackout::{Blackout, OnBlackout, Window},
    calendar::{Calendar, OnHoliday},
    catchup::Catchup,
    composed::Composed,
    cron::{Cron, PRESETS},
    dates::Dates,
    error::{Error, Place},
    every::Every,
    interval::Interval,
    jitter::Jitter,
    listed::{Listed, Listing, Program},
    overlap::Overlap,
};

/// The stretch of time that a run is about, from `start` up to `end`; both are equal when it is only a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DataInterval {
    /// Its first moment.
    pub start: DateTime<Utc>,
    /// The first moment after it.
    pub end: DateTime<Utc>,
}

impl DataInterval {
    /// The interval of no length at `moment`.
    #[must_use]
    pub const fn exact(moment: DateTime<Utc>) -> Self {
        Self { start: moment, end: moment }
    }
}

/// A run that the schedule asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NextRun {
    /// What names the run: the start of its data interval.
    pub logical_date: DateTime<Utc>,
    /// The time it is about.
    pub data_interval: DataInterval,
    /// It may start from here on.
    pub run_after: DateTime<Utc>,
}

impl NextRun {
    /// The moment that the timetable names, after which the run is called: the end of its data interval. It may start
    /// later, see [`Jitter`].
    #[must_use]
    pub const fn tick(&self) -> DateTime<Utc> {
        self.data_interval.end
    }

    const fn over(data_interval: DataInterval) -> Self {
        Self { logical_date: data_interval.start, data_interval, run_after: data_interval.end }
    }
}

/// The first and the last moment for which a DAG may have scheduled runs, both included; they bound the logical date.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The DAG's `start_date`.
    pub start: Option<DateTime<Utc>>,
    /// The DAG's `end_date`.
    pub end: Option<DateTime<Utc>>,
}

/// When runs are due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "form::Form", try_from = "form::Form")]
pub enum Timetable {
    /// Never by schedule.
    Null,
    /// One run, at the start date or as soon as the DAG is known.
    Once,
    /// As soon as the run before has ended. Needs `max_active_runs: 1`. From Airflow's `ContinuousTimetable`, which never
    /// runs without a start date; here the first run then begins as soon as the DAG is known.
    Continuous,
    /// By the wall clock.
    Cron(Cron),
    /// By elapsed time.
    Every(Every),
    /// At listed moments.
    Dates(Dates),
    /// Put together from others.
    Composed(Box<Composed>),
    /// As a program says that is no part of this one.
    Listed(Box<Listed>),
}

impl Timetable {
    /// Reads a schedule written as one text: `@once`, `@continuous`, a preset or a cron expression, read in `zone`.
    ///
    /// # Errors
    /// What is wrong with the text, with the field and what it may hold.
    pub fn parse(text: &str, zone: Tz) -> Result<Self, Error> {
        match text.trim() {
            ONCE => Ok(Self::Once),
            CONTINUOUS => Ok(Self::Continuous),
            expression => Cron::parse(expression, zone).map(Self::Cron),
        }
    }

    /// The run that is due next, or `None` when the schedule will never ask for one again (or so seldom that the search,
    /// which refuses at most a thousand ticks in a row, does not find it).
    ///
    /// `cursor` is the data interval of the last run that the schedule created; the answer's lies behind it. A run whose
    /// `run_after` lies before `now` was missed and is due at once. Without `bounds.start` and `cursor` a schedule fires at
    /// its next tick, or at the last one when that is at most five minutes or a tenth of the period ago (Airflow's rule for
    /// a first run); an [`Every`] fires at once.
    ///
    /// Of [`Timetable::Continuous`] it is asked only while no run is active; each answer is due at `now`, or a second
    /// after the last run was due.
    #[must_use]
    pub fn next_run(
        &self,
        cursor: Option<&DataInterval>,
        bounds: &Bounds,
        catchup: Catchup,
        now: DateTime<Utc>,
    ) -> Option<NextRun> {
        law::next_run(self, &law::Question { cursor: cursor.copied(), bounds: *bounds, catchup, now })
    }

    /// The runs of this schedule that start at `after` or later, oldest first, as if none had ever been missed.
    /// May be endless; ends where no further run is found. Of [`Timetable::Continuous`] only the first is known.
    pub fn runs<'a>(
        &'a self,
        after: DateTime<Utc>,
        bounds: &Bounds,
    ) -> impl Iterator<Item = NextRun> + use<'a> {
        law::runs(self, after, *bounds)
    }

    /// The data intervals of the runs of a DAG that had these bounds and never missed one, oldest first. A schedule by elapsed
    /// time keeps to the grid through `anchor`, the DAG's real start date; without one its grid begins with the range.
    /// May be endless without an end; empty unless it [is periodic](Self::is_periodic), and for [`Timetable::Listed`], whose program
    /// is to be [asked](asked::Question::between).
    pub fn dates<'a>(
        &'a self,
        anchor: Option<DateTime<Utc>>,
        range: Bounds,
    ) -> impl Iterator<Item = DataInterval> + use<'a> {
        law::dates(self, anchor, range)
    }

    /// It names dates by itself, whatever else happens (Airflow's `periodic`).
    #[must_use]
    pub fn is_periodic(&self) -> bool {
        match self {
            Self::Null | Self::Once | Self::Continuous => false,
            Self::Listed(listed) => !listed.program().is_aperiodic,
            Self::Cron(_) | Self::Every(_) | Self::Dates(_) | Self::Composed(_) => true,
        }
    }

    /// The moments at which this schedule starts runs, from `after` (itself included) on. May be endless.
    pub fn fire_times<'a>(
        &'a self,
        after: DateTime<Utc>,
        bounds: &Bounds,
    ) -> impl Iterator<Item = DateTime<Utc>> + use<'a> {
        self.runs(after, bounds).map(|run| run.run_after)
    }

    /// The data interval of a run that a person starts at `run_after`: nothing for a schedule that fires at moments,
    /// the last complete interval otherwise. `None` when the schedule has no tick before, and for [`Timetable::Listed`], of
    /// which only its program knows.
    #[must_use]
    pub fn manual_interval(&self, run_after: DateTime<Utc>) -> Option<DataInterval> {
        law::manual_interval(self, run_after)
    }

    /// The data interval of a run that a person starts with a logical date; `None` for [`Timetable::Listed`], whose program is to be
    /// [asked](asked::Question::by_hand).
    #[must_use]
    pub fn given_interval(&self, logical_date: DateTime<Utc>) -> Option<DataInterval> {
        let exact = DataInterval::exact(logical_date);
        self.listed().is_none().then(|| self.manual_interval(logical_date).unwrap_or(exact))
    }

    /// The program whose rules these are, if they are those of one.
    #[must_use]
    pub fn listed(&self) -> Option<&Listed> {
        match self {
            Self::Listed(listed) => Some(listed),
            Self::Null
            | Self::Once
            | Self::Continuous
            | Self::Cron(_)
            | Self::Every(_)
            | Self::Dates(_)
            | Self::Composed(_) => None,
        }
    }

    /// The same with what its program answered, if its rules are those of one.
    #[must_use]
    pub fn with_listing(self, listing: Listing) -> Self {
        match self {
            Self::Listed(listed) => Self::Listed(Box::new(listed.with_listing(listing))),
            Self::Null
            | Self::Once
            | Self::Continuous
            | Self::Cron(_)
            | Self::Every(_)
            | Self::Dates(_)
            | Self::Composed(_) => self,
        }
    }

    /// The zone whose clock counts for it, when there is just one: of the cron expression, the calendar, the blackouts.
    #[must_use]
    pub fn zone(&self) -> Option<Tz> {
        said::zone(self)
    }

    /// The schedule in short, as lists and the API show it: the cron expression, `every 15m`, `@once`, `None`; several
    /// with commas between, and behind them what is done to their ticks: `0 6 * * * (business days, jitter 5m)`.
    #[must_use]
    pub fn summary(&self) -> String {
        said::summary(self)
    }

    /// The schedule in words: `At 02:30 every day, America/New_York`.
    #[must_use]
    pub fn description(&self) -> String {
        said::description(self)
    }
}

const ONCE: &str = "@once";
const CONTINUOUS: &str = "@continuous";
