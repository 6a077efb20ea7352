//! DAG files on this machine, for commands that need no server: reading them, and finding a DAG among them.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Result, anyhow, bail};
use domain::{
    dag::Dag,
    dagfile::{Diagnostic, MAX_BYTES, Parsed, parse},
    id::DagId,
};

use crate::{
    args::Common,
    output,
    pythonfiles::{Read, Reader},
    setup,
};

/// Of a file that is too long anyway, so much is read that the error can say so.
const READ_LIMIT: u64 = 16 * (MAX_BYTES as u64);

/// A DAG and the folder of its file.
pub struct Found {
    /// The DAG.
    pub dag: Arc<Dag>,
    /// The folder that its tasks start in. Absolute.
    pub folder: PathBuf,
    /// The folder that modules of a Python file are looked for in. Absolute.
    pub root: PathBuf,
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
pub async fn read_meant(python: &Reader<'_>, path: &Path) -> Read {
    if is_python(path) {
        return python.read(path).await;
    }
    let mut parsed = read(path);
    if parsed.dags.is_empty() && parsed.errors.is_empty() {
        parsed.errors.push(problem(path, "there is no DAG in this file"));
    }
    let root = path.parent().map(Path::to_path_buf).unwrap_or_default();
    Read { parsed, notices: Vec::new(), root }
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
        bail!("there is no DAG file (*.yaml, *.yml, *.py) in {}", path.display());
    }
    Ok(found)
}

/// The DAG files below a folder, by name: those that a scheduler would read.
///
/// # Errors
/// When a folder cannot be read.
pub fn below(root: &Path) -> Result<Vec<PathBuf>> {
    let found = scheduler::list_dag_files(root, scheduler::ignore_syntax());
    let found = found.map_err(|error| anyhow!("cannot read {}: {error}", root.display()))?;
    found.refused.iter().for_each(|why| output::note(&format!("warning: {why}")));
    let is_meant = |path: &PathBuf| {
        !is_python(path) || read_limited(path).is_ok_and(|bytes| scheduler::may_define_dags(&bytes))
    };
    Ok(found.files.into_values().filter(is_meant).collect())
}

/// Whether a text on the command line means a file and not the name of a DAG.
pub fn is_path(text: &str) -> bool {
    Path::new(text).exists() || text.contains('/') || is_dag_file(Path::new(text))
}

/// The DAG that is meant by `text`: a file, or the id of a DAG in the DAGs folder. `dag_id` chooses one of several.
///
/// # Errors
/// [`Broken`] when the file is wrong, otherwise what there is none of.
pub async fn find(common: &Common, text: &str, dag_id: Option<&DagId>) -> Result<Found> {
    let python = Reader::new(common);
    if is_path(text) {
        return choose(&python, Path::new(text), dag_id).await;
    }
    let wanted = DagId::new(text)?;
    let config = setup::command_config(common)?;
    let folder = &*config.dags_folder;
    let none =
        || anyhow!("there is neither a file nor a DAG `{text}` in the DAGs folder {}", folder.display());
    for file in files(folder).map_err(|_| none())? {
        if defines(&python, &file, &wanted).await {
            return choose(&python, &file, Some(&wanted)).await;
        }
    }
    Err(none())
}

async fn defines(python: &Reader<'_>, file: &Path, wanted: &DagId) -> bool {
    let dags = if is_python(file) {
        // Only one that speaks of it is worth the seconds.
        let names = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).contains(wanted.as_str());
        if !read_limited(file).is_ok_and(names) {
            return false;
        }
        python.read(file).await.parsed.dags
    } else {
        read(file).dags
    };
    dags.iter().any(|loaded| loaded.dag.dag_id == *wanted)
}

/// Prints what is wrong with a file, and says so as an error.
pub fn report(file: &str, errors: &[Diagnostic]) -> Broken {
    errors.iter().for_each(|error| output::note(&format!("{error}\n")));
    Broken(file.to_owned(), errors.len())
}

async fn choose(python: &Reader<'_>, path: &Path, dag_id: Option<&DagId>) -> Result<Found> {
    let Read { parsed, notices, root } = read_meant(python, path).await;
    notices.iter().for_each(|notice| output::note(&format!("notice: {}: {notice}", path.display())));
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
            let root = if is_python(path) { root } else { folder.clone() };
            Ok(Found { dag: Arc::new(loaded.dag), folder, root })
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

fn is_dag_file(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml" || ending == "py")
}

fn is_python(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "py" || ending == "zip")
}

fn summary(file: &str, problems: &usize) -> String {
    match problems {
        1 => format!("{file} has a problem"),
        _ => format!("{file} has {problems} problems"),
    }
}
