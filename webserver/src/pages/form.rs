//! From the params of a DAG or a question to the fields of a form, and from a sent form to their values.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDateTime, Utc};
use domain::{
    dag::Param,
    params::{self, ParamError, Params},
};
use serde_json::{Map, Value};

use crate::pages::parts::Field;

/// What the names of the params' fields begin with, so that no param can take the place of another field.
const PREFIX: &str = "p.";
/// Texts longer than this get a field of several lines.
const LONG_TEXT: usize = 90;
/// Longest list of choices; longer ones are written by hand.
const MOST_CHOICES: usize = 500;

/// Everything that the form was sent with.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent(pub(super) Vec<(String, String)>);

impl Sent {
    /// The first value of a field, trimmed; nothing when it is empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.trim());
        value.filter(|value| !value.is_empty())
    }

    /// All values of a field.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(field, _)| field == name).map(|(_, value)| value.clone()).collect()
    }

    fn params(&self, params: &Params) -> Vec<(String, String)> {
        let ours = self.0.iter().filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, value)));
        // Browsers send the lines of a text with both characters of a typewriter.
        let value = |name: &str, value: &str| normal(params.get(name), &value.replace("\r\n", "\n"));
        ours.map(|(name, text)| (name.to_owned(), value(name, text))).collect()
    }
}

/// What is wrong with a form, by field.
pub(super) type Wrong = HashMap<String, String>;

/// The conf that a form stands for: its fields, with the JSON of the field `conf` over them.
///
/// # Errors
/// What is wrong with which fields.
pub(super) fn conf(params: &Params, sent: &Sent) -> Result<Map<String, Value>, Wrong> {
    let extra = sent.text("conf").map_or(Ok(Map::new()), extra)?;
    let mut conf = params::from_form(params, &sent.params(params)).map_err(wrong)?;
    conf.extend(extra);
    params::resolve(params, &conf).map_err(wrong)?;
    Ok(conf)
}

/// The fields of the form: filled with the defaults, or with what was sent.
pub(super) fn fields(params: &Params, sent: Option<&Sent>, wrong: &Wrong) -> Vec<Field> {
    let field = |(name, param): (&String, &Param)| {
        let kind = kind(param);
        let value = match sent {
            Some(sent) => sent_value(sent, &format!("{PREFIX}{name}"), kind),
            None => default_value(param, kind),
        };
        Field {
            name: format!("{PREFIX}{name}"),
            label: text_of(param, "title").unwrap_or_else(|| name.clone()),
            kind,
            value,
            options: options(param),
            required: param.default.is_none() && !allows(param, "null") && kind != "checkbox",
            hint: hint(param, kind),
            fixed: false,
            choices: Vec::new(),
            error: wrong.get(name).map(|message| format!("This {message}.")),
        }
    };
    params.iter().map(field).collect()
}

fn extra(text: &str) -> Result<Map<String, Value>, Wrong> {
    let one = |message: String| HashMap::from([("conf".to_owned(), message)]);
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(one("This must be a JSON object, such as {\"day\": \"2026-01-31\"}.".to_owned())),
        Err(error) => Err(one(format!("This is not JSON: {error}."))),
    }
}

fn wrong(errors: Vec<ParamError>) -> Wrong {
    errors.into_iter().map(|error| (error.name, error.message)).collect()
}

fn kind(param: &Param) -> &'static str {
    if !options(param).is_empty() {
        return "select";
    }
    let default = param.default.as_ref();
    let one_of = |kinds: &[&str]| kinds.iter().any(|kind| allows(param, kind));
    if one_of(&["boolean"]) || (untyped(param) && matches!(default, Some(Value::Bool(_)))) {
        "checkbox"
    } else if one_of(&["array", "object"])
        || (untyped(param) && matches!(default, Some(Value::Array(_) | Value::Object(_))))
    {
        "json"
    } else if one_of(&["string"]) || untyped(param) {
        text_kind(param)
    } else {
        "number"
    }
}

fn text_kind(param: &Param) -> &'static str {
    let default = param.default.as_ref().and_then(Value::as_str).unwrap_or_default();
    match param.schema.get("format").and_then(Value::as_str) {
        Some("date") => "date",
        Some("date-time") if default.is_empty() || DateTime::parse_from_rfc3339(default).is_ok() => {
            "datetime-local"
        }
        Some("password") => "password",
        Some("multiline") => "textarea",
        _ if default.len() > LONG_TEXT || default.contains('\n') => "textarea",
        _ => "text",
    }
}

fn untyped(param: &Param) -> bool {
    param.schema.get("type").is_none()
}

fn allows(param: &Param, kind: &str) -> bool {
    match param.schema.get("type") {
        Some(Value::String(name)) => name == kind,
        Some(Value::Array(names)) => names.iter().any(|name| name == kind),
        _ => false,
    }
}

fn options(param: &Param) -> Vec<String> {
    let choices = param.schema.get("enum").and_then(Value::as_array);
    let choices = choices.filter(|choices| choices.len() <= MOST_CHOICES);
    choices.map(|choices| choices.iter().map(plain).collect()).unwrap_or_default()
}

