//! One term as leader: from the moment the lease is won until it is lost, given back, or something goes wrong.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use domain::engine::{
    Engine, Snapshot,
    event::{Event, MAX_QUEUED},
    record::{VersionId, WorkerRecord},
};
use queue::{Bell, BellKind, Bells, Note};
use runtime::shutdown::Shutdown;
use store::LeaderProof;
use tokio::sync::{Notify, mpsc};
use tracing::{info, warn};

use crate::{Error, Scheduler, bridge::Bridge, dags, dags::DagEvents, oracle};

/// How often the records are looked at even if no bell rings: a lost bell costs at most this.
const POLL: Duration = Duration::from_secs(1);

/// How often everything that the records call queued is pushed again, in case the queue lost it.
const SWEEP: Duration = Duration::from_secs(10);

/// A queued try that is younger than this is still on its way, and not pushed again.
const SWEEP_AGE: Duration = Duration::from_secs(10);

/// Most tries that one sweep pushes.
const SWEEP_LIMIT: usize = 10_000;

/// Batches of loaded DAGs that may wait for the next turn.
const DAG_BATCHES: usize = 16;

/// What it listens to.
const HEARD: [BellKind; 3] = [BellKind::Engine, BellKind::Config, BellKind::Question];

/// The leader's memory and the moments it must not miss.
pub struct Term<'a> {
    pub scheduler: &'a Scheduler,
    pub proof: &'a LeaderProof,
    /// Rings when there are alerts to send.
    pub alerts: &'a Notify,
    bridge: &'a Arc<Bridge>,
    pub engine: Engine,
    pub workers: Vec<WorkerRecord>,
    /// The version of the DAG of posted tasks that the engine knows.
    pub adhoc: Option<VersionId>,
    began: Instant,
    last_sweep: Instant,
    last_check: Instant,
}

enum Woken {
    Bell(Bell),
    Asked(Note),
    Dags(Vec<Event>),
    Time,
    Stop,
}

impl<'a> Term<'a> {
    pub fn new(
        scheduler: &'a Scheduler,
        bridge: &'a Arc<Bridge>,
        proof: &'a LeaderProof,
        alerts: &'a Notify,
    ) -> Self {
        let now = Instant::now();
        Self {
            scheduler,
            proof,
            alerts,
            bridge,
            engine: Engine::default(),
            workers: Vec::new(),
            adhoc: None,
            began: now,
            last_sweep: now,
            last_check: now,
        }
    }

    /// Leads until told to stop; an error means that the memory cannot be trusted any more. Whoever drops it half-way loses nothing:
    /// a commit that has not ended is rolled back.
    pub async fn serve(mut self, shutdown: &Shutdown) -> Result<(), Error> {
        let (to, mut dags) = mpsc::channel(DAG_BATCHES);
        let (scheduler, proof, bridge) = (self.scheduler, self.proof, Arc::clone(self.bridge));
        tokio::select! {
            ended = self.lead(&mut dags, shutdown) => ended,
            never = dags::load(scheduler, Arc::clone(&bridge), proof, to) => match never {},
            never = oracle::answer(scheduler, &bridge) => match never {},
        }
    }

    async fn lead(&mut self, dags: &mut DagEvents, shutdown: &Shutdown) -> Result<(), Error> {
        // Subscribe before reading: whatever happens in between is heard.
        let mut bells = self.scheduler.queue.subscribe(&HEARD).await;
        self.restore().await?;
        self.sweep(Duration::ZERO).await?;
        self.turn().await?;
        loop {
            match self.wait(&mut bells, dags, shutdown).await {
                Woken::Stop => return Ok(()),
                Woken::Bell(Bell::Engine) | Woken::Time => {}
                Woken::Bell(
                    Bell::Config
                    | Bell::Missed
                    | Bell::Deferral
                    | Bell::Timetable
                    | Bell::Stop(_)
                    | Bell::Changed { .. }
                    | Bell::Question(_)
                    | Bell::Answer(_),
                ) => self.refresh().await?,
                Woken::Asked(note) => {
                    // Whoever asks what is in the way wants to know what is left after everything was decided.
                    self.turn().await?;
                    self.reply(&note).await;
                }
                Woken::Dags(events) => self.tell(events),
            }
            self.turn().await?;
            self.check().await?;
        }
    }

