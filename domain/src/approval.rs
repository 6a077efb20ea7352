//! Questions to people: what an `approval` task asks, which answers it takes, and what follows from one.
//!
//! Source: Airflow 3.3.2's operators with a human in the loop (`providers/standard/operators/hitl.py`), the timeout of
//! `scheduler_job_runner.check_awaiting_input_timeouts` and the answer of `routes/public/hitl.py`. Params are stricter here: Airflow takes
//! every answer and lets the task fail over its params later.

mod event;

use std::collections::BTreeSet;

use chrono::{DateTime, SecondsFormat, Utc};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

pub use self::event::silence;
use crate::{
    dag::Param,
    id::{DagId, RunId, TaskId},
    params::{self, ParamError},
    span::Span,
};

/// The first option of a task that names none (Airflow's `ApprovalOperator`).
pub const APPROVE: &str = "Approve";
/// Its second option.
pub const REJECT: &str = "Reject";
/// Most options of one question.
pub const MAX_OPTIONS: usize = 100;
/// Most characters of one option.
pub const MAX_OPTION: usize = 200;
/// Most users that one question may be left to.
pub const MAX_USERS: usize = 200;
/// Most characters of a subject.
pub const MAX_SUBJECT: usize = 1_000;
/// Most bytes of a body.
pub const MAX_BODY: usize = 1 << 16;
/// Most characters of the remark that goes with an answer.
pub const MAX_REMARK: usize = 1_000;

/// A task that a person decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// What is asked; its texts are templates.
    #[serde(flatten)]
    pub question: Question,
    /// What may be answered, and by whom.
    #[serde(flatten)]
    pub terms: Terms,
    /// Counted from when the question is asked; without one it waits for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// What an answer does beside ending the task.
    #[serde(default)]
    pub then: AfterAnswer,
}

impl Approval {
    /// Airflow's name of the same thing.
    #[must_use]
    pub const fn class_name(&self) -> &'static str {
        match self.then {
            AfterAnswer::Nothing => "HITLOperator",
            AfterAnswer::Reject { .. } => "ApprovalOperator",
            AfterAnswer::Branch(_) => "HITLBranchOperator",
        }
    }

    /// What tasks behind it see as its result, unless that is the whole answer: the tasks that are followed.
    #[must_use]
    pub fn branches(&self, reply: &Reply) -> Option<Vec<String>> {
        let AfterAnswer::Branch(targets) = &self.then else { return None };
        let target = |option: &String| targets.get(option).unwrap_or(option).clone();
        Some(reply.chosen_options.iter().map(target).collect())
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// One line.
    pub subject: String,
    /// What one has to know to answer it, in Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

impl Question {
    /// A worker has to render it first.
    #[must_use]
    pub fn is_template(&self) -> bool {
        let marks = |text: &str| ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark));
        marks(&self.subject) || self.body.as_deref().is_some_and(marks)
    }

    /// Whether it can be put to people as it stands.
    ///
    /// # Errors
    /// What is missing or too long, as the end of a sentence about the question.
    pub fn check(&self) -> Result<(), String> {
        if self.subject.trim().is_empty() {
            return Err("its subject is empty".to_owned());
        }
        let length = self.subject.chars().count();
        if length > MAX_SUBJECT {
            return Err(format!("its subject has {length} characters, more than {MAX_SUBJECT}"));
        }
        let size = self.body.as_ref().map_or(0, String::len);
        if size > MAX_BODY {
            return Err(format!("its body has {size} bytes, more than {MAX_BODY}"));
        }
        Ok(())
    }
}

/// What may be answered, and by whom. They are kept with the question, so that another version of the DAG does not change what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// What may be chosen.
    pub options: Vec<String>,
    /// What counts as chosen when nobody answers in time; empty when nothing does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub defaults: Vec<String>,
    /// More than one option may be chosen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub multiple: bool,
    /// What is to be filled in.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub params: IndexMap<String, Param>,
    /// The names of those who may answer; empty for everybody who may operate the DAG.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assigned_users: Vec<String>,
}

