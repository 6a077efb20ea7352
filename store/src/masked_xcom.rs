//! XComs as people and programs see them: with `***` in place of what the worker knew to be secret. Tasks read [`crate::xcom`].

use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{BigInt, Integer, Json, Nullable, Text},
};
use diesel_async::RunQueryDsl;
use domain::id::{RunKey, TaskId};
use serde_json::Value;

use crate::{
    Error, Store,
    column::{FromJson, ToJson, storable},
    hot::hot_query,
};

/// What is shown of an XCom that has a secret in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Masked {
    /// The run of the task that leaves it.
    pub run: RunKey,
    /// The task.
    pub task_id: TaskId,
    /// Its mapped index, or -1.
    pub map_index: i32,
    /// The XCom's key.
    pub key: String,
    /// The value as tasks read it.
    pub value: Value,
    /// The value as it is shown.
    pub shown: Value,
}

impl Store {
    /// Keeps what is shown of an XCom. It holds for this very value, and must be there before the XCom is.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn mask_xcom(&self, masked: &Masked) -> Result<(), Error> {
        let query = Mask {
            run_key: &masked.run.0,
            task_id: masked.task_id.as_str(),
            map_index: &masked.map_index,
            key: &storable(&masked.key),
            value: &ToJson::of(&masked.value)?,
            shown: &ToJson::of(&masked.shown)?,
        };
        let mut conn = self.hot_conn().await?;
        query.execute(&mut conn).await?;
        Ok(())
    }

    /// As [`Store::xcom`], to be shown.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn shown_xcom(
        &self,
        run: RunKey,
        task_id: &TaskId,
        map_index: i32,
        key: &str,
    ) -> Result<Option<Value>, Error> {
        let query = One { run_key: &run.0, task_id: task_id.as_str(), map_index: &map_index, key };
        let mut conn = self.conn().await?;
        let row: Option<Row> = query.get_result(&mut conn).await.optional()?;
        Ok(row.and_then(|row| row.value).map(|value| value.0))
    }

    /// As [`Store::xcom_element`], to be shown.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn shown_xcom_element(
        &self,
        run: RunKey,
        task_id: &TaskId,
        key: &str,
        place: u32,
    ) -> Result<Option<Value>, Error> {
        let place = i64::from(place);
        let query = Element { run_key: &run.0, task_id: task_id.as_str(), key, place: &place };
        let mut conn = self.conn().await?;
        let row: Option<Row> = query.get_result(&mut conn).await.optional()?;
        Ok(row.and_then(|row| row.value).map(|value| value.0))
    }

    /// As [`Store::xcom_at`], to be shown.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn shown_xcom_at(
        &self,
        run: RunKey,
        task_id: &TaskId,
        key: &str,
        place: u32,
    ) -> Result<Option<Value>, Error> {
        let query = At { run_key: &run.0, task_id: task_id.as_str(), key, place: &i64::from(place) };
        let mut conn = self.conn().await?;
        let row: Option<Row> = query.get_result(&mut conn).await.optional()?;
        Ok(row.and_then(|row| row.value).map(|value| value.0))
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Nullable<Json>)]
    value: Option<FromJson<Value>>,
}

hot_query! {
    /// Of a run that was deleted there is nothing to show.
    Mask {
        run_key: i64 => BigInt,
        task_id: str => Text,
        map_index: i32 => Integer,
        key: str => Text,
        value: ToJson => Json,
        shown: ToJson => Json,
    }
    "INSERT INTO masked_xcom (run_key, digest, value)
     SELECT r.key, md5(jsonb_build_array($2::text, $3::integer, $4::text, $5::json)::text), $6 FROM dag_run r WHERE r.key = $1
     ON CONFLICT (run_key, digest) DO UPDATE SET value = excluded.value"
}

hot_query! {
    One { run_key: i64 => BigInt, task_id: str => Text, map_index: i32 => Integer, key: str => Text }
    "SELECT value FROM shown_xcom WHERE run_key = $1 AND task_id = $2 AND map_index = $3 AND key = $4"
}

hot_query! {
    Element { run_key: i64 => BigInt, task_id: str => Text, key: str => Text, place: i64 => BigInt }
    "SELECT CASE json_typeof(value)
         WHEN 'array' THEN value -> $4::integer
         WHEN 'object' THEN (
             SELECT json_build_array(e.key, e.value)
             FROM json_each(value) WITH ORDINALITY AS e (key, value, place) WHERE e.place = $4 + 1
         )
     END AS value
     FROM shown_xcom WHERE run_key = $1 AND task_id = $2 AND map_index = -1 AND key = $3"
}

hot_query! {
    At { run_key: i64 => BigInt, task_id: str => Text, key: str => Text, place: i64 => BigInt }
    "SELECT value FROM shown_xcom WHERE run_key = $1 AND task_id = $2 AND key = $3 ORDER BY map_index OFFSET $4 LIMIT 1"
}
