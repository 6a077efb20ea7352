//! The triggers of deferred instances, as workers see them: taken, given back, and what they say.
//!
//! Each open trigger is held by at most one worker, under that worker's lease. When the lease is over, the trigger is there for another one;
//! what the first one still says is refused, because it does not hold the trigger any more.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Double, Integer, Json, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use domain::{
    deferral::Fired,
    id::{QueueName, TryKey},
    intent::Message,
};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    Error, Store,
    column::{FromJson, ToJson, TryColumns, TryRow, count, int},
    hot::hot_query,
    inbox, job,
};

/// Most triggers that a worker takes, or of which it says something, at once.
pub const MOST_TRIGGERS: usize = 1_000;

/// A trigger that this worker holds now.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldTrigger {
    /// Its number: another one for each deferral.
    pub id: i64,
    /// The try that waits for it.
    pub attempt: TryKey,
    /// Which deferral of that try it is.
    pub number: u32,
    /// Its class.
    pub classpath: String,
    /// What it is made with.
    pub kwargs: Map<String, Value>,
    /// It has taken too long then.
    pub deadline: Option<DateTime<Utc>>,
    /// The DAG of the try.
    pub dag_id: String,
    /// The run of the try.
    pub run_id: String,
    /// The task of the try.
    pub task_id: String,
    /// Its place among the instances of a mapped task, or -1.
    pub map_index: i32,
    /// The queue of the task.
    pub queue: String,
    /// The slots that the task takes in its pool.
    pub pool_slots: u32,
    /// The priority of the task.
    pub priority: i32,
}

impl Store {
    /// Takes open triggers of some queues that no live worker holds, the oldest first. Nothing when this worker's lease is over, or when it
    /// is draining.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn take_triggers(
        &self,
        worker: Uuid,
        queues: &[QueueName],
        most: usize,
    ) -> Result<Vec<HeldTrigger>, Error> {
        let queues: Vec<&str> = queues.iter().map(QueueName::as_str).collect();
        let query = Take {
            worker: &worker,
            queues: &queues,
            most: &i32::try_from(most.min(MOST_TRIGGERS)).unwrap_or(0),
            lease: &job::LEASE.as_secs_f64(),
        };
        let mut conn = self.conn().await?;
        let rows: Vec<Row> = query.load(&mut conn).await?;
        Ok(rows.into_iter().map(HeldTrigger::from).collect())
    }

    /// The numbers of the triggers that a worker holds: those of instances that still wait for them.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn triggers_of(&self, worker: Uuid) -> Result<Vec<i64>, Error> {
        let mut conn = self.conn().await?;
        let rows: Vec<Id> = Held { worker: &worker }.load(&mut conn).await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    /// Gives triggers back, so that any worker may take them; those that this one does not hold are passed over.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn give_back_triggers(&self, worker: Uuid, ids: &[i64]) -> Result<(), Error> {
        let mut conn = self.conn().await?;
        GiveBack { worker: &worker, ids }.execute(&mut conn).await?;
        Ok(())
    }

    /// Puts into the inbox what triggers say, if the worker that says so still holds them; returns how many those were. Ring the engine's
    /// doorbell afterwards.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are more than [`MOST_TRIGGERS`], or when the engine could not record what one of them says.
    pub async fn post_fired(&self, fired: &[Fired]) -> Result<usize, Error> {
        if fired.len() > MOST_TRIGGERS {
            return Err(Error::Invalid(format!(
                "at most {MOST_TRIGGERS} triggers at once, not {}",
                fired.len()
            )));
        }
        if fired.is_empty() {
            return Ok(0);
        }
        let messages: Vec<Message> = fired.iter().cloned().map(Message::Fired).collect();
        messages.iter().try_for_each(inbox::check)?;
        let bodies = messages.iter().map(ToJson::of).collect::<Result<Vec<_>, _>>()?;
        let tries = TryColumns::of(&fired.iter().map(|fired| fired.attempt).collect::<Vec<_>>());
        let query = PostFired {
            bodies: &bodies,
            run_key: &tries.run_key,
            index: &tries.index,
            try_number: &tries.try_number,
            number: &fired.iter().map(|fired| int(fired.number)).collect::<Vec<_>>(),
            worker: &fired.iter().map(|fired| fired.worker).collect::<Vec<_>>(),
        };
        let mut conn = self.hot_conn().await?;
        Ok(query.execute(&mut conn).await?)
    }
}

