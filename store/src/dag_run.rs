//! Runs, as their rows are read.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Json, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use domain::{
    backfill::BackfillId,
    deadline::{Basis, Found, Missed},
    engine::{
        backfill::Place,
        record::{DeadlineQuestion, PastQuestion, RunAnswer, RunQuestion, RunRecord, Standing, VersionId},
    },
    id::{DagId, RunId, RunKey, TaskId},
    partition::Key,
    state::{RunState, RunType, TaskState},
    wait::{RunStanding, Which},
};
use serde_json::{Map, Value};

use crate::{
    Error, Store,
    column::{FromJson, Parsed, count, interval},
    hot::hot_query,
    partition::partition,
};

/// All columns of a run.
#[derive(QueryableByName)]
pub(crate) struct RunRow {
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
    #[diesel(sql_type = Bool)]
    is_paused: bool,
    #[diesel(sql_type = Integer)]
    depth: i32,
    #[diesel(sql_type = Nullable<BigInt>)]
    backfill_id: Option<i64>,
    #[diesel(sql_type = Nullable<Integer>)]
    backfill_ordinal: Option<i32>,
    #[diesel(sql_type = Nullable<Json>)]
    missed: Option<FromJson<Vec<Missed>>>,
    #[diesel(sql_type = Nullable<Json>)]
    bases: Option<FromJson<Vec<Basis>>>,
    #[diesel(sql_type = Nullable<Text>)]
    partition_key: Option<Parsed<Key>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    partition_date: Option<DateTime<Utc>>,
}

impl Store {
    /// How the run before a given one ended, of those that are finished.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn standing(&self, question: &PastQuestion) -> Result<Option<Standing>, Error> {
        let mut conn = self.conn().await?;
        let query = Before {
            dag_id: question.dag_id.as_str(),
            before: &question.before,
            without_manual: &question.without_manual,
        };
        let row: Option<StandingRow> = query.get_result(&mut conn).await.optional()?;
        Ok(row.map(|row| Standing {
            run: RunKey(row.key),
            logical_date: row.logical_date,
            unmet: row.unmet.into_iter().map(|task_id| task_id.0).collect(),
        }))
    }

    /// What a deadline of a new run counts from.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn found_for_deadline(&self, question: &DeadlineQuestion) -> Result<Found, Error> {
        let durations = match question.needs.durations {
            None => Vec::new(),
            Some(limit) => {
                let mut conn = self.conn().await?;
                let query = Lasted { dag_id: question.dag_id.as_str(), limit: &i64::from(limit) };
                let rows: Vec<LastedRow> = query.load(&mut conn).await?;
                rows.into_iter().map(|row| TimeDelta::microseconds(row.micros)).collect()
            }
        };
        let variable = match &question.needs.variable {
            None => None,
            Some(key) => match self.variable(key).await {
                Ok(found) => found.map(|found| found.value),
                // Whoever cannot decipher it has none, and goes on.
                Err(Error::Invalid(_)) => None,
                Err(error) => return Err(error),
            },
        };
        Ok(Found { durations, variable })
    }

    /// The key of a run, by its DAG and name.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn run_key(&self, dag_id: &str, run_id: &str) -> Result<Option<RunKey>, Error> {
        let mut conn = self.conn().await?;
        let row: Option<KeyRow> = Named { dag_id, run_id }.get_result(&mut conn).await.optional()?;
        Ok(row.map(|row| RunKey(row.key)))
    }

    /// How a run stands that a task waits for; of several with the same logical date, the newest.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn run_standing(&self, question: &RunQuestion) -> Result<RunAnswer, Error> {
        let mut conn = self.conn().await?;
        let (date, run_id) = match &question.which {
            Which::Date(date) => (Some(*date), None),
            Which::Id(run_id) => (None, Some(run_id.as_str())),
        };
        let query = Waited {
            dag_id: question.dag_id.as_str(),
            date: &date,
            run_id: &run_id,
            task_id: &question.task_id.as_ref().map(TaskId::as_str),
        };
        let row: Option<WaitedRow> = query.get_result(&mut conn).await.optional()?;
        Ok(row.map(|row| {
            let states: Vec<TaskState> = row.tasks.into_iter().map(|state| state.0).collect();
            RunStanding { state: row.state.0, tasks: (!states.is_empty()).then_some(states) }
        }))
    }
}

