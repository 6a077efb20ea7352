//! Questions to people: how one is asked, answered once, and withdrawn.
//!
//! A question whose texts are no templates is asked by the engine itself. Templates are rendered by a worker in a short try that reports
//! the question and is over: only a worker may read connections, variables and XComs. From then on the instance awaits input under the same try number
//! without a worker, and both kinds of question are the same. A task of an Airflow DAG file asks when it defers (`engine/deferrals.rs`): its
//! question is like the others, but the answer does not end the try, it wakes it.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    Engine,
    intents::Refusal,
    life::Life,
    record::{ClosingRecord, QuestionRecord, TiRecord},
};
use crate::{
    approval::{AfterAnswer, Answer, Approval, Ending, Question, REJECT, Reply, Terms, silence},
    dag::Operator,
    deferral::Resumption,
    id::TryKey,
    outcome::{Outcome, RETURN_VALUE, TryResult},
    span::Span,
    state::TaskState,
    wait::{Awaited, Wait},
};

impl Engine {
    /// Takes an answer to an open question. The first one that fits counts.
    pub(super) fn answer_question(
        &mut self,
        answer: Answer,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let key = self.key(&answer.dag_id, &answer.run_id)?;
        let (task_id, map_index) = (&answer.task_id, answer.map_index);
        let ti = self.runs.get(&key).and_then(|run| {
            let index = run.instances(run.graph.find(task_id)?, Some(map_index)).first()?;
            run.tis.get(*index as usize).map(|ti| &ti.record)
        });
        let ti = ti.ok_or_else(|| format!("the run has no instance {map_index} of task `{task_id}`"))?;
        if ti.try_number != answer.try_number {
            let (asked, current) = (answer.try_number, ti.try_number);
            return Err(format!("the question was that of try {asked}, and the task is at try {current}"));
        }
        let Some(terms) = open_terms(ti) else {
            return Err(format!("the question is not open any more: the task is {}", ti.state));
        };
        if ti.wait.as_ref().is_some_and(|wait| wait.pokes != answer.number) {
            return Err("the question is not open any more: the task asks another one".to_owned());
        }
        let reply = terms.accept(by, answer.reply).map_err(|refusal| refusal.to_string())?;
        let index = ti.key.index;
        self.with_run(key, now, |life| life.take_answer(index, Some(by), reply));
        Ok(())
    }

    /// Withdraws the questions of some tries that do not wait for an answer any more, because another version of their DAG lacks their tasks.
    pub(super) fn withdraw_lost(&mut self, asking: Vec<TryKey>, now: DateTime<Utc>) {
        let is_open = |attempt: &TryKey| {
            let tis = self.runs.get(&attempt.ti.run).map(|run| &run.tis);
            let ti = tis.and_then(|tis| tis.get(attempt.ti.index as usize));
            ti.is_some_and(|ti| open_terms(&ti.record).is_some())
        };
        let lost = asking.into_iter().filter(|attempt| !is_open(attempt));
        let closings = lost.map(|attempt| ClosingRecord { attempt, at: now, ending: Ending::Withdrawn });
        let closings: Vec<ClosingRecord> = closings.collect();
        self.out.questions_closed.extend(closings);
    }
}

