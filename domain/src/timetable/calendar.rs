use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, NaiveDate, Utc, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{
    error::Error,
    row::{INSTANT, MOST_REFUSED, Ticks},
    zone,
};

/// What becomes of a tick on a day that is no business day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnHoliday {
    /// There is no run.
    #[default]
    Skip,
    /// It is moved to the next business day, at the same time of the day.
    NextBusinessDay,
    /// It is moved to the business day before, at the same time of the day.
    PreviousBusinessDay,
}

impl OnHoliday {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::Skip, Self::NextBusinessDay, Self::PreviousBusinessDay];

    /// As it is written in a DAG file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::NextBusinessDay => "next_business_day",
            Self::PreviousBusinessDay => "previous_business_day",
        }
    }
}

/// Business days: every day of the calendar of a zone that is neither on the weekend nor a holiday.
///
/// A tick that is moved keeps its time of the day; where the clock of its new day leaves that out or reads it twice, the
/// rules are those of a cron expression at a given hour. Ticks that meet are one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Form")]
pub struct Calendar {
    timezone: Tz,
    weekend: Vec<Weekday>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    holidays: BTreeSet<NaiveDate>,
    on_holiday: OnHoliday,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    timezone: Tz,
    weekend: Vec<Weekday>,
    #[serde(default)]
    holidays: BTreeSet<NaiveDate>,
    on_holiday: OnHoliday,
}

impl TryFrom<Form> for Calendar {
    type Error = Error;

    fn try_from(Form { timezone, weekend, holidays, on_holiday }: Form) -> Result<Self, Error> {
        Self::new(timezone, weekend, holidays, on_holiday)
    }
}

impl Calendar {
    /// Most holidays.
    pub const MOST: usize = 1_000;

    /// The days of `zone` that are not in `weekend` and not in `holidays`.
    ///
    /// # Errors
    /// [`Error::NoBusinessDays`] when every weekday is in `weekend`, [`Error::Count`] for more than [`Calendar::MOST`]
    /// holidays.
    pub fn new(
        zone: Tz,
        mut weekend: Vec<Weekday>,
        holidays: BTreeSet<NaiveDate>,
        on_holiday: OnHoliday,
    ) -> Result<Self, Error> {
        weekend.sort_unstable_by_key(Weekday::num_days_from_monday);
        weekend.dedup();
        if weekend.len() == 7 {
            return Err(Error::NoBusinessDays);
        }
        Error::check_count("holidays", holidays.len(), 0, Self::MOST)?;
        Ok(Self { timezone: zone, weekend, holidays, on_holiday })
    }

    /// The zone in which a day begins and ends.
    #[must_use]
    pub const fn zone(&self) -> Tz {
        self.timezone
    }

    /// The weekdays without business, from Monday on.
    #[must_use]
    pub fn weekend(&self) -> &[Weekday] {
        &self.weekend
    }

    /// The days without business besides.
    #[must_use]
    pub const fn holidays(&self) -> &BTreeSet<NaiveDate> {
        &self.holidays
    }

    /// What becomes of ticks on them.
    #[must_use]
    pub const fn on_holiday(&self) -> OnHoliday {
        self.on_holiday
    }

    /// Whether there is business on `date`.
    #[must_use]
    pub fn is_business_day(&self, date: NaiveDate) -> bool {
        !self.weekend.contains(&date.weekday()) && !self.holidays.contains(&date)
    }

    pub(super) const fn over<'a>(&'a self, below: &'a dyn Ticks) -> BusinessDays<'a> {
        BusinessDays { calendar: self, below }
    }

    // Both end, because a week has a business day unless it is a week of holidays, of which there are few.
    fn on_or_after(&self, date: NaiveDate) -> Option<NaiveDate> {
        date.iter_days().find(|date| self.is_business_day(*date))
    }

    fn on_or_before(&self, date: NaiveDate) -> Option<NaiveDate> {
        std::iter::successors(Some(date), NaiveDate::pred_opt).find(|date| self.is_business_day(*date))
    }

    /// The first and the last of the days whose ticks land on the business day `day`.
    fn origins(&self, day: NaiveDate) -> Option<(NaiveDate, NaiveDate)> {
        Some(match self.on_holiday {
            OnHoliday::Skip => (day, day),
            OnHoliday::NextBusinessDay => (self.on_or_before(day.pred_opt()?)?.succ_opt()?, day),
            OnHoliday::PreviousBusinessDay => (day, self.on_or_after(day.succ_opt()?)?.pred_opt()?),
        })
    }

    fn date(&self, moment: DateTime<Utc>) -> NaiveDate {
        zone::reading(self.timezone, moment).date()
    }

