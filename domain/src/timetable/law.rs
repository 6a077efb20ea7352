use std::iter;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Bounds, Catchup, DataInterval, Interval, NextRun, Timetable,
    row::{INSTANT, Row, Ticks},
};

/// The least time between the starts of two continuous runs: runs that end at once would keep the scheduler busy with nothing.
const REST: TimeDelta = TimeDelta::seconds(1);

/// All that decides which run is next, besides the timetable itself.
pub(super) struct Question {
    pub(super) cursor: Option<DataInterval>,
    pub(super) bounds: Bounds,
    pub(super) catchup: Catchup,
    pub(super) now: DateTime<Utc>,
}

pub(super) fn next_run(timetable: &Timetable, question: &Question) -> Option<NextRun> {
    if let Timetable::Listed(listed) = timetable {
        return listed.next_run(question.cursor.as_ref(), question.catchup, question.now);
    }
    let Some(beat) = Beat::of(timetable, question.anchor(timetable)) else {
        return unticked(timetable, question);
    };
    let due = beat.due(question)?;
    let wanted = match question.floor(&beat) {
        Floor::None => due,
        Floor::At(floor) => due.max(floor),
        Floor::Over => return None,
    };
    beat.run_from(wanted).filter(|run| beat.admits(&question.bounds, run))
}

pub(super) fn runs(
    timetable: &Timetable,
    after: DateTime<Utc>,
    bounds: Bounds,
) -> Box<dyn Iterator<Item = NextRun> + '_> {
    if let Timetable::Listed(listed) = timetable {
        return Box::new(listed.listing().runs().iter().filter(move |run| run.run_after >= after).copied());
    }
    let start = bounds.start.unwrap_or(after);
    let anchor = grid(timetable, &bounds).unwrap_or(start);
    let Some(beat) = Beat::of(timetable, anchor) else {
        return Box::new(single(timetable, start, after).filter(|run| not_late(&bounds, run)).into_iter());
    };
    let first = beat.starting_from(after).and_then(|tick| match bounds.start {
        Some(start) => beat.first_from(start).map(|first| first.max(tick)),
        None => Some(tick),
    });
    let first = first.and_then(|tick| beat.run_from(tick));
    let all = iter::successors(first, move |run| beat.run_from(beat.row.next(run.tick())?));
    Box::new(all.take_while(move |run| beat.admits(&bounds, run)))
}

pub(super) fn dates(
    timetable: &Timetable,
    anchor: Option<DateTime<Utc>>,
    range: Bounds,
) -> impl Iterator<Item = DataInterval> + use<'_> {
    let beat = range.start.and_then(|start| {
        let grid = grid(timetable, &Bounds { start: anchor, end: None });
        Beat::of(timetable, grid.or(anchor).unwrap_or(start))
    });
    let first = beat.zip(range.start).and_then(|(beat, start)| beat.run_from(beat.first_from(start)?));
    let all = iter::successors(first, move |run| beat?.run_from(beat?.row.next(run.tick())?));
    all.take_while(move |run| beat.is_some_and(|beat| beat.admits(&range, run))).map(|run| run.data_interval)
}

pub(super) fn manual_interval(timetable: &Timetable, run_after: DateTime<Utc>) -> Option<DataInterval> {
    if timetable.listed().is_some() {
        return None;
    }
    let Some(beat) = Beat::of(timetable, grid(timetable, &Bounds::default()).unwrap_or(run_after)) else {
        return Some(DataInterval::exact(run_after));
    };
    match beat.interval {
        Interval::Moment => Some(DataInterval::exact(run_after)),
        Interval::SinceLast => Some(beat.run(beat.row.at_or_before(run_after)?)?.data_interval),
        Interval::Length(length) => {
            Some(DataInterval { start: run_after.checked_sub_signed(length.delta())?, end: run_after })
        }
    }
}

