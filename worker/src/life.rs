//! The life of a worker: it registers, claims what waits for it, runs it, and renews its lease meanwhile; in the end it
//! drains. A worker whose lease was lost stops everything and begins anew, under another id.

mod claims;
mod lease;
mod triggers;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::id::TryKey;
use queue::{Bell, BellKind, Queue, Ticket};
use runtime::clock::Clock;
use runtime::logs::LogStore;
use runtime::shutdown::Shutdown;
use store::Store;
use store::job::{Kind, NewJob, State};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Error;
use crate::output::{Archive, Live};
use crate::place::Place;
use crate::process;
use crate::records::Records;
use crate::report::{self, Reports};
use crate::running::Running;
use crate::settings::Settings;
use crate::station::Station;
use crate::stop::Halt;
use crate::versions::Versions;
use crate::warden::Warden;
use lease::Lease;

/// The pause before the database is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the last outcomes may take to be recorded, and the last logs to be stored, at the end.
const LAST_REPORTS: Duration = Duration::from_secs(15);
/// The time between two attempts to store logs that could not be stored.
const RETRY_LOGS: Duration = Duration::from_secs(30);
/// The time between two looks for orphans to reap.
const REAP: Duration = Duration::from_secs(10);
/// How long to wait for a bell before looking at the clock.
const SILENCE: Duration = Duration::from_secs(30);
/// How long after SIGKILL a try must be over.
const AFTER_KILL: Duration = Duration::from_secs(10);

/// A worker.
pub(crate) struct Worker {
    settings: Settings,
    store: Store,
    queue: Queue,
    queues: Vec<queue::QueueName>,
    records: Records,
    station: Station,
    archive: Archive,
    live: Live,
    versions: Versions,
}

/// How a term of a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Drained,
    LeaseLost,
}

/// Everything that lasts as long as one registration.
struct Term {
    id: Uuid,
    running: Running,
    reports: Reports,
    lease: Lease,
    clock: Clock,
    /// Cancelled when nothing more may be claimed.
    closing: CancellationToken,
    /// Why the queue could not be read when it was last tried.
    trouble: Mutex<Option<queue::Error>>,
}

/// Runs a worker until it has shut down.
///
/// It works whatever happens to the database and the queue meanwhile: it waits for them. When `shutdown` begins, it takes
/// nothing new and lets what runs end, at most for [`Settings::drain_timeout`]; what still runs then is stopped and goes back
/// to the queue without using up a retry.
///
/// # Errors
/// When the folder [`Settings::scratch`] cannot be used, or a queue has an impossible name.
pub async fn run(
    settings: Settings,
    store: Store,
    queue: Queue,
    logs: LogStore,
    clock: Clock,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let worker = Arc::new(Worker::new(settings, store, queue, logs, clock)?);
    let side = tokio::spawn(Arc::clone(&worker).side_work());
    while !shutdown.drain.is_cancelled() {
        if worker.term(&shutdown).await == End::Drained {
            break;
        }
    }
    worker.archive.close(LAST_REPORTS).await;
    worker.live.round(&worker.queue).await;
    side.abort();
    // Its end frees the lock of the worker's folder for the next worker.
    let _ = side.await;
    Ok(())
}

impl Worker {
    fn new(
        settings: Settings,
        store: Store,
        queue: Queue,
        logs: LogStore,
        clock: Clock,
    ) -> Result<Worker, Error> {
        process::adopt();
        let mark = Uuid::new_v4().to_string();
        let failed = |source| Error::Scratch { folder: settings.scratch.clone(), source };
        let place = Place::open(&settings.scratch, &mark).map_err(failed)?;
        let warden = settings.warden.as_deref().and_then(|command| match Warden::start(command, &mark) {
            Ok(warden) => Some(warden),
            Err(error) => {
                tracing::error!(%error, "cannot start the warden: should this process be killed, its tasks go on for a while");
                None
            }
        });
        let names = settings.queues.iter().map(|name| queue::QueueName::new(name.as_str()));
        let queues = names.collect::<Result<Vec<_>, _>>()?;
        let archive = Archive::new(logs, place.root().to_owned());
        let station = Station::new(&settings, clock, place, mark, warden);
        Ok(Worker {
            records: Records::new(store.clone(), queue.clone()),
            settings,
            store,
            queue,
            queues,
            station,
            archive,
            live: Live::default(),
            versions: Versions::default(),
        })
    }

    /// What goes on beside everything else.
    async fn side_work(self: Arc<Self>) {
        let mut sweeper = process::Sweeper::default();
        let sweep = async {
            loop {
                tokio::time::sleep(REAP).await;
                sweeper.sweep();
            }
        };
        let store_logs = async {
            loop {
                self.archive.adopt(self.station.place.abandoned()).await;
                tokio::time::sleep(RETRY_LOGS).await;
                self.archive.retry().await;
            }
        };
        tokio::join!(self.live.run(&self.queue), store_logs, sweep);
    }

