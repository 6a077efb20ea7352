//! A worker's claim: the one change of a task instance that is not the engine's.

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Double, Integer, Json, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use domain::{
    deferral::FAIL,
    engine::record::VersionId,
    id::{DagId, RunId, TaskId, TryKey},
    partition::{Key, Partition},
    state::RunType,
    timetable::DataInterval,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    Error, Store,
    column::{FromJson, Parsed, TryColumns, TryRow, count, interval},
    hot::hot_query,
    job,
    partition::partition,
};

/// Most tries of one claim.
pub const MOST_TRIES: usize = 1_000;

/// A try that this worker runs now, with everything that its context needs from the records.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The try; what the outcome carries.
    pub attempt: TryKey,
    /// Its DAG.
    pub dag_id: DagId,
    /// Its run.
    pub run_id: RunId,
    /// How the run came to be.
    pub run_type: RunType,
    /// Its task.
    pub task_id: TaskId,
    /// Its place among the instances of a mapped task, or -1.
    pub map_index: i32,
    /// It is tried again while the try number is not above this.
    pub max_tries: u32,
    /// How often a worker has looked under this try number; what the outcome carries.
    pub pokes: u32,
    /// When the first look of this try began, where it waits for something.
    pub since: Option<DateTime<Utc>>,
    /// With what it goes on, when it has waited for a trigger.
    pub resumption: Option<Resumed>,
    /// How many rounds of its loop are behind it.
    pub rounds: u32,
    /// The version of the DAG that the run runs: see [`Store::version`].
    pub version: VersionId,
    /// The DAG file of that version, as the loader named it.
    pub file: String,
    /// The run's logical date.
    pub logical_date: Option<DateTime<Utc>>,
    /// The run's data interval.
    pub data_interval: Option<DataInterval>,
    /// What the run is about, in a partitioned DAG.
    pub partition: Option<Partition>,
    /// The run was due then.
    pub run_after: DateTime<Utc>,
    /// The run started then.
    pub run_started_at: Option<DateTime<Utc>>,
    /// What the run was given.
    pub conf: Map<String, Value>,
    /// Who triggered the run, when a person did.
    pub triggered_by: Option<String>,
    /// What the run was created for, when assets asked for it: the newest hundred events, the newest last.
    pub asset_events: Vec<Value>,
    /// When it was claimed, by the database's clock.
    pub started_at: DateTime<Utc>,
}

/// With what a task goes on that has waited for a trigger.
#[derive(Debug, Clone, PartialEq)]
pub struct Resumed {
    /// The method of its operator.
    pub method: String,
    /// What that is given, as Airflow's serializer writes it.
    pub kwargs: Map<String, Value>,
}

impl Resumed {
    fn of(method: String, kwargs: Map<String, Value>, resumption: Resumption) -> Self {
        match resumption {
            Resumption::Failure(kwargs) => Self { method: FAIL.to_owned(), kwargs },
            Resumption::Event(event) => {
                let mut kwargs = kwargs;
                kwargs.insert("event".to_owned(), event);
                Self { method, kwargs }
            }
        }
    }
}

/// What woke an instance; see the table `deferral`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Resumption {
    Event(Value),
    Failure(Map<String, Value>),
}

/// The newest successful run before a given one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousSuccess {
    /// Its data interval.
    pub data_interval: Option<DataInterval>,
    /// When it started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Claims those of `tries` that are still queued, for a worker whose lease is alive. The others are somebody else's,
    /// or no longer wanted: drop them.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are more than [`MOST_TRIES`].
    pub async fn claim(&self, worker: Uuid, tries: &[TryKey]) -> Result<Vec<Claimed>, Error> {
        if tries.len() > MOST_TRIES {
            return Err(Error::Invalid(format!(
                "at most {MOST_TRIES} tries can be claimed at once, not {}",
                tries.len()
            )));
        }
        if tries.is_empty() {
            return Ok(Vec::new());
        }
        let keys = TryColumns::of(tries);
        let query = Claim {
            worker: &worker,
            run_key: &keys.run_key,
            index: &keys.index,
            try_number: &keys.try_number,
            lease: &job::LEASE.as_secs_f64(),
        };
        let mut conn = self.hot_conn().await?;
        let rows: Vec<Row> = query.load(&mut conn).await?;
        Ok(rows.into_iter().map(Claimed::from).collect())
    }

    /// Notes the process ids of running tries, for people who look for them. Tries that have ended are passed over.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn set_pids(&self, worker: Uuid, pids: &[(TryKey, u32)]) -> Result<(), Error> {
        let mut conn = self.hot_conn().await?;
        for chunk in pids.chunks(MOST_TRIES) {
            let tries: Vec<TryKey> = chunk.iter().map(|(attempt, _)| *attempt).collect();
            let keys = TryColumns::of(&tries);
            let pid: Vec<i32> = chunk.iter().map(|(_, pid)| i32::try_from(*pid).unwrap_or(0)).collect();
            let query = SetPids {
                worker: &worker,
                run_key: &keys.run_key,
                index: &keys.index,
                try_number: &keys.try_number,
                pid: &pid,
            };
            query.execute(&mut conn).await?;
        }
        Ok(())
    }

    /// The newest successful run of `dag_id` with a logical date before `before`.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn previous_success(
        &self,
        dag_id: &DagId,
        before: DateTime<Utc>,
    ) -> Result<Option<PreviousSuccess>, Error> {
        let mut conn = self.conn().await?;
        let row: Option<PreviousRow> = FindPrevious { dag_id: dag_id.as_str(), before: &before }
            .get_result(&mut conn)
            .await
            .optional()?;
        Ok(row.map(|row| PreviousSuccess {
            data_interval: interval(row.interval_start, row.interval_end),
            started_at: row.started_at,
            ended_at: row.ended_at,
        }))
    }
}

