//! The sweeps: what a lost bell, a wiped Redis or a missed message left behind is found again in the records.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Double, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use domain::{
    engine::decision::Ready,
    id::{QueueName, TryKey},
};
use uuid::Uuid;

use crate::{
    Error, Store,
    column::{Parsed, TryRow},
    hot::hot_query,
    job::LEASE,
};

impl Store {
    /// The tries of active runs that have been queued for longer than `older_than`, in the order of their release, at most `limit`: push
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
            attempt: row.attempt.into(),
            released_at: row.queued_at,
        };
        Ok(rows.into_iter().map(ready).collect())
    }

    /// The tries of active runs that have been queued for longer than `older_than` although a live worker of their queue
    /// has a free slot, at most `limit`: something keeps workers from claiming them.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn unclaimed(&self, limit: usize, older_than: Duration) -> Result<Vec<TryKey>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut conn = self.conn().await?;
        let lease = LEASE.as_secs_f64();
        let query = Unclaimed { seconds: &older_than.as_secs_f64(), lease: &lease, limit: &limit };
        let rows: Vec<TryRow> = query.load(&mut conn).await?;
        Ok(rows.into_iter().map(TryKey::from).collect())
    }

    /// What the records say `worker` is running.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn running_of(&self, worker: Uuid) -> Result<Vec<TryKey>, Error> {
        let mut conn = self.conn().await?;
        let rows: Vec<TryRow> = RunningOf { worker: &worker }.load(&mut conn).await?;
        Ok(rows.into_iter().map(TryKey::from).collect())
    }
}

#[derive(QueryableByName)]
struct QueuedRow {
    #[diesel(sql_type = Text)]
    queue: Parsed<QueueName>,
    #[diesel(embed)]
    attempt: TryRow,
    #[diesel(sql_type = Timestamptz)]
    queued_at: DateTime<Utc>,
}

hot_query! {
    Queued { seconds: f64 => Double, limit: i64 => BigInt }
    "SELECT t.queue, t.run_key, t.index, t.try_number, t.queued_at
     FROM dag_run r JOIN task_instance t ON t.run_key = r.key
     WHERE r.state IN ('queued', 'running') AND t.state = 'queued' AND t.queued_at <= now() - make_interval(secs => $1)
     ORDER BY t.queued_at, t.run_key, t.index LIMIT $2"
}

hot_query! {
    Unclaimed { seconds: f64 => Double, lease: f64 => Double, limit: i64 => BigInt }
    "WITH late AS (
         SELECT t.run_key, t.index, t.try_number, t.queue
         FROM dag_run r JOIN task_instance t ON t.run_key = r.key
         WHERE r.state IN ('queued', 'running') AND t.state = 'queued'
           AND t.queued_at <= now() - make_interval(secs => $1)
     ), busy AS (
         SELECT t.worker, count(*) AS tries
         FROM dag_run r JOIN task_instance t ON t.run_key = r.key
         WHERE r.state IN ('queued', 'running') AND t.state = 'running' GROUP BY t.worker
     )
     SELECT run_key, index, try_number FROM late
     WHERE EXISTS (
         SELECT FROM job j LEFT JOIN busy b ON b.worker = j.id
         WHERE j.kind = 'worker' AND j.state = 'running' AND j.renewed_at > now() - make_interval(secs => $2)
           AND late.queue = ANY(j.queues) AND j.slots > coalesce(b.tries, 0)
     )
     ORDER BY run_key, index LIMIT $3"
}

hot_query! {
    RunningOf { worker: Uuid => SqlUuid }
    "SELECT t.run_key, t.index, t.try_number
     FROM dag_run r JOIN task_instance t ON t.run_key = r.key
     WHERE r.state IN ('queued', 'running') AND t.state = 'running' AND t.worker = $1
     ORDER BY t.run_key, t.index"
}
