//! Turns what items need into edges between tasks, and makes sure that there is a first one.
//!
//! A group as an upstream stands for its leaves, the tasks nothing inside it waits for; a group that depends on something
//! passes that on to its roots, the tasks that wait for nothing inside it. Both can be told from the needs alone: whatever is
//! needed from within a group, or needs something within it, is no leaf or no root of that group and of those around it.

use std::collections::{BTreeMap, HashMap};

use super::{
    diagnostic::Problem,
    names::Need,
    node::{At, shown},
    reading::Reading,
    tree::{Body, Item},
};

/// Most dependencies between tasks in one DAG.
pub(super) const MAX_EDGES: usize = 1_000_000;
/// Most cycles told about one DAG.
const MAX_CYCLES: usize = 5;

/// For each item the tasks it waits for, and where that is written; empty for groups.
pub(super) type Upstreams = Vec<BTreeMap<usize, At>>;

/// The edges that the needs amount to.
pub(super) fn edges(items: &[Item], needs: &[Need], reading: &mut Reading<'_>) -> Upstreams {
    let bounds = Bounds::new(items, needs);
    let (mut leaves, mut roots) = (HashMap::new(), HashMap::new());
    let mut upstreams = vec![BTreeMap::new(); items.len()];
    let mut total = 0_usize;
    for need in needs {
        let before: &Vec<usize> = leaves.entry(need.to).or_insert_with(|| bounds.leaves(items, need.to));
        let after: &Vec<usize> = roots.entry(need.from).or_insert_with(|| bounds.roots(items, need.from));
        total = total.saturating_add(before.len().saturating_mul(after.len()));
        if total > MAX_EDGES {
            let message = format!("the DAG has more than {MAX_EDGES} dependencies");
            reading.add(Problem::new(need.at, message).hint("put an `empty` task between two large groups"));
            break;
        }
        for downstream in after {
            if let Some(upstream) = upstreams.get_mut(*downstream) {
                for task in before {
                    upstream.entry(*task).or_insert(need.at);
                }
            }
        }
    }
    upstreams
}

/// How deep the innermost group is in which an item, or one around it, is needed or needs something; 0 for no group.
struct Bounds {
    needed: Vec<usize>,
    needs: Vec<usize>,
}

impl Bounds {
    fn new(items: &[Item], needs: &[Need]) -> Self {
        let mut bounds = Self { needed: vec![0; items.len()], needs: vec![0; items.len()] };
        for need in needs {
            let depth = common_depth(items, need.from, need.to);
            // What only a teardown waits for is still what others wait for: a teardown cleans up beside them.
            if !is_teardown(items, need.from) {
                raise(&mut bounds.needed, need.to, depth);
            }
            raise(&mut bounds.needs, need.from, depth);
        }
        // Groups come before what is in them, so one pass hands everything down.
        for (index, item) in items.iter().enumerate() {
            if let Some(parent) = item.parent {
                let (needed, needs) = (at(&bounds.needed, parent), at(&bounds.needs, parent));
                raise(&mut bounds.needed, index, needed);
                raise(&mut bounds.needs, index, needs);
            }
        }
        bounds
    }

    fn leaves(&self, items: &[Item], index: usize) -> Vec<usize> {
        let leaves = Self::ends(items, index, &self.needed);
        let waited_for = |leaf: &usize| !is_teardown(items, *leaf) && !is_setup(items, *leaf);
        let work: Vec<usize> = leaves.iter().copied().filter(waited_for).collect();
        if work.is_empty() { leaves } else { work }
    }

    fn roots(&self, items: &[Item], index: usize) -> Vec<usize> {
        Self::ends(items, index, &self.needs)
    }

    fn ends(items: &[Item], index: usize, bounds: &[usize]) -> Vec<usize> {
        let Some(item) = items.get(index) else {
            return Vec::new();
        };
        if !item.is_group() {
            return vec![index];
        }
        let is_task = |inner: &usize| items.get(*inner).is_some_and(|inner| !inner.is_group());
        (index + 1..item.end).filter(is_task).filter(|inner| at(bounds, *inner) <= item.depth).collect()
    }
}

