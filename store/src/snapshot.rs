//! Everything that the engine needs to start, or to start again: read in one transaction, so that it is one moment.

mod rows;

use std::{
    collections::{BTreeSet, HashMap},
    pin::pin,
    sync::Arc,
};

use diesel::{
    OptionalExtension, QueryResult,
    sql_types::{Array, BigInt, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use domain::{
    dag::{Dag, Group, Mapping, Task},
    engine::{
        backfill::BackfillSnapshot,
        durations::DurationRecord,
        record::{
            AssetsRecord, DagRecord, PoolRecord, RunRecord, RunSnapshot, VersionId, WorkerRecord, XComLength,
            XComRecord,
        },
    },
    id::{DagId, RunId, RunKey},
    outcome::CHOICE,
};
use futures_util::{Stream, TryStreamExt};

use self::rows::{ChoiceRow, DagRow, LengthRow, Names, NextKey, TiRow};
use crate::{
    Error, LeaderProof, Store, asset, backfill,
    dag_run::RunRow,
    dag_version,
    hot::hot_query,
    job::{self, LostWorker},
    partition, pool, task_duration,
};

/// Most other runs of its DAG that are read beside one.
const BESIDE: i64 = 16;

/// Most lookups of one statement.
const MOST_ROWS: usize = 5_000;

/// The records as the engine remembers them.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Every DAG.
    pub dags: Vec<DagRecord>,
    /// The runs that have not ended, oldest first. Runs of the same version share its DAG.
    pub runs: Vec<RunSnapshot>,
    /// The backfills that are not over.
    pub backfills: Vec<BackfillSnapshot>,
    /// Every pool.
    pub pools: Vec<PoolRecord>,
    /// How long tasks took.
    pub durations: Vec<DurationRecord>,
    /// The workers that may be given work.
    pub workers: Vec<WorkerRecord>,
    /// Running tries whose worker is gone, for example because the leader before died while it dealt with them.
    pub orphans: Vec<LostWorker>,
    /// What is known of assets.
    pub assets: AssetsRecord,
    /// The first run key that was never given.
    pub next_run: RunKey,
}

type Versions = HashMap<VersionId, Arc<Dag>>;

impl Store {
    /// Reads everything that the engine needs.
    ///
    /// A DAG version that this program cannot read is left out with its runs, and said in the log: it must not keep
    /// the others from running.
    ///
    /// # Errors
    /// [`Error::Fenced`] when the proof no longer holds.
    pub async fn load(&self, proof: &LeaderProof) -> Result<Snapshot, Error> {
        let mut transaction = self.begin_read().await?;
        transaction.batch_execute("SET LOCAL statement_timeout = '10min'").await?;
        transaction.check_leader(proof).await?;
        let conn = &mut *transaction;
        let dags: Vec<DagRow> = Dags {}.load(conn).await?;
        let runs: Vec<RunRow> = ActiveRuns {}.load(conn).await?;
        let mut ids: Vec<VersionId> =
            dags.iter().map(DagRow::version).chain(runs.iter().map(RunRow::version)).collect();
        ids.sort_unstable();
        ids.dedup();
        let versions = dag_version::load(conn, &ids).await?;
        let mut runs = snapshots(runs, &versions);
        fill(ActiveTis {}.load_stream(conn).await?, &mut runs).await?;
        add_lengths(conn, &mut runs).await?;
        add_choices(conn, &mut runs).await?;
        let mut dags: Vec<DagRecord> = dags.into_iter().filter_map(|row| row.record(&versions)).collect();
        partition::fill(conn, &mut dags).await?;
        let snapshot = Snapshot {
            dags,
            runs,
            backfills: backfill::active(conn).await?,
            pools: pool::records(conn).await?,
            durations: task_duration::all(conn).await?,
            workers: job::live_workers(conn).await?,
            orphans: job::orphans(conn).await?,
            assets: asset::record(conn).await?,
            next_run: RunKey(NextRunKey {}.get_result::<NextKey>(conn).await?.key),
        };
        transaction.commit().await?;
        Ok(snapshot)
    }

    /// One DAG as it is now, for a leader that has not heard of it yet.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn dag_record(&self, dag_id: &DagId) -> Result<Option<DagRecord>, Error> {
        let mut transaction = self.begin_read().await?;
        let conn = &mut *transaction;
        let row: Option<DagRow> = OneDag { dag_id: dag_id.as_str() }.get_result(conn).await.optional()?;
        let record = match row {
            Some(row) => {
                let versions = dag_version::load(conn, &[row.version()]).await?;
                let mut record = row.record(&versions);
                partition::fill(conn, record.as_mut_slice()).await?;
                record
            }
            None => None,
        };
        transaction.commit().await?;
        Ok(record)
    }

    /// One run, ended or not.
    ///
    /// # Errors
    /// [`Error::Invalid`] when its DAG version cannot be read.
    pub async fn run(&self, dag_id: &DagId, run_id: &RunId) -> Result<Option<RunSnapshot>, Error> {
        let mut transaction = self.begin_read().await?;
        let conn = &mut *transaction;
        let query = OneRun { dag_id: dag_id.as_str(), run_id: run_id.as_str() };
        let Some(row) = query.get_result::<RunRow>(conn).await.optional()? else {
            transaction.commit().await?;
            return Ok(None);
        };
        let version = row.version();
        let versions = dag_version::load(conn, &[version]).await?;
        let mut runs = snapshots(vec![row], &versions);
        let Some(key) = runs.iter().map(|run| run.run.key.0).next() else {
            return Err(Error::Invalid(format!(
                "the DAG version {} of {dag_id} {run_id} cannot be read",
                version.0
            )));
        };
        fill(TisOf { run_key: &key }.load_stream(conn).await?, &mut runs).await?;
        add_lengths(conn, &mut runs).await?;
        add_choices(conn, &mut runs).await?;
        transaction.commit().await?;
        Ok(runs.pop())
    }
}

