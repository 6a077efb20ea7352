//! From a ticket to a running try, and from its end to a report.

use std::panic::AssertUnwindSafe;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use domain::id::TryKey;
use domain::outcome::{Outcome, TryResult};
use futures_util::FutureExt;
use futures_util::future::join_all;
use queue::LogId;
use serde_json::{Map, Value};
use store::Claimed;

use super::{Term, Worker, attempt_of, ticket_of};
use crate::assignment::{Assignment, Run};
use crate::attempt::{Attempt, End, Watcher};
use crate::operator::{Done, Left, Request};
use crate::output::{Before, Output, Sink, Spool};
use crate::report::{Report, Reports};
use crate::running::{Reserved, Slot};
use crate::stop::{self, Halt, StopSignal};
use crate::versions::Version;

/// Claims under way at the same time: with one, slots that become free meanwhile would wait for it.
const CLAIMERS: usize = 2;
/// How long one look into the queue waits for something to come.
const WAIT: Duration = Duration::from_secs(5);
/// How much of the log of earlier looks is kept in that of the next, in bytes: there may be thousands.
const CARRIED: u64 = 256 << 10;
/// The pause after an error.
const PAUSE: Duration = Duration::from_millis(250);

impl Worker {
    /// Takes what waits in the queue and starts it, until the term closes: while the records are asked about some tries, the
    /// next are taken.
    pub(super) async fn claim(self: Arc<Self>, term: Arc<Term>) {
        join_all((0..CLAIMERS).map(|_| self.claim_in_turn(&term))).await;
    }

    /// A claim that has begun is never given up: what it claims must be run or given back.
    async fn claim_in_turn(self: &Arc<Self>, term: &Arc<Term>) {
        loop {
            let (tries, places) = tokio::select! {
                biased;
                () = term.closing.cancelled() => return,
                next = self.next(term) => next,
            };
            if !tries.is_empty() {
                self.claim_and_start(term, &tries, places).await;
            }
        }
    }

    /// The tries that are next in the queue, as many as there are free slots, and places for them.
    async fn next(&self, term: &Term) -> (Vec<TryKey>, Reserved) {
        let mut places = term.running.reserve().await;
        if !term.lease.is_fresh() {
            // The records would refuse the claim; the ticket is better left to somebody else.
            tokio::time::sleep(PAUSE).await;
            return (Vec::new(), places);
        }
        let popped = self.queue.pop(&self.queues, places.places(), WAIT).await;
        self.tell_of_trouble(term, popped.as_ref().err());
        match popped {
            Ok(tickets) => {
                places.keep(tickets.len());
                (tickets.into_iter().map(|(_, ticket)| attempt_of(ticket)).collect(), places)
            }
            Err(_) => {
                tokio::time::sleep(PAUSE).await;
                (Vec::new(), places)
            }
        }
    }

