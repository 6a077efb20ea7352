//! Forgetting: history older than a moment, in batches small enough to disturb nobody.

use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Bool, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::{Error, Store, hot::hot_query};

/// Rows deleted by one statement.
const AT_ONCE: i64 = 500;

/// How much was deleted, or would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Ended runs, with their task instances, tries, rendered fields and XComs.
    pub runs: usize,
    /// Backfills that are over, with their dates.
    pub backfills: usize,
    /// DAG versions that no run and no DAG uses any more.
    pub versions: usize,
    /// Alerts that were sent or given up; those of deleted runs go with them and are not counted.
    pub alerts: usize,
    /// Asset events, but for those of assets that are queued.
    pub asset_events: usize,
    /// What tasks kept for themselves and nobody wanted any more; what goes with its run is not counted.
    pub task_states: usize,
    /// Lines of the audit log.
    pub events: usize,
    /// Processes that ended.
    pub jobs: usize,
    /// Sessions and sign-in links that ran out.
    pub sessions: usize,
}

impl Store {
    /// Deletes what ended before `before`. The newest run of each DAG stays. May be stopped at any moment.
    ///
    /// # Errors
    /// Only when the database fails; what was deleted before stays deleted.
    pub async fn clean(&self, before: DateTime<Utc>) -> Result<Cleaned, Error> {
        let conn = &mut *self.conn().await?;
        RaiseRunKey {}.execute(conn).await?;
        Ok(Cleaned {
            runs: in_batches(conn, CleanRuns { before: &before, limit: &AT_ONCE }).await?,
            backfills: in_batches(conn, CleanBackfills { before: &before, limit: &AT_ONCE }).await?,
            versions: in_batches(conn, CleanVersions { before: &before, limit: &AT_ONCE }).await?,
            alerts: in_batches(conn, CleanAlerts { before: &before, limit: &AT_ONCE }).await?,
            asset_events: in_batches(conn, CleanAssetEvents { before: &before, limit: &AT_ONCE }).await?,
            task_states: in_batches(conn, CleanTaskStates { before: &before, limit: &AT_ONCE }).await?,
            events: in_batches(conn, CleanEvents { before: &before, limit: &AT_ONCE }).await?,
            jobs: in_batches(conn, CleanJobs { before: &before, limit: &AT_ONCE }).await?,
            sessions: self.forget_expired_sessions().await?,
        })
    }

    /// What [`Store::clean`] would delete, apart from sessions.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn count_old(&self, before: DateTime<Utc>) -> Result<Cleaned, Error> {
        let mut conn = self.conn().await?;
        let rows: Vec<Count> = CountOld { before: &before }.load(&mut conn).await?;
        let count = |table: &str| {
            let count = rows.iter().find(|row| row.table == table).map_or(0, |row| row.count);
            usize::try_from(count).unwrap_or(0)
        };
        Ok(Cleaned {
            runs: count("dag_run"),
            backfills: count("backfill"),
            versions: 0,
            alerts: count("alert"),
            asset_events: count("asset_event"),
            task_states: count("task_state"),
            events: count("event_log"),
            jobs: count("job"),
            sessions: 0,
        })
    }

    /// Deletes everything and makes the tables anew.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn reset(&self) -> Result<(), Error> {
        let mut conn = self.conn().await?;
        let exists: Flag = HasTables {}.get_result(&mut conn).await?;
        drop(conn);
        if exists.flag {
            self.unmigrate().await?;
        }
        self.migrate().await.map(|_| ())
    }
}

async fn in_batches<Q>(conn: &mut AsyncPgConnection, query: Q) -> Result<usize, Error>
where
    Q: Copy + diesel_async::methods::ExecuteDsl<AsyncPgConnection>,
{
    let mut total = 0;
    loop {
        match query.execute(conn).await? {
            0 => return Ok(total),
            deleted => total += deleted,
        }
    }
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct Flag {
    #[diesel(sql_type = Bool)]
    flag: bool,
}

hot_query! {
    /// Remembers the highest run key before runs are deleted, so that a new leader does not give it again.
    RaiseRunKey {}
    "SELECT setval('run_key', greatest(1, (SELECT max(key) FROM dag_run), (SELECT last_value FROM run_key)))"
}

hot_query! {
    CleanRuns { before: DateTime<Utc> => Timestamptz, limit: i64 => BigInt }
    "DELETE FROM dag_run WHERE key IN (
         SELECT r.key FROM dag_run r WHERE r.ended_at < $1
           AND EXISTS (SELECT FROM dag_run n WHERE n.dag_id = r.dag_id AND (n.run_after, n.key) > (r.run_after, r.key))
         ORDER BY r.ended_at LIMIT $2
     )"
}

