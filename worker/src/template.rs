//! Templates: Jinja with Airflow's context.
//!
//! The engine renders without waiting. What a template asks of the records (a variable, a connection, an XCom) and is
//! not known yet is written down, the rendering is given up, the answers are fetched, and it is rendered anew. So nothing
//! is fetched that is not used, no thread is blocked, and a text without a template costs nothing.

mod connections;
mod dates;
mod elements;
mod engine;
mod error;
mod instance;
mod json;
mod lookups;
mod macros;
mod pendulum;
mod python;
mod record;
mod scope;
mod variables;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::id::TaskId;
use domain::outcome::RETURN_VALUE;
use indexmap::IndexMap;
use serde_json::{Map, Value};
use store::connection::Connection;

use crate::assignment::Assignment;
use crate::backend::Backend;
use crate::settings::Overrides;

pub(crate) use error::Error;
pub(crate) use lookups::secrets_of_connection;
use lookups::{Answer, Ask, Lookups};
pub(crate) use runtime::mask::secrets_of_variable;
use scope::Scope;

/// Most rounds of rendering one text: each fetches at least one more answer.
const MOST_ROUNDS: usize = 1_000;
/// Deepest nesting of JSON that is rendered.
const DEEPEST: usize = 64;

/// Renders the texts of one try.
pub(crate) struct Renderer<'a> {
    backend: &'a dyn Backend,
    overrides: &'a Overrides,
    assignment: Arc<Assignment>,
    lookups: Arc<Lookups>,
    scope: Option<minijinja::Value>,
    params: Arc<Map<String, Value>>,
    now: DateTime<Utc>,
}

impl<'a> Renderer<'a> {
    /// For the texts of `assignment`, whose params have these values.
    pub(crate) fn new(
        backend: &'a dyn Backend,
        overrides: &'a Overrides,
        assignment: Arc<Assignment>,
        params: Arc<Map<String, Value>>,
        now: DateTime<Utc>,
    ) -> Self {
        Self { backend, overrides, assignment, lookups: Arc::default(), scope: None, params, now }
    }

    /// Renders one text; `field` names it in errors.
    ///
    /// # Errors
    /// Says where and what is wrong with the template.
    pub(crate) async fn text(&mut self, field: &str, text: &str) -> Result<String, Error> {
        if !is_template(text) {
            // Jinja drops one newline at the end; so that a text does not change when a template is put into it.
            return Ok(text.strip_suffix('\n').unwrap_or(text).to_owned());
        }
        let scope = self.scope().await?;
        for _ in 0..MOST_ROUNDS {
            let result = engine::render(text, &scope);
            let wanted = self.lookups.take_wanted();
            if wanted.is_empty() {
                return result.map_err(|error| Error::of(field, text, &error, &scope, &self.lookups));
            }
            for ask in wanted {
                self.fetch(field, ask).await?;
            }
        }
        Err(Error::too_many(field, MOST_ROUNDS))
    }

    /// Renders every text in a JSON value.
    ///
    /// # Errors
    /// As [`Renderer::text`].
    pub(crate) async fn json(&mut self, field: &str, value: &Value) -> Result<Value, Error> {
        self.json_at(field, value, 0).await
    }

    /// Says what is wrong with how a condition is written, before anything is done.
    ///
    /// # Errors
    /// Says where and what is wrong with it.
    pub(crate) fn check_condition(&self, field: &str, expression: &str) -> Result<(), Error> {
        let scope = minijinja::Value::UNDEFINED;
        engine::check(expression).map_err(|error| Error::of(field, expression, &error, &scope, &self.lookups))
    }

    /// Whether a condition holds of what this try left: `result`, and by their keys `outputs`.
    ///
    /// # Errors
    /// As [`Renderer::text`].
    pub(crate) async fn holds(
        &mut self,
        field: &str,
        expression: &str,
        left: &IndexMap<String, Value>,
    ) -> Result<bool, Error> {
        let mut names = self.mapped().await?;
        names.push(("result".to_owned(), left.get(RETURN_VALUE).cloned().unwrap_or_default()));
        let outputs = left.iter().map(|(key, value)| (key.clone(), value.clone()));
        names.push(("outputs".to_owned(), Value::Object(outputs.collect())));
        let lookups = Arc::clone(&self.lookups);
        let scope = Scope::new(&self.assignment, names, &self.params, lookups, self.now);
        let scope = minijinja::Value::from_object(scope);
        for _ in 0..MOST_ROUNDS {
            let held = engine::holds(expression, &scope);
            let wanted = self.lookups.take_wanted();
            if wanted.is_empty() {
                return held.map_err(|error| Error::of(field, expression, &error, &scope, &self.lookups));
            }
            for ask in wanted {
                self.fetch(field, ask).await?;
            }
        }
        Err(Error::too_many(field, MOST_ROUNDS))
    }

    /// A connection, by the same way that templates find it.
    ///
    /// # Errors
    /// When there is none of that name.
    pub(crate) async fn connection(&mut self, field: &str, conn_id: &str) -> Result<Arc<Connection>, Error> {
        let ask = Ask::Connection(conn_id.to_owned());
        if self.lookups.answer(&ask).is_none() {
            self.fetch(field, ask.clone()).await?;
        }
        match self.lookups.answer(&ask) {
            Some(Answer::Connection(Some(connection))) => Ok(connection),
            Some(_) | None => Err(Error::no_connection(field, conn_id)),
        }
    }

