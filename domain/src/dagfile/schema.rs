//! The published JSON Schema of a DAG file, for editors: completion, hover and red lines while typing.
//!
//! Generated from the table of keys. It is of draft 7, which the YAML plug-ins of editors understand best. It is a little wider than
//! the reader, which also knows about names, cycles, zones and files.

use serde_json::{Map, Value, json};

use super::{
    keys::{Key, METHODS, OPERATORS, Place, Shape},
    param::KEYWORDS,
    values::WEIGHT_RULES,
};
use crate::{
    alert::MAX_NOTIFICATIONS,
    asset::{MAX_LISTED, MAX_NAME},
    deadline::MAX_DEADLINES,
    state::TaskState,
    timetable::{OnBlackout, OnHoliday, Overlap},
    trigger_rule::TriggerRule,
};

/// The JSON Schema of one DAG document.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = object(Place::Dag, &["tasks"]);
    let definitions = json!({
        "tasks": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": name(),
            "additionalProperties": {
                "if": {"required": ["tasks"]},
                "then": {"$ref": "#/definitions/group"},
                "else": {"$ref": "#/definitions/task"}
            }
        },
        "task": task(),
        "group": object(Place::Group, &["tasks"]),
        "default_args": object(Place::Defaults, &[]),
        "param": param(),
        "source": source(),
        "asset": asset(),
        "asset_condition": condition(),
        "schedule": one_schedule(),
        "notifications": notifications(),
    });
    if let Value::Object(fields) = &mut schema {
        fields.insert("$schema".into(), json!("http://json-schema.org/draft-07/schema#"));
        fields.insert("title".into(), json!("Tradewind DAG"));
        fields.insert(
            "description".into(),
            json!("A workflow: tasks, what they wait for, and when runs are due."),
        );
        fields.insert(
            "patternProperties".into(),
            json!({"^x-": {"description": "Yours: a place for anchors (&name) to repeat elsewhere."}}),
        );
        fields.insert("definitions".into(), definitions);
    }
    schema
}

/// A mapping with the keys of a place and no others.
fn object(place: Place, required: &[&str]) -> Value {
    let properties: Map<String, Value> =
        place.keys().map(|key| (key.name.to_owned(), property(key))).collect();
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if let (Value::Object(fields), false) = (&mut schema, required.is_empty()) {
        fields.insert("required".into(), json!(required));
    }
    schema
}

fn task() -> Value {
    let mut schema = object(Place::Task, &[]);
    if let Value::Object(fields) = &mut schema {
        let one: Vec<Value> = OPERATORS.iter().map(|key| json!({"required": [key.name]})).collect();
        fields.insert("oneOf".into(), Value::Array(one));
    }
    schema
}

fn property(key: &Key) -> Value {
    let mut schema = shape(key.shape);
    if key.nullable {
        schema = or_null(schema);
    }
    if let Value::Object(fields) = &mut schema {
        fields.insert("description".into(), json!(key.doc));
    }
    schema
}

fn or_null(schema: Value) -> Value {
    match schema.get("type") {
        Some(Value::String(kind)) if schema.get("enum").is_none() => {
            let kind = json!([kind, "null"]);
            let mut schema = schema;
            if let Value::Object(fields) = &mut schema {
                fields.insert("type".into(), kind);
            }
            schema
        }
        _ => json!({"anyOf": [schema, {"type": "null"}]}),
    }
}

