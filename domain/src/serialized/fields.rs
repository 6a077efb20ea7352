//! The fields of a serialized object, by their names and forms.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::{Refused, wrapped};
use crate::span::Span;

/// An object, and what stands in for fields that it leaves out: the arguments of a mapped operator that are the same for all instances.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    own: &'a Map<String, Value>,
    partial: Option<&'a Map<String, Value>>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(own: &'a Map<String, Value>) -> Self {
        let partial = own.get("partial_kwargs").map(wrapped::inner).and_then(Value::as_object);
        Self { own, partial }
    }

    /// A field, out of its wrapping.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        let found = self.own.get(name).or_else(|| self.partial.and_then(|partial| partial.get(name)))?;
        (!found.is_null()).then_some(found)
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        wrapped::inner(self.get(name)?).as_str()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.flag_or(name, false)
    }

    pub(super) fn flag_or(&self, name: &str, usual: bool) -> bool {
        self.get(name).and_then(|value| wrapped::inner(value).as_bool()).unwrap_or(usual)
    }

    pub(super) fn list(&self, name: &str) -> &'a [Value] {
        self.get(name).and_then(|value| wrapped::inner(value).as_array()).map_or(&[], Vec::as_slice)
    }

    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        self.list(name).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// A whole number that is not negative.
    pub(super) fn count(&self, name: &str) -> Result<Option<u32>, Refused> {
        let Some(value) = self.get(name).map(wrapped::inner) else { return Ok(None) };
        let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
        let wrong =
            || Refused::new(format!("{name} is {value}; it must be a whole number from 0 to {}", u32::MAX));
        count.map(Some).ok_or_else(wrong)
    }

    /// A length of time, written in seconds.
    pub(super) fn span(&self, name: &str) -> Result<Option<Span>, Refused> {
        self.get(name).map(|value| span(name, value)).transpose()
    }

    /// A moment, written in seconds since 1970.
    pub(super) fn moment(&self, name: &str) -> Result<Option<DateTime<Utc>>, Refused> {
        let Some(value) = self.get(name).map(wrapped::inner) else { return Ok(None) };
        let moment = value.as_f64().and_then(|seconds| {
            let since = TimeDelta::try_milliseconds(millis(seconds)?)?;
            DateTime::UNIX_EPOCH.checked_add_signed(since)
        });
        moment.map(Some).ok_or_else(|| Refused::new(format!("{name} is {value}, which is no moment")))
    }
}

/// A length of time, written in seconds.
pub(super) fn span(name: &str, value: &Value) -> Result<Span, Refused> {
    let value = wrapped::inner(value);
    let millis = value.as_f64().and_then(millis).and_then(|millis| u64::try_from(millis).ok());
    let wrong =
        || Refused::new(format!("{name} is {value}; only lengths of a fixed number of seconds are known"));
    millis.map(Span::from_millis).ok_or_else(wrong)
}

#[expect(clippy::cast_possible_truncation, reason = "what does not fit has been ruled out")]
fn millis(seconds: f64) -> Option<i64> {
    let millis = (seconds * 1000.0).round();
    (millis.is_finite() && millis.abs() < 1e15).then_some(millis as i64)
}
