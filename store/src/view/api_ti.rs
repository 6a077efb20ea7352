//! Task instances as programs read them.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Integer, Json, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use super::api_list::{Ask, Columns};
use crate::{
    Error, Store,
    column::{FromJson, storable},
    hot::hot_query,
};

/// A task instance, or one of its earlier tries.
#[derive(Debug, Clone, QueryableByName)]
pub struct TiRow {
    /// The number of its run in the records.
    #[diesel(sql_type = BigInt)]
    pub run_key: i64,
    /// Its number within the run.
    #[diesel(sql_type = Integer)]
    pub index: i32,
    /// Its task.
    #[diesel(sql_type = Text)]
    pub task_id: String,
    /// Its DAG.
    #[diesel(sql_type = Text)]
    pub dag_id: String,
    /// Its run.
    #[diesel(sql_type = Text)]
    pub run_id: String,
    /// Its place among the instances of a mapped task, or -1.
    #[diesel(sql_type = Integer)]
    pub map_index: i32,
    /// The logical date of its run.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub logical_date: Option<DateTime<Utc>>,
    /// From when on its run may start.
    #[diesel(sql_type = Timestamptz)]
    pub run_after: DateTime<Utc>,
    /// Its state.
    #[diesel(sql_type = Text)]
    pub state: String,
    /// The number of its try.
    #[diesel(sql_type = Integer)]
    pub try_number: i32,
    /// It is tried again while the number of its try is at most this.
    #[diesel(sql_type = Integer)]
    pub max_tries: i32,
    /// Its pool.
    #[diesel(sql_type = Text)]
    pub pool: String,
    /// The slots it takes there.
    #[diesel(sql_type = Integer)]
    pub pool_slots: i32,
    /// Its queue.
    #[diesel(sql_type = Text)]
    pub queue: String,
    /// Its effective priority.
    #[diesel(sql_type = Integer)]
    pub priority: i32,
    /// The name of its operator.
    #[diesel(sql_type = Text)]
    pub operator: String,
    /// When its dependencies were met.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub scheduled_at: Option<DateTime<Utc>>,
    /// When it was handed out.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub queued_at: Option<DateTime<Utc>>,
    /// When its try was claimed.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub started_at: Option<DateTime<Utc>>,
    /// When its try ended.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub ended_at: Option<DateTime<Utc>>,
    /// The process that runs or ran it.
    #[diesel(sql_type = Nullable<Integer>)]
    pub pid: Option<i32>,
    /// Why it is in its state.
    #[diesel(sql_type = Nullable<Text>)]
    pub reason: Option<String>,
    /// A remark.
    #[diesel(sql_type = Nullable<Text>)]
    pub note: Option<String>,
    /// The machine of its worker.
    #[diesel(sql_type = Nullable<Text>)]
    pub hostname: Option<String>,
    #[diesel(sql_type = Nullable<Json>)]
    fields: Option<FromJson<Value>>,
    /// What it is called beside its mapped index.
    #[diesel(sql_type = Nullable<Text>)]
    pub rendered_map_index: Option<String>,
    /// The version of its DAG in the records.
    #[diesel(sql_type = BigInt)]
    pub version_id: i64,
    /// Counts the versions of its DAG.
    #[diesel(sql_type = Integer)]
    pub version_number: i32,
    /// When that version was first seen.
    #[diesel(sql_type = Timestamptz)]
    pub version_created_at: DateTime<Utc>,
}

impl TiRow {
    /// What its templates became, when they did.
    #[must_use]
    pub fn rendered(&self) -> Option<&Value> {
        self.fields.as_ref().map(|fields| &fields.0)
    }
}

const SELECT: &str = include_str!("api_ti.sql");
const FROM: &str = "dag_run r JOIN task_instance t ON t.run_key = r.key JOIN dag_version v ON v.id = r.version_id \
     LEFT JOIN job j ON j.id = t.worker \
     LEFT JOIN rendered_fields f ON f.run_key = t.run_key AND f.index = t.index AND f.try_number = t.try_number";

