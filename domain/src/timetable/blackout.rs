use chrono::{DateTime, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{
    Cron,
    cron::{FIRST, LAST},
    error::Error,
    row::{INSTANT, MOST_REFUSED, Ticks},
    zone::Era,
};

/// What becomes of a tick within a blackout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBlackout {
    /// There is no run.
    #[default]
    Skip,
    /// It is moved to the moment at which the blackout ends; several that meet there are one.
    Delay,
}

impl OnBlackout {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 2] = [Self::Skip, Self::Delay];

    /// As it is written in a DAG file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Delay => "delay",
        }
    }
}

/// A time at which nothing starts. The end is the first moment after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Window {
    /// Whenever the clock reads a time from `from` up to `to`; past midnight when `to` is not the later one.
    Daily {
        /// The first time of the day in it.
        from: NaiveTime,
        /// The first time of the day after it.
        to: NaiveTime,
    },
    /// From one moment up to another.
    Once {
        /// The first moment in it.
        from: DateTime<Utc>,
        /// The first moment after it.
        to: DateTime<Utc>,
    },
    /// Whenever the clock reads a minute that a cron expression of five fields matches.
    Minutes {
        /// The expression.
        cron: String,
    },
}

/// Times at which nothing starts, by the clock of one zone.
///
/// A moment is in a blackout when the clock reads it so. What the clock leaves out needs no blackout; what it reads twice
/// is in it both times. Windows that touch or overlap are one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Form")]
pub struct Blackout {
    timezone: Tz,
    windows: Vec<Window>,
    on_blackout: OnBlackout,
    #[serde(skip)]
    shades: Vec<Shade>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    timezone: Tz,
    windows: Vec<Window>,
    on_blackout: OnBlackout,
}

impl TryFrom<Form> for Blackout {
    type Error = Error;

    fn try_from(Form { timezone, windows, on_blackout }: Form) -> Result<Self, Error> {
        Self::new(timezone, windows, on_blackout)
    }
}

impl Blackout {
    /// Most windows.
    pub const MOST: usize = 100;

    /// Nothing starts in any of `windows`, read by the clock of `zone`.
    ///
    /// # Errors
    /// [`Error::Count`] for none or more than [`Blackout::MOST`], [`Error::Window`] for one that is empty or no cron
    /// expression of five fields, and whatever is wrong with that expression.
    pub fn new(zone: Tz, windows: Vec<Window>, on_blackout: OnBlackout) -> Result<Self, Error> {
        Error::check_count("blackout windows", windows.len(), 1, Self::MOST)?;
        let shades = windows.iter().map(|window| Shade::of(window, zone)).collect::<Result<_, _>>()?;
        Ok(Self { timezone: zone, windows, on_blackout, shades })
    }

    /// The zone whose clock counts.
    #[must_use]
    pub const fn zone(&self) -> Tz {
        self.timezone
    }

    /// The windows as they were given.
    #[must_use]
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// What becomes of ticks in them.
    #[must_use]
    pub const fn on_blackout(&self) -> OnBlackout {
        self.on_blackout
    }

    /// Whether nothing starts at `moment`, known for the years 1970 to 2100.
    #[must_use]
    pub fn contains(&self, moment: DateTime<Utc>) -> bool {
        let moment = moment.clamp(FIRST, LAST);
        let era = Era::around(self.timezone, moment);
        self.shades.iter().any(|shade| shade.covers(&era, moment).is_some())
    }

    /// The first moment from `moment` on that is in no window; `None` when there is none for years.
    fn end(&self, mut moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        for _ in 0..MOST_REFUSED {
            let era = Era::around(self.timezone, moment);
            let covers = self.shades.iter().filter_map(|shade| shade.covers(&era, moment));
            match covers.map(|(_, end)| end).max() {
                Some(end) => moment = end,
                None => return Some(moment),
            }
        }
        None
    }

