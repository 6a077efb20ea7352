//! One method for each thing that a person or a program does.

use std::{sync::Arc, time::Duration};

use queue::Queue;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, redirect::Policy};
use runtime::{
    clock::Clock, config::LogsUrl, health::Health, logs::LogStore, secret::Secret, secret_key::SecretKey,
    shutdown::Shutdown,
};
use serde_json::Value;
use store::{
    account::{NewAccount, Role},
    dag::{LoadedDag, LoadedFile},
    import_error::NewImportError,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use webserver::{AppState, Settings, bind, hash_password, serve};

use crate::{database::Database, leader::Leader};

pub(crate) const PASSWORD: &str = "correct horse";

/// A DAG file with a chain, a failing task, a mapped task, a group and params.
pub(crate) const PIPELINE: &str = r#"
dag_id: pipeline
description: A DAG to test with
schedule: "30 2 * * *"
start_date: 2090-01-01
tags: [b, a]
owner: ann
params:
  day: {type: string, format: date, default: "2026-01-01"}
tasks:
  extract: {bash: echo rows}
  load: {depends_on: extract, bash: echo load}
  check: {depends_on: load, bash: fail}
  report: {depends_on: check, bash: echo report}
  each: {depends_on: extract, expand: {n: [1, 2, 3]}, bash: "echo {{ n }}"}
"#;

/// A DAG whose task runs until it is stopped.
pub(crate) const SLOW: &str = "
dag_id: slow
schedule: null
tasks:
  nap: {bash: wait}
";

pub(crate) struct App {
    pub(crate) db: Database,
    pub(crate) queue: Queue,
    pub(crate) logs: LogStore,
    pub(crate) origin: String,
    pub(crate) client: Client,
    pub(crate) shutdown: Shutdown,
    pub(crate) served: tokio::task::JoinHandle<Result<(), webserver::Error>>,
    stop: CancellationToken,
    proof: Option<store::LeaderProof>,
    _folder: TempDir,
}

impl Drop for App {
    fn drop(&mut self) {
        self.stop.cancel();
        self.shutdown.stop();
    }
}

impl App {
    /// A web server and a leader, with [`PIPELINE`] and [`SLOW`] loaded and unpaused.
    pub(crate) async fn start() -> Self {
        let mut app = Self::without_leader(Settings::default()).await;
        app.load("pipeline.yaml", PIPELINE).await;
        app.load("slow.yaml", SLOW).await;
        app.lead().await;
        app
    }

    /// Only the web server, which waits for a leader as long as a busy machine may take.
    pub(crate) async fn without_leader(settings: Settings) -> Self {
        Self::impatient(Settings { patience: Duration::from_secs(20), ..settings }).await
    }

    /// Only the web server, which waits as long as the settings say.
    pub(crate) async fn impatient(settings: Settings) -> Self {
        let db = Database::new().await;
        let folder = TempDir::new().unwrap();
        let logs = LogStore::open(&LogsUrl::folder(folder.path())).unwrap();
        let queue = Queue::memory();
        let key = SecretKey::from_secret(&Secret::new("a secret key for tests"));
        let clock = Clock::system();
        let state = AppState::new(
            settings,
            db.store.clone(),
            queue.clone(),
            logs.clone(),
            clock,
            Health::new(),
            &key,
        );
        let listener = bind("127.0.0.1", 0).unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = Shutdown::new();
        let served = tokio::spawn(serve(listener, state, shutdown.clone()));
        let proof = Some(db.lead().await);
        Self {
            db,
            queue,
            logs,
            origin,
            client: client(),
            shutdown,
            served,
            stop: CancellationToken::new(),
            proof,
            _folder: folder,
        }
    }

    /// Loads a DAG file.
    pub(crate) async fn load(&mut self, name: &str, text: &str) {
        self.load_with(name, text, |_| {}).await;
    }

    /// Loads a DAG file whose DAGs have something in them that no such file can say.
    pub(crate) async fn load_with(&mut self, name: &str, text: &str, change: impl Fn(&mut domain::dag::Dag)) {
        let parsed = domain::dagfile::parse(text.as_bytes(), name, &|_| Err("no other file".to_owned()));
        let source = text.to_owned();
        let dags = parsed.dags.into_iter().map(|mut loaded| {
            change(&mut loaded.dag);
            let place = (loaded.line, loaded.column);
            LoadedDag { dag: Arc::new(loaded.dag), source: source.clone(), place }
        });
        let errors = parsed.errors.into_iter().map(|error| NewImportError {
            line: Some(error.line),
            column: Some(error.column),
            message: error.message,
            hint: error.hint,
            snippet: None,
        });
        let file = LoadedFile { file: name.to_owned(), dags: dags.collect(), errors: errors.collect() };
        let proof = self.proof.as_ref().unwrap();
        self.db.store.save(proof, &[file]).await.unwrap();
    }

    /// A leader begins to work.
    pub(crate) async fn lead(&mut self) {
        let proof = self.proof.take().unwrap();
        Leader::start(self.db.store.clone(), self.queue.clone(), proof, self.stop.clone()).await;
    }

    /// The leader goes, and nobody comes after it.
    pub(crate) async fn dismiss(&self) {
        self.stop.cancel();
        self.db.execute("UPDATE lease SET expires_at = now() - interval '1 minute'").await;
    }

    /// An account with [`PASSWORD`].
    pub(crate) async fn account(&self, name: &str, role: Role) -> i64 {
        let new = NewAccount {
            username: name.to_owned(),
            email: String::new(),
            first_name: String::new(),
            last_name: String::new(),
            role,
        };
        let hash = hash_password(PASSWORD).unwrap();
        self.db.store.create_account(&new, Some(&hash)).await.unwrap().id
    }

    /// A program of an account with a role, with a token of the API.
    pub(crate) async fn program(&self, role: Role) -> Program<'_> {
        let name = format!("{role}-program");
        self.account(&name, role).await;
        let entry = serde_json::json!({"username": name, "password": PASSWORD});
        let answer = self.client.post(self.url("/auth/token")).json(&entry).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
        let token: Value = answer.json().await.unwrap();
        Program { app: self, token: token["access_token"].as_str().unwrap().to_owned() }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }
}

