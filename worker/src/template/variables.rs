//! `var`: variables.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Kwargs, Object, ObjectRepr, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use serde_json::Value as Json;

use super::json;
use super::lookups::{Lookups, wrong};

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
        let Some(text) = self.lookups.variable(key)? else {
            return Ok(None);
        };
        match self.kind {
            VariableKind::Either | VariableKind::Value => Ok(Some(Value::from(text))),
            VariableKind::Json => match serde_json::from_str::<Json>(&text) {
                Ok(json) => Ok(Some(json::value(json))),
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

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
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

fn no_variable(key: &str) -> Error {
    wrong(format!(
        "there is no variable `{key}`; set it with `tradewind variables set {key} VALUE`, or give a default: var.value.get('{key}', '...')"
    ))
}
