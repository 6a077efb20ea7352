//! How the platform is: the leader, the processes, and counts for the home page and for metrics.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Bool, Double, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use domain::state::{RunState, TaskState};

use crate::{Error, Store, column::Parsed, hot::hot_query, job, lease};

/// How the platform is.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Health {
    /// Some scheduler leads.
    #[diesel(sql_type = Bool)]
    pub is_led: bool,
    /// When the leader last said so.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub leader_renewed_at: Option<DateTime<Utc>>,
    /// Schedulers that live: the leader and its standbys.
    #[diesel(sql_type = BigInt)]
    pub schedulers: i64,
    /// Workers that take tasks.
    #[diesel(sql_type = BigInt)]
    pub workers: i64,
    /// How many tasks these run at the same time.
    #[diesel(sql_type = BigInt)]
    pub slots: i64,
    /// Web servers that live.
    #[diesel(sql_type = BigInt)]
    pub webservers: i64,
}

/// Counts for the home page and for metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Runs by state; those that ended only within the last day.
    pub runs: Vec<(RunState, i64)>,
    /// Task instances of active runs by state.
    pub tasks: Vec<(TaskState, i64)>,
    /// Messages that wait for the engine.
    pub inbox: i64,
    /// For how many seconds the oldest of them has been waiting.
    pub inbox_age: f64,
    /// For how many seconds the oldest queued task has been waiting.
    pub queued_age: f64,
}

impl Store {
    /// How the platform is.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn health(&self) -> Result<Health, Error> {
        let mut conn = self.conn().await?;
        let query = FindHealth { shard: lease::MAIN, lease: &job::LEASE.as_secs_f64() };
        Ok(query.get_result(&mut conn).await?)
    }

    /// Counts for the home page and for metrics.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn platform_load(&self) -> Result<Load, Error> {
        let mut conn = self.conn().await?;
        let runs: Vec<RunCount> = CountRuns {}.load(&mut conn).await?;
        let tasks: Vec<TaskCount> = CountTasks {}.load(&mut conn).await?;
        let ages: Ages = FindAges {}.get_result(&mut conn).await?;
        let oldest = tasks.iter().find(|row| row.state.0 == TaskState::Queued).and_then(|row| row.age);
        Ok(Load {
            runs: runs.into_iter().map(|row| (row.state.0, row.count)).collect(),
            queued_age: oldest.unwrap_or(0.0).max(0.0),
            tasks: tasks.into_iter().map(|row| (row.state.0, row.count)).collect(),
            inbox: ages.inbox,
            inbox_age: ages.age.unwrap_or(0.0).max(0.0),
        })
    }
}

#[derive(QueryableByName)]
struct RunCount {
    #[diesel(sql_type = Text)]
    state: Parsed<RunState>,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct TaskCount {
    #[diesel(sql_type = Text)]
    state: Parsed<TaskState>,
    #[diesel(sql_type = BigInt)]
    count: i64,
    #[diesel(sql_type = Nullable<Double>)]
    age: Option<f64>,
}

#[derive(QueryableByName)]
struct Ages {
    #[diesel(sql_type = BigInt)]
    inbox: i64,
    #[diesel(sql_type = Nullable<Double>)]
    age: Option<f64>,
}

hot_query! {
    FindHealth { shard: str => Text, lease: f64 => Double }
    include_str!("health/health.sql")
}

hot_query! {
    CountRuns {}
    "SELECT state, count(*) AS count FROM (
         SELECT state FROM dag_run WHERE state IN ('queued', 'running')
         UNION ALL SELECT state FROM dag_run WHERE ended_at > now() - interval '1 day'
     ) r GROUP BY state ORDER BY state"
}

hot_query! {
    CountTasks {}
    "SELECT t.state, count(*) AS count, extract(epoch FROM now() - min(t.queued_at))::float8 AS age
     FROM dag_run r JOIN task_instance t ON t.run_key = r.key
     WHERE r.state IN ('queued', 'running') GROUP BY t.state ORDER BY t.state"
}

hot_query! {
    FindAges {}
    "SELECT count(*) AS inbox, extract(epoch FROM now() - min(created_at))::float8 AS age FROM inbox"
}