impl Store {
    /// What can be known of one run without leading: the run, ended or not, the other active runs of its DAG (at most
    /// [`BESIDE`], those that run first), the pools and the workers. None when there is no such run.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a record cannot be read.
    pub async fn around(&self, dag_id: &DagId, run_id: &RunId) -> Result<Option<Snapshot>, Error> {
        let mut transaction = self.begin_read().await?;
        let conn = &mut *transaction;
        let (dag_id, run_id) = (dag_id.as_str(), run_id.as_str());
        let rows: Vec<RunRow> = RunsAround { dag_id, run_id, limit: &BESIDE }.load(conn).await?;
        let dags: Vec<DagRow> = OneDag { dag_id }.load(conn).await?;
        let mut ids: Vec<VersionId> =
            dags.iter().map(DagRow::version).chain(rows.iter().map(RunRow::version)).collect();
        ids.sort_unstable();
        ids.dedup();
        let versions = dag_version::load(conn, &ids).await?;
        let mut runs = snapshots(rows, &versions);
        if !runs.iter().any(|run| run.run.run_id.as_str() == run_id) {
            transaction.commit().await?;
            return Ok(None);
        }
        let keys: Vec<i64> = runs.iter().map(|run| run.run.key.0).collect();
        fill(TisOfAll { run_key: &keys }.load_stream(conn).await?, &mut runs).await?;
        add_lengths(conn, &mut runs).await?;
        add_choices(conn, &mut runs).await?;
        let snapshot = Snapshot {
            dags: dags.into_iter().filter_map(|row| row.record(&versions)).collect(),
            runs,
            // They create their runs late: one that exists does not wait for its backfill.
            backfills: Vec::new(),
            pools: pool::records(conn).await?,
            durations: Vec::new(),
            workers: job::live_workers(conn).await?,
            orphans: Vec::new(),
            // Nobody is told of events by who only reads.
            assets: AssetsRecord::default(),
            next_run: RunKey(NextRunKey {}.get_result::<NextKey>(conn).await?.key),
        };
        transaction.commit().await?;
        Ok(Some(snapshot))
    }
}

