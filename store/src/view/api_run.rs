//! Runs as programs read them.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Integer, Json, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use domain::id::{DagId, RunId};
use serde_json::Value;

use super::api_list::{Ask, Columns, Test};
use crate::{
    Error, Store,
    clean::RaiseRunKey,
    column::{FromJson, Total, storable},
    hot::hot_query,
};

/// A run.
#[derive(Debug, Clone, QueryableByName)]
pub struct RunRow {
    /// Its number in the records.
    #[diesel(sql_type = BigInt)]
    pub key: i64,
    /// Its DAG.
    #[diesel(sql_type = Text)]
    pub dag_id: String,
    /// Its name.
    #[diesel(sql_type = Text)]
    pub run_id: String,
    /// How it came to be.
    #[diesel(sql_type = Text)]
    pub run_type: String,
    /// Its state.
    #[diesel(sql_type = Text)]
    pub state: String,
    /// The version of its DAG in the records.
    #[diesel(sql_type = BigInt)]
    pub version_id: i64,
    /// Counts the versions of its DAG.
    #[diesel(sql_type = Integer)]
    pub version_number: i32,
    /// When that version was first seen.
    #[diesel(sql_type = Timestamptz)]
    pub version_created_at: DateTime<Utc>,
    /// Its logical date.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub logical_date: Option<DateTime<Utc>>,
    /// The start of its data interval.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub interval_start: Option<DateTime<Utc>>,
    /// The end of its data interval.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub interval_end: Option<DateTime<Utc>>,
    /// It does not start before.
    #[diesel(sql_type = Timestamptz)]
    pub run_after: DateTime<Utc>,
    /// When it was created or last queued again.
    #[diesel(sql_type = Timestamptz)]
    pub queued_at: DateTime<Utc>,
    /// When it started.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub ended_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Json)]
    conf: FromJson<Value>,
    /// Who triggered it, when a person did.
    #[diesel(sql_type = Nullable<Text>)]
    pub triggered_by: Option<String>,
    /// A remark.
    #[diesel(sql_type = Nullable<Text>)]
    pub note: Option<String>,
    /// The backfill that it belongs to.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub backfill_id: Option<i64>,
    /// The key of what it is about.
    #[diesel(sql_type = Nullable<Text>)]
    pub partition_key: Option<String>,
    /// The moment that this begins with.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub partition_date: Option<DateTime<Utc>>,
}

impl RunRow {
    /// What it was given.
    #[must_use]
    pub const fn conf(&self) -> &Value {
        &self.conf.0
    }

    /// By what it came to be, in Airflow's words (`DagRunTriggeredByType`).
    #[must_use]
    pub fn triggered_through(&self) -> &'static str {
        match self.run_type.as_str() {
            "scheduled" => "timetable",
            "backfill" => "backfill",
            "asset_triggered" => "asset",
            "operator_triggered" => "operator",
            _ => "rest_api",
        }
    }

    /// It has ended.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.ended_at.is_some()
    }
}

const SELECT: &str = "r.key, r.dag_id, r.run_id, r.run_type, r.state, r.version_id, v.number AS version_number, \
     v.created_at AS version_created_at, r.logical_date, r.interval_start, r.interval_end, r.run_after, r.queued_at, \
     r.started_at, r.ended_at, r.conf, r.triggered_by, r.note, r.backfill_id, \
     r.partition_key, r.partition_date";
const FROM: &str = "dag_run r JOIN dag_version v ON v.id = r.version_id";

const COLUMNS: Columns = Columns {
    names: &[
        ("id", "r.key"),
        ("dag_id", "r.dag_id"),
        ("run_id", "r.run_id"),
        ("dag_run_id", "r.run_id"),
        ("state", "r.state"),
        ("run_type", "r.run_type"),
        ("logical_date", "r.logical_date"),
        ("data_interval_start", "r.interval_start"),
        ("data_interval_end", "r.interval_end"),
        ("run_after", "r.run_after"),
        ("queued_at", "r.queued_at"),
        ("start_date", "r.started_at"),
        ("end_date", "r.ended_at"),
        ("updated_at", "greatest(r.queued_at, r.started_at, r.ended_at)"),
        ("duration", "extract(epoch FROM r.ended_at - r.started_at)::float8"),
        ("conf", "r.conf::text"),
        ("triggering_user_name", "r.triggered_by"),
        ("dag_version", "v.number::bigint"),
        ("backfill_id", "r.backfill_id"),
        ("partition_key", "r.partition_key"),
        ("partition_date", "r.partition_date"),
    ],
    tie: "r.key",
};

impl Store {
    /// A list of runs and how many there are in all.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a column that does not exist.
    pub async fn api_runs(&self, ask: &Ask) -> Result<(Vec<RunRow>, i64), Error> {
        ask.statements(&COLUMNS, SELECT, FROM)?.load(self).await
    }

