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
}
