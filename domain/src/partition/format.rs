//! Texts of times in the notation of Python's `strftime` and `strptime`. Source: CPython 3.11 `Lib/_strptime.py`.

use std::fmt;

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Weekday};
use regex::{Captures, Regex, RegexBuilder};

/// Longest format, in bytes.
pub const MAX_FORMAT: usize = 200;

/// Why a text is no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Longer than [`MAX_FORMAT`].
    #[error("a format has at most {MAX_FORMAT} bytes, this one has {0}")]
    TooLong(usize),
    /// A directive that is not known here.
    #[error("`{directive}` in the format {format:?} is not known")]
    Unknown {
        /// The format.
        format: String,
        /// What is wrong in it.
        directive: String,
    },
    /// A directive that stands in it twice cannot be read back.
    #[error("`%{directive}` stands twice in the format {format:?}")]
    Twice {
        /// The format.
        format: String,
        /// Which.
        directive: char,
    },
}

/// What a clock shows, and where, if that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown {
    /// Date and time of day.
    pub wall: NaiveDateTime,
    /// How far the clock is ahead of UTC, in seconds.
    pub offset: Option<i32>,
}

/// A format, ready to be written and read in.
#[derive(Clone)]
pub struct Format {
    text: String,
    items: Vec<Item>,
    pattern: Regex,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Literal(char),
    Directive(char),
    /// The placeholder `{quarter}`.
    Quarter,
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.has_quarter() == other.has_quarter()
    }
}

impl Eq for Format {}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

/// What each directive stands for when it is read.
const READ: [(char, &str); 22] = [
    ('d', r"3[0-1]|[1-2]\d|0[1-9]|[1-9]| [1-9]"),
    ('f', r"[0-9]{1,6}"),
    ('H', r"2[0-3]|[0-1]\d|\d"),
    ('I', r"1[0-2]|0[1-9]|[1-9]"),
    ('G', r"\d\d\d\d"),
    ('j', r"36[0-6]|3[0-5]\d|[1-2]\d\d|0[1-9]\d|00[1-9]|[1-9]\d|0[1-9]|[1-9]"),
    ('m', r"1[0-2]|0[1-9]|[1-9]"),
    ('M', r"[0-5]\d|\d"),
    ('S', r"6[0-1]|[0-5]\d|\d"),
    ('u', r"[1-7]"),
    ('U', r"5[0-3]|[0-4]\d|\d"),
    ('V', r"5[0-3]|0[1-9]|[1-4]\d|\d"),
    ('W', r"5[0-3]|[0-4]\d|\d"),
    ('w', r"[0-6]"),
    ('y', r"\d\d"),
    ('Y', r"\d\d\d\d"),
    ('z', r"[+-]\d\d:?[0-5]\d(?::?[0-5]\d(?:\.\d{1,6})?)?|(?-i:Z)"),
    ('p', "am|pm"),
    ('a', "mon|tue|wed|thu|fri|sat|sun"),
    ('b', "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"),
    ('A', "wednesday|thursday|saturday|tuesday|monday|friday|sunday"),
    ('B', "september|february|november|december|january|october|august|march|april|june|july|may"),
];

/// The digits of those directives that the start of a week or of a quarter is read back from. Source: Airflow 3.3.2
/// `partition_mappers/temporal.py`, `_STRPTIME_PATTERNS`.
const DIGITS: [(char, &str); 9] = [
    ('Y', r"\d{4}"),
    ('m', r"\d{2}"),
    ('d', r"\d{2}"),
    ('H', r"\d{2}"),
    ('M', r"\d{2}"),
    ('S', r"\d{2}"),
    ('V', r"\d{2}"),
    ('U', r"\d{2}"),
    ('W', r"\d{2}"),
];

