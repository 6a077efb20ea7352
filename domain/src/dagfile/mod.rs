//! DAG files in YAML: from their bytes to [`Dag`]s, or to [`Diagnostic`]s that say what is wrong, where, and what to do.
//!
//! [`parse`] performs no IO. A file may have several documents, each a DAG; a broken one does not hide its neighbours.
//! The steps in their order: cut into documents ([`split`]), build trees of values that know their place ([`yaml`]), read them
//! field by field ([`document`]), resolve names ([`names`]), draw the edges and refuse cycles ([`graph`]).
//! [`json_schema`] publishes the format for editors, from the same table of keys the reader uses.

mod approval;
mod assets;
mod date;
mod deadline;
mod diagnostic;
mod document;
mod elsewhere;
mod expand;
mod fields;
mod graph;
mod keys;
mod later;
mod names;
mod node;
mod notices;
mod operator;
mod param;
mod reading;
mod repeat;
mod scalar;
mod schedule;
mod schema;
mod settings;
mod special;
mod split;
mod suggest;
mod syntax;
mod tree;
mod values;
mod waiting;
mod yaml;

use std::collections::HashMap;

pub use diagnostic::{Diagnostic, MAX_DIAGNOSTICS};
pub use schema::json_schema;

use crate::dag::Dag;
use diagnostic::{Problem, Report};
use node::At;
pub(crate) use node::shown;
use reading::Reading;
pub(crate) use suggest::did_you_mean;

/// Largest DAG file, and largest file that one refers to, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// Most documents in one file.
pub const MAX_DOCUMENTS: usize = 1000;

/// What came of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The DAGs without a problem, in the order of the file.
    pub dags: Vec<Loaded>,
    /// What is wrong with the others, in the order of the file.
    pub errors: Vec<Diagnostic>,
    /// The files it refers to (`sql: {file: ...}`), relative to its folder: when one changes, the DAG may have changed.
    pub files: Vec<String>,
}

/// A DAG and where it was written: where its id stands, or where it starts when it has the name of its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The DAG.
    pub dag: Dag,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

/// Reads a DAG file.
///
/// `name` is the file's path as messages show it; its last part without the ending is the DAG's id when the only document gives
/// none. `read` answers with the text of a file that the DAG file refers to, by its path relative to the DAG file's folder
/// (never absolute, never with `..`; symbolic links are the caller's affair), or with the reason why it cannot.
///
/// Nothing makes it panic. All problems are in the answer, at most [`MAX_DIAGNOSTICS`] of them.
#[must_use]
pub fn parse(bytes: &[u8], name: &str, read: &dyn Fn(&str) -> Result<String, String>) -> Parsed {
    match text(bytes) {
        Ok(text) => documents(text, name, read),
        Err(problem) => {
            let mut report = Report::new(name, "");
            report.add(problem);
            Parsed { dags: Vec::new(), errors: report.finish(), files: Vec::new() }
        }
    }
}

/// The text of the file, or why it has none.
fn text(bytes: &[u8]) -> Result<&str, Problem> {
    let start = At { line: 1, column: 1, width: 1 };
    if bytes.len() > MAX_BYTES {
        let message = format!("the file has {} bytes, a DAG file has at most {MAX_BYTES}", bytes.len());
        return Err(Problem::new(start, message).hint("move data and long scripts into files of their own"));
    }
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    if let Some(position) = bytes.iter().position(|byte| *byte == 0) {
        return Err(Problem::new(place(bytes, position), "this is not a text file: it contains a NUL byte"));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let at = place(bytes, error.valid_up_to());
        Problem::new(at, "this is not a text file in UTF-8").hint("save it as UTF-8")
    })
}

fn place(bytes: &[u8], position: usize) -> At {
    let before = bytes.get(..position).unwrap_or(bytes);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let column = String::from_utf8_lossy(before.get(start..).unwrap_or_default()).chars().count() + 1;
    At { line: yaml::to_u32(line), column: yaml::to_u32(column), width: 1 }
}

fn documents(text: &str, name: &str, read: &dyn Fn(&str) -> Result<String, String>) -> Parsed {
    let mut reading = Reading::new(Report::new(name, text), read);
    let pieces = split::documents(text);
    let stem = if pieces.len() == 1 { Some(stem(name)) } else { None };
    let mut dags = Vec::new();
    let mut lines = HashMap::new();
    if pieces.len() > MAX_DOCUMENTS {
        let at = At { line: 1, column: 1, width: 1 };
        let message =
            format!("the file has {} documents, a DAG file has at most {MAX_DOCUMENTS}", pieces.len());
        reading.add(Problem::new(at, message));
        return Parsed { dags, errors: reading.report.finish(), files: Vec::new() };
    }
    for piece in &pieces {
        let Some((loaded, at)) = document(piece, stem, &mut reading) else {
            continue;
        };
        let id = loaded.dag.dag_id.to_string();
        if let Some(first) = lines.get(&id) {
            let message = format!("the DAG `{}` is defined twice in this file", shown(&id));
            reading.add(Problem::new(at, message).hint(format!("first on line {first}")));
            continue;
        }
        lines.insert(id, loaded.line);
        dags.push(loaded);
    }
    Parsed { dags, errors: reading.report.finish(), files: reading.files }
}

fn document(piece: &split::Piece<'_>, stem: Option<&str>, reading: &mut Reading<'_>) -> Option<(Loaded, At)> {
    let (root, problems) = reading.keep(yaml::load(piece))?;
    let is_whole = problems.is_empty();
    problems.into_iter().for_each(|problem| reading.add(problem));
    let loaded = document::read(&root?, stem, reading);
    loaded.filter(|_| is_whole)
}

/// The last part of a path without its ending.
fn stem(name: &str) -> &str {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    file.rsplit_once('.').map_or(file, |(stem, _)| if stem.is_empty() { file } else { stem })
}
