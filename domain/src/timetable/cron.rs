use std::{fmt, sync::Arc};

use ::cron::Schedule;
use chrono::{DateTime, Datelike, DurationRound, NaiveDateTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;

use super::{
    days::{self, Days, Rule},
    error::{Error, MAX_EXPRESSION, Place},
    field::{HOUR, MINUTE, MONTH, SECOND},
    words,
    zone::Era,
};

/// The words that stand for an expression: Airflow's, and others that cron programs know.
pub const PRESETS: [(&str, &str); 9] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@quarterly", "0 0 1 */3 *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@minutely", "* * * * *"),
];

/// A run at the times of the wall clock that match a cron expression: five fields (minute, hour, day of the month, month,
/// weekday), or six with seconds first.
///
/// As in cron(5) and Airflow, 0 and 7 are Sunday, and a day qualifies by the day of the month *or* by the weekday when both
/// are restricted. Names (`jan`, `mon`), ranges (also round the end: `22-2`, `fri-mon`), lists, steps, `?`, `L` (last
/// day), `15W` (nearest working day), `L5` (last Friday) and `5#2` (second Friday) are understood. Ticks are computed
/// for the years 1970 to 2100.
#[derive(Clone)]
pub struct Cron {
    expression: String,
    zone: Tz,
    data_interval: bool,
    plan: Arc<Plan>,
}

impl Cron {
    /// Reads an expression or a preset such as `@daily`, to be compared with the wall clock of `zone`.
    ///
    /// # Errors
    /// What is wrong, with the field, its value and what it may hold. An expression for a day that does not exist
    /// (`0 0 30 2 *`) is no error: it has no ticks.
    pub fn parse(expr: &str, zone: Tz) -> Result<Self, Error> {
        if expr.len() > MAX_EXPRESSION {
            return Err(Error::TooLong { length: expr.len() });
        }
        let expression = preset(expr.trim())?.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        let plan = Arc::new(Plan::parse(&expression)?);
        Ok(Self { expression, zone, data_interval: false, plan })
    }

    /// The same, with runs that cover the time since the tick before.
    #[must_use]
    pub fn with_data_interval(self, data_interval: bool) -> Self {
        Self { data_interval, ..self }
    }

    /// The expression, with a preset spelled out.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The zone whose wall clock counts.
    #[must_use]
    pub const fn zone(&self) -> Tz {
        self.zone
    }

    /// Whether runs cover the time since the tick before.
    #[must_use]
    pub const fn data_interval(&self) -> bool {
        self.data_interval
    }

    /// The first tick after `moment`.
    #[must_use]
    pub fn next_after(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut after = whole_second(moment)?.max(FIRST);
        for _ in 0..LEAPS {
            if after > LAST {
                return None;
            }
            let era = Era::around(self.zone, after + SECOND_LONG);
            if let Some(tick) = self.first_in(&era, after) {
                return Some(tick);
            }
            let rest = era.end - SECOND_LONG;
            after = if era.jumps_at_end {
                rest
            } else {
                rest.max(era.moment(self.plan.next(era.reading(rest))?) - NEAR)
            };
        }
        None
    }

    /// The last tick before `moment`.
    #[must_use]
    pub fn previous_before(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let whole = whole_second(moment)?.min(LAST);
        let mut before = if whole < moment { whole + SECOND_LONG } else { whole };
        for _ in 0..LEAPS {
            if before < FIRST {
                return None;
            }
            let era = Era::around(self.zone, before - SECOND_LONG);
            if let Some(tick) = self.last_in(&era, before) {
                return Some(tick);
            }
            before = if era.jumps_at_start {
                era.start
            } else {
                era.start.min(era.moment(self.plan.previous(era.reading(era.start))?) + NEAR)
            };
        }
        None
    }

    /// The first tick of `era` after `after`, be it the era's own or one moved out of the gap before it.
    fn first_in(&self, era: &Era, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let opens = era.reading(era.start);
        let after = era.reading(after).max(opens - SECOND_LONG);
        let own = self.plan.next(after).filter(|tick| *tick < self.closes(era));
        let moved = self
            .gap(era)
            .and_then(|gap| self.plan.next(after - gap).filter(|tick| *tick < opens).map(|tick| tick + gap));
        own.into_iter().chain(moved).min().map(|tick| era.moment(tick))
    }