fn snapshots(rows: Vec<RunRow>, versions: &Versions) -> Vec<RunSnapshot> {
    let snapshot = |row: RunRow| {
        let run = RunRecord::from(row);
        let Some(dag) = versions.get(&run.version).map(Arc::clone) else {
            tracing::error!(dag_id = %run.dag_id, run_id = %run.run_id, "the run stands still: its DAG version cannot be read");
            return None;
        };
        Some(RunSnapshot { run, dag, tis: Vec::new(), lengths: Vec::new(), choices: Vec::new() })
    };
    rows.into_iter().filter_map(snapshot).collect()
}

/// Puts task instances, ordered by run and index, into their runs, row by row as they arrive.
async fn fill(rows: impl Stream<Item = QueryResult<TiRow>>, runs: &mut [RunSnapshot]) -> Result<(), Error> {
    let places: HashMap<RunKey, usize> =
        runs.iter().enumerate().map(|(place, run)| (run.run.key, place)).collect();
    let mut names = Names::default();
    let mut rows = pin!(rows);
    while let Some(row) = rows.try_next().await? {
        if let Some(run) = places.get(&RunKey(row.run_key)).and_then(|place| runs.get_mut(*place)) {
            run.tis.push(row.record(&mut names)?);
        }
    }
    Ok(())
}

async fn add_lengths(conn: &mut AsyncPgConnection, runs: &mut [RunSnapshot]) -> Result<(), Error> {
    let wanted: Vec<(i64, String, String)> = runs.iter().flat_map(wanted_lengths).collect();
    let mut found: HashMap<i64, Vec<XComLength>> = HashMap::new();
    for chunk in wanted.chunks(MOST_ROWS) {
        let run_key: Vec<i64> = chunk.iter().map(|(run, _, _)| *run).collect();
        let task_id: Vec<&str> = chunk.iter().map(|(_, task, _)| task.as_str()).collect();
        let key: Vec<&str> = chunk.iter().map(|(_, _, key)| key.as_str()).collect();
        let query = Lengths { run_key: &run_key, task_id: &task_id, key: &key };
        for row in query.load::<LengthRow>(conn).await? {
            let (run, length) = row.record();
            found.entry(run).or_default().push(length);
        }
    }
    for run in runs {
        run.lengths = found.remove(&run.run.key.0).unwrap_or_default();
    }
    Ok(())
}

/// What those tasks chose that decide which others are skipped.
async fn add_choices(conn: &mut AsyncPgConnection, runs: &mut [RunSnapshot]) -> Result<(), Error> {
    let choosing = |run: &&RunSnapshot| run.dag.tasks.iter().any(|task| task.operator.chooses());
    let keys: Vec<i64> = runs.iter().filter(choosing).map(|run| run.run.key.0).collect();
    let mut found: HashMap<RunKey, Vec<XComRecord>> = HashMap::new();
    for chunk in keys.chunks(MOST_ROWS) {
        for row in (Choices { run_key: chunk, key: CHOICE }).load::<ChoiceRow>(conn).await? {
            let choice = row.record();
            found.entry(choice.ti.run).or_default().push(choice);
        }
    }
    for run in runs {
        run.choices = found.remove(&run.run.key).unwrap_or_default();
    }
    Ok(())
}

/// The XComs over which tasks and groups of the run are mapped, also when they are expanded: they may have to be again, once they are
/// cleared.
fn wanted_lengths(run: &RunSnapshot) -> BTreeSet<(i64, String, String)> {
    let groups = run.dag.groups.iter().filter_map(Group::mapping);
    let mappings = groups.chain(run.dag.tasks.iter().filter_map(Task::mapping));
    let xcoms = mappings.flat_map(Mapping::xcoms);
    xcoms.map(|(task_id, key)| (run.run.key.0, task_id.as_str().to_owned(), key.to_owned())).collect()
}

