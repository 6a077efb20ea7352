//! DAG versions and their laid-out graphs. A version never changes, so what was read or laid out once is kept; the least recently
//! used goes when there is too much.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use actix_web::web;
use domain::{
    dag::{Dag, Task},
    engine::record::VersionId,
};
use store::Store;

use crate::{
    error::Error,
    graph::{GroupSpec, Plan, TaskSpec},
};

/// Most tasks of all kept versions together.
const MOST_TASKS: usize = 200_000;
/// Most tasks of all kept graphs together.
const MOST_BOXES: usize = 200_000;

/// What a page knows of a version.
#[derive(Debug)]
pub(crate) struct Version {
    /// The contents.
    pub(crate) dag: Arc<Dag>,
    places: HashMap<String, usize>,
}

impl Version {
    fn new(dag: Arc<Dag>) -> Self {
        let places = dag
            .tasks
            .iter()
            .enumerate()
            .map(|(place, task)| (task.task_id.as_str().to_owned(), place))
            .collect();
        Self { dag, places }
    }

    /// A task by its id.
    pub(crate) fn task(&self, task_id: &str) -> Option<&Task> {
        self.places.get(task_id).and_then(|&place| self.dag.tasks.get(place))
    }
}

/// A version, and its groups that are open.
type PlanKey = (i64, BTreeSet<String>);

/// The shelf. One for each thread of the server, so that its locks are never waited for long.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    versions: Mutex<Recent<i64, Arc<Version>>>,
    plans: Mutex<Recent<PlanKey, Arc<Plan>>>,
}

impl Shelf {
    /// A version of a DAG.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none of that number, or the database's own.
    pub(crate) async fn version(&self, store: &Store, id: VersionId) -> Result<Arc<Version>, Error> {
        if let Some(known) = held(&self.versions).get(&id.0) {
            return Ok(known);
        }
        let found = store.version(id).await?;
        let (dag, _) = found.ok_or_else(|| Error::NotFound(format!("there is no DAG version {}", id.0)))?;
        let weight = dag.tasks.len();
        let version = Arc::new(Version::new(dag));
        held(&self.versions).put(id.0, Arc::clone(&version), weight, MOST_TASKS);
        Ok(version)
    }

    /// The graph of a version with the groups `open`.
    ///
    /// # Errors
    /// [`Error::Internal`] when the version is not a graph, which its loader never lets happen.
    pub(crate) async fn plan(
        &self,
        id: VersionId,
        dag: &Arc<Dag>,
        open: &BTreeSet<String>,
    ) -> Result<Arc<Plan>, Error> {
        let key = (id.0, open.clone());
        if let Some(known) = held(&self.plans).get(&key) {
            return Ok(known);
        }
        let (dag, open) = (Arc::clone(dag), open.clone());
        let weight = dag.tasks.len();
        let laid_out = web::block(move || plan_of(&dag, &open)).await;
        let plan = laid_out.map_err(|error| Error::Internal(error.to_string()))?;
        let plan = Arc::new(plan.map_err(|error| Error::Internal(error.to_string()))?);
        held(&self.plans).put(key, Arc::clone(&plan), weight, MOST_BOXES);
        Ok(plan)
    }
}

/// The last part of a dotted id: what is written where the groups around are shown anyway.
pub(crate) fn short_name(id: &str, group: Option<&str>) -> String {
    let inner = group.and_then(|group| id.strip_prefix(group)).and_then(|rest| rest.strip_prefix('.'));
    inner.unwrap_or(id).to_owned()
}

/// The operator, and the part that a task plays for its neighbours where that is a special one.
fn what_it_does(task: &Task) -> String {
    let operator = task.operator.key();
    match (task.setup, task.teardown) {
        (true, _) => format!("setup · {operator}"),
        (false, Some(_)) => format!("teardown · {operator}"),
        (false, None) => operator.to_owned(),
    }
}