    /// One registration, from its beginning to its end.
    async fn term(self: &Arc<Self>, shutdown: &Shutdown) -> End {
        let id = Uuid::now_v7();
        tokio::select! {
            () = self.register(id) => {}
            () = shutdown.drain.cancelled() => return End::Drained,
        }
        let (reports, handed_in) = report::channel();
        let (store, queue) = (self.store.clone(), self.queue.clone());
        let mut writer = tokio::spawn(async move { report::write(&store, &queue, id, handed_in).await });
        let term = Arc::new(Term {
            id,
            running: Running::new(self.settings.slots),
            reports,
            lease: Lease::new(),
            clock: self.station.clock.clone(),
            closing: CancellationToken::new(),
            trouble: Mutex::default(),
        });
        let claimer = tokio::spawn(Arc::clone(self).claim(Arc::clone(&term)));
        let holder = tokio::spawn(Arc::clone(self).hold_triggers(Arc::clone(&term)));
        let end = tokio::select! {
            () = self.renew(&term) => End::LeaseLost,
            () = self.listen(&term) => End::LeaseLost,
            () = shutdown.drain.cancelled() => End::Drained,
        };
        term.closing.cancel();
        match end {
            End::LeaseLost => {
                tracing::error!(worker = %id, "the lease was lost: everything is stopped, and this worker begins anew");
                term.running.stop_all(Halt::LeaseLost);
                let _ = claimer.await;
                let _ = holder.await;
                self.wait_for_the_killed(&term).await;
                writer.abort();
            }
            End::Drained => {
                let _ = claimer.await;
                let _ = holder.await;
                self.drain(&term, shutdown).await;
                drop(term);
                if tokio::time::timeout(LAST_REPORTS, &mut writer).await.is_err() {
                    tracing::error!(
                        "the last outcomes could not be recorded; their tries will be started again"
                    );
                    writer.abort();
                }
                self.sign_off(id).await;
            }
        }
        end
    }

    async fn register(&self, id: Uuid) {
        let job = NewJob {
            id,
            kind: Kind::Worker,
            hostname: self.settings.hostname.clone(),
            pid: std::process::id(),
            queues: self.settings.queues.clone(),
            slots: u32::try_from(self.settings.slots).unwrap_or(u32::MAX),
        };
        loop {
            match self.store.register(&job).await {
                Ok(()) => break,
                Err(error) => tracing::warn!(%error, "cannot register this worker yet"),
            }
            tokio::time::sleep(PAUSE).await;
        }
        tracing::info!(worker = %id, slots = self.settings.slots, "ready");
        // Whoever hands out work wants to know that there is one more to do it.
        let _ = self.queue.ring(Bell::Config).await;
    }

    /// Stops what bells ask to be stopped.
    async fn listen(&self, term: &Term) {
        let mut bells = self.queue.subscribe(&[BellKind::Stop]).await;
        loop {
            match bells.next(SILENCE).await {
                Some(Bell::Stop(ticket)) => term.running.stop(attempt_of(ticket), Halt::Engine),
                Some(Bell::Missed) => term.lease.look_now(),
                Some(
                    Bell::Engine
                    | Bell::Config
                    | Bell::Deferral
                    | Bell::Timetable
                    | Bell::Changed { .. }
                    | Bell::Question(_)
                    | Bell::Answer(_),
                )
                | None => {}
            }
        }
    }

    async fn drain(&self, term: &Term, shutdown: &Shutdown) {
        self.say(term.id, State::Draining).await;
        let over = async {
            tokio::select! {
                () = term.running.wait_empty() => {}
                () = tokio::time::sleep(self.settings.drain_timeout) => {}
                () = shutdown.now.cancelled() => {}
            }
        };
        tokio::select! {
            () = over => {}
            () = self.renew(term) => {}
            () = self.listen(term) => {}
        }
        term.running.stop_all(Halt::Drain);
        tokio::select! {
            () = self.wait_for_the_killed(term) => {}
            () = self.renew(term) => {}
        }
    }

    async fn wait_for_the_killed(&self, term: &Term) {
        let limit = self.settings.grace + AFTER_KILL;
        if tokio::time::timeout(limit, term.running.wait_empty()).await.is_err() {
            tracing::error!(tries = term.running.list().len(), "some tries cannot be stopped");
        }
    }

    async fn sign_off(&self, id: Uuid) {
        self.say(id, State::Stopped).await;
        let _ = self.queue.ring(Bell::Config).await;
        tracing::info!(worker = %id, "stopped");
    }

    async fn say(&self, id: Uuid, state: State) {
        let said = tokio::time::timeout(LAST_REPORTS, self.store.set_job_state(id, state)).await;
        if !matches!(said, Ok(Ok(true))) {
            tracing::warn!(worker = %id, state = state.as_str(), "the worker's state could not be recorded");
        }
    }
}

/// The try that a ticket names.
fn attempt_of(ticket: Ticket) -> TryKey {
    let ti = domain::id::TiKey { run: domain::id::RunKey(ticket.run), index: ticket.index };
    TryKey { ti, try_number: ticket.try_number }
}

/// The ticket of a try.
fn ticket_of(attempt: TryKey) -> Ticket {
    Ticket { run: attempt.ti.run.0, index: attempt.ti.index, try_number: attempt.try_number }
}
