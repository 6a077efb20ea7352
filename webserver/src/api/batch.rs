//! What the bodies of lists have in common.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use store::view::api_list::{Ask, Test};

use super::{
    dags::wrong,
    query::{COMPARISONS, moment},
};
use crate::error::Error;

/// Most rows of one list.
const MOST_ROWS: u32 = 100;

/// Ranges of moments and durations, the order and the page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Ranges {
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl Ranges {
    /// The list; without an order by `usual`.
    pub(super) fn ask(mut self, usual: &str) -> Result<Ask, Error> {
        let mut ask =
            Ask { limit: self.number("page_limit")?.unwrap_or(MOST_ROWS).min(MOST_ROWS), ..Ask::default() };
        ask.offset = self.number("page_offset")?.unwrap_or(0);
        let order = self.fields.shift_remove("order_by").and_then(|order| order.as_str().map(str::to_owned));
        ask.order_by = vec![order.unwrap_or_else(|| usual.to_owned())];
        for column in ["run_after", "logical_date", "start_date", "end_date", "duration"] {
            for (suffix, comparison) in COMPARISONS {
                let name = format!("{column}_{suffix}");
                let Some(value) = self.fields.shift_remove(&name).filter(|value| !value.is_null()) else {
                    continue;
                };
                ask.tests.push((
                    column,
                    match (column, value.as_f64(), value.as_str().and_then(moment)) {
                        ("duration", Some(seconds), _) => Test::Amount(comparison, seconds),
                        (_, None, Some(at)) => Test::Moment(comparison, at),
                        _ => {
                            return Err(wrong(
                                &name,
                                "Input should be a valid datetime, or a number for a duration",
                                value,
                            ));
                        }
                    },
                ));
            }
        }
        match self.fields.into_iter().next() {
            Some((name, value)) => Err(crate::error::Problem::new(
                "extra_forbidden",
                "body",
                &name,
                "Extra inputs are not permitted",
                value,
            )
            .into()),
            None => Ok(ask),
        }
    }

    fn number(&mut self, name: &str) -> Result<Option<u32>, Error> {
        let Some(value) = self.fields.shift_remove(name).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let number = value.as_u64().map(|number| u32::try_from(number).unwrap_or(i32::MAX.unsigned_abs()));
        number.map(Some).ok_or_else(|| wrong(name, "Input should be greater than or equal to 0", value))
    }
}

/// Tells a field that is null from one that is left out.
pub(super) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// A moment in a body; without a zone it is UTC.
pub(super) fn a_moment<'de, D: Deserializer<'de>>(from: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else {
        return Ok(None);
    };
    let read = moment(&text).ok_or_else(|| {
        let shown: String = text.chars().take(60).collect();
        serde::de::Error::custom(format!("`{shown}` is not a moment, such as 2026-01-01T00:00:00Z"))
    });
    read.map(Some)
}
