//! Partitions: which part of an asset an event, a run or a DAG is about. Source: Airflow 3.3.2 `partition_mappers`,
//! `assets/manager.py:547`, `jobs/scheduler_job_runner.py:2142`.
//!
//! A run may have a partition key; the events of its tasks then have it, too. A DAG that waits for partitions has a mapper for each asset:
//! it says which of the DAG's own partitions an event is about. Each of these has one run, once its assets are there.

mod format;
mod key;
mod law;
mod mapper;
mod policy;
mod window;

use std::collections::BTreeSet;

use chrono::NaiveDateTime;

pub use self::{
    format::{Format, FormatError, MAX_FORMAT, Shown},
    key::{Key, KeyError, Partition},
    law::{MAX_OFFSET, Mappers, MappingError, Partitions, Ticks, TicksError, Wanted},
    mapper::{FanOut, Mapper, Rollup, Rule, Start, USUAL_MOST},
    policy::Policy,
    window::{Decoded, Period, Window},
};

/// Longest key, in characters (Airflow's limit).
pub const MAX_KEY: usize = 250;

/// Why a mapper cannot tell what a key means.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not written as the mapper expects.
    #[error("the partition key {key:?} is not written as {format:?}")]
    Unreadable {
        /// The key.
        key: String,
        /// What the mapper expects, in the notation of Python's `strftime`.
        format: String,
    },
    /// It is none of those that the mapper knows.
    #[error("the partition key {key:?} is none of {allowed:?}")]
    NotAllowed {
        /// The key.
        key: String,
        /// What the mapper knows.
        allowed: BTreeSet<String>,
    },
    /// It has another number of parts than the mapper.
    #[error("the partition key {key:?} has {found} parts, not {expected}")]
    Segments {
        /// The key.
        key: String,
        /// So many the mapper has,
        expected: usize,
        /// and so many the key.
        found: usize,
    },
    /// It becomes several keys where only one has a meaning.
    #[error("the partition key {0:?} does not become one key, and only one can be gone on with")]
    NotOne(String),
    /// It becomes more keys than the mapper may make.
    #[error("the partition key {key:?} becomes {keys} keys, and at most {most} are allowed")]
    TooMany {
        /// The key.
        key: String,
        /// What became of it.
        keys: usize,
        /// What is allowed.
        most: usize,
    },
    /// The parts of a period were asked for of something that is none.
    #[error("the parts of a {0} were asked for, and the key {1:?} names no time")]
    NoTime(&'static str, String),
    /// Months have parts only from their first day on.
    #[error("the parts of a {0} were asked for, which does not begin at {1}")]
    NotTheFirst(&'static str, NaiveDateTime),
    /// A part is a time, and the mapper knows only names.
    #[error("{0} is a time, and the mapper knows only names")]
    NoKey(NaiveDateTime),
    /// So far from today no calendar goes.
    #[error("{0} is out of the range of dates")]
    OutOfRange(NaiveDateTime),
}
