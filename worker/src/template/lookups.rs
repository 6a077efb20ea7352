//! What templates ask of the records, and the objects through which they ask: `var`, `conn` and `ti`.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::dag::Expand;
use domain::outcome::RETURN_VALUE;
use minijinja::value::{Kwargs, Object, ObjectRepr, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use serde_json::Value as Json;
use store::connection::Connection;

use super::record::Record;
use crate::assignment::Assignment;
use crate::backend::{Previous, elements_of};
use crate::output::{is_sensitive_name, secrets_in_json};

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

    /// What was answered and must not be seen.
    pub(super) fn secrets(&self) -> Vec<String> {
        let known = self.held();
        let secrets = known.answers.iter().flat_map(|(ask, answer)| match (ask, answer) {
            (_, Answer::Connection(Some(connection))) => secrets_of_connection(connection),
            (Ask::Variable(key), Answer::Variable(Some(value))) => secrets_of_variable(key, value),
            (Ask::Variable(_) | Ask::Connection(_) | Ask::XCom { .. } | Ask::Element { .. } | Ask::Previous, _) => Vec::new(),
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

    fn variable(&self, key: &str) -> Result<Option<String>, Error> {
        match self.ask(Ask::Variable(key.to_owned()))? {
            Answer::Variable(value) => Ok(value),
            Answer::Connection(_) | Answer::XCom(_) | Answer::Element(_) | Answer::Previous(_) => Ok(None),
        }
    }

    fn connection(&self, conn_id: &str) -> Result<Option<Arc<Connection>>, Error> {
        match self.ask(Ask::Connection(conn_id.to_owned()))? {
            Answer::Connection(connection) => Ok(connection),
            Answer::Variable(_) | Answer::XCom(_) | Answer::Element(_) | Answer::Previous(_) => Ok(None),
        }
    }

    fn xcoms(&self, task_id: &str, key: &str) -> Result<Arc<[(i32, Json)]>, Error> {
        match self.ask(Ask::XCom { task_id: task_id.to_owned(), key: key.to_owned() })? {
            Answer::XCom(values) => Ok(values),
            Answer::Variable(_) | Answer::Connection(_) | Answer::Element(_) | Answer::Previous(_) => Ok(Arc::new([])),
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
    let sensitive = is_sensitive_name(key);
    let mut secrets = serde_json::from_str(value).map(|json| secrets_in_json(&json, sensitive)).unwrap_or_default();
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
    let gone = |name: &str| format!("`{name}` has no such element any more: the list that this task is mapped over has changed");
    if let Some(ask) = only_element(assignment) {
        let name = assignment.task().expand.keys().next().cloned().unwrap_or_default();
        return match lookups.answer(&ask) {
            Some(Answer::Element(Some(value))) => Ok(vec![(name, value)]),
            Some(_) | None => Err(gone(&name)),
        };
    }
    let lists: Vec<Vec<Json>> = assignment.task().expand.values().map(|expand| list_of(expand, assignment, lookups)).collect();
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

fn is_mapped(assignment: &Assignment, task_id: &str) -> bool {
    assignment.dag.task(task_id).is_some_and(domain::dag::Task::is_mapped)
}

/// `var`, `var.value` and `var.json`.
#[derive(Debug)]
pub(super) struct Variables {
    lookups: Arc<Lookups>,
    kind: VariableKind,
}

#[derive(Debug, Clone, Copy)]
enum VariableKind {
    Either,
    Value,
    Json,
}

impl Variables {
    /// The object `var`.
    pub(super) fn value(lookups: Arc<Lookups>) -> Value {
        Value::from_object(Variables { lookups, kind: VariableKind::Either })
    }

    fn look_up(&self, key: &str) -> Result<Option<Value>, Error> {
        let Some(text) = self.lookups.variable(key)? else { return Ok(None) };
        match self.kind {
            VariableKind::Either | VariableKind::Value => Ok(Some(Value::from(text))),
            VariableKind::Json => match serde_json::from_str::<Json>(&text) {
                Ok(json) => Ok(Some(Value::from_serialize(json))),
                Err(error) => Err(wrong(format!("the variable `{key}` is not JSON: {error}"))),
            },
        }
    }
}

impl Object for Variables {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        let kind = match (self.kind, key) {
            (VariableKind::Either, "value") => VariableKind::Value,
            (VariableKind::Either, "json") => VariableKind::Json,
            (VariableKind::Either, _) => return None,
            (VariableKind::Value | VariableKind::Json, _) => {
                let found = self.look_up(key).and_then(|value| value.ok_or_else(|| no_variable(key)));
                return Some(found.unwrap_or_else(Value::from));
            }
        };
        Some(Value::from_object(Variables { lookups: Arc::clone(&self.lookups), kind }))
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<variables>")
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        match (self.kind, method) {
            (VariableKind::Value | VariableKind::Json, "get") => {
                let (key, default, kwargs): (&str, Option<Value>, Kwargs) = from_args(args)?;
                let default = match default {
                    None => kwargs.get::<Option<Value>>("default_var")?,
                    Some(default) => Some(default),
                };
                kwargs.assert_all_used()?;
                self.look_up(key)?.or(default).ok_or_else(|| no_variable(key))
            }
            (VariableKind::Either | VariableKind::Value | VariableKind::Json, _) => {
                Err(Error::from(ErrorKind::UnknownMethod))
            }
        }
    }
}

/// `conn`.
#[derive(Debug)]
pub(super) struct Connections(Arc<Lookups>);

impl Connections {
    /// The object `conn`.
    pub(super) fn value(lookups: Arc<Lookups>) -> Value {
        Value::from_object(Connections(lookups))
    }

    fn look_up(&self, conn_id: &str) -> Result<Value, Error> {
        match self.0.connection(conn_id)? {
            Some(connection) => Ok(Value::from_object(OneConnection(connection))),
            None => {
                self.0.held().missing_connection = true;
                Err(wrong(format!("there is no connection `{conn_id}`; add it with `tradewind connections add {conn_id}`")))
            }
        }
    }
}

impl Object for Connections {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(self.look_up(key.as_str()?).unwrap_or_else(Value::from))
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<connections>")
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        if method != "get" {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        let (conn_id, default): (&str, Option<Value>) = from_args(args)?;
        match (self.0.connection(conn_id)?, default) {
            (None, Some(default)) => Ok(default),
            (Some(_), _) | (None, None) => self.look_up(conn_id),
        }
    }
}

#[derive(Debug)]
struct OneConnection(Arc<Connection>);

impl Object for OneConnection {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let it = &self.0;
        let optional = |text: &Option<String>| text.as_deref().map_or(Value::from(()), Value::from);
        Some(match key.as_str()? {
            "conn_id" => Value::from(it.conn_id.as_str()),
            "conn_type" => Value::from(it.conn_type.as_str()),
            "description" => optional(&it.description),
            "host" => optional(&it.host),
            "login" => optional(&it.login),
            "password" => optional(&it.password),
            "schema" => optional(&it.schema),
            "port" => it.port.map_or(Value::from(()), Value::from),
            "extra" => Value::from(Json::from(it.extra.clone()).to_string()),
            "extra_dejson" => Value::from_serialize(&it.extra),
            "uri" => Value::from(it.uri()),
            _ => return None,
        })
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.conn_id)
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        match method {
            "get_uri" => from_args::<()>(args).map(|()| Value::from(self.0.uri())),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

/// `ti` and `task_instance`.
#[derive(Debug)]
pub(super) struct TaskInstance {
    /// What it has besides its methods.
    pub(super) fields: Value,
    /// What it is an instance of.
    pub(super) assignment: Arc<Assignment>,
    /// Where it asks.
    pub(super) lookups: Arc<Lookups>,
}

impl TaskInstance {
    fn xcom_pull(&self, args: &[Value]) -> Result<Value, Error> {
        let (task_ids, kwargs): (Option<Value>, Kwargs) = from_args(args)?;
        let task_ids = match task_ids {
            None => kwargs.get::<Option<Value>>("task_ids")?,
            Some(ids) => Some(ids),
        };
        let key = kwargs.get::<Option<String>>("key")?.unwrap_or_else(|| RETURN_VALUE.to_owned());
        let map_indexes = kwargs.get::<Option<Value>>("map_indexes")?;
        let default = kwargs.get::<Option<Value>>("default")?.unwrap_or_else(|| Value::from(()));
        self.refuse_other_runs(&kwargs)?;
        kwargs.assert_all_used()?;
        let pull = |task_id: &str| self.pull_one(task_id, &key, map_indexes.as_ref());
        let own = || Value::from(self.assignment.task().task_id.as_str());
        let task_ids = task_ids.filter(|ids| !ids.is_none()).unwrap_or_else(own);
        match task_ids.as_str() {
            Some(task_id) => Ok(pull(task_id)?.unwrap_or(default)),
            None => {
                let ids = task_ids.try_iter()?;
                // Every task is asked before the first miss is reported, so that all are fetched in one round.
                let pulled: Vec<_> = ids.map(|id| pull(id.as_str().unwrap_or_default())).collect();
                let values: Result<Vec<_>, _> = pulled.into_iter().collect();
                Ok(values?.into_iter().map(|value| value.unwrap_or_else(|| default.clone())).collect())
            }
        }
    }

    fn pull_one(&self, task_id: &str, key: &str, map_indexes: Option<&Value>) -> Result<Option<Value>, Error> {
        if self.assignment.dag.task(task_id).is_none() {
            let known = self.assignment.dag.tasks.iter().map(|task| task.task_id.as_str());
            let hint = super::error::suggestion(task_id, known);
            return Err(wrong(format!("this DAG has no task `{task_id}`{hint}")));
        }
        let values = self.lookups.xcoms(task_id, key)?;
        let one = |index: i64| {
            let found = values.iter().find(|(at, _)| i64::from(*at) == index);
            found.map(|(_, value)| Value::from_serialize(value))
        };
        match map_indexes.filter(|indexes| !indexes.is_none()) {
            Some(indexes) if indexes.kind() == ValueKind::Number => Ok(indexes.as_i64().and_then(one)),
            Some(indexes) => {
                let indexes = indexes.try_iter()?;
                Ok(Some(indexes.map(|at| at.as_i64().and_then(one).unwrap_or_else(|| Value::from(()))).collect()))
            }
            None if is_mapped(&self.assignment, task_id) => {
                Ok(Some(values.iter().map(|(_, value)| Value::from_serialize(value)).collect()))
            }
            None => Ok(values.first().map(|(_, value)| Value::from_serialize(value))),
        }
    }

    fn refuse_other_runs(&self, kwargs: &Kwargs) -> Result<(), Error> {
        let own = [("dag_id", self.assignment.dag.dag_id.as_str()), ("run_id", self.assignment.run.run_id.as_str())];
        for (name, own) in own {
            if kwargs.get::<Option<String>>(name)?.is_some_and(|other| other != own) {
                return Err(wrong(format!("xcom_pull reads this run only: leave `{name}` out")));
            }
        }
        if kwargs.get::<Option<bool>>("include_prior_dates")?.unwrap_or(false) {
            return Err(wrong("xcom_pull reads this run only: leave `include_prior_dates` out"));
        }
        Ok(())
    }
}

impl Object for TaskInstance {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.fields.get_item(key).ok().filter(|value| !value.is_undefined())
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fields)
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        match method {
            "xcom_pull" => self.xcom_pull(args),
            "xcom_push" => Err(wrong("a template cannot push XComs: write them to $TRADEWIND_OUTPUT")),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

/// The names of what `value` has, when it is one of the objects with fixed attributes.
pub(super) fn attributes(value: &Value) -> Vec<&'static str> {
    match value.downcast_object_ref::<TaskInstance>() {
        Some(instance) => attributes(&instance.fields).into_iter().chain(["xcom_pull"]).collect(),
        None => value.downcast_object_ref::<Record>().map(|record| record.names().collect()).unwrap_or_default(),
    }
}

fn no_variable(key: &str) -> Error {
    wrong(format!(
        "there is no variable `{key}`; set it with `tradewind variables set {key} VALUE`, or give a default: var.value.get('{key}', '...')"
    ))
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}