impl Life<'_> {
    /// Asks what needs no rendering.
    pub(super) fn ask(&mut self, index: u32, approval: &Approval) {
        self.put(index, approval, approval.question.clone());
    }

    /// A worker has rendered a question.
    pub(super) fn ask_rendered(&mut self, index: u32, outcome: Outcome) {
        let node = self.run.tis[index as usize].node;
        let graph = self.run.graph.clone();
        let approval = (node < graph.len()).then(|| &graph.task(node).operator).and_then(approval);
        let (Some(approval), Some(question)) = (approval, outcome.question) else {
            let reason = "its worker left it to the engine without saying what is to be done";
            return self.conclude(index, TryResult::FailedForGood, Some(reason.to_owned()));
        };
        if let Err(reason) = question.check() {
            return self.conclude(index, TryResult::FailedForGood, Some(reason));
        }
        self.name_instance(index, outcome.rendered_map_index.as_deref());
        self.put(index, approval, *question);
    }

    fn put(&mut self, index: u32, approval: &Approval, question: Question) {
        let deadline = approval.timeout.map(|timeout| self.now + timeout.delta());
        let terms = Box::new(approval.terms.clone());
        self.out.questions_asked.push(QuestionRecord {
            attempt: self.attempt(index),
            number: 0,
            question,
            terms: terms.clone(),
            asked_at: self.now,
            deadline,
        });
        self.fall_asleep(index, Wait { until: Awaited::Answer(terms), since: self.now, deadline, pokes: 0 });
    }

    /// An answer counts: it ends the try, or wakes it, whatever it says. Without a user it is that of the timeout.
    pub(super) fn take_answer(&mut self, index: u32, by: Option<&str>, reply: Reply) {
        if !self.goes_on(index) {
            return self.end_by_answer(index, by, reply);
        }
        let (attempt, at) = (self.attempt(index), self.now);
        let event = reply.event(by, at);
        let ending = Ending::Answered { by: by.map(str::to_owned), reply };
        self.out.questions_closed.push(ClosingRecord { attempt, at, ending });
        self.resume(index, Resumption::Event(event));
    }

    // Its task goes on with the answer.
    fn goes_on(&self, index: u32) -> bool {
        self.run.tis[index as usize].record.wait.as_ref().is_some_and(|wait| wait.is_deferral())
    }

    fn end_by_answer(&mut self, index: u32, by: Option<&str>, reply: Reply) {
        let node = self.run.tis[index as usize].node;
        let graph = self.run.graph.clone();
        let task = (node < graph.len()).then(|| graph.task(node));
        let approval = task.and_then(|task| approval(&task.operator));
        let result = approval.and_then(|approval| approval.branches(&reply)).map(Value::from);
        let result = result.unwrap_or_else(|| reply.result(by, self.now));
        let is_failure =
            matches!(approval.map(|approval| &approval.then), Some(AfterAnswer::Reject { fails: true, .. }))
                && is_rejected(Some(&result));
        let (attempt, at) = (self.attempt(index), self.now);
        let ending = Ending::Answered { by: by.map(str::to_owned), reply };
        self.out.questions_closed.push(ClosingRecord { attempt, at, ending });
        if is_failure {
            let reason =
                by.map_or_else(|| "rejected by default".to_owned(), |by| format!("rejected by {by}"));
            return self.conclude(index, TryResult::Failed, Some(reason));
        }
        let mut outcome = self.own_word(index, TryResult::Success, None);
        if task.is_none_or(|task| task.do_xcom_push) {
            outcome.xcoms.insert(RETURN_VALUE.to_owned(), result);
        }
        self.end(index, outcome);
    }

    /// Nobody has answered in time. Source: Airflow's `HITLTimeoutError`, after which a task with retries asks again; a task that goes on
    /// raises it itself.
    pub(super) fn give_up_waiting(&mut self, index: u32) {
        let record = &self.run.tis[index as usize].record;
        let default = open_terms(record).and_then(Terms::by_default);
        match default {
            Some(reply) => self.take_answer(index, None, reply),
            None if self.goes_on(index) => self.resume(index, Resumption::Event(silence())),
            None => {
                let asked = record.wait.as_ref().map_or(self.now, |wait| wait.since);
                let waited = (self.now - asked).num_seconds().try_into().map_or(0, |seconds: u64| seconds);
                let reason = format!("nobody has answered within {}", Span::from_secs(waited));
                self.conclude(index, TryResult::Failed, Some(reason));
            }
        }
    }

    /// An instance stops waiting for an answer. Unless that is because it got one, its question is withdrawn.
    pub(super) fn close_question(&mut self, index: u32) {
        let attempt = self.attempt(index);
        // An answer is noted just before it ends its try.
        if self.out.questions_closed.last().is_none_or(|closing| closing.attempt != attempt) {
            let (at, ending) = (self.now, Ending::Withdrawn);
            self.out.questions_closed.push(ClosingRecord { attempt, at, ending });
        }
    }
}

/// Whether an approval's result says no.
pub(super) fn is_rejected(result: Option<&Value>) -> bool {
    let chosen = result.and_then(|result| result.pointer("/chosen_options/0"));
    chosen.and_then(Value::as_str) == Some(REJECT)
}

/// What may be answered now.
fn open_terms(ti: &TiRecord) -> Option<&Terms> {
    let wait = ti.wait.as_ref().filter(|_| ti.state == TaskState::AwaitingInput)?;
    match &wait.until {
        Awaited::Answer(terms) | Awaited::Input(terms) => Some(terms),
        Awaited::Time(_) | Awaited::Run(_) | Awaited::Poke | Awaited::Trigger { .. } => None,
    }
}

/// The approval that an operator is.
pub(super) const fn approval(operator: &Operator) -> Option<&Approval> {
    match operator {
        Operator::Approval(approval) => Some(approval),
        Operator::Bash { .. }
        | Operator::Python { .. }
        | Operator::Sql { .. }
        | Operator::Http { .. }
        | Operator::Branch { .. }
        | Operator::ShortCircuit { .. }
        | Operator::WaitFor(_)
        | Operator::TriggerDag(_)
        | Operator::Airflow(_)
        | Operator::LatestOnly
        | Operator::Empty => None,
    }
}
