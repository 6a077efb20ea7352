//! Whatever Airflow's tasks and triggers may ask is known here: walked along the unions and the schema that the installed Airflow has.

use std::fs;
use std::path::{Path, PathBuf};

use python::message::{Asked, asked};
use serde_json::{Map, Value, json};

use crate::airflow::environment;

/// Airflow's module of that path.
fn module(environment: &Path, path: &str) -> String {
    let libraries = fs::read_dir(environment.join("lib")).unwrap();
    let candidates = libraries.map(|entry| entry.unwrap().path().join("site-packages/airflow"));
    let found: Vec<PathBuf> =
        candidates.map(|folder| folder.join(path)).filter(|file| file.exists()).collect();
    fs::read_to_string(&found[0]).unwrap()
}

/// The members of a union that a supervisor has to answer.
fn members<'a>(module: &'a str, union: &str) -> Vec<&'a str> {
    let (_, rest) = module.split_once(&format!("\n{union} = Annotated[")).unwrap();
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

/// A request as the schema has it, and what is made of it.
fn read(name: &str, schema: &Value) -> Asked {
    let mut body = sample(&schema["$defs"][name], &schema["$defs"]);
    if body.is_null() {
        body = json!({});
    }
    body["type"] = json!(name);
    asked(&body).unwrap_or_else(|unclear| panic!("{unclear}: {body:#}"))
}

fn schema(environment: &Path) -> Value {
    serde_json::from_str(&module(environment, "sdk/execution_time/schema/schema.json")).unwrap()
}

#[tokio::test]
async fn every_request_of_a_task_is_known() {
    let Some(environment) = environment().await else { return };
    let schema = schema(environment.folder());
    let comms = module(environment.folder(), "sdk/execution_time/comms.py");
    let members = members(&comms, "ToSupervisor");
    assert!(members.len() > 50 && members.contains(&"TriggerDagRun"), "{members:?}");
    let is_of_people = |name: &&str| matches!(read(name, &schema), Asked::People(_));
    let mut people: Vec<&str> = members.into_iter().filter(is_of_people).collect();
    people.sort_unstable();
    assert_eq!(
        people,
        ["AwaitInputTask", "CreateHITLDetailPayload", "GetHITLDetailResponse", "UpdateHITLDetail"]
    );
}

#[tokio::test]
async fn every_request_of_a_trigger_is_known() {
    let Some(environment) = environment().await else { return };
    let schema = schema(environment.folder());
    let runner = module(environment.folder(), "jobs/triggerer_job_runner.py");
    let members = members(&runner, "ToTriggerSupervisor");
    assert!(members.len() > 20 && members.contains(&"GetDRCount"), "{members:?}");
    // What it says of its triggers is no question: `worker/src/triggers/said.rs`.
    for name in members.into_iter().filter(|name| *name != "messages.TriggerStateChanges") {
        let asked = read(name, &schema);
        assert!(
            !matches!(asked, Asked::Assets(_) | Asked::Log),
            "only tasks have asked that so far: {asked:?}"
        );
    }
}
