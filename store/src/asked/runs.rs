//! Other runs, and DAGs.

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Json, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use domain::{
    partition::{Key, Partition},
    state::{RunState, RunType},
    timetable::DataInterval,
};
use serde_json::{Map, Value};

use crate::{
    Error, Store,
    column::{FromJson, Parsed, Total, interval},
    hot::{hot_query, view_query},
    partition::partition,
};

/// A run as tasks see it.
#[derive(Debug, Clone, PartialEq)]
pub struct AskedRun {
    /// Its DAG.
    pub dag_id: String,
    /// Its name.
    pub run_id: String,
    /// How it came to be.
    pub run_type: RunType,
    /// Its state.
    pub state: RunState,
    /// Its logical date, if it has one.
    pub logical_date: Option<DateTime<Utc>>,
    /// Its data interval, if it has one.
    pub data_interval: Option<DataInterval>,
    /// What it is about, in a partitioned DAG.
    pub partition: Option<Partition>,
    /// It was due then.
    pub run_after: DateTime<Utc>,
    /// When it started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// How often it was cleared.
    pub clear_number: i32,
    /// What it was given.
    pub conf: Map<String, Value>,
    /// Who triggered it, when a person did.
    pub triggered_by: Option<String>,
    /// A remark.
    pub note: Option<String>,
    /// What it was created for, when assets asked for it, as [`crate::Claimed::asset_events`].
    pub asset_events: Vec<Value>,
}

/// Which runs of a DAG are meant. An empty list means any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// The DAG.
    pub dag_id: String,
    /// With one of these logical dates.
    pub logical_dates: Vec<DateTime<Utc>>,
    /// With one of these names.
    pub run_ids: Vec<String>,
    /// In one of these states.
    pub states: Vec<String>,
}

/// A DAG as tasks see it.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct AskedDag {
    /// Its id.
    #[diesel(sql_type = Text)]
    pub dag_id: String,
    /// Nothing new starts.
    #[diesel(sql_type = Bool)]
    pub is_paused: bool,
    /// Its file is gone.
    #[diesel(sql_type = Bool)]
    pub is_stale: bool,
    /// Its newest version.
    #[diesel(sql_type = BigInt)]
    pub version: i64,
    /// Its file.
    #[diesel(sql_type = Text)]
    pub file: String,
    /// Whose it is.
    #[diesel(sql_type = Text)]
    pub owner: String,
    /// Its tags.
    #[diesel(sql_type = Array<Text>)]
    pub tags: Vec<String>,
    /// The logical date of its next run by schedule.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub next_logical_date: Option<DateTime<Utc>>,
}

impl Store {
    /// A run.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn asked_run(&self, dag_id: &str, run_id: &str) -> Result<Option<AskedRun>, Error> {
        let mut conn = self.conn().await?;
        let row: Option<Row> = One { dag_id, run_id }.get_result(&mut conn).await.optional()?;
        Ok(row.map(Row::run))
    }

    /// Of the runs of a DAG with a logical date before `before`, in `state` when one is given, the one with the latest.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn run_before(
        &self,
        dag_id: &str,
        before: DateTime<Utc>,
        state: Option<&str>,
    ) -> Result<Option<AskedRun>, Error> {
        let mut conn = self.conn().await?;
        let query = Before { dag_id, before: &before, state: &state };
        let row: Option<Row> = query.get_result(&mut conn).await.optional()?;
        Ok(row.map(Row::run))
    }

    /// How many runs there are of those that are meant.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn count_runs(&self, filter: &RunFilter) -> Result<i64, Error> {
        let mut conn = self.conn().await?;
        let RunFilter { dag_id, logical_dates, run_ids, states } = filter;
        let query = Count { dag_id, dates: logical_dates, run_ids, states };
        Ok(query.get_result::<Total>(&mut conn).await?.total)
    }

    /// Whether a DAG has a run of that name, or one of that logical date.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn has_run(
        &self,
        dag_id: &str,
        run_id: &str,
        logical_date: Option<DateTime<Utc>>,
    ) -> Result<(bool, bool), Error> {
        let mut conn = self.conn().await?;
        let row: Has = Exists { dag_id, run_id, date: &logical_date }.get_result(&mut conn).await?;
        Ok((row.named, row.dated))
    }

    /// A DAG.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn asked_dag(&self, dag_id: &str) -> Result<Option<AskedDag>, Error> {
        let mut conn = self.conn().await?;
        Ok(Dag { dag_id }.get_result(&mut conn).await.optional()?)
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    dag_id: String,
    #[diesel(sql_type = Text)]
    run_id: String,
    #[diesel(sql_type = Text)]
    run_type: Parsed<RunType>,
    #[diesel(sql_type = Text)]
    state: Parsed<RunState>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    logical_date: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    interval_start: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    interval_end: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    partition_key: Option<Parsed<Key>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    partition_date: Option<DateTime<Utc>>,
    #[diesel(sql_type = Timestamptz)]
    run_after: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    started_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ended_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Integer)]
    clear_number: i32,
    #[diesel(sql_type = Json)]
    conf: FromJson<Map<String, Value>>,
    #[diesel(sql_type = Nullable<Text>)]
    triggered_by: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    note: Option<String>,
    #[diesel(sql_type = Nullable<Json>)]
    asset_events: Option<FromJson<Vec<Value>>>,
}

