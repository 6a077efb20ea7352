//! What is shown of values: rendered fields and XComs, with secrets hidden.

use runtime::mask::Masker;
use serde_json::{Map, Value};

use super::Output;

/// Longest rendered text that is shown, in characters.
const LONGEST_FIELD: usize = 64 << 10;

/// Somebody who knows what is secret.
pub(crate) trait Hides: Sync {
    /// A value as it is shown, if it has a secret in it.
    fn masked_value(&self, value: &Value) -> Option<Value>;
}

impl Hides for Masker {
    fn masked_value(&self, value: &Value) -> Option<Value> {
        let masked = self.json(value);
        (masked != *value).then_some(masked)
    }
}

impl Hides for Output {
    fn masked_value(&self, value: &Value) -> Option<Value> {
        self.state().masker.masked_value(value)
    }
}

impl Output {
    /// What templates became, fit to be shown.
    pub(crate) fn shown(&self, fields: &Map<String, Value>) -> Map<String, Value> {
        let mut state = self.state();
        let shown = shown(fields, &state.masker);
        state.rendered = Some((fields.clone(), shown.clone()));
        shown
    }

    /// The same, if something in it is known to be secret by now that was not when it was shown: a task may first be given a text and learn
    /// then what it is.
    pub(crate) fn shown_anew(&self) -> Option<Map<String, Value>> {
        let state = self.state();
        let (fields, before) = state.rendered.as_ref()?;
        let now = shown(fields, &state.masker);
        (now != *before).then_some(now)
    }
}

/// What templates became, fit to be shown.
pub(crate) fn shown(fields: &Map<String, Value>, masker: &Masker) -> Map<String, Value> {
    let mut fields = masker.object(fields);
    fields.values_mut().for_each(shorten);
    fields
}

// Only when it is masked: the first half of a secret is a secret, too.
fn shorten(value: &mut Value) {
    match value {
        Value::String(text) => *text = shortened(text, LONGEST_FIELD),
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(map) => map.values_mut().for_each(shorten),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The first characters of a text.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{} ...", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use runtime::clock::Clock;
    use serde_json::json;

    use super::super::Sink;
    use super::*;

    #[test]
    fn what_is_secret_later_is_hidden_later() {
        let output = Output::new(Clock::system(), Sink::Echo(Arc::new(|_, _| ())));
        assert_eq!(output.shown_anew(), None);
        let fields = Map::from_iter([("a".to_owned(), json!("hunter2 and hunter3"))]);
        output.hide(["hunter2".to_owned()]);
        assert_eq!(output.shown(&fields)["a"], "*** and hunter3");
        assert_eq!(output.shown_anew(), None);
        output.hide(["hunter3".to_owned()]);
        assert_eq!(output.shown_anew().unwrap()["a"], "*** and ***");
    }

    #[test]
    fn what_is_cut_off_is_no_half_of_a_secret() {
        let mut masker = Masker::default();
        masker.add(["correct horse battery".to_owned()]);
        let text = format!("{}correct horse battery", "x".repeat(LONGEST_FIELD - 4));
        let fields = Map::from_iter([("a".to_owned(), json!([{"b": text}]))]);
        let shown = shown(&fields, &masker)["a"][0]["b"].as_str().unwrap().to_owned();
        assert!(shown.ends_with("xx***") && !shown.contains("corr"), "{}", &shown[LONGEST_FIELD - 20..]);
    }
}
