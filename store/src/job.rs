//! The long-running processes. A worker's row is the lease of everything that it runs.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, Bool, Double, Integer, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    engine::record::WorkerRecord,
    id::{QueueName, TryKey},
};
use uuid::Uuid;

use crate::{
    Error, LeaderProof, Store,
    column::{Parsed, TryRow, int},
    hot::hot_query,
};

/// A worker that has not renewed its row for this long may claim nothing, and a leader may declare it lost.
pub const LEASE: Duration = Duration::from_secs(15);

/// A worker's row is to be renewed this often.
pub const RENEW_EVERY: Duration = Duration::from_secs(5);

macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Its name in the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text { $($text => Ok(Self::$variant),)+ other => Err(format!("`{other}` is unknown")) }
            }
        }
    };
}

names! {
    /// What a process does.
    Kind {
        /// Leads, or stands by to lead.
        Scheduler = "scheduler",
        /// Runs tasks.
        Worker = "worker",
        /// Serves pages and the API.
        Webserver = "webserver",
    }
}

names! {
    /// How a process is.
    State {
        /// At work.
        Running = "running",
        /// Takes nothing new and ends what it has.
        Draining = "draining",
        /// Ended.
        Stopped = "stopped",
        /// Its lease ran out: it must stop everything that it runs.
        Lost = "lost",
    }
}

/// A process that is starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// Chosen by the process itself, new at every start.
    pub id: Uuid,
    /// What it does.
    pub kind: Kind,
    /// The machine it runs on.
    pub hostname: String,
    /// Its process id.
    pub pid: u32,
    /// The queues it listens to, if it is a worker.
    pub queues: Vec<QueueName>,
    /// How many tasks it runs at the same time, if it is a worker.
    pub slots: u32,
}

/// A process as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: Uuid,
    /// What it does.
    pub kind: Kind,
    /// How it is.
    pub state: State,
    /// The machine it runs on.
    pub hostname: String,
    /// Its process id there.
    pub pid: i32,
    /// The queues it listens to.
    pub queues: Vec<String>,
    /// How many tasks it runs at the same time.
    pub slots: u32,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it last said that it lives.
    pub renewed_at: DateTime<Utc>,
    /// It is running or draining, and has renewed its row within [`LEASE`].
    pub is_alive: bool,
}

/// A worker whose lease ran out, and what it was running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostWorker {
    /// The worker.
    pub worker: Uuid,
    /// What it was running.
    pub tries: Vec<TryKey>,
}

impl Store {
    /// Records a process that is starting.
    ///
    /// # Errors
    /// [`Error::Conflict`] when its id is taken.
    pub async fn register(&self, job: &NewJob) -> Result<(), Error> {
        let queues: Vec<&str> = job.queues.iter().map(QueueName::as_str).collect();
        let query = Register {
            id: &job.id,
            kind: job.kind.as_str(),
            hostname: &job.hostname,
            pid: &i32::try_from(job.pid).unwrap_or(0),
            queues: &queues,
            slots: &int(job.slots),
        };
        let mut conn = self.conn().await?;
        query.execute(&mut conn).await?;
        Ok(())
    }

    /// Says that the process lives. False when its row is gone or was declared lost: a worker must then stop everything
    /// that it runs and start again under a new id.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn renew_job(&self, id: Uuid) -> Result<bool, Error> {
        let mut conn = self.hot_conn().await?;
        Ok(RenewJob { id: &id }.execute(&mut conn).await? == 1)
    }

    /// Records how the process is. False when its row is gone or was declared lost.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn set_job_state(&self, id: Uuid, state: State) -> Result<bool, Error> {
        let mut conn = self.conn().await?;
        Ok(SetState { id: &id, state: state.as_str() }.execute(&mut conn).await? == 1)
    }

    /// All processes that have not been forgotten, newest first, at most 1,000.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn jobs(&self) -> Result<Vec<Job>, Error> {
        let mut conn = self.conn().await?;
        let rows: Vec<Row> = List { lease: &LEASE.as_secs_f64() }.load(&mut conn).await?;
        Ok(rows.into_iter().map(Job::from).collect())
    }

    /// The workers that may be given work: running, and renewed within [`LEASE`].
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn live_workers(&self) -> Result<Vec<WorkerRecord>, Error> {
        let mut conn = self.conn().await?;
        live_workers(&mut conn).await
    }

    /// Declares every worker lost that has not renewed its row for `ttl`, and says what each was running. From then on it
    /// can claim nothing. A worker is reported once: after a change of leaders, see [`Store::orphans`].
    ///
    /// # Errors
    /// [`Error::Fenced`] when the proof no longer holds.
    pub async fn expire(&self, proof: &LeaderProof, ttl: Duration) -> Result<Vec<LostWorker>, Error> {
        let mut transaction = self.begin().await?;
        transaction.assert_leader(proof).await?;
        let lost: Vec<Expired> = Expire { seconds: &ttl.as_secs_f64() }.load(&mut transaction).await?;
        let lost: Vec<Uuid> = lost.into_iter().map(|row| row.id).collect();
        if lost.is_empty() {
            transaction.commit().await?;
            return Ok(Vec::new());
        }
        // A statement of its own: the one before may have waited for claims that it does not see itself.
        let rows: Vec<OnWorker> = RunningOf { workers: &lost }.load(&mut transaction).await?;
        transaction.commit().await?;
        let running = by_worker(rows);
        let idle = lost.into_iter().filter(|id| running.iter().all(|worker| worker.worker != *id));
        let idle: Vec<LostWorker> = idle.map(|worker| LostWorker { worker, tries: Vec::new() }).collect();
        Ok(running.into_iter().chain(idle).collect())
    }

    /// The running tries whose worker is lost, stopped or unknown: what a leader that died half-way left behind.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn orphans(&self) -> Result<Vec<LostWorker>, Error> {
        let mut conn = self.conn().await?;
        orphans(&mut conn).await
    }
}

