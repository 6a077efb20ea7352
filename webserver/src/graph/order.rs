//! The order within the columns: barycentre sweeps that keep groups together and lanes straight.
//!
//! One invariant carries the whole layout: things that lie in two neighbouring columns (lanes, groups) have the same relative order in
//! both. A sweep keeps it because what continues from the column before is sorted by its position there, and only what begins is
//! sorted by its neighbours. So "above" never runs in a circle and [`super::place`] always finds a solution.

use std::cmp::Ordering;

use super::Graph;
use super::skeleton::{Skeleton, Span};

/// Sorts `skeleton.columns` so that few edges cross.
pub(super) fn order(graph: &Graph, skeleton: &mut Skeleton) {
    let sweeps = match skeleton.items.len() {
        0..=3_000 => 8,
        3_001..=12_000 => 4,
        _ => 2,
    };
    let mut sweep = Sweep::new(graph, skeleton);
    let mut best: Option<(usize, Vec<Vec<usize>>)> = None;
    for turn in 0..sweeps {
        sweep.run(if turn % 2 == 0 { Direction::Right } else { Direction::Left });
        let crossings = sweep.crossings();
        if best.as_ref().is_none_or(|(fewest, _)| crossings < *fewest) {
            best = Some((crossings, sweep.columns.clone()));
        }
        if crossings == 0 {
            break;
        }
    }
    if let Some((_, columns)) = best {
        skeleton.columns = columns;
    }
}

/// Which way a sweep goes through the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// From the first column to the last; left neighbours decide.
    Right,
    /// From the last column to the first; right neighbours decide.
    Left,
}

struct Sweep<'a> {
    graph: &'a Graph,
    skeleton: &'a Skeleton,
    columns: Vec<Vec<usize>>,
    left: Vec<Vec<usize>>,
    right: Vec<Vec<usize>>,
    /// Position of each item in the column seen last, counted from the column's middle.
    slots: Vec<f64>,
    /// Sort key of each item and each group in the column that is being sorted.
    item_keys: Vec<f64>,
    group_keys: Vec<Mean>,
    /// Groups around each item, outermost first.
    paths: Vec<Vec<usize>>,
}

impl<'a> Sweep<'a> {
    fn new(graph: &'a Graph, skeleton: &'a Skeleton) -> Self {
        let count = skeleton.items.len();
        let mut left = vec![Vec::new(); count];
        let mut right = vec![Vec::new(); count];
        for &(from, to) in &skeleton.links {
            left[to].push(from);
            right[from].push(to);
        }
        let path = |group| {
            let mut path: Vec<usize> = graph.ancestors(group).collect();
            path.reverse();
            path
        };
        let paths = skeleton.items.iter().map(|item| path(item.group)).collect();
        let (slots, item_keys) = (vec![0.0; count], vec![0.0; count]);
        let group_keys = vec![Mean::default(); graph.groups.len()];
        Self {
            graph,
            skeleton,
            columns: skeleton.columns.clone(),
            left,
            right,
            slots,
            item_keys,
            group_keys,
            paths,
        }
    }

    fn run(&mut self, direction: Direction) {
        let count = self.columns.len();
        for step in 0..count {
            match direction {
                Direction::Right => self.sort_column(step, step.checked_sub(1), direction),
                Direction::Left => {
                    self.sort_column(count - 1 - step, (step > 0).then(|| count - step), direction)
                }
            }
        }
    }

    /// Sorts column `rank`, `seen` being the neighbouring column that was sorted just before.
    fn sort_column(&mut self, rank: usize, seen: Option<usize>, direction: Direction) {
        let mut column = std::mem::take(&mut self.columns[rank]);
        let middle = middle(column.len());
        for (index, &item) in column.iter().enumerate() {
            self.item_keys[item] = self.item_key(item, index as f64 - middle, seen, direction);
        }
        self.set_group_keys(&column, seen);
        column.sort_by(|&a, &b| self.compare(a, b));
        for (index, &item) in column.iter().enumerate() {
            self.slots[item] = index as f64 - middle;
        }
        self.columns[rank] = column;
    }