/// The next run of a timetable without ticks.
fn unticked(timetable: &Timetable, question: &Question) -> Option<NextRun> {
    let Question { cursor, bounds, now, .. } = question;
    let run = match timetable {
        Timetable::Once if cursor.is_none() => {
            NextRun::over(DataInterval::exact(bounds.start.unwrap_or(*now)))
        }
        Timetable::Continuous => continuous(*cursor, bounds.start, *now)?,
        // `@once` is over once it has a cursor, whatever became of the run; the others have ticks, a list, or none at all.
        Timetable::Once
        | Timetable::Null
        | Timetable::Cron(_)
        | Timetable::Every(_)
        | Timetable::Dates(_)
        | Timetable::Composed(_)
        | Timetable::Listed(_) => return None,
    };
    Some(run).filter(|run| not_late(bounds, run))
}

/// From where the last run's time ended up to now (Airflow's `ContinuousTimetable`), or up to the moment at which it may
/// start. Runs whose time has no length still differ in their logical dates, by the finest difference there is.
fn continuous(
    cursor: Option<DataInterval>,
    start: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<NextRun> {
    let follows = match cursor {
        Some(cursor) => Some(cursor.end.max(cursor.start.checked_add_signed(INSTANT)?)),
        None => None,
    };
    let from = follows.max(start).unwrap_or(now);
    let rested = match cursor {
        Some(cursor) => cursor.end.checked_add_signed(REST)?,
        None => from,
    };
    Some(NextRun::over(DataInterval { start: from, end: now.max(from).max(rested) }))
}

/// All that is known beforehand of the runs of a timetable without ticks.
fn single(timetable: &Timetable, start: DateTime<Utc>, after: DateTime<Utc>) -> Option<NextRun> {
    match timetable {
        Timetable::Once => Some(start).filter(|start| *start >= after),
        Timetable::Continuous => Some(start.max(after)),
        Timetable::Null
        | Timetable::Cron(_)
        | Timetable::Every(_)
        | Timetable::Dates(_)
        | Timetable::Composed(_)
        | Timetable::Listed(_) => None,
    }
    .map(|moment| NextRun::over(DataInterval::exact(moment)))
}

fn not_late(bounds: &Bounds, run: &NextRun) -> bool {
    bounds.end.is_none_or(|end| run.logical_date <= end)
}

/// Where the grids of a timetable are, unless the last run tells.
fn grid(timetable: &Timetable, bounds: &Bounds) -> Option<DateTime<Utc>> {
    match timetable {
        Timetable::Composed(composed) if !composed.is_lone_grid() => {
            Some(bounds.start.unwrap_or(DateTime::UNIX_EPOCH))
        }
        Timetable::Composed(_)
        | Timetable::Null
        | Timetable::Once
        | Timetable::Continuous
        | Timetable::Cron(_)
        | Timetable::Every(_)
        | Timetable::Dates(_)
        | Timetable::Listed(_) => None,
    }
}

impl Question {
    /// A moment on the grid of a timetable that has no clock of its own.
    fn anchor(&self, timetable: &Timetable) -> DateTime<Utc> {
        let last = || self.cursor.map(|cursor| cursor.end).or(self.bounds.start).unwrap_or(self.now);
        grid(timetable, &self.bounds).unwrap_or_else(last)
    }

    fn floor(&self, beat: &Beat<'_>) -> Floor {
        match self.catchup {
            Catchup::All => Floor::None,
            Catchup::None | Catchup::Last => beat.started_by(self.now).map_or(Floor::None, Floor::At),
            Catchup::Window(window) => match self.now.checked_sub_signed(window.delta()) {
                Some(opens) => beat.starting_from(opens).map_or(Floor::Over, Floor::At),
                None => Floor::None,
            },
        }
    }
}

/// The earliest tick that catch-up allows.
enum Floor {
    /// Any.
    None,
    /// This one.
    At(DateTime<Utc>),
    /// None any more: all there are were missed too long ago.
    Over,
}

/// A timetable as a row of ticks, and what its runs make of them.
#[derive(Clone, Copy)]
struct Beat<'a> {
    row: Row<'a>,
    interval: Interval,
    /// How long after its tick a run starts.
    delay: TimeDelta,
    /// A grid without start date begins with the first run, which is due at once.
    begins_at_once: bool,
}

