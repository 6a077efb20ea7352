//! A task in the foreground, written as in a DAG file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::dag::Dag;
use domain::id::{RunId, RunKey, TiKey, TryKey};
use domain::outcome::TryResult;
use domain::state::RunType;
use domain::timetable::DataInterval;
use runtime::clock::Clock;
use runtime::logs::Stream;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use worker::{Assignment, Finished, MemoryBackend, Run, Settings};

/// Longer than anything takes here: a test that waits this long has failed.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// One DAG and the run of it that tests are about: 2026-01-02, daily.
pub(crate) struct Bench {
    pub(crate) dag: Arc<Dag>,
    pub(crate) backend: MemoryBackend,
    pub(crate) settings: Settings,
    pub(crate) conf: Map<String, Value>,
    pub(crate) logical_date: Option<DateTime<Utc>>,
    pub(crate) map_index: i32,
    pub(crate) rounds: u32,
    pub(crate) asset_events: Vec<Value>,
    pub(crate) cancel: CancellationToken,
    pub(crate) lines: Lines,
    pub(crate) home: TempDir,
}

/// What was written, with a way to wait for it.
#[derive(Clone, Default)]
pub(crate) struct Lines {
    seen: Arc<Mutex<Vec<(Stream, String)>>>,
    more: Arc<tokio::sync::Notify>,
}

impl Lines {
    /// Those of one stream.
    pub(crate) fn of(&self, stream: Stream) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|(of, _)| *of == stream).map(|(_, line)| line.clone()).collect()
    }

    /// All of them, one below the other.
    pub(crate) fn all(&self) -> String {
        self.seen.lock().unwrap().iter().map(|(_, line)| format!("{line}\n")).collect()
    }

    /// Waits for a line that contains `text`, and gives it.
    pub(crate) async fn wait_for(&self, text: &str) -> String {
        let found = async {
            loop {
                let more = self.more.notified();
                if let Some(line) = self.all().lines().find(|line| line.contains(text)) {
                    return line.to_owned();
                }
                more.await;
            }
        };
        tokio::time::timeout(LIMIT, found).await.unwrap_or_else(|_| panic!("no {text:?} in:\n{}", self.all()))
    }

    fn push(&self, stream: Stream, line: &str) {
        self.seen.lock().unwrap().push((stream, line.to_owned()));
        self.more.notify_one();
    }
}

impl Bench {
    /// A DAG with one task `task`, whose fields are `task` in YAML (flow style).
    pub(crate) fn task(task: &str) -> Bench {
        Bench::dag(&format!("tasks:\n  task: {task}\n"))
    }

    /// A DAG; `rest` is what comes after its id.
    pub(crate) fn dag(rest: &str) -> Bench {
        let home = TempDir::new().unwrap();
        let text = format!("dag_id: flights\nowner: ann\n{rest}");
        let folder = home.path().join("dags");
        std::fs::create_dir(&folder).unwrap();
        let parsed =
            domain::dagfile::parse(text.as_bytes(), "flights.yaml", &|_| Err("no files here".to_owned()));
        assert!(parsed.errors.is_empty(), "{:?}\n{text}", parsed.errors);
        let mut settings = Settings::new(1, "testhost".to_owned(), folder, home.path().join("scratch"));
        settings.grace = Duration::from_millis(500);
        settings.environment.retain(|(name, _)| name == "PATH" || name == "HOME");
        Bench {
            dag: Arc::new(parsed.dags.into_iter().next().unwrap().dag),
            backend: MemoryBackend::default(),
            settings,
            conf: Map::new(),
            logical_date: Some("2026-01-02T00:00:00Z".parse().unwrap()),
            map_index: -1,
            rounds: 0,
            asset_events: Vec::new(),
            cancel: CancellationToken::new(),
            lines: Lines::default(),
            home,
        }
    }

    /// With a variable in the worker's environment.
    pub(crate) fn with_env(mut self, name: &str, value: &str) -> Bench {
        self.settings.environment.push((OsString::from(name), OsString::from(value)));
        self
    }