impl RunRow {
    pub(crate) const fn version(&self) -> VersionId {
        VersionId(self.version_id)
    }
}

#[derive(QueryableByName)]
struct StandingRow {
    #[diesel(sql_type = BigInt)]
    key: i64,
    #[diesel(sql_type = Timestamptz)]
    logical_date: DateTime<Utc>,
    #[diesel(sql_type = Array<Text>)]
    unmet: Vec<Parsed<TaskId>>,
}

#[derive(QueryableByName)]
struct WaitedRow {
    #[diesel(sql_type = Text)]
    state: Parsed<RunState>,
    #[diesel(sql_type = Array<Text>)]
    tasks: Vec<Parsed<TaskState>>,
}

#[derive(QueryableByName)]
struct LastedRow {
    #[diesel(sql_type = BigInt)]
    micros: i64,
}

#[derive(QueryableByName)]
struct KeyRow {
    #[diesel(sql_type = BigInt)]
    key: i64,
}

hot_query! {
    Named { dag_id: str => Text, run_id: str => Text }
    "SELECT key FROM dag_run WHERE dag_id = $1 AND run_id = $2"
}

// Source: Airflow 3.3.2 `serialization/definitions/deadline.py` (`AverageRuntimeDeadline`). It orders by the logical date, for which every run of the
// DAG would have to be sorted, since runs without one come first; here the last are those that were due last, which an index knows.
hot_query! {
    Lasted { dag_id: str => Text, limit: i64 => BigInt }
    "SELECT (extract(epoch FROM ended_at - started_at) * 1000000)::bigint AS micros
     FROM dag_run
     WHERE dag_id = $1 AND state = 'success' AND started_at IS NOT NULL AND ended_at IS NOT NULL
     ORDER BY run_after DESC, key DESC LIMIT $2"
}

hot_query! {
    Waited {
        dag_id: str => Text,
        date: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        run_id: Option<&'a str> => Nullable<Text>,
        task_id: Option<&'a str> => Nullable<Text>,
    }
    "SELECT r.state, ARRAY(
         SELECT t.state FROM task_instance t WHERE t.run_key = r.key AND t.task_id = $4 ORDER BY t.map_index
     ) AS tasks
     FROM dag_run r
     WHERE r.dag_id = $1 AND (r.logical_date = $2 OR r.run_id = $3)
     ORDER BY r.key DESC LIMIT 1"
}

hot_query! {
    Before { dag_id: str => Text, before: DateTime<Utc> => Timestamptz, without_manual: bool => Bool }
    "SELECT r.key, r.logical_date, ARRAY(
         SELECT DISTINCT t.task_id FROM task_instance t
         WHERE t.run_key = r.key AND t.state NOT IN ('success', 'skipped', 'removed') ORDER BY t.task_id
     ) AS unmet
     FROM dag_run r
     WHERE r.dag_id = $1 AND r.logical_date < $2 AND r.state IN ('success', 'failed')
       AND NOT ($3 AND r.run_type = 'manual')
     ORDER BY r.logical_date DESC, r.key DESC LIMIT 1"
}

fn place(id: Option<i64>, ordinal: Option<i32>) -> Option<Place> {
    Some(Place { id: BackfillId(id?), ordinal: count(ordinal?) })
}

impl From<RunRow> for RunRecord {
    fn from(row: RunRow) -> Self {
        Self {
            key: RunKey(row.key),
            version: row.version(),
            dag_id: row.dag_id.0,
            run_id: row.run_id.0,
            run_type: row.run_type.0,
            state: row.state.0,
            logical_date: row.logical_date,
            data_interval: interval(row.interval_start, row.interval_end),
            partition: partition(row.partition_key, row.partition_date),
            run_after: row.run_after,
            queued_at: row.queued_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            conf: Arc::new(row.conf.0),
            triggered_by: row.triggered_by,
            note: row.note,
            clear_number: count(row.clear_number),
            is_paused: row.is_paused,
            depth: count(row.depth),
            backfill: place(row.backfill_id, row.backfill_ordinal),
            missed: row.missed.map(|missed| missed.0).unwrap_or_default(),
            bases: row.bases.map(|bases| bases.0).unwrap_or_default(),
        }
    }
}