impl<'a> Beat<'a> {
    fn of(timetable: &'a Timetable, anchor: DateTime<Utc>) -> Option<Self> {
        let row = Row::of(timetable, anchor)?;
        let since_last = |flag| if flag { Interval::SinceLast } else { Interval::Moment };
        let plain =
            |interval, begins_at_once| Self { row, interval, delay: TimeDelta::zero(), begins_at_once };
        Some(match row {
            Row::Cron(cron) => plain(since_last(cron.data_interval()), false),
            Row::Grid(every, _) => plain(since_last(every.data_interval()), true),
            Row::Dates(_) => plain(Interval::Moment, false),
            Row::Composed(composed, _) => {
                let delay = composed.jitter().map_or(TimeDelta::zero(), |jitter| jitter.delay());
                Self { delay, ..plain(composed.data_interval(), composed.is_lone_grid()) }
            }
        })
    }

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

    /// After a change of schedule an interval may begin where, or before, the last one began: its logical date is taken.
    fn after_cursor(&self, cursor: DataInterval) -> Option<DateTime<Utc>> {
        let next = self.row.next(cursor.end)?;
        match self.interval {
            Interval::Moment => Some(next),
            Interval::SinceLast => match self.run(next) {
                Some(run) if run.logical_date <= cursor.start => self.row.next(next),
                Some(_) | None => Some(next),
            },
            Interval::Length(length) => {
                self.row.next(cursor.start.checked_add_signed(length.delta())?.max(cursor.end))
            }
        }
    }

    /// The first tick whose run lies within a DAG that starts at `start`.
    fn first_from(&self, start: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let tick = self.row.at_or_after(start)?;
        match self.interval {
            Interval::SinceLast => self.row.next(tick),
            Interval::Moment | Interval::Length(_) => Some(tick),
        }
    }

    /// The first tick of a DAG without a start date and without runs.
    fn first_without_start(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let last = self.started_by(now);
        if self.interval == Interval::SinceLast || self.begins_at_once {
            return last.or_else(|| self.starting_from(now));
        }
        // Airflow's `_calc_first_run`: a tick that has only just passed still counts.
        let next = match last {
            Some(last) => self.row.next(last),
            None => self.starting_from(now),
        };
        let Some(last) = last else { return next };
        let tenth = next.map_or(TimeDelta::zero(), |next| (next - last) / 10);
        if now - self.delay - last <= tenth.max(TimeDelta::minutes(5)) { Some(last) } else { next }
    }

    /// The run of `tick`, or of the one after it when `tick` only opens the first interval there is.
    fn run_from(&self, tick: DateTime<Utc>) -> Option<NextRun> {
        self.run(tick).or_else(|| self.run(self.row.next(tick)?))
    }

    fn run(&self, tick: DateTime<Utc>) -> Option<NextRun> {
        let start = match self.interval {
            Interval::Moment => tick,
            Interval::SinceLast => self.row.previous(tick)?,
            Interval::Length(length) => tick.checked_sub_signed(length.delta())?,
        };
        let run_after = tick.checked_add_signed(self.delay)?;
        Some(NextRun { run_after, ..NextRun::over(DataInterval { start, end: tick }) })
    }

    /// Whether a run is not too late: by its logical date, or by its tick where that is Airflow's rule. (That none is too
    /// early follows from where counting starts.)
    fn admits(&self, bounds: &Bounds, run: &NextRun) -> bool {
        match self.interval {
            Interval::Moment | Interval::SinceLast => not_late(bounds, run),
            Interval::Length(_) => bounds.end.is_none_or(|end| run.tick() <= end),
        }
    }

    /// The last tick whose run may have started at `now`.
    fn started_by(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.row.at_or_before(now.checked_sub_signed(self.delay)?)
    }

    /// The first tick whose run may start at `moment` or later.
    fn starting_from(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.row.at_or_after(moment.checked_sub_signed(self.delay)?)
    }
}
