//! A whole worker at work: its database, queue and log storage, and the records of runs for it to work on.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::engine::decision::Decisions;
use domain::engine::record::{DagRecord, Placement, RunRecord, TiRecord};
use domain::id::{PoolName, QueueName, RunId, RunKey, TiKey, TryKey};
use domain::intent::Message;
use domain::outcome::Outcome;
use domain::state::{RunState, RunType, TaskState};
use queue::{Bell, BellKind, Queue, Ready, Ticket};
use runtime::clock::Clock;
use runtime::config::LogsUrl;
use runtime::logs::{LogKey, LogLine, LogStore};
use runtime::shutdown::Shutdown;
use store::dag::{LoadedDag, LoadedFile};
use store::{LeaderProof, Store, lease};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use uuid::Uuid;
use worker::Settings;

use crate::database::{Database, connect};
use crate::fixture::LIMIT;

/// Everything that a worker needs.
pub(crate) struct Site {
    pub(crate) db: Database,
    pub(crate) store: Store,
    pub(crate) queue: Queue,
    pub(crate) logs: LogStore,
    pub(crate) settings: Settings,
    pub(crate) shutdown: Shutdown,
    proof: LeaderProof,
    home: TempDir,
}

/// The time of the only run.
pub(crate) fn at() -> DateTime<Utc> {
    "2026-01-02T00:00:00Z".parse().unwrap()
}

/// The first try of the task instance at this place.
pub(crate) fn attempt(index: u32) -> TryKey {
    TryKey { ti: TiKey { run: RunKey(1), index }, try_number: 1 }
}

fn ticket(index: u32) -> Ticket {
    Ticket { run: 1, index, try_number: 1 }
}

impl Site {
    /// With a running run, key 1, of a DAG with these tasks (YAML), all of them queued in the records.
    pub(crate) async fn new(tasks: &str) -> Site {
        let db = Database::migrated().await;
        let store = db.store().await;
        let home = TempDir::new().unwrap();
        let path = |name: &str| home.path().join(name);
        std::fs::create_dir(path("dags")).unwrap();
        let mut settings = Settings::new(4, "testhost".to_owned(), path("dags"), path("scratch"));
        settings.grace = Duration::from_millis(500);
        let logs = LogStore::open(&LogsUrl::folder(&path("logs"))).unwrap();
        let lease = store.acquire(lease::MAIN, Uuid::new_v4(), Duration::from_secs(600)).await;
        let proof = lease.unwrap().unwrap();
        let (queue, shutdown) = (Queue::memory(), Shutdown::new());
        let site = Site { db, store, queue, logs, settings, shutdown, proof, home };
        site.record(tasks).await;
        site
    }

    /// The folder of this site.
    pub(crate) fn home(&self) -> &std::path::Path {
        self.home.path()
    }

    /// The same for another worker, after the shutdown of the first.
    pub(crate) fn again(self) -> Site {
        Site { shutdown: Shutdown::new(), ..self }
    }

    /// Starts the worker.
    pub(crate) fn start(&self) -> JoinHandle<()> {
        let (store, queue, logs) = (self.store.clone(), self.queue.clone(), self.logs.clone());
        let run =
            worker::run(self.settings.clone(), store, queue, logs, Clock::system(), self.shutdown.clone());
        tokio::spawn(async move { run.await.unwrap() })
    }

    /// Puts task instances into the ready queue.
    pub(crate) async fn push(&self, indexes: impl IntoIterator<Item = u32>) {
        let name = queue::QueueName::default();
        let ready = |index| Ready { queue: name.clone(), ticket: ticket(index), released_us: 0 };
        self.queue.push(&indexes.into_iter().map(ready).collect::<Vec<_>>()).await.unwrap();
    }

    /// Waits until `count` outcomes have been reported, and gives them by task instance.
    pub(crate) async fn outcomes(&self, count: usize) -> Vec<Outcome> {
        let mut bells = self.queue.subscribe(&[BellKind::Engine]).await;
        let wait = async {
            loop {
                let messages = self.store.read(1000).await.unwrap();
                if messages.len() >= count {
                    let outcomes = messages.into_iter().map(|(_, message)| match message {
                        Message::Outcome(outcome) => outcome,
                        Message::Fired(fired) => panic!("{fired:?}"),
                        Message::Intent(intent) => panic!("{intent:?}"),
                    });
                    let mut outcomes: Vec<_> = outcomes.collect();
                    outcomes.sort_by_key(|outcome| outcome.attempt);
                    return outcomes;
                }
                bells.next(Duration::from_secs(1)).await;
            }
        };
        tokio::time::timeout(LIMIT, wait).await.expect("not enough outcomes")
    }

