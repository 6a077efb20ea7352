use chrono::{DateTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
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

fn steps(day: usize) -> i32 {
    i32::try_from(day).unwrap_or(i32::MAX)
}

fn offset(zone: Tz, moment: DateTime<Utc>) -> TimeDelta {
    TimeDelta::seconds(zone.offset_from_utc_datetime(&moment.naive_utc()).fix().local_minus_utc().into())
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
