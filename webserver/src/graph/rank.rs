//! Columns: the longest path from a source decides how far right a node stands.

use super::{Graph, adjacency};

/// How many times wider than high a box is, roughly: a block of unconnected boxes gets that many times more rows than columns.
const ROWS_PER_COLUMN: usize = 4;

/// Gives every node its column, counted from 0. For each edge the target's column is greater than the source's.
pub(super) fn ranks(graph: &Graph) -> Vec<usize> {
    let count = graph.nodes.len();
    let next = adjacency(count, graph.edges.iter().copied());
    let mut before = vec![0_usize; count];
    let mut ranks = vec![0_usize; count];
    for &node in &graph.topological {
        for &to in &next[node] {
            before[to] += 1;
            ranks[to] = ranks[to].max(ranks[node] + 1);
        }
    }
    pull_together(graph, &next, &before, &mut ranks);
    spread_unconnected(&next, &before, &mut ranks);
    ranks
}

/// Makes edges shorter: nodes with at least as many edges out as in go right to their successors, then those with at least as many in as out
/// go left to their predecessors. So a late branch stands where it is needed, and what can begin early stands at the left.
fn pull_together(graph: &Graph, next: &[Vec<usize>], before: &[usize], ranks: &mut [usize]) {
    for &node in graph.topological.iter().rev() {
        match next[node].iter().map(|&to| ranks[to]).min() {
            Some(nearest) if next[node].len() >= before[node] => ranks[node] = nearest - 1,
            Some(_) | None => {}
        }
    }
    let mut earliest = vec![0_usize; ranks.len()];
    for &node in &graph.topological {
        if before[node] >= next[node].len() && before[node] > 0 {
            ranks[node] = earliest[node];
        }
        for &to in &next[node] {
            earliest[to] = earliest[to].max(ranks[node] + 1);
        }
    }
}

/// Puts nodes without any edge into a block instead of one endless column.
fn spread_unconnected(next: &[Vec<usize>], before: &[usize], ranks: &mut [usize]) {
    let alone: Vec<usize> =
        (0..ranks.len()).filter(|&node| next[node].is_empty() && before[node] == 0).collect();
    let columns = (alone.len() / ROWS_PER_COLUMN).isqrt().max(1);
    for (index, &node) in alone.iter().enumerate() {
        ranks[node] = index % columns;
    }
}
