//! The tasks of a run, one row for each task: what the page and the graph of a run show.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use domain::{id::RunKey, state::TaskState};

use crate::{Error, Store, column::Parsed, hot::hot_query};

/// Most tasks of one answer: as many as a DAG may have.
pub const MOST_TASKS: u32 = 50_000;

/// A task of a run with all its instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunTask {
    /// The task.
    pub task_id: String,
    /// Its operator, in Airflow's words.
    pub operator: String,
    /// How many instances are in which state; one, unless it is mapped.
    pub states: Vec<(TaskState, i64)>,
    /// It is mapped and its elements are known.
    pub is_expanded: bool,
    /// The highest try number.
    pub try_number: i32,
    /// The highest number of tries that may fail before another one is made.
    pub max_tries: i32,
    /// When the first one was queued.
    pub queued_at: Option<DateTime<Utc>>,
    /// When the first one started.
    pub started_at: Option<DateTime<Utc>>,
    /// When the last one ended; nothing while one has not.
    pub ended_at: Option<DateTime<Utc>>,
    /// Why one of them is in its state.
    pub reason: Option<String>,
}

impl Store {
    /// The tasks of a run in the order of the run; only those named in `tasks`, unless that is empty. At most `limit` from
    /// `offset` on, and never more than [`MOST_TASKS`].
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn run_tasks(
        &self,
        run: RunKey,
        tasks: &[&str],
        limit: u32,
        offset: u32,
    ) -> Result<Vec<RunTask>, Error> {
        let query = Tasks {
            run_key: &run.0,
            tasks,
            limit: &i64::from(limit.min(MOST_TASKS)),
            offset: &i64::from(offset),
        };
        let mut conn = self.conn().await?;
        let rows: Vec<Row> = query.load(&mut conn).await?;
        Ok(rows.into_iter().map(RunTask::from).collect())
    }

    /// How many task instances of each of these runs are in each state.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn state_counts_of(
        &self,
        runs: &[RunKey],
    ) -> Result<HashMap<RunKey, Vec<(TaskState, i64)>>, Error> {
        let keys: Vec<i64> = runs.iter().map(|run| run.0).collect();
        let mut conn = self.conn().await?;
        let rows: Vec<CountRow> = Counts { runs: &keys }.load(&mut conn).await?;
        let mut counts: HashMap<RunKey, Vec<(TaskState, i64)>> = HashMap::new();
        for row in rows {
            counts.entry(RunKey(row.run_key)).or_default().push((row.state.0, row.count));
        }
        Ok(counts)
    }
}

impl From<Row> for RunTask {
    fn from(row: Row) -> Self {
        let states = row.states.into_iter().map(|state| state.0).zip(row.counts).collect();
        Self {
            task_id: row.task_id,
            operator: row.operator,
            states,
            is_expanded: row.is_expanded,
            try_number: row.try_number,
            max_tries: row.max_tries,
            queued_at: row.queued_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            reason: row.reason,
        }
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    task_id: String,
    #[diesel(sql_type = Text)]
    operator: String,
    #[diesel(sql_type = Array<Text>)]
    states: Vec<Parsed<TaskState>>,
    #[diesel(sql_type = Array<BigInt>)]
    counts: Vec<i64>,
    #[diesel(sql_type = Bool)]
    is_expanded: bool,
    #[diesel(sql_type = Integer)]
    try_number: i32,
    #[diesel(sql_type = Integer)]
    max_tries: i32,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    queued_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    started_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ended_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    run_key: i64,
    #[diesel(sql_type = Text)]
    state: Parsed<TaskState>,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

hot_query! {
    Tasks { run_key: i64 => BigInt, tasks: [&'a str] => Array<Text>, limit: i64 => BigInt, offset: i64 => BigInt }
    include_str!("page_run.sql")
}

hot_query! {
    Counts { runs: [i64] => Array<BigInt> }
    "SELECT run_key, state, count(*) AS count FROM task_instance WHERE run_key = ANY($1) GROUP BY run_key, state"
}
