use std::iter;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Bounds, Catchup, Cron, DataInterval, Every, NextRun, Timetable};

/// All that decides which run is next, besides the timetable itself.
pub(super) struct Question {
    pub(super) cursor: Option<DataInterval>,
    pub(super) bounds: Bounds,
    pub(super) catchup: Catchup,
    pub(super) now: DateTime<Utc>,
}

pub(super) fn next_run(timetable: &Timetable, question: &Question) -> Option<NextRun> {
    let beat = match timetable {
        Timetable::Null => return None,
        Timetable::Once => return once(question),
        Timetable::Cron(cron) => Beat::Cron(cron),
        Timetable::Every(every) => Beat::Grid(every, question.anchor()),
    };
    let due = beat.due(question)?;
    let wanted = match question.floor(&beat) {
        Some(floor) => due.max(floor),
        None => due,
    };
    beat.run(wanted).filter(|run| question.bounds.admit(run))
}

pub(super) fn runs(
    timetable: &Timetable,
    after: DateTime<Utc>,
    bounds: Bounds,
) -> Box<dyn Iterator<Item = NextRun> + '_> {
    let start = bounds.start.unwrap_or(after);
    let beat = match timetable {
        Timetable::Null => return Box::new(iter::empty()),
        Timetable::Once => {
            let run = NextRun::over(DataInterval::exact(start));
            return Box::new(Some(run).filter(|run| start >= after && bounds.admit(run)).into_iter());
        }
        Timetable::Cron(cron) => Beat::Cron(cron),
        Timetable::Every(every) => Beat::Grid(every, start),
    };
    let first = beat.at_or_after(after).and_then(|tick| match bounds.start {
        Some(start) => beat.first_from(start).map(|first| first.max(tick)),
        None => Some(tick),
    });
    let ticks = iter::successors(first, move |tick| beat.next(*tick));
    Box::new(ticks.map_while(move |tick| beat.run(tick)).take_while(move |run| bounds.admit(run)))
}

pub(super) fn manual_interval(timetable: &Timetable, run_after: DateTime<Utc>) -> Option<DataInterval> {
    match timetable {
        Timetable::Null | Timetable::Once => Some(DataInterval::exact(run_after)),
        Timetable::Cron(cron) => {
            let beat = Beat::Cron(cron);
            if cron.data_interval() {
                Some(beat.run(beat.at_or_before(run_after)?)?.data_interval)
            } else {
                Some(DataInterval::exact(run_after))
            }
        }
        Timetable::Every(every) => Some(Beat::Grid(every, run_after).run(run_after)?.data_interval),
    }
}

/// `@once` runs at the start date, or now; once it has a cursor it is over, whatever became of the run.
fn once(question: &Question) -> Option<NextRun> {
    let run = NextRun::over(DataInterval::exact(question.bounds.start.unwrap_or(question.now)));
    Some(run).filter(|run| question.cursor.is_none() && question.bounds.admit(run))
}

impl Bounds {
    /// Whether a run is not too late. (That none is too early follows from where counting starts.)
    fn admit(&self, run: &NextRun) -> bool {
        self.end.is_none_or(|end| run.logical_date <= end)
    }
}

impl Question {
    /// A moment on the grid of a timetable that has no clock of its own.
    fn anchor(&self) -> DateTime<Utc> {
        self.cursor.map(|cursor| cursor.end).or(self.bounds.start).unwrap_or(self.now)
    }

    /// The earliest tick that catch-up allows; `None` when it allows any.
    fn floor(&self, beat: &Beat<'_>) -> Option<DateTime<Utc>> {
        match self.catchup {
            Catchup::All => None,
            Catchup::None | Catchup::Last => beat.at_or_before(self.now),
            Catchup::Window(window) => beat.at_or_after(self.now.checked_sub_signed(window.delta())?),
        }
    }
}

/// A timetable as a row of ticks.
#[derive(Clone, Copy)]
enum Beat<'a> {
    Cron(&'a Cron),
    /// With a moment that is on the grid.
    Grid(&'a Every, DateTime<Utc>),
}

/// The finest difference between two moments that the records keep.
const INSTANT: TimeDelta = TimeDelta::microseconds(1);

impl Beat<'_> {
    /// The tick that would be next if nothing were ever dropped.
    fn due(&self, question: &Question) -> Option<DateTime<Utc>> {
        let first = match question.bounds.start {
            Some(start) => Some(self.first_from(start)?),
            None => None,
        };
        match (question.cursor, first) {
            (Some(cursor), Some(first)) => self.after_cursor(cursor).map(|next| next.max(first)),
            (Some(cursor), None) => self.after_cursor(cursor),
            (None, Some(first)) => Some(first),
            (None, None) => self.first_without_start(question.now),
        }
    }

    fn after_cursor(&self, cursor: DataInterval) -> Option<DateTime<Utc>> {
        let next = self.next(cursor.end)?;
        // After a change of schedule an interval may begin where, or before, the last one began: its logical date is taken.
        match self.run(next) {
            Some(run) if run.logical_date <= cursor.start && self.covers_intervals() => self.next(next),
            Some(_) | None => Some(next),
        }
    }

    /// The first tick whose run lies within a DAG that starts at `start`.
    fn first_from(&self, start: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let tick = self.at_or_after(start)?;
        if self.covers_intervals() { self.next(tick) } else { Some(tick) }
    }

    /// The first tick of a DAG without a start date and without runs.
    fn first_without_start(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let last = self.at_or_before(now);
        if self.covers_intervals() || matches!(self, Self::Grid(..)) {
            return last;
        }
        // Airflow's `_calc_first_run`: a tick that has only just passed still counts.
        let next = self.at_or_after(now);
        match (last, next) {
            (Some(last), Some(next)) => {
                let just_now = ((next - last) / 10).max(TimeDelta::minutes(5));
                Some(if now - last <= just_now { last } else { next })
            }
            (last, next) => next.or(last),
        }
    }

    fn run(&self, tick: DateTime<Utc>) -> Option<NextRun> {
        let start = if self.covers_intervals() { self.previous(tick)? } else { tick };
        Some(NextRun::over(DataInterval { start, end: tick }))
    }

    const fn covers_intervals(&self) -> bool {
        match self {
            Self::Cron(cron) => cron.data_interval(),
            Self::Grid(every, _) => every.data_interval(),
        }
    }

    fn next(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Cron(cron) => cron.next_after(moment),
            Self::Grid(every, anchor) => every.next_after(*anchor, moment),
        }
    }

    fn previous(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Cron(cron) => cron.previous_before(moment),
            Self::Grid(every, anchor) => every.previous_before(*anchor, moment),
        }
    }

    fn at_or_after(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.next(moment.checked_sub_signed(INSTANT)?)
    }

    fn at_or_before(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.previous(moment.checked_add_signed(INSTANT)?)
    }
}
