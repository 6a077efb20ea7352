//! Acting on what was committed. The queue is a convenience: whatever cannot be told to it now is found by the next sweep.

use domain::{
    engine::decision::{Decisions, Ready},
    id::TryKey,
};
use queue::{Bell, QueueName, Ticket};
use tracing::warn;

use crate::term::Term;

impl Term<'_> {
    /// Hands out ready tries, stops others, tells the pages.
    pub async fn act(&self, decisions: &Decisions) {
        self.push(&decisions.ready).await;
        let stops = decisions.stop.iter().map(|attempt| Bell::Stop(ticket(*attempt)));
        let changes = decisions.changed.iter().map(|(dag_id, run_id)| Bell::Changed {
            dag_id: dag_id.to_string(),
            run_id: Some(run_id.to_string()),
        });
        let deferral = (!decisions.deferrals.is_empty()).then_some(Bell::Deferral);
        let bells: Vec<Bell> = stops.chain(changes).chain(deferral).collect();
        if let Err(error) = self.scheduler.queue.ring_all(&bells).await {
            warn!(%error, "cannot ring");
        }
    }

    /// Pushes tries to the ready queue.
    pub async fn push(&self, ready: &[Ready]) {
        let entries: Vec<queue::Ready> = ready.iter().filter_map(entry).collect();
        if entries.is_empty() {
            return;
        }
        if let Err(error) = self.scheduler.queue.push(&entries).await {
            warn!(%error, tries = entries.len(), "cannot push to the ready queue; the next sweep will");
        }
    }
}

fn entry(ready: &Ready) -> Option<queue::Ready> {
    let queue = QueueName::new(ready.queue.as_str()).ok()?;
    let released_us = ready.released_at.timestamp_micros();
    Some(queue::Ready { queue, ticket: ticket(ready.attempt), released_us })
}

const fn ticket(attempt: TryKey) -> Ticket {
    Ticket { run: attempt.ti.run.0, index: attempt.ti.index, try_number: attempt.try_number }
}
