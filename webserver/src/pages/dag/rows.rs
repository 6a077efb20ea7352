//! The rows of a grid: the tasks and groups of a DAG as a list with depths, in the order of the file.

use std::collections::HashSet;

use domain::dag::{Dag, Task};

use crate::pages::shelf::short_name;

/// Deepest indentation shown.
const DEEPEST: usize = 4;

/// A row before its cells are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// The id of the task or group.
    pub(super) id: String,
    /// What is written on it.
    pub(super) label: String,
    /// How many groups are around it, at most 4.
    pub(super) depth: usize,
    /// Whether it is a group.
    pub(super) is_group: bool,
    /// Whether it is mapped: a task with instances, or a group of such.
    pub(super) mapped: bool,
    /// The tasks whose states it shows: its own, or all in the group; places in the DAG's list.
    pub(super) tasks: std::ops::Range<usize>,
}

/// All rows of a DAG. Tasks of one group stand together in a file, so a group is a range of tasks.
pub(super) fn rows(dag: &Dag) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut open: Vec<(String, usize)> = Vec::new();
    let mut shown: HashSet<String> = HashSet::new();
    for (place, task) in dag.tasks.iter().enumerate() {
        let around = groups_around(dag, task);
        let shared = open.iter().zip(&around).take_while(|((id, _), wanted)| id == *wanted).count();
        close(&mut rows, &mut open, shared, place);
        for id in &around[shared.min(around.len())..] {
            if shown.insert(id.clone()) {
                open.push((id.clone(), rows.len()));
                rows.push(group_row(dag, id, open.len() - 1, place));
            } else {
                // A group that is left and entered again keeps its first row.
                open.push((id.clone(), usize::MAX));
            }
        }
        rows.push(task_row(dag, task, around.len(), place));
    }
    close(&mut rows, &mut open, 0, dag.tasks.len());
    rows
}

fn close(rows: &mut [Row], open: &mut Vec<(String, usize)>, keep: usize, end: usize) {
    for (_, row) in open.drain(keep..) {
        if let Some(row) = rows.get_mut(row) {
            row.tasks.end = end;
        }
    }
}

/// The ids of the groups around a task, outermost first.
fn groups_around(dag: &Dag, task: &Task) -> Vec<String> {
    let innermost = task.group.as_ref().map(|group| group.as_str());
    let mut around: Vec<String> =
        innermost.into_iter().flat_map(|group| dag.with_those_around(group)).map(str::to_owned).collect();
    around.reverse();
    around
}

fn group_row(dag: &Dag, id: &str, depth: usize, place: usize) -> Row {
    Row {
        label: short_name(id, dag.parent_group(id)),
        id: id.to_owned(),
        depth: depth.min(DEEPEST),
        is_group: true,
        mapped: dag.groups.iter().any(|group| group.group_id.as_str() == id && group.mapping().is_some()),
        tasks: place..place,
    }
}

fn task_row(dag: &Dag, task: &Task, depth: usize, place: usize) -> Row {
    let group = task.group.as_ref().map(|group| group.as_str());
    Row {
        label: short_name(task.task_id.as_str(), group),
        id: task.task_id.as_str().to_owned(),
        depth: depth.min(DEEPEST),
        is_group: false,
        mapped: dag.needs_expansion(task),
        tasks: place..place + 1,
    }
}

#[cfg(test)]
mod tests {
    use domain::dagfile;

    use super::rows;

    #[test]
    fn groups_stand_above_their_tasks() {
        let file = "dag_id: d\ntasks:\n  a: {empty: {}}\n  g:\n    tasks:\n      b: {empty: {}}\n      h:\n        tasks:\n          \
                    c: {empty: {}}\n      d: {empty: {}}\n  e: {empty: {}}\n";
        let parsed = dagfile::parse(file.as_bytes(), "d.yaml", &|_| Err(String::new()));
        let dag = &parsed.dags[0].dag;
        let told: Vec<_> = rows(dag)
            .into_iter()
            .map(|row| (row.id, row.label, row.depth, row.is_group, row.tasks.len()))
            .collect();
        let row = |id: &str, label: &str, depth, group, tasks| {
            (id.to_owned(), label.to_owned(), depth, group, tasks)
        };
        assert_eq!(
            told,
            [
                row("a", "a", 0, false, 1),
                row("g", "g", 0, true, 3),
                row("g.b", "b", 1, false, 1),
                row("g.h", "h", 1, true, 1),
                row("g.h.c", "c", 2, false, 1),
                row("g.d", "d", 1, false, 1),
                row("e", "e", 0, false, 1),
            ]
        );
    }
}
