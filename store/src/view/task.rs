//! Task instances: lists of them, and one as its page heads it.

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use domain::{
    engine::record::VersionId,
    id::{DagId, RunId, RunKey, TaskId, TiKey},
    state::TaskState,
};
use uuid::Uuid;

use super::{Listing, Page, StateCount, names, texts};
use crate::{
    Error, Store,
    column::{Parsed, Total, count, int},
    hot::{hot_query, view_query},
};

/// A list is counted up to here; a longer one has this many and more.
pub const MOST_COUNTED: i64 = 100_000;

/// Which task instances are wanted. An empty condition is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this DAG.
    pub dag_id: Option<DagId>,
    /// Of this run.
    pub run: Option<RunKey>,
    /// Of this task.
    pub task_id: Option<TaskId>,
    /// Whose task id contains this text.
    pub search: Option<String>,
    /// In one of these states.
    pub states: Vec<TaskState>,
    /// With this mapped index.
    pub map_index: Option<i32>,
    /// From one of these pools.
    pub pools: Vec<String>,
    /// From one of these queues.
    pub queues: Vec<String>,
    /// Run by this operator.
    pub operator: Option<String>,
    /// In or after its first try, in this try.
    pub try_number: Option<u32>,
    /// Started from here on.
    pub started_from: Option<DateTime<Utc>>,
    /// Started up to here.
    pub started_to: Option<DateTime<Utc>>,
    /// Ended from here on.
    pub ended_from: Option<DateTime<Utc>>,
    /// Ended up to here.
    pub ended_to: Option<DateTime<Utc>>,
    /// After this one in the order of the list: the last of the page before. Instead of an offset.
    pub after: Option<TiKey>,
}

/// A task instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its key.
    pub key: TiKey,
    /// Its DAG.
    pub dag_id: DagId,
    /// Its run.
    pub run_id: RunId,
    /// The version of the DAG that the run runs.
    pub version: VersionId,
    /// Counts the versions of the DAG.
    pub version_number: i32,
    /// The run's logical date.
    pub logical_date: Option<DateTime<Utc>>,
    /// When the run was due.
    pub run_after: DateTime<Utc>,
    /// Its task.
    pub task_id: TaskId,
    /// Its place among the instances of a mapped task, or -1.
    pub map_index: i32,
    /// Its state.
    pub state: TaskState,
    /// The number of its current or last try; 0 before the first.
    pub try_number: u32,
    /// It is tried again while the try number is not above this.
    pub max_tries: u32,
    /// How many rounds of its loop are behind it.
    pub rounds: u32,
    /// Its pool.
    pub pool: String,
    /// The slots it takes there.
    pub pool_slots: u32,
    /// Its queue.
    pub queue: String,
    /// Its effective priority.
    pub priority: i32,
    /// Its operator, in Airflow's words.
    pub operator: String,
    /// When its dependencies were met.
    pub scheduled_at: Option<DateTime<Utc>>,
    /// When it was handed to the ready queue.
    pub queued_at: Option<DateTime<Utc>>,
    /// When its current or last try was claimed.
    pub started_at: Option<DateTime<Utc>>,
    /// When its last try ended, or it was decided without one.
    pub ended_at: Option<DateTime<Utc>>,
    /// When it may try again.
    pub next_try_at: Option<DateTime<Utc>>,
    /// The worker of its current or last try.
    pub worker: Option<Uuid>,
    /// That worker's machine, while the worker is remembered.
    pub hostname: Option<String>,
    /// Its process there.
    pub pid: Option<i32>,
    /// Why it is in its state, in words.
    pub reason: Option<String>,
    /// A remark.
    pub note: Option<String>,
    /// An operator holds it back.
    pub is_held: bool,
    /// What it is called beside its mapped index.
    pub rendered_map_index: Option<String>,
}

impl Store {
    /// A page of task instances: within a run in the order of the run, otherwise newest run first. Counted up to
    /// [`MOST_COUNTED`].
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn instances(&self, filter: &Filter, page: Page) -> Result<Listing<Instance>, Error> {
        let states = names(&filter.states, TaskState::as_str);
        let query = List {
            dag_id: &filter.dag_id.as_ref().map(DagId::as_str),
            run_key: &filter.run.map(|run| run.0),
            task_id: &filter.task_id.as_ref().map(TaskId::as_str),
            search: &filter.search.as_deref(),
            states: &states,
            map_index: &filter.map_index,
            pools: &texts(&filter.pools),
            queues: &texts(&filter.queues),
            operator: &filter.operator.as_deref(),
            try_number: &filter.try_number.map(int),
            started_from: &filter.started_from,
            started_to: &filter.started_to,
            ended_from: &filter.ended_from,
            ended_to: &filter.ended_to,
            after_run: &filter.after.map(|after| after.run.0),
            after_index: &filter.after.map(|after| int(after.index)),
            limit: &page.limit,
            offset: &page.offset,
        };
        let mut conn = self.conn().await?;
        let rows: Vec<Row> = query.load(&mut conn).await?;
        let total: Total = CountInstances(query).get_result(&mut conn).await?;
        Ok(Listing { rows: rows.into_iter().map(Instance::from).collect(), total: total.total })
    }

