//! The parameters of a run: defaults, what the person or program that starts it gives, and the schemas they must satisfy.

use std::fmt;

use indexmap::IndexMap;
use jsonschema::{
    Draft, ValidationError, Validator,
    error::{TypeKind, ValidationErrorKind},
};
use serde_json::{Map, Number, Value};

use crate::dag::Param;

/// What a run or an answer is given, by name.
pub type Params = IndexMap<String, Param>;

/// Why a param's value is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamError {
    /// The param.
    pub name: String,
    /// What is wrong and what is wanted, the value included.
    pub message: String,
}

impl fmt::Display for ParamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "param `{}` {}", self.name, self.message)
    }
}

impl std::error::Error for ParamError {}

/// The values of a run's params: `conf` over the defaults, each checked against its schema.
///
/// Keys of `conf` that are no params are left out: they stay in `dag_run.conf` only.
///
/// # Errors
/// Every param that has no value or one that does not fit, in the order of the DAG.
pub fn resolve(
    params: &IndexMap<String, Param>,
    conf: &Map<String, Value>,
) -> Result<Map<String, Value>, Vec<ParamError>> {
    let mut values = Map::new();
    let mut errors = Vec::new();
    for (name, param) in params {
        match one(param, conf.get(name)) {
            Ok(value) => drop(values.insert(name.clone(), value)),
            Err(message) => errors.push(ParamError { name: name.clone(), message }),
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

fn one(param: &Param, given: Option<&Value>) -> Result<Value, String> {
    let Some(value) = given.or(param.default.as_ref()) else {
        return Err("is required: it has no default".to_owned());
    };
    let check =
        Check::new(&param.schema).map_err(|error| format!("has a broken schema: {}", error.message))?;
    check.value(value).map_err(|(_, why)| why)?;
    Ok(value.clone())
}

/// Turns the texts of an HTML form into the values they stand for, by each param's schema. They are not validated yet: that is
/// what [`resolve`] is for.
///
/// A truth value without a field is false, because browsers leave out a box that is not ticked. A field that is empty gives
/// null where the schema allows it, an empty text where it allows a text, and is otherwise as good as left out. Lists are
/// written as JSON, as one element a line, or by repeating the field. Fields that are no params are left out.
///
/// # Errors
/// Every field whose text does not stand for a value of the wanted type.
pub fn from_form(
    params: &IndexMap<String, Param>,
    fields: &[(String, String)],
) -> Result<Map<String, Value>, Vec<ParamError>> {
    let mut values = Map::new();
    let mut errors = Vec::new();
    for (name, param) in params {
        let texts: Vec<&str> =
            fields.iter().filter(|(field, _)| field == name).map(|(_, text)| text.as_str()).collect();
        match typed(param, &texts) {
            Ok(value) => values.extend(value.map(|value| (name.clone(), value))),
            Err(message) => errors.push(ParamError { name: name.clone(), message }),
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

fn typed(param: &Param, texts: &[&str]) -> Result<Option<Value>, String> {
    let types = types(param);
    let may_be = |kind: &str| types.contains(&kind);
    match texts {
        [] if may_be("boolean") => Ok(Some(Value::Bool(false))),
        [] => Ok(None),
        [text] if text.trim().is_empty() && may_be("null") => Ok(Some(Value::Null)),
        [text] if text.trim().is_empty() && may_be("string") => Ok(Some(Value::String((*text).to_owned()))),
        [text] if text.trim().is_empty() => Ok(None),
        [text] => convert(param, &types, text).map(Some),
        [.., last] if may_be("boolean") => convert(param, &types, last).map(Some),
        several if may_be("array") => several
            .iter()
            .map(|text| element(param, text))
            .collect::<Result<_, _>>()
            .map(|list| Some(Value::Array(list))),
        [..] => Err("was given more than once".to_owned()),
    }
}

const ALL_TYPES: [&str; 7] = ["boolean", "integer", "number", "null", "array", "object", "string"];

/// The types the schema allows; one that says nothing is read like its default.
fn types(param: &Param) -> Vec<&str> {
    let named: Vec<&str> = match param.schema.get("type") {
        Some(Value::String(name)) => vec![name.as_str()],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !named.is_empty() {
        return named;
    }
    match &param.default {
        Some(Value::Bool(_)) => vec!["boolean"],
        Some(Value::Number(_)) => vec!["integer", "number", "string"],
        Some(Value::Array(_)) => vec!["array"],
        Some(Value::Object(_)) => vec!["object"],
        Some(Value::String(_)) => vec!["string"],
        Some(Value::Null) | None => ALL_TYPES.iter().copied().filter(|kind| *kind != "boolean").collect(),
    }
}

/// The first type, from the strictest, that the text can be.
fn convert(param: &Param, types: &[&str], text: &str) -> Result<Value, String> {
    if let Some(choice) = param
        .schema
        .get("enum")
        .and_then(Value::as_array)
        .and_then(|all| all.iter().find(|one| plain(one) == text))
    {
        return Ok(choice.clone());
    }
    let of = |kind: &&str| types.contains(kind);
    let found = ALL_TYPES.iter().filter(|kind| of(kind)).find_map(|kind| read(param, kind, text));
    found.ok_or_else(|| {
        let wanted: Vec<&str> = types.iter().map(|kind| article(kind)).collect();
        format!("must be {}, not `{}`", wanted.join(" or "), shortened(text))
    })
}

fn read(param: &Param, kind: &str, text: &str) -> Option<Value> {
    let trimmed = text.trim();
    match kind {
        "boolean" => match trimmed.to_ascii_lowercase().as_str() {
            "true" | "on" | "yes" | "1" => Some(Value::Bool(true)),
            "false" | "off" | "no" | "0" => Some(Value::Bool(false)),
            _ => None,
        },
        "integer" => trimmed.parse::<i64>().ok().map(Value::from),
        "number" => trimmed.parse::<f64>().ok().and_then(Number::from_f64).map(Value::Number),
        "null" => (trimmed == "null").then_some(Value::Null),
        "array" => list(param, trimmed),
        "object" => serde_json::from_str::<Map<String, Value>>(trimmed).ok().map(Value::Object),
        _ => Some(Value::String(text.to_owned())),
    }
}

fn list(param: &Param, text: &str) -> Option<Value> {
    if text.starts_with('[') {
        return serde_json::from_str::<Vec<Value>>(text).ok().map(Value::Array);
    }
    let explicit = param.schema.get("type").is_some();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    explicit
        .then(|| lines.map(|line| element(param, line)).collect::<Result<_, _>>().ok())
        .flatten()
        .map(Value::Array)
}

/// One element of a list, by the schema of its items.
fn element(param: &Param, text: &str) -> Result<Value, String> {
    let schema = param.schema.get("items").cloned().unwrap_or_else(|| serde_json::json!({"type": "string"}));
    let items = Param { default: None, description: None, schema };
    let types = types(&items);
    convert(&items, &types, text)
}

/// A schema that has been found to be one, ready to check values.
pub(crate) struct Check(Validator);

/// Why a value is not a JSON Schema.
pub(crate) struct SchemaError {
    /// Where in it, as a JSON pointer.
    pub(crate) pointer: String,
    pub(crate) message: String,
}

impl Check {
    /// Compiles a schema of draft 2020-12; formats are asserted, and nothing is fetched from anywhere.
    pub(crate) fn new(schema: &Value) -> Result<Self, SchemaError> {
        let mut options =
            jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true).offline();
        options = options.should_ignore_unknown_formats(true);
        let error = |error: ValidationError<'_>| SchemaError {
            pointer: error.instance_path().as_str().to_owned(),
            message: error.to_string(),
        };
        options.build(schema).map(Self).map_err(error)
    }

    /// Checks a value.
    ///
    /// # Errors
    /// The JSON pointer to the part that does not fit, and in words what is wanted instead.
    pub(crate) fn value(&self, value: &Value) -> Result<(), (String, String)> {
        self.0.validate(value).map_err(|error| {
            let pointer = error.instance_path().as_str().to_owned();
            let place = pointer.trim_start_matches('/').replace('/', ".");
            let prefix =
                if place.is_empty() { String::new() } else { format!("has in `{place}` a value that ") };
            (pointer, format!("{prefix}{}", words(&error)))
        })
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the rarer keywords are explained by the validator itself"
)]
fn words(error: &ValidationError<'_>) -> String {
    let value = shown(error.instance());
    match error.kind() {
        ValidationErrorKind::Type { kind } => format!("must be {}, not {value}", kinds(kind)),
        ValidationErrorKind::Enum { options } => format!("must be one of {}, not {value}", choices(options)),
        ValidationErrorKind::Constant { expected_value } => {
            format!("must be {}, not {value}", shown(expected_value))
        }
        ValidationErrorKind::Format { format } => format!("must be {}, not {value}", format_words(format)),
        ValidationErrorKind::Pattern { pattern } => {
            format!("must match `{}`, not {value}", shortened(pattern))
        }
        ValidationErrorKind::Minimum { limit } => format!("must be at least {limit}, not {value}"),
        ValidationErrorKind::Maximum { limit } => format!("must be at most {limit}, not {value}"),
        ValidationErrorKind::ExclusiveMinimum { limit } => format!("must be more than {limit}, not {value}"),
        ValidationErrorKind::ExclusiveMaximum { limit } => format!("must be less than {limit}, not {value}"),
        ValidationErrorKind::MultipleOf { multiple_of } => {
            format!("must be a multiple of {multiple_of}, not {value}")
        }
        ValidationErrorKind::MinLength { limit } => {
            format!("must have at least {limit} characters, not {value}")
        }
        ValidationErrorKind::MaxLength { limit } => {
            format!("must have at most {limit} characters, not {value}")
        }
        ValidationErrorKind::MinItems { limit } => format!("must have at least {limit} elements"),
        ValidationErrorKind::MaxItems { limit } => format!("must have at most {limit} elements"),
        ValidationErrorKind::UniqueItems => "must not have the same element twice".to_owned(),
        ValidationErrorKind::Required { property } => format!("must have `{}`", plain(property)),
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            format!("must not have `{}`", shortened(&unexpected.join("`, `")))
        }
        _ => format!("does not fit its schema: {}", shortened(&error.to_string())),
    }
}

fn kinds(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(kind) => article(kind.as_str()).to_owned(),
        TypeKind::Multiple(kinds) => {
            let names: Vec<&str> = kinds.into_iter().map(|kind| article(kind.as_str())).collect();
            names.join(" or ")
        }
    }
}

fn article(kind: &str) -> &str {
    match kind {
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "null" => "null",
        "array" => "a list",
        "object" => "a mapping",
        "string" => "a text",
        other => other,
    }
}

fn choices(options: &Value) -> String {
    let all = options.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut shown: Vec<String> = all.iter().take(20).map(shown).collect();
    if all.len() > shown.len() {
        shown.push("...".to_owned());
    }
    shown.join(", ")
}

fn format_words(format: &str) -> String {
    match format {
        "date" => "a date such as 2026-01-31".to_owned(),
        "date-time" => "a date and time with an offset, such as 2026-01-31T06:00:00Z".to_owned(),
        "time" => "a time with an offset, such as 06:00:00Z".to_owned(),
        "duration" => "a duration such as P1DT2H".to_owned(),
        "email" => "an e-mail address".to_owned(),
        "uri" => "a URI such as https://example.org/".to_owned(),
        "uuid" => "a UUID".to_owned(),
        "ipv4" => "an IPv4 address".to_owned(),
        "regex" => "a regular expression".to_owned(),
        other => format!("a {other}"),
    }
}

/// A value as people would write it: a text in quotes, short.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{}`", shortened(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            shortened(&value.to_string())
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

fn shortened(text: &str) -> String {
    crate::dagfile::shown(text)
}
