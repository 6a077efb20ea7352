//! Closing groups: a closed group is one box in place of all its members.

use super::{Graph, Group, Node, topological};

/// After so many rounds of opening groups that may not be closed, all of them are opened.
const MAX_ROUNDS: usize = 32;

/// What a node of a folded graph stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A node of the original graph, by index.
    Node(usize),
    /// A closed group of the original graph, by index.
    Group(usize),
}

/// A graph some of whose groups are closed.
#[derive(Debug, Clone, PartialEq)]
pub struct Folded {
    /// The smaller graph. Its groups are the open ones.
    pub graph: Graph,
    /// What each node of the smaller graph stands for.
    pub nodes: Vec<Origin>,
    /// The index in the original graph of each group of the smaller graph.
    pub groups: Vec<usize>,
}

/// Closes all groups for which `open` is false; closed boxes have the size `closed_size(group)`.
///
/// A group stays open when closing it would make edges run in a circle (`a -> x -> b` with `a` and `b` in the group and `x` outside).
#[must_use]
pub fn fold(
    graph: &Graph,
    open: impl Fn(usize) -> bool,
    closed_size: impl Fn(usize) -> (f64, f64),
) -> Folded {
    let mut opened: Vec<bool> = (0..graph.groups.len()).map(open).collect();
    for _ in 0..MAX_ROUNDS {
        match try_fold(graph, &opened, &closed_size) {
            Ok(folded) => return folded,
            Err(groups) => groups.into_iter().for_each(|group| opened[group] = true),
        }
    }
    let unchanged = Folded {
        graph: graph.clone(),
        nodes: (0..graph.nodes.len()).map(Origin::Node).collect(),
        groups: (0..graph.groups.len()).collect(),
    };
    try_fold(graph, &vec![true; graph.groups.len()], &closed_size).unwrap_or(unchanged)
}

/// Folds, or tells which groups have to be opened first.
fn try_fold(
    graph: &Graph,
    opened: &[bool],
    closed_size: impl Fn(usize) -> (f64, f64),
) -> Result<Folded, Vec<usize>> {
    let outermost_closed =
        |group: Option<usize>| graph.ancestors(group).filter(|&group| !opened[group]).last();
    let origin_of =
        |node: usize| outermost_closed(graph.nodes[node].group).map_or(Origin::Node(node), Origin::Group);
    let origins: Vec<Origin> = (0..graph.nodes.len()).map(origin_of).collect();
    let mut nodes = Vec::new();
    let mut index_of_group = vec![usize::MAX; graph.groups.len()];
    let mut index = Vec::with_capacity(origins.len());
    for &origin in &origins {
        match origin {
            Origin::Group(group) if index_of_group[group] != usize::MAX => index.push(index_of_group[group]),
            Origin::Group(group) => {
                index_of_group[group] = nodes.len();
                index.push(nodes.len());
                nodes.push(origin);
            }
            Origin::Node(_) => {
                index.push(nodes.len());
                nodes.push(origin);
            }
        }
    }
    let mut edges: Vec<(usize, usize)> =
        graph.edges.iter().map(|&(from, to)| (index[from], index[to])).collect();
    edges.retain(|(from, to)| from != to);
    edges.sort_unstable();
    edges.dedup();
    let topological = topological(nodes.len(), &edges).map_err(|circle| closed_groups(&nodes, &circle))?;
    let groups: Vec<usize> =
        (0..graph.groups.len()).filter(|&group| outermost_closed(Some(group)).is_none()).collect();
    Ok(build(graph, nodes, groups, edges, topological, closed_size))
}

fn closed_groups(nodes: &[Origin], circle: &[usize]) -> Vec<usize> {
    let closed = |&node: &usize| match nodes[node] {
        Origin::Group(group) => Some(group),
        Origin::Node(_) => None,
    };
    circle.iter().filter_map(closed).collect()
}

fn build(
    graph: &Graph,
    origins: Vec<Origin>,
    groups: Vec<usize>,
    edges: Vec<(usize, usize)>,
    topological: Vec<usize>,
    closed_size: impl Fn(usize) -> (f64, f64),
) -> Folded {
    let renumbered = |group: Option<usize>| group.and_then(|group| groups.binary_search(&group).ok());
    let node = |origin: &Origin| match *origin {
        Origin::Node(node) => {
            Node { group: renumbered(graph.nodes[node].group), ..graph.nodes[node].clone() }
        }
        Origin::Group(group) => {
            let (width, height) = closed_size(group);
            Node { width, height, group: renumbered(graph.groups[group].parent) }
        }
    };
    let nodes = origins.iter().map(node).collect();
    let open_groups =
        groups.iter().map(|&group| Group { parent: renumbered(graph.groups[group].parent) }).collect();
    Folded { graph: Graph { nodes, groups: open_groups, edges, topological }, nodes: origins, groups }
}
