//! `python`: a Python program.

use std::path::PathBuf;

use domain::dag::Task;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

use super::program::{self, Called, Setting};
use super::{Done, On, Work};
use crate::template::{Error, Renderer};

/// A program; its text is not a template.
pub(crate) struct Python {
    source: String,
    file: Option<String>,
    setting: Setting,
}

/// Renders what is around the program.
pub(crate) async fn prepare(
    source: &str,
    file: Option<&str>,
    task: &Task,
    renderer: &mut Renderer<'_>,
) -> Result<Python, Error> {
    let setting = Setting::render(task, renderer).await?;
    Ok(Python { source: source.to_owned(), file: file.map(str::to_owned), setting })
}

impl Work for Python {
    fn fields(&self) -> Map<String, Value> {
        let shown = self.file.as_ref().unwrap_or(&self.source);
        self.setting.fields(("python", shown.clone().into()))
    }

    fn run<'a>(&'a self, on: &'a On<'a>) -> BoxFuture<'a, Done> {
        Box::pin(async move {
            match self.called(on) {
                Ok(called) => program::run(called, None, &self.setting, on).await,
                Err(done) => *done,
            }
        })
    }
}

impl Python {
    fn called(&self, on: &On<'_>) -> Result<Called, Box<Done>> {
        let Some(python) = on.station.programs.python() else {
            return Err(Done::failed_for_good(
                "this worker has no python3 on its PATH; install it, or set TRADEWIND_PYTHON to an interpreter",
            )
            .into());
        };
        let program = match self.original(on) {
            Some(file) => file,
            None => {
                program::write_program(&on.place.program, &self.source)?;
                on.place.program.clone()
            }
        };
        Ok(Called { program: python, args: vec!["-u".into(), program.into()] })
    }

    /// The file that the program was read from, if it still is the same: tracebacks then name it, and it finds the
    /// modules next to it.
    fn original(&self, on: &On<'_>) -> Option<PathBuf> {
        let file = on.assignment.folder.as_ref()?.join(self.file.as_ref()?);
        let same = std::fs::read(&file).is_ok_and(|text| text == self.source.as_bytes());
        same.then_some(file)
    }
}
