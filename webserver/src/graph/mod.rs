//! Pictures of DAGs: a layered layout of our own, and the SVG made from it.
//!
//! The layout is pure: sizes go in, coordinates come out, and the same graph always gives the same picture. It follows the classical
//! layered method (Sugiyama, Tagawa, Toda 1981), turned left to right, with two things added: long edges run through *lanes* that keep
//! one height over all the columns they cross, and task groups are boxes that nothing foreign may enter.
//!
//! The steps, one file each: [`rank`] gives every node a column, [`skeleton`] adds lanes, [`order`] sorts each column, [`place`] turns the order
//! into coordinates, [`route`] draws the edges. [`fold`] comes before all of them and closes groups of large graphs.

mod fold;
mod layout;
mod order;
mod place;
mod plan;
mod rank;
mod route;
mod skeleton;
mod svg;
#[cfg(test)]
mod tests;

use fold::{Folded, Origin, fold};
use layout::{Layout, lay_out};
pub use plan::{GroupSpec, Plan, TaskSpec};
pub use svg::{Live, Picture};

/// A box to be placed.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Width in pixels.
    pub width: f64,
    /// Height in pixels.
    pub height: f64,
    /// Index of the innermost group that the node belongs to.
    pub group: Option<usize>,
}

/// A set of nodes that is drawn inside one rectangle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Index of the enclosing group; always smaller than the group's own.
    pub parent: Option<usize>,
}

/// Why nodes, groups and edges are not a graph that can be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An edge names a node that is not there.
    #[error("edge {from} -> {to} names a task that does not exist (there are {nodes})")]
    UnknownNode {
        /// Start of the edge.
        from: usize,
        /// End of the edge.
        to: usize,
        /// How many nodes there are.
        nodes: usize,
    },
    /// A node or a group names a group that is not there, or that is not declared before it.
    #[error("group {0} does not exist or is declared after its members' group")]
    UnknownGroup(usize),
    /// The edges run in a circle.
    #[error("the edges run in a circle through node {0}")]
    Cycle(usize),
}

/// Nodes, groups and edges without a circle: only [`Graph::new`] makes one, so whoever holds it need not check again.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    nodes: Vec<Node>,
    groups: Vec<Group>,
    edges: Vec<(usize, usize)>,
    topological: Vec<usize>,
}

impl Graph {
    /// Checks the parts. Edges that occur twice are kept once.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn new(nodes: Vec<Node>, groups: Vec<Group>, mut edges: Vec<(usize, usize)>) -> Result<Self, Error> {
        check_groups(&nodes, &groups)?;
        for &(from, to) in &edges {
            if from >= nodes.len() || to >= nodes.len() {
                return Err(Error::UnknownNode { from, to, nodes: nodes.len() });
            }
        }
        edges.sort_unstable();
        edges.dedup();
        let topological = topological(nodes.len(), &edges)
            .map_err(|rest| Error::Cycle(rest.first().copied().unwrap_or_default()))?;
        Ok(Self { nodes, groups, edges, topological })
    }

    /// The nodes, in the order in which they were given.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The same nodes and edges without any group.
    fn ungrouped(&self) -> Self {
        let nodes = self.nodes.iter().map(|node| Node { group: None, ..node.clone() }).collect();
        Self { nodes, groups: Vec::new(), edges: self.edges.clone(), topological: self.topological.clone() }
    }

    /// The group and all groups around it, innermost first.
    fn ancestors(&self, group: Option<usize>) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(group, |&group| self.groups[group].parent)
    }
}

fn check_groups(nodes: &[Node], groups: &[Group]) -> Result<(), Error> {
    for (index, group) in groups.iter().enumerate() {
        match group.parent {
            Some(parent) if parent >= index => return Err(Error::UnknownGroup(parent)),
            Some(_) | None => {}
        }
    }
    match nodes.iter().filter_map(|node| node.group).find(|&group| group >= groups.len()) {
        Some(group) => Err(Error::UnknownGroup(group)),
        None => Ok(()),
    }
}

/// The nodes in an order in which every edge points forward (Kahn 1962); `Err` holds the nodes on or behind a circle.
fn topological(nodes: usize, edges: &[(usize, usize)]) -> Result<Vec<usize>, Vec<usize>> {
    let next = adjacency(nodes, edges.iter().copied());
    let mut waiting_for = vec![0_usize; nodes];
    for &(_, to) in edges {
        waiting_for[to] += 1;
    }
    let mut order: Vec<usize> = (0..nodes).filter(|&node| waiting_for[node] == 0).collect();
    let mut done = 0;
    while let Some(&node) = order.get(done) {
        done += 1;
        for &to in &next[node] {
            waiting_for[to] -= 1;
            if waiting_for[to] == 0 {
                order.push(to);
            }
        }
    }
    if order.len() == nodes {
        Ok(order)
    } else {
        Err((0..nodes).filter(|&node| waiting_for[node] > 0).collect())
    }
}

/// For each node, the nodes that its edges lead to.
fn adjacency(nodes: usize, edges: impl Iterator<Item = (usize, usize)>) -> Vec<Vec<usize>> {
    let mut next = vec![Vec::new(); nodes];
    for (from, to) in edges {
        next[from].push(to);
    }
    next
}
