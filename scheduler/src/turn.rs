//! One turn: read the inbox, ask the engine, write what it decided, then act on it.

use chrono::{DateTime, Utc};
use domain::{
    engine::{
        backfill::{Recall, Survey},
        event::Event,
        record::{DeadlineQuestion, PastQuestion, RunQuestion},
        triggering::named_run,
    },
    id::{DagId, RunId},
    intent::Message,
};
use store::{InboxId, adhoc};

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
            let answered = self.decide(&consumed).await?;
            if !more && !answered && !self.is_due() {
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
                Message::Outcome(outcome) => {
                    if let Some((dag_id, run_id)) = named_run(&outcome) {
                        self.meet(Some(dag_id), run_id, now).await?;
                    }
                    self.engine.handle(Event::Outcome(Box::new(outcome)), now);
                }
                Message::Fired(fired) => self.engine.handle(Event::Fired(Box::new(fired)), now),
                Message::Intent(intent) => {
                    let (dag_id, run_id) = intent.wish.subject();
                    self.meet(dag_id, run_id, now).await?;
                    self.engine.handle(Event::Intent(Box::new(intent)), now);
                }
            }
        }
        Ok(consumed)
    }

    // Whatever is asked for is about what the records have, also where the engine has not heard of it.
    async fn meet(
        &mut self,
        dag_id: Option<&DagId>,
        run_id: Option<&RunId>,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let Some(dag_id) = dag_id else { return Ok(()) };
        self.meet_dag(dag_id, now).await?;
        match run_id {
            Some(run_id) => self.meet_run(dag_id, run_id, now).await,
            None => Ok(()),
        }
    }

    // A DAG that was just loaded is in the records before its loader tells of it. No file stands behind the DAG of posted tasks, so no
    // loader tells of its versions: the wish to run one does.
    async fn meet_dag(&mut self, dag_id: &DagId, now: DateTime<Utc>) -> Result<(), Error> {
        if !self.engine.knows_dag(dag_id)
            && let Some(record) = self.scheduler.store.dag_record(dag_id).await?
        {
            self.engine.handle(Event::Dag(Box::new(record)), now);
        }
        if dag_id.as_str() == adhoc::DAG_ID
            && let Some(record) = self.scheduler.store.adhoc_dag(self.adhoc).await?
        {
            self.adhoc = Some(record.version);
            self.engine.handle(Event::Dag(Box::new(record)), now);
        }
        Ok(())
    }

    // A run that ended is not kept in memory; a wish about it brings it back.
    async fn meet_run(&mut self, dag_id: &DagId, run_id: &RunId, now: DateTime<Utc>) -> Result<(), Error> {
        if !self.engine.knows_run(dag_id, run_id)
            && let Some(run) = self.scheduler.store.run(dag_id, run_id).await?
        {
            self.engine.handle(Event::Run(Box::new(run)), now);
        }
        Ok(())
    }

    // Nothing of a turn has happened before it is committed, and everything has afterwards, whatever becomes of the queue.
    // Returns whether the engine has been told something new meanwhile.
    async fn decide(&mut self, consumed: &[InboxId]) -> Result<bool, Error> {
        let decisions = self.engine.poll(self.scheduler.clock.now());
        if !decisions.is_clean() || !consumed.is_empty() {
            self.scheduler.store.commit(self.proof, &decisions, consumed).await?;
        }
        if !decisions.alerts.is_empty() {
            self.alerts.notify_one();
        }
        self.act(&decisions).await;
        self.answer(&decisions.questions).await?;
        self.look_up(&decisions.lookups).await?;
        self.measure(&decisions.measures).await?;
        self.survey(&decisions.surveys).await?;
        self.recall(&decisions.recalls).await?;
        Ok(decisions.asks())
    }

    // A run that has ended is not kept in memory. How the last one ended is read once for each run that waits for it.
    async fn answer(&mut self, questions: &[PastQuestion]) -> Result<(), Error> {
        for question in questions {
            let before = self.scheduler.store.standing(question).await?;
            let now = self.scheduler.clock.now();
            self.engine.handle(Event::Past { run: question.run, before }, now);
        }
        Ok(())
    }

    // A run that somebody waits for and that is not in memory has ended, or does not exist yet.
    async fn look_up(&mut self, lookups: &[RunQuestion]) -> Result<(), Error> {
        for question in lookups {
            let found = self.scheduler.store.run_standing(question).await?;
            let now = self.scheduler.clock.now();
            self.engine.handle(Event::Other { asker: question.asker, found }, now);
        }
        Ok(())
    }

    // Read once for each run whose deadlines count from what the records know.
    async fn measure(&mut self, questions: &[DeadlineQuestion]) -> Result<(), Error> {
        for question in questions {
            let found = self.scheduler.store.found_for_deadline(question).await?;
            let event = Event::Measured { question: question.clone(), found };
            self.engine.handle(event, self.scheduler.clock.now());
        }
        Ok(())
    }

    // Read once for each backfill that comes into memory.
    async fn survey(&mut self, surveys: &[Survey]) -> Result<(), Error> {
        for survey in surveys {
            let found = self.scheduler.store.survey(survey).await?;
            let (dag_id, backfill) = (survey.dag_id.clone(), survey.backfill);
            self.engine.handle(Event::Surveyed { dag_id, backfill, found }, self.scheduler.clock.now());
        }
        Ok(())
    }

    // A run that has ended and is to run again comes back as a whole.
    async fn recall(&mut self, recalls: &[Recall]) -> Result<(), Error> {
        for Recall { place, dag_id, run_id } in recalls {
            let run = self.scheduler.store.run(dag_id, run_id).await?.map(Box::new);
            let (dag_id, backfill, ordinal) = (dag_id.clone(), place.id, place.ordinal);
            let event = Event::Recalled { dag_id, backfill, ordinal, run };
            self.engine.handle(event, self.scheduler.clock.now());
        }
        Ok(())
    }

    fn is_due(&self) -> bool {
        self.engine.next_deadline().is_some_and(|at| at <= self.scheduler.clock.now())
    }
}