fn shape(shape: Shape) -> Value {
    match shape {
        Shape::Text => json!({"type": "string", "minLength": 1}),
        Shape::Texts => json!({"type": "array", "items": scalar()}),
        Shape::Name => name(),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Whole(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Shape::Backoff => backoff(),
        Shape::Duration => duration(),
        Shape::Date => date(),
        Shape::Zone => json!({"type": "string", "examples": ["UTC", "Europe/Berlin", "America/New_York"]}),
        Shape::Schedule => schedule(),
        Shape::Assets => assets(),
        Shape::AssetRefs => asset_refs(),
        Shape::Condition => json!({"allOf": [{"$ref": "#/definitions/asset_condition"}]}),
        Shape::Conditions => conditions(),
        Shape::Times => times(),
        Shape::Schedules => schedules(),
        Shape::Dates => json!({"type": "array", "minItems": 1, "items": date()}),
        Shape::Interval => json!({"anyOf": [{"type": "boolean"}, duration()]}),
        Shape::Weekdays => weekdays(),
        Shape::Days => days(),
        Shape::OnHoliday => json!({"enum": OnHoliday::ALL.map(OnHoliday::as_str)}),
        Shape::Blackout => blackout(),
        Shape::TimeOrDate => json!({"type": "string", "examples": ["22:00", "2026-12-24"]}),
        Shape::OnBlackout => json!({"enum": OnBlackout::ALL.map(OnBlackout::as_str)}),
        Shape::Overlap => json!({"enum": Overlap::ALL.map(Overlap::as_str)}),
        Shape::Catchup => catchup(),
        Shape::Params => json!({"type": "object", "additionalProperties": {"$ref": "#/definitions/param"}}),
        Shape::Defaults => json!({"allOf": [{"$ref": "#/definitions/default_args"}]}),
        Shape::Tasks => json!({"allOf": [{"$ref": "#/definitions/tasks"}]}),
        Shape::Names => json!({"anyOf": [scalar(), {"type": "array", "items": scalar()}]}),
        Shape::Expand => expand(),
        Shape::ExpandKwargs => expand_kwargs(),
        Shape::Sources => json!({"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/source"}}),
        Shape::Environment | Shape::Headers => json!({"type": "object", "additionalProperties": scalar()}),
        Shape::TriggerRule => trigger_rule(),
        Shape::WeightRule => json!({"enum": WEIGHT_RULES.map(|(name, _)| name)}),
        Shape::Python => python(),
        Shape::Teardown => json!({"anyOf": [{"type": "boolean"}, object(Place::Teardown, &[])]}),
        Shape::Branch => program(Place::Branch),
        Shape::ShortCircuit => program(Place::ShortCircuit),
        Shape::Sql => sql(),
        Shape::Http => http(),
        Shape::WaitFor => wait_for(),
        Shape::Clock => clock(),
        Shape::TriggerDag => trigger_dag(),
        Shape::Approval => approval(),
        Shape::Branches => json!({"type": "object", "minProperties": 1, "additionalProperties": scalar()}),
        Shape::Mapping(place, required) => object(place, required),
        Shape::OneOf(words) => json!({"enum": words}),
        Shape::Deadlines => deadlines(),
        Shape::Expression => expression(),
        Shape::States => states(),
        Shape::Object => json!({"type": "object"}),
        Shape::Method => method(),
        Shape::Notifications => json!({"allOf": [{"$ref": "#/definitions/notifications"}]}),
        Shape::Channel(place) => channel(place),
        Shape::Any => json!({}),
        Shape::Nothing => json!({"type": "object", "maxProperties": 0}),
    }
}

/// A text, or what is taken for one.
fn scalar() -> Value {
    json!({"type": ["string", "number", "boolean"]})
}

/// Ids may have letters of every script, as Airflow's may.
fn name() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": crate::id::MAX_LEN, "pattern": "^[\\p{L}\\p{M}\\p{N}_.-]+$"})
}

fn duration() -> Value {
    json!({"type": "string", "pattern": "^\\s*(\\d+(ms|s|m|h|d|w)\\s*)+$", "examples": ["30s", "10m", "2h", "1d"]})
}

fn date() -> Value {
    json!({"type": "string", "pattern": "^\\s*\\d{4}-\\d{2}-\\d{2}", "examples": ["2026-01-31", "2026-01-31T06:00"]})
}

fn schedule() -> Value {
    let mut schema = one_schedule();
    if let Some(Value::Array(forms)) = schema.get_mut("anyOf") {
        forms.push(json!({"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/schedule"}}));
    }
    schema
}

fn schedules() -> Value {
    json!({"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/schedule"}})
}

/// The times beside assets.
fn times() -> Value {
    json!({"anyOf": [{"$ref": "#/definitions/schedule"}, schedules()]})
}