/// What an answer does beside ending its task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterAnswer {
    /// Nothing: tasks behind it read it.
    #[default]
    Nothing,
    /// [`REJECT`] skips what is behind it.
    Reject {
        /// The task fails instead.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        fails: bool,
        /// Everything behind it is skipped at once; otherwise only what waits for it directly, and rules decide about the rest.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        ignore_downstream_trigger_rules: bool,
    },
    /// Each option leads to a task or group: the one named here, else the one of the option's name.
    Branch(IndexMap<String, String>),
}

/// What somebody answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reply {
    /// The options chosen.
    pub chosen_options: Vec<String>,
    /// What was filled in.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params_input: Map<String, Value>,
    /// A remark for those who look later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

impl Reply {
    /// What the task leaves for others under `return_value`, in Airflow's form. Without a user it is the answer of the timeout.
    #[must_use]
    pub fn result(&self, by: Option<&str>, at: DateTime<Utc>) -> Value {
        json!({
            "chosen_options": self.chosen_options,
            "params_input": self.params_input,
            "responded_at": at.to_rfc3339_opts(SecondsFormat::Micros, false),
            "responded_by_user": by.map(|name| json!({"id": name, "name": name})),
        })
    }
}

/// An answer to the question of one try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Tells it apart from every other answer, also one that says the same: of two only one counts, and each is to know which.
    pub id: Uuid,
    /// The DAG.
    pub dag_id: DagId,
    /// The run.
    pub run_id: RunId,
    /// The task.
    pub task_id: TaskId,
    /// Its mapped index, or -1.
    pub map_index: i32,
    /// The try that asked. Another one asks anew.
    pub try_number: u32,
    /// Which question of that try it is: see [`crate::wait::Wait::pokes`].
    #[serde(default)]
    pub number: u32,
    /// What is answered.
    #[serde(flatten)]
    pub reply: Reply,
}

/// How a question ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It was answered: by this user, or else by its defaults, because its time was up.
    Answered {
        /// Who.
        by: Option<String>,
        /// What.
        reply: Reply,
    },
    /// Nobody's answer is wanted any more: its time was up, or its instance was cleared, marked or ended with its run.
    Withdrawn,
}

/// Why an answer is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It was left to others.
    #[error("user `{by}` is not among those who may answer: {}", named(.users))]
    NotAsked {
        /// Who tried.
        by: String,
        /// Who may.
        users: Vec<String>,
    },
    /// An option that was not offered.
    #[error("`{}` is not an option; the options are {}", short(.option), named(.options))]
    NoOption {
        /// What was chosen.
        option: String,
        /// What may be.
        options: Vec<String>,
    },
    /// Nothing was chosen.
    #[error("nothing is chosen; the options are {}", named(.0))]
    Nothing(Vec<String>),
    /// More than one option.
    #[error("only one option may be chosen")]
    TooMany,
    /// The same option twice.
    #[error("`{}` is chosen twice", short(.0))]
    Twice(String),
    /// What was filled in does not fit.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Params(Vec<ParamError>),
    /// The remark is too long.
    #[error("a remark has at most {MAX_REMARK} characters")]
    Remark,
}

