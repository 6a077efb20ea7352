//! Deferral in the simulated world: tasks that leave their workers to triggers or to people, triggers that say something, twice or too late, and tasks that
//! ask to be taken up again later.
//!
//! Held to after every turn: what is left is there exactly while somebody waits for a trigger or for people, or goes on after these, under its
//! number; each deferral is resumed once; and whoever goes on does so with what its trigger said first, or with the answer that counts.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    approval::{Ending, Question, silence},
    dag::{AirflowTask, Operator},
    deferral::{Deferral, Fired, LeftTo, Resumption, TaskEnd, Word},
    engine::{
        decision::Decisions,
        record::{DeferralRecord, TiRecord},
    },
    id::{TiKey, TryKey},
    intent::Message,
    outcome::TryResult,
    span::Span,
    state::TaskState,
};
use indexmap::IndexMap;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{approving::random_terms, chance::Chance, world::World};

/// What the records have of a deferral.
#[derive(Debug, Clone)]
pub struct Left {
    pub deferral: DeferralRecord,
    pub resumption: Option<Resumption>,
}

/// What the records have of deferrals, and every word of triggers.
#[derive(Default, Clone)]
pub struct Deferrals {
    pub left: BTreeMap<TiKey, Left>,
    said: Vec<Fired>,
}

/// What a worker leaves to the engine beside its result.
pub type Asked = (TryResult, Option<Box<Deferral>>, Option<DateTime<Utc>>);

/// A task of an Airflow DAG file.
pub fn airflow() -> Operator {
    let (class, module) = ("Sensor".to_owned(), "m".to_owned());
    Operator::Airflow(Box::new(AirflowTask { class, module, name: None, chooses: false }))
}

impl World {
    /// Some tasks of Airflow DAG files defer, a few times, and some ask to be taken up again later.
    pub fn defers(&mut self, attempt: TryKey, result: TryResult, faults: bool) -> Asked {
        let dag = self.dag(&self.records.runs[&attempt.ti.run]);
        let task = dag.task(self.records.tis[&attempt.ti].task_id.as_str());
        let is_airflow = task.is_some_and(|task| matches!(task.operator, Operator::Airflow(_)));
        let may = is_airflow && faults && result == TryResult::Success && self.pokes[&attempt] < 6;
        match self.chance.below(if may { 3 } else { 1 }) {
            1 => {
                let at = self.now + TimeDelta::seconds(self.chance.below(5) as i64 * 60 - 60);
                (TryResult::Rescheduled, None, Some(at))
            }
            2 => {
                let deferral = random_deferral(&mut self.chance);
                (TryResult::Deferred, Some(Box::new(deferral)), None)
            }
            _ => (result, None, None),
        }
    }

    /// A trigger says something, sometimes twice, sometimes after its time.
    pub fn fire(&mut self, faults: bool) {
        let waiting: Vec<(TryKey, u32)> = self.records.deferrals.left.values().map(place).collect();
        let old: Vec<(TryKey, u32)> =
            self.records.deferrals.said.iter().map(|fired| (fired.attempt, fired.number)).collect();
        let from = if faults && self.chance.one_in(4) { &old } else { &waiting };
        let Some(&(attempt, number)) = from.get(self.chance.below(from.len().max(1) as u64) as usize) else {
            return;
        };
        let word = self.random_word();
        let fired = Fired { attempt, number, worker: Uuid::nil(), at: self.now, word };
        self.records.deferrals.said.push(fired.clone());
        self.inbox.push_back(Message::Fired(fired.clone()));
        if faults && self.chance.one_in(5) {
            self.inbox.push_back(Message::Fired(fired));
        }
    }

    fn random_word(&mut self) -> Word {
        let end = [TaskEnd::Success, TaskEnd::Failed, TaskEnd::Skipped];
        match self.chance.below(6) {
            0 => Word::Failed(None),
            1 => Word::Failed(Some(vec!["Traceback".to_owned()])),
            2 => {
                let xcoms = IndexMap::from([("return_value".to_owned(), Value::from(vec![1, 2]))]);
                Word::Ended { end: end[self.chance.below(3) as usize], xcoms }
            }
            _ => Word::Event(Value::from(self.chance.below(1000))),
        }
    }

    /// Everything that is waited for happens.
    pub fn fire_all(&mut self) {
        let waiting = self.records.deferrals.left.values().filter(|left| left.resumption.is_none());
        let waiting: Vec<(TryKey, u32)> = waiting.map(place).collect();
        for (attempt, number) in waiting {
            let word = Word::Event(Value::Null);
            let fired = Fired { attempt, number, worker: Uuid::nil(), at: self.now, word };
            self.records.deferrals.said.push(fired.clone());
            self.inbox.push_back(Message::Fired(fired));
        }
    }

