use std::fmt;

/// Longest cron expression, in bytes.
pub(super) const MAX_EXPRESSION: usize = 256;

/// Which field of which expression an [`Error`] is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Counted from 1.
    pub field: usize,
    /// The whole expression.
    pub expression: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "field {} of `{}`", self.field, self.expression)
    }
}

/// Why a text is not a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing was written.
    #[error("a schedule cannot be empty: write a cron expression, a preset such as @daily, or null for none")]
    Empty,
    /// Far longer than any real expression.
    #[error("a cron expression has at most {MAX_EXPRESSION} characters, this one has {length}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// Neither 5 nor 6 fields.
    #[error(
        "`{expression}` has {found}: a cron expression has 5 (minute hour day month weekday), or 6 with seconds first"
    )]
    FieldCount {
        /// The expression.
        expression: String,
        /// How many there are, in words.
        found: String,
    },
    /// A word with `@` that means nothing.
    #[error("`{word}` is not a schedule{hint}; known are {known}")]
    Preset {
        /// The word.
        word: String,
        /// What may have been meant, or nothing.
        hint: String,
        /// The presets there are.
        known: String,
    },
    /// A number that the field does not have.
    #[error("{field} {value} is not in {allowed} ({place})")]
    Range {
        /// The name of the field.
        field: &'static str,
        /// The number as written.
        value: String,
        /// What the field may hold.
        allowed: &'static str,
        /// Where.
        place: Place,
    },
    /// Something that is not a value, a range, a list or a step.
    #[error(
        "`{text}` is not a {field}: write {allowed}, a range as 1-5, a list as 1,3 or a step as */2 ({place})"
    )]
    Shape {
        /// The text.
        text: String,
        /// The name of the field.
        field: &'static str,
        /// What the field may hold.
        allowed: &'static str,
        /// Where.
        place: Place,
    },
    /// A step of nothing, or one that leaves the field at once.
    #[error("step {step} does not fit: a step of a {field} is 1-{most}{hint} ({place})")]
    Step {
        /// The step as written.
        step: String,
        /// The name of the field.
        field: &'static str,
        /// The largest step.
        most: u32,
        /// Another way to write it, or nothing.
        hint: &'static str,
        /// Where.
        place: Place,
    },
    /// An interval shorter than [`super::Every::MIN`].
    #[error("every {0} is too often: the shortest interval is 1s")]
    TooOften(crate::span::Span),
    /// A jitter shorter than [`super::Jitter::MIN`].
    #[error("a jitter of {0} is too short: it is counted in whole seconds, at least 1s")]
    Jitter(crate::span::Span),
    /// Too few or too many of something.
    #[error("there must be from {least} to {most} {what}, these are {count}")]
    Count {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there must be.
        least: usize,
        /// How many there may be.
        most: usize,
    },
    /// A schedule that cannot be put together with others.
    #[error("`{element}` cannot be part of another schedule: {why}")]
    Element {
        /// It, in short.
        element: String,
        /// What is in the way.
        why: &'static str,
    },
    /// A weekend of seven days.
    #[error("`weekend` leaves no business day: name at most 6 weekdays")]
    NoBusinessDays,
    /// A blackout window that is none.
    #[error("{0}")]
    Window(String),
}

impl Error {
    pub(super) const fn check_count(
        what: &'static str,
        count: usize,
        least: usize,
        most: usize,
    ) -> Result<(), Self> {
        if least <= count && count <= most { Ok(()) } else { Err(Self::Count { what, count, least, most }) }
    }
}
