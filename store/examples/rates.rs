//! How fast the hot statements are on this machine: `cargo run -p store --example rates [DATABASE_URL]`.
//!
//! Without a URL a private PostgreSQL with durable commits is started in a temporary folder.

use std::{error::Error, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use domain::{
    engine::{
        decision::{Decisions, Expected, Persisted},
        record::{DagRecord, Placement, RunRecord, TiRecord},
    },
    id::{DagId, PoolName, QueueName, RunId, RunKey, TaskId, TiKey, TryKey},
    state::{RunState, RunType, TaskState},
};
use runtime::postgres::{PrivatePostgres, Settings as PostgresSettings};
use serde_json::json;
use store::{
    LeaderProof, Settings, Store,
    dag::{LoadedDag, LoadedFile},
    job::{Kind, NewJob},
    lease,
    view::dag_grid,
};
use tokio::time::Instant;
use uuid::Uuid;

const TASKS: u32 = 10_000;
const RUNS: i64 = 20;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let home = tempfile::tempdir()?;
    let (url, _postgres) = match std::env::args().nth(1) {
        Some(url) => (url, None),
        None => {
            std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
            let postgres = PrivatePostgres::start(&PostgresSettings::new(home.path()))?;
            (postgres.url("tradewind"), Some(postgres))
        }
    };
    let store = Store::connect(Settings::new(url, [1; 32])).await?;
    store.migrate().await?;
    let held = store.acquire(lease::MAIN, Uuid::new_v4(), Duration::from_secs(3_600)).await?;
    let proof = held.ok_or("somebody else leads")?;
    measure(&store, &proof).await
}

async fn measure(store: &Store, proof: &LeaderProof) -> Outcome<()> {
    let dag = save(store, proof).await?;
    let started = Instant::now();
    for _ in 0..200 {
        store.commit(proof, &Decisions::default(), &[]).await?;
    }
    report("empty commits", 200, started);
    for (batch, name) in [(1, "1"), (50, "50"), (500, "500"), (5_000, "5,000")] {
        commits(store, proof, &dag, batch, name).await?;
    }
    claims(store, proof).await?;
    let started = Instant::now();
    let snapshot = store.load(proof).await?;
    report("instances loaded", snapshot.runs.iter().map(|run| run.tis.len()).sum(), started);
    let filter = dag_grid::Filter { limit: 20, ..dag_grid::Filter::default() };
    for _ in 0..2 {
        let started = Instant::now();
        let grid = store.dag_grid(&dag.dag.dag_id, &filter).await?;
        report("cells of the grid", grid.tasks.iter().map(|row| row.cells.len()).sum(), started);
    }
    Ok(())
}

async fn save(store: &Store, proof: &LeaderProof) -> Outcome<DagRecord> {
    let dag = json!({
        "dag_id": "rates", "schedule": null, "timezone": "UTC", "catchup": false, "max_active_runs": 16,
        "max_active_tasks": 16, "owner": "rates", "tasks": []
    });
    let dag = LoadedDag { dag: Arc::new(serde_json::from_value(dag)?), source: String::new(), place: (1, 1) };
    let file = LoadedFile { file: "rates.yaml".to_owned(), dags: vec![dag], errors: vec![] };
    Ok(store.save(proof, &[file]).await?.changed.remove(0))
}