fn hint(param: &Param, kind: &str) -> Option<String> {
    let described = param.description.clone().or_else(|| text_of(param, "description"));
    let zone = (kind == "datetime-local").then(|| "In UTC.".to_owned());
    let json = (kind == "json").then(|| "As JSON.".to_owned());
    let limits = limits(param);
    let parts: Vec<String> = [described, zone, json, limits].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

fn limits(param: &Param) -> Option<String> {
    let number =
        |name: &str| param.schema.get(name).filter(|value| value.is_number()).map(ToString::to_string);
    match (number("minimum"), number("maximum")) {
        (Some(least), Some(most)) => Some(format!("From {least} to {most}.")),
        (Some(least), None) => Some(format!("At least {least}.")),
        (None, Some(most)) => Some(format!("At most {most}.")),
        (None, None) => None,
    }
}

fn text_of(param: &Param, key: &str) -> Option<String> {
    param.schema.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn default_value(param: &Param, kind: &str) -> String {
    match (&param.default, kind) {
        (None | Some(Value::Null), _) => String::new(),
        (Some(value), "json") => serde_json::to_string_pretty(value).unwrap_or_default(),
        (Some(Value::String(text)), "datetime-local") => to_local(text),
        (Some(value), _) => plain(value),
    }
}

fn sent_value(sent: &Sent, name: &str, kind: &str) -> String {
    let value = sent.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
    // A browser leaves out a box that is not ticked.
    value.unwrap_or_else(|| if kind == "checkbox" { "false".to_owned() } else { String::new() })
}

/// A date and time as the browser's field for it wants it: without an offset. It is read as UTC.
fn to_local(text: &str) -> String {
    DateTime::parse_from_rfc3339(text)
        .map_or_else(|_| text.to_owned(), |at| at.with_timezone(&Utc).format("%Y-%m-%dT%H:%M:%S").to_string())
}

/// What the browser's field for a date and time gives has no offset; the schema wants one.
fn normal(param: Option<&Param>, text: &str) -> String {
    let is_moment = param.is_some_and(|param| kind(param) == "datetime-local");
    match read_local(text) {
        Some(at) if is_moment => at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Some(_) | None => text.to_owned(),
    }
}

/// Reads a date and time with or without seconds, with or without an offset; without one it is UTC.
pub(super) fn read_local(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let zoned = DateTime::parse_from_rfc3339(text).map(|at| at.to_utc()).ok();
    let plain = || {
        let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"];
        let read = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
        read.map(|at| at.and_utc())
    };
    zoned.or_else(plain)
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::{dag::Dag, dagfile};

    use super::*;

    const FILE: &str = r#"
dag_id: flights
params:
  day: {type: string, format: date, default: "2013-01-01", description: The day}
  since: {type: string, format: date-time, default: "2013-01-01T02:00:00+02:00"}
  month: {type: integer, minimum: 1, maximum: 12}
  full: false
  airlines: {type: array, items: {type: string}, default: [AA, UA]}
  speed: {enum: [slow, fast], default: slow}
tasks:
  a: {empty: {}}
"#;

    fn dag() -> Dag {
        let parsed = dagfile::parse(FILE.as_bytes(), "flights.yaml", &|_| Err(String::new()));
        assert_eq!(parsed.errors, []);
        parsed.dags.into_iter().next().unwrap().dag
    }

    fn sent(pairs: &[(&str, &str)]) -> Sent {
        Sent(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn every_kind_of_param_has_its_field() {
        let fields = fields(&dag().params, None, &Wrong::new());
        let kinds: Vec<_> =
            fields.iter().map(|field| (field.name.as_str(), field.kind, field.value.as_str())).collect();
        assert_eq!(
            kinds,
            [
                ("p.day", "date", "2013-01-01"),
                ("p.since", "datetime-local", "2013-01-01T00:00:00"),
                ("p.month", "number", ""),
                ("p.full", "checkbox", "false"),
                ("p.airlines", "json", "[\n  \"AA\",\n  \"UA\"\n]"),
                ("p.speed", "select", "slow"),
            ]
        );
        assert!(fields[2].required);
        assert_eq!(fields[2].hint.as_deref(), Some("From 1 to 12."));
        assert_eq!(fields[5].options, ["slow", "fast"]);
    }

    #[test]
    fn a_sent_form_becomes_typed_values() {
        let sent = sent(&[
            ("p.day", "2013-02-03"),
            ("p.since", "2013-01-01T00:00"),
            ("p.month", "2"),
            ("p.full", "true"),
            ("p.airlines", "[\"DL\"]"),
            ("p.speed", "fast"),
            ("conf", "{\"more\": 1}"),
        ]);
        let conf = conf(&dag().params, &sent).unwrap();
        let expected = serde_json::json!({
            "day": "2013-02-03", "since": "2013-01-01T00:00:00Z", "month": 2, "full": true, "airlines": ["DL"], "speed": "fast",
            "more": 1,
        });
        assert_eq!(Value::Object(conf), expected);
    }

    #[test]
    fn what_is_wrong_stands_at_its_field() {
        let wrong = conf(&dag().params, &sent(&[("p.day", "soon"), ("p.month", "13")])).unwrap_err();
        assert_eq!(wrong["month"], "must be at most 12, not 13");
        assert!(wrong["day"].contains("a date such as"), "{}", wrong["day"]);
        let again = fields(&dag().params, Some(&sent(&[("p.month", "13")])), &wrong);
        assert_eq!(again[2].value, "13");
        assert_eq!(again[2].error.as_deref(), Some("This must be at most 12, not 13."));
    }

    #[test]
    fn the_json_field_must_hold_an_object() {
        assert!(conf(&dag().params, &sent(&[("conf", "[1]")])).unwrap_err()["conf"].contains("JSON object"));
        assert!(conf(&dag().params, &sent(&[("conf", "{")])).unwrap_err()["conf"].contains("not JSON"));
    }
}