fn is_teardown(items: &[Item], index: usize) -> bool {
    matches!(items.get(index).map(|item| &item.body), Some(Body::Task(Some(task))) if task.teardown.is_some())
}

fn is_setup(items: &[Item], index: usize) -> bool {
    matches!(items.get(index).map(|item| &item.body), Some(Body::Task(Some(task))) if task.setup)
}

fn at(bounds: &[usize], index: usize) -> usize {
    bounds.get(index).copied().unwrap_or(0)
}

fn raise(bounds: &mut [usize], index: usize, depth: usize) {
    if let Some(bound) = bounds.get_mut(index) {
        *bound = depth.max(*bound);
    }
}

/// Levels of groups that both items are in.
fn common_depth(items: &[Item], left: usize, right: usize) -> usize {
    let mut around = items.get(left).and_then(|item| item.parent);
    while let Some((index, group)) = around.and_then(|index| Some((index, items.get(index)?))) {
        if (index..group.end).contains(&right) {
            return group.depth + 1;
        }
        around = group.parent;
    }
    0
}

/// Tells the cycles, each at the dependency that closes it.
pub(super) fn refuse_cycles(items: &[Item], upstreams: &Upstreams, reading: &mut Reading<'_>) {
    let mut state = vec![Visit::New; upstreams.len()];
    let mut told = 0;
    for start in 0..upstreams.len() {
        if told == MAX_CYCLES {
            return;
        }
        if state.get(start) == Some(&Visit::New)
            && let Some(cycle) = walk(start, upstreams, &mut state)
        {
            reading.add(describe(items, upstreams, &cycle));
            told += 1;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    New,
    Open,
    Done,
}

/// Follows upstreams from `start` until one is met that is still open: the path from it and back is a cycle.
fn walk(start: usize, upstreams: &Upstreams, state: &mut [Visit]) -> Option<Vec<usize>> {
    let ahead = |task: usize| {
        upstreams.get(task).map(|up| up.keys().copied().collect::<Vec<_>>()).unwrap_or_default()
    };
    let mut path = vec![(start, ahead(start))];
    mark(state, start, Visit::Open);
    while let Some((task, rest)) = path.last_mut() {
        let Some(next) = rest.pop() else {
            mark(state, *task, Visit::Done);
            path.pop();
            continue;
        };
        match state.get(next) {
            Some(Visit::New) => {
                mark(state, next, Visit::Open);
                path.push((next, ahead(next)));
            }
            Some(Visit::Open) => {
                let tasks: Vec<usize> = path.iter().map(|(task, _)| *task).collect();
                tasks.iter().for_each(|task| mark(state, *task, Visit::Done));
                let first = tasks.iter().position(|task| *task == next).unwrap_or(0);
                return Some(tasks.get(first..).unwrap_or_default().to_vec());
            }
            Some(Visit::Done) | None => {}
        }
    }
    None
}

fn mark(state: &mut [Visit], task: usize, visit: Visit) {
    if let Some(slot) = state.get_mut(task) {
        *slot = visit;
    }
}

/// The cycle in the order of execution, from the task that stands first in the file.
fn describe(items: &[Item], upstreams: &Upstreams, cycle: &[usize]) -> Problem {
    const LONGEST: usize = 20;
    let mut order: Vec<usize> = cycle.iter().rev().copied().collect();
    let first = order.iter().enumerate().min_by_key(|(_, task)| **task).map_or(0, |(position, _)| position);
    order.rotate_left(first);
    let start = order.first().copied().unwrap_or(0);
    let last = order.last().copied().unwrap_or(start);
    let id = |task: &usize| items.get(*task).map(|item| shown(&item.id)).unwrap_or_default();
    let mut steps: Vec<String> = order.iter().take(LONGEST).map(id).collect();
    if order.len() > LONGEST {
        steps.push("...".into());
    }
    steps.push(id(&start));
    let place = upstreams.get(start).and_then(|upstream| upstream.get(&last)).copied();
    let place =
        place.or_else(|| items.get(start).map(|item| item.at)).unwrap_or(At { line: 1, column: 1, width: 1 });
    Problem::new(place, format!("the tasks wait for each other in a circle: {}", steps.join(" -> ")))
        .hint("remove one of these dependencies")
}
