//! What one reading of a file carries along: the problems found and the files it refers to.

use super::{
    MAX_BYTES,
    assets::Described,
    diagnostic::{Problem, Report},
    node::{At, shown},
};

pub(super) struct Reading<'a> {
    pub(super) report: Report<'a>,
    read: &'a dyn Fn(&str) -> Result<String, String>,
    /// The files asked for, in order of appearance, also those that could not be read.
    pub(super) files: Vec<String>,
    /// The assets that the document at hand describes.
    pub(super) assets: Described,
}

impl<'a> Reading<'a> {
    pub(super) fn new(report: Report<'a>, read: &'a dyn Fn(&str) -> Result<String, String>) -> Self {
        Self { report, read, files: Vec::new(), assets: Described::default() }
    }

    pub(super) fn add(&mut self, problem: Problem) {
        self.report.add(problem);
    }

    pub(super) const fn is_full(&self) -> bool {
        self.report.is_full()
    }

    /// The value, or its problem told.
    pub(super) fn keep<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.add(problem)).ok()
    }

    /// The text of a file that the DAG file names; the path stays below the DAG file's folder.
    pub(super) fn fetch(&mut self, path: &str, at: At) -> Result<String, Problem> {
        check_path(path).map_err(|why| Problem::new(at, format!("`{}` {why}", shown(path))))?;
        if !self.files.iter().any(|file| file == path) {
            self.files.push(path.to_owned());
        }
        let text = (self.read)(path)
            .map_err(|error| Problem::new(at, format!("cannot read `{}`: {}", shown(path), shown(&error))))?;
        if text.len() > MAX_BYTES {
            return Err(Problem::new(at, format!("`{}` has more than {MAX_BYTES} bytes", shown(path))));
        }
        if text.contains('\0') {
            return Err(Problem::new(at, format!("`{}` is not a text file", shown(path))));
        }
        Ok(text)
    }
}

fn check_path(path: &str) -> Result<(), &'static str> {
    if path.trim().is_empty() {
        return Err("is no file name");
    }
    if path.starts_with(['/', '~']) || path.contains(['\\', ':']) {
        return Err("must be relative to the DAG file, with `/` between folders");
    }
    if path.split('/').any(|part| part == "..") {
        return Err("must not leave the DAG file's folder with `..`");
    }
    if path.chars().any(char::is_control) || path.len() > 1000 {
        return Err("is no file name");
    }
    Ok(())
}
