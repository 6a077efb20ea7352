//! The scheduler: the one leader that feeds the engine, writes what it decides and rings the workers; and its hot standbys.
//!
//! The law is in `domain::engine`; this crate is the shell around it: it reads the inbox, asks the engine, commits, then acts.
//! It keeps no state of its own that matters: whenever something goes wrong, the engine is thrown away and restored from
//! the records.
//!
//! Beside the turns, and never in one, it sends the alerts that the engine decided (`alerts/`).
//!
//! Never in here: SQL, Redis commands, decisions about runs and tasks, HTTP but that of alerts.

mod act;
mod alerts;
mod dags;
mod folder;
mod term;
mod turn;

use std::{path::PathBuf, sync::Arc, time::Duration};

use queue::Queue;
use runtime::{clock::Clock, health::Health, shutdown::Shutdown};
use store::{Store, job, lease};
use tokio::sync::Notify;
use tracing::{info, warn};
use uuid::Uuid;

/// How a scheduler is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the DAG files are.
    pub dags_folder: PathBuf,
    /// How long a leader's lease lasts: after a crash a standby takes over within this time and [`Settings::standby`].
    pub lease: Duration,
    /// How often a standby tries to become the leader.
    pub standby: Duration,
    /// A worker that has not renewed its lease for this long is lost.
    pub worker_lease: Duration,
}

impl Settings {
    /// The usual times: a lease of 3 s, tried for twice a second, so that a standby takes over within 4 s.
    #[must_use]
    pub fn new(dags_folder: PathBuf) -> Self {
        Self {
            dags_folder,
            lease: Duration::from_secs(3),
            standby: Duration::from_millis(500),
            worker_lease: job::LEASE,
        }
    }
}

/// What a scheduler works with.
#[derive(Debug, Clone)]
pub struct Scheduler {
    /// How it is set up.
    pub settings: Settings,
    /// The records.
    pub store: Store,
    /// The ready queue and the doorbells.
    pub queue: Queue,
    /// The time.
    pub clock: Clock,
    /// Where it says that it is alive.
    pub health: Health,
}

/// Why a scheduler's term as leader ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The records.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Another process leads now.
    #[error("the lease was lost")]
    Deposed,
}

impl Scheduler {
    /// Leads whenever it can, until it is told to stop. Never fails: whatever goes wrong is logged and tried again.
    pub async fn run(self, shutdown: Shutdown) {
        let id = Uuid::now_v7();
        let presence = tokio::spawn(self.clone().stay_present(id, shutdown.clone()));
        let due = Arc::new(Notify::new());
        let post = tokio::spawn(alerts::deliver(self.store.clone(), due.clone(), shutdown.clone()));
        while !shutdown.drain.is_cancelled() {
            match self.store.acquire(lease::MAIN, id, self.settings.lease).await {
                Ok(Some(proof)) => {
                    info!(epoch = proof.epoch(), "leading");
                    match term::Term::new(&self, &proof, &due).serve(&shutdown).await {
                        Ok(()) => self.step_down(proof).await,
                        Err(error) => warn!(%error, "the term ended"),
                    }
                }
                Ok(None) => {}
                Err(error) => warn!(%error, "cannot try for the lease"),
            }
            tokio::select! {
                () = shutdown.drain.cancelled() => {}
                () = tokio::time::sleep(self.settings.standby) => {}
            }
        }
        presence.await.unwrap_or_else(|error| warn!(%error, "the presence task died"));
        post.await.unwrap_or_else(|error| warn!(%error, "the task that sends alerts died"));
    }

    async fn step_down(&self, proof: store::LeaderProof) {
        if let Err(error) = self.store.release(proof).await {
            warn!(%error, "cannot give back the lease; it will run out");
        }
    }

    // Keeps a row that says that this process lives, for health pages.
    async fn stay_present(self, id: Uuid, shutdown: Shutdown) {
        let job = job::NewJob {
            id,
            kind: job::Kind::Scheduler,
            hostname: hostname(),
            pid: std::process::id(),
            queues: Vec::new(),
            slots: 0,
        };
        let pulse = self.health.register("scheduler", chrono::TimeDelta::seconds(30));
        let mut registered = false;
        while !shutdown.drain.is_cancelled() {
            let result = if registered {
                self.store.renew_job(id).await.map(|_| ())
            } else {
                self.store.register(&job).await
            };
            match result {
                Ok(()) => {
                    registered = true;
                    pulse.beat(self.clock.now());
                }
                Err(error) => pulse.trouble(self.clock.now(), error.to_string()),
            }
            tokio::select! {
                () = shutdown.drain.cancelled() => {}
                () = tokio::time::sleep(job::RENEW_EVERY) => {}
            }
        }
        if let Err(error) = self.store.set_job_state(id, job::State::Stopped).await {
            warn!(%error, "cannot record that this scheduler stopped");
        }
    }
}

fn hostname() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "unknown".to_owned())
}
