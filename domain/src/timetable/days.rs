use ::cron::Schedule;
use chrono::{DateTime, Datelike, Days as DayCount, NaiveDate, NaiveDateTime, NaiveTime, Utc, Weekday};

use super::{
    error::{Error, Place},
    field::{DAY, WEEKDAY},
};

/// Which days an expression is for. Several of these are joined by "or", as cron(5) and Airflow join the day of the
/// month with the weekday when both are restricted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Days {
    /// Every day.
    Every,
    /// Days of the month.
    Month(Vec<u32>),
    /// Weekdays, Sunday is 0.
    Week(Vec<u32>),
    /// `L`: the last day of the month.
    Last,
    /// `15W`: the day from Monday to Friday that is nearest to this day of the month, within the month.
    Nearest(u32),
    /// `5#2`: the second Friday of the month.
    Nth(u32, u32),
    /// `L5`: the last Friday of the month.
    LastWeekday(u32),
}

/// The days of the two day fields of an expression.
pub(super) fn parse(day: (&str, &Place), weekday: (&str, &Place)) -> Result<Vec<Days>, Error> {
    let mut all = Vec::new();
    if !free(day.0) {
        all.extend(month_days(day.0, day.1)?);
    }
    if !free(weekday.0) {
        all.extend(week_days(weekday.0, weekday.1)?);
    }
    Ok(if all.is_empty() { vec![Days::Every] } else { all })
}

fn free(text: &str) -> bool {
    matches!(text, "*" | "?")
}

fn month_days(text: &str, place: &Place) -> Result<Vec<Days>, Error> {
    let (mut plain, mut special) = (Vec::new(), Vec::new());
    for part in text.split(',') {
        let lower = part.to_ascii_lowercase();
        if lower == "l" {
            special.push(Days::Last);
        } else if let Some(number) = lower.strip_suffix('w').or_else(|| lower.strip_prefix('w')) {
            special.push(Days::Nearest(DAY.value(number, part, place)?));
        } else {
            plain.extend(DAY.part(part, place)?);
        }
    }
    Ok(joined(plain, special, Days::Month))
}

fn week_days(text: &str, place: &Place) -> Result<Vec<Days>, Error> {
    let (mut plain, mut special) = (Vec::new(), Vec::new());
    for part in text.split(',') {
        let lower = part.to_ascii_lowercase();
        if let Some((weekday, nth)) = lower.split_once('#') {
            let weekday = WEEKDAY.wrap(WEEKDAY.value(weekday, part, place)?);
            let nth = nth.parse().ok().filter(|nth| (1..=5).contains(nth));
            special.push(Days::Nth(weekday, nth.ok_or_else(|| nth_error(part, place))?));
        } else if let Some(weekday) = lower.strip_prefix('l').or_else(|| lower.strip_suffix('l')) {
            special.push(Days::LastWeekday(WEEKDAY.wrap(WEEKDAY.value(weekday, part, place)?)));
        } else {
            plain.extend(WEEKDAY.part(part, place)?);
        }
    }
    Ok(joined(plain, special, Days::Week))
}

fn nth_error(part: &str, place: &Place) -> Error {
    Error::Shape {
        text: part.to_owned(),
        field: "weekday",
        allowed: "which one of the month from 1 to 5, as fri#2 for the second Friday",
        place: place.clone(),
    }
}

fn joined(mut plain: Vec<u32>, mut special: Vec<Days>, kind: fn(Vec<u32>) -> Days) -> Vec<Days> {
    plain.sort_unstable();
    plain.dedup();
    if !plain.is_empty() {
        special.insert(0, kind(plain));
    }
    special
}

