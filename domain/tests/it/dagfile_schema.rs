//! The published JSON Schema agrees with the reader.

use domain::dagfile::json_schema;
use serde_json::{Value, json};

use crate::dagfile::load;

fn validator() -> jsonschema::Validator {
    jsonschema::draft7::options().build(&json_schema()).unwrap_or_else(|error| panic!("{error}"))
}

/// The keys that the schema publishes at one place.
fn keys(pointer: &str) -> Vec<String> {
    let schema = json_schema();
    let properties =
        schema.pointer(pointer).and_then(Value::as_object).unwrap_or_else(|| panic!("nothing at {pointer}"));
    properties.keys().cloned().collect()
}

fn said(text: &str) -> String {
    load(text).errors.iter().map(ToString::to_string).collect()
}

#[test]
fn the_reader_knows_and_reads_every_published_key() {
    // A value that is wrong everywhere must be refused as that value, never as an unknown key.
    let wrong = "[[{}]]";
    for (pointer, text) in [
        ("/properties", "KEY: WRONG"),
        ("/definitions/task/properties", "tasks: {t: {KEY: WRONG}}"),
        ("/definitions/default_args/properties", "default_args: {KEY: WRONG}"),
        ("/definitions/group/properties", "tasks: {g: {tasks: {t: {empty: {}}}, KEY: WRONG}}"),
        ("/properties/schedule/anyOf/0/anyOf/1/properties", "schedule: {KEY: WRONG}"),
        ("/properties/catchup/anyOf/2/properties", "catchup: {KEY: WRONG}"),
        ("/definitions/task/properties/python/anyOf/1/properties", "tasks: {t: {python: {KEY: WRONG}}}"),
        ("/definitions/task/properties/sql/properties", "tasks: {t: {sql: {KEY: WRONG}}}"),
        ("/definitions/task/properties/http/anyOf/1/properties", "tasks: {t: {http: {KEY: WRONG}}}"),
        ("/definitions/task/properties/wait_for/properties", "tasks: {t: {wait_for: {KEY: WRONG}}}"),
        (
            "/definitions/task/properties/wait_for/properties/expect/properties",
            "tasks: {t: {wait_for: {http: 'http://x', expect: {KEY: WRONG}}}}",
        ),
        (
            "/definitions/task/properties/trigger_dag/anyOf/1/properties",
            "tasks: {t: {trigger_dag: {KEY: WRONG}}}",
        ),
        ("/definitions/task/properties/approval/anyOf/1/properties", "tasks: {t: {approval: {KEY: WRONG}}}"),
        ("/definitions/task/properties/repeat/properties", "tasks: {t: {bash: x, repeat: {KEY: WRONG}}}"),
        ("/properties/deadline/anyOf/0/anyOf/0/properties", "deadline: {KEY: WRONG}"),
    ] {
        for key in keys(pointer) {
            let told = said(&text.replace("KEY", &key).replace("WRONG", wrong));
            let anything = key == "body";
            assert!(!told.contains("unknown key"), "{key} at {pointer}: {told}");
            assert!(!told.contains(&format!("`{key}` is not supported")), "{key} at {pointer}: {told}");
            let named = told.contains(&format!("`{key}`")) || told.contains("appears twice");
            assert!(named || anything, "{key} at {pointer} is not read: {told}");
        }
    }
}

#[test]
fn the_schema_accepts_what_the_reader_accepts() {
    let validator = validator();
    let text = include_str!("golden/dagfile/all_keys.json");
    let all: Value = serde_json::from_str(text).unwrap();
    assert_eq!(said(text), "");
    let errors: Vec<String> =
        validator.iter_errors(&all).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn both_refuse_the_same_mistakes() {
    let validator = validator();
    for document in [
        json!({"tasks": {}}),
        json!({"dag_id": "a"}),
        json!({"tasks": {"a": {"bash": "x", "python": "y"}}}),
        json!({"tasks": {"a": {}}}),
        json!({"tasks": {"a": {"bash": "x", "retrys": 1}}}),
        json!({"tasks": {"a": {"bash": "x", "retries": -1}}}),
        json!({"tasks": {"a": {"bash": "x", "retry_delay": "soon"}}}),
        json!({"tasks": {"a": {"bash": "x", "trigger_rule": "sometimes"}}}),
        json!({"tasks": {"a b": {"bash": "x"}}}),
        json!({"tasks": {"a": {"sql": {"conn_id": "w"}}}}),
        json!({"tasks": {"a": {"http": "example.org"}}}),
        json!({"tasks": {"a": {"docker": {}}}}),
        json!({"tasks": {"a": {"wait_for": {}}}}),
        json!({"tasks": {"a": {"wait_for": {"for": "1m", "file": "x"}}}}),
        json!({"tasks": {"a": {"wait_for": {"dag": "b", "states": "done"}}}}),
        json!({"tasks": {"a": {"trigger_dag": {"conf": {}}}}}),
        json!({"tasks": {"a": {"bash": "x"}}, "max_active_runs": 0}),
        json!({"tasks": {"a": {"bash": "x"}}, "schedule": {"evry": "1m"}}),
        json!({"tasks": {"a": {"bash": "x"}}, "schedul": "@daily"}),
        json!({"tasks": {"g": {"tasks": {"a": {"bash": "x"}}, "bash": "y"}}}),
    ] {
        assert!(!validator.is_valid(&document), "the schema accepts {document}");
        assert_ne!(said(&document.to_string()), "", "the reader accepts {document}");
    }
}

#[test]
fn every_key_is_explained_to_editors() {
    fn walk(schema: &Value, path: &str) {
        let Some(fields) = schema.as_object() else { return };
        if let Some(properties) = fields.get("properties").and_then(Value::as_object)
            && !path.ends_with("/param")
            && !path.contains("/param/")
        {
            for (name, property) in properties {
                assert!(property["description"].as_str().is_some_and(|text| text.len() > 5), "{path}/{name}");
            }
        }
        for (name, inner) in fields {
            walk(inner, &format!("{path}/{name}"));
        }
    }
    walk(&json_schema(), "");
}
