//! XComs, as tasks and people read them. They are written with the decisions ([`Store::commit`]).

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{BigInt, Integer, Json, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use domain::{
    dag::MAX_MAPPED,
    id::{RunKey, TaskId},
    outcome::RETURN_VALUE,
    wait::{TRIGGER_DAG_ID, TRIGGER_RUN_ID},
};
use serde_json::Value;

use crate::{Error, Store, column::FromJson, hot::hot_query};

/// Most values that [`Store::xcoms_of_task`] returns: as many as a mapped task may have instances.
pub const MOST_VALUES: u32 = MAX_MAPPED as u32;

/// Longest key of an XCom, in characters (Airflow's `COLUMN_NAME_MAX_LENGTH`).
pub const MAX_KEY: usize = 512;
/// Longest key of an XCom, in bytes: with a task's longest name beside it an entry of the table's index is still small enough
/// for PostgreSQL (2704 bytes). Only a key of very rare characters reaches it before [`MAX_KEY`].
pub const MAX_KEY_BYTES: usize = 1600;

/// Whether an XCom can be kept under `key`. One that cannot would make everything fail that is written together with it.
///
/// # Errors
/// [`Error::Invalid`] when it is empty or too long.
pub fn check_key(key: &str) -> Result<(), Error> {
    let length = key.chars().count();
    if (1..=MAX_KEY).contains(&length) && key.len() <= MAX_KEY_BYTES {
        return Ok(());
    }
    let start: String = key.chars().take(40).collect();
    Err(Error::Invalid(format!(
        "the key of an XCom has 1 to {MAX_KEY} characters and at most {MAX_KEY_BYTES} bytes, {start:?} has {length} \
         characters and {} bytes",
        key.len()
    )))
}

/// An XCom without its value.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Entry {
    /// The task that left it.
    #[diesel(sql_type = Text)]
    pub task_id: String,
    /// Its mapped index, or -1.
    #[diesel(sql_type = Integer)]
    pub map_index: i32,
    /// Its key.
    #[diesel(sql_type = Text)]
    pub key: String,
    /// When it was written.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// Its length as JSON, in bytes.
    #[diesel(sql_type = Integer)]
    pub bytes: i32,
    /// How many there are in all.
    #[diesel(sql_type = BigInt)]
    pub total: i64,
}

impl Store {
    /// One value.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn xcom(
        &self,
        run: RunKey,
        task_id: &TaskId,
        map_index: i32,
        key: &str,
    ) -> Result<Option<Value>, Error> {
        let query = One { run_key: &run.0, task_id: task_id.as_str(), map_index: &map_index, key };
        let mut conn = self.conn().await?;
        let row: Option<Row> = query.get_result(&mut conn).await.optional()?;
        Ok(row.map(|row| row.value.0))
    }

    /// The element at `place` of a list, or the `[key, value]` pair at `place` of an object, counted from 0 in
    /// the order in which it was written. `None` when there is none, or the value is neither.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn xcom_element(
        &self,
        run: RunKey,
        task_id: &TaskId,
        map_index: i32,
        key: &str,
        place: u32,
    ) -> Result<Option<Value>, Error> {
        let place = i64::from(place);
        let query =
            Element { run_key: &run.0, task_id: task_id.as_str(), map_index: &map_index, key, place: &place };
        let mut conn = self.conn().await?;
        let row: Option<ElementRow> = query.get_result(&mut conn).await.optional()?;
        Ok(row.and_then(|row| row.value).map(|value| value.0))
    }

    /// Of what the instances of a task left under `key`, ordered by mapped index, the value at `place`, counted from 0.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn xcom_at(
        &self,
        run: RunKey,
        task_id: &TaskId,
        key: &str,
        place: u32,
    ) -> Result<Option<Value>, Error> {
        let query = At { run_key: &run.0, task_id: task_id.as_str(), key, place: &i64::from(place) };
        let mut conn = self.conn().await?;
        let row: Option<Row> = query.get_result(&mut conn).await.optional()?;
        Ok(row.map(|row| row.value.0))
    }

    /// How many elements a task left under `key` to be mapped over: those of its list or object, or its instances' values when
    /// `is_split`. None when the value is neither a list nor an object.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn xcom_length(
        &self,
        run: RunKey,
        task_id: &TaskId,
        key: &str,
        is_split: bool,
    ) -> Result<usize, Error> {
        let mut conn = self.conn().await?;
        let task_id = task_id.as_str();
        let row: Option<LengthRow> = if is_split {
            Count { run_key: &run.0, task_id, key }.get_result(&mut conn).await.optional()?
        } else {
            Length { run_key: &run.0, task_id, key }.get_result(&mut conn).await.optional()?
        };
        Ok(row.and_then(|row| row.length).and_then(|length| usize::try_from(length).ok()).unwrap_or(0))
    }

    /// The values that all instances of a task left under `key`, ordered by mapped index, at most [`MOST_VALUES`].
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn xcoms_of_task(
        &self,
        run: RunKey,
        task_id: &TaskId,
        key: &str,
    ) -> Result<Vec<(i32, Value)>, Error> {
        let query =
            OfTask { run_key: &run.0, task_id: task_id.as_str(), key, limit: &i64::from(MOST_VALUES) };
        let mut conn = self.conn().await?;
        let rows: Vec<Mapped> = query.load(&mut conn).await?;
        Ok(rows.into_iter().map(|row| (row.map_index, row.value.0)).collect())
    }

    /// What the instances of a task left under [`RETURN_VALUE`] in the run that an instance of another one has started, ordered by
    /// mapped index, at most [`MOST_VALUES`].
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn output_of_started(
        &self,
        starter: (RunKey, &TaskId, i32),
        task_id: &TaskId,
    ) -> Result<Vec<(i32, Value)>, Error> {
        let (run, by, map_index) = starter;
        let query = OfStarted {
            run_key: &run.0,
            by: by.as_str(),
            map_index: &map_index,
            task_id: task_id.as_str(),
            dag: TRIGGER_DAG_ID,
            run: TRIGGER_RUN_ID,
            key: RETURN_VALUE,
            limit: &i64::from(MOST_VALUES),
        };
        let mut conn = self.conn().await?;
        let rows: Vec<Mapped> = query.load(&mut conn).await?;
        Ok(rows.into_iter().map(|row| (row.map_index, row.value.0)).collect())
    }

    /// Which XComs a run has; only those of `task_id` and `map_index` when given.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn xcom_entries(
        &self,
        run: RunKey,
        task_id: Option<&TaskId>,
        map_index: Option<i32>,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<Entry>, Error> {
        let task_id = task_id.map(|task| task.as_str().to_owned());
        let query = Entries {
            run_key: &run.0,
            task_id: &task_id,
            map_index: &map_index,
            limit: &i64::from(limit),
            offset: &i64::from(offset),
        };
        let mut conn = self.conn().await?;
        Ok(query.load(&mut conn).await?)
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Json)]
    value: FromJson<Value>,
}