    /// The first moment of the blackout that `moment` is in; `None` when it has none for years.
    fn begin(&self, mut moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        for _ in 0..MOST_REFUSED {
            let before = moment.checked_sub_signed(INSTANT)?;
            let era = Era::around(self.timezone, before);
            let covers = self.shades.iter().filter_map(|shade| shade.covers(&era, before));
            match covers.map(|(begin, _)| begin).min() {
                Some(begin) => moment = begin,
                None => return Some(moment),
            }
        }
        None
    }

    pub(super) const fn over<'a>(&'a self, below: &'a dyn Ticks) -> Lit<'a> {
        Lit { blackout: self, below }
    }
}

/// A window in the form in which it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shade {
    Daily(NaiveTime, NaiveTime),
    Once(DateTime<Utc>, DateTime<Utc>),
    Minutes(Cron),
}

impl Shade {
    fn of(window: &Window, zone: Tz) -> Result<Self, Error> {
        match window {
            Window::Daily { from, to } if from == to => {
                Err(Error::Window("`from` and `to` are the same time of the day".to_owned()))
            }
            Window::Daily { from, to } => Ok(Self::Daily(*from, *to)),
            Window::Once { from, to } if to <= from => {
                Err(Error::Window("`to` is not after `from`".to_owned()))
            }
            Window::Once { from, to } => Ok(Self::Once(*from, *to)),
            Window::Minutes { cron } => {
                let cron = Cron::parse(cron, zone)?;
                match cron.plan().seconds.as_slice() {
                    [0] => Ok(Self::Minutes(cron)),
                    _ => Err(Error::Window("a blackout is for whole minutes, without seconds".to_owned())),
                }
            }
        }
    }

    /// The stretch around `moment` that this window covers without a jump of the clock, if it is in the window.
    fn covers(&self, era: &Era, moment: DateTime<Utc>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let reading = era.reading(moment);
        let (begin, end) = match self {
            Self::Once(from, to) => {
                return Some((*from, *to)).filter(|(from, to)| *from <= moment && moment < *to);
            }
            Self::Daily(from, to) => around(*from, *to, reading)?,
            Self::Minutes(cron) => {
                let bounds = (era.reading(era.start), era.reading(era.end));
                cron.plan().stretch(reading, bounds)?
            }
        };
        Some((era.moment(begin).max(era.start), era.moment(end).min(era.end)))
    }
}

fn around(from: NaiveTime, to: NaiveTime, reading: NaiveDateTime) -> Option<(NaiveDateTime, NaiveDateTime)> {
    let day = TimeDelta::days(1);
    let today = |time| reading.date().and_time(time);
    let (begin, end) = match (reading.time() >= from, reading.time() < to) {
        (true, true) if from < to => (today(from), today(to)),
        (true, _) if from > to => (today(from), today(to) + day),
        (_, true) if from > to => (today(from) - day, today(to)),
        _ => return None,
    };
    Some((begin, end))
}

/// The ticks below, kept out of a blackout.
pub(super) struct Lit<'a> {
    blackout: &'a Blackout,
    below: &'a dyn Ticks,
}

impl Ticks for Lit<'_> {
    fn next(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.blackout.on_blackout {
            OnBlackout::Skip => {
                let mut tick = self.below.next(moment)?;
                for _ in 0..MOST_REFUSED {
                    let end = self.blackout.end(tick)?;
                    if end == tick {
                        return Some(tick);
                    }
                    tick = self.below.at_or_after(end)?;
                }
                None
            }
            // In a blackout, whatever fell into it before `moment` is still to come.
            OnBlackout::Delay if self.blackout.contains(moment) => {
                self.blackout.end(self.below.at_or_after(self.blackout.begin(moment)?)?)
            }
            OnBlackout::Delay => self.blackout.end(self.below.next(moment)?),
        }
    }

    fn previous(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut tick = self.below.previous(moment)?;
        for _ in 0..MOST_REFUSED {
            let end = self.blackout.end(tick);
            let counts = match self.blackout.on_blackout {
                OnBlackout::Skip => end == Some(tick),
                OnBlackout::Delay => end.is_some_and(|end| end < moment),
            };
            if counts {
                return end;
            }
            tick = self.below.previous(self.blackout.begin(tick)?)?;
        }
        None
    }
}
