//! The keys that say when runs are due.

use super::{Key, Place, Shape, key, nullable};

/// The mapping forms of `schedule`.
pub(in crate::dagfile) const SCHEDULE: &[Key] = &[
    key(
        "cron",
        Shape::Text,
        "A cron expression of 5 fields, 6 with seconds first, or a preset such as @daily.",
    ),
    key(
        "timezone",
        Shape::Zone,
        "The zone of the cron expression, dates, calendar and blackouts. Default: the DAG's.",
    ),
    key("every", Shape::Duration, "Runs follow each other in this distance."),
    key("at", Shape::Dates, "Runs at these moments."),
    key("any", Shape::Schedules, "Runs whenever one of these schedules fires."),
    key(
        "assets",
        Shape::Condition,
        "Runs when these assets have been updated: one, a list of which all must be, {any: [...]} or {all: [...]}.",
    ),
    nullable("or", Shape::Times, "With assets: runs at these times, too. Any other form of a schedule."),
    key(
        "data_interval",
        Shape::Interval,
        "What a run is about: true, the time since the tick before it; a length such as 1d, that long up to its tick. Default: false, a moment.",
    ),
    key("calendar", Shape::Mapping(Place::Calendar, &[]), "Runs on business days only."),
    key(
        "on_holiday",
        Shape::OnHoliday,
        "What becomes of a run on another day: skip, next_business_day or previous_business_day. Default: skip.",
    ),
    key("blackout", Shape::Blackout, "Times at which no run starts."),
    key(
        "on_blackout",
        Shape::OnBlackout,
        "What becomes of a run in a blackout: skip, or delay to its end. Default: skip.",
    ),
    key(
        "jitter",
        Shape::Duration,
        "Runs start later by a part of this that is always the same for the DAG; logical dates stay.",
    ),
];

/// The business days of a schedule.
pub(in crate::dagfile) const CALENDAR: &[Key] = &[
    key("weekend", Shape::Weekdays, "The weekdays without business. Default: [sat, sun]."),
    key("holidays", Shape::Days, "Days without business, as 2026-12-25."),
];

/// A time at which no run starts.
pub(in crate::dagfile) const BLACKOUT: &[Key] = &[
    key("from", Shape::TimeOrDate, "Its first moment: a time of every day such as 22:00, or a date."),
    key("to", Shape::TimeOrDate, "The first moment after it: a time of the day, or a date."),
    key("cron", Shape::Text, "Every minute that matches this cron expression of 5 fields."),
];

/// The mapping form of `catchup`.
pub(in crate::dagfile) const CATCHUP: &[Key] =
    &[key("window", Shape::Duration, "Runs missed for longer than this are not made up for.")];
