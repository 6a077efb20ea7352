//! Deferrals: a task leaves its worker to a trigger or to people, and what these say wakes it.
//!
//! What the trigger is made of, and what the task goes on with, stands in the records and not in memory. A row of it is there exactly while
//! the record of the instance has such a wait: from the deferral on, through the resumption, to the end of the try or its next deferral.

use super::{
    Engine,
    life::Life,
    record::{DeferralRecord, QuestionRecord, ResumptionRecord, TiRecord},
    run::Run,
};
use crate::{
    deferral::{Deferral, Fired, LeftTo, Resumption, TaskEnd, Word},
    id::TiKey,
    outcome::{Outcome, TryResult},
    state::TaskState,
    wait::{Awaited, Wait},
};

impl Run {
    /// The instances that have left something for a trigger, or for whoever goes on after an answer.
    pub fn deferring(&self) -> Vec<TiKey> {
        self.tis.iter().map(|ti| &ti.record).filter(|ti| is_deferring(ti)).map(|ti| ti.key).collect()
    }
}

fn is_deferring(ti: &TiRecord) -> bool {
    ti.wait.as_ref().is_some_and(|wait| wait.is_deferral())
}

impl Engine {
    /// Closes the deferrals of some instances that are waited for by nobody any more, because another version of their DAG lacks their tasks.
    pub(super) fn close_lost(&mut self, deferring: Vec<TiKey>) {
        let is_open = |key: &TiKey| {
            let ti = self.runs.get(&key.run).and_then(|run| run.tis.get(key.index as usize));
            ti.is_some_and(|ti| is_deferring(&ti.record))
        };
        let lost: Vec<TiKey> = deferring.into_iter().filter(|key| !is_open(key)).collect();
        self.out.deferrals_closed.extend(lost);
    }
}

impl Life<'_> {
    /// A worker has left a try to the engine: to wait for a trigger or for people, or to put its question.
    pub(super) fn defer(&mut self, index: u32, mut outcome: Outcome) {
        match outcome.deferral.take() {
            Some(deferral) => self.defer_to(index, outcome, *deferral),
            None => self.ask_rendered(index, outcome),
        }
    }

    // What it has left so far is there for others, as in Airflow.
    fn defer_to(&mut self, index: u32, outcome: Outcome, deferral: Deferral) {
        if let Err(reason) = deferral.check() {
            return self.conclude(index, TryResult::FailedForGood, Some(reason));
        }
        self.name_instance(index, outcome.rendered_map_index.as_deref());
        self.keep_xcoms(index, outcome.xcoms);
        let record = &mut self.run.tis[index as usize].record;
        record.lost = 0;
        let before = record.wait.as_ref();
        let since = before.map_or(outcome.started_at, |wait| wait.since);
        let number = before.map_or(0, |wait| wait.pokes) + 1;
        let deadline = deferral.timeout.map(|timeout| self.now + timeout.delta());
        let (attempt, at) = (self.attempt(index), self.now);
        let until = match &deferral.to {
            LeftTo::Trigger { classpath, .. } => Awaited::Trigger { classpath: classpath.clone() },
            LeftTo::People { question, terms } => {
                let (question, terms, asked_at) = (question.clone(), terms.clone(), at);
                self.out.questions_asked.push(QuestionRecord {
                    attempt,
                    number,
                    question,
                    terms: terms.clone(),
                    asked_at,
                    deadline,
                });
                Awaited::Input(terms)
            }
        };
        self.out.deferrals.push(DeferralRecord { attempt, number, deferral, at, deadline });
        self.fall_asleep(index, Wait { until, since, deadline, pokes: number });
    }

    /// A trigger has said something. What is not about the trigger that its task waits for now is too late, and changes nothing.
    pub fn hear_trigger(&mut self, fired: Fired) {
        let index = fired.attempt.ti.index;
        let Some(record) = self.run.tis.get(index as usize).map(|ti| &ti.record) else { return };
        let is_awaited = record.state == TaskState::Deferred
            && record.try_number == fired.attempt.try_number
            && record.wait.as_ref().is_some_and(|wait| wait.is_deferral() && wait.pokes == fired.number);
        if !is_awaited {
            return;
        }
        match fired.word {
            Word::Event(event) => self.resume(index, Resumption::Event(event)),
            Word::Failed(traceback) => self.resume(index, Resumption::Failed(traceback)),
            Word::Ended { end, xcoms } => {
                let (result, reason) = match end {
                    TaskEnd::Success => (TryResult::Success, None),
                    TaskEnd::Failed => (TryResult::Failed, Some("its trigger said that it has failed")),
                    TaskEnd::Skipped => (TryResult::Skipped, Some("its trigger said that it is skipped")),
                };
                let mut outcome = self.own_word(index, result, reason.map(str::to_owned));
                outcome.xcoms = xcoms;
                self.end(index, outcome);
            }
        }
    }

    /// A task that has deferred goes on: the next worker finds in the records with what.
    pub(super) fn resume(&mut self, index: u32, resumption: Resumption) {
        let ti = self.run.tis[index as usize].record.key;
        self.out.resumptions.push(ResumptionRecord { ti, resumption });
        self.look_again(index);
    }

    /// An instance waits for nothing any more. What it has left for a trigger or for people, or after these, goes with that.
    pub(super) fn forget_wait(&mut self, index: u32) {
        let record = &mut self.run.tis[index as usize].record;
        record.next_try_at = None;
        if record.wait.take().is_some_and(|wait| wait.is_deferral()) {
            self.out.deferrals_closed.push(record.key);
        }
    }
}
