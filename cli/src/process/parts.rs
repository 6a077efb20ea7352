//! What the processes are made of, and how each part is started.

use std::net::TcpListener;

use anyhow::{Context, Result};
use domain::{engine::record::AdmissionRecord, id::QueueName};
use queue::Queue;
use runtime::{
    clock::Clock, config::Config, health::Health, logs::LogStore, secret_key::SecretKey, shutdown::Shutdown,
};
use scheduler::Scheduler;
use store::Store;
use webserver::AppState;

use crate::{args, setup};

/// Everything that a part may need.
#[derive(Clone)]
pub struct Parts {
    pub config: Config,
    pub store: Store,
    pub queue: Queue,
    pub health: Health,
    pub clock: Clock,
    pub logs: LogStore,
    admission: AdmissionRecord,
    secret: SecretKey,
}

impl Parts {
    pub fn new(config: Config, store: Store, queue: Queue, health: Health) -> Result<Self> {
        let logs = LogStore::open(&config.logs_url)
            .context("cannot keep logs; choose another place with --logs-url or TRADEWIND_LOGS_URL")?;
        let admission = setup::admission(&config)?;
        let secret = SecretKey::open(&config)?;
        Ok(Self { config, store, queue, health, clock: Clock::system(), logs, admission, secret })
    }

    /// A scheduler, not yet running.
    pub fn scheduler(&self) -> Scheduler {
        let mut settings =
            scheduler::Settings::new(self.config.dags_folder.to_path_buf(), setup::python(&self.config));
        settings.admission.clone_from(&self.admission);
        settings.base_url = self.config.base_url.as_ref().map(ToString::to_string);
        Scheduler {
            settings,
            store: self.store.clone(),
            queue: self.queue.clone(),
            clock: self.clock.clone(),
            health: self.health.clone(),
        }
    }

    /// Runs a worker until it has drained.
    pub async fn run_worker(&self, args: &args::Worker, shutdown: Shutdown) -> Result<()> {
        let names = self.config.queues.names();
        let queues = names.iter().map(|name| QueueName::new(name.as_str())).collect::<Result<Vec<_>, _>>()?;
        let scratch = self.config.home.path().join("running");
        let hostname = hostname();
        let slots = self.config.parallelism.get();
        let folder = self.config.dags_folder.to_path_buf();
        let mut settings = worker::Settings::new(slots, hostname, folder, scratch);
        settings.queues = queues;
        settings.python = Some(setup::python(&self.config));
        settings.drain_timeout = args.drain_timeout.duration();
        settings.warden = Some(warden()?);
        let (store, queue, logs) = (self.store.clone(), self.queue.clone(), self.logs.clone());
        worker::run(settings, store, queue, logs, self.clock.clone(), shutdown)
            .await
            .context("the worker cannot run")
    }

    /// A web server on a port that was bound with [`bind`].
    pub fn webserver(&self, listener: TcpListener) -> Result<Server> {
        let settings = webserver::Settings {
            host: self.config.host.as_str().to_owned(),
            port: self.config.port.get(),
            dags_folder: self.config.dags_folder.display().to_string(),
            ..webserver::Settings::default()
        };
        // Connections are driven by the threads that opened them, and those of the web server end before the others.
        let store = Store::open(self.store.settings().clone())?;
        let (queue, logs) = (self.queue.clone(), self.logs.clone());
        let state = AppState::new(
            settings,
            store,
            queue,
            logs,
            self.clock.clone(),
            self.health.clone(),
            &self.secret,
        );
        Ok(Server { listener, state })
    }
}

/// Takes the web server's port, so that a taken one is an error before anything is written.
pub fn bind(config: &Config) -> Result<TcpListener> {
    Ok(webserver::bind(config.host.as_str(), config.port.get())?)
}

/// A web server that has its port but does not answer yet.
pub struct Server {
    listener: TcpListener,
    state: AppState,
}

impl Server {
    /// Where it will answer, for people.
    pub fn url(&self) -> String {
        self.listener.local_addr().map_or_else(
            |_| "http://127.0.0.1".to_owned(),
            |address| {
                if address.ip().is_unspecified() {
                    format!("http://127.0.0.1:{}", address.port())
                } else {
                    format!("http://{address}")
                }
            },
        )
    }

    /// Answers until shutdown.
    pub async fn run(self, shutdown: Shutdown) -> Result<()> {
        Ok(webserver::serve(self.listener, self.state, shutdown).await?)
    }
}

fn hostname() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "unknown".to_owned())
}

fn warden() -> Result<Vec<std::ffi::OsString>> {
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    Ok(vec![program.into(), "warden".into()])
}
