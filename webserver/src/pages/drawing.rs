//! The picture of a DAG version with the states of one run: what the graph of a DAG and the graph of a run share.

use std::collections::{BTreeSet, HashMap};

use domain::engine::record::VersionId;
use store::view::{
    page_run::{MOST_TASKS, RunTask},
    run::Run,
};

use super::{paths, tally::Tally, visit::Visit, words};
use crate::{
    error::Error,
    graph::{GroupSpec, Live, Picture, TaskSpec},
};

/// Stands for all groups in the list of open ones.
const ALL: &str = "*";
/// Most groups that an address may name.
const MOST_OPEN: usize = 500;

/// A picture and the ways to other ones.
pub(crate) struct Drawn {
    pub(crate) picture: Picture,
    pub(crate) folds: Folds,
}

/// How to open and close groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Folds {
    /// The link that opens all groups, when some are closed.
    pub(crate) unfold: Option<String>,
    /// The link that closes them again, when the reader opened some.
    pub(crate) refold: Option<String>,
}

/// The groups that an address names as open, between commas.
pub(crate) fn open_groups(text: &str) -> BTreeSet<String> {
    text.split(',').filter(|id| !id.is_empty()).take(MOST_OPEN).map(str::to_owned).collect()
}

/// Draws a version, with the states of `run` when there is one. `path` is the page's address without the open groups.
///
/// # Errors
/// When the version is unknown, or the database fails.
pub(crate) async fn draw(
    visit: &Visit,
    version: VersionId,
    run: Option<&Run>,
    open: &BTreeSet<String>,
    path: &str,
) -> Result<Drawn, Error> {
    let store = &visit.state.store;
    let known = visit.shelf().version(store, version).await?;
    let every_group = || known.dag.groups.iter().map(|group| group.group_id.as_str().to_owned()).collect();
    let opened = if open.contains(ALL) { every_group() } else { open.clone() };
    let plan = visit.shelf().plan(version, &known.dag, &opened).await?;
    let tasks = match run {
        Some(run) => store.run_tasks(run.key, &[], MOST_TASKS, 0).await?,
        None => Vec::new(),
    };
    let states: HashMap<&str, &RunTask> = tasks.iter().map(|task| (task.task_id.as_str(), task)).collect();
    let live = |spec: &TaskSpec| match (run, states.get(spec.task_id.as_str())) {
        (Some(run), Some(task)) => live(run, task, visit),
        (Some(_), None) | (None, _) => Live::default(),
    };
    let link = |group: &str| {
        let mut wanted: Vec<&str> = open.iter().map(String::as_str).collect();
        wanted.push(group);
        paths::with_query(path, &[("open", &wanted.join(","))])
    };
    let name = format!("Graph of {}", known.dag.dag_id);
    Ok(Drawn {
        picture: Picture::new(&name, &plan, live, |group: &GroupSpec| link(&group.group_id)),
        folds: Folds {
            unfold: plan.is_folded().then(|| link(ALL)),
            refold: (!open.is_empty()).then(|| path.to_owned()),
        },
    })
}

fn live(run: &Run, task: &RunTask, visit: &Visit) -> Live {
    let tally: Tally = task.states.iter().copied().collect();
    let instance = |(state, count): (domain::state::TaskState, i64)| {
        (state.as_str(), u32::try_from(count).unwrap_or(u32::MAX))
    };
    Live {
        state: tally.state().map(domain::state::TaskState::as_str),
        instances: if task.is_expanded { tally.present().map(instance).collect() } else { Vec::new() },
        note: task.started_at.map(|start| words::duration(task.ended_at.unwrap_or(visit.now) - start)),
        href: Some(paths::task(run.dag_id.as_str(), run.run_id.as_str(), &task.task_id)),
    }
}

#[cfg(test)]
mod tests {
    use super::open_groups;

    #[test]
    fn open_groups_are_read_from_the_address() {
        assert_eq!(open_groups("a,b.c,,a").into_iter().collect::<Vec<_>>(), ["a", "b.c"]);
        assert!(open_groups("").is_empty());
        assert_eq!(open_groups(&"x,".repeat(9_000)).len(), 1);
    }
}