fn catchup() -> Value {
    json!({"anyOf": [{"type": "boolean"}, {"const": "last"}, object(Place::Catchup, &["window"])]})
}

/// A schedule that may be an element of a list of them.
fn one_schedule() -> Value {
    let mut mapping = object(Place::Schedule, &[]);
    if let Value::Object(fields) = &mut mapping {
        let kinds = ["cron", "every", "at", "any", "assets"].map(|kind| json!({"required": [kind]}));
        fields.insert("oneOf".into(), json!(kinds));
    }
    json!({"anyOf": [
        {"type": "string", "examples": ["30 2 * * *", "@daily", "@hourly", "@once", "@continuous"]},
        mapping,
    ]})
}

fn asset_name() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": MAX_NAME})
}

/// Assets by name: a URI, or more.
fn assets() -> Value {
    let one = json!({"anyOf": [asset_name(), {"type": "null"}, object(Place::AssetBody, &[])]});
    json!({"type": "object", "propertyNames": asset_name(), "additionalProperties": one})
}

/// An asset by name, with a description, or an alias.
fn asset() -> Value {
    let mut mapping = object(Place::Asset, &[]);
    if let Value::Object(fields) = &mut mapping {
        let kinds = ["name", "uri", "alias"].map(|kind| json!({"required": [kind]}));
        fields.insert("anyOf".into(), json!(kinds));
    }
    json!({"anyOf": [asset_name(), mapping]})
}

fn asset_refs() -> Value {
    let one = json!({"$ref": "#/definitions/asset"});
    json!({"anyOf": [one, {"type": "array", "maxItems": MAX_LISTED, "items": one}]})
}

fn conditions() -> Value {
    let one = json!({"$ref": "#/definitions/asset_condition"});
    json!({"type": "array", "minItems": 1, "maxItems": MAX_LISTED, "items": one})
}

/// An asset, an alias, or several put together.
fn condition() -> Value {
    let mut mapping = object(Place::Condition, &[]);
    if let Value::Object(fields) = &mut mapping {
        let kinds = ["any", "all", "name", "uri", "alias"].map(|kind| json!({"required": [kind]}));
        fields.insert("anyOf".into(), json!(kinds));
    }
    json!({"anyOf": [asset_name(), mapping, conditions()]})
}

fn clock() -> Value {
    json!({"type": "string", "examples": ["06:30", "2026-01-31T06:30", "2026-01-31T06:30+02:00"]})
}

fn trigger_rule() -> Value {
    json!({"enum": TriggerRule::ALL.iter().map(|rule| rule.as_str()).collect::<Vec<_>>()})
}

fn trigger_dag() -> Value {
    json!({"anyOf": [{"type": "string", "minLength": 1}, object(Place::TriggerDag, &["dag_id"])]})
}

/// A question, or all that belongs to it.
fn approval() -> Value {
    json!({"anyOf": [{"type": "string", "minLength": 1}, object(Place::Approval, &["subject"])]})
}

fn deadlines() -> Value {
    let mut one = object(Place::Deadline, &[]);
    one["oneOf"] = json!([{"required": ["within"]}, {"required": ["at"]}]);
    json!({"anyOf": [one, {"type": "array", "maxItems": MAX_DEADLINES, "items": one}]})
}

fn expression() -> Value {
    json!({"type": "string", "pattern": "^\\s*\\{\\{[\\s\\S]*\\S[\\s\\S]*\\}\\}\\s*$", "examples": ["{{ result == 'done' }}"]})
}

fn http() -> Value {
    json!({"anyOf": [{"type": "string", "pattern": "^\\s*(https?://|\\{)"}, object(Place::Http, &["url"])]})
}

fn backoff() -> Value {
    json!({"anyOf": [{"type": "boolean"}, {"const": 0}, {"type": "number", "minimum": 1, "maximum": 100}]})
}

fn days() -> Value {
    json!({"type": "array", "items": {"type": "string", "pattern": "^\\s*\\d{4}-\\d{2}-\\d{2}\\s*$"}})
}