impl From<Row> for Claimed {
    fn from(row: Row) -> Self {
        Self {
            attempt: row.attempt.into(),
            dag_id: row.dag_id.0,
            run_id: row.run_id.0,
            run_type: row.run_type.0,
            task_id: row.task_id.0,
            map_index: row.map_index,
            max_tries: count(row.max_tries),
            pokes: count(row.pokes),
            since: row.since,
            resumption: match (row.next_method, row.next_kwargs, row.resumption) {
                (Some(method), Some(kwargs), Some(resumption)) => {
                    Some(Resumed::of(method, kwargs.0, resumption.0))
                }
                (_, _, _) => None,
            },
            rounds: count(row.rounds),
            version: VersionId(row.version_id),
            file: row.file,
            logical_date: row.logical_date,
            data_interval: interval(row.interval_start, row.interval_end),
            partition: partition(row.partition_key, row.partition_date),
            run_after: row.run_after,
            run_started_at: row.run_started_at,
            conf: row.conf.0,
            triggered_by: row.triggered_by,
            asset_events: row.asset_events.map(|events| events.0).unwrap_or_default(),
            started_at: row.started_at,
        }
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(embed)]
    attempt: TryRow,
    #[diesel(sql_type = Text)]
    dag_id: Parsed<DagId>,
    #[diesel(sql_type = Text)]
    run_id: Parsed<RunId>,
    #[diesel(sql_type = Text)]
    run_type: Parsed<RunType>,
    #[diesel(sql_type = Text)]
    task_id: Parsed<TaskId>,
    #[diesel(sql_type = Integer)]
    map_index: i32,
    #[diesel(sql_type = Integer)]
    max_tries: i32,
    #[diesel(sql_type = Integer)]
    pokes: i32,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    since: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    next_method: Option<String>,
    #[diesel(sql_type = Nullable<Json>)]
    next_kwargs: Option<FromJson<Map<String, Value>>>,
    #[diesel(sql_type = Nullable<Json>)]
    resumption: Option<FromJson<Resumption>>,
    #[diesel(sql_type = Integer)]
    rounds: i32,
    #[diesel(sql_type = BigInt)]
    version_id: i64,
    #[diesel(sql_type = Text)]
    file: String,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    logical_date: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    interval_start: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    interval_end: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    partition_key: Option<Parsed<Key>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    partition_date: Option<DateTime<Utc>>,
    #[diesel(sql_type = Timestamptz)]
    run_after: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    run_started_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Json)]
    conf: FromJson<Map<String, Value>>,
    #[diesel(sql_type = Nullable<Text>)]
    triggered_by: Option<String>,
    #[diesel(sql_type = Nullable<Json>)]
    asset_events: Option<FromJson<Vec<Value>>>,
    #[diesel(sql_type = Timestamptz)]
    started_at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct PreviousRow {
    #[diesel(sql_type = Nullable<Timestamptz>)]
    interval_start: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    interval_end: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    started_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ended_at: Option<DateTime<Utc>>,
}

hot_query! {
    Claim {
        worker: Uuid => SqlUuid,
        run_key: [i64] => Array<BigInt>,
        index: [i32] => Array<Integer>,
        try_number: [i32] => Array<Integer>,
        lease: f64 => Double,
    }
    concat!(include_str!("claim/claim.sql"), include_str!("consumed_events.sql"), include_str!("claim/of_run.sql"))
}

hot_query! {
    SetPids {
        worker: Uuid => SqlUuid,
        run_key: [i64] => Array<BigInt>,
        index: [i32] => Array<Integer>,
        try_number: [i32] => Array<Integer>,
        pid: [i32] => Array<Integer>,
    }
    "UPDATE task_instance t SET pid = p.pid
     FROM unnest($2::bigint[], $3::integer[], $4::integer[], $5::integer[]) AS p (run_key, index, try_number, pid)
     WHERE t.run_key = p.run_key AND t.index = p.index AND t.try_number = p.try_number
       AND t.worker = $1 AND t.state = 'running'"
}

hot_query! {
    FindPrevious { dag_id: str => Text, before: DateTime<Utc> => Timestamptz }
    "SELECT interval_start, interval_end, started_at, ended_at FROM dag_run
     WHERE dag_id = $1 AND logical_date < $2 AND state = 'success' ORDER BY logical_date DESC LIMIT 1"
}
