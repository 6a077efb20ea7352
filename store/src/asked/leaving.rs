//! XComs that tries leave while they go on, their own and those of others, and XComs of earlier runs.

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Bool, Integer, Json, Nullable, Text},
};
use diesel_async::RunQueryDsl;
use domain::id::{RunKey, TryKey};
use serde_json::Value;

use super::{MOST_KEYS, ONE_MORE, all_of};
use crate::{
    Error, Store,
    column::{FromJson, ToJson, int, storable},
    hot::hot_query,
    xcom::check_key,
};

/// An XCom, by the names of whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XComAt<'a> {
    /// Its DAG.
    pub dag_id: &'a str,
    /// Its run.
    pub run_id: &'a str,
    /// Its task.
    pub task_id: &'a str,
    /// Its mapped index, or -1.
    pub map_index: i32,
    /// Its key.
    pub key: &'a str,
}

/// What became of an XCom for another instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It is written.
    Written,
    /// The try that leaves it does not run any more.
    TooLate,
    /// There is no such run.
    NoRun,
    /// The run has no such instance.
    NoInstance,
}

impl Store {
    /// Writes an XCom of any instance, in whatever state that is, on behalf of a try that still runs, or of a trigger.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a key that cannot be kept, and when the instance has [`MOST_KEYS`] others already.
    pub async fn leave_xcom_at(
        &self,
        by: Option<TryKey>,
        at: XComAt<'_>,
        value: &Value,
    ) -> Result<Left, Error> {
        check_key(at.key)?;
        let (by_run, by_index, by_try) = columns(by);
        let query = LeaveAt {
            by_run: &by_run,
            by_index: &by_index,
            by_try: &by_try,
            dag_id: at.dag_id,
            run_id: at.run_id,
            task_id: at.task_id,
            map_index: &at.map_index,
            key: &storable(at.key),
            value: &ToJson::of(value)?,
            most: &MOST_KEYS,
        };
        let mut conn = self.hot_conn().await?;
        let found: Fate = query.get_result(&mut conn).await?;
        match found {
            Fate { is_written: true, .. } => Ok(Left::Written),
            Fate { counts: false, .. } => Ok(Left::TooLate),
            Fate { has_run: false, .. } => Ok(Left::NoRun),
            Fate { has_instance: false, .. } => Ok(Left::NoInstance),
            Fate { .. } => Err(Error::Invalid(format!("the instance has {MOST_KEYS} XComs already"))),
        }
    }

    /// Deletes an XCom of any instance, on behalf of a try that still runs, or of a trigger. On behalf of one that does not, nothing is
    /// deleted.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn take_back_xcom_at(&self, by: Option<TryKey>, at: XComAt<'_>) -> Result<(), Error> {
        let (by_run, by_index, by_try) = columns(by);
        let query = TakeBackAt {
            by_run: &by_run,
            by_index: &by_index,
            by_try: &by_try,
            dag_id: at.dag_id,
            run_id: at.run_id,
            task_id: at.task_id,
            map_index: &at.map_index,
            key: at.key,
        };
        let mut conn = self.hot_conn().await?;
        query.execute(&mut conn).await?;
        Ok(())
    }

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

fn columns(by: Option<TryKey>) -> (Option<i64>, i32, i32) {
    by.map_or((None, 0, 0), |by| (Some(by.ti.run.0), int(by.ti.index), int(by.try_number)))
}

#[derive(QueryableByName)]
struct Fate {
    #[diesel(sql_type = Bool)]
    is_written: bool,
    #[diesel(sql_type = Bool)]
    counts: bool,
    #[diesel(sql_type = Bool)]
    has_run: bool,
    #[diesel(sql_type = Bool)]
    has_instance: bool,
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
    /// The asking try is locked, so that nothing is written behind its end; the other instance is not: whoever writes last counts.
    LeaveAt {
        by_run: Option<i64> => Nullable<BigInt>,
        by_index: i32 => Integer,
        by_try: i32 => Integer,
        dag_id: str => Text,
        run_id: str => Text,
        task_id: str => Text,
        map_index: i32 => Integer,
        key: str => Text,
        value: ToJson => Json,
        most: i64 => BigInt,
    }
    "WITH asking AS MATERIALIZED (
         SELECT run_key FROM task_instance
         WHERE run_key = $1 AND index = $2 AND try_number = $3 AND state = 'running' FOR SHARE
     ),
     place AS MATERIALIZED (
         SELECT r.key AS run_key, t.task_id
         FROM dag_run r LEFT JOIN task_instance t ON t.run_key = r.key AND t.task_id = $6 AND t.map_index = $7
         WHERE r.dag_id = $4 AND r.run_id = $5
     ),
     allowed AS MATERIALIZED (SELECT $1 IS NULL OR EXISTS (SELECT FROM asking) AS counts),
     written AS (
         INSERT INTO xcom (run_key, task_id, map_index, key, value)
         SELECT p.run_key, p.task_id, $7, $8, $9 FROM place p JOIN allowed a ON a.counts
         WHERE p.task_id IS NOT NULL
           AND (SELECT count(*) FROM xcom x
                WHERE x.run_key = p.run_key AND x.task_id = p.task_id AND x.map_index = $7 AND x.key <> $8) < $10
         ON CONFLICT (run_key, task_id, map_index, key) DO UPDATE SET value = excluded.value, created_at = now()
         RETURNING key
     )
     SELECT EXISTS (SELECT FROM written) AS is_written, a.counts, EXISTS (SELECT FROM place) AS has_run,
            EXISTS (SELECT FROM place WHERE task_id IS NOT NULL) AS has_instance
     FROM allowed a"
}

hot_query! {
    TakeBackAt {
        by_run: Option<i64> => Nullable<BigInt>,
        by_index: i32 => Integer,
        by_try: i32 => Integer,
        dag_id: str => Text,
        run_id: str => Text,
        task_id: str => Text,
        map_index: i32 => Integer,
        key: str => Text,
    }
    "WITH asking AS MATERIALIZED (
         SELECT run_key FROM task_instance
         WHERE run_key = $1 AND index = $2 AND try_number = $3 AND state = 'running' FOR SHARE
     )
     DELETE FROM xcom x USING dag_run r
     WHERE r.dag_id = $4 AND r.run_id = $5 AND x.run_key = r.key AND x.task_id = $6 AND x.map_index = $7 AND x.key = $8
       AND ($1 IS NULL OR EXISTS (SELECT FROM asking))"
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