/// A mapping with one thing to wait for.
fn wait_for() -> Value {
    let mut schema = object(Place::WaitFor, &[]);
    if let Value::Object(fields) = &mut schema {
        let kinds = ["time", "for", "dag", "file", "http", "sql"].map(|kind| json!({"required": [kind]}));
        fields.insert("oneOf".into(), json!(kinds));
    }
    schema
}

fn states() -> Value {
    let ends = TaskState::ALL.iter().filter(|state| state.is_finished());
    let one = json!({"enum": ends.map(|state| state.as_str()).collect::<Vec<_>>()});
    json!({"anyOf": [one, {"type": "array", "items": one}]})
}

fn blackout() -> Value {
    let mut window = object(Place::Blackout, &[]);
    if let Value::Object(fields) = &mut window {
        fields.insert("oneOf".into(), json!([{"required": ["from", "to"]}, {"required": ["cron"]}]));
    }
    json!({"anyOf": [window, {"type": "array", "minItems": 1, "items": window}]})
}

fn sql() -> Value {
    let mut schema = object(Place::Sql, &["conn_id"]);
    if let Value::Object(fields) = &mut schema {
        fields.insert("oneOf".into(), json!([{"required": ["sql"]}, {"required": ["file"]}]));
    }
    schema
}

/// A mapping with one of two programs.
fn program(place: Place) -> Value {
    let mut schema = object(place, &[]);
    if let Value::Object(fields) = &mut schema {
        fields.insert("oneOf".into(), json!([{"required": ["bash"]}, {"required": ["python"]}]));
    }
    schema
}

fn weekdays() -> Value {
    json!({"type": "array", "maxItems": 6, "items": {"type": "string", "examples": ["sat", "sun"]}})
}

fn python() -> Value {
    json!({"anyOf": [{"type": "string", "minLength": 1}, object(Place::Python, &["file"])]})
}

fn notifications() -> Value {
    let mut one = object(Place::Notification, &[]);
    if let Value::Object(fields) = &mut one {
        fields.insert("minProperties".into(), json!(1));
        fields.insert("maxProperties".into(), json!(1));
    }
    json!({"type": "array", "maxItems": MAX_NOTIFICATIONS, "items": one})
}

/// An e-mail needs its server and recipients; anything else says by URL, connection or both where it goes.
fn channel(place: Place) -> Value {
    if place == Place::Email {
        return object(place, &["conn_id", "to"]);
    }
    let mut schema = object(place, &[]);
    if let Value::Object(fields) = &mut schema {
        fields.insert("anyOf".into(), json!([{"required": ["url"]}, {"required": ["conn_id"]}]));
    }
    schema
}

fn method() -> Value {
    let any_case: Vec<String> =
        METHODS.iter().flat_map(|method| [(*method).to_owned(), method.to_ascii_lowercase()]).collect();
    json!({"enum": any_case})
}

fn pull() -> Value {
    json!({"type": "string", "pattern": "xcom_pull", "examples": ["{{ ti.xcom_pull('extract') }}"]})
}

/// Where the values of a mapped name come from.
fn source() -> Value {
    let combined = |key: &str| object(Place::Source, &[key]);
    json!({"anyOf": [{"type": "array"}, pull(), combined("zip"), combined("concat")]})
}

fn expand() -> Value {
    json!({"type": "object", "minProperties": 1, "additionalProperties": {"$ref": "#/definitions/source"}})
}

fn expand_kwargs() -> Value {
    json!({"anyOf": [{"type": "array", "items": {"type": "object"}}, pull(), object(Place::Source, &["concat"])]})
}

/// A default, or a JSON Schema with one.
fn param() -> Value {
    let keywords: Map<String, Value> =
        KEYWORDS.iter().map(|keyword| ((*keyword).to_owned(), json!({}))).collect();
    json!({"anyOf": [
        {"type": ["string", "number", "boolean", "null", "array"]},
        {"type": "object", "properties": keywords, "patternProperties": {"^x-": {}}, "additionalProperties": false},
    ]})
}
