//! Loops: a task that runs again until something is true of what it left.
//!
//! A round is a try of its own: it has a number, a log and a line in the history, and whatever fences tries by their number fences rounds,
//! too. The worker says at the end of a round whether the condition holds; the engine counts the rounds and bounds them.

use serde::{Deserialize, Serialize};

use crate::span::Span;

/// Most rounds that a task may ask for: each leaves a try in the history.
pub const MAX_ROUNDS: u32 = 1_000;
/// Longest condition, in bytes.
pub const MAX_CONDITION: usize = 4_096;

/// How a task is repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeat {
    /// A Jinja expression, without the braces around it: after a round for which it is true there is no further one.
    pub until: String,
    /// There are no more rounds than this, from 1 to [`MAX_ROUNDS`].
    pub max_rounds: u32,
    /// The pause between two rounds, in which nothing is held; without one the next round waits for room at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Span>,
    /// What becomes of the task when its condition does not hold after the last round.
    #[serde(default)]
    pub on_exhausted: OnExhausted,
}

/// What becomes of a task whose rounds are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExhausted {
    /// It has failed. It is not tried again: a retry is no further round.
    #[default]
    Fail,
    /// It has succeeded with what its last round left.
    Succeed,
}

impl OnExhausted {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 2] = [Self::Fail, Self::Succeed];
    /// Their names, in the same order.
    pub const NAMES: [&'static str; 2] = [Self::Fail.as_str(), Self::Succeed.as_str()];

    /// Its name in DAG files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Succeed => "succeed",
        }
    }
}

impl Repeat {
    /// Why nothing follows after the last round.
    #[must_use]
    pub fn exhausted(&self) -> String {
        let Self { until, max_rounds, .. } = self;
        let rounds = if *max_rounds == 1 { "round" } else { "rounds" };
        format!("its condition `{until}` did not hold after {max_rounds} {rounds}")
    }
}
