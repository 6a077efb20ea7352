//! The examples of the guide are DAG files that load; those that show only keys of the DAG are given a task.

use std::{fs, path::Path};

use domain::dagfile::parse;

/// The YAML examples of a page, with the number of the line each begins on.
fn examples(page: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, Vec<&str>)> = None;
    for (number, line) in (1..).zip(page.lines()) {
        match open.take() {
            None if line.trim() == "```yaml" => open = Some((number + 1, Vec::new())),
            None => {}
            Some((first, lines)) if line.trim() == "```" => found.push((first, lines.join("\n"))),
            Some((first, mut lines)) => {
                lines.push(line);
                open = Some((first, lines));
            }
        }
    }
    assert!(open.is_none(), "an example has no end");
    found
}

#[test]
fn every_example_of_a_dag_in_the_guide_loads() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide");
    let mut tried = 0;
    for entry in fs::read_dir(guide).unwrap() {
        let path = entry.unwrap().path();
        let page = fs::read_to_string(&path).unwrap();
        for (line, mut text) in examples(&page) {
            let name = path.file_name().unwrap().to_string_lossy();
            if !text.lines().any(|line| line.starts_with("tasks:")) {
                text.push_str("\ntasks: {t: {empty: {}}}");
            }
            let parsed = parse(text.as_bytes(), "example.yaml", &|_| Ok("print(1)".into()));
            assert!(parsed.errors.is_empty(), "{name}:{line}: {:#?}", parsed.errors);
            assert_eq!(parsed.dags.len(), 1, "{name}:{line}");
            tried += 1;
        }
    }
    assert!(tried >= 10, "only {tried} examples were found");
}
