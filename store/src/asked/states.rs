//! What tasks keep for themselves, and what they and triggers keep of assets. Source: Airflow 3.3.2 `state/metastore.py`.

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{BigInt, Integer, Json, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use domain::id::RunKey;
use serde_json::Value;

use crate::{
    Error, Store,
    column::{FromJson, ToJson, storable},
    hot::hot_query,
    xcom,
};

/// Most keys of one task instance, and most keys of one asset.
pub const MOST_KEYS: i64 = 1_000;
/// Most bytes of a value as JSON.
pub const MAX_VALUE: usize = 1 << 20;

/// The instance whose state is meant. Its tries share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateOf<'a> {
    /// Its run.
    pub run: RunKey,
    /// Its task.
    pub task_id: &'a str,
    /// Its mapped index, or -1.
    pub map_index: i32,
}

/// The instance that keeps something of an asset. Triggers keep something, too, in nobody's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssetKeeper<'a> {
    /// Its DAG.
    pub dag_id: &'a str,
    /// Its run.
    pub run_id: &'a str,
    /// Its task.
    pub task_id: &'a str,
    /// Its mapped index, or -1.
    pub map_index: i32,
}

impl Store {
    /// What an instance keeps under a key. What has expired counts until it is cleaned away ([`Store::clean`]), as in Airflow.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn task_state(&self, of: StateOf<'_>, key: &str) -> Result<Option<Value>, Error> {
        let mut conn = self.conn().await?;
        let query = Get { run_key: &of.run.0, task_id: of.task_id, map_index: &of.map_index, key };
        let row: Option<Row> = query.get_result(&mut conn).await.optional()?;
        Ok(row.map(|row| row.value.0))
    }

    /// Keeps something for an instance.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the key or the value is too long, or there are [`MOST_KEYS`] already.
    pub async fn keep_task_state(
        &self,
        of: StateOf<'_>,
        key: &str,
        value: &Value,
        expires_at: Option<DateTime<Utc>>,
    ) -> Result<(), Error> {
        let value = checked(key, value)?;
        let mut conn = self.conn().await?;
        let query = Keep {
            run_key: &of.run.0,
            task_id: of.task_id,
            map_index: &of.map_index,
            key: &storable(key),
            value: &value,
            expires_at: &expires_at,
            most: &MOST_KEYS,
        };
        kept(query.execute(&mut conn).await?)
    }

    /// Forgets what an instance keeps under a key, or all of it.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn forget_task_state(&self, of: StateOf<'_>, key: Option<&str>) -> Result<(), Error> {
        let mut conn = self.conn().await?;
        let query = Forget { run_key: &of.run.0, task_id: of.task_id, map_index: &of.map_index, key: &key };
        query.execute(&mut conn).await?;
        Ok(())
    }

    /// What is kept of an asset under a key.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn asset_state(&self, asset: &str, key: &str) -> Result<Option<Value>, Error> {
        let mut conn = self.conn().await?;
        let row: Option<Row> = GetAsset { asset, key }.get_result(&mut conn).await.optional()?;
        Ok(row.map(|row| row.value.0))
    }

    /// Keeps something of an asset, on behalf of an instance, or of a trigger when none is named.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the key or the value is too long, or there are [`MOST_KEYS`] already, or there is no such asset.
    pub async fn keep_asset_state(
        &self,
        asset: &str,
        key: &str,
        value: &Value,
        by: Option<AssetKeeper<'_>>,
    ) -> Result<(), Error> {
        let value = checked(key, value)?;
        let mut conn = self.conn().await?;
        let query = KeepAsset {
            asset,
            key: &storable(key),
            value: &value,
            dag_id: &by.map(|by| by.dag_id),
            run_id: &by.map(|by| by.run_id),
            task_id: &by.map(|by| by.task_id),
            map_index: &by.map(|by| by.map_index),
            most: &MOST_KEYS,
        };
        kept(query.execute(&mut conn).await?)
    }

    /// Forgets what is kept of an asset under a key, or all of it.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn forget_asset_state(&self, asset: &str, key: Option<&str>) -> Result<(), Error> {
        let mut conn = self.conn().await?;
        ForgetAsset { asset, key: &key }.execute(&mut conn).await?;
        Ok(())
    }
}

