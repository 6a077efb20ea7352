//! The order in which instances that wait for the same room go: chosen for the installation, and for single pools.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::candidate::Candidate;

/// An order among instances that wait. Dependencies always hold: only what may start is ordered. What a policy leaves open is
/// decided by priority, the order of becoming ready, the date of the run, and the order of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// First come, first served: the order of becoming ready.
    Fifo,
    /// Higher effective priority first, then the older logical date, then the lower mapped index. Source: Airflow 3.3.2
    /// `jobs/scheduler_job_runner.py:561-1090`.
    #[default]
    Priority,
    /// Shortest job first, by the duration learned from history.
    Shortest,
    /// Longest processing time first, by the duration learned from history.
    Longest,
    /// First come, first served; the shortest first among those that became ready in the same moment.
    FifoShortest,
    /// The longest remaining path to the end of its run first.
    CriticalPath,
}

/// A word that names no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a policy; did you mean `{1}`? Policies are fifo, priority, shortest, longest, fifo_shortest and \
     critical_path"
)]
pub struct UnknownPolicy(String, &'static str);

impl Policy {
    /// Every policy.
    pub const ALL: [Self; 6] =
        [Self::Fifo, Self::Priority, Self::Shortest, Self::Longest, Self::FifoShortest, Self::CriticalPath];

    /// Its name in configuration, in the records and on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fifo => "fifo",
            Self::Priority => "priority",
            Self::Shortest => "shortest",
            Self::Longest => "longest",
            Self::FifoShortest => "fifo_shortest",
            Self::CriticalPath => "critical_path",
        }
    }

    // Smaller goes first. `expected` is the duration in milliseconds to reckon with.
    pub(super) fn key(self, candidate: &Candidate, expected: u64) -> [i64; 4] {
        let ready = candidate.ready.timestamp_micros();
        let since = candidate.since.timestamp_micros();
        let urgency = -i64::from(candidate.priority);
        let expected = i64::try_from(expected).unwrap_or(i64::MAX);
        let path = i64::try_from(candidate.path).unwrap_or(i64::MAX).max(expected);
        match self {
            Self::Fifo => [ready, since, 0, 0],
            Self::Priority => [urgency, since, candidate.map_index.into(), ready],
            Self::Shortest => [expected, urgency, ready, since],
            Self::Longest => [-expected, urgency, ready, since],
            Self::FifoShortest => [ready, expected, urgency, since],
            Self::CriticalPath => [-path, urgency, ready, since],
        }
    }
}

impl std::fmt::Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Self, UnknownPolicy> {
        if let Some(policy) = Self::ALL.into_iter().find(|policy| policy.name() == text) {
            return Ok(policy);
        }
        let distance = |policy: &Self| strsim::damerau_levenshtein(policy.name(), text);
        let near = Self::ALL.into_iter().min_by_key(distance).unwrap_or_default();
        Err(UnknownPolicy(text.chars().take(60).collect(), near.name()))
    }
}
