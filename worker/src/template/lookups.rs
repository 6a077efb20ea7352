//! What templates ask of the records.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::{Error, ErrorKind};
use serde_json::Value as Json;
use store::connection::Connection;

use crate::backend::Previous;
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
    /// One element of what a task left to be mapped over.
    Element {
        /// The task.
        task_id: String,
        /// The key.
        key: String,
        /// Which, counted from 0.
        place: usize,
        /// The values of its instances are the elements, not those of its one value.
        is_split: bool,
    },
    /// How many such elements there are.
    Length {
        /// The task.
        task_id: String,
        /// The key.
        key: String,
        /// As above.
        is_split: bool,
    },
    /// What one instance of a task left.
    Instance {
        /// The task.
        task_id: String,
        /// The key.
        key: String,
        /// Its mapped index.
        map_index: i32,
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
    /// To [`Ask::Element`] and [`Ask::Instance`].
    Element(Option<Json>),
    /// To [`Ask::Length`].
    Length(usize),
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
            (Ask::Variable(key), Answer::Variable(Some(value))) => super::secrets_of_variable(key, value),
            (
                Ask::Variable(_)
                | Ask::Connection(_)
                | Ask::XCom { .. }
                | Ask::Element { .. }
                | Ask::Length { .. }
                | Ask::Instance { .. }
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
            Answer::Connection(_)
            | Answer::XCom(_)
            | Answer::Element(_)
            | Answer::Length(_)
            | Answer::Previous(_) => Ok(None),
        }
    }

    /// A connection.
    pub(super) fn connection(&self, conn_id: &str) -> Result<Option<Arc<Connection>>, Error> {
        match self.ask(Ask::Connection(conn_id.to_owned()))? {
            Answer::Connection(connection) => Ok(connection),
            Answer::Variable(_)
            | Answer::XCom(_)
            | Answer::Element(_)
            | Answer::Length(_)
            | Answer::Previous(_) => Ok(None),
        }
    }

    /// The XComs of one key that the instances of a task left.
    pub(super) fn xcoms(&self, task_id: &str, key: &str) -> Result<Arc<[(i32, Json)]>, Error> {
        match self.ask(Ask::XCom { task_id: task_id.to_owned(), key: key.to_owned() })? {
            Answer::XCom(values) => Ok(values),
            Answer::Variable(_)
            | Answer::Connection(_)
            | Answer::Element(_)
            | Answer::Length(_)
            | Answer::Previous(_) => Ok(Arc::new([])),
        }
    }

    /// The newest successful run before this one.
    pub(super) fn previous(&self) -> Result<Option<Previous>, Error> {
        match self.ask(Ask::Previous)? {
            Answer::Previous(previous) => Ok(previous),
            Answer::Variable(_)
            | Answer::Connection(_)
            | Answer::XCom(_)
            | Answer::Element(_)
            | Answer::Length(_) => Ok(None),
        }
    }

    /// One element of what a task left to be mapped over.
    pub(super) fn element(
        &self,
        task_id: &str,
        key: &str,
        place: usize,
        is_split: bool,
    ) -> Result<Option<Json>, Error> {
        let (task_id, key) = (task_id.to_owned(), key.to_owned());
        self.value(Ask::Element { task_id, key, place, is_split })
    }

    /// What one instance of a task left.
    pub(super) fn instance(&self, task_id: &str, key: &str, map_index: i32) -> Result<Option<Json>, Error> {
        let (task_id, key) = (task_id.to_owned(), key.to_owned());
        self.value(Ask::Instance { task_id, key, map_index })
    }

    /// How many elements a task left to be mapped over.
    pub(super) fn length(&self, task_id: &str, key: &str, is_split: bool) -> Result<usize, Error> {
        let (task_id, key) = (task_id.to_owned(), key.to_owned());
        match self.ask(Ask::Length { task_id, key, is_split })? {
            Answer::Length(length) => Ok(length),
            Answer::Variable(_)
            | Answer::Connection(_)
            | Answer::XCom(_)
            | Answer::Element(_)
            | Answer::Previous(_) => Ok(0),
        }
    }

    fn value(&self, ask: Ask) -> Result<Option<Json>, Error> {
        match self.ask(ask)? {
            Answer::Element(value) => Ok(value),
            Answer::Variable(_)
            | Answer::Connection(_)
            | Answer::XCom(_)
            | Answer::Length(_)
            | Answer::Previous(_) => Ok(None),
        }
    }

    fn held(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What of a connection must not be seen.
pub(crate) fn secrets_of_connection(connection: &Connection) -> Vec<String> {
    let extra = secrets_in_json(&Json::from(connection.extra.clone()), false);
    connection.password.iter().cloned().chain(extra).collect()
}

/// An error with these words.
pub(super) fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}
