//! What a task runner has told of its end, and what the end of its process adds to it.

use std::process::ExitStatus;

use chrono::{DateTime, Utc};
use domain::deferral::Deferral;
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
    /// A trigger goes on for it.
    Defers(Box<Deferral>),
}

/// What a task has told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Its end, if it has come to it.
    pub(super) last: Option<Last>,
    /// What it left.
    pub(super) xcoms: IndexMap<String, Value>,
    /// What the instance is called.
    pub(super) name: Option<String>,
}

impl Told {
    /// What became of the try. `end` is `None` when nobody knows how its process ended.
    pub(super) fn done(self, end: Option<ExitStatus>, cause: Cause, on: &On<'_>) -> Done {
        let end = end.map(End::of);
        let exit_code = end.map(End::code);
        if let Some(done) = Done::cut_short(cause, on.assignment) {
            return Done { exit_code, ..done };
        }
        let done = match (self.last, end) {
            // Whoever has told its end has ended, whatever happens to its process then.
            (Some(Last::Succeeded), _) | (None, Some(End::Exit(0))) => succeeded(self.xcoms),
            (Some(Last::Skipped), _) => {
                Done { xcoms: self.xcoms, ..Done::ended(TryResult::Skipped, "it skipped itself") }
            }
            (Some(Last::Failed), _) => Done::failed_for_good("it failed; its log says why"),
            (Some(Last::LooksAgain(at)), _) => Done::again(at),
            (Some(Last::Defers(deferral)), _) => {
                Done { xcoms: self.xcoms, ..Done::deferred(Request::Deferral(*deferral)) }
            }
            (Some(Last::MayRetry(reason)), _) => {
                Done::failed(reason.unwrap_or_else(|| "it failed; its log says why".to_owned()))
            }
            (None, Some(end @ (End::Exit(_) | End::Signal(_)))) => Done::failed(end.words(false)),
            (None, None) => Done::ended(TryResult::Returned, "the fork server died, and this task with it"),
        };
        Done { exit_code, ..done }
    }
}

fn succeeded(xcoms: IndexMap<String, Value>) -> Done {
    let size: usize = xcoms.iter().map(|(key, value)| key.len() + value.to_string().len()).sum();
    if size > MAX_XCOM_BYTES {
        return Done::failed(format!(
            "it left {size} bytes of XComs; at most {MAX_XCOM_BYTES} are allowed: keep large results in files"
        ));
    }
    Done::success(xcoms)
}
