//! `ti`: the task instance, and through it the XComs of others.

use std::fmt;
use std::sync::Arc;

use domain::outcome::RETURN_VALUE;
use minijinja::value::{Kwargs, Object, ObjectRepr, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};

use super::elements::{Counterparts, counterparts, needs_expansion};
use super::lookups::{Lookups, wrong};
use super::record::Record;
use super::{error, json};
use crate::assignment::Assignment;

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

    fn pull_one(
        &self,
        task_id: &str,
        key: &str,
        map_indexes: Option<&Value>,
    ) -> Result<Option<Value>, Error> {
        if self.assignment.dag.task(task_id).is_none() {
            let known = self.assignment.dag.tasks.iter().map(|task| task.task_id.as_str());
            let hint = error::suggestion(task_id, known);
            return Err(wrong(format!("this DAG has no task `{task_id}`{hint}")));
        }
        if map_indexes.is_none_or(Value::is_none)
            && let Some(found) = self.pull_relevant(task_id, key)?
        {
            return Ok(found);
        }
        let values = self.lookups.xcoms(task_id, key)?;
        let one = |index: i64| {
            let found = values.iter().find(|(at, _)| i64::from(*at) == index);
            found.map(|(_, value)| json::value(value))
        };
        match map_indexes.filter(|indexes| !indexes.is_none()) {
            Some(indexes) if indexes.kind() == ValueKind::Number => Ok(indexes.as_i64().and_then(one)),
            Some(indexes) => {
                let indexes = indexes.try_iter()?;
                Ok(Some(
                    indexes.map(|at| at.as_i64().and_then(one).unwrap_or_else(|| Value::from(()))).collect(),
                ))
            }
            None if needs_expansion(&self.assignment, task_id) => {
                Ok(Some(values.iter().map(|(_, value)| json::value(value)).collect()))
            }
            None => Ok(values.first().map(|(_, value)| json::value(value))),
        }
    }

    // Within a mapped group the instance sees what those left that share its element; nothing when the task is outside of it.
    fn pull_relevant(&self, task_id: &str, key: &str) -> Result<Option<Option<Value>>, Error> {
        let Some(task) = self.assignment.dag.task(task_id) else { return Ok(None) };
        let pull = |place: usize| {
            let map_index = i32::try_from(place).unwrap_or(i32::MAX);
            let value = self.lookups.instance(task_id, key, map_index)?;
            Ok(value.map(|value| json::value(&value)))
        };
        match counterparts(&self.assignment, task, &self.lookups)? {
            Counterparts::All => Ok(None),
            Counterparts::One(place) => pull(place).map(Some),
            Counterparts::Several(places) => {
                // All are asked before the first miss is reported, so that they are fetched in one round.
                let pulled: Vec<Result<Option<Value>, Error>> = places.map(pull).collect();
                let values = pulled.into_iter().collect::<Result<Vec<_>, Error>>()?;
                Ok(Some(Some(values.into_iter().flatten().collect())))
            }
        }
    }

    fn refuse_other_runs(&self, kwargs: &Kwargs) -> Result<(), Error> {
        let own = [
            ("dag_id", self.assignment.dag.dag_id.as_str()),
            ("run_id", self.assignment.run.run_id.as_str()),
        ];
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

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
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
        None => {
            value.downcast_object_ref::<Record>().map(|record| record.names().collect()).unwrap_or_default()
        }
    }
}