    /// The result of a task of the run that this try has started, once that run has ended; nothing before.
    ///
    /// # Errors
    /// When the records cannot be asked, or the task left none.
    pub(crate) async fn output(&self, field: &str, task_id: Option<&TaskId>) -> Result<Option<Value>, Error> {
        let Some(task_id) = task_id.filter(|_| self.assignment.pokes > 0) else { return Ok(None) };
        let found = self.backend.output_of_started(&self.assignment, task_id).await;
        let mut found = found.map_err(|error| Error::unavailable(field, &error))?.into_iter().peekable();
        match found.peek() {
            None => Err(Error::data(field, format!("task `{task_id}` of the run left no `{RETURN_VALUE}`"))),
            Some((-1, _)) => Ok(found.next().map(|(_, value)| value)),
            Some(_) => Ok(Some(found.map(|(_, value)| value).collect())),
        }
    }

    /// What was fetched and must not be seen.
    pub(crate) fn secrets(&self) -> Vec<String> {
        self.lookups.secrets()
    }

    async fn json_at(&mut self, field: &str, value: &Value, depth: usize) -> Result<Value, Error> {
        if depth > DEEPEST {
            return Err(Error::too_deep(field, DEEPEST));
        }
        Ok(match value {
            Value::String(text) => Value::String(self.text(field, text).await?),
            Value::Array(items) => {
                let mut rendered = Vec::with_capacity(items.len());
                for item in items {
                    rendered.push(Box::pin(self.json_at(field, item, depth + 1)).await?);
                }
                Value::Array(rendered)
            }
            Value::Object(map) => {
                let mut rendered = Map::new();
                for (key, item) in map {
                    rendered.insert(key.clone(), Box::pin(self.json_at(field, item, depth + 1)).await?);
                }
                Value::Object(rendered)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        })
    }

    /// The context, made when the first template is met.
    async fn scope(&mut self) -> Result<minijinja::Value, Error> {
        if let Some(scope) = &self.scope {
            return Ok(scope.clone());
        }
        let elements = self.mapped().await?;
        let scope = Scope::new(&self.assignment, elements, &self.params, Arc::clone(&self.lookups), self.now);
        Ok(self.scope.insert(minijinja::Value::from_object(scope)).clone())
    }

    /// What a mapped instance is mapped over, by name.
    pub(crate) async fn mapped(&mut self) -> Result<Vec<(String, Value)>, Error> {
        let assignment = &self.assignment;
        if assignment.map_index < 0 || !assignment.dag.needs_expansion(assignment.task()) {
            return Ok(Vec::new());
        }
        for _ in 0..MOST_ROUNDS {
            let found = elements::elements(assignment, &self.lookups);
            let wanted = self.lookups.take_wanted();
            if wanted.is_empty() {
                let words = |error: minijinja::Error| error.detail().unwrap_or("no such element").to_owned();
                return found.map_err(|error| Error::data("expand", words(error)));
            }
            for ask in wanted {
                self.fetch("expand", ask).await?;
            }
        }
        Err(Error::too_many("expand", MOST_ROUNDS))
    }

    async fn fetch(&self, field: &str, ask: Ask) -> Result<(), Error> {
        let unavailable = |error| Error::unavailable(field, &error);
        let answer = match &ask {
            Ask::Variable(key) => Answer::Variable(match self.overrides.variable(key) {
                Some(value) => Some(value),
                None => self.backend.variable(key).await.map_err(unavailable)?,
            }),
            Ask::Connection(conn_id) => Answer::Connection(match self.overrides.connection(conn_id) {
                Some(found) => {
                    Some(Arc::new(found.map_err(|message| Error::bad_connection(field, conn_id, message))?))
                }
                None => self.backend.connection(conn_id).await.map_err(unavailable)?.map(Arc::new),
            }),
            Ask::XCom { task_id, key } => {
                let run = self.assignment.attempt.ti.run;
                Answer::XCom(self.backend.xcoms(run, task_id, key).await.map_err(unavailable)?.into())
            }
            Ask::Element { task_id, key, place, is_split } => {
                let run = self.assignment.attempt.ti.run;
                let found = self.backend.element(run, task_id, key, *place, *is_split).await;
                Answer::Element(found.map_err(unavailable)?)
            }
            Ask::Length { task_id, key, is_split } => {
                let run = self.assignment.attempt.ti.run;
                let found = self.backend.length(run, task_id, key, *is_split).await;
                Answer::Length(found.map_err(unavailable)?)
            }
            Ask::Instance { task_id, key, map_index } => {
                let run = self.assignment.attempt.ti.run;
                let found = self.backend.instance(run, task_id, key, *map_index).await;
                Answer::Element(found.map_err(unavailable)?)
            }
            Ask::Previous => {
                Answer::Previous(self.backend.previous(&self.assignment).await.map_err(unavailable)?)
            }
        };
        self.lookups.put(ask, answer);
        Ok(())
    }
}

/// Whether the engine has anything to do with `text`.
pub(crate) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}
