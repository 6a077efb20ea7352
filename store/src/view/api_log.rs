//! Where the log of a try is: the names and numbers that its places are made of.

use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{BigInt, Bool, Integer, Nullable, Text},
};
use diesel_async::RunQueryDsl;
use domain::id::{DagId, RunId, TaskId};

use crate::{
    Error, Store,
    column::{count, int},
    hot::hot_query,
};

/// A try, by name and by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPlace {
    /// Its DAG.
    pub dag_id: String,
    /// Its run.
    pub run_id: String,
    /// Its task.
    pub task_id: String,
    /// Its mapped index, or -1.
    pub map_index: i32,
    /// The number of its run.
    pub run_key: i64,
    /// The number of its instance in the run.
    pub index: u32,
    /// The try, from 1.
    pub try_number: u32,
    /// It is not queued or running any more.
    pub is_over: bool,
    /// It has been left, and is taken up again: what is in storage is not the end of its log.
    pub goes_on: bool,
}

impl Store {
    /// A try of a task instance; the newest when no number is given. `None` when there is no such try.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn log_place(
        &self,
        dag_id: &DagId,
        run_id: &RunId,
        task_id: &TaskId,
        map_index: i32,
        try_number: Option<u32>,
    ) -> Result<Option<LogPlace>, Error> {
        let wanted = try_number.map(int);
        let query = Find {
            dag_id: dag_id.as_str(),
            run_id: run_id.as_str(),
            task_id: task_id.as_str(),
            map_index: &map_index,
            try_number: &wanted,
        };
        let mut conn = self.conn().await?;
        let row: Option<Row> = query.get_result(&mut conn).await.optional()?;
        Ok(row.map(|row| LogPlace {
            dag_id: dag_id.to_string(),
            run_id: run_id.to_string(),
            task_id: task_id.to_string(),
            map_index,
            run_key: row.run_key,
            index: count(row.index),
            try_number: count(row.wanted_try),
            is_over: row.is_over,
            goes_on: row.goes_on,
        }))
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    run_key: i64,
    #[diesel(sql_type = Integer)]
    index: i32,
    #[diesel(sql_type = Integer)]
    wanted_try: i32,
    #[diesel(sql_type = Bool)]
    is_over: bool,
    #[diesel(sql_type = Bool)]
    goes_on: bool,
}

hot_query! {
    Find {
        dag_id: str => Text,
        run_id: str => Text,
        task_id: str => Text,
        map_index: i32 => Integer,
        try_number: Option<i32> => Nullable<Integer>,
    }
    "SELECT t.run_key, t.index, coalesce($5, t.try_number) AS wanted_try,
            coalesce($5, t.try_number) < t.try_number OR t.state NOT IN ('queued', 'running', 'restarting') AS is_over,
            coalesce($5, t.try_number) = t.try_number AND t.wait IS NOT NULL AS goes_on
     FROM dag_run r JOIN task_instance t ON t.run_key = r.key
     WHERE r.dag_id = $1 AND r.run_id = $2 AND t.task_id = $3 AND t.map_index = $4
       AND coalesce($5, t.try_number) BETWEEN 1 AND t.try_number"
}
