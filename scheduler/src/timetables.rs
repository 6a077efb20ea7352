//! Timetables that plugins of Airflow's bring: each is asked for its next runs while its DAG file is read
//! (`python/bridge/plugins.py`), and again, by reading the file again, when its answer is used up or old.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use domain::{
    dag::Dag,
    id::{DagId, RunId},
    timetable::NextRun,
};
use store::{
    Store,
    dag::{LoadedFile, Progress},
};
use tracing::warn;

use crate::{bridge::LastRuns, folder::PythonFile};

/// A file is not read again sooner than after this while and ten times what its reading took, however fast its runs are
/// used up: asking costs at most a tenth of a core for each file that wants it all the time.
const PAUSE: Duration = Duration::from_secs(5);

/// Most files of which it is found at once that they are to be read again.
const MOST: usize = 20;

/// The DAGs with such timetables, by their file.
#[derive(Default)]
pub struct Timetables {
    asked: HashMap<String, Asked>,
}

struct Asked {
    /// Not before.
    again: Instant,
    dags: Vec<Arc<Dag>>,
}

impl Timetables {
    /// A file was read, and it took so long. What it told before stands while there are errors in it.
    pub fn note(&mut self, file: &LoadedFile, took: Duration) {
        self.note_at(file, took, Instant::now());
    }

    fn note_at(&mut self, file: &LoadedFile, took: Duration, at: Instant) {
        let again = at + PAUSE + took * 10;
        let dags: Vec<Arc<Dag>> = file
            .dags
            .iter()
            .filter(|loaded| loaded.dag.schedule.listed().is_some())
            .map(|loaded| Arc::clone(&loaded.dag))
            .collect();
        dags.iter().for_each(|dag| tell_fault(dag));
        if !dags.is_empty() {
            self.asked.insert(file.file.clone(), Asked { again, dags });
        } else if file.errors.is_empty() {
            self.asked.remove(&file.file);
        } else if let Some(asked) = self.asked.get_mut(&file.file) {
            asked.again = again;
        }
    }

    /// When the next of the files may be read again that may not be yet.
    pub fn next_asking(&self) -> Option<Instant> {
        let now = Instant::now();
        self.asked.values().map(|asked| asked.again).filter(|again| *again > now).min()
    }

    /// The files whose timetables are to be asked again, a few at a time. What the records do not have any more is forgotten.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn outworn(&mut self, store: &Store, now: DateTime<Utc>) -> Result<Vec<String>, store::Error> {
        if self.asked.is_empty() {
            return Ok(Vec::new());
        }
        let files: Vec<&str> = self.asked.keys().map(String::as_str).collect();
        let progress = store.progress_of(&files).await?;
        Ok(self.outworn_at(&progress, Instant::now(), now))
    }

    fn outworn_at(&mut self, progress: &[Progress], at: Instant, now: DateTime<Utc>) -> Vec<String> {
        let present: HashSet<&str> = progress.iter().map(|progress| progress.file.as_str()).collect();
        let by_id: HashMap<&DagId, &Progress> =
            progress.iter().map(|progress| (&progress.dag_id, progress)).collect();
        self.asked.retain(|file, _| present.contains(file.as_str()));
        let outworn = self.asked.iter().filter(|(_, asked)| asked.again <= at);
        let outworn = outworn.filter(|(_, asked)| asked.is_outworn(&by_id, now));
        outworn.map(|(file, _)| file.clone()).take(MOST).collect()
    }
}

impl Asked {
    fn is_outworn(&self, progress: &HashMap<&DagId, &Progress>, now: DateTime<Utc>) -> bool {
        self.dags.iter().any(|dag| {
            let found = progress.get(&dag.dag_id).zip(dag.schedule.listed());
            found.is_some_and(|(progress, listed)| {
                let cursor = progress.last.map(|last| last.data_interval);
                listed.is_outworn(cursor.as_ref(), dag.catchup, progress.is_paused, now)
            })
        })
    }
}

/// What the timetables in some files are told: the last runs of their DAGs.
///
/// # Errors
/// Only when the database fails.
pub async fn last_runs(store: &Store, files: &[PythonFile]) -> Result<LastRuns, store::Error> {
    let files: Vec<&str> = files.iter().map(|file| file.file.as_str()).collect();
    let progress = store.progress_of(&files).await?;
    let last = |Progress { dag_id, last, .. }: Progress| {
        let NextRun { data_interval, run_after, .. } = last?;
        let micros = [data_interval.start, data_interval.end, run_after].map(|at| at.timestamp_micros());
        Some((dag_id.to_string(), micros))
    };
    Ok(progress.into_iter().filter_map(last).collect())
}

/// A timetable may call its runs as it likes; one that calls a run to come as another run is called already has its runs named after their
/// times, since no two runs of a DAG have the same name.
///
/// # Errors
/// Only when the database fails.
pub async fn keep_names_apart(store: &Store, file: &mut LoadedFile) -> Result<(), store::Error> {
    for loaded in &mut file.dags {
        let Some(listed) = loaded.dag.schedule.listed() else { continue };
        let named: Vec<(&RunId, &NextRun)> = listed.listing().named(None).collect();
        if let Some(taken) = store.taken_name(&loaded.dag.dag_id, &named).await? {
            let listing = listed.listing().clone().without_names(&taken);
            let dag = Arc::make_mut(&mut loaded.dag);
            dag.schedule = dag.schedule.clone().with_listing(listing);
        }
    }
    Ok(())
}

fn tell_fault(dag: &Dag) {
    let listed = dag.schedule.listed();
    if let Some((listed, fault)) = listed.and_then(|listed| Some((listed, listed.listing().fault()?))) {
        warn!(dag_id = %dag.dag_id, timetable = listed.program().class, fault, "a timetable cannot name all its runs");
    }
}

#[cfg(test)]
mod tests;