    /// Waits for something in the live log of a task instance.
    pub(crate) async fn live(&self, index: u32, text: &str) -> String {
        let log = queue::LogId(ticket(index));
        let wait = async {
            loop {
                let chunk = self.queue.read(&log, 0, 1 << 20).await.unwrap();
                let seen = String::from_utf8_lossy(&chunk.bytes).into_owned();
                if seen.contains(text) {
                    return seen;
                }
                self.queue.wait(&log, chunk.next(), Duration::from_secs(1)).await.unwrap();
            }
        };
        tokio::time::timeout(LIMIT, wait).await.unwrap_or_else(|_| panic!("no {text:?} in the live log"))
    }

    /// The stored log of a task, as texts.
    pub(crate) async fn log(&self, task_id: &str) -> Vec<String> {
        let bytes = self.logs.read_range(&self.log_key(task_id), 0, 1 << 20).await.unwrap();
        LogLine::parse_all(&bytes).map(|line| line.text.into_owned()).collect()
    }

    pub(crate) fn log_key(&self, task_id: &str) -> LogKey {
        LogKey {
            dag_id: "flights".to_owned(),
            run_id: "manual__1".to_owned(),
            task_id: task_id.to_owned(),
            map_index: -1,
            try_number: 1,
        }
    }

    /// Asks for a try to be stopped.
    pub(crate) async fn ring_stop(&self, index: u32) {
        self.queue.ring(Bell::Stop(ticket(index))).await.unwrap();
    }

    /// A state in the records.
    pub(crate) async fn state(&self, index: u32) -> String {
        self.db.text(&format!("select state from task_instance where index = {index}")).await.unwrap()
    }

    async fn record(&self, tasks: &str) {
        let text = format!("dag_id: flights\ntasks:\n{tasks}");
        let parsed =
            domain::dagfile::parse(text.as_bytes(), "flights.yaml", &|_| Err("no files here".to_owned()));
        assert!(parsed.errors.is_empty(), "{:?}", parsed.errors);
        let dag = Arc::new(parsed.dags.into_iter().next().unwrap().dag);
        let loaded = LoadedDag { dag: Arc::clone(&dag), source: text, place: (1, 1) };
        let file = LoadedFile { file: "flights.yaml".to_owned(), dags: vec![loaded], errors: Vec::new() };
        let record = self.store.save(&self.proof, &[file]).await.unwrap().changed.remove(0);
        let ids = dag.tasks.iter().map(|task| task.task_id.clone()).enumerate();
        let tis = ids.map(|(index, task_id)| TiRecord {
            key: TiKey { run: RunKey(1), index: u32::try_from(index).unwrap() },
            task_id,
            map_index: -1,
            state: TaskState::Queued,
            try_number: 1,
            max_tries: 0,
            lost: 0,
            rounds: 0,
            scheduled_at: Some(at()),
            queued_at: Some(at()),
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
        });
        let decisions = Decisions {
            runs_created: vec![run(&record)],
            tis_created: tis.collect(),
            ..Decisions::default()
        };
        self.store.commit(&self.proof, &decisions, &[]).await.unwrap();
    }
}

fn run(dag: &DagRecord) -> RunRecord {
    RunRecord {
        key: RunKey(1),
        dag_id: dag.dag.dag_id.clone(),
        run_id: RunId::new("manual__1").unwrap(),
        run_type: RunType::Manual,
        state: RunState::Running,
        version: dag.version,
        logical_date: Some(at()),
        data_interval: None,
        partition: None,
        run_after: at(),
        queued_at: at(),
        started_at: Some(at()),
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

/// In a process of its own: a worker on somebody else's database that runs the first task instance, until it is killed.
pub(crate) async fn work_for_ever(url: &str, mut settings: Settings, warden: Vec<std::ffi::OsString>) {
    let store = connect(url).await;
    let logs = LogStore::open(&LogsUrl::folder(&settings.scratch.join("logs"))).unwrap();
    settings.warden = Some(warden);
    let queue = Queue::memory();
    let ready = Ready { queue: queue::QueueName::default(), ticket: ticket(0), released_us: 0 };
    queue.push(&[ready]).await.unwrap();
    worker::run(settings, store, queue, logs, Clock::system(), Shutdown::new()).await.unwrap();
}
