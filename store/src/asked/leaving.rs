//! XComs that a try leaves while it goes on, and those of earlier runs.

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Integer, Json, Text},
};
use diesel_async::RunQueryDsl;
use domain::id::{RunKey, TryKey};
use serde_json::Value;

use super::{ONE_MORE, all_of};
use crate::{
    Error, Store,
    column::{FromJson, ToJson, int, storable},
    hot::hot_query,
    xcom::check_key,
};

impl Store {
    /// Writes an XCom of a try that still runs. False when it does not run any more: then nothing is written.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a key that cannot be kept.
    pub async fn leave_xcom(&self, attempt: TryKey, key: &str, value: &Value) -> Result<bool, Error> {
        check_key(key)?;
        let query = Leave {
            run_key: &attempt.ti.run.0,
            index: &int(attempt.ti.index),
            try_number: &int(attempt.try_number),
            key: &storable(key),
            value: &ToJson::of(value)?,
        };
        let mut conn = self.hot_conn().await?;
        Ok(query.execute(&mut conn).await? == 1)
    }

    /// Deletes an XCom of a try that still runs. Of one that does not, nothing is deleted.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn take_back_xcom(&self, attempt: TryKey, key: &str) -> Result<(), Error> {
        let query = TakeBack {
            run_key: &attempt.ti.run.0,
            index: &int(attempt.ti.index),
            try_number: &int(attempt.try_number),
            key,
        };
        let mut conn = self.hot_conn().await?;
        query.execute(&mut conn).await?;
        Ok(())
    }

    /// What the instances of a task left under `key` in a run and in those of its DAG before it, by mapped index, the newest first. Source:
    /// Airflow 3.3.2 `XComModel.get_many` with `include_prior_dates`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are more than [`super::MOST`].
    pub async fn xcoms_up_to(
        &self,
        run: RunKey,
        task_id: &str,
        key: &str,
    ) -> Result<Vec<(i32, Value)>, Error> {
        let query = UpTo { run_key: &run.0, task_id, key, limit: &ONE_MORE };
        let mut conn = self.conn().await?;
        let rows: Vec<Row> = all_of(query.load(&mut conn).await?, "XComs")?;
        Ok(rows.into_iter().map(|row| (row.map_index, row.value.0)).collect())
    }

    /// The newest of them of one instance.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn newest_xcom(
        &self,
        run: RunKey,
        task_id: &str,
        map_index: i32,
        key: &str,
    ) -> Result<Option<Value>, Error> {
        let query = Newest { run_key: &run.0, task_id, map_index: &map_index, key };
        let mut conn = self.conn().await?;
        let rows: Vec<Row> = query.load(&mut conn).await?;
        Ok(rows.into_iter().next().map(|row| row.value.0))
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Integer)]
    map_index: i32,
    #[diesel(sql_type = Json)]
    value: FromJson<Value>,
}

hot_query! {
    /// The lock on the instance makes its end wait, so that nothing is written behind it.
    Leave {
        run_key: i64 => BigInt,
        index: i32 => Integer,
        try_number: i32 => Integer,
        key: str => Text,
        value: ToJson => Json,
    }
    "WITH own AS MATERIALIZED (
         SELECT run_key, task_id, map_index FROM task_instance
         WHERE run_key = $1 AND index = $2 AND try_number = $3 AND state = 'running' FOR SHARE
     )
     INSERT INTO xcom (run_key, task_id, map_index, key, value)
     SELECT run_key, task_id, map_index, $4, $5 FROM own
     ON CONFLICT (run_key, task_id, map_index, key) DO UPDATE SET value = excluded.value, created_at = now()"
}

hot_query! {
    TakeBack { run_key: i64 => BigInt, index: i32 => Integer, try_number: i32 => Integer, key: str => Text }
    "WITH own AS MATERIALIZED (
         SELECT run_key, task_id, map_index FROM task_instance
         WHERE run_key = $1 AND index = $2 AND try_number = $3 AND state = 'running' FOR SHARE
     )
     DELETE FROM xcom x USING own o
     WHERE x.run_key = o.run_key AND x.task_id = o.task_id AND x.map_index = o.map_index AND x.key = $4"
}

hot_query! {
    UpTo { run_key: i64 => BigInt, task_id: str => Text, key: str => Text, limit: i64 => BigInt }
    "SELECT x.map_index, x.value
     FROM dag_run own JOIN dag_run r ON r.dag_id = own.dag_id
          AND coalesce(r.logical_date, r.run_after) <= coalesce(own.logical_date, own.run_after)
     JOIN xcom x ON x.run_key = r.key AND x.task_id = $2 AND x.key = $3
     WHERE own.key = $1 ORDER BY x.map_index, coalesce(r.logical_date, r.run_after) DESC, r.key DESC LIMIT $4"
}

hot_query! {
    Newest { run_key: i64 => BigInt, task_id: str => Text, map_index: i32 => Integer, key: str => Text }
    "SELECT x.map_index, x.value
     FROM dag_run own JOIN dag_run r ON r.dag_id = own.dag_id
          AND coalesce(r.logical_date, r.run_after) <= coalesce(own.logical_date, own.run_after)
     JOIN xcom x ON x.run_key = r.key AND x.task_id = $2 AND x.map_index = $3 AND x.key = $4
     WHERE own.key = $1 ORDER BY coalesce(r.logical_date, r.run_after) DESC, r.key DESC LIMIT 1"
}
