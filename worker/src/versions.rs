//! The DAG versions that were used last. A version never changes, so there is nothing to invalidate.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::dag::Dag;
use domain::engine::record::VersionId;
use domain::id::TaskId;

/// Most versions that are kept.
const MOST: usize = 200;

/// A DAG version, ready for use.
#[derive(Debug)]
pub(crate) struct Version {
    /// Its contents.
    pub(crate) dag: Arc<Dag>,
    places: HashMap<TaskId, usize>,
}

/// The versions that were used last.
#[derive(Debug, Default)]
pub(crate) struct Versions(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    versions: HashMap<VersionId, (Arc<Version>, u64)>,
    uses: u64,
}

impl Version {
    fn new(dag: Arc<Dag>) -> Version {
        let places =
            dag.tasks.iter().enumerate().map(|(place, task)| (task.task_id.clone(), place)).collect();
        Version { dag, places }
    }

    /// Where a task is in it.
    pub(crate) fn place(&self, task_id: &TaskId) -> Option<usize> {
        self.places.get(task_id).copied()
    }
}

impl Versions {
    /// A version, if it is kept.
    pub(crate) fn get(&self, id: VersionId) -> Option<Arc<Version>> {
        let kept = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let (version, used) = kept.versions.get_mut(&id)?;
        *used = kept.uses;
        Some(Arc::clone(version))
    }

    /// Keeps a version, in place of the one that was not used for the longest time.
    pub(crate) fn put(&self, id: VersionId, dag: Arc<Dag>) -> Arc<Version> {
        let version = Arc::new(Version::new(dag));
        let kept = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.versions.len() >= MOST {
            let oldest = kept.versions.iter().min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id);
            oldest.map(|id| kept.versions.remove(&id));
        }
        kept.uses += 1;
        kept.versions.insert(id, (Arc::clone(&version), kept.uses));
        version
    }
}
