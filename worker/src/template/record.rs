//! Objects of the context with a fixed set of attributes: `dag`, `dag_run`, `task`.

use std::fmt;
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Object, ObjectRepr};

/// Named values that print as one name.
#[derive(Debug)]
pub(super) struct Record {
    shown: String,
    fields: Vec<(&'static str, Value)>,
}

impl Record {
    /// An object that prints as `shown`.
    pub(super) fn value(shown: String, fields: Vec<(&'static str, Value)>) -> Value {
        Value::from_object(Record { shown, fields })
    }

    /// The names of its attributes.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.fields.iter().map(|(name, _)| *name)
    }
}

impl Object for Record {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        self.fields.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone())
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}
