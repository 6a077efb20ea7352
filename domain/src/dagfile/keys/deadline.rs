//! The keys of `deadline`.

use super::{Key, Shape, key, nullable};
use crate::deadline::Reference;

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
        Shape::OneOf(&Reference::NAMES),
        "What it counts from: queued, logical_date or start of the run. Default: queued.",
    ),
    nullable("name", Shape::Text, "What it is called in messages."),
];