    fn opens(&self, date: NaiveDate) -> DateTime<Utc> {
        zone::first_at(self.timezone, date.and_time(chrono::NaiveTime::MIN))
    }

    /// Whether the clock jumps on `date`.
    fn jumps_on(&self, date: NaiveDate) -> bool {
        date.succ_opt().is_none_or(|next| self.opens(next) - self.opens(date) != chrono::TimeDelta::days(1))
    }
}

/// The ticks below, moved to business days.
///
/// Moving does not keep the order (Saturday 18:00 lands behind Sunday 06:00 on the same Monday), so what lands on one
/// business day is looked at together.
pub(super) struct BusinessDays<'a> {
    calendar: &'a Calendar,
    below: &'a dyn Ticks,
}

impl Ticks for BusinessDays<'_> {
    fn next(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let calendar = self.calendar;
        let mut day = calendar.on_or_after(calendar.date(moment))?;
        for _ in 0..MOST_REFUSED {
            let (first, last) = calendar.origins(day)?;
            let landed = first.iter_days().take_while(|origin| *origin <= last);
            if let Some(tick) = landed.filter_map(|origin| self.first(origin, day, moment)).min() {
                return Some(tick);
            }
            let later = calendar.date(self.below.at_or_after(calendar.opens(last.succ_opt()?))?);
            day = match calendar.on_holiday {
                OnHoliday::Skip | OnHoliday::NextBusinessDay => calendar.on_or_after(later)?,
                OnHoliday::PreviousBusinessDay => calendar.on_or_before(later)?,
            };
        }
        None
    }

    fn previous(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let calendar = self.calendar;
        let mut day = calendar.on_or_before(calendar.date(moment))?;
        for _ in 0..MOST_REFUSED {
            let (first, last) = calendar.origins(day)?;
            let landed = first.iter_days().take_while(|origin| *origin <= last);
            if let Some(tick) = landed.filter_map(|origin| self.last(origin, day, moment)).max() {
                return Some(tick);
            }
            let earlier = calendar.date(self.below.previous(calendar.opens(first))?);
            day = match calendar.on_holiday {
                OnHoliday::Skip | OnHoliday::PreviousBusinessDay => calendar.on_or_before(earlier)?,
                OnHoliday::NextBusinessDay => calendar.on_or_after(earlier)?,
            };
        }
        None
    }
}

impl BusinessDays<'_> {
    /// The first tick after `after` of those that land on `day` and come from `origin`.
    fn first(&self, origin: NaiveDate, day: NaiveDate, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let calendar = self.calendar;
        if self.keeps_order(origin, day) {
            let from = calendar.opens(origin).max(self.sent_back(after, origin, day)? + INSTANT);
            let tick = self.below.at_or_after(from)?;
            return self.landed(tick, origin, day);
        }
        self.all(origin, day).filter(|landed| *landed > after).min()
    }

    /// The last tick before `before` of those that land on `day` and come from `origin`.
    fn last(&self, origin: NaiveDate, day: NaiveDate, before: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let calendar = self.calendar;
        if self.keeps_order(origin, day) {
            let to = calendar.opens(origin.succ_opt()?).min(self.sent_back(before, origin, day)?);
            let tick = self.below.previous(to)?;
            return self.landed(tick, origin, day);
        }
        self.all(origin, day).filter(|landed| *landed < before).max()
    }

    /// Whether the ticks of `origin` land on `day` in their own order: the clock jumps on neither.
    fn keeps_order(&self, origin: NaiveDate, day: NaiveDate) -> bool {
        origin == day || !(self.calendar.jumps_on(origin) || self.calendar.jumps_on(day))
    }

    /// All that `origin` lands on `day`.
    fn all(&self, origin: NaiveDate, day: NaiveDate) -> impl Iterator<Item = DateTime<Utc>> {
        let first = self.below.at_or_after(self.calendar.opens(origin));
        std::iter::successors(first, |tick| self.below.next(*tick))
            .map_while(move |tick| self.landed(tick, origin, day))
    }

    /// Where `tick` lands; `None` when it is not of `origin`.
    fn landed(&self, tick: DateTime<Utc>, origin: NaiveDate, day: NaiveDate) -> Option<DateTime<Utc>> {
        let reading = zone::reading(self.calendar.timezone, tick);
        if reading.date() != origin {
            return None;
        }
        Some(if origin == day {
            tick
        } else {
            zone::fires_at(self.calendar.timezone, day.and_time(reading.time()))
        })
    }

    /// The moment of `origin` that would land at `moment`, or lie as far from `day`.
    fn sent_back(&self, moment: DateTime<Utc>, origin: NaiveDate, day: NaiveDate) -> Option<DateTime<Utc>> {
        moment.checked_sub_signed(self.calendar.opens(day) - self.calendar.opens(origin))
    }
}
