use std::sync::Arc;

use chrono::{DateTime, NaiveDateTime, SubsecRound, TimeDelta, Utc};
use chrono_tz::Tz;

use super::{
    days::{self, Days, Rule},
    error::{Error, MAX_EXPRESSION, Place},
    field::{Field, HOUR, MINUTE, MONTH, SECOND},
    words,
    zone::Era,
};

/// Words for common schedules, and what they stand for (Airflow's `cron_presets`).
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

/// So far back a last tick is looked for, in steps that grow: no step has more than a few thousand ticks.
const LOOK_BACK: [i64; 8] = [1, 60, 3600, 86_400, 30 * 86_400, 366 * 86_400, 10 * 366 * 86_400, 100 * 366 * 86_400];

/// A cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct Cron {
    expression: String,
    zone: Tz,
    data_interval: bool,
    every_hour: bool,
    rules: Arc<[Rule]>,
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        (&self.expression, self.zone, self.data_interval) == (&other.expression, other.zone, other.data_interval)
    }
}

impl Eq for Cron {}

impl Cron {
    /// Reads 5 fields, 6 with seconds first, or a preset.
    ///
    /// # Errors
    /// What is wrong, with the field and what it may hold.
    pub fn parse(expression: &str, zone: Tz) -> Result<Self, Error> {
        let text = expression.trim();
        if text.is_empty() {
            return Err(Error::Empty);
        }
        if text.len() > MAX_EXPRESSION {
            return Err(Error::TooLong { length: text.len() });
        }
        let fields = Fields::parse(preset(text)?)?;
        Ok(Self {
            expression: text.to_owned(),
            zone,
            data_interval: false,
            every_hour: fields.hours.len() == 24,
            rules: fields.rules(text)?.into(),
        })
    }

    /// The same, with runs that cover the time since the tick before.
    #[must_use]
    pub fn with_data_interval(self, data_interval: bool) -> Self {
        Self { data_interval, ..self }
    }

    /// The expression as written.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The zone whose wall clock it is compared with.
    #[must_use]
    pub const fn zone(&self) -> Tz {
        self.zone
    }

    /// Whether runs cover the time since the tick before.
    #[must_use]
    pub const fn data_interval(&self) -> bool {
        self.data_interval
    }

    /// In words: `At 02:30 every day, America/New_York`.
    #[must_use]
    pub fn description(&self) -> String {
        words::describe(&self.expression, self.zone)
    }

    /// The first tick after `moment`.
    pub(super) fn next_after(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.at_or_after(moment.trunc_subsecs(0) + TimeDelta::seconds(1))
    }

    /// The first tick that is not before `moment`.
    pub(super) fn at_or_after(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let whole = moment.trunc_subsecs(0);
        let mut from = if whole < moment { whole + TimeDelta::seconds(1) } else { whole };
        loop {
            let era = Era::around(self.zone, from);
            let next = self.next_reading(era.reading(from))?;
            match self.first_in(&era, from, next) {
                Some(tick) => return Some(tick),
                // Nothing before the era ends: go on there, or shortly before the next reading when that is far away.
                None => from = era.end.max(era.moment(next) - TimeDelta::days(3)),
            }
        }
    }

    /// The last tick before `moment`.
    pub(super) fn previous_before(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        LOOK_BACK.iter().find_map(|&seconds| {
            let from = moment.checked_sub_signed(TimeDelta::seconds(seconds))?;
            let mut tick = self.at_or_after(from).filter(|tick| *tick < moment)?;
            while let Some(next) = self.next_after(tick).filter(|next| *next < moment) {
                tick = next;
            }
            Some(tick)
        })
    }

    // The first tick within an era, from `from` on: a reading of its clock, or one that the jump to it left out.
    fn first_in(&self, era: &Era, from: DateTime<Utc>, next: NaiveDateTime) -> Option<DateTime<Utc>> {
        let regular = Some(era.moment(next)).filter(|tick| *tick < era.end && !self.comes_again(era, next));
        [self.first_left_out(era, from), regular].into_iter().flatten().min()
    }

    // A tick at a given hour that the clock reads twice fires the second time, in the next era.
    fn comes_again(&self, era: &Era, reading: NaiveDateTime) -> bool {
        !self.every_hour && era.jumps_at_end && reading >= era.reading(era.end) - era.repeated
    }

    // Readings that the clock left out fire later by what was left out.
    fn first_left_out(&self, era: &Era, from: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if !era.jumps_at_start || era.skipped.is_zero() || from >= era.start + era.skipped {
            return None;
        }
        let reading = self.next_reading(era.reading(from.max(era.start)) - era.skipped)?;
        Some(era.moment(reading + era.skipped)).filter(|tick| *tick < era.start + era.skipped)
    }

    fn next_reading(&self, at_or_after: NaiveDateTime) -> Option<NaiveDateTime> {
        let before = at_or_after - TimeDelta::seconds(1);
        self.rules.iter().filter_map(|rule| rule.next(before)).min()
    }
}

fn preset(text: &str) -> Result<&str, Error> {
    if !text.starts_with('@') {
        return Ok(text);
    }
    let found = PRESETS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    found.map(|(_, expression)| *expression).ok_or_else(|| unknown_preset(text))
}

fn unknown_preset(word: &str) -> Error {
    let known: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).chain([super::ONCE]).collect();
    let near = known.iter().map(|name| (strsim::damerau_levenshtein(name, word), name)).min();
    let hint = near.filter(|(distance, _)| *distance <= 3).map(|(_, name)| format!(", did you mean `{name}`?"));
    Error::Preset { word: word.to_owned(), hint: hint.unwrap_or_default(), known: known.join(", ") }
}

/// The values of every field.
struct Fields {
    seconds: Vec<u32>,
    minutes: Vec<u32>,
    hours: Vec<u32>,
    months: Vec<u32>,
    days: Vec<Days>,
}

impl Fields {
    fn parse(expression: &str) -> Result<Self, Error> {
        let texts: Vec<&str> = expression.split_whitespace().collect();
        let shift = match texts.len() {
            5 => 0,
            6 => 1,
            count => {
                let found = if count == 1 { "1 field".to_owned() } else { format!("{count} fields") };
                return Err(Error::FieldCount { expression: expression.to_owned(), found });
            }
        };
        let place = |index: usize| Place { field: index + 1, expression: expression.to_owned() };
        let values = |field: &Field, index: usize| field.values(texts[index], &place(index));
        let (day, weekday) = (2 + shift, 4 + shift);
        Ok(Self {
            seconds: if shift == 1 { values(&SECOND, 0)? } else { vec![0] },
            minutes: values(&MINUTE, shift)?,
            hours: values(&HOUR, 1 + shift)?,
            months: values(&MONTH, 3 + shift)?,
            days: days::parse((texts[day], &place(day)), (texts[weekday], &place(weekday)))?,
        })
    }

    fn rules(self, text: &str) -> Result<Vec<Rule>, Error> {
        let [seconds, minutes, hours, months] = [&self.seconds, &self.minutes, &self.hours, &self.months].map(|v| list(v));
        let rule = |days: Days| {
            let (day, weekday) = days.fields();
            let schedule = format!("{seconds} {minutes} {hours} {day} {months} {weekday}").parse();
            // Every value was checked, so the crate has nothing to object to; if it does, its word is passed on.
            let schedule = schedule.map_err(|error: ::cron::error::Error| Error::FieldCount {
                expression: text.to_owned(),
                found: error.to_string(),
            })?;
            Ok(Rule { days, schedule })
        };
        self.days.clone().into_iter().map(rule).collect()
    }
}

fn list(values: &[u32]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
