//! What a task runner has told of its end, and what the end of its process adds to it.

use std::process::ExitStatus;

use chrono::{DateTime, Utc};
use domain::asset::OutletEvent;
use domain::deferral::{Deferral, LeftTo};
use domain::outcome::{MAX_XCOM_BYTES, TryResult};
use indexmap::IndexMap;
use serde_json::Value;

use crate::operator::{Done, On, Request};
use crate::process::{Cause, End};

/// How a task said that it ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Last {
    /// It has succeeded.
    Succeeded,
    /// It was skipped.
    Skipped,
    /// It has failed for good.
    Failed,
    /// It has failed and may be tried again.
    MayRetry(Option<String>),
    /// It looks again then.
    LooksAgain(DateTime<Utc>),
    /// A trigger goes on for it, or people are asked.
    Defers(Box<Deferral>),
}

/// What a task has told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Its end, if it has come to it.
    pub(super) last: Option<Last>,
    /// What it has asked people, until it waits for the answer.
    pub(super) question: Option<LeftTo>,
    /// What it left.
    pub(super) xcoms: IndexMap<String, Value>,
    /// How many bytes that is.
    size: usize,
    /// What it says of the assets that it has made.
    pub(super) asset_events: Vec<OutletEvent>,
    /// What the instance is called.
    pub(super) name: Option<String>,
}

impl Told {
    /// Takes an XCom.
    ///
    /// # Errors
    /// When there would be too much, in words.
    pub(super) fn leave(&mut self, key: &str, value: Value) -> Result<(), String> {
        let before = self.xcoms.get(key).map_or(0, |value| size_of(key, value));
        let size = self.size - before + size_of(key, &value);
        if size > MAX_XCOM_BYTES {
            return Err(format!(
                "it would leave {size} bytes of XComs; at most {MAX_XCOM_BYTES} are allowed: keep large results in files"
            ));
        }
        self.size = size;
        self.xcoms.insert(key.to_owned(), value);
        Ok(())
    }

    /// Forgets an XCom.
    pub(super) fn take_back(&mut self, key: &str) {
        if let Some(value) = self.xcoms.shift_remove(key) {
            self.size -= size_of(key, &value);
        }
    }

    /// What became of the try. `end` is `None` when nobody knows how its process ended.
    pub(super) fn done(self, end: Option<ExitStatus>, cause: Cause, on: &On<'_>) -> Done {
        let end = end.map(End::of);
        let exit_code = end.map(End::code);
        if let Some(done) = Done::cut_short(cause, on.assignment) {
            return Done { exit_code, xcoms: self.xcoms, ..done };
        }
        let asset_events = self.asset_events;
        let done = match (self.last, end) {
            // Whoever has told its end has ended, whatever happens to its process then.
            (Some(Last::Succeeded), _) | (None, Some(End::Exit(0))) => {
                Done { asset_events, ..Done::success(IndexMap::new()) }
            }
            (Some(Last::Skipped), _) => Done::ended(TryResult::Skipped, "it skipped itself"),
            (Some(Last::Failed), _) => Done::failed_for_good("it failed; its log says why"),
            (Some(Last::LooksAgain(at)), _) => Done::again(at),
            (Some(Last::Defers(deferral)), _) => Done::deferred(Request::Deferral(*deferral)),
            (Some(Last::MayRetry(reason)), _) => {
                Done::failed(reason.unwrap_or_else(|| "it failed; its log says why".to_owned()))
            }
            (None, Some(end @ (End::Exit(_) | End::Signal(_)))) => Done::failed(end.words(false)),
            (None, None) => Done::failed("it ended when the fork server had died, so that nobody knows how"),
        };
        // However it ended: others may read it until the next try begins.
        Done { exit_code, xcoms: self.xcoms, ..done }
    }
}

fn size_of(key: &str, value: &Value) -> usize {
    key.len() + value.to_string().len()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_left_has_a_limit() {
        let mut told = Told::default();
        let half = json!("x".repeat(MAX_XCOM_BYTES / 2));
        told.leave("a", half.clone()).unwrap();
        told.leave("a", half.clone()).unwrap();
        assert!(told.leave("b", half.clone()).unwrap_err().contains("at most 1048576"));
        told.take_back("a");
        told.leave("b", half).unwrap();
        assert_eq!(told.xcoms.keys().collect::<Vec<_>>(), ["b"]);
    }
}
