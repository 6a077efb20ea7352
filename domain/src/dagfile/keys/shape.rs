//! What the values of keys look like.

use super::Place;

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dagfile) enum Shape {
    /// Any text.
    Text,
    /// A text, number or truth value, taken as a text.
    Texts,
    /// A DAG id, pool or queue name.
    Name,
    /// true or false.
    Flag,
    /// A whole number within bounds.
    Whole(i64, i64),
    /// true, false or a factor.
    Backoff,
    /// `30s`, `10m`, ...
    Duration,
    /// A date, with or without time and zone.
    Date,
    /// A name of the IANA time zone database.
    Zone,
    /// When runs are due.
    Schedule,
    /// Assets by name.
    Assets,
    /// An asset or alias, or several.
    AssetRefs,
    /// Which assets must have been updated.
    Condition,
    /// Several of these.
    Conditions,
    /// A schedule beside another one, or several.
    Times,
    /// Several schedules.
    Schedules,
    /// Moments.
    Dates,
    /// true, false or a length of time.
    Interval,
    /// Weekdays by name.
    Weekdays,
    /// Days without time.
    Days,
    /// What becomes of a tick on a holiday.
    OnHoliday,
    /// Times at which nothing starts.
    Blackout,
    /// A time of the day, or a date.
    TimeOrDate,
    /// What becomes of a tick in a blackout.
    OnBlackout,
    /// What becomes of a run that is due while another is active.
    Overlap,
    /// What happens to missed runs.
    Catchup,
    /// Parameters by name.
    Params,
    /// Task settings for all tasks.
    Defaults,
    /// Tasks and groups by id.
    Tasks,
    /// One name or several.
    Names,
    /// Where values come from, by name.
    Expand,
    /// Where mappings come from, each of which sets several names.
    ExpandKwargs,
    /// Several of these.
    Sources,
    /// Texts by name.
    Environment,
    /// One of the trigger rules.
    TriggerRule,
    /// One of the weight rules.
    WeightRule,
    /// true or false, or a mapping that says more.
    Teardown,
    /// A program that chooses.
    Branch,
    /// A program that says yes or no.
    ShortCircuit,
    /// A program, inline or in a file.
    Python,
    /// A connection and statements.
    Sql,
    /// A URL or a whole request.
    Http,
    /// What is waited for.
    WaitFor,
    /// A moment or a time of the day.
    Clock,
    /// A DAG, or a DAG and what becomes of its run.
    TriggerDag,
    /// A question to people.
    Approval,
    /// Tasks and groups by option.
    Branches,
    /// One deadline or several.
    Deadlines,
    /// A Jinja expression in braces.
    Expression,
    /// One end of a task or several.
    States,
    /// Values by name.
    Object,
    /// An HTTP method.
    Method,
    /// Headers by name.
    Headers,
    /// A mapping with the keys of a place, of which these must be there.
    Mapping(Place, &'static [&'static str]),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Whom to tell.
    Notifications,
    /// What one channel wants to know.
    Channel(Place),
    /// Anything.
    Any,
    /// Nothing, or a mapping without keys.
    Nothing,
}