    /// The last tick of `era` before `before`, be it the era's own or one moved out of the gap before it.
    fn last_in(&self, era: &Era, before: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let opens = era.reading(era.start);
        let before = era.reading(before);
        let own = self.plan.previous(before.min(self.closes(era))).filter(|tick| *tick >= opens);
        let moved = self.gap(era).and_then(|gap| {
            self.plan
                .previous((before - gap).min(opens))
                .filter(|tick| *tick >= opens - gap)
                .map(|tick| tick + gap)
        });
        own.into_iter().chain(moved).max().map(|tick| era.moment(tick))
    }

    /// The reading from which on ticks belong to the next era: what the clock is about to read twice is left to the
    /// second time, unless the expression is for every hour.
    fn closes(&self, era: &Era) -> NaiveDateTime {
        let end = era.reading(era.end);
        if self.plan.every_hour() { end } else { end - era.repeated }
    }

    #[expect(clippy::unused_self, reason = "reads beside its counterpart `closes`")]
    fn gap(&self, era: &Era) -> Option<TimeDelta> {
        Some(era.skipped).filter(|gap| !gap.is_zero())
    }

    /// What its fields allow.
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The schedule in words.
    pub(super) fn description(&self) -> String {
        words::describe(&self.plan, self.zone)
    }
}

/// Two schedules are equal when they are written alike, for the same zone.
impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        (&self.expression, self.zone, self.data_interval)
            == (&other.expression, other.zone, other.data_interval)
    }
}

impl Eq for Cron {}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cron")
            .field("expression", &self.expression)
            .field("zone", &self.zone)
            .field("data_interval", &self.data_interval)
            .finish_non_exhaustive()
    }
}

/// How often a search may look at another era. Three are enough: the one at hand, its neighbour, the one of the tick
/// that the wall clock names next; the rest is for zones that changed their mind within days.
const LEAPS: usize = 32;
const SECOND_LONG: TimeDelta = TimeDelta::seconds(1);
/// A tick lies at most this far from where the offset of another season would put it.
const NEAR: TimeDelta = TimeDelta::hours(26);
/// Before the first tick and after the last tick that the cron crate can name, in any zone.
pub(super) const FIRST: DateTime<Utc> = at(-2 * 86_400);
pub(super) const LAST: DateTime<Utc> = at(4_133_980_800 + 2 * 86_400);

const fn at(seconds: i64) -> DateTime<Utc> {
    match DateTime::from_timestamp(seconds, 0) {
        Some(moment) => moment,
        None => DateTime::UNIX_EPOCH,
    }
}

fn whole_second(moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(moment.timestamp(), 0)
}

fn preset(text: &str) -> Result<&str, Error> {
    if text.is_empty() {
        return Err(Error::Empty);
    }
    if !text.starts_with('@') {
        return Ok(text);
    }
    let lower = text.to_ascii_lowercase();
    let known = PRESETS.iter().find(|(word, _)| *word == lower);
    known.map(|(_, expression)| *expression).ok_or_else(|| unknown(text))
}

fn unknown(text: &str) -> Error {
    let words = || PRESETS.iter().map(|(word, _)| *word).chain([super::ONCE, super::CONTINUOUS]);
    let near = words().map(|word| (strsim::damerau_levenshtein(word, text), word)).min();
    Error::Preset {
        word: text.to_owned(),
        hint: near
            .filter(|(far, _)| *far <= 2)
            .map_or(String::new(), |(_, word)| format!(", did you mean `{word}`?")),
        known: words().collect::<Vec<_>>().join(", "),
    }
}

/// What the fields of an expression allow, and the ticks that follow on a wall clock that never jumps.
pub(super) struct Plan {
    pub(super) seconds: Vec<u32>,
    pub(super) minutes: Vec<u32>,
    pub(super) hours: Vec<u32>,
    pub(super) months: Vec<u32>,
    rules: Vec<Rule>,
}

