//! Airflow DAG files: read by Airflow's own parser, each in a child of a fork server.

use std::{sync::Arc, time::Instant};

use domain::serialized::{self, places};
use futures_util::future::join_all;
use python::{Limits, Old, Parsed, Zygote};
use runtime::mask::Masker;
use store::{
    Store,
    dag::{LoadedDag, LoadedFile},
    import_error::NewImportError,
};
use tracing::warn;

use crate::{
    bridge::{Bridge, Records},
    dags::import_error,
    folder::{Findings, PythonFile},
};

/// Most uses of older versions of Airflow that are told of one file.
const MOST_TOLD: usize = 20;

/// Reads Python files.
pub struct Reader {
    bridge: Arc<Bridge>,
    store: Store,
    /// There are files that could not be read for want of a fork server.
    is_starved: bool,
}

impl Reader {
    /// With the fork server of this process.
    pub const fn new(bridge: Arc<Bridge>, store: Store) -> Self {
        Self { bridge, store, is_starved: false }
    }

    /// There are files that could not be read for want of a fork server, and it may work now: they are to be read again.
    pub async fn wants_another_try(&mut self) -> bool {
        let wants = self.is_starved && self.bridge.may_work().await;
        self.is_starved &= !wants;
        wants
    }

    /// Reads some files at the same time.
    pub async fn read(&mut self, files: &[PythonFile]) -> Vec<(LoadedFile, Findings)> {
        let zygote = self.bridge.zygote().await;
        self.is_starved |= zygote.is_err();
        match zygote {
            Ok(zygote) => join_all(files.iter().map(|file| self.read_one(&zygote, file))).await,
            Err(why) => files.iter().map(|file| (unread(file, &why), Findings::default())).collect(),
        }
    }

    async fn read_one(&self, zygote: &Zygote, file: &PythonFile) -> (LoadedFile, Findings) {
        let began = Instant::now();
        let records = Records::of(&self.store);
        let path = file.path.display().to_string();
        let read = self.bridge.run(zygote, &path, &[], Limits::default(), &records).await;
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
