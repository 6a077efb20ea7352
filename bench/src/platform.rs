//! Tradewind as it is deployed: real processes of the release binary, with every log, state and history written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::try_join_all;
use nix::sys::signal::Signal;
use tokio_postgres::Client;

use crate::api::{self, Api};
use crate::dagfile::DagFile;
use crate::folder::Folder;
use crate::postgres::Postgres;
use crate::process::{self, Running};
use crate::records::{self, Run};
use crate::redis::Redis;

/// How long the tables may take, and the first page.
const START: Duration = Duration::from_secs(60);
/// How long DAG files may take until their DAGs can be run.
const LOAD: Duration = Duration::from_secs(120);
/// How long runs may take.
const RUNS: Duration = Duration::from_secs(300);
/// How long log files may come after the end of their run.
const LOGS: Duration = Duration::from_secs(20);
/// How often the records are looked at, where results do not depend on it because they are read from the records.
pub const LOOK: Duration = Duration::from_millis(100);
/// How exactly the end of a short run is seen.
pub const CLOSE_LOOK: Duration = Duration::from_millis(2);
/// How often a starting web server is asked for its first page.
const ASK: Duration = Duration::from_millis(2);
/// The most files counted, so that a folder that is not ours cannot keep us busy.
const MOST_FILES: usize = 1_000_000;

/// How the platform is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The binary.
    pub tradewind: PathBuf,
    /// How many tasks run at once.
    pub slots: usize,
    /// Everything in one process, with the queue in memory, instead of one process each with the queue in Redis.
    pub standalone: bool,
}

