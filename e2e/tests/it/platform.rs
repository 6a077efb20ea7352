//! The whole platform as separate processes, and what a program may ask of it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use reqwest::{Client, StatusCode};
use runtime::postgres::{PrivatePostgres, Settings, find_running};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::raw::{self, Answer};
use crate::relay::Relay;
use crate::servers::{PATIENCE, Process, Redis, free_port, tradewind};

pub const PASSWORD: &str = "correct horse battery staple";

/// Only one platform runs at a time: two on a small machine would wait for each other's processor time.
static TURN: LazyLock<Arc<Mutex<()>>> = LazyLock::new(Arc::default);

/// PostgreSQL, Redis, and whatever processes a test starts.
pub struct Platform {
    pub folder: TempDir,
    pub redis: Redis,
    pub port: u16,
    postgres: Option<PrivatePostgres>,
    processes: BTreeMap<String, Process>,
    client: Client,
    token: Option<String>,
    _turn: OwnedMutexGuard<()>,
}

impl Platform {
    /// The servers run, the tables exist, no process of ours runs yet.
    pub async fn new() -> Self {
        let turn = Arc::clone(&TURN).lock_owned().await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("dags")).unwrap();
        let postgres = start_postgres(folder.path()).await;
        let redis = Redis::start(folder.path());
        let mut platform = Self {
            folder,
            redis,
            port: free_port(),
            postgres: Some(postgres),
            processes: BTreeMap::new(),
            client: client(),
            token: None,
            _turn: turn,
        };
        let status = platform.command(&["db", "migrate"]).status().unwrap();
        assert!(status.success());
        platform.start("webserver");
        platform.until_healthy().await;
        platform
    }

    pub fn dags(&self) -> PathBuf {
        self.folder.path().join("dags")
    }

    pub fn database_url(&self) -> String {
        self.postgres.as_ref().unwrap().url("tradewind")
    }

    /// A command of the binary against this platform.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(tradewind());
        command.args(args).env("TRADEWIND_HOME", self.folder.path().join("home"));
        command
            .env("TRADEWIND_DATABASE_URL", self.database_url())
            .env("TRADEWIND_REDIS_URL", self.redis.url());
        command.env("TRADEWIND_DAGS_FOLDER", self.dags()).env("TRADEWIND_ADMIN_PASSWORD", PASSWORD);
        command.env("TRADEWIND_PORT", self.port.to_string());
        command
    }

    /// Starts a process; its name begins with what it is: `scheduler`, `worker-2`, `webserver`.
    pub fn start(&mut self, name: &str) {
        let kind = name.split('-').next().unwrap();
        if kind == "worker" { self.start_worker(name, 8) } else { self.start_with(name, &[kind]) }
    }

    /// Starts a worker that runs so many tasks at a time.
    pub fn start_worker(&mut self, name: &str, parallelism: usize) {
        let parallelism = parallelism.to_string();
        self.start_with(name, &["worker", "--parallelism", &parallelism, "--drain-timeout", "5s"]);
    }

    /// Starts a process that reaches the database by another way: through a relay that can be cut.
    pub fn start_behind(&mut self, relay: &Relay, name: &str, args: &[&str]) {
        let mut command = self.command(args);
        command.env("TRADEWIND_DATABASE_URL", relay.url());
        self.launch(name, command);
    }

    fn start_with(&mut self, name: &str, args: &[&str]) {
        let command = self.command(args);
        self.launch(name, command);
    }

    /// Starts a command as one of the platform's processes.
    pub fn launch(&mut self, name: &str, mut command: Command) {
        let process = Process::start(&mut command, self.folder.path().join(format!("{name}.log")));
        self.processes.insert(name.to_owned(), process);
    }

    pub fn kill(&mut self, name: &str) {
        self.processes.remove(name).unwrap().kill();
    }

    /// A process that runs.
    pub fn process(&self, name: &str) -> &Process {
        &self.processes[name]
    }

    /// Which of the processes has this id.
    pub fn name_of(&self, pid: i32) -> Option<&str> {
        let found = self.processes.iter().find(|(_, process)| process.pid().as_raw() == pid);
        found.map(|(name, _)| name.as_str())
    }

    pub async fn restart_postgres(&mut self) {
        self.stop_postgres().await;
        self.postgres = Some(start_postgres(self.folder.path()).await);
    }

    pub async fn stop_postgres(&mut self) {
        let server = self.postgres.take().unwrap();
        tokio::task::spawn_blocking(move || server.stop()).await.unwrap().unwrap();
    }

    /// What a process has written so far.
    pub fn said(&self, name: &str) -> String {
        self.processes[name].said()
    }

    /// Sends a request to the web server as it is: neither the path nor anything else is put right on the way.
    pub async fn send_raw(&self, head: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        raw::send(self.port, head, headers, body).await
    }

    /// The header that lets a program in.
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.token.as_deref().unwrap())
    }

    pub async fn until_healthy(&mut self) {
        let url = format!("http://127.0.0.1:{}", self.port);
        until_answering(&self.client, &url).await;
        if self.token.is_none() {
            self.token = Some(sign_in(&self.client, &url, PASSWORD).await);
        }
    }

    /// Asks the API; the answer's status and body.
    pub async fn api(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.ask(method, &format!("/api/v2{path}"), body).await
    }

    /// Asks for a path of the web server with a token; the answer's status and body.
    pub async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let mut request = self.client.request(method.parse().unwrap(), url);
        request = request.bearer_auth(self.token.as_deref().unwrap());
        if let Some(body) = body {
            request = request.json(&body);
        }
        match request.send().await {
            Ok(answer) => (answer.status(), answer.json().await.unwrap_or(Value::Null)),
            Err(_) => (StatusCode::BAD_GATEWAY, Value::Null),
        }
    }

    /// Waits until the API's answer satisfies a condition.
    pub async fn until(&self, what: &str, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
        self.until_asked(what, &format!("/api/v2{path}"), holds).await
    }

    /// Waits until the answer to a path of the web server satisfies a condition.
    pub async fn until_asked(&self, what: &str, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let (_, answer) = self.ask("GET", path, None).await;
            if holds(&answer) {
                return answer;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "waited in vain until {what}; last answer: {answer:#}\n{}",
                self.logs()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until a DAG is known.
    pub async fn until_known(&self, dag_id: &str) {
        let known = |answer: &Value| answer["dag_id"] == dag_id;
        self.until("the DAG is known", &format!("/dags/{dag_id}"), known).await;
    }

    pub async fn trigger(&self, dag_id: &str, run_id: &str, conf: Value) {
        let body = json!({"dag_run_id": run_id, "logical_date": null, "conf": conf});
        let (status, answer) = self.api("POST", &format!("/dags/{dag_id}/dagRuns"), Some(body)).await;
        assert!(status.is_success(), "{status}: {answer:#}");
    }

    /// The end of every process's log, for failed tests.
    pub fn logs(&self) -> String {
        let tail = |(name, process): (&String, &Process)| {
            let said = process.said();
            let lines: Vec<&str> = said.lines().rev().take(15).collect();
            format!("--- {name}\n{}\n", lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
        };
        self.processes.iter().map(tail).collect()
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.processes.clear();
    }
}

/// Everything in one process, with its private PostgreSQL.
pub struct Standalone {
    pub folder: TempDir,
    pub url: String,
    pub client: Client,
    pub token: String,
    pub process: Process,
    _turn: OwnedMutexGuard<()>,
}

impl Standalone {
    pub async fn start(dags: &Path) -> Self {
        Self::start_with(dags, &[]).await
    }

    /// With more in its environment.
    pub async fn start_with(dags: &Path, environment: &[(&str, &Path)]) -> Self {
        let turn = Arc::clone(&TURN).lock_owned().await;
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut command = Command::new(tradewind());
        command.args(["standalone", "--port", &port.to_string(), "--parallelism", "16", "--dags"]).arg(dags);
        command.env("TRADEWIND_HOME", folder.path().join("home")).env("TRADEWIND_ADMIN_PASSWORD", PASSWORD);
        command.envs(environment.iter().copied());
        let process = Process::start(&mut command, folder.path().join("standalone.log"));
        let client = client();
        let url = format!("http://127.0.0.1:{port}");
        until_answering(&client, &url).await;
        let token = sign_in(&client, &url, PASSWORD).await;
        Self { folder, url, client, token, process, _turn: turn }
    }

    pub fn database_url(&self, database: &str) -> String {
        find_running(&self.folder.path().join("home")).unwrap().unwrap().url(database)
    }

    pub async fn api(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let url = format!("{}/api/v2{path}", self.url);
        let mut request = self.client.request(method.parse().unwrap(), url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap_or(Value::Null))
    }

    pub async fn until(&self, what: &str, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let (_, answer) = self.api("GET", path, None).await;
            if holds(&answer) {
                return answer;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "waited in vain until {what}: {answer:#}\n{}",
                self.process.said()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn start_postgres(folder: &Path) -> PrivatePostgres {
    let home = folder.join("postgres-home");
    tokio::task::spawn_blocking(move || PrivatePostgres::start(&Settings::for_tests(home)))
        .await
        .unwrap()
        .unwrap()
}

fn client() -> Client {
    // The first test to come installs it; all install the same.
    drop(rustls::crypto::ring::default_provider().install_default());
    Client::builder().timeout(Duration::from_secs(20)).no_proxy().build().unwrap()
}

async fn until_answering(client: &Client, url: &str) {
    let began = Instant::now();
    while client.get(format!("{url}/api/v2/version")).send().await.is_err() {
        assert!(began.elapsed() < PATIENCE, "{url} never answered");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn sign_in(client: &Client, url: &str, password: &str) -> String {
    let body = json!({"username": "admin", "password": password});
    let answer = client.post(format!("{url}/auth/token")).json(&body).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
}
