//! What templates ask of the records.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::dag::Expand;
use minijinja::{Error, ErrorKind};
use runtime::secret::is_secret_name;
use serde_json::Value as Json;
use store::connection::Connection;

use crate::assignment::Assignment;
use crate::backend::{Previous, elements_of};
use crate::output::secrets_in_json;

/// A question to the records.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Ask {
    /// The value of a variable.
    Variable(String),
    /// A connection.
    Connection(String),
    /// The XComs of one key that a task's instances left in this run.
    XCom {
        /// The task.
        task_id: String,
        /// The key.
        key: String,
    },
    /// One element of a list that an unmapped task left.
    Element {
        /// The task.
        task_id: String,
        /// The key.
        key: String,
        /// Which, counted from 0.
        place: usize,
    },
    /// The newest successful run before this one.
    Previous,
}

/// What the records say.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// To [`Ask::Variable`].
    Variable(Option<String>),
    /// To [`Ask::Connection`].
    Connection(Option<Arc<Connection>>),
    /// To [`Ask::XCom`]: by mapped index.
    XCom(Arc<[(i32, Json)]>),
    /// To [`Ask::Element`].
    Element(Option<Json>),
    /// To [`Ask::Previous`].
    Previous(Option<Previous>),
}

/// The answers known so far, and the questions that are still open.
#[derive(Debug, Default)]
pub(super) struct Lookups(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    answers: HashMap<Ask, Answer>,
    wanted: BTreeSet<Ask>,
    missing_connection: bool,
}

impl Lookups {
    /// The answer, if it is known.
    pub(super) fn answer(&self, ask: &Ask) -> Option<Answer> {
        self.held().answers.get(ask).cloned()
    }

    /// Keeps an answer.
    pub(super) fn put(&self, ask: Ask, answer: Answer) {
        self.held().answers.insert(ask, answer);
    }

    /// The open questions; empties them.
    pub(super) fn take_wanted(&self) -> Vec<Ask> {
        std::mem::take(&mut self.held().wanted).into_iter().collect()
    }

    /// Nothing was asked at all.
    pub(super) fn is_untouched(&self) -> bool {
        self.held().answers.is_empty()
    }

    /// A connection was asked for that does not exist.
    pub(super) fn missed_a_connection(&self) -> bool {
        self.held().missing_connection
    }

    /// Notes that a connection was asked for that does not exist.
    pub(super) fn miss_a_connection(&self) {
        self.held().missing_connection = true;
    }

    /// What was answered and must not be seen.
    pub(super) fn secrets(&self) -> Vec<String> {
        let known = self.held();
        let secrets = known.answers.iter().flat_map(|(ask, answer)| match (ask, answer) {
            (_, Answer::Connection(Some(connection))) => secrets_of_connection(connection),
            (Ask::Variable(key), Answer::Variable(Some(value))) => secrets_of_variable(key, value),
            (
                Ask::Variable(_)
                | Ask::Connection(_)
                | Ask::XCom { .. }
                | Ask::Element { .. }
                | Ask::Previous,
                _,
            ) => Vec::new(),
        });
        secrets.collect()
    }

    /// The answer, or a note to fetch it and an error that gives this rendering up.
    fn ask(&self, ask: Ask) -> Result<Answer, Error> {
        if let Some(answer) = self.answer(&ask) {
            return Ok(answer);
        }
        self.held().wanted.insert(ask);
        Err(Error::new(ErrorKind::InvalidOperation, "not fetched yet"))
    }

    /// The value of a variable.
    pub(super) fn variable(&self, key: &str) -> Result<Option<String>, Error> {
        match self.ask(Ask::Variable(key.to_owned()))? {
            Answer::Variable(value) => Ok(value),
            Answer::Connection(_) | Answer::XCom(_) | Answer::Element(_) | Answer::Previous(_) => Ok(None),
        }
    }

    /// A connection.
    pub(super) fn connection(&self, conn_id: &str) -> Result<Option<Arc<Connection>>, Error> {
        match self.ask(Ask::Connection(conn_id.to_owned()))? {
            Answer::Connection(connection) => Ok(connection),
            Answer::Variable(_) | Answer::XCom(_) | Answer::Element(_) | Answer::Previous(_) => Ok(None),
        }
    }

