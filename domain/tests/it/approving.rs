//! The people of the simulated world who are asked: they answer late, twice, one against the other, or what nobody asked.
//!
//! Held to after every turn: exactly the instances that await input have an open question; a question is asked and closed once; what counts
//! is the first answer that fits, or the defaults once the time is up; and what an approval leaves is that answer.

use std::collections::BTreeSet;

use domain::{
    approval::{AfterAnswer, Answer, Approval, Ending, Question, Reply, Terms},
    dag::Operator,
    engine::{
        decision::Decisions,
        record::{ClosingRecord, QuestionRecord, TiRecord},
    },
    id::{TaskId, TryKey},
    intent::{Intent, Message, Wish},
    outcome::TryResult,
    span::Span,
    state::TaskState,
    wait::Awaited,
};
use serde_json::Value;
use uuid::Uuid;

use crate::{chance::Chance, world::World};

/// A question, and how it ended.
#[derive(Debug, Clone)]
pub struct Asked {
    pub question: QuestionRecord,
    pub closing: Option<ClosingRecord>,
}

/// An answer on its way, in the order in which they were sent; its remark is its number.
#[derive(Debug, Clone)]
pub struct Sent {
    attempt: TryKey,
    number: u32,
    by: String,
    reply: Reply,
}

const OPTIONS: [&str; 2] = ["Approve", "Reject"];

/// What may be answered: of some the time may be up, and some are left to somebody.
pub fn random_terms(chance: &mut Chance) -> Terms {
    let options = OPTIONS.map(str::to_owned);
    Terms {
        defaults: if chance.one_in(2) { vec![options[chance.below(2) as usize].clone()] } else { Vec::new() },
        options: options.to_vec(),
        multiple: chance.one_in(3),
        params: indexmap::IndexMap::new(),
        assigned_users: if chance.one_in(3) { vec!["ada".into()] } else { Vec::new() },
    }
}

/// A question, of which some are put by a worker, some time out, and some are left to somebody.
pub fn random_approval(names: &[TaskId], is_mapped: bool, chance: &mut Chance) -> Operator {
    let options = OPTIONS.map(str::to_owned);
    let target = |chance: &mut Chance| names[chance.below(names.len() as u64) as usize].to_string();
    let then = match chance.below(3) {
        _ if is_mapped => AfterAnswer::Nothing,
        0 => AfterAnswer::Nothing,
        1 => {
            AfterAnswer::Reject { fails: chance.one_in(3), ignore_downstream_trigger_rules: chance.one_in(2) }
        }
        _ => AfterAnswer::Branch(options.iter().map(|option| (option.clone(), target(chance))).collect()),
    };
    let subject = if chance.one_in(2) { "On {{ ds }}?" } else { "Well?" };
    let terms = random_terms(chance);
    let timeout = chance.one_in(2).then(|| Span::from_secs(600 + chance.below(4) * 900));
    let question = Question { subject: subject.into(), body: None };
    Operator::Approval(Box::new(Approval { question, terms, timeout, then }))
}

impl World {
    /// Somebody answers, and perhaps somebody else, too.
    pub fn reply(&mut self, faults: bool) {
        let wants_closed = faults && self.chance.one_in(6);
        let asked = self.records.questions.values();
        let asked = asked.filter(|asked| wants_closed || asked.closing.is_none());
        let asked: Vec<(TryKey, u32)> = asked.map(place).collect();
        let Some(&(attempt, number)) = asked.get(self.chance.below(asked.len() as u64) as usize) else {
            return;
        };
        // Of a task that asks again and again an earlier question may be answered.
        let number = if faults && self.chance.one_in(8) { number.saturating_sub(1) } else { number };
        for _ in 0..=u64::from(faults && self.chance.one_in(3)) {
            let by = if self.chance.one_in(2) { "ada" } else { "bob" };
            let count = 1 + self.chance.below(2);
            let known = ["Approve", "Reject", "Approve", "Perhaps"];
            let known = if faults { &known[..] } else { &known[..2] };
            let chosen = (0..count).map(|_| known[self.chance.below(known.len() as u64) as usize].to_owned());
            let chosen = chosen.collect();
            self.send((attempt, number), by, chosen);
        }
    }

    /// Everybody who is asked answers well.
    pub fn reply_to_all(&mut self) {
        let open = self.records.questions.values().filter(|asked| asked.closing.is_none());
        let open: Vec<(TryKey, u32)> = open.map(place).collect();
        for question in open {
            self.send(question, "ada", vec!["Approve".to_owned()]);
        }
    }

    fn send(&mut self, (attempt, number): (TryKey, u32), by: &str, chosen_options: Vec<String>) {
        let (ti, run) = (&self.records.tis[&attempt.ti], &self.records.runs[&attempt.ti.run]);
        let remark = Some(self.sent.len().to_string());
        let reply = Reply { chosen_options, params_input: serde_json::Map::new(), remark };
        let answer = Answer {
            id: Uuid::from_u128(self.sent.len() as u128),
            dag_id: run.dag_id.clone(),
            run_id: run.run_id.clone(),
            task_id: ti.task_id.clone(),
            map_index: ti.map_index,
            try_number: attempt.try_number,
            number,
            reply: reply.clone(),
        };
        self.sent.push(Sent { attempt, number, by: by.into(), reply });
        let wish = Wish::Answer(answer);
        self.inbox.push_back(Message::Intent(Intent { by: by.into(), wish }));
    }

