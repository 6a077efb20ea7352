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
mod bridge;
mod dags;
mod folder;
mod keeper;
mod oracle;
mod python_files;
mod reply;
mod term;
mod timetables;
mod turn;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use domain::engine::record::AdmissionRecord;
use queue::{Bell, BellKind, Queue};
use runtime::{clock::Clock, health::Health, shutdown::Shutdown};
use store::{
    LeaderProof, Store, job,
    lease::{self, Candidate},
};
use tokio::sync::Notify;
use tracing::{info, warn};
use uuid::Uuid;

pub use self::{
    dags::ignore_syntax,
    folder::{
        list::{Found as DagFiles, list as list_dag_files},
        may_define_dags,
    },
};

use self::bridge::Bridge;

/// How a scheduler is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the DAG files are.
    pub dags_folder: PathBuf,
    /// How long a leader's lease lasts: after a crash a standby takes over within this time and [`Settings::standby`].
    pub lease: Duration,
    /// How often a standby tries to become the leader; besides, it does when a leader that steps down rings.
    pub standby: Duration,
    /// A worker that has not renewed its lease for this long is lost.
    pub worker_lease: Duration,
    /// By which rules instances start, where DAGs and pools do not say otherwise.
    pub admission: AdmissionRecord,
    /// The Python environment that Airflow DAG files are read in; it need not exist.
    pub python: python::Environment,
    /// What links in alerts begin with, without a slash at its end; without it they are paths.
    pub base_url: Option<String>,
}

impl Settings {
    /// The usual times: a lease of 3 s, tried for four times a second, so that a standby takes over within 3.3 s.
    #[must_use]
    pub fn new(dags_folder: PathBuf, python: python::Environment) -> Self {
        Self {
            dags_folder,
            lease: Duration::from_secs(3),
            standby: Duration::from_millis(250),
            worker_lease: job::LEASE,
            admission: AdmissionRecord::default(),
            python,
            base_url: None,
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
        let bridge = Arc::new(Bridge::new(&self.settings.python, &self.settings.dags_folder));
        let base_url = self.settings.base_url.as_deref();
        let office = alerts::Office::new(self.store.clone(), base_url, Arc::clone(&bridge));
        let post = tokio::spawn(alerts::deliver(office, due.clone(), shutdown.clone()));
        let mut candidate = Candidate::new(self.store.clone(), lease::MAIN, id, self.settings.lease);
        // Subscribe before trying: a leader that steps down in between is heard.
        let mut bells = self.queue.subscribe(&[BellKind::Config]).await;
        let mut told = None;
        while !shutdown.drain.is_cancelled() {
            let asked = Instant::now();
            let trouble = match candidate.acquire().await {
                Ok(Some(proof)) => {
                    candidate = self.lead(proof, candidate, asked, (&bridge, &due), &shutdown).await;
                    None
                }
                Ok(None) => None,
                Err(error) => Some(error.to_string()),
            };
            if let Some(error) = trouble.as_ref().filter(|_| trouble != told) {
                warn!(error, "cannot try for the lease; trying until it works");
            }
            told = trouble;
            tokio::select! {
                () = shutdown.drain.cancelled() => {}
                _ = bells.next(self.settings.standby) => {}
            }
        }
        presence.await.unwrap_or_else(|error| warn!(%error, "the presence task died"));
        post.await.unwrap_or_else(|error| warn!(%error, "the task that sends alerts died"));
    }

    // Leads with a lease that was asked for at `granted`, until told to stop or until something goes wrong. A turn that hangs, or whose
    // answer is still on its way, is dropped with the lease: whether it is committed, the records say.
    async fn lead(
        &self,
        proof: LeaderProof,
        candidate: Candidate,
        granted: Instant,
        (bridge, alerts): (&Arc<Bridge>, &Notify),
        shutdown: &Shutdown,
    ) -> Candidate {
        info!(epoch = proof.epoch(), "leading");
        let keeper = keeper::Keeper::start(candidate, granted);
        let ended = tokio::select! {
            biased;
            () = keeper.lost() => Err(Error::Deposed),
            ended = term::Term::new(self, bridge, &proof, alerts).serve(shutdown) => ended,
        };
        let spare = || Candidate::new(self.store.clone(), lease::MAIN, proof.holder(), self.settings.lease);
        let mut candidate = keeper.stop().await.unwrap_or_else(spare);
        match ended {
            Ok(()) => self.step_down(proof, &mut candidate).await,
            Err(error) => {
                warn!(%error, epoch = proof.epoch(), "the term ended");
                self.store.close_idle();
            }
        }
        candidate
    }

    async fn step_down(&self, proof: LeaderProof, candidate: &mut Candidate) {
        if let Err(error) = candidate.release(proof).await {
            return warn!(%error, "cannot give back the lease; it will run out");
        }
        if let Err(error) = self.queue.ring(Bell::Config).await {
            warn!(%error, "cannot tell the standbys; they will find out");
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
