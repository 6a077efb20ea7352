//! What a running try asks of the records. Behind it is the store, or memory when a task runs without a server.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use domain::id::{RunKey, TaskId};
use domain::timetable::DataInterval;
use futures_util::future::BoxFuture;
use serde_json::Value;
use store::connection::Connection;

use crate::assignment::Assignment;
use crate::records::Records;

/// The records could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {what}: {reason}")]
pub struct Unavailable {
    /// What was asked for, in words.
    pub what: String,
    /// What happened.
    pub reason: String,
}

/// The newest successful run before this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Previous {
    /// Its data interval.
    pub data_interval: Option<DataInterval>,
    /// When it started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

/// The answers to what templates and operators may ask.
pub trait Backend: Send + Sync {
    /// The value of a variable.
    fn variable<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, Unavailable>>;

    /// A connection.
    fn connection<'a>(&'a self, conn_id: &'a str) -> BoxFuture<'a, Result<Option<Connection>, Unavailable>>;

    /// The XComs of one key that the instances of a task left in a run, by mapped index.
    fn xcoms<'a>(
        &'a self,
        run: RunKey,
        task_id: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(i32, Value)>, Unavailable>>;

    /// One element of what a task left to be mapped over: of its list or the pairs of its object, or of what its instances left
    /// when `is_split`.
    fn element<'a>(
        &'a self,
        run: RunKey,
        task_id: &'a str,
        key: &'a str,
        place: usize,
        is_split: bool,
    ) -> BoxFuture<'a, Result<Option<Value>, Unavailable>> {
        Box::pin(async move {
            let values = self.xcoms(run, task_id, key).await?;
            Ok(elements_left(values, is_split).into_iter().nth(place))
        })
    }

    /// How many such elements there are.
    fn length<'a>(
        &'a self,
        run: RunKey,
        task_id: &'a str,
        key: &'a str,
        is_split: bool,
    ) -> BoxFuture<'a, Result<usize, Unavailable>> {
        Box::pin(async move {
            let values = self.xcoms(run, task_id, key).await?;
            Ok(elements_left(values, is_split).len())
        })
    }

    /// What one instance of a task left.
    fn instance<'a>(
        &'a self,
        run: RunKey,
        task_id: &'a str,
        key: &'a str,
        map_index: i32,
    ) -> BoxFuture<'a, Result<Option<Value>, Unavailable>> {
        Box::pin(async move {
            let values = self.xcoms(run, task_id, key).await?;
            Ok(values.into_iter().find(|(index, _)| *index == map_index).map(|(_, value)| value))
        })
    }

    /// A run by its DAG and name.
    fn run<'a>(
        &'a self,
        dag_id: &'a str,
        run_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<RunKey>, Unavailable>>;

    /// What the instances of a task left as their result in the run that this instance has started, by mapped index.
    fn output_of_started<'a>(
        &'a self,
        assignment: &'a Assignment,
        task_id: &'a TaskId,
    ) -> BoxFuture<'a, Result<Vec<(i32, Value)>, Unavailable>>;

    /// The newest successful run before this one.
    fn previous<'a>(
        &'a self,
        assignment: &'a Assignment,
    ) -> BoxFuture<'a, Result<Option<Previous>, Unavailable>>;

    /// The records of a server, where there is one: what only tasks of Airflow DAG files ask is asked there.
    fn records(&self) -> Option<&Records> {
        None
    }
}

fn elements_left(values: Vec<(i32, Value)>, is_split: bool) -> Vec<Value> {
    let mut values = values.into_iter().map(|(_, value)| value);
    if is_split { values.collect() } else { values.next().map(elements_of).unwrap_or_default() }
}

/// What a task is mapped over when `value` is what another left: the elements of a list, or the `[key, value]` pairs of an object.
#[must_use]
pub fn elements_of(value: Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list,
        Value::Object(map) => map.into_iter().map(|(key, value)| serde_json::json!([key, value])).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// A backend without a server: XComs are kept in memory, variables and connections are only those of the environment
/// (see [`crate::settings::Overrides`]).
#[derive(Debug, Default)]
pub struct MemoryBackend {
    xcoms: Mutex<HashMap<XComName, Vec<(i32, Value)>>>,
}

/// Run, task and key.
type XComName = (RunKey, String, String);

impl MemoryBackend {
    /// Keeps an XCom; replaces the one of the same instance and key.
    pub fn keep(&self, run: RunKey, task_id: &str, map_index: i32, key: &str, value: Value) {
        let mut xcoms = self.xcoms.lock().unwrap_or_else(PoisonError::into_inner);
        let values = xcoms.entry((run, task_id.to_owned(), key.to_owned())).or_default();
        values.retain(|(index, _)| *index != map_index);
        values.push((map_index, value));
        values.sort_by_key(|(index, _)| *index);
    }

    /// Forgets what an instance left.
    pub fn forget(&self, run: RunKey, task_id: &str, map_index: i32) {
        let mut xcoms = self.xcoms.lock().unwrap_or_else(PoisonError::into_inner);
        let of_task = xcoms.iter_mut().filter(|((of, id, _), _)| *of == run && id == task_id);
        of_task.for_each(|(_, values)| values.retain(|(index, _)| *index != map_index));
    }
}

impl Backend for MemoryBackend {
    fn variable<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<String>, Unavailable>> {
        Box::pin(async { Ok(None) })
    }

    fn connection<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Connection>, Unavailable>> {
        Box::pin(async { Ok(None) })
    }

    fn xcoms<'a>(
        &'a self,
        run: RunKey,
        task_id: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(i32, Value)>, Unavailable>> {
        let xcoms = self.xcoms.lock().unwrap_or_else(PoisonError::into_inner);
        let found = xcoms.get(&(run, task_id.to_owned(), key.to_owned())).cloned().unwrap_or_default();
        Box::pin(async { Ok(found) })
    }

    fn run<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<Option<RunKey>, Unavailable>> {
        Box::pin(async { Ok(None) })
    }

    // Without a server nothing starts runs of other DAGs.
    fn output_of_started<'a>(
        &'a self,
        _: &'a Assignment,
        _: &'a TaskId,
    ) -> BoxFuture<'a, Result<Vec<(i32, Value)>, Unavailable>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn previous<'a>(&'a self, _: &'a Assignment) -> BoxFuture<'a, Result<Option<Previous>, Unavailable>> {
        Box::pin(async { Ok(None) })
    }
}
