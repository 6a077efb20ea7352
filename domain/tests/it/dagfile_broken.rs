//! DAG files with problems: what a person is told, to the letter and the column.
//!
//! `golden/dagfile/broken.txt` holds files, each followed by what is said of it; `UPDATE_GOLDEN=1` writes it anew.

use std::path::Path;

use domain::dagfile::{MAX_BYTES, MAX_DIAGNOSTICS, parse};

use crate::dagfile::{load, read};

const CASE: &str = "##### ";
const SAID: &str = ">>>>>";

#[test]
fn every_problem_is_told_where_it_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden/dagfile/broken.txt");
    let golden = std::fs::read_to_string(&path).unwrap();
    let mut fresh = String::new();
    let mut cases = 0;
    for case in golden.split(CASE).skip(1) {
        let (title, rest) = case.split_once('\n').unwrap();
        let text = rest.split(SAID).next().unwrap();
        let parsed = load(text);
        assert!(!parsed.errors.is_empty(), "nothing is said of {title}");
        fresh.push_str(&format!("{CASE}{title}\n{text}{SAID}\n"));
        for error in &parsed.errors {
            let said = error.to_string();
            assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{said:?}");
            fresh.push_str(&format!("{said}\n"));
        }
        for loaded in &parsed.dags {
            fresh.push_str(&format!("good: {}\n", loaded.dag.dag_id));
        }
        cases += 1;
    }
    assert!(cases >= 40, "{cases} cases");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &fresh).unwrap();
        return;
    }
    let difference = golden.lines().zip(fresh.lines()).enumerate().find(|(_, (old, new))| old != new);
    assert_eq!(difference, None, "the first difference");
    assert_eq!(golden, fresh);
}

fn said(bytes: &[u8]) -> String {
    let parsed = parse(bytes, "big.yaml", &read);
    assert!(parsed.dags.is_empty());
    parsed.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_no_text_is_refused_unread() {
    assert_eq!(
        said(&vec![b'a'; 10 << 20]),
        "big.yaml:1:1: the file has 10485760 bytes, a DAG file has at most 1048576 (move data and long scripts into files of their own)"
    );
    assert_eq!(said(b"a: 1\nb: \0"), "big.yaml:2:4: this is not a text file: it contains a NUL byte");
    assert_eq!(
        said(b"a: 1\nb: \xc3\xa4\xff"),
        "big.yaml:2:5: this is not a text file in UTF-8 (save it as UTF-8)"
    );
    assert_eq!(
        said(b"\x7fELF\x02\x01\x01\0\0"),
        "big.yaml:1:8: this is not a text file: it contains a NUL byte"
    );
}

#[test]
fn a_file_that_multiplies_itself_is_refused_quickly() {
    let mut bomb = String::from("x-0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..30 {
        let last = level - 1;
        bomb.push_str(&format!("x-{level}: &a{level} [*a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}]\n"));
    }
    assert!(said(bomb.as_bytes()).contains("with its aliases the document has more than 1000000 values"));
    let mut tower = String::from("x-0: &a0 [x]\n");
    for level in 1..5000 {
        tower.push_str(&format!("x-{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert!(said(tower.as_bytes()).contains("more than 64 levels deep"));
    assert!(said("[".repeat(100_000).as_bytes()).contains("levels deep"));
    assert!(said("- ".repeat(100_000).as_bytes()).contains("levels deep"));
    assert!(said("{a: ".repeat(100_000).as_bytes()).contains("levels deep"));
}

#[test]
fn two_groups_cannot_make_more_edges_than_memory() {
    let tasks: String = (0..3000).map(|number| format!("t{number}: {{empty: }}, ")).collect();
    let text = format!("tasks:\n  a: {{tasks: {{{tasks}}}}}\n  b: {{depends_on: a, tasks: {{{tasks}}}}}\n");
    assert_eq!(
        said(text.as_bytes()).lines().next().unwrap(),
        "big.yaml:3:19: the DAG has more than 1000000 dependencies (put an `empty` task between two large groups)"
    );
}

#[test]
fn too_many_documents_and_too_many_problems() {
    let many = "---\ntasks: {a: {empty: {}}}\n".repeat(1001);
    assert_eq!(
        said(many.as_bytes()).lines().next().unwrap(),
        "big.yaml:1:1: the file has 1001 documents, a DAG file has at most 1000"
    );
    let tasks: String = (0..2000)
        .map(|number| format!("  t{number}: {{bash: x, depends_on: [u{number}, v{number}]}}\n"))
        .collect();
    let parsed = load(&format!("tasks:\n{tasks}"));
    assert_eq!(parsed.errors.len(), MAX_DIAGNOSTICS);
    assert!(parsed.errors[MAX_DIAGNOSTICS - 1].message.ends_with("; and 3900 more problems"));
}

#[test]
fn a_file_as_large_as_allowed_is_read() {
    let mut text = String::from("tasks:\n  t0: {empty: }\n");
    let mut number = 0;
    while text.len() < MAX_BYTES - 60 {
        number += 1;
        text.push_str(&format!("  t{number}: {{empty: , depends_on: t{}}}\n", number - 1));
    }
    let parsed = load(&text);
    assert_eq!(parsed.errors, []);
    assert_eq!(parsed.dags[0].dag.tasks.len(), number + 1);
}
