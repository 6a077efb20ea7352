//! Runs: lists of them, and one as its page heads it.

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Json, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use domain::{
    engine::record::VersionId,
    id::{DagId, RunId, RunKey},
    state::{RunState, RunType, TaskState},
    timetable::DataInterval,
};
use serde_json::{Map, Value};

use super::{Listing, Page, Total, names};
use crate::{
    Error, Store,
    claim::{count, interval},
    column::{FromJson, Parsed, storable},
    hot::{hot_query, view_query},
};

/// A list is counted up to here; a longer one has this many and more.
pub const MOST_COUNTED: i64 = 100_000;

/// Which runs are wanted. An empty condition is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this DAG.
    pub dag_id: Option<DagId>,
    /// Whose name contains this text.
    pub search: Option<String>,
    /// In one of these states.
    pub states: Vec<RunState>,
    /// Of one of these types.
    pub types: Vec<RunType>,
    /// Triggered by this person.
    pub triggered_by: Option<String>,
    /// Due from here on.
    pub run_after_from: Option<DateTime<Utc>>,
    /// Due up to here.
    pub run_after_to: Option<DateTime<Utc>>,
    /// With a logical date from here on.
    pub logical_from: Option<DateTime<Utc>>,
    /// With a logical date up to here.
    pub logical_to: Option<DateTime<Utc>>,
    /// Started from here on.
    pub started_from: Option<DateTime<Utc>>,
    /// Started up to here.
    pub started_to: Option<DateTime<Utc>>,
    /// Ended from here on.
    pub ended_from: Option<DateTime<Utc>>,
    /// Ended up to here.
    pub ended_to: Option<DateTime<Utc>>,
    /// After this run in the order of the list: the last of the page before. Instead of an offset.
    pub after: Option<(DateTime<Utc>, RunKey)>,
    /// Oldest first, where newest first is usual.
    pub oldest_first: bool,
}

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its key.
    pub key: RunKey,
    /// Its DAG.
    pub dag_id: DagId,
    /// Its name.
    pub run_id: RunId,
    /// How it came to be.
    pub run_type: RunType,
    /// Its state.
    pub state: RunState,
    /// The version of the DAG that it runs.
    pub version: VersionId,
    /// Counts the versions of the DAG.
    pub version_number: i32,
    /// Its logical date.
    pub logical_date: Option<DateTime<Utc>>,
    /// Its data interval.
    pub data_interval: Option<DataInterval>,
    /// When it was due.
    pub run_after: DateTime<Utc>,
    /// When it was queued.
    pub queued_at: DateTime<Utc>,
    /// When it started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// What it was given.
    pub conf: Map<String, Value>,
    /// Who triggered it.
    pub triggered_by: Option<String>,
    /// A remark.
    pub note: Option<String>,
    /// How often it was cleared.
    pub clear_number: u32,
}

impl Store {
    /// A page of runs by the time they were due. Counted up to [`MOST_COUNTED`].
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn run_lines(&self, filter: &Filter, page: Page) -> Result<Listing<Run>, Error> {
        let states = names(&filter.states, RunState::as_str);
        let types = names(&filter.types, RunType::as_str);
        let query = List {
            dag_id: &filter.dag_id.as_ref().map(DagId::as_str),
            search: &filter.search.as_deref(),
            states: &states,
            types: &types,
            triggered_by: &filter.triggered_by.as_deref(),
            run_after_from: &filter.run_after_from,
            run_after_to: &filter.run_after_to,
            logical_from: &filter.logical_from,
            logical_to: &filter.logical_to,
            started_from: &filter.started_from,
            started_to: &filter.started_to,
            ended_from: &filter.ended_from,
            ended_to: &filter.ended_to,
            after: &filter.after.map(|(run_after, _)| run_after),
            after_key: &filter.after.map(|(_, key)| key.0),
            oldest_first: &filter.oldest_first,
            limit: &page.limit,
            offset: &page.offset,
        };
        let mut conn = self.conn().await?;
        let rows: Vec<Row> = query.load(&mut conn).await?;
        let total: Total = CountRuns(query).get_result(&mut conn).await?;
        Ok(Listing { rows: rows.into_iter().map(Run::from).collect(), total: total.total })
    }

