//! The one table of transitions, and the two places that repeat it.

use std::{fs, path::Path};

use domain::state::{RunState, TaskState, diagram};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn the_guide_shows_the_table() {
    let page = fs::read_to_string(root().join("docs/guide/states.md")).unwrap();
    let shown = page.split("```mermaid\n").nth(1).and_then(|rest| rest.split("\n```").next());
    assert_eq!(shown, Some(diagram().as_str()), "docs/guide/states.md must show this:\n{}", diagram());
}

#[test]
fn the_database_knows_the_same_states() {
    let task: Vec<&str> = TaskState::ALL.iter().map(|state| state.as_str()).collect();
    let run: Vec<&str> = RunState::ALL.iter().map(|state| state.as_str()).collect();
    assert_eq!(checked_states("task_instance"), task);
    assert_eq!(checked_states("dag_run"), run);
}

/// The names in the CHECK of a table's column `state`, as the migrations create it.
fn checked_states(table: &str) -> Vec<String> {
    let mut folders: Vec<_> =
        fs::read_dir(root().join("migrations")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let sql: String =
        folders.iter().filter_map(|folder| fs::read_to_string(folder.join("up.sql")).ok()).collect();
    let table = sql.split(&format!("CREATE TABLE {table} (")).nth(1).unwrap();
    let list = table.split("CHECK (state IN (").nth(1).unwrap().split("))").next().unwrap();
    list.split(',').map(|name| name.trim().trim_matches('\'').to_owned()).collect()
}
