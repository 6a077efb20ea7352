//! Values in their wrapping: `{"__type": T, "__var": V}`.

use serde_json::{Map, Value};

/// What is inside of the wrapping, if there is one.
pub(super) fn inner(value: &Value) -> &Value {
    match value.as_object() {
        Some(map) if map.contains_key("__type") => map.get("__var").unwrap_or(value),
        Some(_) | None => value,
    }
}

/// What the wrapping says is inside.
pub(super) fn kind(value: &Value) -> Option<&str> {
    value.get("__type").and_then(Value::as_str)
}

/// The value as plain JSON: wrappings are taken off wherever they are.
pub(super) fn plain(value: &Value) -> Value {
    match inner(value) {
        Value::Array(items) => Value::Array(items.iter().map(plain).collect()),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), plain(value))).collect::<Map<_, _>>())
        }
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other.clone(),
    }
}
