//! Reports: outcomes and rendered fields on their way into the records, all that wait in one statement each.
//!
//! While the database is away everything is kept and tried again for ever: an outcome is never lost with it.

use std::collections::HashMap;
use std::time::Duration;

use domain::id::TryKey;
use domain::intent::Message;
use domain::outcome::{Outcome, TryResult};
use indexmap::IndexMap;
use queue::{Bell, Queue};
use serde_json::{Map, Value};
use store::Store;
use store::masked_xcom::Masked;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Most reports of one batch.
const BATCH: usize = 500;
/// How long a process has run before its id is recorded.
const SETTLED: Duration = Duration::from_millis(250);
/// First and longest pause while the database is away.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Something to put into the records.
#[derive(Debug)]
pub(crate) enum Report {
    /// How a try ended.
    Outcome(Box<Outcome>),
    /// What its templates became.
    Rendered(TryKey, Map<String, Value>),
    /// The same, with more hidden in it.
    Hidden(TryKey, Map<String, Value>),
    /// What is shown of an XCom that comes with its outcome.
    Masked(Box<Masked>),
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
    let mut processes = Processes::default();
    loop {
        tokio::select! {
            taken = reports.recv_many(&mut waiting, BATCH) => {
                if taken == 0 {
                    return;
                }
                let batch = Batch::of(waiting.drain(..), &mut processes);
                batch.write(store, queue).await;
            }
            () = processes.settled() => processes.write(store, worker).await,
        }
    }
}

/// The processes of running tries, held back for a moment: most have ended before anybody could want to know of them.
#[derive(Debug, Default)]
struct Processes {
    pids: HashMap<TryKey, u32>,
    since: Option<Instant>,
}

impl Processes {
    fn began(&mut self, attempt: TryKey, pid: u32) {
        self.pids.insert(attempt, pid);
        self.since.get_or_insert_with(Instant::now);
    }

    fn ended(&mut self, attempt: TryKey) {
        self.pids.remove(&attempt);
        if self.pids.is_empty() {
            self.since = None;
        }
    }

    /// Returns when something is worth recording.
    async fn settled(&self) {
        match self.since {
            Some(since) => tokio::time::sleep_until(since + SETTLED).await,
            None => std::future::pending().await,
        }
    }

    async fn write(&mut self, store: &Store, worker: uuid::Uuid) {
        self.since = None;
        let pids: Vec<_> = self.pids.drain().collect();
        if let Err(error) = store.set_pids(worker, &pids).await {
            tracing::debug!(%error, "process ids were not recorded");
        }
    }
}

#[derive(Debug, Default)]
struct Batch {
    outcomes: Vec<Outcome>,
    rendered: HashMap<TryKey, Map<String, Value>>,
    hidden: Vec<(TryKey, Map<String, Value>)>,
    masked: Vec<Masked>,
}

impl Batch {
    fn of(reports: impl Iterator<Item = Report>, processes: &mut Processes) -> Batch {
        let mut batch = Batch::default();
        for report in reports {
            match report {
                Report::Outcome(outcome) => {
                    processes.ended(outcome.attempt);
                    batch.outcomes.push(*outcome);
                }
                Report::Rendered(attempt, fields) => drop(batch.rendered.insert(attempt, fields)),
                Report::Hidden(attempt, fields) => {
                    batch.rendered.remove(&attempt);
                    batch.hidden.push((attempt, fields));
                }
                Report::Masked(masked) => batch.masked.push(*masked),
                Report::Pid(attempt, pid) => processes.began(attempt, pid),
            }
        }
        batch
    }

    async fn write(self, store: &Store, queue: &Queue) {
        // With its outcome an XCom can be seen: what is to be shown of it must be there.
        for masked in &self.masked {
            let _ = insist("what is shown of an XCom", || store.mask_xcom(masked)).await;
        }
        if !self.hidden.is_empty() {
            let _ = insist("rendered fields", || store.write_rendered(&self.hidden)).await;
        }
        // The outcomes first: somebody waits for what follows from them.
        if !self.outcomes.is_empty() {
            post(store, self.outcomes).await;
            // A bell that is not heard costs the engine's next look at the inbox, nothing more.
            if let Err(error) = queue.ring(Bell::Engine).await {
                tracing::debug!(%error, "the engine's bell could not be rung");
            }
        }
        if !self.rendered.is_empty() {
            let rendered: Vec<_> = self.rendered.into_iter().collect();
            // What cannot be recorded is missed by readers only.
            let _ = insist("rendered fields", || store.write_rendered(&rendered)).await;
        }
    }
}

/// Posts outcomes. One that cannot be recorded must not take the others with it, and its try must end all the same.
async fn post(store: &Store, outcomes: Vec<Outcome>) {
    let messages: Vec<Message> = outcomes.into_iter().map(Message::Outcome).collect();
    if insist("outcomes", || store.post(&messages)).await.is_ok() {
        return;
    }
    for message in messages {
        let Err(error) = insist("an outcome", || store.post(std::slice::from_ref(&message))).await else {
            continue;
        };
        if let Message::Outcome(outcome) = message {
            let failure = [Message::Outcome(unrecordable(outcome, &error))];
            // Of what could be refused nothing is left; if it is, the log has said so.
            let _ = insist("a failure", || store.post(&failure)).await;
        }
    }
}

/// The same try, failed because its outcome cannot be recorded.
fn unrecordable(outcome: Outcome, error: &store::Error) -> Outcome {
    Outcome {
        result: TryResult::Failed,
        reason: Some(format!("what it left cannot be recorded: {error}")),
        xcoms: IndexMap::new(),
        ..outcome
    }
}

/// Does it until it works, or until it is clear that it never will.
async fn insist<T, F>(what: &str, act: impl Fn() -> F) -> Result<T, store::Error>
where
    F: Future<Output = Result<T, store::Error>>,
{
    let mut pause = PAUSES.0;
    loop {
        match act().await {
            Err(error @ (store::Error::Invalid(_) | store::Error::Conflict(_))) => {
                tracing::error!(%error, "{what} cannot be recorded");
                return Err(error);
            }
            Err(error) => {
                tracing::warn!(%error, "{what} cannot be recorded now; they are kept and tried again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
            Ok(done) => return Ok(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use domain::id::{RunKey, TiKey};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_try_whose_outcome_cannot_be_recorded_has_failed() {
        let outcome = Outcome {
            attempt: TryKey { ti: TiKey { run: RunKey(1), index: 0 }, try_number: 2 },
            result: TryResult::Success,
            started_at: DateTime::UNIX_EPOCH,
            ended_at: DateTime::UNIX_EPOCH,
            worker: uuid::Uuid::nil(),
            exit_code: Some(0),
            reason: None,
            asset_events: Vec::new(),
            pokes: None,
            trigger: None,
            question: None,
            deferral: None,
            resume_at: None,
            rendered_map_index: None,
            xcoms: IndexMap::from([("k".repeat(513), json!(1))]),
        };
        let error = store::xcom::check_key(&"k".repeat(513)).unwrap_err();
        let failed = unrecordable(outcome.clone(), &error);
        assert_eq!(
            (failed.attempt, failed.result, failed.exit_code),
            (outcome.attempt, TryResult::Failed, Some(0))
        );
        assert!(failed.xcoms.is_empty() && failed.reason.unwrap().contains("513 characters"));
    }
}