    /// The worker of an approval renders its question, and is done.
    pub fn renders(
        &mut self,
        attempt: TryKey,
        result: TryResult,
        faults: bool,
    ) -> (TryResult, Option<Box<Question>>) {
        let dag = self.dag(&self.records.runs[&attempt.ti.run]);
        let task = dag.task(self.records.tis[&attempt.ti].task_id.as_str());
        match (task.map(|task| &task.operator), result) {
            (Some(Operator::Approval(_)), TryResult::Success) => {
                let is_bad = faults && self.chance.one_in(10);
                let subject = if is_bad { " " } else { "On 2026-01-01?" };
                let question = Question { subject: subject.into(), body: None };
                (TryResult::Deferred, Some(Box::new(question)))
            }
            _ => (result, None),
        }
    }

    pub fn write_questions(&mut self, decisions: &Decisions) {
        for question in &decisions.questions_asked {
            let asked = Asked { question: question.clone(), closing: None };
            let before = self.records.questions.insert(question.attempt, asked);
            let is_another =
                |before: &Asked| before.closing.is_some() && before.question.number < question.number;
            assert!(before.as_ref().is_none_or(is_another), "{question:?} after {before:?}");
        }
        for closing in &decisions.questions_closed {
            let asked = self.records.questions.get_mut(&closing.attempt);
            let asked = asked.unwrap_or_else(|| panic!("{closing:?} was never asked"));
            let before = asked.closing.replace(closing.clone());
            assert!(before.is_none(), "{before:?} was closed again: {closing:?}");
            let question = asked.question.clone();
            self.check_closing(&question, closing);
        }
    }

    fn check_closing(&self, question: &QuestionRecord, closing: &ClosingRecord) {
        let Ending::Answered { by, reply } = &closing.ending else { return };
        let Some(by) = by else {
            let is_due = question.deadline.is_some_and(|at| at <= self.now);
            assert!(is_due, "{question:?} was not due at {}", self.now);
            assert!(!reply.chosen_options.is_empty() && reply.chosen_options == question.terms.defaults);
            return;
        };
        let to_it = self
            .sent
            .iter()
            .filter(|sent| (sent.attempt, sent.number) == (question.attempt, question.number));
        let first = to_it.clone().find(|sent| fits(&question.terms, sent));
        let first = first.unwrap_or_else(|| panic!("nobody gave {closing:?}"));
        assert_eq!((&first.by, &first.reply), (by, reply), "another answer to {question:?} came first");
    }

    /// Nobody is asked in vain, and nobody waits unasked.
    pub fn check_questions(&self, before: &[TiRecord]) {
        let awaiting = self.records.tis.values().filter(|ti| ti.state == TaskState::AwaitingInput);
        let awaiting: BTreeSet<TryKey> = awaiting.map(attempt_of).collect();
        let open = self.records.questions.iter().filter(|(_, asked)| asked.closing.is_none());
        let open: BTreeSet<TryKey> = open.map(|(attempt, _)| *attempt).collect();
        assert_eq!(open, awaiting, "open questions and who waits for an answer");
        let ends = |old: &&TiRecord| {
            let until = old.wait.as_ref().map(|wait| &wait.until);
            old.state == TaskState::AwaitingInput && matches!(until, Some(Awaited::Answer(_)))
        };
        for old in before.iter().filter(ends) {
            self.check_question_end(old);
        }
    }

    // What ends by itself ends by an answer, or because there was none.
    fn check_question_end(&self, old: &TiRecord) {
        let new = &self.records.tis[&old.key];
        let asked = &self.records.questions[&attempt_of(old)];
        let (terms, closing) = (&asked.question.terms, asked.closing.as_ref());
        let is_late = asked.question.deadline.is_some_and(|at| at <= self.now);
        let reason = new.reason.as_deref().unwrap_or_default();
        if new.try_number == old.try_number && reason.contains("nobody has answered") {
            assert!(is_late && terms.defaults.is_empty(), "{new:?} was given up too early: {asked:?}");
        }
        if new.state != TaskState::Success || new.reason.is_some() || new.try_number != old.try_number {
            return;
        }
        let Some(Ending::Answered { reply, .. }) = closing.map(|closing| &closing.ending) else {
            panic!("{new:?} succeeded without an answer: {asked:?}");
        };
        let key = (new.key.run, new.task_id.to_string(), new.map_index, "return_value".to_owned());
        let left = self.records.xcoms.get(&key).unwrap_or_else(|| panic!("{new:?} left nothing"));
        if let Value::Object(left) = left {
            assert_eq!(left["chosen_options"], Value::from(reply.chosen_options.clone()));
        }
    }
}

fn place(asked: &Asked) -> (TryKey, u32) {
    (asked.question.attempt, asked.question.number)
}

fn attempt_of(ti: &TiRecord) -> TryKey {
    TryKey { ti: ti.key, try_number: ti.try_number }
}

// The terms once more, in other words.
fn fits(terms: &Terms, sent: &Sent) -> bool {
    let chosen: BTreeSet<&String> = sent.reply.chosen_options.iter().collect();
    let may = terms.assigned_users.is_empty() || terms.assigned_users.contains(&sent.by);
    let all_known = chosen.iter().all(|option| OPTIONS.contains(&option.as_str()));
    let number = if terms.multiple { 1..=2 } else { 1..=1 };
    may && all_known
        && chosen.len() == sent.reply.chosen_options.len()
        && number.contains(&sent.reply.chosen_options.len())
}
