//! PLACEHOLDER: to be overwritten.
use chrono::{DateTime, Utc};

use super::{Bounds, Catchup, DataInterval, NextRun, Timetable};

pub(super) struct Question {
    pub(super) cursor: Option<DataInterval>,
    pub(super) bounds: Bounds,
    pub(super) catchup: Catchup,
    pub(super) now: DateTime<Utc>,
}

pub(super) fn next_run(timetable: &Timetable, question: &Question) -> Option<NextRun> {
    let _ = question.catchup;
    match timetable {
        Timetable::Null => None,
        Timetable::Once if question.cursor.is_some() => None,
        Timetable::Once => Some(NextRun::over(DataInterval::exact(question.bounds.start.unwrap_or(question.now)))),
        Timetable::Cron(cron) => {
            let after = question.cursor.map_or(question.now, |cursor| cursor.end);
            cron.next_after(after).map(|at| NextRun::over(DataInterval::exact(at)))
        }
        Timetable::Every(every) => {
            let anchor = question.cursor.map_or(question.now, |cursor| cursor.end);
            every.next_after(anchor, anchor).map(|at| NextRun::over(DataInterval::exact(at)))
        }
    }
}

pub(super) fn runs(timetable: &Timetable, after: DateTime<Utc>, bounds: Bounds) -> impl Iterator<Item = NextRun> {
    let first = next_run(timetable, &Question { cursor: None, bounds, catchup: Catchup::None, now: after });
    first.into_iter()
}

pub(super) fn manual_interval(_timetable: &Timetable, run_after: DateTime<Utc>) -> Option<DataInterval> {
    Some(DataInterval::exact(run_after))
}
