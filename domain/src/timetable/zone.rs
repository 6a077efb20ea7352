use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// Time around a moment during which the clock of a zone does not jump, looked at for at most [`REACH`] days each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Era {
    /// Its first moment.
    pub(super) start: DateTime<Utc>,
    /// The first moment after it.
    pub(super) end: DateTime<Utc>,
    /// Wall clock minus UTC.
    pub(super) offset: TimeDelta,
    /// What the wall clock left out when it jumped to `start`.
    pub(super) skipped: TimeDelta,
    /// What the wall clock reads again from `end` on.
    pub(super) repeated: TimeDelta,
    /// Whether the clock jumps at `start`; else the look-out ended there.
    pub(super) jumps_at_start: bool,
    /// Whether the clock jumps at `end`; else the look-out ended there.
    pub(super) jumps_at_end: bool,
}

/// How far [`Era::around`] looks, in days. More than the longest gap there ever was (Samoa left out a whole day).
const REACH: usize = 2;
const DAY: TimeDelta = TimeDelta::days(1);

impl Era {
    /// The era of `moment`.
    pub(super) fn around(zone: Tz, moment: DateTime<Utc>) -> Self {
        // Clocks jump at whole seconds, and the search for a jump walks in them.
        let moment = DateTime::from_timestamp(moment.timestamp(), 0).unwrap_or(moment);
        let offset = offset(zone, moment);
        let before = (1..=REACH).map(|day| moment - DAY * steps(day));
        let after = (1..=REACH).map(|day| moment + DAY * steps(day));
        let jump_before = before.clone().find(|probe| self::offset(zone, *probe) != offset);
        let jump_after = after.clone().find(|probe| self::offset(zone, *probe) != offset);
        Self {
            start: jump_before.map_or(moment - DAY * steps(REACH), |probe| jump(zone, probe, probe + DAY)),
            end: jump_after.map_or(moment + DAY * steps(REACH), |probe| jump(zone, probe - DAY, probe)),
            offset,
            skipped: jump_before.map_or(TimeDelta::zero(), |probe| ahead(offset, self::offset(zone, probe))),
            repeated: jump_after.map_or(TimeDelta::zero(), |probe| ahead(offset, self::offset(zone, probe))),
            jumps_at_start: jump_before.is_some(),
            jumps_at_end: jump_after.is_some(),
        }
    }

    /// What the wall clock reads at `moment`.
    pub(super) fn reading(&self, moment: DateTime<Utc>) -> NaiveDateTime {
        moment.naive_utc() + self.offset
    }

    /// When the wall clock reads `reading`.
    pub(super) fn moment(&self, reading: NaiveDateTime) -> DateTime<Utc> {
        (reading - self.offset).and_utc()
    }
}

/// What the clock of `zone` reads at `moment`.
pub(crate) fn reading(zone: Tz, moment: DateTime<Utc>) -> NaiveDateTime {
    moment.with_timezone(&zone).naive_local()
}

/// When the clock reads `reading`, by the rules for a tick at a given hour: the second time where it does so twice, later
/// by what was left out where it never does.
pub(crate) fn fires_at(zone: Tz, reading: NaiveDateTime) -> DateTime<Utc> {
    match zone.from_local_datetime(&reading) {
        MappedLocalTime::Single(moment) | MappedLocalTime::Ambiguous(_, moment) => moment.to_utc(),
        MappedLocalTime::None => (reading - offset(zone, (reading - LONG_BEFORE).and_utc())).and_utc(),
    }
}

/// The first moment at which the clock reads `reading` or something later.
pub(crate) fn first_at(zone: Tz, reading: NaiveDateTime) -> DateTime<Utc> {
    match zone.from_local_datetime(&reading) {
        MappedLocalTime::Single(moment) | MappedLocalTime::Ambiguous(moment, _) => moment.to_utc(),
        MappedLocalTime::None => Era::around(zone, fires_at(zone, reading)).start,
    }
}

/// Before any gap that a reading may be in: the offset then is the one that the clock had before it jumped.
const LONG_BEFORE: TimeDelta = TimeDelta::hours(40);

fn steps(day: usize) -> i32 {
    i32::try_from(day).unwrap_or(i32::MAX)
}

/// How far the clock of `zone` is ahead of UTC at `moment`, in seconds.
pub(crate) fn offset_at(zone: Tz, moment: DateTime<Utc>) -> i32 {
    zone.offset_from_utc_datetime(&moment.naive_utc()).fix().local_minus_utc()
}

fn offset(zone: Tz, moment: DateTime<Utc>) -> TimeDelta {
    TimeDelta::seconds(offset_at(zone, moment).into())
}

fn ahead(offset: TimeDelta, other: TimeDelta) -> TimeDelta {
    (offset - other).max(TimeDelta::zero())
}

/// The first second after `low` at which the offset is no longer that of `low`; it is another one at `high`.
fn jump(zone: Tz, low: DateTime<Utc>, high: DateTime<Utc>) -> DateTime<Utc> {
    let (mut low, mut high, old) = (low, high, offset(zone, low));
    while high - low > TimeDelta::seconds(1) {
        let middle = low + TimeDelta::seconds((high - low).num_seconds() / 2);
        if offset(zone, middle) == old { low = middle } else { high = middle }
    }
    high
}