    /// Says once that the queue fails, and once that it works again.
    fn tell_of_trouble(&self, term: &Term, error: Option<&queue::Error>) {
        let mut known = term.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            None if known.is_some() => tracing::info!("the ready queue can be read again"),
            Some(error) if known.as_ref() != Some(error) => {
                tracing::warn!(%error, "the ready queue cannot be read now; trying again until it can");
            }
            None | Some(_) => {}
        }
        *known = error.cloned();
    }

    async fn claim_and_start(self: &Arc<Self>, term: &Arc<Term>, tries: &[TryKey], mut places: Reserved) {
        // While the lease holds, tickets that were taken are worth keeping: the sweep would take a while to renew them.
        while term.lease.is_fresh() {
            match self.store.claim(term.id, tries).await {
                Ok(claimed) => {
                    for one in claimed {
                        self.start(term, one, &mut places).await;
                    }
                    return;
                }
                Err(error) if error.is_transient() => {
                    tracing::warn!(%error, "nothing can be claimed now");
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return tracing::error!(%error, "a claim was refused"),
            }
        }
    }

    async fn start(self: &Arc<Self>, term: &Arc<Term>, claimed: Claimed, places: &mut Reserved) {
        let (stopper, stop) = stop::pair();
        let Some(slot) = places.take(claimed.attempt, stopper) else {
            return tracing::error!(attempt = %claimed.attempt, "claimed twice; it runs here already");
        };
        let version = match self.version(&claimed).await {
            Ok(version) => version,
            Err(reason) => return refuse(self, term, &claimed, reason),
        };
        let Some(task) = version.place(&claimed.task_id) else {
            let reason = format!("the DAG version of this run has no task `{}`", claimed.task_id);
            return refuse(self, term, &claimed, reason);
        };
        let assignment = Arc::new(assignment(claimed, &version, task, &self.settings.dags_folder));
        tokio::spawn(Arc::clone(self).run_to_end(Arc::clone(term), assignment, slot, stop));
    }

    async fn version(&self, claimed: &Claimed) -> Result<Arc<Version>, String> {
        if let Some(version) = self.versions.get(claimed.version) {
            return Ok(version);
        }
        loop {
            match self.store.version(claimed.version).await {
                Ok(Some((dag, _))) => return Ok(self.versions.put(claimed.version, dag)),
                Ok(None) => return Err("the DAG version of this run is gone".to_owned()),
                Err(error) if error.is_transient() => {
                    tracing::warn!(%error, "a DAG version cannot be read now");
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Runs a try, keeps its log and reports its end. A bug in here must not leave a try without an end.
    async fn run_to_end(
        self: Arc<Self>,
        term: Arc<Term>,
        assignment: Arc<Assignment>,
        slot: Slot,
        stop: StopSignal,
    ) {
        let run = AssertUnwindSafe(self.run(&term, &assignment, &stop)).catch_unwind().await;
        let end = run.unwrap_or_else(|_| {
            tracing::error!(attempt = %assignment.attempt, "a bug: the worker panicked while it ran this try");
            Done::failed("the worker met a bug of its own while it ran this try; its log has more").into()
        });
        // Nobody takes reports of a lease that is lost.
        if end.done.halted != Some(Halt::LeaseLost) {
            term.reports.send(Report::Outcome(Box::new(outcome(
                end,
                &assignment,
                &term,
                self.station.clock.now(),
            ))));
        }
        drop(slot);
    }

    async fn run(&self, term: &Term, assignment: &Arc<Assignment>, stop: &StopSignal) -> End {
        let attempt = assignment.attempt;
        let tail = self.live.open(LogId(ticket_of(attempt)));
        let spool = Spool::new(self.station.place.log(attempt), self.settings.log_limit);
        let output = Output::new(self.station.clock.clone(), Sink::Spool(spool, tail));
        if assignment.pokes > 0 {
            let most = if assignment.resumption.is_some() { u64::MAX } else { CARRIED };
            let before = Before { store: self.archive.store(), queue: &self.queue };
            output.carry_over(before, &assignment.log_key(), most).await;
        }
        let watcher = Told { attempt, reports: &term.reports };
        let whole = Attempt {
            station: &self.station,
            backend: &self.records,
            assignment,
            output: &output,
            stop,
            watcher: &watcher,
            artifacts: Some(self.archive.store()),
        };
        let end = whole.run().await;
        if let Some(fields) = output.shown_anew() {
            term.reports.send(Report::Hidden(attempt, fields));
        }
        for (key, value) in &end.done.xcoms {
            if let Some(masked) = assignment.masked_xcom(key, value, &output) {
                term.reports.send(Report::Masked(Box::new(masked)));
            }
        }
        if let Some((log, tail)) = output.finish() {
            if matches!(end.done.result, TryResult::Rescheduled | TryResult::Deferred) {
                tail.go_on();
            }
            self.archive.keep(assignment.log_key(), log, tail).await;
        }
        end
    }
}

/// Hands on what a try tells while it runs.
struct Told<'a> {
    attempt: TryKey,
    reports: &'a Reports,
}

impl Watcher for Told<'_> {
    fn rendered(&self, fields: Map<String, Value>) {
        self.reports.send(Report::Rendered(self.attempt, fields));
    }

    fn began(&self, pid: u32) {
        self.reports.send(Report::Pid(self.attempt, pid));
    }
}

fn refuse(worker: &Worker, term: &Term, claimed: &Claimed, reason: String) {
    let now = worker.station.clock.now();
    term.reports.send(Report::Outcome(Box::new(Outcome {
        attempt: claimed.attempt,
        result: TryResult::FailedForGood,
        started_at: claimed.started_at,
        ended_at: now.max(claimed.started_at),
        worker: term.id,
        exit_code: None,
        reason: Some(reason),
        rendered_map_index: None,
        xcoms: indexmap::IndexMap::new(),
        asset_events: Vec::new(),
        pokes: Some(claimed.pokes),
        trigger: None,
        question: None,
        deferral: None,
        resume_at: None,
    })));
}

fn assignment(claimed: Claimed, version: &Version, task: usize, dags_folder: &Path) -> Assignment {
    Assignment {
        attempt: claimed.attempt,
        dag: Arc::clone(&version.dag),
        task,
        folder: folder_of(dags_folder, &claimed.file),
        run: Run {
            run_id: claimed.run_id,
            run_type: claimed.run_type,
            logical_date: claimed.logical_date,
            data_interval: claimed.data_interval,
            partition: claimed.partition,
            run_after: claimed.run_after,
            started_at: claimed.run_started_at,
            conf: claimed.conf,
            triggered_by: claimed.triggered_by,
            asset_events: claimed.asset_events,
        },
        map_index: claimed.map_index,
        max_tries: claimed.max_tries,
        pokes: claimed.pokes,
        since: claimed.since,
        resumption: claimed.resumption,
        rounds: claimed.rounds,
        started_at: claimed.started_at,
    }
}

/// The folder of a DAG file, where this machine has it.
fn folder_of(dags_folder: &Path, file: &str) -> Option<PathBuf> {
    let file = Path::new(file);
    let stays_inside = file.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let folder = dags_folder.join(file.parent().filter(|_| stays_inside)?);
    folder.is_dir().then_some(folder)
}

fn outcome(end: End, assignment: &Assignment, term: &Term, now: chrono::DateTime<chrono::Utc>) -> Outcome {
    let End { done, rendered_map_index } = end;
    let Left { trigger, question, deferral, resume_at } = Request::parts(done.request);
    Outcome {
        attempt: assignment.attempt,
        result: done.result,
        started_at: assignment.started_at,
        // The start is the database's time, the end is this machine's.
        ended_at: now.max(assignment.started_at),
        worker: term.id,
        exit_code: done.exit_code,
        reason: done.reason,
        rendered_map_index,
        xcoms: done.xcoms,
        asset_events: done.asset_events,
        pokes: Some(assignment.pokes),
        trigger,
        question,
        deferral,
        resume_at,
    }
}
