//! JSON as a value of templates.

use minijinja::Value;
use minijinja::value::Serde;
use serde::Serialize;

/// What can be written as JSON, as a value of templates.
pub(super) fn value(json: impl Serialize) -> Value {
    Value::from(Serde(json))
}
