//! The lease of a worker: renewed as long as it lives, and what it says about the tries that run here.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use domain::id::TryKey;
use domain::outcome::{Outcome, TryResult};
use store::job::{LEASE, RENEW_EVERY};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Term, Worker};
use crate::report::Report;
use crate::stop::Halt;

/// When the lease was last known to hold.
#[derive(Debug)]
pub(super) struct Lease {
    renewed: Mutex<Instant>,
    look: Notify,
}

impl Lease {
    /// Just granted.
    pub(super) fn new() -> Lease {
        Lease { renewed: Mutex::new(Instant::now()), look: Notify::new() }
    }

    /// Whether it certainly still holds: nobody can have declared this worker lost.
    pub(super) fn is_fresh(&self) -> bool {
        self.age() < LEASE
    }

    /// Asks for a look at the records without delay.
    pub(super) fn look_now(&self) {
        self.look.notify_one();
    }

    fn age(&self) -> std::time::Duration {
        self.renewed.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    fn renew(&self, at: Instant) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }
}

impl Worker {
    /// Renews the lease and compares what runs here with the records. Returns when the lease is lost.
    pub(super) async fn renew(&self, term: &Term) {
        let mut strangers = HashSet::new();
        loop {
            tokio::select! {
                () = tokio::time::sleep(RENEW_EVERY) => {}
                () = term.lease.look.notified() => {}
            }
            // It counts from the question, not from the answer.
            let asked = Instant::now();
            match self.store.renew_job(term.id).await {
                Ok(true) => term.lease.renew(asked),
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%error, "the lease cannot be renewed now");
                    continue;
                }
            }
            // Before the question, so that what is claimed meanwhile is not taken for unknown to the records.
            let here = term.running.list();
            match self.store.running_of(term.id).await {
                Ok(recorded) => compare(term, &here, &recorded, &mut strangers),
                Err(error) => tracing::warn!(%error, "cannot compare what runs here with the records"),
            }
        }
    }
}

/// Stops what the records do not know as running here any more, and gives back what they do but is not here: a claim
/// whose answer was lost with its connection.
fn compare(term: &Term, here: &[TryKey], recorded: &[TryKey], strangers: &mut HashSet<TryKey>) {
    let recorded: HashSet<TryKey> = recorded.iter().copied().collect();
    for attempt in here.iter().filter(|attempt| !recorded.contains(attempt)) {
        term.running.stop(*attempt, Halt::Engine);
    }
    let here: HashSet<TryKey> = term.running.list().into_iter().chain(here.iter().copied()).collect();
    let unknown: HashSet<TryKey> = recorded.difference(&here).copied().collect();
    // Once may be an outcome or a claim that is just on its way.
    for attempt in unknown.intersection(strangers) {
        tracing::warn!(%attempt, "claimed, but its claim was never answered: it is given back");
        term.reports.send(Report::Outcome(Box::new(returned(*attempt, term))));
    }
    *strangers = unknown;
}

fn returned(attempt: TryKey, term: &Term) -> Outcome {
    let now = term.clock.now();
    Outcome {
        attempt,
        result: TryResult::Returned,
        started_at: now,
        ended_at: now,
        worker: term.id,
        exit_code: None,
        reason: Some("its worker never learnt that it had claimed it".to_owned()),
        rendered_map_index: None,
        xcoms: indexmap::IndexMap::new(),
        asset_events: Vec::new(),
        pokes: None,
        trigger: None,
        question: None,
        deferral: None,
        resume_at: None,
    }
}
