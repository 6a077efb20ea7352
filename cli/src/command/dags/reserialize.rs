//! `tradewind dags reserialize`: what a scheduler does with the DAGs folder, once, when none runs. For images and scripts that
//! want the DAGs in the records before anything starts.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use domain::dagfile::Diagnostic;
use store::{
    LeaderProof, Store,
    dag::{LoadedDag, LoadedFile, MOST_FILES},
    import_error::NewImportError,
    lease,
};
use uuid::Uuid;

use crate::{args::Common, dagfiles, output, setup};

/// How long saving may take before another leader may come.
const LEASE: Duration = Duration::from_secs(60);

/// Brings the records in step with the DAGs folder.
pub async fn run(common: &Common) -> Result<()> {
    let (config, store) = setup::for_command(common).await?;
    let Some(proof) = store.acquire(lease::MAIN, Uuid::now_v7(), LEASE).await? else {
        return output::say("A scheduler is leading: it reads changed files by itself, within two seconds.");
    };
    let saved = save(&store, &proof, &config.dags_folder).await;
    store.release(proof).await?;
    let (dags, errors) = saved?;
    output::say(&format!("{dags} DAGs read; {errors} problems in their files."))
}

async fn save(store: &Store, proof: &LeaderProof, folder: &Path) -> Result<(usize, usize)> {
    std::fs::read_dir(folder).with_context(|| format!("cannot read the DAGs folder {}", folder.display()))?;
    // What is written in Python is read by schedulers only.
    let is_python = |file: &str| file.ends_with(".py") || file.ends_with(".zip");
    let files = dagfiles::below(folder)?;
    let files = files.iter().filter(|file| !is_python(&file.to_string_lossy()));
    let present: Vec<LoadedFile> = files.map(|file| load(folder, file)).collect::<Result<_>>()?;
    let dags = present.iter().map(|file| file.dags.len()).sum();
    let errors = present.iter().map(|file| file.errors.len()).sum();
    let is_gone = |file: &String| present.iter().all(|known| known.file != *file);
    let gone = store.known_files().await?.into_iter().filter(|file| is_gone(file) && !is_python(file));
    let gone: Vec<LoadedFile> = gone.map(|file| LoadedFile { file, ..LoadedFile::default() }).collect();
    for batch in gone.chunks(MOST_FILES).chain(present.chunks(MOST_FILES)) {
        for refused in store.save(proof, batch).await?.refused {
            output::note(&format!(
                "{} in {} was left out: {} has it",
                refused.dag_id, refused.file, refused.owner
            ));
        }
    }
    Ok((dags, errors))
}

fn load(folder: &Path, path: &Path) -> Result<LoadedFile> {
    let name =
        path.strip_prefix(folder).context("a file that is not in its folder")?.to_string_lossy().into_owned();
    let parsed = dagfiles::read(path);
    let source = std::fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', ""))
        .unwrap_or_default();
    let dag = |loaded: domain::dagfile::Loaded| LoadedDag {
        dag: Arc::new(loaded.dag),
        source: source.clone(),
        place: (loaded.line, loaded.column),
    };
    Ok(LoadedFile {
        file: name,
        dags: parsed.dags.into_iter().map(dag).collect(),
        errors: parsed.errors.into_iter().map(error).collect(),
    })
}

fn error(error: Diagnostic) -> NewImportError {
    NewImportError {
        line: Some(error.line),
        column: Some(error.column),
        message: error.message,
        hint: error.hint,
        snippet: (!error.snippet.is_empty()).then(|| error.snippet.join("\n")),
    }
}
