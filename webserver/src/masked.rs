//! What is shown of connections and variables, and what is kept when somebody sends it back.

use std::borrow::Cow;

use runtime::secret::{MASK, is_secret_name};
use serde_json::{Map, Value};

/// An object with its secrets masked, however deep they are.
pub(crate) fn masked(object: &Map<String, Value>) -> Map<String, Value> {
    object
        .iter()
        .map(|(key, value)| {
            (key.clone(), if is_secret_name(key) { MASK.into() } else { masked_value(value) })
        })
        .collect()
}

fn masked_value(value: &Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(masked(object)),
        Value::Array(values) => values.iter().map(masked_value).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// What was sent, with masks replaced by what is there: whoever sends back what they were shown changes nothing.
pub(crate) fn unmasked(sent: Map<String, Value>, known: &Map<String, Value>) -> Map<String, Value> {
    sent.into_iter()
        .map(|(key, value)| {
            let known = known.get(&key);
            (key, unmasked_value(value, known))
        })
        .collect()
}

fn unmasked_value(sent: Value, known: Option<&Value>) -> Value {
    match (sent, known) {
        (Value::String(text), Some(known)) if text == MASK => known.clone(),
        (Value::Object(sent), Some(Value::Object(known))) => Value::Object(unmasked(sent, known)),
        (Value::Array(sent), Some(Value::Array(known))) => sent
            .into_iter()
            .enumerate()
            .map(|(place, value)| unmasked_value(value, known.get(place)))
            .collect(),
        (sent, _) => sent,
    }
}

/// The value of a variable as it is shown: nothing of one with a secret name, and of JSON nothing that stands under such a name. Source: Airflow
/// 3.3.2 `datamodels/variables.py` (`redact_val`).
pub(crate) fn masked_variable<'a>(key: &str, value: &'a str) -> Cow<'a, str> {
    if is_secret_name(key) {
        return Cow::Borrowed(MASK);
    }
    match serde_json::from_str::<Value>(value) {
        Ok(json) => {
            let masked = masked_value(&json);
            if masked == json { Cow::Borrowed(value) } else { Cow::Owned(masked.to_string()) }
        }
        Err(_) => Cow::Borrowed(value),
    }
}

/// The value of a variable that was sent, with masks replaced by what is there.
pub(crate) fn unmasked_variable(sent: String, known: &str) -> String {
    if sent == MASK {
        return known.to_owned();
    }
    let (Ok(new), Ok(old)) = (serde_json::from_str::<Value>(&sent), serde_json::from_str::<Value>(known))
    else {
        return sent;
    };
    let whole = unmasked_value(new.clone(), Some(&old));
    if whole == new { sent } else { whole.to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_masked_and_masks_sent_back_change_nothing() {
        let Value::Object(known) = json!({"token": "t", "timeout": 5, "tls": {"private_key": "k", "ca": "c"}, "list": [{"Password": "p"}]})
        else {
            panic!("not an object")
        };
        let shown = masked(&known);
        assert_eq!(
            Value::Object(shown.clone()),
            json!({"token": "***", "timeout": 5, "tls": {"private_key": "***", "ca": "c"}, "list": [{"Password": "***"}]})
        );
        assert_eq!(unmasked(shown, &known), known);
    }

    #[test]
    fn the_secrets_in_a_variable_are_masked_and_kept() {
        let known = r#"{"host": "h", "deep": [{"token": "t0ken"}]}"#;
        let shown = masked_variable("settings", known).into_owned();
        assert_eq!(shown, r#"{"host":"h","deep":[{"token":"***"}]}"#);
        let sent = shown.replace("\"h\"", "\"other\"");
        assert_eq!(unmasked_variable(sent, known), r#"{"host":"other","deep":[{"token":"t0ken"}]}"#);
        for plain in ["text", r#"{"a":  1}"#, "12", "[1, 2]"] {
            assert_eq!(masked_variable("settings", plain), plain);
            assert_eq!(unmasked_variable(plain.to_owned(), known), plain);
        }
        assert_eq!(masked_variable("api_key", "text"), MASK);
        assert_eq!(unmasked_variable(MASK.to_owned(), "text"), "text");
    }
}