impl Terms {
    /// Whether they can be put to people, where no file was checked for it.
    ///
    /// # Errors
    /// What is missing, too long or contradictory, as the end of a sentence about the question.
    pub fn check(&self) -> Result<(), String> {
        if self.options.is_empty() || self.options.len() > MAX_OPTIONS {
            return Err(format!("it has {} options; 1 to {MAX_OPTIONS} are allowed", self.options.len()));
        }
        if let Some(option) = self.options.iter().find(|option| option.chars().count() > MAX_OPTION) {
            return Err(format!("its option `{}` has more than {MAX_OPTION} characters", short(option)));
        }
        let mut seen = BTreeSet::new();
        if let Some(option) = self.options.iter().find(|option| !seen.insert(*option)) {
            return Err(format!("its option `{}` is there twice", short(option)));
        }
        if let Some(stranger) = self.defaults.iter().find(|default| !self.options.contains(default)) {
            return Err(format!("its default `{}` is not an option", short(stranger)));
        }
        if self.defaults.len() > 1 && !self.multiple {
            return Err("it has several defaults, but only one option may be chosen".to_owned());
        }
        if self.assigned_users.len() > MAX_USERS {
            return Err(format!(
                "it is left to {} users; at most {MAX_USERS} can be named",
                self.assigned_users.len()
            ));
        }
        Ok(())
    }

    /// The answer as it counts: params that it leaves out have their defaults.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn accept(&self, by: &str, reply: Reply) -> Result<Reply, Refusal> {
        self.admits(by)?;
        self.check_options(&reply.chosen_options)?;
        if reply.remark.as_ref().is_some_and(|remark| remark.chars().count() > MAX_REMARK) {
            return Err(Refusal::Remark);
        }
        let strangers = reply.params_input.keys().filter(|name| !self.params.contains_key(*name));
        let strangers: Vec<ParamError> = strangers
            .map(|name| ParamError { name: short(name), message: "is not asked for".to_owned() })
            .collect();
        if !strangers.is_empty() {
            return Err(Refusal::Params(strangers));
        }
        let params_input = params::resolve(&self.params, &reply.params_input).map_err(Refusal::Params)?;
        Ok(Reply { params_input, ..reply })
    }

    /// Whether a user may answer. Source: Airflow's `is_authorized_hitl_task`, by which an administrator who is not named may not either.
    ///
    /// # Errors
    /// Names those who may.
    pub fn admits(&self, by: &str) -> Result<(), Refusal> {
        if self.assigned_users.is_empty() || self.assigned_users.iter().any(|user| user == by) {
            return Ok(());
        }
        Err(Refusal::NotAsked { by: by.to_owned(), users: self.assigned_users.clone() })
    }

    fn check_options(&self, chosen: &[String]) -> Result<(), Refusal> {
        if chosen.is_empty() {
            return Err(Refusal::Nothing(self.options.clone()));
        }
        if let Some(option) = chosen.iter().find(|option| !self.options.contains(option)) {
            return Err(Refusal::NoOption { option: option.clone(), options: self.options.clone() });
        }
        if chosen.len() > 1 && !self.multiple {
            return Err(Refusal::TooMany);
        }
        let mut seen = BTreeSet::new();
        match chosen.iter().find(|option| !seen.insert(*option)) {
            Some(option) => Err(Refusal::Twice(option.clone())),
            None => Ok(()),
        }
    }

    /// What counts as the answer when nobody gives one in time; a param without a default is null then.
    #[must_use]
    pub fn by_default(&self) -> Option<Reply> {
        let value = |param: &Param| param.default.clone().unwrap_or(Value::Null);
        let params_input = self.params.iter().map(|(name, param)| (name.clone(), value(param))).collect();
        let chosen_options = self.defaults.clone();
        (!chosen_options.is_empty()).then_some(Reply { chosen_options, params_input, remark: None })
    }
}

