//! What alerts say: the facts, and templates over them.

use std::{
    io::{self, Write},
    sync::LazyLock,
};

use domain::alert::Facts;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, value::Serde};
use serde_json::{Map, Value, json};
use store::connection::percent_encoded;

use super::fault::Fault;

/// Steps that rendering one text may take.
const FUEL: u64 = 100_000;
/// Longest text that may come out, in bytes.
const LONGEST: usize = 64 << 10;
/// Deepest nesting of JSON that is rendered.
const DEEPEST: usize = 32;

static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_auto_escape_callback(|_| AutoEscape::None);
    engine.set_fuel(Some(FUEL));
    engine
});

/// What can be said about an event.
#[derive(Debug)]
pub(super) struct Words {
    payload: Map<String, Value>,
    headline: String,
}

impl Words {
    /// `base` is what links begin with.
    pub(super) fn new(facts: &Facts, base: &str) -> Self {
        let mut payload = match json!(facts) {
            Value::Object(fields) => fields,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Map::new()
            }
        };
        payload.insert("url".to_owned(), format!("{base}{}", page(facts)).into());
        Self { payload, headline: facts.headline() }
    }

    /// The documented payload of a webhook.
    pub(super) fn payload(&self) -> Value {
        Value::Object(self.payload.clone())
    }

    /// One line.
    pub(super) fn headline(&self) -> &str {
        &self.headline
    }

    /// The headline, and the reason when there is one.
    pub(super) fn short(&self) -> String {
        match self.payload.get("reason").and_then(Value::as_str) {
            Some(reason) => format!("{}\n{reason}", self.headline),
            None => self.headline.clone(),
        }
    }

    /// Everything, one fact a line.
    pub(super) fn long(&self) -> String {
        let mut text = format!("{}\n", self.headline);
        for (name, value) in self.payload.iter().filter(|(_, value)| !value.is_null()) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text.push_str(&format!("\n{name}: {value}"));
        }
        text
    }

    /// Renders a template; its names are the fields of the payload and `headline`.
    pub(super) fn render(&self, field: &str, text: &str) -> Result<String, Fault> {
        let mut scope = self.payload.clone();
        scope.insert("headline".to_owned(), self.headline.clone().into());
        let rendered = || {
            let template = ENGINE.template_from_named_str("", text)?;
            let mut limited = Limited(Vec::new());
            template.render_captured_to(minijinja::Value::from(Serde(&scope)), &mut limited)?;
            Ok::<_, minijinja::Error>(String::from_utf8_lossy(&limited.0).into_owned())
        };
        rendered().map_err(|error| Fault::lasting(format!("the template of `{field}`: {error}")))
    }

    /// Renders every text in a JSON value.
    pub(super) fn render_json(&self, field: &str, value: &Value) -> Result<Value, Fault> {
        self.render_at(field, value, 0)
    }

    fn render_at(&self, field: &str, value: &Value, depth: usize) -> Result<Value, Fault> {
        if depth > DEEPEST {
            return Err(Fault::lasting(format!("`{field}` is nested deeper than {DEEPEST} levels")));
        }
        Ok(match value {
            Value::String(text) => Value::String(self.render(field, text)?),
            Value::Array(items) => {
                let items = items.iter().map(|item| self.render_at(field, item, depth + 1));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Value::Object(map) => {
                let fields = map.iter().map(|(key, item)| {
                    self.render_at(field, item, depth + 1).map(|item| (key.clone(), item))
                });
                Value::Object(fields.collect::<Result<_, _>>()?)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        })
    }
}

/// The page of the run, or of the try with its log.
fn page(facts: &Facts) -> String {
    let run = format!(
        "/dags/{}/runs/{}",
        percent_encoded(facts.dag_id.as_str()),
        percent_encoded(facts.run_id.as_str())
    );
    let Some(task_id) = &facts.task_id else { return run };
    let page = format!("{run}/tasks/{}", percent_encoded(task_id.as_str()));
    let index = facts.map_index.filter(|index| *index >= 0);
    let index = index.map(|index| format!("map_index={index}"));
    let number = facts.try_number.map(|number| format!("try={number}"));
    let query: Vec<String> = index.into_iter().chain(number).collect();
    if query.is_empty() { page } else { format!("{page}?{}", query.join("&")) }
}

/// A text that refuses to grow without end.
struct Limited(Vec<u8>);

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST {
            return Err(io::Error::other(format!("the result is longer than {LONGEST} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        let facts = json!({
            "event": "failure", "at": "2026-01-01T00:00:00Z", "dag_id": "flights", "owner": "ada",
            "run_id": "scheduled__2026-01-01T00:00:00+00:00", "run_type": "scheduled", "logical_date": null,
            "task_id": "load", "map_index": 3, "try_number": 2, "max_tries": 1, "state": "failed",
            "reason": "exit code 1", "started_at": null, "ended_at": null, "next_try_at": null
        });
        Words::new(&serde_json::from_value(facts).unwrap(), "https://tw.example.org")
    }

    #[test]
    fn the_payload_links_to_the_log_of_the_try() {
        let page = "https://tw.example.org/dags/flights/runs/scheduled__2026-01-01T00%3A00%3A00%2B00%3A00/tasks/load?map_index=3&try=2";
        assert_eq!(words().payload()["url"], page);
    }

    #[test]
    fn templates_know_the_facts() {
        let body = json!({"text": "{{ task_id }}[{{ map_index }}]: {{ reason }}", "n": 1, "list": ["{{ headline }}"]});
        let said = json!({
            "text": "load[3]: exit code 1", "n": 1,
            "list": ["flights: task load[3] failed (scheduled__2026-01-01T00:00:00+00:00)"]
        });
        assert_eq!(words().render_json("body", &body).unwrap(), said);
    }

    #[test]
    fn templates_that_cannot_be_rendered_fail_for_good() {
        for text in [
            "{{ nobody }}",
            "{% for %}",
            "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}",
        ] {
            let fault = words().render("text", text).unwrap_err();
            assert!(fault.is_lasting() && fault.into_words().contains("`text`"), "{text}");
        }
    }
}