    /// With something in the run's conf.
    pub(crate) fn with_conf(mut self, name: &str, value: Value) -> Bench {
        self.conf.insert(name.to_owned(), value);
        self
    }

    /// In a run that assets asked for.
    pub(crate) fn with_asset_events(mut self, events: Vec<Value>) -> Bench {
        self.asset_events = events;
        self
    }

    /// As the instance of a mapped task.
    pub(crate) fn mapped(mut self, map_index: i32) -> Bench {
        self.map_index = map_index;
        self
    }

    /// With so many rounds behind it.
    pub(crate) fn after_rounds(mut self, rounds: u32) -> Bench {
        self.rounds = rounds;
        self
    }

    /// With an XCom of another task.
    pub(crate) fn with_xcom(self, task_id: &str, map_index: i32, value: Value) -> Bench {
        self.backend.keep(RunKey(7), task_id, map_index, "return_value", value);
        self
    }

    pub(crate) fn assignment(&self, task_id: &str) -> Assignment {
        let day = chrono::TimeDelta::days(1);
        Assignment {
            attempt: TryKey { ti: TiKey { run: RunKey(7), index: 0 }, try_number: 2 },
            dag: Arc::clone(&self.dag),
            task: self.dag.tasks.iter().position(|task| task.task_id.as_str() == task_id).unwrap(),
            folder: Some(self.settings.dags_folder.clone()),
            run: Run {
                run_id: RunId::new("scheduled__2026-01-02T00:00:00+00:00").unwrap(),
                run_type: RunType::Scheduled,
                logical_date: self.logical_date,
                data_interval: self.logical_date.map(|at| DataInterval { start: at, end: at + day }),
                partition: None,
                run_after: "2026-01-03T00:00:00Z".parse().unwrap(),
                started_at: None,
                conf: self.conf.clone(),
                triggered_by: None,
                asset_events: self.asset_events.clone(),
            },
            map_index: self.map_index,
            pokes: 0,
            since: None,
            resumption: None,
            rounds: self.rounds,
            max_tries: 3,
            started_at: "2026-01-03T00:00:05Z".parse().unwrap(),
        }
    }

    /// Runs the task to its end.
    pub(crate) async fn run(&self) -> Finished {
        let lines = self.lines.clone();
        let echo = Arc::new(move |stream, line: &str| lines.push(stream, line));
        let (clock, assignment) = (Clock::system(), self.assignment("task"));
        let run = worker::run_once(&self.settings, &self.backend, assignment, clock, echo, &self.cancel);
        tokio::time::timeout(LIMIT, run)
            .await
            .unwrap_or_else(|_| panic!("it hangs:\n{}", self.lines.all()))
            .unwrap()
    }

    /// What the templates of the task become.
    pub(crate) async fn rendered(&self) -> Result<Map<String, Value>, String> {
        self.rendered_of("task").await
    }

    /// What the templates of another task become.
    pub(crate) async fn rendered_of(&self, task_id: &str) -> Result<Map<String, Value>, String> {
        let clock = Clock::fixed("2026-01-10T12:00:00Z".parse().unwrap());
        let rendered =
            worker::render_task(&self.settings, &self.backend, self.assignment(task_id), &clock).await;
        rendered.map_err(|error| error.to_string())
    }
}

/// A task's fields as YAML.
pub(crate) fn bash(script: &str) -> String {
    json!({"bash": script}).to_string()
}

/// How it ended, in short.
pub(crate) fn end(finished: &Finished) -> (TryResult, Option<i32>, &str) {
    (finished.result, finished.exit_code, finished.reason.as_deref().unwrap_or_default())
}

/// Its XComs, sorted.
pub(crate) fn xcoms(finished: &Finished) -> BTreeMap<&str, &Value> {
    finished.xcoms.iter().map(|(key, value)| (key.as_str(), value)).collect()
}