fn named(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{}`", short(name))).collect();
    if names.len() > SHOWN {
        shown.push("...".to_owned());
    }
    shown.join(", ")
}

fn short(text: &str) -> String {
    crate::dagfile::shown(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(multiple: bool, users: &[&str]) -> Terms {
        let param = Param { default: Some(7.into()), description: None, schema: json!({"type": "integer"}) };
        Terms {
            options: ["a", "b"].map(str::to_owned).to_vec(),
            defaults: vec!["b".to_owned()],
            multiple,
            params: [("n".to_owned(), param)].into(),
            assigned_users: users.iter().map(|&user| user.to_owned()).collect(),
        }
    }

    fn reply(options: &[&str], params: Value) -> Reply {
        let chosen_options = options.iter().map(|&option| option.to_owned()).collect();
        let params_input = params.as_object().cloned().unwrap_or_default();
        Reply { chosen_options, params_input, remark: None }
    }

    #[test]
    fn an_answer_that_fits_is_completed() {
        let accepted = terms(false, &["ada"]).accept("ada", reply(&["a"], json!({}))).unwrap();
        assert_eq!(accepted, reply(&["a"], json!({"n": 7})));
        assert!(terms(true, &[]).accept("anybody", reply(&["b", "a"], json!({"n": 1}))).is_ok());
    }

    #[test]
    fn an_answer_that_does_not_fit_says_why() {
        let told = |terms: &Terms, reply: Reply| terms.accept("ada", reply).unwrap_err().to_string();
        let (one, many) = (terms(false, &[]), terms(true, &[]));
        assert_eq!(told(&one, reply(&[], json!({}))), "nothing is chosen; the options are `a`, `b`");
        assert_eq!(told(&one, reply(&["c"], json!({}))), "`c` is not an option; the options are `a`, `b`");
        assert_eq!(told(&one, reply(&["a", "b"], json!({}))), "only one option may be chosen");
        assert_eq!(told(&many, reply(&["a", "a"], json!({}))), "`a` is chosen twice");
        assert_eq!(told(&one, reply(&["a"], json!({"n": "x"}))), "param `n` must be a whole number, not `x`");
        assert_eq!(told(&one, reply(&["a"], json!({"m": 1}))), "param `m` is not asked for");
        let told = told(&terms(false, &["bob"]), reply(&["a"], json!({})));
        assert_eq!(told, "user `ada` is not among those who may answer: `bob`");
    }

    #[test]
    fn a_timeout_answers_with_the_defaults() {
        let mut terms = terms(false, &["bob"]);
        assert_eq!(terms.by_default(), Some(reply(&["b"], json!({"n": 7}))));
        terms.params[0].default = None;
        assert_eq!(terms.by_default(), Some(reply(&["b"], json!({"n": null}))));
        terms.defaults.clear();
        assert_eq!(terms.by_default(), None);
    }

    #[test]
    fn terms_that_no_file_was_checked_for_are_checked() {
        let told = |change: &dyn Fn(&mut Terms)| {
            let mut terms = terms(false, &[]);
            change(&mut terms);
            terms.check().unwrap_err()
        };
        assert_eq!(terms(true, &["ada"]).check(), Ok(()));
        assert_eq!(told(&|terms| terms.options.clear()), "it has 0 options; 1 to 100 are allowed");
        let long = |terms: &mut Terms| terms.options.push("x".repeat(MAX_OPTION + 1));
        assert!(told(&long).ends_with("has more than 200 characters"));
        assert_eq!(told(&|terms| terms.options.push("a".into())), "its option `a` is there twice");
        assert_eq!(told(&|terms| terms.defaults.push("c".into())), "its default `c` is not an option");
        assert!(told(&|terms| terms.defaults.push("a".into())).starts_with("it has several defaults"));
        let all = |terms: &mut Terms| terms.assigned_users = vec!["ada".into(); MAX_USERS + 1];
        assert_eq!(told(&all), "it is left to 201 users; at most 200 can be named");
    }

    #[test]
    fn the_result_has_airflows_form() {
        let at = "2026-01-02T03:04:05Z".parse().unwrap();
        let result = reply(&["a"], json!({"n": 1})).result(Some("ada"), at);
        let wanted = json!({
            "chosen_options": ["a"], "params_input": {"n": 1}, "responded_at": "2026-01-02T03:04:05.000000+00:00",
            "responded_by_user": {"id": "ada", "name": "ada"},
        });
        assert_eq!(result, wanted);
        assert_eq!(reply(&["a"], json!({})).result(None, at)["responded_by_user"], Value::Null);
    }
}
