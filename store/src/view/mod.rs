//! Read models: one for each page and each list of the API. They only read, and every answer is bounded.

pub mod alerts;
pub mod api_dag;
pub mod api_list;
pub mod api_lists;
pub mod api_log;
pub mod api_metrics;
pub mod api_run;
pub mod api_ti;
pub mod api_wish;
pub mod approvals;
pub mod assets;
pub mod backfills;
pub mod dag_grid;
pub mod dags;
pub mod event_log;
pub mod health;
pub mod page_run;
pub mod page_shell;
pub mod run;
pub mod task;

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Text},
};
use domain::state::TaskState;

use crate::column::Parsed;

/// Most rows of one answer.
pub const MOST_ROWS: u32 = 1_000;

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    limit: i64,
    offset: i64,
}

impl Page {
    /// At most `limit` rows (never more than [`MOST_ROWS`]) from `offset` on.
    #[must_use]
    pub fn new(limit: u32, offset: u32) -> Self {
        Self { limit: i64::from(limit.min(MOST_ROWS)), offset: i64::from(offset) }
    }

    /// The first `limit` rows.
    #[must_use]
    pub fn first(limit: u32) -> Self {
        Self::new(limit, 0)
    }
}

/// Rows of a list, and how many there are in all.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing<T> {
    /// The rows of the page.
    pub rows: Vec<T>,
    /// How many rows the list has.
    pub total: i64,
}

/// Names of states as a statement takes them; none is no condition.
fn names<T: Copy>(states: &[T], name: impl Fn(T) -> &'static str) -> Option<Vec<&'static str>> {
    (!states.is_empty()).then(|| states.iter().map(|state| name(*state)).collect())
}

/// Texts as a statement takes them; none is no condition.
fn texts(texts: &[String]) -> Option<Vec<String>> {
    (!texts.is_empty()).then(|| texts.to_vec())
}

/// How many task instances are in a state.
#[derive(QueryableByName)]
struct StateCount {
    #[diesel(sql_type = Text)]
    state: Parsed<TaskState>,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

impl StateCount {
    fn pair(self) -> (TaskState, i64) {
        (self.state.0, self.count)
    }
}