/// Inserts and updates the instances of some runs in batches.
async fn commits(
    store: &Store,
    proof: &LeaderProof,
    dag: &DagRecord,
    batch: usize,
    name: &str,
) -> Outcome<()> {
    let first = store.load(proof).await?.next_run.0;
    let runs = if batch < 50 { 0 } else { RUNS / 4 };
    let tasks = if batch < 50 { 300 } else { TASKS };
    let tis: Vec<TiRecord> =
        (first..=first + runs).flat_map(|run| (0..tasks).map(move |index| ti(run, index))).collect();
    let runs_created = (first..=first + runs).map(|key| run(key, dag)).collect();
    store.commit(proof, &Decisions { runs_created, ..Decisions::default() }, &[]).await?;
    let started = Instant::now();
    for chunk in tis.chunks(batch) {
        store.commit(proof, &Decisions { tis_created: chunk.to_vec(), ..Decisions::default() }, &[]).await?;
    }
    report(&format!("instances inserted, {name} at a time"), tis.len(), started);
    let old = Persisted { state: TaskState::Scheduled, try_number: 1 };
    let queued = tis.into_iter().map(|ti| Expected { new: TiRecord { state: TaskState::Queued, ..ti }, old });
    let queued: Vec<_> = queued.collect();
    let started = Instant::now();
    for chunk in queued.chunks(batch) {
        store.commit(proof, &Decisions { tis_changed: chunk.to_vec(), ..Decisions::default() }, &[]).await?;
    }
    report(&format!("instances updated, {name} at a time"), queued.len(), started);
    Ok(())
}

async fn claims(store: &Store, proof: &LeaderProof) -> Outcome<()> {
    let id = Uuid::new_v4();
    let queues = vec![QueueName::default_queue()];
    let worker = NewJob { id, kind: Kind::Worker, hostname: "here".to_owned(), pid: 1, queues, slots: 8 };
    store.register(&worker).await?;
    let tries = |run: i64, from: u32, to: u32| -> Vec<TryKey> {
        (from..to).map(|index| TryKey { ti: TiKey { run: RunKey(run), index }, try_number: 1 }).collect()
    };
    let last = store.load(proof).await?.next_run.0 - 1;
    for (batch, tries) in
        [(1, tries(last, 0, 500)), (16, tries(last, 500, 4_000)), (100, tries(last, 4_000, 9_000))]
    {
        let started = Instant::now();
        let mut claimed = 0;
        for chunk in tries.chunks(batch) {
            claimed += store.claim(id, chunk).await?.len();
        }
        report(&format!("claims, {batch} at a time"), claimed, started);
    }
    Ok(())
}

fn report(what: &str, count: usize, since: Instant) {
    let seconds = since.elapsed().as_secs_f64();
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    println!("{what:<36} {count:>8} in {seconds:>7.3} s = {:>8.0}/s", f64::from(count) / seconds);
}

fn run(key: i64, dag: &DagRecord) -> RunRecord {
    let at = DateTime::<Utc>::UNIX_EPOCH + chrono::TimeDelta::minutes(key);
    RunRecord {
        key: RunKey(key),
        dag_id: DagId::new("rates").unwrap_or_else(|_| unreachable!("a legal name")),
        run_id: RunId::new(&format!("run_{key}")).unwrap_or_else(|_| unreachable!("a legal name")),
        run_type: RunType::Manual,
        state: RunState::Running,
        version: dag.version,
        logical_date: None,
        data_interval: None,
        partition: None,
        run_after: at,
        queued_at: at,
        started_at: Some(at),
        ended_at: None,
        conf: Arc::default(),
        triggered_by: None,
        note: None,
        clear_number: 0,
        depth: 0,
        is_paused: false,
        backfill: None,
        missed: Vec::new(),
        bases: Vec::new(),
    }
}

fn ti(run: i64, index: u32) -> TiRecord {
    let at = DateTime::<Utc>::UNIX_EPOCH + chrono::TimeDelta::minutes(run);
    TiRecord {
        key: TiKey { run: RunKey(run), index },
        task_id: TaskId::new(&format!("task_{index}")).unwrap_or_else(|_| unreachable!("a legal name")),
        map_index: -1,
        state: TaskState::Scheduled,
        try_number: 1,
        max_tries: 1,
        lost: 0,
        rounds: 0,
        scheduled_at: Some(at),
        queued_at: Some(at),
        started_at: None,
        ended_at: None,
        next_try_at: None,
        wait: None,
        worker: None,
        reason: None,
        rendered_map_index: None,
        is_held: false,
        placement: Placement {
            pool: PoolName::default_pool(),
            pool_slots: 1,
            queue: QueueName::default_queue(),
            priority: 1,
            operator: "BashOperator".into(),
        },
    }
}
