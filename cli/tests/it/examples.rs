//! The examples are documentation and fixtures at once: each is read, and fits the published schema.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::binary::{Place, examples};

#[test]
fn all_examples_are_valid() {
    let folder = examples();
    let said = Place::new().run(&["dags", "validate", folder.to_str().unwrap()]).good();
    for name in ["hello.yaml: ok (hello)", "mapping.yaml: ok (mapping)", "flights.yaml: ok (flights)"] {
        assert!(said.contains(name), "{said}");
    }
}

#[test]
fn the_published_schema_fits_the_examples_and_refuses_a_misspelling() {
    let schema = Place::new().run(&["schema"]).json();
    let validator = jsonschema::draft7::options().build(&schema).unwrap();
    let files = files();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let mut document: Value = serde_saphyr::from_str(&text).unwrap();
        let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", file.display());
        document.as_object_mut().unwrap().insert("shedule".to_owned(), Value::Null);
        assert!(!validator.is_valid(&document), "{}", file.display());
    }
}

#[test]
fn the_first_example_runs_without_a_server() {
    let file = examples().join("hello.yaml");
    let said =
        Place::new().run(&["dags", "test", file.to_str().unwrap(), "--conf", r#"{"name": "reader"}"#]).good();
    assert!(said.contains("greet | Hello, reader!"), "{said}");
    assert!(said.contains("shout | HELLO, READER! That is 14 characters."), "{said}");
}

#[test]
fn a_trial_answers_questions_itself() {
    let file = examples().join("publish_report.yaml");
    let said = Place::new().run(&["dags", "test", file.to_str().unwrap()]).good();
    assert!(
        said.contains("would ask “Publish the figures of 2026-01-31?”; the answer is Reject here"),
        "{said}"
    );
    assert!(said.contains("`agree` chose another path"), "{said}");
}

fn files() -> Vec<PathBuf> {
    let folders = [examples(), examples().join("flights")];
    let entries =
        folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "yaml")).collect()
}
