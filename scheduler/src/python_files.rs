//! Airflow DAG files: read by Airflow's own parser, each in a child of a fork server.

use std::{sync::Arc, time::Instant};

use chrono::{DateTime, Utc};
use domain::serialized::{self, places};
use futures_util::future::join_all;
use python::{Old, Parsed, Zygote};
use runtime::mask::Masker;
use store::{
    Store,
    dag::{LoadedDag, LoadedFile},
    import_error::NewImportError,
};
use tracing::warn;

use crate::{
    bridge::{Bridge, LastRuns, Records},
    dags::import_error,
    folder::{Findings, PythonFile},
    timetables::{self, Timetables, last_runs},
};

/// Most uses of older versions of Airflow that are told of one file.
const MOST_TOLD: usize = 20;

/// More printed bytes than that are worth a warning: it is done each time the file is read, and nobody sees it.
const MUCH: u64 = 1 << 20;

/// Reads Python files.
pub struct Reader {
    bridge: Arc<Bridge>,
    store: Store,
    /// There are files that could not be read for want of a fork server.
    is_starved: bool,
    timetables: Timetables,
}

impl Reader {
    /// With the fork server of this process.
    pub fn new(bridge: Arc<Bridge>, store: Store) -> Self {
        Self { bridge, store, is_starved: false, timetables: Timetables::default() }
    }

    /// There are files that could not be read for want of a fork server, and it may work now: they are to be read again.
    pub async fn wants_another_try(&mut self) -> bool {
        let wants = self.is_starved && self.bridge.may_work().await;
        self.is_starved &= !wants;
        wants
    }

    /// The files with timetables of plugins that are to be asked again, a few at a time.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn outworn(&mut self, now: DateTime<Utc>) -> Result<Vec<String>, store::Error> {
        self.timetables.outworn(&self.store, now).await
    }

    /// When timetables may be asked again that may not be yet.
    pub fn next_asking(&self) -> Option<Instant> {
        self.timetables.next_asking()
    }

    /// Reads some files at the same time.
    ///
    /// # Errors
    /// Only when the database fails. What is wrong with a file is in the answer.
    pub async fn read(&mut self, files: &[PythonFile]) -> Result<Vec<(LoadedFile, Findings)>, store::Error> {
        let zygote = self.bridge.zygote().await;
        self.is_starved |= zygote.is_err();
        let zygote = match zygote {
            Ok(zygote) => zygote,
            Err(why) => {
                return Ok(files.iter().map(|file| (unread(file, &why), Findings::default())).collect());
            }
        };
        let last = last_runs(&self.store, files).await?;
        let timed = async |file| {
            let began = Instant::now();
            (self.read_one(&zygote, file, &last).await, began.elapsed())
        };
        let mut read = join_all(files.iter().map(timed)).await;
        for ((file, _), _) in &mut read {
            timetables::keep_names_apart(&self.store, file).await?;
        }
        for ((file, _), took) in &read {
            self.timetables.note(file, *took);
        }
        Ok(read.into_iter().map(|(read, _)| read).collect())
    }

    async fn read_one(&self, zygote: &Zygote, file: &PythonFile, last: &LastRuns) -> (LoadedFile, Findings) {
        let began = Instant::now();
        let records = Records::of(&self.store);
        let path = file.path.display().to_string();
        let read = self.bridge.read(zygote, &path, last, &records).await;
        let masker = records.into_masker();
        match read {
            Ok(mut parsed) => {
                let failed = (!parsed.errors.is_empty()).then(|| began.elapsed());
                let findings = Findings { touched: std::mem::take(&mut parsed.read), failed };
                (loaded(file, parsed, &masker), findings)
            }
            Err(failure) => {
                let findings = Findings { touched: Vec::new(), failed: Some(began.elapsed()) };
                (unread(file, &masker.text(&failure.to_string())), findings)
            }
        }
    }
}

fn loaded(file: &PythonFile, parsed: Parsed, masker: &Masker) -> LoadedFile {
    if !parsed.old.is_empty() {
        let uses: Vec<String> = parsed.old.iter().take(MOST_TOLD).map(told).collect();
        warn!(
            file = file.file,
            uses = parsed.old.len(),
            "it uses what Airflow 3 removed: {}",
            uses.join("; ")
        );
    }
    if parsed.printed_bytes > MUCH {
        warn!(
            file = file.file,
            bytes = parsed.printed_bytes,
            "it prints much whenever it is read, which nobody sees: move that into its tasks"
        );
    }
    let mut dags = Vec::with_capacity(parsed.dags.len());
    let traces = parsed.errors.values().map(|trace| places::of_traceback(&masker.text(trace), &file.file));
    let mut errors: Vec<NewImportError> = traces.map(import_error).collect();
    for serialized in &parsed.dags {
        match serialized::read(serialized, &file.file) {
            Ok(dag) => dags.push(LoadedDag {
                dag: Arc::new(dag),
                source: file.source.clone(),
                place: places::of_dag(serialized, &file.source),
            }),
            Err(refused) => {
                errors.push(import_error(places::problem(&file.file, &masker.text(&refused.to_string()))))
            }
        }
    }
    LoadedFile { file: file.file.clone(), dags, errors }
}

fn told(Old { file, line, text }: &Old) -> String {
    format!("{} line {line}: {text}", file.rsplit('/').next().unwrap_or_default())
}

fn unread(file: &PythonFile, why: &str) -> LoadedFile {
    let error = import_error(places::problem(&file.file, why));
    LoadedFile { file: file.file.clone(), dags: Vec::new(), errors: vec![error] }
}
