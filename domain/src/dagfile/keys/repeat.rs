//! The keys of `repeat`.

use super::{Key, Place, Shape, key, nullable};
use crate::repeat::{MAX_ROUNDS, OnExhausted};

/// Among the keys of a task.
pub(super) const IN_ROUNDS: Key = nullable(
    "repeat",
    Shape::Mapping(Place::Repeat, &["until", "max_rounds"]),
    "Runs the task in rounds until a condition over what a round left holds: {until: \"{{ result == 'done' }}\", max_rounds: 10, delay: 30s}.",
);

/// How it is repeated.
pub(in super::super) const REPEAT: &[Key] = &[
    key(
        "until",
        Shape::Expression,
        "A Jinja expression in {{ }}: after a round for which it is true there is no further one. `result` is what the round left, `previous` what the one before left, `round` its number.",
    ),
    key("max_rounds", Shape::Whole(1, MAX_ROUNDS as i64), "There are no more rounds than this."),
    nullable(
        "delay",
        Shape::Duration,
        "The pause between two rounds, in which no worker is held. Default: none.",
    ),
    key(
        "on_exhausted",
        Shape::OneOf(&OnExhausted::NAMES),
        "What becomes of the task when the condition does not hold after the last round: fail or succeed. Default: fail.",
    ),
];