impl Plan {
    fn parse(expression: &str) -> Result<Self, Error> {
        let fields: Vec<&str> = expression.split(' ').collect();
        let place = |index: usize| Place { field: index + 1, expression: expression.to_owned() };
        let (seconds, first) = match fields.len() {
            5 => (vec![0], 0),
            6 => (SECOND.values(fields[0], &place(0))?, 1),
            count => return Err(field_count(expression, count)),
        };
        let minutes = MINUTE.values(fields[first], &place(first))?;
        let hours = HOUR.values(fields[first + 1], &place(first + 1))?;
        let (day, weekday) = (first + 2, first + 4);
        let months = MONTH.values(fields[first + 3], &place(first + 3))?;
        let days = days::parse((fields[day], &place(day)), (fields[weekday], &place(weekday)))?;
        let mut plan = Self { seconds, minutes, hours, months, rules: Vec::new() };
        plan.rules = days.into_iter().map(|days| plan.rule(days, &place(day))).collect::<Result<_, _>>()?;
        Ok(plan)
    }

    /// The ticks on `days`, as a schedule of the cron crate. Every part of the text is made from checked numbers.
    fn rule(&self, days: Days, place: &Place) -> Result<Rule, Error> {
        let list = |values: &[u32], all: usize| match values.len() == all {
            true => "*".to_owned(),
            false => values.iter().map(u32::to_string).collect::<Vec<_>>().join(","),
        };
        let (day, weekday) = days.fields();
        let (seconds, minutes) = (list(&self.seconds, 60), list(&self.minutes, 60));
        let (hours, months) = (list(&self.hours, 24), list(&self.months, 12));
        let text = format!("{seconds} {minutes} {hours} {day} {months} {weekday}");
        let schedule: Schedule = text.parse().map_err(|_| super::field::DAY.shape(&text, place))?;
        Ok(Rule { days, schedule })
    }

    pub(super) fn days(&self) -> impl Iterator<Item = &Days> {
        self.rules.iter().map(|rule| &rule.days)
    }

    pub(super) fn every_hour(&self) -> bool {
        self.hours.len() == 24
    }

    /// The minutes around `reading` that all match, looked at within `bounds`; `None` when its own does not.
    pub(super) fn stretch(
        &self,
        reading: NaiveDateTime,
        bounds: (NaiveDateTime, NaiveDateTime),
    ) -> Option<(NaiveDateTime, NaiveDateTime)> {
        let unit = match (self.every_hour(), self.minutes.len() == 60) {
            (true, true) => TimeDelta::days(1),
            (false, true) => TimeDelta::hours(1),
            (_, false) => TimeDelta::minutes(1),
        };
        let mut begin = reading.duration_trunc(unit).ok().filter(|reading| self.matches(*reading))?;
        let mut end = begin + unit;
        while end < bounds.1 && self.matches(end) {
            end += unit;
        }
        while begin > bounds.0 && self.matches(begin - unit) {
            begin -= unit;
        }
        Some((begin, end))
    }

    fn matches(&self, reading: NaiveDateTime) -> bool {
        self.months.contains(&reading.month())
            && self.hours.contains(&reading.hour())
            && self.minutes.contains(&reading.minute())
            && self.days().any(|days| days.includes(reading.date()))
    }

    fn next(&self, reading: NaiveDateTime) -> Option<NaiveDateTime> {
        self.rules.iter().filter_map(|rule| rule.next(reading)).min()
    }

    fn previous(&self, reading: NaiveDateTime) -> Option<NaiveDateTime> {
        self.rules.iter().filter_map(|rule| rule.previous(reading)).max()
    }
}

fn field_count(expression: &str, count: usize) -> Error {
    let found = match count {
        1 => "1 field".to_owned(),
        7 => "7 fields (years cannot be given; use start_date and end_date)".to_owned(),
        count => format!("{count} fields"),
    };
    Error::FieldCount { expression: expression.to_owned(), found }
}