impl Format {
    /// A format of directives alone.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, FormatError> {
        Self::compile(text, false, &READ)
    }

    /// A format in which the start of a week is written: it is read back from its year, month and day alone.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn of_weeks(text: &str) -> Result<Self, FormatError> {
        Self::compile(text, false, &DIGITS)
    }

    /// A format in which the start of a quarter is written, with the placeholder `{quarter}`.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn of_quarters(text: &str) -> Result<Self, FormatError> {
        Self::compile(text, true, &DIGITS)
    }

    fn compile(text: &str, quarters: bool, read: &[(char, &str)]) -> Result<Self, FormatError> {
        if text.len() > MAX_FORMAT {
            return Err(FormatError::TooLong(text.len()));
        }
        let unknown = |directive: String| FormatError::Unknown { format: text.to_owned(), directive };
        let items = items(text, quarters).map_err(unknown)?;
        let mut pattern = String::from("^");
        for (place, item) in items.iter().enumerate() {
            if items[..place].contains(item)
                && let Item::Directive(directive) = *item
            {
                return Err(FormatError::Twice { format: text.to_owned(), directive });
            }
            pattern.push_str(&item.pattern(read));
        }
        pattern.push('$');
        let pattern = RegexBuilder::new(&pattern).case_insensitive(true).build();
        let pattern = pattern.map_err(|_| unknown(text.to_owned()))?;
        Ok(Self { text: text.to_owned(), items, pattern })
    }

    /// How it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn has_quarter(&self) -> bool {
        self.items.contains(&Item::Quarter)
    }

    /// Writes what a clock shows.
    #[must_use]
    pub fn write(&self, shown: Shown) -> String {
        let mut text = String::new();
        for item in &self.items {
            match *item {
                Item::Literal(c) => text.push(c),
                Item::Quarter => text.push_str(&(shown.wall.month0() / 3 + 1).to_string()),
                Item::Directive(directive) => text.push_str(&written(directive, shown)),
            }
        }
        text
    }

    /// Reads what a clock shows; `None` when the text is not written like this, or names no day that there is.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<Shown> {
        let found = self.pattern.captures(text)?;
        let field = Fields(&found);
        let wall = NaiveDateTime::new(field.date()?, field.time()?);
        let offset = match found.name("z") {
            Some(written) => Some(offset(written.as_str())?),
            None => None,
        };
        Some(Shown { wall, offset })
    }

    /// Reads the day that a week or a quarter begins on; `None` when the text does not say it.
    #[must_use]
    pub fn read_start(&self, text: &str) -> Option<NaiveDate> {
        let found = self.pattern.captures(text)?;
        let number = |name: &str| found.name(name)?.as_str().parse::<u32>().ok();
        let year = i32::try_from(number("Y")?).ok()?;
        let (month, day) =
            if self.has_quarter() { (number("quarter")? * 3 - 2, 1) } else { (number("m")?, number("d")?) };
        NaiveDate::from_ymd_opt(year, month, day)
    }
}

impl Item {
    // A directive that is not read stands for itself, as in Airflow: such a text cannot be read back.
    fn pattern(self, read: &[(char, &str)]) -> String {
        match self {
            Self::Literal(c) if c.is_whitespace() => r"\s+".to_owned(),
            Self::Literal(c) => regex::escape(c.encode_utf8(&mut [0; 4])),
            Self::Quarter => "(?P<quarter>[1-4])".to_owned(),
            Self::Directive(directive) => match read.iter().find(|(known, _)| *known == directive) {
                Some((_, digits)) => format!("(?P<{directive}>{digits})"),
                None => regex::escape(&format!("%{directive}")),
            },
        }
    }
}

