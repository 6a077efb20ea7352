//! DAG files on this machine, for commands that need no server: reading them, and finding a DAG among them.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Result, anyhow, bail};
use domain::{
    dag::Dag,
    dagfile::{Diagnostic, MAX_BYTES, Parsed, parse},
    id::DagId,
};

use crate::{args::Common, output, setup};

/// Of a file that is too long anyway, so much is read that the error can say so.
const READ_LIMIT: u64 = 16 * (MAX_BYTES as u64);
/// How deep folders are followed.
const MAX_DEPTH: usize = 32;
/// Most DAG files that are looked at.
const MAX_FILES: usize = 100_000;

/// A DAG and the folder of its file.
pub struct Found {
    /// The DAG.
    pub dag: Arc<Dag>,
    /// The folder that its tasks start in. Absolute.
    pub folder: PathBuf,
}

/// What is wrong with a file, already printed for people.
#[derive(Debug, thiserror::Error)]
#[error("{}", summary(.0, .1))]
pub struct Broken(String, usize);

/// Reads a DAG file. One that cannot be read at all has one problem: that.
pub fn read(path: &Path) -> Parsed {
    let name = path.to_string_lossy();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match read_limited(path) {
        Ok(bytes) => parse(&bytes, &name, &|beside| read_beside(&folder.join(beside))),
        Err(error) => {
            let errors = vec![problem(path, format!("the file cannot be read: {error}"))];
            Parsed { dags: Vec::new(), errors, files: Vec::new() }
        }
    }
}

/// Reads a DAG file that somebody means: that there is no DAG in it is a problem too.
pub fn read_meant(path: &Path) -> Parsed {
    if path.extension().is_some_and(|ending| ending == "py") {
        let what = "this is a Python file; Airflow DAG files are read by schedulers only, and what is wrong with them is \
                    shown by `tradewind dags list-import-errors`";
        return Parsed { dags: Vec::new(), errors: vec![problem(path, what)], files: Vec::new() };
    }
    let mut parsed = read(path);
    if parsed.dags.is_empty() && parsed.errors.is_empty() {
        parsed.errors.push(problem(path, "there is no DAG in this file"));
    }
    parsed
}

/// A problem of a whole file.
pub fn problem(path: &Path, message: impl Into<String>) -> Diagnostic {
    Diagnostic {
        file: path.to_string_lossy().into_owned(),
        line: 1,
        column: 1,
        message: message.into(),
        hint: None,
        snippet: Vec::new(),
    }
}

/// The DAG files that are meant by `path`: itself, or those below it when it is a folder; by name.
///
/// # Errors
/// When a folder cannot be read or has none.
pub fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let found = below(path)?;
    if found.is_empty() {
        bail!("there is no DAG file (*.yaml, *.yml) in {}", path.display());
    }
    Ok(found)
}

/// The DAG files below a folder, by name.
///
/// # Errors
/// When a folder cannot be read.
pub fn below(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        let entries =
            fs::read_dir(&folder).map_err(|error| anyhow!("cannot read {}: {error}", folder.display()))?;
        for entry in
            entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|entry| !is_hidden(entry))
        {
            if entry.is_dir() && depth < MAX_DEPTH {
                open.push((entry, depth + 1));
            } else if entry.is_file() && is_dag_file(&entry) && found.len() < MAX_FILES {
                found.push(entry);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a text on the command line means a file and not the name of a DAG.
pub fn is_path(text: &str) -> bool {
    Path::new(text).exists() || text.contains('/') || is_dag_file(Path::new(text))
}

/// The DAG that is meant by `text`: a file, or the id of a DAG in the DAGs folder. `dag_id` chooses one of several.
///
/// # Errors
/// [`Broken`] when the file is wrong, otherwise what there is none of.
pub fn find(common: &Common, text: &str, dag_id: Option<&DagId>) -> Result<Found> {
    if is_path(text) {
        return choose(Path::new(text), dag_id);
    }
    let wanted = DagId::new(text)?;
    let config = setup::command_config(common)?;
    let folder = &*config.dags_folder;
    let none =
        || anyhow!("there is neither a file nor a DAG `{text}` in the DAGs folder {}", folder.display());
    for file in files(folder).map_err(|_| none())? {
        if read(&file).dags.iter().any(|loaded| loaded.dag.dag_id == wanted) {
            return choose(&file, Some(&wanted));
        }
    }
    Err(none())
}

/// Prints what is wrong with a file, and says so as an error.
pub fn report(file: &str, errors: &[Diagnostic]) -> Broken {
    errors.iter().for_each(|error| output::note(&format!("{error}\n")));
    Broken(file.to_owned(), errors.len())
}

fn choose(path: &Path, dag_id: Option<&DagId>) -> Result<Found> {
    let parsed = read_meant(path);
    let mut dags = parsed.dags;
    if let Some(wanted) = dag_id {
        let known: Vec<String> = dags.iter().map(|loaded| loaded.dag.dag_id.to_string()).collect();
        dags.retain(|loaded| loaded.dag.dag_id == *wanted);
        if dags.is_empty() && parsed.errors.is_empty() {
            bail!("{} has no DAG `{wanted}`, only {}", path.display(), known.join(", "));
        }
    }
    if dag_id.is_none() && dags.len() > 1 {
        let names: Vec<&str> = dags.iter().map(|loaded| loaded.dag.dag_id.as_str()).collect();
        bail!("{} has several DAGs: choose one with --dag-id ({})", path.display(), names.join(", "));
    }
    match dags.pop() {
        // A neighbour that is broken hides nothing, but it might be the one that is meant.
        Some(loaded) if dag_id.is_some() || parsed.errors.is_empty() => {
            let absolute = std::path::absolute(path)?;
            let folder = absolute.parent().map(Path::to_owned).unwrap_or_default();
            Ok(Found { dag: Arc::new(loaded.dag), folder })
        }
        Some(_) | None => Err(report(&path.to_string_lossy(), &parsed.errors).into()),
    }
}

fn read_beside(path: &Path) -> Result<String, String> {
    let bytes = read_limited(path).map_err(|error| error.to_string())?;
    if bytes.len() > MAX_BYTES {
        return Err(format!("it has more than {MAX_BYTES} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not a text file in UTF-8".to_owned())
}

fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(READ_LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn is_dag_file(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml")
}

fn summary(file: &str, problems: &usize) -> String {
    match problems {
        1 => format!("{file} has a problem"),
        _ => format!("{file} has {problems} problems"),
    }
}
