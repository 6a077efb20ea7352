//! The sweeps: what a lost bell, a wiped Redis or a missed message left behind is found again in the records.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Double, Integer, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use domain::{
    engine::decision::Ready,
    id::{QueueName, TryKey},
};
use uuid::Uuid;

use crate::{
    Error, Store,
    claim::{TryColumns, try_key},
    column::Parsed,
    hot::hot_query,
};

impl Store {
    /// The tries of active runs that have been queued for longer than `older_than`, best first, at most `limit`: push
    /// them to the ready queue again.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn queued(&self, limit: usize, older_than: Duration) -> Result<Vec<Ready>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut conn = self.conn().await?;
        let query = Queued { seconds: &older_than.as_secs_f64(), limit: &limit };
        let rows: Vec<QueuedRow> = query.load(&mut conn).await?;
        let ready = |row: QueuedRow| Ready {
            queue: row.queue.0,
            attempt: try_key(row.run_key, row.index, row.try_number),
            priority: row.priority,
            since: row.queued_at,
        };
        Ok(rows.into_iter().map(ready).collect())
    }

    /// What the records say `worker` is running.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn running_of(&self, worker: Uuid) -> Result<Vec<TryKey>, Error> {
        let mut conn = self.conn().await?;
        let rows: Vec<TryRow> = RunningOf { worker: &worker }.load(&mut conn).await?;
        Ok(rows.into_iter().map(|row| try_key(row.run_key, row.index, row.try_number)).collect())
    }

    /// Those of `tries` that are still running on `worker`: it must stop the others.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn still_current(&self, worker: Uuid, tries: &[TryKey]) -> Result<Vec<TryKey>, Error> {
        if tries.is_empty() {
            return Ok(Vec::new());
        }
        let keys = TryColumns::of(tries);
        let query = StillCurrent {
            worker: &worker,
            run_key: &keys.run_key,
            index: &keys.index,
            try_number: &keys.try_number,
        };
        let mut conn = self.hot_conn().await?;
        let rows: Vec<TryRow> = query.load(&mut conn).await?;
        Ok(rows.into_iter().map(|row| try_key(row.run_key, row.index, row.try_number)).collect())
    }
}

#[derive(QueryableByName)]
struct QueuedRow {
    #[diesel(sql_type = Text)]
    queue: Parsed<QueueName>,
    #[diesel(sql_type = BigInt)]
    run_key: i64,
    #[diesel(sql_type = Integer)]
    index: i32,
    #[diesel(sql_type = Integer)]
    try_number: i32,
    #[diesel(sql_type = Integer)]
    priority: i32,
    #[diesel(sql_type = Timestamptz)]
    queued_at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct TryRow {
    #[diesel(sql_type = BigInt)]
    run_key: i64,
    #[diesel(sql_type = Integer)]
    index: i32,
    #[diesel(sql_type = Integer)]
    try_number: i32,
}

hot_query! {
    Queued { seconds: f64 => Double, limit: i64 => BigInt }
    "SELECT t.queue, t.run_key, t.index, t.try_number, t.priority, t.queued_at
     FROM dag_run r JOIN task_instance t ON t.run_key = r.key
     WHERE r.state IN ('queued', 'running') AND t.state = 'queued' AND t.queued_at <= now() - make_interval(secs => $1)
     ORDER BY t.priority DESC, t.queued_at, t.run_key, t.index LIMIT $2"
}

hot_query! {
    RunningOf { worker: Uuid => SqlUuid }
    "SELECT t.run_key, t.index, t.try_number
     FROM dag_run r JOIN task_instance t ON t.run_key = r.key
     WHERE r.state IN ('queued', 'running') AND t.state = 'running' AND t.worker = $1
     ORDER BY t.run_key, t.index"
}

hot_query! {
    StillCurrent {
        worker: Uuid => SqlUuid,
        run_key: [i64] => Array<BigInt>,
        index: [i32] => Array<Integer>,
        try_number: [i32] => Array<Integer>,
    }
    "SELECT t.run_key, t.index, t.try_number
     FROM unnest($2::bigint[], $3::integer[], $4::integer[]) AS w (run_key, index, try_number)
     JOIN task_instance t ON t.run_key = w.run_key AND t.index = w.index AND t.try_number = w.try_number
     WHERE t.state = 'running' AND t.worker = $1"
}