impl Days {
    /// The day-of-month and weekday fields, in the dialect of the cron crate, of all days that may qualify;
    /// [`Days::allows`] picks from them.
    pub(super) fn fields(&self) -> (String, String) {
        let any = || "*".to_owned();
        match self {
            Self::Every => (any(), any()),
            Self::Month(days) => (list(days.iter().copied()), any()),
            Self::Last => (list(28..=31), any()),
            Self::Nearest(day) => (list(day.saturating_sub(2).max(1)..=(day + 2).min(31)), any()),
            // The crate counts from Sunday as 1.
            Self::Week(weekdays) => (any(), list(weekdays.iter().map(|weekday| weekday + 1))),
            Self::Nth(weekday, _) | Self::LastWeekday(weekday) => (any(), list([weekday + 1])),
        }
    }

    /// Whether `date` qualifies.
    pub(super) fn includes(&self, date: NaiveDate) -> bool {
        let weekday = || date.weekday().num_days_from_sunday();
        match self {
            Self::Every | Self::Last | Self::Nearest(_) => self.allows(date),
            Self::Month(days) => days.contains(&date.day()),
            Self::Week(weekdays) => weekdays.contains(&weekday()),
            Self::Nth(on, _) | Self::LastWeekday(on) => *on == weekday() && self.allows(date),
        }
    }

    /// Whether `date`, which has passed [`Days::fields`], qualifies.
    fn allows(&self, date: NaiveDate) -> bool {
        match self {
            Self::Every | Self::Month(_) | Self::Week(_) => true,
            Self::Last => date.day() == month_length(date),
            Self::Nearest(day) => Some(date) == nearest_weekday(date, *day),
            Self::Nth(_, nth) => (date.day() - 1) / 7 + 1 == *nth,
            Self::LastWeekday(_) => date.day() + 7 > month_length(date),
        }
    }
}

fn list(values: impl IntoIterator<Item = u32>) -> String {
    values.into_iter().map(|value| value.to_string()).collect::<Vec<_>>().join(",")
}

fn month_length(date: NaiveDate) -> u32 {
    u32::from(date.num_days_in_month())
}

/// The nearest Monday to Friday of `day` in the month of `date`; a month without that day has none.
fn nearest_weekday(date: NaiveDate, day: u32) -> Option<NaiveDate> {
    let target = date.with_day(day)?;
    match target.weekday() {
        Weekday::Sat if day == 1 => target.checked_add_days(DayCount::new(2)),
        Weekday::Sat => target.checked_sub_days(DayCount::new(1)),
        Weekday::Sun if day == month_length(date) => target.checked_sub_days(DayCount::new(2)),
        Weekday::Sun => target.checked_add_days(DayCount::new(1)),
        Weekday::Mon | Weekday::Tue | Weekday::Wed | Weekday::Thu | Weekday::Fri => Some(target),
    }
}

/// The ticks of one kind of days on a wall clock that never jumps. Ends with the year 2100, the crate's last.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) days: Days,
    pub(super) schedule: Schedule,
}

impl Rule {
    /// The first tick after `reading`. Each refused day costs one step, and there are at most 366 of them a year.
    pub(super) fn next(&self, mut reading: NaiveDateTime) -> Option<NaiveDateTime> {
        loop {
            let tick = self.schedule.after(&pretend_utc(reading)).next()?.naive_utc();
            if self.days.allows(tick.date()) {
                return Some(tick);
            }
            reading = tick.date().and_time(LAST_SECOND);
        }
    }

    /// The last tick before `reading`.
    pub(super) fn previous(&self, mut reading: NaiveDateTime) -> Option<NaiveDateTime> {
        loop {
            let tick = self.schedule.after(&pretend_utc(reading)).next_back()?.naive_utc();
            if self.days.allows(tick.date()) {
                return Some(tick);
            }
            reading = tick.date().and_time(NaiveTime::MIN);
        }
    }
}

const LAST_SECOND: NaiveTime = match NaiveTime::from_hms_opt(23, 59, 59) {
    Some(time) => time,
    None => NaiveTime::MIN,
};

/// The crate wants a zone; UTC never jumps, and the real zone's law is [`super::zone`]'s.
fn pretend_utc(reading: NaiveDateTime) -> DateTime<Utc> {
    reading.and_utc()
}