    /// What continues keeps its position; what begins goes to the mean of its neighbours; what has none stays where it is.
    fn item_key(&self, item: usize, current: f64, seen: Option<usize>, direction: Direction) -> f64 {
        let shape = &self.skeleton.items[item];
        if seen.is_some_and(|seen| shape.first <= seen && seen <= shape.last) {
            return self.slots[item];
        }
        let neighbours = match direction {
            Direction::Right => &self.left[item],
            Direction::Left => &self.right[item],
        };
        let mut mean = Mean::default();
        neighbours.iter().for_each(|&neighbour| mean.add(self.slots[neighbour]));
        mean.value().unwrap_or(current)
    }

    fn set_group_keys(&mut self, column: &[usize], seen: Option<usize>) {
        let continues = |span: Option<Span>| {
            span.is_some_and(|span| seen.is_some_and(|seen| span.first <= seen && seen <= span.last))
        };
        let seen_column: &[usize] = seen.map_or(&[], |seen| &self.columns[seen]);
        for &item in column.iter().chain(seen_column) {
            self.paths[item].iter().for_each(|&group| self.group_keys[group] = Mean::default());
        }
        for &item in seen_column {
            self.paths[item].iter().for_each(|&group| self.group_keys[group].add(self.slots[item]));
        }
        for &item in column {
            for &group in self.paths[item].iter().filter(|&&group| !continues(self.skeleton.spans[group])) {
                self.group_keys[group].add(self.item_keys[item]);
            }
        }
    }

    /// Compares the outermost things in which two items differ: groups around them or the items themselves.
    fn compare(&self, a: usize, b: usize) -> Ordering {
        let shared = self.paths[a].iter().zip(&self.paths[b]).take_while(|(a, b)| a == b).count();
        let key = |item: usize| match self.paths[item].get(shared) {
            Some(&group) => (self.group_keys[group].value().unwrap_or_default(), group),
            None => (self.item_keys[item], self.graph.groups.len() + item),
        };
        let ((key_a, tie_a), (key_b, tie_b)) = (key(a), key(b));
        key_a.total_cmp(&key_b).then(tie_a.cmp(&tie_b))
    }

    /// How many pairs of edges cross between neighbouring columns.
    fn crossings(&mut self) -> usize {
        let mut total = 0;
        let mut targets = Vec::new();
        for rank in 1..self.columns.len() {
            for (index, &item) in self.columns[rank].iter().enumerate() {
                self.slots[item] = index as f64;
            }
            targets.clear();
            for &item in &self.columns[rank - 1] {
                let from = targets.len();
                if self.skeleton.items[item].last >= rank {
                    targets.push(self.slots[item] as usize);
                } else {
                    targets.extend(self.right[item].iter().map(|&to| self.slots[to] as usize));
                }
                targets[from..].sort_unstable();
            }
            total += inversions(&targets, self.columns[rank].len());
        }
        total
    }
}

fn middle(len: usize) -> f64 {
    (len as f64 - 1.0) / 2.0
}

/// Counts pairs `i < j` with `values[i] > values[j]`; every value is below `bound`. A Fenwick tree holds the values seen.
fn inversions(values: &[usize], bound: usize) -> usize {
    let mut tree = vec![0_usize; bound + 1];
    let mut total = 0;
    for (seen, &value) in values.iter().enumerate() {
        let mut at = value + 1;
        let mut not_greater = 0;
        while at > 0 {
            not_greater += tree[at];
            at &= at - 1;
        }
        total += seen - not_greater;
        at = value + 1;
        while at <= bound {
            tree[at] += 1;
            at += at & at.wrapping_neg();
        }
    }
    total
}

/// A mean that grows.
#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: f64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1.0;
    }

    fn value(self) -> Option<f64> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::inversions;

    #[test]
    fn counts_crossing_pairs() {
        assert_eq!(inversions(&[0, 1, 2], 3), 0);
        assert_eq!(inversions(&[2, 1, 0], 3), 3);
        assert_eq!(inversions(&[1, 1, 0, 2], 3), 2);
        assert_eq!(inversions(&[], 0), 0);
    }
}
