use super::error::{Error, Place};

/// What one field of a cron expression may hold.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) min: u32,
    pub(super) max: u32,
    /// The largest number that may be written; larger ones than `max` wrap round (7 is Sunday as 0 is).
    pub(super) last: u32,
    /// Names for the values from `min` on.
    pub(super) names: &'static [&'static str],
    pub(super) allowed: &'static str,
    /// What to write instead of a step that is too large.
    pub(super) large_step: &'static str,
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

pub(super) const SECOND: Field = Field::plain("second", 0, 59, "0-59", "; for longer write {every: 90s}");
pub(super) const MINUTE: Field = Field::plain("minute", 0, 59, "0-59", "; for longer write {every: 90m}");
pub(super) const HOUR: Field = Field::plain("hour", 0, 23, "0-23", "; for longer write {every: 36h}");
pub(super) const DAY: Field = Field::plain("day of the month", 1, 31, "1-31", "");
pub(super) const MONTH: Field =
    Field { names: &MONTHS, ..Field::plain("month", 1, 12, "1-12 or jan-dec", "") };
pub(super) const WEEKDAY: Field = Field {
    last: 7,
    names: &WEEKDAYS,
    ..Field::plain("weekday", 0, 6, "0-7 (0 and 7 are Sunday) or sun-sat", "")
};

impl Field {
    const fn plain(
        name: &'static str,
        min: u32,
        max: u32,
        allowed: &'static str,
        large_step: &'static str,
    ) -> Self {
        Self { name, min, max, last: max, names: &[], allowed, large_step }
    }

    /// All values that a list of values, ranges and steps stands for, sorted, each once.
    pub(super) fn values(&self, text: &str, place: &Place) -> Result<Vec<u32>, Error> {
        let mut all = Vec::new();
        for part in text.split(',') {
            all.extend(self.part(part, place)?);
        }
        Ok(sorted(all))
    }

    /// One element of a list: `*`, `5`, `1-5`, `fri-mon`, each also with a step.
    pub(super) fn part(&self, part: &str, place: &Place) -> Result<Vec<u32>, Error> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(self.step(step, place)?)),
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (self.min, self.max),
            Some((from, to)) => (self.value(from, part, place)?, self.value(to, part, place)?),
            // `5/15` is from 5 to the end, as in Airflow.
            None => {
                let from = self.wrap(self.value(range, part, place)?);
                (from, if step.is_some() { self.max } else { from })
            }
        };
        Ok(self.walk(from, to).step_by(step.unwrap_or(1)).collect())
    }

    /// One value, by number or by name. `part` is what surrounds it, for the message.
    pub(super) fn value(&self, text: &str, part: &str, place: &Place) -> Result<u32, Error> {
        if let Some(index) = self.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            return Ok(self.min + u32::try_from(index).unwrap_or(0));
        }
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(self.shape(if text.is_empty() { part } else { text }, place));
        }
        match text.parse() {
            Ok(value) if (self.min..=self.last).contains(&value) => Ok(value),
            Ok(_) | Err(_) => Err(Error::Range {
                field: self.name,
                value: text.to_owned(),
                allowed: self.allowed,
                place: place.clone(),
            }),
        }
    }

    pub(super) fn shape(&self, text: &str, place: &Place) -> Error {
        Error::Shape { text: text.to_owned(), field: self.name, allowed: self.allowed, place: place.clone() }
    }

    /// How many values there are.
    pub(super) const fn size(&self) -> u32 {
        self.max - self.min + 1
    }

    /// The number itself; 7 as a weekday is 0.
    pub(super) const fn wrap(&self, value: u32) -> u32 {
        if value > self.max { value - self.size() } else { value }
    }

    fn step(&self, text: &str, place: &Place) -> Result<usize, Error> {
        let size = self.size();
        text.parse()
            .ok()
            .filter(|step| (1..=size).contains(step))
            .and_then(|step| usize::try_from(step).ok())
            .ok_or_else(|| Error::Step {
                step: format!("`{text}`"),
                field: self.name,
                most: size,
                hint: if text.parse::<u32>().is_ok_and(|step| step > size) { self.large_step } else { "" },
                place: place.clone(),
            })
    }

    /// From one value to another; round the end when the first is the larger (`22-2`, `fri-mon`).
    fn walk(&self, from: u32, to: u32) -> impl Iterator<Item = u32> {
        let (from, to) = if from > to { (self.wrap(from), to) } else { (from, to) };
        let to = if from > to { to + self.size() } else { to };
        (from..=to).map(|value| self.wrap(value))
    }
}

fn sorted(mut values: Vec<u32>) -> Vec<u32> {
    values.sort_unstable();
    values.dedup();
    values
}