/// The first task in a group that is not mapped further, so that it has one instance for each of the group's elements.
fn measure_of(dag: &Dag, group: &domain::dag::Group) -> Option<usize> {
    let is_it = |task: &Task| {
        let around = dag.mapped_groups(task);
        !task.is_mapped() && around.last().is_some_and(|&last| dag.groups[last].group_id == group.group_id)
    };
    dag.tasks.iter().position(is_it)
}

fn plan_of(dag: &Dag, open: &BTreeSet<String>) -> Result<Plan, crate::graph::Error> {
    let group_at: HashMap<&str, usize> =
        dag.groups.iter().enumerate().map(|(place, group)| (group.group_id.as_str(), place)).collect();
    let task_at: HashMap<&str, usize> =
        dag.tasks.iter().enumerate().map(|(place, task)| (task.task_id.as_str(), place)).collect();
    let group_spec = |group: &domain::dag::Group| {
        let parent = dag.parent_group(group.group_id.as_str());
        GroupSpec {
            group_id: group.group_id.as_str().to_owned(),
            label: short_name(group.group_id.as_str(), parent),
            parent: parent.and_then(|id| group_at.get(id).copied()),
            mapped: group.mapping().and_then(|_| measure_of(dag, group)),
        }
    };
    let task_spec = |task: &Task| {
        let group = task.group.as_ref().map(|group| group.as_str());
        TaskSpec {
            task_id: task.task_id.as_str().to_owned(),
            label: short_name(task.task_id.as_str(), group),
            operator: what_it_does(task),
            mapped: dag.needs_expansion(task),
            group: group.and_then(|id| group_at.get(id).copied()),
        }
    };
    let edges_to = |(to, task): (usize, &Task)| {
        let from = task.upstream.iter().filter_map(|id| task_at.get(id.as_str()).copied());
        from.map(|from| (from, to)).collect::<Vec<_>>()
    };
    let edges = dag.tasks.iter().enumerate().flat_map(edges_to).collect();
    Plan::new(
        dag.tasks.iter().map(task_spec).collect(),
        dag.groups.iter().map(group_spec).collect(),
        edges,
        open,
    )
}

/// Values by key, the most recently used first.
#[derive(Debug)]
struct Recent<K, V> {
    entries: VecDeque<(K, V, usize)>,
    weight: usize,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), weight: 0 }
    }
}

impl<K: PartialEq, V: Clone> Recent<K, V> {
    fn get(&mut self, key: &K) -> Option<V> {
        let place = self.entries.iter().position(|(known, ..)| known == key)?;
        let entry = self.entries.remove(place)?;
        let value = entry.1.clone();
        self.entries.push_front(entry);
        Some(value)
    }

    /// Adds a value and drops old ones while all together weigh more than `most`; every one weighs at least 100.
    fn put(&mut self, key: K, value: V, weight: usize, most: usize) {
        if self.get(&key).is_some() {
            return;
        }
        let weight = weight.max(100);
        self.weight += weight;
        self.entries.push_front((key, value, weight));
        while self.weight > most && self.entries.len() > 1 {
            let Some((_, _, gone)) = self.entries.pop_back() else {
                break;
            };
            self.weight -= gone;
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut recent = Recent::default();
        recent.put(1, "one", 100, 250);
        recent.put(2, "two", 100, 250);
        assert_eq!(recent.get(&1), Some("one"));
        recent.put(3, "three", 100, 250);
        assert_eq!((recent.get(&1), recent.get(&2), recent.get(&3)), (Some("one"), None, Some("three")));
    }

    #[test]
    fn what_is_too_large_is_kept_alone() {
        let mut recent = Recent::default();
        recent.put(1, "one", 100, 250);
        recent.put(2, "huge", 900, 250);
        assert_eq!((recent.get(&1), recent.get(&2)), (None, Some("huge")));
        assert_eq!(recent.weight, 900);
    }

    #[test]
    fn names_are_short_within_their_group() {
        assert_eq!(short_name("quality.nulls", Some("quality")), "nulls");
        assert_eq!(short_name("quality.nulls", None), "quality.nulls");
        assert_eq!(short_name("load", Some("quality")), "load");
    }
}