/// The running platform.
pub struct Platform {
    processes: Vec<(&'static str, Running)>,
    api: Api,
    records: Client,
    environment: Vec<(&'static str, String)>,
    settings: Settings,
    home: PathBuf,
    logs: PathBuf,
    /// From the start of the process that answers to its first page.
    pub first_page: Duration,
}

/// What was triggered, and when.
pub struct Triggered {
    /// The database's clock just before, in seconds since 1970.
    pub at: f64,
    /// One for each DAG, in their order.
    pub runs: Vec<Run>,
    /// From then until the last end was found in the records, in seconds.
    pub seen: f64,
}

impl Platform {
    /// Starts the platform with these DAGs, and returns when they can be run and pages are answered.
    pub async fn start(
        settings: Settings,
        folder: &Folder,
        logs: &Path,
        postgres: &Postgres,
        redis: &Redis,
        files: &[DagFile],
    ) -> Result<Platform> {
        let records = postgres.create("tradewind").await?;
        let home = folder.private("home")?;
        fs::create_dir(home.join("dags")).context("cannot make the DAGs folder")?;
        write_files(&home.join("dags"), files)?;
        let password = process::random_password()?;
        let environment = environment(&settings, &home, &password, postgres, redis)?;
        process::run(command(&settings.tradewind, &environment, &["db", "migrate"]), START).await?;

        let port = process::free_port()?;
        let mut processes = Vec::new();
        let began = Instant::now();
        for (name, arguments) in commands(&settings, port) {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let command = command(&settings.tradewind, &environment, &arguments);
            processes.push((name, Running::start(name, command, logs, Signal::SIGTERM)?));
        }
        wait_for_page(&mut processes, port).await?;
        let first_page = began.elapsed();
        let api = Api::sign_in(port, &password).await?;
        let logs = logs.to_owned();
        let mut platform =
            Platform { processes, api, records, environment, settings, home, logs, first_page };
        platform.wait_for_dags(files).await?;
        Ok(platform)
    }

    /// The database of the records.
    pub fn records(&self) -> &Client {
        &self.records
    }

    /// Each process's name and id.
    pub fn pids(&self) -> Vec<(&'static str, i32)> {
        self.processes.iter().map(|(name, running)| (*name, running.pid())).collect()
    }

    /// Adds DAG files to the folder of the running platform, and returns when their DAGs can be run.
    pub async fn add(&mut self, files: &[DagFile]) -> Result<()> {
        write_files(&self.home.join("dags"), files)?;
        self.wait_for_dags(files).await
    }

    /// Takes DAG files away again.
    pub fn remove(&self, files: &[DagFile]) -> Result<()> {
        for file in files {
            let path = self.home.join("dags").join(format!("{}.yaml", file.dag_id));
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }

    /// Triggers one run of each DAG, all at once, and returns when all have ended. The records are looked at every `look`.
    pub async fn run_to_end(&mut self, files: &[DagFile], look: Duration) -> Result<Triggered> {
        let at = records::now(&self.records).await?;
        let began = Instant::now();
        let runs = try_join_all(files.iter().map(|file| self.api.trigger(&file.dag_id))).await?;
        while records::ended(&self.records, &runs).await? < runs.len() {
            self.nap(look, began, RUNS, "a run to end").await?;
        }
        Ok(Triggered { at, runs, seen: began.elapsed().as_secs_f64() })
    }

    /// Returns when no run is queued or running.
    pub async fn wait_until_idle(&mut self) -> Result<()> {
        let began = Instant::now();
        while records::active_runs(&self.records).await? > 0 {
            self.nap(LOOK, began, RUNS, "all runs to end").await?;
        }
        Ok(())
    }

    /// How many log files there are.
    pub fn log_files(&self) -> usize {
        count_files(&self.home.join("logs"))
    }

    /// Returns when there are so many log files: a figure counts only if logs were written too.
    pub async fn wait_for_log_files(&mut self, count: usize) -> Result<()> {
        let began = Instant::now();
        while self.log_files() < count {
            let what = format!("{count} log files (there are {})", self.log_files());
            self.nap(LOOK, began, LOGS, &what).await?;
        }
        Ok(())
    }

    /// Sleeps for `duration` while the processes live.
    pub async fn rest(&mut self, duration: Duration) -> Result<()> {
        tokio::time::sleep(duration).await;
        self.check()
    }

    /// Starts one more scheduler, and returns when it stands by. False in one process, which has no standby.
    pub async fn start_standby(&mut self) -> Result<bool> {
        if self.settings.standalone {
            return Ok(false);
        }
        let command = command(&self.settings.tradewind, &self.environment, &["scheduler"]);
        let running = Running::start("standby", command, &self.logs, Signal::SIGTERM)?;
        let pid = running.pid();
        self.processes.push(("standby", running));
        let began = Instant::now();
        while !records::is_present(&self.records, pid).await? {
            self.nap(LOOK, began, START, "a standby").await?;
        }
        Ok(true)
    }

    /// Ends the scheduler that leads, in peace or by kill -9, and returns the seconds from then until a run of `file` that was triggered
    /// after that has ended in the records: so long until the standby's first commits.
    pub async fn take_over(&mut self, file: &DagFile, end: impl FnOnce(Running)) -> Result<f64> {
        let epoch = records::epoch(&self.records).await?;
        let leader =
            self.processes.iter().position(|(name, _)| *name == "scheduler").context("no scheduler")?;
        let (_, leader) = self.processes.remove(leader);
        let began = Instant::now();
        end(leader);
        self.run_to_end(std::slice::from_ref(file), CLOSE_LOOK).await?;
        let took = began.elapsed().as_secs_f64();
        ensure!(records::epoch(&self.records).await? > epoch, "nobody took over, and yet a run ended");
        for (name, _) in &mut self.processes {
            if *name == "standby" {
                *name = "scheduler";
            }
        }
        Ok(took)
    }

    /// Starts one more web server and measures the time to its first page. None in one process, which is started only once.
    pub async fn start_webserver(&mut self) -> Result<Option<Duration>> {
        if self.settings.standalone {
            return Ok(None);
        }
        let port = process::free_port()?;
        let text = port.to_string();
        let command = command(
            &self.settings.tradewind,
            &self.environment,
            &["webserver", "--host", "127.0.0.1", "--port", &text],
        );
        let began = Instant::now();
        let running = Running::start("second-webserver", command, &self.logs, Signal::SIGTERM)?;
        wait_for_page(&mut [("second-webserver", running)], port).await?;
        Ok(Some(began.elapsed()))
    }

    async fn wait_for_dags(&mut self, files: &[DagFile]) -> Result<()> {
        let dag_ids: Vec<String> = files.iter().map(|file| file.dag_id.clone()).collect();
        let began = Instant::now();
        while records::loaded(&self.records, &dag_ids).await? < files.len() {
            self.nap(LOOK, began, LOAD, "new DAG files to be loaded").await?;
        }
        Ok(())
    }

    /// A sleep in a loop that waits for `what` since `began`, at most for `limit`.
    async fn nap(&mut self, look: Duration, began: Instant, limit: Duration, what: &str) -> Result<()> {
        if began.elapsed() > limit {
            bail!("waited {} s in vain for {what}", limit.as_secs());
        }
        self.rest(look).await
    }

    fn check(&mut self) -> Result<()> {
        self.processes.iter_mut().try_for_each(|(_, running)| running.check())
    }
}

/// The processes, in the order of their start: name and arguments.
fn commands(settings: &Settings, port: u16) -> Vec<(&'static str, Vec<String>)> {
    let owned =
        |arguments: &[&str]| arguments.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>();
    let (port, slots) = (port.to_string(), settings.slots.to_string());
    let web = ["--host", "127.0.0.1", "--port", &port];
    let work = ["--parallelism", &slots];
    if settings.standalone {
        return vec![("standalone", owned(&[&["standalone"], &web[..], &work[..]].concat()))];
    }
    vec![
        ("webserver", owned(&[&["webserver"], &web[..]].concat())),
        ("scheduler", owned(&["scheduler"])),
        ("worker", owned(&[&["worker"], &work[..]].concat())),
    ]
}

fn environment(
    settings: &Settings,
    home: &Path,
    password: &str,
    postgres: &Postgres,
    redis: &Redis,
) -> Result<Vec<(&'static str, String)>> {
    let mut environment = vec![
        ("TRADEWIND_HOME", home.display().to_string()),
        ("TRADEWIND_DATABASE_URL", postgres.url("tradewind")),
        ("TRADEWIND_DAGS_FOLDER", home.join("dags").display().to_string()),
        ("TRADEWIND_SECRET_KEY", process::random_password()?),
        ("TRADEWIND_ADMIN_PASSWORD", password.to_owned()),
    ];
    if !settings.standalone {
        environment.push(("TRADEWIND_REDIS_URL", redis.url()));
    }
    Ok(environment)
}

/// A command of the binary that sees no configuration but this one.
fn command(tradewind: &Path, environment: &[(&'static str, String)], arguments: &[&str]) -> Command {
    let mut command = Command::new(tradewind);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TRADEWIND_"))
    {
        command.env_remove(name);
    }
    command.args(arguments).envs(environment.iter().map(|(name, value)| (name, value)));
    command
}

async fn wait_for_page(processes: &mut [(&'static str, Running)], port: u16) -> Result<()> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?;
    let began = Instant::now();
    while !api::first_page(&client, port).await {
        processes.iter_mut().try_for_each(|(_, running)| running.check())?;
        ensure!(began.elapsed() < START, "there was no page after {} s", START.as_secs());
        tokio::time::sleep(ASK).await;
    }
    Ok(())
}

/// Each file appears whole: it is written under a name that is not a DAG file's, and then renamed.
fn write_files(folder: &Path, files: &[DagFile]) -> Result<()> {
    for file in files {
        let path = folder.join(format!("{}.yaml", file.dag_id));
        let unfinished = folder.join(format!(".{}.unfinished", file.dag_id));
        let written = fs::write(&unfinished, &file.text).and_then(|()| fs::rename(&unfinished, &path));
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn count_files(folder: &Path) -> usize {
    let (mut folders, mut files) = (vec![folder.to_owned()], 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) | Err(_) => files += 1,
            }
        }
        if files > MOST_FILES {
            break;
        }
    }
    files
}
