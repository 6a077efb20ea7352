//! Holds the architecture to its word: who may depend on whom, and what may be used where.

use std::{collections::BTreeSet, fs, path::Path};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// "May depend on". Nothing else is allowed between the rooms, tests excepted: they may use `runtime`.
const ALLOWED: [(&str, &[&str]); 11] = [
    ("domain", &[]),
    ("store", &["domain"]),
    ("queue", &["domain"]),
    ("runtime", &[]),
    ("scheduler", &["domain", "store", "queue", "runtime", "python"]),
    ("worker", &["domain", "store", "queue", "runtime", "python"]),
    ("webserver", &["domain", "store", "queue", "runtime"]),
    ("python", &[]),
    ("cli", &["domain", "store", "queue", "runtime", "scheduler", "worker", "webserver", "python"]),
    ("bench", &[]),
    ("e2e", &[]),
];

/// Libraries that only one room may know: nobody else speaks SQL, Redis or HTTP pages.
const OWNED: [(&str, &[&str]); 6] = [
    ("diesel", &["store"]),
    ("diesel-async", &["store"]),
    ("redis", &["queue"]),
    ("actix-web", &["webserver"]),
    ("askama", &["webserver"]),
    ("object_store", &["runtime"]),
];

/// What the laws must not know at all.
const FORBIDDEN_IN_DOMAIN: [&str; 6] = ["tokio", "reqwest", "tracing", "tokio-postgres", "rand", "notify"];

#[test]
fn rooms_depend_only_on_whom_they_may() {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    let rooms: BTreeSet<String> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let known: BTreeSet<String> = ALLOWED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(rooms, known, "every crate of the workspace needs a line in ALLOWED");
    for package in &metadata.packages {
        let allowed = ALLOWED.iter().find(|(name, _)| **name == *package.name).unwrap().1;
        for dependency in package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development) {
            let name = dependency.name.as_str();
            assert!(
                !rooms.contains(name) || allowed.contains(&name),
                "{} must not depend on {name}",
                package.name
            );
            let owners = OWNED.iter().find(|(library, _)| *library == name).map(|(_, owners)| *owners);
            let mine = owners
                .is_none_or(|owners| owners.contains(&package.name.as_str()) || package.name == "bench");
            assert!(mine, "{} must not know {name}", package.name);
            assert!(
                package.name != "domain" || !FORBIDDEN_IN_DOMAIN.contains(&name),
                "the laws must not know {name}"
            );
        }
    }
}

#[test]
fn the_image_is_built_from_every_room() {
    let dockerfile = fs::read_to_string(root().join("Dockerfile")).unwrap();
    for (room, _) in ALLOWED {
        let line = format!("COPY {room}/Cargo.toml {room}/");
        assert!(dockerfile.lines().any(|known| known == line), "the Dockerfile lacks `{line}`");
    }
}

#[test]
fn no_room_has_a_name_that_says_nothing() {
    for entry in walk(root()) {
        let name = entry.file_stem().unwrap().to_str().unwrap().to_owned();
        for empty in ["core", "common", "utils", "util", "helpers", "helper", "models", "types", "manager"] {
            assert_ne!(name, empty, "{}", entry.display());
        }
    }
}

#[test]
fn source_files_stay_readable() {
    for path in walk(root()).into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
    {
        let text = fs::read_to_string(&path).unwrap();
        let is_test =
            path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs");
        assert!(
            is_test || text.lines().count() <= 450,
            "{} has {} lines",
            path.display(),
            text.lines().count()
        );
    }
}

#[test]
fn every_statement_of_sql_lives_in_the_store() {
    for path in walk(root()).into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
    {
        let room = path.strip_prefix(root()).unwrap().components().next().unwrap();
        let speaks = ["store", "bench", "e2e"].iter().any(|name| room.as_os_str() == *name);
        if speaks || path.components().any(|part| part.as_os_str() == "tests") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for table in ["FROM task_instance", "FROM dag_run", "INTO inbox", "UPDATE dag ", "FROM dag "] {
            assert!(!text.contains(table), "{} contains SQL: {table}", path.display());
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let skipped = ["target", ".git", "node_modules", ".tradewind"];
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_str().unwrap();
        if entry.is_dir() && !skipped.contains(&name) {
            files.push(entry.clone());
            files.extend(walk(&entry));
        } else if entry.is_file() {
            files.push(entry);
        }
    }
    files
}