fn checked(key: &str, value: &Value) -> Result<ToJson, Error> {
    let length = key.chars().count();
    if !(1..=xcom::MAX_KEY).contains(&length) || key.len() > xcom::MAX_KEY_BYTES {
        return Err(Error::Invalid(format!(
            "a key has 1 to {} characters and at most {} bytes, this one has {length} characters and {} bytes",
            xcom::MAX_KEY,
            xcom::MAX_KEY_BYTES,
            key.len()
        )));
    }
    let json = ToJson::of(value)?;
    if json.len() > MAX_VALUE {
        let length = json.len();
        return Err(Error::Invalid(format!(
            "the value of `{key}` has {length} bytes as JSON, at most {MAX_VALUE} are kept"
        )));
    }
    Ok(json)
}

fn kept(rows: usize) -> Result<(), Error> {
    if rows == 1 {
        return Ok(());
    }
    Err(Error::Invalid(format!("{MOST_KEYS} keys are kept already: forget some before")))
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Json)]
    value: FromJson<Value>,
}

hot_query! {
    Get { run_key: i64 => BigInt, task_id: str => Text, map_index: i32 => Integer, key: str => Text }
    "SELECT value FROM task_state WHERE run_key = $1 AND task_id = $2 AND map_index = $3 AND key = $4"
}

hot_query! {
    Keep {
        run_key: i64 => BigInt,
        task_id: str => Text,
        map_index: i32 => Integer,
        key: str => Text,
        value: ToJson => Json,
        expires_at: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        most: i64 => BigInt,
    }
    "INSERT INTO task_state (run_key, task_id, map_index, key, value, expires_at)
     SELECT $1, $2, $3, $4, $5, $6
     WHERE (SELECT count(*) FROM task_state s
            WHERE s.run_key = $1 AND s.task_id = $2 AND s.map_index = $3 AND s.key <> $4) < $7
     ON CONFLICT (run_key, task_id, map_index, key) DO UPDATE
     SET value = excluded.value, expires_at = excluded.expires_at, updated_at = now()"
}

hot_query! {
    Forget { run_key: i64 => BigInt, task_id: str => Text, map_index: i32 => Integer, key: Option<&'a str> => Nullable<Text> }
    "DELETE FROM task_state WHERE run_key = $1 AND task_id = $2 AND map_index = $3 AND ($4 IS NULL OR key = $4)"
}

hot_query! {
    GetAsset { asset: str => Text, key: str => Text }
    "SELECT s.value FROM asset a JOIN asset_state s ON s.asset_id = a.id WHERE a.name = $1 AND s.key = $2"
}

hot_query! {
    KeepAsset {
        asset: str => Text,
        key: str => Text,
        value: ToJson => Json,
        dag_id: Option<&'a str> => Nullable<Text>,
        run_id: Option<&'a str> => Nullable<Text>,
        task_id: Option<&'a str> => Nullable<Text>,
        map_index: Option<i32> => Nullable<Integer>,
        most: i64 => BigInt,
    }
    "INSERT INTO asset_state (asset_id, key, value, dag_id, run_id, task_id, map_index)
     SELECT a.id, $2, $3, $4, $5, $6, $7 FROM asset a
     WHERE a.name = $1 AND (SELECT count(*) FROM asset_state s WHERE s.asset_id = a.id AND s.key <> $2) < $8
     ON CONFLICT (asset_id, key) DO UPDATE
     SET value = excluded.value, updated_at = now(), dag_id = excluded.dag_id, run_id = excluded.run_id,
         task_id = excluded.task_id, map_index = excluded.map_index"
}

hot_query! {
    ForgetAsset { asset: str => Text, key: Option<&'a str> => Nullable<Text> }
    "DELETE FROM asset_state s USING asset a WHERE a.id = s.asset_id AND a.name = $1 AND ($2 IS NULL OR s.key = $2)"
}
