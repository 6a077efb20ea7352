//! The keys of `deadline`.

use super::{Key, Shape, key, nullable};
use crate::{dagfile::deadline::FROM, deadline::MAX_AVERAGED};

/// Among the keys of a DAG.
pub(super) const DUE: Key = nullable(
    "deadline",
    Shape::Deadlines,
    "By when runs should have ended, or a list of such deadlines; who misses one is told by on_deadline: {within: 30m, from: queued}.",
);

/// One deadline.
pub(in super::super) const DEADLINE: &[Key] = &[
    key("within", Shape::Duration, "The time that a run has."),
    key(
        "from",
        Shape::OneOf(&FROM),
        "What it counts from: queued, logical_date or start of the run, or average_runtime, when it would end if it took as long as the last ones. Default: queued.",
    ),
    key(
        "runs",
        Shape::Whole(1, MAX_AVERAGED as i64),
        "With average_runtime: the average is taken of so many runs that succeeded. Default: 10.",
    ),
    key(
        "min_runs",
        Shape::Whole(1, MAX_AVERAGED as i64),
        "With average_runtime: while so many runs have not succeeded, there is no deadline. Default: as many as runs.",
    ),
    key("at", Shape::Date, "A moment instead, the same for all runs."),
    nullable("name", Shape::Text, "What it is called in messages."),
];