hot_query! {
    Dags {}
    "SELECT dag_id, version_id, is_paused, is_stale, cursor_start, cursor_end, disabled, failed_runs, asset_event, asset_run_at,
     ARRAY(SELECT a.name FROM asset_dag_run_queue q JOIN asset a ON a.id = q.asset_id WHERE q.dag_id = dag.dag_id
           ORDER BY q.asset_id) AS queued_assets,
     ARRAY(SELECT q.created_at FROM asset_dag_run_queue q WHERE q.dag_id = dag.dag_id ORDER BY q.asset_id) AS queued_since,
     ARRAY(
         SELECT DISTINCT d.interval_start FROM backfill b JOIN backfill_date d ON d.backfill_id = b.id AND d.partition_key IS NULL
         WHERE b.dag_id = dag.dag_id AND d.run_key IS NOT NULL
           AND (cursor_start IS NULL OR b.to_date > cursor_start AND d.interval_start > cursor_start)
     ) AS taken
     FROM dag ORDER BY dag_id"
}

hot_query! {
    ActiveRuns {}
    "SELECT * FROM dag_run WHERE state IN ('queued', 'running') ORDER BY key"
}

hot_query! {
    OneRun { dag_id: str => Text, run_id: str => Text }
    "SELECT * FROM dag_run WHERE dag_id = $1 AND run_id = $2"
}

hot_query! {
    ActiveTis {}
    "SELECT t.* FROM dag_run r JOIN task_instance t ON t.run_key = r.key
     WHERE r.state IN ('queued', 'running') ORDER BY t.run_key, t.index"
}

hot_query! {
    OneDag { dag_id: str => Text }
    "SELECT dag_id, version_id, is_paused, is_stale, cursor_start, cursor_end, disabled, failed_runs, asset_event, asset_run_at,
     ARRAY(SELECT a.name FROM asset_dag_run_queue q JOIN asset a ON a.id = q.asset_id WHERE q.dag_id = dag.dag_id
           ORDER BY q.asset_id) AS queued_assets,
     ARRAY(SELECT q.created_at FROM asset_dag_run_queue q WHERE q.dag_id = dag.dag_id ORDER BY q.asset_id) AS queued_since,
     ARRAY(
         SELECT DISTINCT d.interval_start FROM backfill b JOIN backfill_date d ON d.backfill_id = b.id AND d.partition_key IS NULL
         WHERE b.dag_id = dag.dag_id AND d.run_key IS NOT NULL
           AND (cursor_start IS NULL OR b.to_date > cursor_start AND d.interval_start > cursor_start)
     ) AS taken
     FROM dag WHERE dag_id = $1"
}

hot_query! {
    RunsAround { dag_id: str => Text, run_id: str => Text, limit: i64 => BigInt }
    "(SELECT * FROM dag_run WHERE dag_id = $1 AND run_id = $2)
     UNION ALL
     (SELECT * FROM dag_run WHERE dag_id = $1 AND run_id <> $2 AND state IN ('queued', 'running')
      ORDER BY state DESC, key LIMIT $3)"
}

hot_query! {
    TisOfAll { run_key: [i64] => Array<BigInt> }
    "SELECT * FROM task_instance WHERE run_key = ANY($1) ORDER BY run_key, index"
}

hot_query! {
    TisOf { run_key: i64 => BigInt }
    "SELECT * FROM task_instance WHERE run_key = $1 ORDER BY index"
}

hot_query! {
    Lengths { run_key: [i64] => Array<BigInt>, task_id: [&'a str] => Array<Text>, key: [&'a str] => Array<Text> }
    "SELECT x.run_key, x.task_id, x.map_index, x.key,
            CASE json_typeof(x.value)
                WHEN 'array' THEN json_array_length(x.value)
                WHEN 'object' THEN (SELECT count(*)::integer FROM json_object_keys(x.value))
            END AS length
     FROM unnest($1::bigint[], $2::text[], $3::text[]) AS w (run_key, task_id, key)
     JOIN xcom x USING (run_key, task_id, key)
     ORDER BY x.run_key, x.task_id, x.key, x.map_index"
}

hot_query! {
    Choices { run_key: [i64] => Array<BigInt>, key: str => Text }
    "SELECT x.run_key, t.index, x.task_id, x.map_index, x.value
     FROM xcom x JOIN task_instance t USING (run_key, task_id, map_index)
     WHERE x.run_key = ANY($1) AND x.key = $2 ORDER BY x.run_key, t.index"
}

hot_query! {
    NextRunKey {}
    "SELECT 1 + greatest(
        (SELECT max(key) FROM dag_run), (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM run_key)
     ) AS key"
}
