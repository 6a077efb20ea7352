//! A house with a real database, a queue in memory, a folder of DAG files, schedulers, and a worker made of straw that
//! claims tries and reports whatever the test wants.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use chrono::Utc;
use domain::{
    id::{DagId, QueueName, RunId, RunKey, TiKey, TryKey},
    intent::{Intent, Message, Trigger, Wish},
    outcome::{Outcome, TryResult},
    state::{RunState, TaskState},
};
use queue::{Bell, Queue};
use runtime::{
    clock::Clock,
    health::Health,
    postgres::{PrivatePostgres, Settings as PostgresSettings},
    shutdown::Shutdown,
};
use scheduler::{Scheduler, Settings};
use store::{Settings as StoreSettings, Store, job};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Longest that a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// One for all tests of this process that run at the same time, and how many databases it was asked for. What is static is never dropped,
/// and neither its folder.
static SERVER: Mutex<(Weak<Server>, u32)> = Mutex::new((Weak::new(), 0));

pub struct Server {
    postgres: PrivatePostgres,
    _home: tempfile::TempDir,
}

pub struct House {
    pub store: Store,
    pub queue: Queue,
    pub dags: tempfile::TempDir,
    pub worker: Uuid,
    pub _server: Arc<Server>,
}

pub struct Running {
    pub shutdown: Shutdown,
    pub task: JoinHandle<()>,
}

impl House {
    pub async fn build() -> Self {
        let (url, _server) = tokio::task::spawn_blocking(new_database).await.unwrap();
        let store = Store::connect(StoreSettings::new(url, [7; 32])).await.unwrap();
        store.migrate().await.unwrap();
        let worker = Uuid::now_v7();
        let house =
            Self { store, queue: Queue::memory(), dags: tempfile::tempdir().unwrap(), worker, _server };
        house.employ(worker, 8).await;
        house
    }

    pub async fn employ(&self, id: Uuid, slots: u32) {
        let job = job::NewJob {
            id,
            kind: job::Kind::Worker,
            hostname: "straw".into(),
            pid: 1,
            queues: vec![QueueName::default_queue()],
            slots,
        };
        self.store.register(&job).await.unwrap();
    }

    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dags.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn scheduler(&self) -> Running {
        self.scheduler_with(|_| {})
    }

    pub fn scheduler_with(&self, change: impl FnOnce(&mut Settings)) -> Running {
        let mut settings =
            Settings::new(self.dags.path().to_path_buf(), python::Environment::of(self.dags.path()));
        change(&mut settings);
        let scheduler = Scheduler {
            settings,
            store: self.store.clone(),
            queue: self.queue.clone(),
            clock: Clock::system(),
            health: Health::new(),
        };
        let shutdown = Shutdown::new();
        Running { task: tokio::spawn(scheduler.run(shutdown.clone())), shutdown }
    }

    pub async fn ask(&self, wish: Wish) {
        self.store.post(&[Message::Intent(Intent { by: "tester".into(), wish })]).await.unwrap();
        self.queue.ring(Bell::Engine).await.unwrap();
    }

    pub async fn trigger(&self, dag_id: &str, run_id: &str) {
        self.ask(Wish::Trigger(Trigger {
            dag_id: DagId::new(dag_id).unwrap(),
            run_id: RunId::new(run_id).unwrap(),
            logical_date: None,
            data_interval: None,
            #[expect(clippy::disallowed_methods, reason = "a test with a real database lives in real time")]
            run_after: Utc::now(),
            conf: serde_json::Map::new(),
            note: None,
            partition_key: None,
            materializes: false,
        }))
        .await;
    }

    /// Takes the next try from the queue and claims it, as a worker does.
    pub async fn claim(&self) -> Vec<TryKey> {
        let queues = [queue::QueueName::default()];
        let popped = self.queue.pop(&queues, 100, PATIENCE).await.unwrap();
        assert!(!popped.is_empty(), "nothing came");
        let tries: Vec<TryKey> = popped.into_iter().map(|(_, ticket)| key(ticket)).collect();
        let claimed = self.store.claim(self.worker, &tries).await.unwrap();
        claimed.into_iter().map(|claim| claim.attempt).collect()
    }