impl From<Row> for HeldTrigger {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            attempt: row.attempt.into(),
            number: count(row.number),
            classpath: row.classpath,
            kwargs: row.kwargs.0,
            deadline: row.deadline,
            dag_id: row.dag_id,
            run_id: row.run_id,
            task_id: row.task_id,
            map_index: row.map_index,
            queue: row.queue,
            pool_slots: count(row.pool_slots),
            priority: row.priority,
        }
    }
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(embed)]
    attempt: TryRow,
    #[diesel(sql_type = Integer)]
    number: i32,
    #[diesel(sql_type = Text)]
    classpath: String,
    #[diesel(sql_type = Json)]
    kwargs: FromJson<Map<String, Value>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    deadline: Option<DateTime<Utc>>,
    #[diesel(sql_type = Text)]
    dag_id: String,
    #[diesel(sql_type = Text)]
    run_id: String,
    #[diesel(sql_type = Text)]
    task_id: String,
    #[diesel(sql_type = Integer)]
    map_index: i32,
    #[diesel(sql_type = Text)]
    queue: String,
    #[diesel(sql_type = Integer)]
    pool_slots: i32,
    #[diesel(sql_type = Integer)]
    priority: i32,
}

hot_query! {
    /// The lock on the worker's row makes a leader that declares it lost wait. What somebody else is just taking is passed over.
    Take {
        worker: Uuid => SqlUuid,
        queues: [&'a str] => Array<Text>,
        most: i32 => Integer,
        lease: f64 => Double,
    }
    "WITH alive AS MATERIALIZED (
         SELECT id FROM job
         WHERE id = $1 AND kind = 'worker' AND state = 'running' AND renewed_at > now() - make_interval(secs => $4)
         FOR SHARE
     ),
     free AS MATERIALIZED (
         SELECT d.run_key, d.index FROM deferral d
         WHERE d.resumption IS NULL AND d.classpath IS NOT NULL AND d.queue = ANY($2) AND EXISTS (SELECT FROM alive)
           AND (d.worker IS NULL OR NOT EXISTS (
               SELECT FROM job j
               WHERE j.id = d.worker AND j.state IN ('running', 'draining')
                 AND j.renewed_at > now() - make_interval(secs => $4)))
         ORDER BY d.deferred_at LIMIT $3
         FOR UPDATE OF d SKIP LOCKED
     ),
     taken AS (
         UPDATE deferral d SET worker = $1 FROM free f WHERE d.run_key = f.run_key AND d.index = f.index RETURNING d.*
     )
     SELECT d.id, d.run_key, d.index, d.try_number, d.number, d.classpath, d.kwargs, d.deadline, r.dag_id, r.run_id,
            t.task_id, t.map_index, d.queue, t.pool_slots, t.priority
     FROM taken d
     JOIN dag_run r ON r.key = d.run_key
     JOIN task_instance t ON t.run_key = d.run_key AND t.index = d.index
     ORDER BY d.id"
}

hot_query! {
    Held { worker: Uuid => SqlUuid }
    "SELECT id FROM deferral WHERE worker = $1 AND resumption IS NULL"
}

hot_query! {
    GiveBack { worker: Uuid => SqlUuid, ids: [i64] => Array<BigInt> }
    "UPDATE deferral SET worker = NULL WHERE worker = $1 AND resumption IS NULL AND id = ANY($2)"
}

hot_query! {
    PostFired {
        bodies: [ToJson] => Array<Json>,
        run_key: [i64] => Array<BigInt>,
        index: [i32] => Array<Integer>,
        try_number: [i32] => Array<Integer>,
        number: [i32] => Array<Integer>,
        worker: [Uuid] => Array<SqlUuid>,
    }
    "INSERT INTO inbox (body)
     SELECT f.body
     FROM unnest($1::json[], $2::bigint[], $3::integer[], $4::integer[], $5::integer[], $6::uuid[]) WITH ORDINALITY
          AS f (body, run_key, index, try_number, number, worker, place)
     JOIN deferral d ON d.run_key = f.run_key AND d.index = f.index AND d.try_number = f.try_number
          AND d.number = f.number AND d.worker = f.worker AND d.resumption IS NULL
     ORDER BY f.place"
}