    pub fn write_deferrals(&mut self, decisions: &Decisions) {
        for deferral in &decisions.deferrals {
            let left = Left { deferral: deferral.clone(), resumption: None };
            let before = self.records.deferrals.left.insert(deferral.attempt.ti, left);
            let was_over = before.as_ref().is_none_or(|left| left.resumption.is_some());
            assert!(was_over, "{before:?} was replaced before it ended");
        }
        for record in &decisions.resumptions {
            let left = self.records.deferrals.left.get_mut(&record.ti);
            let left = left.unwrap_or_else(|| panic!("{record:?} goes on after nothing"));
            assert!(left.resumption.is_none(), "{left:?} was resumed twice");
            left.resumption = Some(record.resumption.clone());
            let (deferral, now) = (left.deferral.clone(), self.now);
            self.check_resumption(&deferral, &record.resumption, now);
        }
        for ti in &decisions.deferrals_closed {
            let left = self.records.deferrals.left.remove(ti);
            assert!(left.is_some(), "{ti:?} had deferred to nothing");
        }
    }

    fn check_resumption(&self, deferral: &DeferralRecord, resumption: &Resumption, now: DateTime<Utc>) {
        if let LeftTo::People { .. } = deferral.deferral.to {
            return self.check_answer(deferral, resumption, now);
        }
        let said = self.records.deferrals.said.iter();
        let mut said =
            said.filter(|fired| (fired.attempt, fired.number) == (deferral.attempt, deferral.number));
        let first = said.next().map(|fired| &fired.word);
        let fits = match resumption {
            Resumption::Event(event) => first == Some(&Word::Event(event.clone())),
            Resumption::Failed(traceback) => first == Some(&Word::Failed(traceback.clone())),
            Resumption::TimedOut => deferral.deadline.is_some_and(|at| at <= now),
        };
        assert!(fits, "nobody said {resumption:?} to {deferral:?}");
    }

    // What was answered is checked where questions are.
    fn check_answer(&self, deferral: &DeferralRecord, resumption: &Resumption, now: DateTime<Utc>) {
        let asked = &self.records.questions[&deferral.attempt];
        assert_eq!(asked.question.number, deferral.number, "{deferral:?} goes on after another question");
        let event = match asked.closing.as_ref().map(|closing| &closing.ending) {
            Some(Ending::Answered { by, reply }) => reply.event(by.as_deref(), now),
            Some(Ending::Withdrawn) => {
                assert!(deferral.deadline.is_some_and(|at| at <= now), "{asked:?} was given up too early");
                assert!(asked.question.terms.defaults.is_empty(), "{asked:?} has defaults");
                silence()
            }
            None => panic!("{deferral:?} goes on while its question is open"),
        };
        assert_eq!(*resumption, Resumption::Event(event));
    }

    /// See the module's documentation.
    pub fn check_deferrals(&self) {
        let waits = |ti: &&TiRecord| ti.wait.as_ref().is_some_and(|wait| wait.is_deferral());
        let deferring: BTreeMap<TiKey, &TiRecord> =
            self.records.tis.values().filter(waits).map(|ti| (ti.key, ti)).collect();
        let left = &self.records.deferrals.left;
        assert!(left.keys().eq(deferring.keys()), "{left:#?} is left by {deferring:#?}");
        for (key, left) in left {
            let ti = deferring[key];
            let asleep = match left.deferral.deferral.to {
                LeftTo::Trigger { .. } => TaskState::Deferred,
                LeftTo::People { .. } => TaskState::AwaitingInput,
            };
            let is_asleep = ti.state == asleep;
            assert_eq!(is_asleep, left.resumption.is_none(), "{ti:?} with {left:?}");
            let number = ti.wait.as_ref().map(|wait| wait.pokes);
            let (attempt, told) = place(left);
            if is_asleep {
                assert_eq!((attempt.try_number, Some(told)), (ti.try_number, number), "{ti:?}");
            }
        }
    }
}

fn place(left: &Left) -> (TryKey, u32) {
    (left.deferral.attempt, left.deferral.number)
}

fn random_trigger() -> LeftTo {
    LeftTo::Trigger { classpath: "m.Trigger".to_owned(), kwargs: Map::new() }
}

fn random_question(chance: &mut Chance) -> LeftTo {
    let question = Question { subject: "Well?".to_owned(), body: None };
    LeftTo::People { question, terms: Box::new(random_terms(chance)) }
}

fn random_deferral(chance: &mut Chance) -> Deferral {
    Deferral {
        to: if chance.one_in(3) { random_question(chance) } else { random_trigger() },
        timeout: chance.one_in(2).then(|| Span::from_secs(chance.below(4) * 300)),
        next_method: "execute_complete".to_owned(),
        next_kwargs: Map::new(),
    }
}