    /// Runs of a list from a position on: see the API's cursors.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a column that does not exist, an order by anything but the id, or a position of another list.
    pub async fn api_runs_from(
        &self,
        ask: &Ask,
        position: Option<&[i64]>,
        is_backward: bool,
    ) -> Result<Vec<RunRow>, Error> {
        let statement = ask.around(&COLUMNS, (SELECT, FROM), position, is_backward)?;
        let mut conn = self.conn().await?;
        Ok(statement.load(&mut conn).await?)
    }

    /// One run.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn api_run(&self, dag_id: &DagId, run_id: &RunId) -> Result<Option<RunRow>, Error> {
        let ask = Ask { limit: 1, ..Ask::default() }
            .with("dag_id", Test::is(dag_id.as_str()))
            .with("run_id", Test::is(run_id.as_str()));
        let statement = ask.statements(&COLUMNS, SELECT, FROM)?.rows;
        let mut conn = self.conn().await?;
        let rows: Vec<RunRow> = statement.load(&mut conn).await?;
        Ok(rows.into_iter().next())
    }

    /// Whether a run of the DAG has this logical date.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn has_logical_date(&self, dag_id: &DagId, logical_date: DateTime<Utc>) -> Result<bool, Error> {
        let query = WithDate { dag_id: dag_id.as_str(), logical_date: &logical_date };
        let mut conn = self.conn().await?;
        let rows: Vec<Total> = query.load(&mut conn).await?;
        Ok(!rows.is_empty())
    }

    /// Deletes a run that is over, with everything that belongs to it, and writes that to the audit log. False when there is
    /// no such run.
    ///
    /// # Errors
    /// [`Error::Conflict`] while it is active.
    pub async fn delete_run(&self, dag_id: &DagId, run_id: &RunId, by: &str) -> Result<bool, Error> {
        let mut transaction = self.begin().await?;
        let query = LockRun { dag_id: dag_id.as_str(), run_id: run_id.as_str() };
        let found: Vec<Found> = query.load(&mut transaction).await?;
        let Some(run) = found.into_iter().next() else {
            transaction.commit().await?;
            return Ok(false);
        };
        if !matches!(run.state.as_str(), "success" | "failed") {
            transaction.commit().await?;
            return Err(Error::Conflict(format!(
                "The DagRun with dag_id: `{dag_id}` and run_id: `{run_id}` cannot be deleted in {} state",
                run.state
            )));
        }
        RaiseRunKey {}.execute(&mut transaction).await?;
        let query = DeleteRun { key: &run.key, by: &storable(by) };
        query.execute(&mut transaction).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Writes a remark on a run, and a line in the audit log. False when there is no such run.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn note_run(
        &self,
        dag_id: &DagId,
        run_id: &RunId,
        note: Option<&str>,
        by: &str,
    ) -> Result<bool, Error> {
        let note = note.map(|note| storable(note).into_owned());
        let (dag_id, run_id) = (dag_id.as_str(), run_id.as_str());
        let query = NoteRun { dag_id, run_id, note: &note, by: &storable(by) };
        let mut conn = self.conn().await?;
        Ok(query.execute(&mut conn).await? == 1)
    }
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = BigInt)]
    key: i64,
    #[diesel(sql_type = Text)]
    state: String,
}

hot_query! {
    WithDate { dag_id: str => Text, logical_date: DateTime<Utc> => Timestamptz }
    "SELECT 1::bigint AS total FROM dag_run WHERE dag_id = $1 AND logical_date = $2 LIMIT 1"
}

hot_query! {
    LockRun { dag_id: str => Text, run_id: str => Text }
    "SELECT key, state FROM dag_run WHERE dag_id = $1 AND run_id = $2 FOR UPDATE"
}

hot_query! {
    DeleteRun { key: i64 => BigInt, by: str => Text }
    "WITH gone AS (DELETE FROM dag_run WHERE key = $1 RETURNING dag_id, run_id)
     INSERT INTO event_log (at, event, owner, dag_id, run_id) SELECT now(), 'delete_dag_run', $2, dag_id, run_id FROM gone"
}

hot_query! {
    NoteRun { dag_id: str => Text, run_id: str => Text, note: Option<String> => Nullable<Text>, by: str => Text }
    "WITH noted AS (UPDATE dag_run SET note = $3 WHERE dag_id = $1 AND run_id = $2 RETURNING dag_id, run_id)
     INSERT INTO event_log (at, event, owner, dag_id, run_id, extra)
     SELECT now(), 'patch_dag_run', $4, dag_id, run_id, json_build_object('note', $3) FROM noted"
}