/// Follows no redirect, keeps cookies by hand.
pub(crate) fn client() -> Client {
    // Another test of this process may have installed it before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().redirect(Policy::none()).timeout(Duration::from_secs(60)).build().unwrap()
}

/// A program that uses the API.
pub(crate) struct Program<'a> {
    pub(crate) app: &'a App,
    pub(crate) token: String,
}

impl Program<'_> {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.app.client.request(method, self.app.url(path)).bearer_auth(&self.token)
    }

    /// What `/api/v2` answers to GET; it must be 200.
    pub(crate) async fn get(&self, path: &str) -> Value {
        expect(self.request(Method::GET, &format!("/api/v2{path}")).send().await.unwrap(), 200).await
    }

    /// Sends a body to `/api/v2`; the answer must have this status.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Value, status: u16) -> Value {
        let request = self.request(method, &format!("/api/v2{path}")).json(&body);
        expect(request.send().await.unwrap(), status).await
    }

    /// What `/api/v2` refuses, and in which words.
    pub(crate) async fn refused(&self, path: &str, status: u16) -> Value {
        expect(self.request(Method::GET, &format!("/api/v2{path}")).send().await.unwrap(), status).await
    }

    /// Starts a run and waits until it has ended.
    pub(crate) async fn run(&self, dag_id: &str, run_id: &str) -> Value {
        let body = serde_json::json!({"dag_run_id": run_id, "logical_date": null});
        self.send(Method::POST, &format!("/dags/{dag_id}/dagRuns"), body, 200).await;
        self.wait_for(&format!("/dags/{dag_id}/dagRuns/{run_id}"), |run| !run["end_date"].is_null()).await
    }

    /// Waits until an answer is as wanted; woken by the bells that pages hear.
    pub(crate) async fn wait_for(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut bells = self.app.queue.subscribe(&[queue::BellKind::Changed]).await;
        for _ in 0..100 {
            let answer = self.get(path).await;
            if wanted(&answer) {
                return answer;
            }
            bells.next(Duration::from_millis(200)).await;
        }
        panic!("{path} did not become what was wanted: {}", self.get(path).await);
    }
}

async fn expect(answer: Response, status: u16) -> Value {
    let (found, path) = (answer.status().as_u16(), answer.url().path().to_owned());
    let text = answer.text().await.unwrap();
    assert_eq!(found, status, "{path}: {text}");
    if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
}
