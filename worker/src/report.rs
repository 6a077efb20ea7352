//! Reports: outcomes and rendered fields on their way into the records, all that wait in one statement each.
//!
//! While the database is away everything is kept and tried again for ever: an outcome is never lost with it.

use std::collections::HashMap;
use std::time::Duration;

use domain::id::TryKey;
use domain::intent::Message;
use domain::outcome::Outcome;
use queue::{Bell, Queue};
use serde_json::{Map, Value};
use store::Store;
use tokio::sync::mpsc;

/// Most reports of one batch.
const BATCH: usize = 500;
/// First and longest pause while the database is away.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Something to put into the records.
#[derive(Debug)]
pub(crate) enum Report {
    /// How a try ended.
    Outcome(Box<Outcome>),
    /// What its templates became.
    Rendered(TryKey, Map<String, Value>),
    /// Its process.
    Pid(TryKey, u32),
}

/// Where reports are handed in. There are never more than a few for each slot.
#[derive(Debug, Clone)]
pub(crate) struct Reports(mpsc::UnboundedSender<Report>);

impl Reports {
    /// Hands one in.
    pub(crate) fn send(&self, report: Report) {
        if self.0.send(report).is_err() {
            tracing::error!("a report came after the end of the worker and is lost");
        }
    }
}

/// Where reports are handed in, and where they come out.
pub(crate) fn channel() -> (Reports, mpsc::UnboundedReceiver<Report>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Reports(sender), receiver)
}

/// Writes reports until nobody can hand in any more.
pub(crate) async fn write(
    store: &Store,
    queue: &Queue,
    worker: uuid::Uuid,
    mut reports: mpsc::UnboundedReceiver<Report>,
) {
    let mut waiting = Vec::with_capacity(BATCH);
    while reports.recv_many(&mut waiting, BATCH).await > 0 {
        let batch = Batch::of(waiting.drain(..));
        batch.write(store, queue, worker).await;
    }
}

#[derive(Debug, Default)]
struct Batch {
    outcomes: Vec<Message>,
    rendered: HashMap<TryKey, Map<String, Value>>,
    pids: HashMap<TryKey, u32>,
}

impl Batch {
    fn of(reports: impl Iterator<Item = Report>) -> Batch {
        let mut batch = Batch::default();
        for report in reports {
            match report {
                Report::Outcome(outcome) => {
                    // A process that has ended is of no interest any more.
                    batch.pids.remove(&outcome.attempt);
                    batch.outcomes.push(Message::Outcome(*outcome));
                }
                Report::Rendered(attempt, fields) => drop(batch.rendered.insert(attempt, fields)),
                Report::Pid(attempt, pid) => drop(batch.pids.insert(attempt, pid)),
            }
        }
        batch
    }

    async fn write(self, store: &Store, queue: &Queue, worker: uuid::Uuid) {
        // The outcomes first: somebody waits for what follows from them.
        if !self.outcomes.is_empty() {
            post(store, &self.outcomes).await;
            // A bell that is not heard costs the engine's next look at the inbox, nothing more.
            if let Err(error) = queue.ring(Bell::Engine).await {
                tracing::debug!(%error, "the engine's bell could not be rung");
            }
        }
        if !self.rendered.is_empty() {
            let rendered: Vec<_> = self.rendered.into_iter().collect();
            insist("rendered fields", || store.write_rendered(&rendered)).await;
        }
        if !self.pids.is_empty() {
            let pids: Vec<_> = self.pids.into_iter().collect();
            if let Err(error) = store.set_pids(worker, &pids).await {
                tracing::debug!(%error, "process ids were not recorded");
            }
        }
    }
}

/// Posts outcomes. One that the database refuses must not take the others with it.
async fn post(store: &Store, outcomes: &[Message]) {
    if insist("outcomes", || store.post(outcomes)).await.is_some() || outcomes.len() == 1 {
        return;
    }
    for outcome in outcomes {
        insist("an outcome", || store.post(std::slice::from_ref(outcome))).await;
    }
}

/// Does it until it works; none when it never will.
async fn insist<T, F>(what: &str, act: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = Result<T, store::Error>>,
{
    let mut pause = PAUSES.0;
    loop {
        match act().await {
            Ok(done) => return Some(done),
            Err(error @ (store::Error::Invalid(_) | store::Error::Conflict(_))) => {
                tracing::error!(%error, "{what} cannot be recorded");
                return None;
            }
            Err(error) => {
                tracing::warn!(%error, "{what} cannot be recorded now; they are kept and tried again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}