#[derive(QueryableByName)]
struct ElementRow {
    #[diesel(sql_type = Nullable<Json>)]
    value: Option<FromJson<Value>>,
}

#[derive(QueryableByName)]
struct LengthRow {
    #[diesel(sql_type = Nullable<BigInt>)]
    length: Option<i64>,
}

#[derive(QueryableByName)]
struct Mapped {
    #[diesel(sql_type = Integer)]
    map_index: i32,
    #[diesel(sql_type = Json)]
    value: FromJson<Value>,
}

hot_query! {
    One { run_key: i64 => BigInt, task_id: str => Text, map_index: i32 => Integer, key: str => Text }
    "SELECT value FROM xcom WHERE run_key = $1 AND task_id = $2 AND map_index = $3 AND key = $4"
}

hot_query! {
    Element { run_key: i64 => BigInt, task_id: str => Text, map_index: i32 => Integer, key: str => Text, place: i64 => BigInt }
    "SELECT CASE json_typeof(value)
         WHEN 'array' THEN value -> $5::integer
         WHEN 'object' THEN (
             SELECT json_build_array(e.key, e.value)
             FROM json_each(value) WITH ORDINALITY AS e (key, value, place) WHERE e.place = $5 + 1
         )
     END AS value
     FROM xcom WHERE run_key = $1 AND task_id = $2 AND map_index = $3 AND key = $4"
}

hot_query! {
    At { run_key: i64 => BigInt, task_id: str => Text, key: str => Text, place: i64 => BigInt }
    "SELECT value FROM xcom WHERE run_key = $1 AND task_id = $2 AND key = $3 ORDER BY map_index OFFSET $4 LIMIT 1"
}

hot_query! {
    Count { run_key: i64 => BigInt, task_id: str => Text, key: str => Text }
    "SELECT count(*) AS length FROM xcom WHERE run_key = $1 AND task_id = $2 AND key = $3"
}

hot_query! {
    Length { run_key: i64 => BigInt, task_id: str => Text, key: str => Text }
    "SELECT CASE json_typeof(value)
         WHEN 'array' THEN json_array_length(value)::bigint
         WHEN 'object' THEN (SELECT count(*) FROM json_object_keys(value))
     END AS length
     FROM xcom WHERE run_key = $1 AND task_id = $2 AND key = $3 ORDER BY map_index LIMIT 1"
}

hot_query! {
    OfTask { run_key: i64 => BigInt, task_id: str => Text, key: str => Text, limit: i64 => BigInt }
    "SELECT map_index, value FROM xcom WHERE run_key = $1 AND task_id = $2 AND key = $3 ORDER BY map_index LIMIT $4"
}

hot_query! {
    OfStarted {
        run_key: i64 => BigInt,
        by: str => Text,
        map_index: i32 => Integer,
        task_id: str => Text,
        dag: str => Text,
        run: str => Text,
        key: str => Text,
        limit: i64 => BigInt,
    }
    "SELECT x.map_index, x.value
     FROM xcom d
     JOIN xcom r USING (run_key, task_id, map_index)
     JOIN dag_run c ON c.dag_id = d.value #>> '{}' AND c.run_id = r.value #>> '{}'
     JOIN xcom x ON x.run_key = c.key AND x.task_id = $4 AND x.key = $7
     WHERE d.run_key = $1 AND d.task_id = $2 AND d.map_index = $3
       AND d.key = $5 AND r.key = $6
     ORDER BY x.map_index LIMIT $8"
}

hot_query! {
    Entries {
        run_key: i64 => BigInt,
        task_id: Option<String> => Nullable<Text>,
        map_index: Option<i32> => Nullable<Integer>,
        limit: i64 => BigInt,
        offset: i64 => BigInt,
    }
    "SELECT task_id, map_index, key, created_at, octet_length(value::text) AS bytes, count(*) OVER () AS total
     FROM xcom WHERE run_key = $1 AND ($2 IS NULL OR task_id = $2) AND ($3 IS NULL OR map_index = $3)
     ORDER BY task_id, map_index, key LIMIT $4 OFFSET $5"
}
