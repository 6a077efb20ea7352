//! Which files below the folder may be DAG files.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use domain::ignore::{self, Rules, Syntax};

use super::archive::packs_python;

/// How deep folders are followed.
const MAX_DEPTH: usize = 32;
/// How many DAG files are read at most; more are reported.
const MAX_FILES: usize = 100_000;

/// What is below the folder.
#[derive(Debug, Default, Clone)]
pub struct Found {
    /// The files that may be DAG files, by their path relative to the folder. What `.airflowignore` files name is left out.
    pub files: BTreeMap<String, PathBuf>,
    /// Patterns in such files that cannot be understood, and why.
    pub refused: Vec<String>,
}

/// Looks at the whole folder.
///
/// # Errors
/// When the folder itself cannot be read.
pub fn list(root: &Path, syntax: Syntax) -> io::Result<Found> {
    let Found { mut files, mut refused } = Found::default();
    fs::read_dir(root)?;
    let mut open = vec![(root.to_path_buf(), Rules::default(), 0)];
    while let Some((folder, above, depth)) = open.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        let rules = rules_of(root, &folder, above, syntax, &mut refused);
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            let Some(name) = relative(root, &path).filter(|_| !is_hidden(&path)) else {
                continue;
            };
            if path.is_dir() {
                if depth < MAX_DEPTH && !rules.ignore(&name, true) {
                    open.push((path, rules.clone(), depth + 1));
                }
            } else if is_dag_file(&path) && files.len() < MAX_FILES && !rules.ignore(&name, false) {
                files.insert(name, path);
            }
        }
    }
    Ok(Found { files, refused })
}

/// The rules that apply in a folder.
fn rules_of(root: &Path, folder: &Path, above: Rules, syntax: Syntax, told: &mut Vec<String>) -> Rules {
    let Ok(file) = fs::File::open(folder.join(ignore::FILE_NAME)) else {
        return above;
    };
    let mut bytes = Vec::new();
    if file.take(ignore::MAX_BYTES as u64).read_to_end(&mut bytes).is_err() {
        return above;
    }
    let name = relative(root, folder).unwrap_or_default();
    let (rules, refused) = above.with(&String::from_utf8_lossy(&bytes), &name, syntax);
    told.extend(refused.into_iter().map(|why| format!("{name}/{}: {why}", ignore::FILE_NAME)));
    rules
}

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or(".");
    name.starts_with('.') || matches!(name, "__pycache__" | "node_modules")
}

fn is_dag_file(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| matches!(ending, "yaml" | "yml" | "py")) || is_zip(path) && packs_python(path)
}

/// Whether it is called a Python file.
pub fn is_python(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "py")
}

/// Whether it is called an archive.
pub fn is_zip(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "zip")
}

fn relative(root: &Path, path: &Path) -> Option<String> {
    let parts = path.strip_prefix(root).ok()?.components().map(|part| match part {
        Component::Normal(name) => name.to_str(),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
    });
    parts.collect::<Option<Vec<_>>>().map(|parts| parts.join("/"))
}
