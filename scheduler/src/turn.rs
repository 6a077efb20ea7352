//! One turn: read the inbox, ask the engine, write what it decided, then act on it.

use domain::{engine::event::Event, intent::Message};
use store::InboxId;

use crate::{Error, term::Term};

/// Most messages taken in by one turn. Under load the batch grows up to this, and the cost of each message falls.
const BATCH: usize = 2000;

impl Term<'_> {
    /// Turns until there is nothing left to do right now.
    pub async fn turn(&mut self) -> Result<(), Error> {
        loop {
            let messages = self.scheduler.store.read(BATCH).await?;
            let more = messages.len() == BATCH;
            let consumed = self.take_in(messages).await?;
            self.decide(&consumed).await?;
            if !more && !self.is_due() {
                return Ok(());
            }
        }
    }

    async fn take_in(&mut self, messages: Vec<(InboxId, Message)>) -> Result<Vec<InboxId>, Error> {
        let now = self.scheduler.clock.now();
        let mut consumed = Vec::with_capacity(messages.len());
        for (id, message) in messages {
            consumed.push(id);
            match message {
                Message::Outcome(outcome) => self.engine.handle(Event::Outcome(Box::new(outcome)), now),
                Message::Intent(intent) => {
                    let (dag_id, run_id) = intent.wish.subject();
                    if !self.engine.knows_run(dag_id, run_id)
                        && let Some(run) = self.scheduler.store.run(dag_id, run_id).await?
                    {
                        self.engine.handle(Event::Run(Box::new(run)), now);
                    }
                    self.engine.handle(Event::Intent(Box::new(intent)), now);
                }
            }
        }
        Ok(consumed)
    }

    // Nothing of a turn has happened before it is committed, and everything has afterwards, whatever becomes of the queue.
    async fn decide(&mut self, consumed: &[InboxId]) -> Result<(), Error> {
        let decisions = self.engine.poll(self.scheduler.clock.now());
        if !decisions.is_clean() || !consumed.is_empty() {
            self.scheduler.store.commit(self.proof, &decisions, consumed).await?;
        }
        self.act(&decisions).await;
        Ok(())
    }

    fn is_due(&self) -> bool {
        self.engine.next_deadline().is_some_and(|at| at <= self.scheduler.clock.now())
    }
}