impl Row {
    fn run(self) -> AskedRun {
        AskedRun {
            dag_id: self.dag_id,
            run_id: self.run_id,
            run_type: self.run_type.0,
            state: self.state.0,
            logical_date: self.logical_date,
            data_interval: interval(self.interval_start, self.interval_end),
            partition: partition(self.partition_key, self.partition_date),
            run_after: self.run_after,
            started_at: self.started_at,
            ended_at: self.ended_at,
            clear_number: self.clear_number,
            conf: self.conf.0,
            triggered_by: self.triggered_by,
            note: self.note,
            asset_events: self.asset_events.map(|events| events.0).unwrap_or_default(),
        }
    }
}

#[derive(QueryableByName)]
struct Has {
    #[diesel(sql_type = Bool)]
    named: bool,
    #[diesel(sql_type = Bool)]
    dated: bool,
}

macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT r.*, ",
            include_str!("../consumed_events.sql"),
            "FROM (SELECT key, dag_id, run_id, run_type, state, logical_date, interval_start, interval_end, run_after,
                          partition_key, partition_date, started_at, ended_at, clear_number, conf, triggered_by, note FROM dag_run ",
            $which,
            ") r"
        )
    };
}

hot_query! {
    One { dag_id: str => Text, run_id: str => Text }
    select!("WHERE dag_id = $1 AND run_id = $2")
}

hot_query! {
    Before { dag_id: str => Text, before: DateTime<Utc> => Timestamptz, state: Option<&'a str> => Nullable<Text> }
    select!("WHERE dag_id = $1 AND logical_date < $2 AND ($3 IS NULL OR state = $3) ORDER BY logical_date DESC, key DESC LIMIT 1")
}

view_query! {
    Count {
        dag_id: str => Text,
        dates: [DateTime<Utc>] => Array<Timestamptz>,
        run_ids: [String] => Array<Text>,
        states: [String] => Array<Text>,
    }
    "SELECT count(*) AS total FROM dag_run
     WHERE dag_id = $1 AND (cardinality($2) = 0 OR logical_date = ANY($2))
       AND (cardinality($3) = 0 OR run_id = ANY($3)) AND (cardinality($4) = 0 OR state = ANY($4))"
}

hot_query! {
    Exists { dag_id: str => Text, run_id: str => Text, date: Option<DateTime<Utc>> => Nullable<Timestamptz> }
    "SELECT EXISTS (SELECT FROM dag_run WHERE dag_id = $1 AND run_id = $2) AS named,
            EXISTS (SELECT FROM dag_run WHERE dag_id = $1 AND logical_date = $3) AS dated"
}

hot_query! {
    Dag { dag_id: str => Text }
    "SELECT dag_id, is_paused, is_stale, version_id AS version, file, owner, tags, next_logical_date
     FROM dag WHERE dag_id = $1"
}
