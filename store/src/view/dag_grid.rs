//! The grid: the newest runs of a DAG against its tasks. Aggregated by the database, so that ten thousand tasks and twenty
//! runs are ten thousand rows and not two hundred thousand.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Integer, Nullable, SmallInt, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use domain::{
    engine::record::VersionId,
    id::{DagId, RunKey, TaskId},
    state::{RunState, RunType, TaskState},
};

use super::names;
use crate::{Error, Store, column::Parsed, hot::view_query};

/// Most runs of one grid.
pub const MOST_RUNS: u32 = 365;

/// Which runs are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// At most this many, and never more than [`MOST_RUNS`].
    pub limit: u32,
    /// Only runs that are older than this one: the last of the page before.
    pub before: Option<(DateTime<Utc>, RunKey)>,
    /// Only runs in one of these states; none is no condition.
    pub states: Vec<RunState>,
    /// Only runs of one of these types; none is no condition.
    pub types: Vec<RunType>,
    /// Only these tasks; none is no condition.
    pub tasks: Vec<TaskId>,
}

/// The grid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    /// The runs, newest first.
    pub runs: Vec<Run>,
    /// The tasks that have instances in one of them, by id; the DAG knows their order.
    pub tasks: Vec<Row>,
}

/// A column of the grid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its key.
    pub key: RunKey,
    /// Its name.
    pub run_id: String,
    /// How it came to be.
    pub run_type: RunType,
    /// Its state.
    pub state: RunState,
    /// The version of the DAG that it runs.
    pub version: VersionId,
    /// Its logical date.
    pub logical_date: Option<DateTime<Utc>>,
    /// When it was due.
    pub run_after: DateTime<Utc>,
    /// When it was queued.
    pub queued_at: DateTime<Utc>,
    /// When it started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

/// A row of the grid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The task.
    pub task_id: String,
    /// Its cells, at most one for each run and state; a run without instances of the task has none.
    pub cells: Vec<Cell>,
}

/// The instances of a task in one run that are in one state: one, or several of a mapped task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// The place of the run in [`Grid::runs`].
    pub run: usize,
    /// Their state.
    pub state: TaskState,
    /// How many there are.
    pub count: u32,
    /// The highest try number among them.
    pub try_number: u32,
}

impl Store {
    /// The grid of a DAG.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn dag_grid(&self, dag_id: &DagId, filter: &Filter) -> Result<Grid, Error> {
        let query = Runs {
            dag_id: dag_id.as_str(),
            before: &filter.before.map(|(run_after, _)| run_after),
            before_key: &filter.before.map(|(_, key)| key.0),
            states: &names(&filter.states, RunState::as_str),
            types: &names(&filter.types, RunType::as_str),
            limit: &i64::from(filter.limit.clamp(1, MOST_RUNS)),
        };
        let mut conn = self.conn().await?;
        let runs: Vec<RunRow> = query.load(&mut conn).await?;
        let keys: Vec<i64> = runs.iter().map(|run| run.key).collect();
        let tasks: Vec<&str> = filter.tasks.iter().map(TaskId::as_str).collect();
        let states: Vec<&str> = TaskState::ALL.iter().map(|state| state.as_str()).collect();
        let tasks: Vec<TaskRow> =
            Cells { runs: &keys, states: &states, tasks: &tasks }.load(&mut conn).await?;
        let runs = runs.into_iter().map(Run::from).collect();
        Ok(Grid { runs, tasks: tasks.into_iter().map(Row::from).collect() })
    }
}

impl From<RunRow> for Run {
    fn from(row: RunRow) -> Self {
        Self {
            key: RunKey(row.key),
            run_id: row.run_id,
            run_type: row.run_type.0,
            state: row.state.0,
            version: VersionId(row.version_id),
            logical_date: row.logical_date,
            run_after: row.run_after,
            queued_at: row.queued_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
        }
    }
}

impl From<TaskRow> for Row {
    fn from(row: TaskRow) -> Self {
        let states = row.states.iter().zip(&row.counts).zip(&row.tries);
        let cells = row.runs.iter().zip(states).filter_map(|(run, ((state, count), try_number))| {
            // Places count from 1 in SQL.
            let place = |number: i16| usize::try_from(number).ok()?.checked_sub(1);
            Some(Cell {
                run: place(*run)?,
                state: *TaskState::ALL.get(place(*state)?)?,
                count: u32::try_from(*count).ok()?,
                try_number: u32::try_from(*try_number).ok()?,
            })
        });
        Self { cells: cells.collect(), task_id: row.task_id }
    }
}

#[derive(QueryableByName)]
struct RunRow {
    #[diesel(sql_type = BigInt)]
    key: i64,
    #[diesel(sql_type = Text)]
    run_id: String,
    #[diesel(sql_type = Text)]
    run_type: Parsed<RunType>,
    #[diesel(sql_type = Text)]
    state: Parsed<RunState>,
    #[diesel(sql_type = BigInt)]
    version_id: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    logical_date: Option<DateTime<Utc>>,
    #[diesel(sql_type = Timestamptz)]
    run_after: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    queued_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    started_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ended_at: Option<DateTime<Utc>>,
}

#[derive(QueryableByName)]
struct TaskRow {
    #[diesel(sql_type = Text)]
    task_id: String,
    #[diesel(sql_type = Array<SmallInt>)]
    runs: Vec<i16>,
    #[diesel(sql_type = Array<SmallInt>)]
    states: Vec<i16>,
    #[diesel(sql_type = Array<Integer>)]
    counts: Vec<i32>,
    #[diesel(sql_type = Array<Integer>)]
    tries: Vec<i32>,
}

view_query! {
    Runs {
        dag_id: str => Text,
        before: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        before_key: Option<i64> => Nullable<BigInt>,
        states: Option<Vec<&'static str>> => Nullable<Array<Text>>,
        types: Option<Vec<&'static str>> => Nullable<Array<Text>>,
        limit: i64 => BigInt,
    }
    "SELECT key, run_id, run_type, state, version_id, logical_date, run_after, queued_at, started_at, ended_at
     FROM dag_run
     WHERE dag_id = $1 AND ($2 IS NULL OR (run_after, key) < ($2, $3))
       AND ($4 IS NULL OR state = ANY($4)) AND ($5 IS NULL OR run_type = ANY($5))
     ORDER BY run_after DESC, key DESC LIMIT $6"
}

view_query! {
    Cells { runs: [i64] => Array<BigInt>, states: [&'a str] => Array<Text>, tasks: [&'a str] => Array<Text> }
    include_str!("dag_grid/cells.sql")
}