pub(crate) async fn orphans(conn: &mut AsyncPgConnection) -> Result<Vec<LostWorker>, Error> {
    let rows: Vec<OnWorker> = Orphans {}.load(conn).await?;
    Ok(by_worker(rows))
}

/// Groups rows that are ordered by worker.
fn by_worker(rows: Vec<OnWorker>) -> Vec<LostWorker> {
    let mut workers: Vec<LostWorker> = Vec::new();
    for row in rows {
        let attempt = row.attempt.into();
        match workers.last_mut() {
            Some(last) if last.worker == row.worker => last.tries.push(attempt),
            _ => workers.push(LostWorker { worker: row.worker, tries: vec![attempt] }),
        }
    }
    workers
}

pub(crate) async fn live_workers(conn: &mut AsyncPgConnection) -> Result<Vec<WorkerRecord>, Error> {
    let rows: Vec<Worker> = LiveWorkers { lease: &LEASE.as_secs_f64() }.load(conn).await?;
    let worker = |row: Worker| WorkerRecord {
        id: row.id,
        queues: row.queues.into_iter().map(|queue| queue.0).collect(),
        slots: u32::try_from(row.slots).unwrap_or(0),
    };
    Ok(rows.into_iter().map(worker).collect())
}

impl From<Row> for Job {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            kind: row.kind.0,
            state: row.state.0,
            hostname: row.hostname,
            pid: row.pid,
            queues: row.queues,
            slots: u32::try_from(row.slots).unwrap_or(0),
            started_at: row.started_at,
            renewed_at: row.renewed_at,
            is_alive: row.is_alive,
        }
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    kind: Parsed<Kind>,
    #[diesel(sql_type = Text)]
    state: Parsed<State>,
    #[diesel(sql_type = Text)]
    hostname: String,
    #[diesel(sql_type = Integer)]
    pid: i32,
    #[diesel(sql_type = Array<Text>)]
    queues: Vec<String>,
    #[diesel(sql_type = Integer)]
    slots: i32,
    #[diesel(sql_type = Timestamptz)]
    started_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    renewed_at: DateTime<Utc>,
    #[diesel(sql_type = Bool)]
    is_alive: bool,
}

#[derive(QueryableByName)]
struct Worker {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Array<Text>)]
    queues: Vec<Parsed<QueueName>>,
    #[diesel(sql_type = Integer)]
    slots: i32,
}

#[derive(QueryableByName)]
struct Expired {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

#[derive(QueryableByName)]
struct OnWorker {
    #[diesel(sql_type = SqlUuid)]
    worker: Uuid,
    #[diesel(embed)]
    attempt: TryRow,
}

hot_query! {
    Register {
        id: Uuid => SqlUuid,
        kind: str => Text,
        hostname: str => Text,
        pid: i32 => Integer,
        queues: [&'a str] => Array<Text>,
        slots: i32 => Integer,
    }
    "INSERT INTO job (id, kind, state, hostname, pid, queues, slots) VALUES ($1, $2, 'running', $3, $4, $5, $6)"
}

hot_query! {
    RenewJob { id: Uuid => SqlUuid }
    "UPDATE job SET renewed_at = now() WHERE id = $1 AND state IN ('running', 'draining')"
}

hot_query! {
    SetState { id: Uuid => SqlUuid, state: str => Text }
    "UPDATE job SET state = $2, renewed_at = now() WHERE id = $1 AND state <> 'lost'"
}

hot_query! {
    List { lease: f64 => Double }
    "SELECT *, state IN ('running', 'draining') AND renewed_at > now() - make_interval(secs => $1) AS is_alive
     FROM job ORDER BY started_at DESC, id LIMIT 1000"
}

hot_query! {
    LiveWorkers { lease: f64 => Double }
    "SELECT id, queues, slots FROM job
     WHERE kind = 'worker' AND state = 'running' AND renewed_at > now() - make_interval(secs => $1)
     ORDER BY id"
}

hot_query! {
    Expire { seconds: f64 => Double }
    "UPDATE job SET state = 'lost'
     WHERE kind = 'worker' AND state IN ('running', 'draining') AND renewed_at <= now() - make_interval(secs => $1)
     RETURNING id"
}

hot_query! {
    /// A restarting instance is one whose process is being stopped: it is on its worker too.
    RunningOf { workers: [Uuid] => Array<SqlUuid> }
    "SELECT t.worker, t.run_key, t.index, t.try_number
     FROM dag_run r JOIN task_instance t ON t.run_key = r.key
     WHERE r.state IN ('queued', 'running') AND t.state IN ('running', 'restarting') AND t.worker = ANY($1)
     ORDER BY t.worker, t.run_key, t.index"
}

hot_query! {
    Orphans {}
    "SELECT t.worker, t.run_key, t.index, t.try_number
     FROM dag_run r JOIN task_instance t ON t.run_key = r.key
     LEFT JOIN job j ON j.id = t.worker AND j.state IN ('running', 'draining')
     WHERE r.state IN ('queued', 'running') AND t.state IN ('running', 'restarting') AND t.worker IS NOT NULL
       AND j.id IS NULL
     ORDER BY t.worker, t.run_key, t.index"
}