hot_query! {
    CleanBackfills { before: DateTime<Utc> => Timestamptz, limit: i64 => BigInt }
    "DELETE FROM backfill WHERE id IN (
         SELECT id FROM backfill WHERE completed_at < $1 ORDER BY completed_at LIMIT $2
     )"
}

hot_query! {
    CleanVersions { before: DateTime<Utc> => Timestamptz, limit: i64 => BigInt }
    "DELETE FROM dag_version WHERE id IN (
         SELECT v.id FROM dag_version v WHERE v.created_at < $1
           AND NOT EXISTS (SELECT FROM dag d WHERE d.version_id = v.id)
           AND NOT EXISTS (SELECT FROM dag_run r WHERE r.version_id = v.id)
         LIMIT $2
     )"
}

hot_query! {
    CleanAlerts { before: DateTime<Utc> => Timestamptz, limit: i64 => BigInt }
    "DELETE FROM alert WHERE id IN (
         SELECT a.id FROM alert a JOIN dag_run r ON r.key = a.run_key
         WHERE a.settled_at < $1 AND r.ended_at IS NOT NULL LIMIT $2
     )"
}

hot_query! {
    /// What a DAG is still to consume stays, and the newest event of each asset.
    CleanAssetEvents { before: DateTime<Utc> => Timestamptz, limit: i64 => BigInt }
    "DELETE FROM asset_event WHERE id IN (
         SELECT e.id FROM asset_event e WHERE e.at < $1
           AND EXISTS (SELECT FROM asset_event n WHERE n.asset_id = e.asset_id AND n.id > e.id)
           AND NOT EXISTS (SELECT FROM asset_dag_run_queue q WHERE q.asset_id = e.asset_id)
           AND NOT EXISTS (SELECT FROM partition_event p WHERE p.event_id = e.id)
         ORDER BY e.at LIMIT $2
     )"
}

hot_query! {
    CleanTaskStates { before: DateTime<Utc> => Timestamptz, limit: i64 => BigInt }
    "DELETE FROM task_state WHERE ctid IN (SELECT ctid FROM task_state WHERE expires_at < $1 LIMIT $2)"
}

hot_query! {
    CleanEvents { before: DateTime<Utc> => Timestamptz, limit: i64 => BigInt }
    "DELETE FROM event_log WHERE id IN (SELECT id FROM event_log WHERE at < $1 ORDER BY at LIMIT $2)"
}

hot_query! {
    CleanJobs { before: DateTime<Utc> => Timestamptz, limit: i64 => BigInt }
    "DELETE FROM job WHERE id IN (SELECT id FROM job WHERE state IN ('stopped', 'lost') AND renewed_at < $1 LIMIT $2)"
}

hot_query! {
    CountOld { before: DateTime<Utc> => Timestamptz }
    "SELECT 'dag_run' AS table, count(*) AS count FROM dag_run r WHERE r.ended_at < $1
       AND EXISTS (SELECT FROM dag_run n WHERE n.dag_id = r.dag_id AND (n.run_after, n.key) > (r.run_after, r.key))
     UNION ALL SELECT 'backfill', count(*) FROM backfill WHERE completed_at < $1
     UNION ALL SELECT 'alert', count(*) FROM alert a JOIN dag_run r ON r.key = a.run_key
       WHERE a.settled_at < $1 AND r.ended_at IS NOT NULL
     UNION ALL SELECT 'asset_event', count(*) FROM asset_event e WHERE e.at < $1
       AND EXISTS (SELECT FROM asset_event n WHERE n.asset_id = e.asset_id AND n.id > e.id)
       AND NOT EXISTS (SELECT FROM asset_dag_run_queue q WHERE q.asset_id = e.asset_id)
       AND NOT EXISTS (SELECT FROM partition_event p WHERE p.event_id = e.id)
     UNION ALL SELECT 'task_state', count(*) FROM task_state WHERE expires_at < $1
     UNION ALL SELECT 'event_log', count(*) FROM event_log WHERE at < $1
     UNION ALL SELECT 'job', count(*) FROM job WHERE state IN ('stopped', 'lost') AND renewed_at < $1"
}

hot_query! {
    HasTables {}
    "SELECT to_regclass('dag_run') IS NOT NULL AS flag"
}
