use serde::{Deserialize, Serialize};

use crate::span::Span;

/// Which time a run is about. In a DAG file: `data_interval: false`, `true` or a length such as `1d`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "Form", from = "Form")]
pub enum Interval {
    /// `false`: the moment of its tick.
    #[default]
    Moment,
    /// `true`: from the tick before up to its own.
    SinceLast,
    /// A length: that long up to its tick, whenever the tick before was (`interval` of Airflow's trigger timetables).
    /// The data of two runs may overlap or have a gap between them.
    Length(Span),
}

impl Interval {
    /// Whether it is the default, which is left out of normal forms.
    #[must_use]
    pub const fn is_moment(&self) -> bool {
        matches!(self, Self::Moment)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Form {
    Flag(bool),
    Length(Span),
}

impl From<Interval> for Form {
    fn from(interval: Interval) -> Self {
        match interval {
            Interval::Moment => Self::Flag(false),
            Interval::SinceLast => Self::Flag(true),
            Interval::Length(span) => Self::Length(span),
        }
    }
}

impl From<Form> for Interval {
    fn from(form: Form) -> Self {
        match form {
            Form::Flag(false) => Self::Moment,
            Form::Flag(true) => Self::SinceLast,
            Form::Length(span) => Self::Length(span),
        }
    }
}