    /// The XComs of one key that the instances of a task left.
    pub(super) fn xcoms(&self, task_id: &str, key: &str) -> Result<Arc<[(i32, Json)]>, Error> {
        match self.ask(Ask::XCom { task_id: task_id.to_owned(), key: key.to_owned() })? {
            Answer::XCom(values) => Ok(values),
            Answer::Variable(_) | Answer::Connection(_) | Answer::Element(_) | Answer::Previous(_) => {
                Ok(Arc::new([]))
            }
        }
    }

    /// The newest successful run before this one.
    pub(super) fn previous(&self) -> Result<Option<Previous>, Error> {
        match self.ask(Ask::Previous)? {
            Answer::Previous(previous) => Ok(previous),
            Answer::Variable(_) | Answer::Connection(_) | Answer::XCom(_) | Answer::Element(_) => Ok(None),
        }
    }

    fn held(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn secrets_of_connection(connection: &Connection) -> Vec<String> {
    let extra = secrets_in_json(&Json::from(connection.extra.clone()), false);
    connection.password.iter().cloned().chain(extra).collect()
}

fn secrets_of_variable(key: &str, value: &str) -> Vec<String> {
    let sensitive = is_secret_name(key);
    let mut secrets =
        serde_json::from_str(value).map(|json| secrets_in_json(&json, sensitive)).unwrap_or_default();
    if sensitive {
        secrets.push(value.to_owned());
    }
    secrets
}

/// What must be asked to know the elements of a mapped instance.
pub(super) fn asks_of(assignment: &Assignment) -> Vec<Ask> {
    if let Some(ask) = only_element(assignment) {
        return vec![ask];
    }
    let asks = assignment.task().expand.values().filter_map(|expand| match expand {
        Expand::List(_) => None,
        Expand::XCom { task_id, key } => Some(Ask::XCom { task_id: task_id.to_string(), key: key.clone() }),
    });
    asks.collect()
}

/// A task that is mapped over one list needs one element of it, and not the length.
fn only_element(assignment: &Assignment) -> Option<Ask> {
    let expand = &assignment.task().expand;
    match expand.values().next().filter(|_| expand.len() == 1)? {
        Expand::XCom { task_id, key } if !is_mapped(assignment, task_id.as_str()) => Some(Ask::Element {
            task_id: task_id.to_string(),
            key: key.clone(),
            place: usize::try_from(assignment.map_index).ok()?,
        }),
        Expand::XCom { .. } | Expand::List(_) => None,
    }
}

/// The elements of a mapped instance, by key. Their questions have been answered before.
pub(super) fn elements(assignment: &Assignment, lookups: &Lookups) -> Result<Vec<(String, Json)>, String> {
    let gone = |name: &str| {
        format!("`{name}` has no such element any more: the list that this task is mapped over has changed")
    };
    if let Some(ask) = only_element(assignment) {
        let name = assignment.task().expand.keys().next().cloned().unwrap_or_default();
        return match lookups.answer(&ask) {
            Some(Answer::Element(Some(value))) => Ok(vec![(name, value)]),
            Some(_) | None => Err(gone(&name)),
        };
    }
    let lists: Vec<Vec<Json>> =
        assignment.task().expand.values().map(|expand| list_of(expand, assignment, lookups)).collect();
    let lengths: Vec<usize> = lists.iter().map(Vec::len).collect();
    let places = assignment.places(&lengths);
    let found = assignment.task().expand.keys().zip(lists).zip(places).map(|((name, list), at)| {
        list.into_iter().nth(at).map(|value| (name.clone(), value)).ok_or_else(|| gone(name))
    });
    found.collect()
}

/// What a key is mapped over: of a mapped task the values of its instances, else the elements of its value.
fn list_of(expand: &Expand, assignment: &Assignment, lookups: &Lookups) -> Vec<Json> {
    match expand {
        Expand::List(list) => list.clone(),
        Expand::XCom { task_id, key } => {
            let values = lookups.xcoms(task_id.as_str(), key).unwrap_or_else(|_| Arc::new([]));
            if is_mapped(assignment, task_id.as_str()) {
                return values.iter().map(|(_, value)| value.clone()).collect();
            }
            values.first().map(|(_, value)| elements_of(value.clone())).unwrap_or_default()
        }
    }
}

/// Whether the task has an instance for each element of something.
pub(super) fn is_mapped(assignment: &Assignment, task_id: &str) -> bool {
    assignment.dag.task(task_id).is_some_and(domain::dag::Task::is_mapped)
}

/// An error with these words.
pub(super) fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}
