//! Records to test with.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    dag::Dag,
    engine::{
        decision::{Decisions, Expected, Persisted, Ready},
        record::{DagRecord, Placement, RunRecord, TiRecord},
    },
    id::{DagId, PoolName, QueueName, RunId, RunKey, TaskId, TiKey, TryKey},
    state::{RunState, RunType, TaskState},
    timetable::DataInterval,
};
use serde_json::{Map, Value, json};
use store::{
    LeaderProof,
    dag::{LoadedDag, LoadedFile},
    job::{Kind, NewJob},
};
use uuid::Uuid;

use crate::database::Database;

/// 2026-01-01 00:00 UTC and some minutes.
pub(crate) fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).unwrap() + TimeDelta::minutes(minutes)
}

pub(crate) fn dag_id(text: &str) -> DagId {
    DagId::new(text).unwrap()
}

pub(crate) fn run_id(text: &str) -> RunId {
    RunId::new(text).unwrap()
}

pub(crate) fn task_id(text: &str) -> TaskId {
    TaskId::new(text).unwrap()
}

/// A task that runs `true`.
pub(crate) fn task(id: &str) -> Value {
    json!({
        "task_id": id, "operator": {"type": "bash", "command": "true"}, "pool": "default_pool", "pool_slots": 1,
        "queue": "default", "priority_weight": 1, "do_xcom_push": true,
        "retry": {"retries": 0, "delay": "30s", "backoff": 0.0, "max_delay": null}
    })
}

pub(crate) fn dag(id: &str, tasks: Vec<Value>) -> Dag {
    let dag = json!({
        "dag_id": id, "description": "a test", "schedule": {"cron": "30 2 * * *", "timezone": "Europe/Berlin"},
        "timezone": "UTC", "catchup": false, "max_active_runs": 16, "max_active_tasks": 16, "owner": "ann",
        "tags": ["b", "a"], "tasks": tasks
    });
    serde_json::from_value(dag).unwrap()
}

pub(crate) fn file(name: &str, dags: Vec<Dag>) -> LoadedFile {
    let loaded = |dag| LoadedDag { dag: Arc::new(dag), source: format!("# {name}"), place: (1, 9) };
    LoadedFile { file: name.to_owned(), dags: dags.into_iter().map(loaded).collect(), errors: Vec::new() }
}

/// Records the DAG `id` with the tasks `a` and `b`.
pub(crate) async fn save_dag(db: &Database, proof: &LeaderProof, id: &str) -> DagRecord {
    let files = [file(&format!("{id}.yaml"), vec![dag(id, vec![task("a"), task("b")])])];
    db.store.save(proof, &files).await.unwrap().changed.remove(0)
}

pub(crate) fn run(key: i64, dag: &DagRecord, minutes: i64) -> RunRecord {
    RunRecord {
        key: RunKey(key),
        dag_id: dag.dag.dag_id.clone(),
        run_id: run_id(&format!("scheduled__{key}")),
        run_type: RunType::Scheduled,
        state: RunState::Running,
        version: dag.version,
        logical_date: Some(at(minutes)),
        data_interval: Some(DataInterval { start: at(minutes), end: at(minutes + 1) }),
        partition: None,
        run_after: at(minutes + 1),
        queued_at: at(minutes + 1),
        started_at: Some(at(minutes + 2)),
        ended_at: None,
        conf: Arc::new(Map::from_iter([
            ("zeta".to_owned(), json!(1)),
            ("a".to_owned(), json!([true, null])),
        ])),
        triggered_by: None,
        note: Some("a note".to_owned()),
        clear_number: 0,
        depth: 0,
        is_paused: false,
        backfill: None,
        missed: Vec::new(),
        bases: Vec::new(),
    }
}

pub(crate) fn ti(run: i64, index: u32, task: &str, state: TaskState) -> TiRecord {
    let queued = state != TaskState::None;
    TiRecord {
        key: TiKey { run: RunKey(run), index },
        task_id: task_id(task),
        map_index: -1,
        state,
        try_number: u32::from(queued),
        max_tries: 2,
        lost: 0,
        rounds: 0,
        scheduled_at: queued.then(|| at(3)),
        queued_at: queued.then(|| at(4)),
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
            priority: 7,
            operator: "BashOperator".into(),
        },
    }
}

/// The new form of an instance that is remembered as `old`.
pub(crate) fn changed(old: &TiRecord, change: impl FnOnce(&mut TiRecord)) -> Expected<TiRecord, Persisted> {
    let mut new = old.clone();
    change(&mut new);
    Expected { new, old: Persisted { state: old.state, try_number: old.try_number } }
}

pub(crate) fn try_of(ti: &TiRecord) -> TryKey {
    TryKey { ti: ti.key, try_number: ti.try_number }
}

pub(crate) fn ready(ti: &TiRecord) -> Ready {
    Ready { queue: ti.placement.queue.clone(), attempt: try_of(ti), released_at: ti.queued_at.unwrap() }
}

/// Records a DAG with one running run, key 1, whose instances `a` and `b` are queued.
pub(crate) async fn queued_run(db: &Database, proof: &LeaderProof) -> (DagRecord, Vec<TiRecord>) {
    let dag = save_dag(db, proof, "flights").await;
    let tis = vec![ti(1, 0, "a", TaskState::Queued), ti(1, 1, "b", TaskState::Queued)];
    let decisions =
        Decisions { runs_created: vec![run(1, &dag, 0)], tis_created: tis.clone(), ..Decisions::default() };
    db.store.commit(proof, &decisions, &[]).await.unwrap();
    (dag, tis)
}

/// Registers a worker that is alive.
pub(crate) async fn worker(db: &Database) -> Uuid {
    let id = Uuid::new_v4();
    let queues = vec![QueueName::default_queue()];
    let job = NewJob { id, kind: Kind::Worker, hostname: "here".to_owned(), pid: 42, queues, slots: 8 };
    db.store.register(&job).await.unwrap();
    id
}