    pub async fn report(&self, tries: &[TryKey], result: TryResult) {
        self.store
            .post(&tries.iter().map(|&attempt| self.outcome(attempt, result)).collect::<Vec<_>>())
            .await
            .unwrap();
        self.queue.ring(Bell::Engine).await.unwrap();
    }

    /// What its worker says of a try.
    pub fn outcome(&self, attempt: TryKey, result: TryResult) -> Message {
        #[expect(clippy::disallowed_methods, reason = "a test with a real database lives in real time")]
        let now = Utc::now();
        Message::Outcome(Outcome {
            attempt,
            result,
            started_at: now,
            ended_at: now,
            worker: self.worker,
            exit_code: Some(0),
            reason: None,
            rendered_map_index: None,
            xcoms: [("return_value".to_owned(), serde_json::json!([1, 2, 3]))].into(),
            asset_events: Vec::new(),
            pokes: None,
            trigger: None,
            question: None,
            deferral: None,
            resume_at: None,
        })
    }

    /// Claims and reports success until the run has ended.
    pub async fn work_until_ended(&self, dag_id: &str, run_id: &str) -> RunState {
        loop {
            if let Some(state) = self.run_state(dag_id, run_id).await.filter(|state| state.is_finished()) {
                return state;
            }
            let queues = [queue::QueueName::default()];
            let popped = self.queue.pop(&queues, 100, Duration::from_millis(100)).await.unwrap();
            let tries: Vec<TryKey> = popped.into_iter().map(|(_, ticket)| key(ticket)).collect();
            let claimed = self.store.claim(self.worker, &tries).await.unwrap();
            let tries: Vec<TryKey> = claimed.into_iter().map(|claim| claim.attempt).collect();
            self.report(&tries, TryResult::Success).await;
        }
    }

    pub async fn run_state(&self, dag_id: &str, run_id: &str) -> Option<RunState> {
        let run = self.store.run(&DagId::new(dag_id).unwrap(), &RunId::new(run_id).unwrap()).await.unwrap();
        run.map(|run| run.run.state)
    }

    /// The states of a run's task instances, by task and mapped index.
    pub async fn states(&self, dag_id: &str, run_id: &str) -> Vec<(String, i32, TaskState)> {
        let run = self
            .store
            .run(&DagId::new(dag_id).unwrap(), &RunId::new(run_id).unwrap())
            .await
            .unwrap()
            .unwrap();
        let mut states: Vec<_> =
            run.tis.into_iter().map(|ti| (ti.task_id.to_string(), ti.map_index, ti.state)).collect();
        states.sort();
        states
    }

    /// Waits until something holds, looking whenever a page would look.
    pub async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let mut bells = self.queue.subscribe(&queue::BellKind::ALL).await;
        let wait = async {
            while !holds().await {
                bells.next(Duration::from_millis(100)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "waited in vain until {what}");
    }
}

impl Running {
    pub async fn stop(self) {
        self.shutdown.drain.cancel();
        self.task.await.unwrap();
    }

    /// As kill -9 would: nothing is given back.
    pub fn kill(self) {
        self.task.abort();
    }
}

fn key(ticket: queue::Ticket) -> TryKey {
    let ti = TiKey { run: RunKey(ticket.run), index: ticket.index };
    TryKey { ti, try_number: ticket.try_number }
}

fn new_database() -> (String, Arc<Server>) {
    let mut known = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    let server = known.0.upgrade().unwrap_or_else(|| {
        let home = tempfile::tempdir().unwrap();
        let postgres = PrivatePostgres::start(&PostgresSettings::for_tests(home.path())).unwrap();
        Arc::new(Server { postgres, _home: home })
    });
    *known = (Arc::downgrade(&server), known.1 + 1);
    let name = format!("house{}", known.1);
    server.postgres.create_database(&name).unwrap();
    (server.postgres.url(&name), server)
}