    /// One task instance; `map_index` is -1 when the task is not mapped.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn instance(
        &self,
        dag_id: &DagId,
        run_id: &RunId,
        task_id: &TaskId,
        map_index: i32,
    ) -> Result<Option<Instance>, Error> {
        let query = One {
            dag_id: dag_id.as_str(),
            run_id: run_id.as_str(),
            task_id: task_id.as_str(),
            map_index: &map_index,
        };
        let mut conn = self.conn().await?;
        let row: Option<Row> = query.get_result(&mut conn).await.optional()?;
        Ok(row.map(Instance::from))
    }

    /// The tasks of a DAG that an operator switched off, by name.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn switched_off(&self, dag_id: &DagId) -> Result<Vec<TaskId>, Error> {
        let mut conn = self.conn().await?;
        let rows: Vec<OffRow> = SwitchedOff { dag_id: dag_id.as_str() }.load(&mut conn).await?;
        Ok(rows.into_iter().map(|row| row.task_id.0).collect())
    }

    /// How many instances of a task of a run are in each state: one state for a task that is not mapped.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn task_state_counts(
        &self,
        run: RunKey,
        task_id: &TaskId,
    ) -> Result<Vec<(TaskState, i64)>, Error> {
        let mut conn = self.conn().await?;
        let query = StateCounts { run_key: &run.0, task_id: task_id.as_str() };
        let rows: Vec<StateCount> = query.load(&mut conn).await?;
        Ok(rows.into_iter().map(StateCount::pair).collect())
    }
}

impl From<Row> for Instance {
    fn from(row: Row) -> Self {
        Self {
            key: TiKey { run: RunKey(row.run_key), index: count(row.index) },
            dag_id: row.dag_id.0,
            run_id: row.run_id.0,
            version: VersionId(row.version_id),
            version_number: row.version_number,
            logical_date: row.logical_date,
            run_after: row.run_after,
            task_id: row.task_id.0,
            map_index: row.map_index,
            state: row.state.0,
            try_number: count(row.try_number),
            max_tries: count(row.max_tries),
            rounds: count(row.rounds),
            pool: row.pool,
            pool_slots: count(row.pool_slots),
            queue: row.queue,
            priority: row.priority,
            operator: row.operator,
            scheduled_at: row.scheduled_at,
            queued_at: row.queued_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            next_try_at: row.next_try_at,
            worker: row.worker,
            hostname: row.hostname,
            pid: row.pid,
            reason: row.reason,
            note: row.note,
            is_held: row.is_held,
            rendered_map_index: row.rendered_map_index,
        }
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    run_key: i64,
    #[diesel(sql_type = Integer)]
    index: i32,
    #[diesel(sql_type = Text)]
    dag_id: Parsed<DagId>,
    #[diesel(sql_type = Text)]
    run_id: Parsed<RunId>,
    #[diesel(sql_type = BigInt)]
    version_id: i64,
    #[diesel(sql_type = Integer)]
    version_number: i32,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    logical_date: Option<DateTime<Utc>>,
    #[diesel(sql_type = Timestamptz)]
    run_after: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    task_id: Parsed<TaskId>,
    #[diesel(sql_type = Integer)]
    map_index: i32,
    #[diesel(sql_type = Text)]
    state: Parsed<TaskState>,
    #[diesel(sql_type = Integer)]
    try_number: i32,
    #[diesel(sql_type = Integer)]
    max_tries: i32,
    #[diesel(sql_type = Integer)]
    rounds: i32,
    #[diesel(sql_type = Text)]
    pool: String,
    #[diesel(sql_type = Integer)]
    pool_slots: i32,
    #[diesel(sql_type = Text)]
    queue: String,
    #[diesel(sql_type = Integer)]
    priority: i32,
    #[diesel(sql_type = Text)]
    operator: String,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    scheduled_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    queued_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    started_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ended_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    next_try_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    worker: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    hostname: Option<String>,
    #[diesel(sql_type = Nullable<Integer>)]
    pid: Option<i32>,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    note: Option<String>,
    #[diesel(sql_type = Bool)]
    is_held: bool,
    #[diesel(sql_type = Nullable<Text>)]
    rendered_map_index: Option<String>,
}

#[derive(QueryableByName)]
struct OffRow {
    #[diesel(sql_type = Text)]
    task_id: Parsed<TaskId>,
}

view_query! {
    List {
        dag_id: Option<&'a str> => Nullable<Text>,
        run_key: Option<i64> => Nullable<BigInt>,
        task_id: Option<&'a str> => Nullable<Text>,
        search: Option<&'a str> => Nullable<Text>,
        states: Option<Vec<&'static str>> => Nullable<Array<Text>>,
        map_index: Option<i32> => Nullable<Integer>,
        pools: Option<Vec<String>> => Nullable<Array<Text>>,
        queues: Option<Vec<String>> => Nullable<Array<Text>>,
        operator: Option<&'a str> => Nullable<Text>,
        try_number: Option<i32> => Nullable<Integer>,
        started_from: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        started_to: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        ended_from: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        ended_to: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        after_run: Option<i64> => Nullable<BigInt>,
        after_index: Option<i32> => Nullable<Integer>,
        limit: i64 => BigInt,
        offset: i64 => BigInt,
    }
    concat!(include_str!("task/matched.sql"), include_str!("task/page.sql"));
    CountInstances concat!(include_str!("task/matched.sql"), include_str!("task/count.sql"))
}

hot_query! {
    One { dag_id: str => Text, run_id: str => Text, task_id: str => Text, map_index: i32 => Integer }
    include_str!("task/one.sql")
}

hot_query! {
    SwitchedOff { dag_id: str => Text }
    "SELECT unnest(disabled) AS task_id FROM dag WHERE dag_id = $1 ORDER BY 1"
}

hot_query! {
    StateCounts { run_key: i64 => BigInt, task_id: str => Text }
    "SELECT state, count(*) AS count FROM task_instance WHERE run_key = $1 AND task_id = $2
     GROUP BY state ORDER BY state"
}