// The parts of a format, or the part that is not known.
fn items(text: &str, quarters: bool) -> Result<Vec<Item>, String> {
    let (mut items, mut rest) = (Vec::new(), text);
    while let Some(c) = rest.chars().next() {
        if let Some(behind) = rest.strip_prefix("{quarter}").filter(|_| quarters) {
            items.push(Item::Quarter);
            rest = behind;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        if c != '%' {
            items.push(Item::Literal(c));
            continue;
        }
        let directive = rest.chars().next().ok_or("%")?;
        rest = &rest[directive.len_utf8()..];
        if directive == '%' {
            items.push(Item::Literal('%'));
        } else if READ.iter().any(|(known, _)| *known == directive) {
            items.push(Item::Directive(directive));
        } else {
            return Err(format!("%{directive}"));
        }
    }
    Ok(items)
}

fn written(directive: char, shown: Shown) -> String {
    match (directive, shown.offset) {
        ('z', None) => String::new(),
        ('z', Some(offset)) => {
            let (sign, ahead) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
            format!("{sign}{:02}{:02}", ahead / 3600, ahead / 60 % 60)
        }
        ('f', _) => format!("{:06}", shown.wall.and_utc().timestamp_subsec_micros()),
        _ => shown.wall.format(&format!("%{directive}")).to_string(),
    }
}

fn offset(written: &str) -> Option<i32> {
    let (sign, digits) = match written.split_at_checked(1)? {
        ("+", digits) => (1, digits.replace(':', "")),
        ("-", digits) => (-1, digits.replace(':', "")),
        _ => return Some(0),
    };
    let part = |at: usize| digits.get(at..at + 2).map_or(Some(0), |digits| digits.parse::<i32>().ok());
    Some(sign * (part(0)? * 3600 + part(2)? * 60 + part(4)?)).filter(|offset| offset.abs() < 86_400)
}

struct Fields<'a>(&'a Captures<'a>);

impl Fields<'_> {
    fn text(&self, name: &str) -> Option<String> {
        self.0.name(name).map(|found| found.as_str().to_lowercase())
    }

    fn number(&self, name: &str, otherwise: u32) -> Option<u32> {
        self.text(name).map_or(Some(otherwise), |digits| digits.trim().parse().ok())
    }

    fn year(&self) -> Option<i32> {
        let year = match (self.text("Y"), self.number("y", 0)?) {
            (None, short) if self.text("y").is_some() => short + if short < 69 { 2000 } else { 1900 },
            _ => self.number("Y", 1900)?,
        };
        i32::try_from(year).ok()
    }

    fn month(&self) -> Option<u32> {
        let long = self.text("B").map(|name| name[..3].to_owned());
        match long.or_else(|| self.text("b")) {
            Some(name) => {
                let (_, names) = READ.iter().find(|(known, _)| *known == 'b')?;
                let place = names.split('|').position(|known| known == name)?;
                u32::try_from(place + 1).ok()
            }
            None => self.number("m", 1),
        }
    }

    // Counted from Monday.
    fn weekday(&self) -> Option<u32> {
        let named = self.text("A").or_else(|| self.text("a"));
        if let Some(name) = named {
            let (_, names) = READ.iter().find(|(known, _)| *known == 'a')?;
            let place = names.split('|').position(|known| name.starts_with(known))?;
            return u32::try_from(place).ok();
        }
        let counted = self.text("u").map(|_| self.number("u", 1)).unwrap_or(None).map(|day| day - 1);
        let from_sunday = || self.text("w").and_then(|_| self.number("w", 0)).map(|day| (day + 6) % 7);
        counted.or_else(from_sunday)
    }

    fn date(&self) -> Option<NaiveDate> {
        let year = self.year()?;
        if let Some(week) = self.text("V") {
            // A week of the ISO calendar says nothing without its year and day.
            let (iso_year, day) = (self.text("G")?.parse().ok()?, self.weekday()?);
            let weekday = Weekday::try_from(u8::try_from(day).ok()?).ok()?;
            return NaiveDate::from_isoywd_opt(iso_year, week.parse().ok()?, weekday);
        }
        if self.text("G").is_some() {
            return None;
        }
        if self.text("j").is_some() {
            return NaiveDate::from_yo_opt(year, self.number("j", 1)?);
        }
        let week =
            self.text("U").map(|week| (week, true)).or_else(|| self.text("W").map(|week| (week, false)));
        match (week, self.weekday()) {
            (Some((week, from_sunday)), Some(day)) => in_week(year, week.parse().ok()?, day, from_sunday),
            _ => NaiveDate::from_ymd_opt(year, self.month()?, self.number("d", 1)?),
        }
    }

    fn time(&self) -> Option<NaiveTime> {
        let hour = match self.text("I") {
            Some(_) => {
                let hour = self.number("I", 12)? % 12;
                hour + if self.text("p").as_deref() == Some("pm") { 12 } else { 0 }
            }
            None => self.number("H", 0)?,
        };
        let fraction = format!("{:0<6}", self.text("f").unwrap_or_default()).parse().ok()?;
        NaiveTime::from_hms_micro_opt(hour, self.number("M", 0)?, self.number("S", 0)?, fraction)
    }
}

// The day in a week that is counted from the first Sunday or Monday of the year; what is before that day is week 0.
fn in_week(year: i32, week: i64, day: u32, from_sunday: bool) -> Option<NaiveDate> {
    let new_year = NaiveDate::from_ymd_opt(year, 1, 1)?;
    let (first, day) = if from_sunday {
        (new_year.weekday().num_days_from_sunday(), (day + 1) % 7)
    } else {
        (new_year.weekday().num_days_from_monday(), day)
    };
    let to_week_one = i64::from((7 - first) % 7);
    let days = to_week_one + (week - 1) * 7 + i64::from(day);
    new_year.checked_add_signed(TimeDelta::days(days)).filter(|_| days >= -i64::from(first))
}
