//! Runs: lists of them, and one as its page heads it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use domain::{
    backfill::BackfillId,
    deadline::{Basis, Counted, Missed},
    engine::record::{RunRecord, VersionId},
    id::{DagId, RunId, RunKey},
    partition::Partition,
    state::{RunState, RunType, TaskState},
    timetable::DataInterval,
};
use serde_json::{Map, Value};

use super::{Listing, Page, StateCount, names};
use crate::{
    Error, Store,
    column::Total,
    dag_run::RunRow,
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
    /// What it is about, in a partitioned DAG.
    pub partition: Option<Partition>,
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
    /// An operator paused it: nothing new starts in it.
    pub is_paused: bool,
    /// The backfill that it belongs to.
    pub backfill: Option<BackfillId>,
    /// The deadlines that it has missed.
    pub missed: Vec<Missed>,
    /// What was found out about its deadlines.
    pub bases: Vec<Basis>,
}

impl Run {
    /// The deadlines that it has missed by now: those of a run that has failed may lie ahead.
    pub fn missed_by(&self, now: DateTime<Utc>) -> impl Iterator<Item = &Missed> {
        self.missed.iter().filter(move |missed| missed.deadline <= now)
    }

    /// What its deadlines count from.
    #[must_use]
    pub fn counted(&self) -> Counted<'_> {
        Counted {
            queued_at: self.queued_at,
            logical_date: self.logical_date,
            started_at: self.started_at,
            is_backfill: self.backfill.is_some(),
            bases: &self.bases,
        }
    }
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
        Ok(rows.into_iter().map(StateCount::pair).collect())
    }
}

impl From<Row> for Run {
    fn from(row: Row) -> Self {
        let run = RunRecord::from(row.run);
        Self {
            key: run.key,
            dag_id: run.dag_id,
            run_id: run.run_id,
            run_type: run.run_type,
            state: run.state,
            version: run.version,
            version_number: row.version_number,
            logical_date: run.logical_date,
            data_interval: run.data_interval,
            partition: run.partition,
            run_after: run.run_after,
            queued_at: run.queued_at,
            started_at: run.started_at,
            ended_at: run.ended_at,
            conf: Arc::unwrap_or_clone(run.conf),
            triggered_by: run.triggered_by,
            note: run.note,
            clear_number: run.clear_number,
            is_paused: run.is_paused,
            backfill: run.backfill.map(|place| place.id),
            missed: run.missed,
            bases: run.bases,
        }
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(embed)]
    run: RunRow,
    #[diesel(sql_type = Integer)]
    version_number: i32,
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
