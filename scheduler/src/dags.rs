//! Loading DAG files while leading: at the start, and whenever the folder changes.

use std::{
    collections::HashSet,
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{engine::event::Event, ignore::Syntax};
use notify::{RecursiveMode, Watcher};
use store::{
    LeaderProof, Store,
    dag::{LoadedDag, LoadedFile, MOST_FILES},
    import_error::NewImportError,
};
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::{
    Error, Scheduler,
    bridge::Bridge,
    folder::{Changes, FileRead, Folder},
    python_files::Reader,
};

/// An editor writes a file in several steps; so long after the first one the folder is looked at.
const SETTLE: Duration = Duration::from_millis(50);

/// The folder is looked at anyway after a hundred times as long as the last look took, within these bounds: network file
/// systems send no events. So looking never costs more than one percent of a core.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Python files that are read at the same time.
const AT_ONCE: usize = 2;

/// Batches of loaded DAGs on their way to the engine.
pub type DagEvents = mpsc::Receiver<Vec<Event>>;

/// Keeps the records in step with the folder until it is dropped.
pub async fn load(
    scheduler: &Scheduler,
    bridge: Arc<Bridge>,
    proof: &LeaderProof,
    to: mpsc::Sender<Vec<Event>>,
) -> Infallible {
    let root = scheduler.settings.dags_folder.clone();
    let (bell, mut changed) = mpsc::channel(1);
    let _watcher = watch(&root, bell);
    let mut folder = Folder::new(root.clone(), ignore_syntax());
    let mut reader = Reader::new(bridge, scheduler.store.clone());
    let mut known = None;
    loop {
        let began = Instant::now();
        if reader.wants_another_try().await {
            folder.forget_python();
        }
        match reader.outworn(scheduler.clock.now()).await {
            Ok(files) => files.iter().for_each(|file| folder.forget_file(file)),
            Err(error) => warn!(%error, "cannot look which timetables are to be asked again"),
        }
        let (back, result) = look(folder).await;
        folder = back;
        match result {
            Ok(changes) => {
                let mut loader = Loader {
                    store: &scheduler.store,
                    proof,
                    to: &to,
                    reader: &mut reader,
                    folder: &mut folder,
                };
                if let Err(error) = loader.save(changes, &mut known).await {
                    warn!(%error, "cannot save the DAGs; trying again");
                    folder.forget();
                }
            }
            Err(error) => warn!(folder = %root.display(), %error, "cannot read the DAGs folder"),
        }
        let pause = (began.elapsed() * 100).clamp(LOOK_EVERY.0, LOOK_EVERY.1);
        let asking = reader.next_asking().map(|at| at.saturating_duration_since(Instant::now()));
        let pause = asking.map_or(pause, |asking| asking.min(pause));
        tokio::select! {
            Some(()) = changed.recv() => tokio::time::sleep(SETTLE).await,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn watch(root: &std::path::Path, bell: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
    let ring = move |event: notify::Result<notify::Event>| {
        // Reading a file is an event too, and ours would ring for ever. A full channel means that the bell rang already.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            let _rung_already = bell.try_send(());
        }
    };
    let watcher = notify::recommended_watcher(ring).and_then(|mut watcher| {
        watcher.watch(root, RecursiveMode::Recursive)?;
        Ok(watcher)
    });
    watcher
        .inspect_err(
            |error| warn!(%error, "cannot watch the DAGs folder; looking at it from time to time instead"),
        )
        .ok()
}

async fn look(mut folder: Folder) -> (Folder, std::io::Result<Changes>) {
    let looked = tokio::task::spawn_blocking(move || {
        let changes = folder.look();
        (folder, changes)
    });
    looked.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// The syntax of `.airflowignore` files, as Airflow's own setting says: `AIRFLOW__CORE__DAG_IGNORE_FILE_SYNTAX`, `glob` unless given.
#[must_use]
pub fn ignore_syntax() -> Syntax {
    let name = std::env::var("AIRFLOW__CORE__DAG_IGNORE_FILE_SYNTAX").unwrap_or_default();
    name.parse().unwrap_or_else(|error| {
        warn!(%error, "AIRFLOW__CORE__DAG_IGNORE_FILE_SYNTAX is left out");
        Syntax::default()
    })
}

/// What takes the changes of the folder to the records and to the engine.
struct Loader<'a> {
    store: &'a Store,
    proof: &'a LeaderProof,
    to: &'a mpsc::Sender<Vec<Event>>,
    reader: &'a mut Reader,
    folder: &'a mut Folder,
}

impl Loader<'_> {
    async fn save(&mut self, changes: Changes, known: &mut Option<()>) -> Result<(), Error> {
        changes.refused.iter().for_each(|why| warn!("a pattern is left out: {why}"));
        let mut files: Vec<LoadedFile> = changes.gone.into_iter().map(gone).collect();
        if known.is_none() {
            // The first look of a term: what the records know and the folder does not have is gone.
            let read = changes.read.iter().map(|read| &read.file);
            let present: HashSet<&String> =
                read.chain(changes.python.iter().map(|python| &python.file)).collect();
            let present = |file: &String| present.contains(file);
            files.extend(self.store.known_files().await?.into_iter().filter(|file| !present(file)).map(gone));
        }
        for read in changes.read {
            report(&read);
            files.push(loaded(read));
        }
        self.write(&files).await?;
        // Each is read on its own, and what was read is live before the last one is.
        for batch in changes.python.chunks(AT_ONCE) {
            let mut files = Vec::with_capacity(batch.len());
            for (file, findings) in self.reader.read(batch).await? {
                self.folder.note(&file.file, findings);
                files.push(file);
            }
            self.write(&files).await?;
        }
        *known = Some(());
        Ok(())
    }

    async fn write(&self, files: &[LoadedFile]) -> Result<(), Error> {
        for batch in files.chunks(MOST_FILES) {
            let saved = self.store.save(self.proof, batch).await?;
            for refused in &saved.refused {
                let (line, column) = refused.place;
                let (dag_id, file, owner) = (&refused.dag_id, &refused.file, &refused.owner);
                warn!(%dag_id, file, line, column, owner, "another file has this DAG");
            }
            let events: Vec<Event> = saved.changed.into_iter().map(|dag| Event::Dag(Box::new(dag))).collect();
            if !events.is_empty() {
                info!(dags = events.len(), "DAGs changed");
                drop(self.to.send(events).await);
            }
        }
        Ok(())
    }
}

fn gone(file: String) -> LoadedFile {
    LoadedFile { file, ..LoadedFile::default() }
}

fn report(read: &FileRead) {
    for error in &read.parsed.errors {
        let hint = error.hint.as_deref();
        warn!(file = error.file, line = error.line, column = error.column, hint, "{}", error.message);
    }
}

fn loaded(read: FileRead) -> LoadedFile {
    let source = read.source;
    let dag = |loaded: domain::dagfile::Loaded| LoadedDag {
        dag: Arc::new(loaded.dag),
        source: source.clone(),
        place: (loaded.line, loaded.column),
    };
    LoadedFile {
        file: read.file,
        dags: read.parsed.dags.into_iter().map(dag).collect(),
        errors: read.parsed.errors.into_iter().map(import_error).collect(),
    }
}

/// A problem of a file, as the records have it.
pub fn import_error(error: domain::dagfile::Diagnostic) -> NewImportError {
    NewImportError {
        line: Some(error.line),
        column: Some(error.column),
        message: error.message,
        hint: error.hint,
        snippet: (!error.snippet.is_empty()).then(|| error.snippet.join("\n")),
    }
}