    /// One run.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn run_line(&self, dag_id: &DagId, run_id: &RunId) -> Result<Option<Run>, Error> {
        let mut conn = self.conn().await?;
        let query = One { dag_id: dag_id.as_str(), run_id: run_id.as_str() };
        let row: Option<Row> = query.get_result(&mut conn).await.optional()?;
        Ok(row.map(Run::from))
    }

    /// How many task instances of a run are in each state; states without any are left out.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn run_state_counts(&self, run: RunKey) -> Result<Vec<(TaskState, i64)>, Error> {
        let mut conn = self.conn().await?;
        let rows: Vec<StateCount> = StateCounts { run_key: &run.0 }.load(&mut conn).await?;
        Ok(rows.into_iter().map(|row| (row.state.0, row.count)).collect())
    }

    /// Sets or removes the remark of a run. False when there is no such run.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn set_run_note(&self, run: RunKey, note: Option<&str>) -> Result<bool, Error> {
        let note = note.map(|text| storable(text).into_owned());
        let mut conn = self.conn().await?;
        Ok(SetNote { run_key: &run.0, note: &note }.execute(&mut conn).await? == 1)
    }
}

impl From<Row> for Run {
    fn from(row: Row) -> Self {
        Self {
            key: RunKey(row.key),
            dag_id: row.dag_id.0,
            run_id: row.run_id.0,
            run_type: row.run_type.0,
            state: row.state.0,
            version: VersionId(row.version_id),
            version_number: row.version_number,
            logical_date: row.logical_date,
            data_interval: interval(row.interval_start, row.interval_end),
            run_after: row.run_after,
            queued_at: row.queued_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            conf: row.conf.0,
            triggered_by: row.triggered_by,
            note: row.note,
            clear_number: count(row.clear_number),
        }
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    key: i64,
    #[diesel(sql_type = Text)]
    dag_id: Parsed<DagId>,
    #[diesel(sql_type = Text)]
    run_id: Parsed<RunId>,
    #[diesel(sql_type = Text)]
    run_type: Parsed<RunType>,
    #[diesel(sql_type = Text)]
    state: Parsed<RunState>,
    #[diesel(sql_type = BigInt)]
    version_id: i64,
    #[diesel(sql_type = Integer)]
    version_number: i32,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    logical_date: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    interval_start: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    interval_end: Option<DateTime<Utc>>,
    #[diesel(sql_type = Timestamptz)]
    run_after: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    queued_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    started_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ended_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Json)]
    conf: FromJson<Map<String, Value>>,
    #[diesel(sql_type = Nullable<Text>)]
    triggered_by: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    note: Option<String>,
    #[diesel(sql_type = Integer)]
    clear_number: i32,
}

#[derive(QueryableByName)]
struct StateCount {
    #[diesel(sql_type = Text)]
    state: Parsed<TaskState>,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

view_query! {
    List {
        dag_id: Option<&'a str> => Nullable<Text>,
        search: Option<&'a str> => Nullable<Text>,
        states: Option<Vec<&'static str>> => Nullable<Array<Text>>,
        types: Option<Vec<&'static str>> => Nullable<Array<Text>>,
        triggered_by: Option<&'a str> => Nullable<Text>,
        run_after_from: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        run_after_to: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        logical_from: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        logical_to: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        started_from: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        started_to: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        ended_from: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        ended_to: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        after: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        after_key: Option<i64> => Nullable<BigInt>,
        oldest_first: bool => Bool,
        limit: i64 => BigInt,
        offset: i64 => BigInt,
    }
    concat!(include_str!("run/matched.sql"), include_str!("run/page.sql"));
    CountRuns concat!(include_str!("run/matched.sql"), include_str!("run/count.sql"))
}

hot_query! {
    One { dag_id: str => Text, run_id: str => Text }
    "SELECT r.*, v.number AS version_number FROM dag_run r JOIN dag_version v ON v.id = r.version_id
     WHERE r.dag_id = $1 AND r.run_id = $2"
}

hot_query! {
    StateCounts { run_key: i64 => BigInt }
    "SELECT state, count(*) AS count FROM task_instance WHERE run_key = $1 GROUP BY state ORDER BY state"
}

hot_query! {
    SetNote { run_key: i64 => BigInt, note: Option<String> => Nullable<Text> }
    "UPDATE dag_run SET note = $2 WHERE key = $1"
}
