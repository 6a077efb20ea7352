//! Which run is due next. Source: Airflow 3.3.2 `timetables/trigger.py` (`next_dagrun_info`) and `timetables/interval.py`.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Bounds, Catchup, Cron, DataInterval, Every, NextRun, Timetable};

/// What is asked of a timetable.
pub(super) struct Question {
    pub(super) cursor: Option<DataInterval>,
    pub(super) bounds: Bounds,
    pub(super) catchup: Catchup,
    pub(super) now: DateTime<Utc>,
}

/// A first run may be this late, or a tenth of the period when that is more.
const LATENESS: TimeDelta = TimeDelta::minutes(5);

pub(super) fn next_run(timetable: &Timetable, question: &Question) -> Option<NextRun> {
    let run = match timetable {
        Timetable::Null => None,
        Timetable::Once => once(question),
        Timetable::Cron(cron) => due(&Ticks::Cron(cron), question, cron.data_interval()),
        Timetable::Every(every) => {
            let anchor = question.cursor.map(|cursor| cursor.end).or(question.bounds.start).unwrap_or(question.now);
            due(&Ticks::Every(every, anchor), question, every.data_interval())
        }
    };
    run.filter(|run| question.bounds.end.is_none_or(|end| run.logical_date <= end))
}

pub(super) fn runs(timetable: &Timetable, after: DateTime<Utc>, bounds: Bounds) -> impl Iterator<Item = NextRun> {
    let from = bounds.start.map_or(after, |start| start.max(after));
    let mut next = first_from(timetable, from, after, &bounds);
    std::iter::from_fn(move || {
        let run = next.filter(|run| bounds.end.is_none_or(|end| run.logical_date <= end))?;
        let question = Question { cursor: Some(run.data_interval), bounds, catchup: Catchup::All, now: run.run_after };
        next = next_run(timetable, &question);
        Some(run)
    })
}

pub(super) fn manual_interval(timetable: &Timetable, run_after: DateTime<Utc>) -> Option<DataInterval> {
    let complete = |ticks: &Ticks<'_>| {
        let end = ticks.last_until(run_after)?;
        Some(DataInterval { start: ticks.before(end)?, end })
    };
    match timetable {
        Timetable::Cron(cron) if cron.data_interval() => complete(&Ticks::Cron(cron)),
        Timetable::Every(every) if every.data_interval() => {
            Some(DataInterval { start: run_after.checked_sub_signed(every.span().delta())?, end: run_after })
        }
        Timetable::Null | Timetable::Once | Timetable::Cron(_) | Timetable::Every(_) => {
            Some(DataInterval::exact(run_after))
        }
    }
}

fn first_from(timetable: &Timetable, from: DateTime<Utc>, after: DateTime<Utc>, bounds: &Bounds) -> Option<NextRun> {
    match timetable {
        Timetable::Null => None,
        Timetable::Once => {
            let at = bounds.start.unwrap_or(after);
            (at >= after).then(|| NextRun::over(DataInterval::exact(at)))
        }
        Timetable::Cron(cron) => first_over(&Ticks::Cron(cron), from, after, cron.data_interval()),
        Timetable::Every(every) => {
            let ticks = Ticks::Every(every, bounds.start.unwrap_or(after));
            first_over(&ticks, from, after, every.data_interval())
        }
    }
}

// With data intervals a run that starts at `after` or later may be about the time before.
fn first_over(ticks: &Ticks<'_>, from: DateTime<Utc>, after: DateTime<Utc>, intervals: bool) -> Option<NextRun> {
    let tick = ticks.at_or_after(from)?;
    if !intervals {
        return Some(NextRun::over(DataInterval::exact(tick)));
    }
    let earlier = ticks.before(tick).filter(|start| from == after && *start < tick);
    let interval = match earlier {
        Some(start) => DataInterval { start, end: tick },
        None => DataInterval { start: tick, end: ticks.after(tick)? },
    };
    Some(NextRun::over(interval))
}

fn once(question: &Question) -> Option<NextRun> {
    let at = question.bounds.start.unwrap_or(question.now);
    question.cursor.is_none().then(|| NextRun::over(DataInterval::exact(at)))
}

fn due(ticks: &Ticks<'_>, question: &Question, intervals: bool) -> Option<NextRun> {
    if intervals { due_interval(ticks, question) } else { due_tick(ticks, question) }
}

// A run at each tick, about that moment.
fn due_tick(ticks: &Ticks<'_>, question: &Question) -> Option<NextRun> {
    let (cursor, start, now) = (question.cursor, question.bounds.start, question.now);
    let next = match (cursor, start) {
        (Some(cursor), _) => ticks.after(cursor.end)?,
        (None, Some(start)) => ticks.at_or_after(start)?,
        (None, None) => first_without_start(ticks, now)?,
    };
    let earliest = start.and_then(|start| ticks.at_or_after(start));
    let not_before = match question.catchup {
        Catchup::All => None,
        Catchup::None | Catchup::Last if cursor.is_none() && start.is_none() => None,
        Catchup::None | Catchup::Last => ticks.last_until(now),
        Catchup::Window(window) => ticks.at_or_after(now - window.delta()),
    };
    let tick = [Some(next), not_before, earliest].into_iter().flatten().max()?;
    Some(NextRun::over(DataInterval::exact(tick)))
}

// A run at the end of each interval between two ticks.
fn due_interval(ticks: &Ticks<'_>, question: &Question) -> Option<NextRun> {
    let (cursor, start, now) = (question.cursor, question.bounds.start, question.now);
    let next = match (cursor, start) {
        (Some(cursor), _) => ticks.at_or_after(cursor.end)?,
        (None, Some(start)) => ticks.at_or_after(start)?,
        (None, None) => ticks.last_until(now)?,
    };
    let last_complete = || ticks.last_until(now).and_then(|end| ticks.before(end));
    let not_before = match question.catchup {
        Catchup::All => None,
        Catchup::None | Catchup::Last => last_complete(),
        Catchup::Window(window) => ticks.at_or_after(now - window.delta()).and_then(|end| ticks.before(end)),
    };
    let begin = not_before.map_or(next, |bound| next.max(bound));
    Some(NextRun::over(DataInterval { start: begin, end: ticks.after(begin)? }))
}

fn first_without_start(ticks: &Ticks<'_>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let next = ticks.after(now);
    let Some(last) = ticks.last_until(now) else { return next };
    let patience = next.map_or(LATENESS, |next| LATENESS.max((next - last) / 10));
    if now - last <= patience { Some(last) } else { next }
}

/// The moments of a schedule.
enum Ticks<'a> {
    Cron(&'a Cron),
    Every(&'a Every, DateTime<Utc>),
}

impl Ticks<'_> {
    fn after(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Cron(cron) => cron.next_after(moment),
            Self::Every(every, anchor) => every.next_after(*anchor, moment),
        }
    }

    fn at_or_after(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.after(moment.checked_sub_signed(TimeDelta::microseconds(1))?)
    }

    fn before(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Cron(cron) => cron.previous_before(moment),
            Self::Every(every, anchor) => every.previous_before(*anchor, moment),
        }
    }

    fn last_until(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.before(moment.checked_add_signed(TimeDelta::microseconds(1))?)
    }
}
