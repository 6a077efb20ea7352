//! Whatever Airflow's tasks may ask is known here: walked along the union and the schema that the installed Airflow has.

use std::fs;
use std::path::{Path, PathBuf};

use python::message::{Asked, asked};
use serde_json::{Map, Value, json};

use crate::airflow::environment;

/// Airflow's module of that path.
fn module(environment: &Path, path: &str) -> String {
    let libraries = fs::read_dir(environment.join("lib")).unwrap();
    let candidates =
        libraries.map(|entry| entry.unwrap().path().join("site-packages/airflow/sdk/execution_time"));
    let found: Vec<PathBuf> =
        candidates.map(|folder| folder.join(path)).filter(|file| file.exists()).collect();
    fs::read_to_string(&found[0]).unwrap()
}

/// The members of the union that a task's supervisor has to answer.
fn members(comms: &str) -> Vec<&str> {
    let (_, rest) = comms.split_once("\nToSupervisor = Annotated[").unwrap();
    let (union, _) = rest.split_once("Field(").unwrap();
    union.split(['|', ',']).map(str::trim).filter(|name| !name.is_empty()).collect()
}

/// A value as the schema has it: no field is left out.
fn sample(schema: &Value, all: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        return sample(&all[name.rsplit('/').next().unwrap()], all);
    }
    if let Some(first) = schema.get("const").or_else(|| schema.pointer("/enum/0")) {
        return first.clone();
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema.pointer(&format!("/{choice}/0")) {
            return sample(first, all);
        }
    }
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("string"), Some("date-time")) => json!("2026-01-01T00:00:00Z"),
        (Some("string"), Some("uuid")) => json!("00000000-0000-0000-0000-000000000000"),
        (Some("string"), Some("duration")) => json!("PT1S"),
        (Some("string"), _) => json!("text"),
        (Some("integer" | "number"), _) => json!(1),
        (Some("boolean"), _) => json!(true),
        (Some("array"), _) => json!([]),
        (Some("object"), _) => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            Value::Object(
                fields.map(|(name, field)| (name.clone(), sample(field, all))).collect::<Map<_, _>>(),
            )
        }
        _ => Value::Null,
    }
}

#[tokio::test]
async fn every_request_of_a_task_is_known() {
    let Some(environment) = environment().await else { return };
    let schema: Value = serde_json::from_str(&module(environment.folder(), "schema/schema.json")).unwrap();
    let comms = module(environment.folder(), "comms.py");
    let members = members(&comms);
    assert!(members.len() > 50 && members.contains(&"TriggerDagRun"), "{members:?}");
    let mut people = Vec::new();
    for name in members {
        let mut body = sample(&schema["$defs"][name], &schema["$defs"]);
        if body.is_null() {
            body = json!({});
        }
        body["type"] = json!(name);
        match asked(&body) {
            Ok(Asked::People(_)) => people.push(name),
            Ok(_) => {}
            Err(unclear) => panic!("{unclear}: {body:#}"),
        }
    }
    people.sort_unstable();
    assert_eq!(
        people,
        ["AwaitInputTask", "CreateHITLDetailPayload", "GetHITLDetailResponse", "UpdateHITLDetail"]
    );
}