const COLUMNS: Columns = Columns {
    names: &[
        ("id", "t.run_key"),
        ("dag_id", "r.dag_id"),
        ("run_id", "r.run_id"),
        ("task_id", "t.task_id"),
        ("task_display_name", "t.task_id"),
        ("map_index", "t.map_index"),
        ("map_index_number", "t.map_index::bigint"),
        ("rendered_map_index", "(t.rendered_map_index, t.map_index)"),
        (
            "rendered_map_index_text",
            "coalesce(t.rendered_map_index, CASE WHEN t.map_index >= 0 THEN t.map_index::text END)",
        ),
        ("state", "t.state"),
        ("try_number", "t.try_number"),
        ("try_number_number", "t.try_number::bigint"),
        ("pool", "t.pool"),
        ("queue", "t.queue"),
        ("operator", "t.operator"),
        ("operator_name", "t.operator"),
        ("start_date", "t.started_at"),
        ("end_date", "t.ended_at"),
        ("queued_when", "t.queued_at"),
        ("scheduled_when", "t.scheduled_at"),
        ("updated_at", "greatest(t.scheduled_at, t.queued_at, t.started_at, t.ended_at)"),
        ("duration", "extract(epoch FROM t.ended_at - t.started_at)::float8"),
        ("logical_date", "r.logical_date"),
        ("run_after", "r.run_after"),
        ("data_interval_start", "r.interval_start"),
        ("data_interval_end", "r.interval_end"),
        ("version_number", "v.number::bigint"),
        ("priority_weight", "t.priority"),
        ("pid", "t.pid"),
        ("note", "t.note"),
        ("index", "t.index"),
    ],
    tie: "t.run_key, t.index",
};

impl Store {
    /// A list of task instances and how many there are in all.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a column that does not exist.
    pub async fn api_tis(&self, ask: &Ask) -> Result<(Vec<TiRow>, i64), Error> {
        ask.statements(&COLUMNS, SELECT, FROM)?.load(self).await
    }

    /// Task instances of a list from a position on: see the API's cursors.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a column that does not exist, an order by anything but the id, or a position of another list.
    pub async fn api_tis_from(
        &self,
        ask: &Ask,
        position: Option<&[i64]>,
        is_backward: bool,
    ) -> Result<Vec<TiRow>, Error> {
        let statement = ask.around(&COLUMNS, (SELECT, FROM), position, is_backward)?;
        let mut conn = self.conn().await?;
        Ok(statement.load(&mut conn).await?)
    }

    /// The tries of a task instance: those that have ended, then the current one when it has begun or waits.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn api_tries(&self, run_key: i64, index: i32) -> Result<Vec<TiRow>, Error> {
        let mut conn = self.conn().await?;
        Ok(Tries { run_key: &run_key, index: &index }.load(&mut conn).await?)
    }

    /// Writes a remark on task instances of a run, by their numbers, and a line in the audit log for each of their tasks.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn note_tis(
        &self,
        run_key: i64,
        indices: &[i32],
        note: Option<&str>,
        by: &str,
    ) -> Result<(), Error> {
        let note = note.map(|note| storable(note).into_owned());
        let mut conn = self.conn().await?;
        let query = Note { run_key: &run_key, indices, note: &note, by: &storable(by) };
        query.execute(&mut conn).await?;
        Ok(())
    }
}

hot_query! {
    Tries { run_key: i64 => BigInt, index: i32 => Integer }
    include_str!("api_tries.sql")
}

hot_query! {
    Note { run_key: i64 => BigInt, indices: [i32] => diesel::sql_types::Array<Integer>, note: Option<String> => Nullable<Text>, by: str => Text }
    "WITH noted AS (
         UPDATE task_instance SET note = $3 WHERE run_key = $1 AND index = ANY($2) RETURNING run_key, task_id
     )
     INSERT INTO event_log (at, event, owner, dag_id, run_id, task_id, extra)
     SELECT DISTINCT now(), 'patch_task_instance', $4, r.dag_id, r.run_id, n.task_id, jsonb_build_object('note', $3)
     FROM noted n JOIN dag_run r ON r.key = n.run_key"
}