    async fn restore(&mut self) -> Result<(), Error> {
        let started = Instant::now();
        let snapshot = self.scheduler.store.load(self.proof).await?;
        self.workers.clone_from(&snapshot.workers);
        let runs = snapshot.runs.len();
        let memory = Snapshot {
            dags: snapshot.dags,
            runs: snapshot.runs,
            backfills: snapshot.backfills,
            pools: snapshot.pools,
            admission: self.scheduler.settings.admission.clone(),
            durations: snapshot.durations,
            workers: snapshot.workers,
            assets: snapshot.assets,
            next_run: snapshot.next_run.0,
        };
        self.engine = Engine::restore(memory, self.scheduler.clock.now());
        info!(runs, millis = started.elapsed().as_millis(), "restored");
        Ok(())
    }

    async fn wait(&mut self, bells: &mut Bells, dags: &mut DagEvents, shutdown: &Shutdown) -> Woken {
        let now = self.scheduler.clock.now();
        let until = self
            .engine
            .next_deadline()
            .map_or(POLL, |at| (at - now).to_std().unwrap_or(Duration::ZERO).min(POLL));
        tokio::select! {
            biased;
            () = shutdown.drain.cancelled() => Woken::Stop,
            Some(events) = dags.recv() => Woken::Dags(events),
            bell = bells.next(until) => match bell {
                Some(Bell::Question(note)) => Woken::Asked(note),
                Some(bell) => Woken::Bell(bell),
                None => Woken::Time,
            },
        }
    }

    fn tell(&mut self, events: Vec<Event>) {
        let now = self.scheduler.clock.now();
        for event in events {
            self.engine.handle(event, now);
        }
    }

    // What is due by the clock: lost workers, new workers, changed settings, a forgetful queue.
    async fn check(&mut self) -> Result<(), Error> {
        if self.last_check.elapsed() < POLL {
            return Ok(());
        }
        self.last_check = Instant::now();
        self.meet_workers().await?;
        self.bury_workers().await?;
        if matches!(self.scheduler.queue.marker_present().await, Ok(false)) {
            info!("the queue was emptied: pushing everything again");
            self.sweep(Duration::ZERO).await?;
        } else if self.last_sweep.elapsed() > SWEEP {
            self.refresh().await?;
            self.sweep(SWEEP_AGE).await?;
            self.give_up_unclaimed().await?;
        }
        self.turn().await
    }

    /// Reads what people and workers may have changed without the inbox.
    async fn refresh(&mut self) -> Result<(), Error> {
        self.meet_workers().await?;
        let pools = self.scheduler.store.pool_records().await?;
        let flags = self.scheduler.store.paused_flags().await?;
        let flags = flags.into_iter().map(|flag| (flag.dag_id, flag.is_paused)).collect();
        self.tell(vec![Event::Pools(pools), Event::Flags(flags)]);
        Ok(())
    }

    async fn meet_workers(&mut self) -> Result<(), Error> {
        let workers = self.scheduler.store.live_workers().await?;
        if workers != self.workers {
            self.workers.clone_from(&workers);
            self.tell(vec![Event::Workers(workers)]);
        }
        Ok(())
    }

    // A worker is only given up by a leader that has been watching for as long as a lease lasts: after an outage of the
    // database nobody could renew, and everybody would look dead.
    async fn bury_workers(&mut self) -> Result<(), Error> {
        if self.began.elapsed() < self.scheduler.settings.worker_lease {
            return Ok(());
        }
        let store = &self.scheduler.store;
        let mut lost = store.expire(self.proof, self.scheduler.settings.worker_lease).await?;
        lost.extend(store.orphans().await?);
        for worker in lost {
            if !worker.tries.is_empty() {
                warn!(worker = %worker.worker, tries = worker.tries.len(), "lost with their worker");
            }
            self.tell(vec![Event::WorkerLost { worker: worker.worker, tries: worker.tries }]);
        }
        Ok(())
    }

    async fn give_up_unclaimed(&mut self) -> Result<(), Error> {
        let unclaimed = self.scheduler.store.unclaimed(SWEEP_LIMIT, MAX_QUEUED).await?;
        if !unclaimed.is_empty() {
            warn!(tries = unclaimed.len(), "queued for very long, although workers have free slots");
            self.tell(vec![Event::Unclaimed(unclaimed)]);
        }
        Ok(())
    }

    /// Pushes again what the records call queued.
    async fn sweep(&mut self, older_than: Duration) -> Result<(), Error> {
        self.last_sweep = Instant::now();
        let ready = self.scheduler.store.queued(SWEEP_LIMIT, older_than).await?;
        self.push(&ready).await;
        if let Err(error) = self.scheduler.queue.set_marker().await {
            warn!(%error, "cannot mark the queue");
        }
        Ok(())
    }
}
