//! Coordinates: columns become x, the order within columns becomes y.
//!
//! Heights are found container by container, inner groups first; a finished group is one tall thing in the container around it. Inside a
//! container everything wants to stand level with its neighbours, and must stay below what is above it. The nearest arrangement to the
//! wishes is approximated by pushing down from the top, pushing up from the bottom, and taking the mean: both keep every distance, so
//! the mean does too.

use super::skeleton::{Kind, Skeleton};
use super::{Graph, topological};

/// Space between the rectangle of a group and what is in it, in pixels.
pub(super) const GROUP_PAD: f64 = 14.0;
/// Height of the strip at the top of a group that holds its name, in pixels.
pub(super) const GROUP_HEAD: f64 = 26.0;
/// Space around the whole picture, in pixels.
pub(super) const MARGIN: f64 = 20.0;
const COLUMN_GAP: f64 = 52.0;
const MAX_CROWD_GAP: f64 = 60.0;
const NODE_GAP: f64 = 18.0;
const LANE_GAP: f64 = 10.0;

/// Where everything stands.
#[derive(Debug)]
pub(super) struct Placement {
    /// Left edge of each column.
    pub(super) column_x: Vec<f64>,
    /// Width of each column.
    pub(super) column_width: Vec<f64>,
    /// Top of each item, then of each group.
    pub(super) top: Vec<f64>,
    /// Height of each item, then of each group.
    pub(super) height: Vec<f64>,
    /// For each group, how many rectangles (its own included) begin at its left and end at its right side.
    pub(super) insets: Vec<(f64, f64)>,
    /// Width and height of the picture.
    pub(super) size: (f64, f64),
}

/// Computes coordinates for the sorted columns of `skeleton`.
pub(super) fn place(graph: &Graph, skeleton: &Skeleton) -> Placement {
    let insets = insets(graph, skeleton);
    let (column_x, column_width, width) = columns(graph, skeleton, &insets);
    let (top, height, total) = Heights::new(graph, skeleton).solve();
    Placement { column_x, column_width, top, height, insets, size: (width, total + 2.0 * MARGIN) }
}

/// Counts nested rectangles that share a left or a right column.
fn insets(graph: &Graph, skeleton: &Skeleton) -> Vec<(f64, f64)> {
    let mut insets = vec![(1.0_f64, 1.0_f64); graph.groups.len()];
    for group in (0..graph.groups.len()).rev() {
        if let (Some(parent), Some(span)) = (graph.groups[group].parent, skeleton.spans[group])
            && let Some(around) = skeleton.spans[parent]
        {
            let inner = insets[group];
            let outer = &mut insets[parent];
            outer.0 = if around.first == span.first { outer.0.max(inner.0 + 1.0) } else { outer.0 };
            outer.1 = if around.last == span.last { outer.1.max(inner.1 + 1.0) } else { outer.1 };
        }
    }
    insets
}

fn columns(graph: &Graph, skeleton: &Skeleton, insets: &[(f64, f64)]) -> (Vec<f64>, Vec<f64>, f64) {
    let count = skeleton.columns.len();
    let mut width = vec![0.0_f64; count];
    for (node, item) in graph.nodes.iter().zip(&skeleton.items) {
        width[item.first] = width[item.first].max(node.width);
    }
    let (mut opening, mut closing) = (vec![0.0_f64; count], vec![0.0_f64; count]);
    for (span, inset) in skeleton.spans.iter().zip(insets) {
        if let Some(span) = span {
            opening[span.first] = opening[span.first].max(inset.0);
            closing[span.last] = closing[span.last].max(inset.1);
        }
    }
    let mut crowd = vec![0.0_f64; count];
    for &(from, _) in &skeleton.links {
        crowd[skeleton.items[from].last] += 1.0;
    }
    let mut x = Vec::with_capacity(count);
    let mut at = MARGIN;
    for rank in 0..count {
        at += opening[rank] * GROUP_PAD;
        x.push(at);
        at += width[rank] + closing[rank] * GROUP_PAD;
        at += if rank + 1 < count { COLUMN_GAP + crowd[rank].min(MAX_CROWD_GAP) } else { MARGIN };
    }
    (x, width, at)
}

/// Two items joined by an edge, seen from the container that holds both.
#[derive(Debug, Clone, Copy)]
struct Pull {
    left: usize,
    right: usize,
    weight: f64,
}

/// Solves heights. "Things" are items, then groups, then the root; each but the root lies in a container, which is a group or the root.
struct Heights<'a> {
    skeleton: &'a Skeleton,
    root: usize,
    container: Vec<usize>,
    height: Vec<f64>,
    /// Top of each thing, relative to its container.
    top: Vec<f64>,
    /// For each group and the root, pairs (upper, lower) of direct neighbours in some column.
    above: Vec<Vec<(usize, usize)>>,
    pulls: Vec<Vec<Pull>>,
    members: Vec<Vec<usize>>,
    /// Place of each thing in its container's list of members.
    local: Vec<usize>,
}

impl<'a> Heights<'a> {
    fn new(graph: &'a Graph, skeleton: &'a Skeleton) -> Self {
        let (items, groups) = (skeleton.items.len(), graph.groups.len());
        let root = items + groups;
        let inside = |group: Option<usize>| group.map_or(root, |group| items + group);
        let mut container: Vec<usize> = skeleton.items.iter().map(|item| inside(item.group)).collect();
        container.extend(graph.groups.iter().map(|group| inside(group.parent)));
        container.push(root);
        let mut height: Vec<f64> = skeleton.items.iter().map(|item| item.height).collect();
        height.resize(root + 1, 0.0);
        let mut heights = Self {
            skeleton,
            root,
            container,
            height,
            top: vec![0.0; root + 1],
            above: vec![Vec::new(); groups + 1],
            pulls: vec![Vec::new(); groups + 1],
            members: vec![Vec::new(); groups + 1],
            local: vec![0; root],
        };
        heights.collect_neighbours();
        heights.collect_pulls();
        heights
    }

    fn solve(mut self) -> (Vec<f64>, Vec<f64>, f64) {
        // Inner groups have greater numbers than the groups around them, and the root comes after all groups.
        for container in (self.skeleton.items.len()..self.root).rev() {
            self.solve_container(container);
        }
        self.solve_container(self.root);
        let total = self.height[self.root];
        // Groups first, outer before inner, then the items in them.
        self.top[self.root] = MARGIN;
        let groups = self.skeleton.items.len()..self.root;
        for thing in groups.chain(0..self.skeleton.items.len()) {
            self.top[thing] += self.top[self.container[thing]];
        }
        self.top.truncate(self.root);
        self.height.truncate(self.root);
        (self.top, self.height, total)
    }

    fn slot(&self, container: usize) -> usize {
        container - self.skeleton.items.len()
    }

    fn collect_neighbours(&mut self) {
        let mut last_seen: Vec<Option<(usize, usize)>> = vec![None; self.above.len()];
        for (rank, column) in self.skeleton.columns.iter().enumerate() {
            for &item in column {
                let mut thing = item;
                while thing != self.root {
                    let container = self.container[thing];
                    let slot = self.slot(container);
                    match last_seen[slot].replace((rank, thing)) {
                        Some((seen_rank, seen)) if seen_rank == rank && seen != thing => {
                            self.above[slot].push((seen, thing))
                        }
                        Some(_) | None => {}
                    }
                    thing = container;
                }
            }
        }
        for thing in 0..self.root {
            let slot = self.slot(self.container[thing]);
            self.local[thing] = self.members[slot].len();
            self.members[slot].push(thing);
        }
        for pairs in &mut self.above {
            pairs.sort_unstable();
            pairs.dedup();
        }
    }

    fn collect_pulls(&mut self) {
        for &(left, right) in &self.skeleton.links {
            let mut around: Vec<usize> = Vec::new();
            let mut thing = left;
            while thing != self.root {
                thing = self.container[thing];
                around.push(thing);
            }
            let mut shared = self.container[right];
            while !around.contains(&shared) {
                shared = self.container[shared];
            }
            let lanes =
                [left, right].iter().filter(|&&item| self.skeleton.items[item].kind == Kind::Lane).count();
            let weight = [1.0, 2.0, 4.0][lanes];
            let slot = self.slot(shared);
            self.pulls[slot].push(Pull { left, right, weight });
        }
    }

    fn solve_container(&mut self, container: usize) {
        let slot = self.slot(container);
        let tops = self.arrange(container, &self.top_down(slot));
        let root = container == self.root;
        let (head, pad) = if root { (0.0, 0.0) } else { (GROUP_HEAD, GROUP_PAD) };
        let least = tops.iter().copied().fold(f64::INFINITY, f64::min);
        let mut bottom = 0.0_f64;
        for (&thing, top) in self.members[slot].iter().zip(tops) {
            self.top[thing] = top - least + head;
            bottom = bottom.max(self.top[thing] + self.height[thing]);
        }
        self.height[container] = bottom + pad;
    }

    /// Neighbours in the columns of a container, sorted so that everything above a member is settled before the member is.
    fn top_down(&self, slot: usize) -> Vec<Apart> {
        let members = &self.members[slot];
        let edges: Vec<(usize, usize)> =
            self.above[slot].iter().map(|&(upper, lower)| (self.local[upper], self.local[lower])).collect();
        let sorted = topological(members.len(), &edges).unwrap_or_else(|_| (0..members.len()).collect());
        let mut position = vec![0; members.len()];
        for (index, &member) in sorted.iter().enumerate() {
            position[member] = index;
        }
        let apart = |&(upper, lower): &(usize, usize)| {
            let (upper_thing, lower_thing) = (members[upper], members[lower]);
            Apart { upper, lower, distance: self.height[upper_thing] + self.gap(upper_thing, lower_thing) }
        };
        let mut order: Vec<Apart> = edges.iter().map(apart).collect();
        order.sort_by_key(|apart| (position[apart.upper], position[apart.lower]));
        order
    }

    fn gap(&self, upper: usize, lower: usize) -> f64 {
        let kind = |thing: usize| self.skeleton.items.get(thing).map(|item| item.kind);
        match (kind(upper), kind(lower)) {
            (Some(Kind::Filler), _) | (_, Some(Kind::Filler)) => 0.0,
            (Some(Kind::Lane), _) | (_, Some(Kind::Lane)) => LANE_GAP,
            (Some(Kind::Node) | None, Some(Kind::Node) | None) => NODE_GAP,
        }
    }

    /// Tops of the members, near to what their neighbours want.
    fn arrange(&self, container: usize, order: &[Apart]) -> Vec<f64> {
        let slot = self.slot(container);
        let ties: Vec<Tie> = self.pulls[slot].iter().map(|pull| self.tie(container, *pull)).collect();
        let mut tops = vec![0.0; self.members[slot].len()];
        settle(&mut tops, order);
        let rounds = if tops.len() > 3_000 { 9 } else { 27 };
        for round in 0..rounds {
            // Left neighbours decide, then right ones, then both.
            wish(&mut tops, &ties, round % 3 != 1, round % 3 != 0);
            settle(&mut tops, order);
        }
        tops
    }

    fn tie(&self, container: usize, pull: Pull) -> Tie {
        let (left, left_port) = self.port(container, pull.left);
        let (right, right_port) = self.port(container, pull.right);
        Tie { left: self.local[left], right: self.local[right], left_port, right_port, weight: pull.weight }
    }

    /// The member of `container` that holds `item`, and how far below the member's top the middle of the item is.
    fn port(&self, container: usize, item: usize) -> (usize, f64) {
        let mut thing = item;
        let mut port = self.height[item] / 2.0;
        while self.container[thing] != container {
            port += self.top[thing];
            thing = self.container[thing];
        }
        (thing, port)
    }
}

/// A [`Pull`] in terms of a container's members: their places in its list, and how far below their tops the edge ends.
#[derive(Debug, Clone, Copy)]
struct Tie {
    left: usize,
    right: usize,
    left_port: f64,
    right_port: f64,
    weight: f64,
}

/// The top of `lower` is at least `distance` below the top of `upper`.
#[derive(Debug, Clone, Copy)]
struct Apart {
    upper: usize,
    lower: usize,
    distance: f64,
}

/// Moves everything level with the mean of its neighbours, whatever is in the way.
fn wish(tops: &mut [f64], ties: &[Tie], left_decides: bool, right_decides: bool) {
    let mut wishes = vec![(0.0, 0.0); tops.len()];
    let mut add = |member: usize, top: f64, weight: f64| {
        wishes[member].0 += top * weight;
        wishes[member].1 += weight;
    };
    for tie in ties {
        let (left, right) = (tops[tie.left] + tie.left_port, tops[tie.right] + tie.right_port);
        if left_decides {
            add(tie.right, left - tie.right_port, tie.weight);
        }
        if right_decides {
            add(tie.left, right - tie.left_port, tie.weight);
        }
    }
    for (top, (sum, weight)) in tops.iter_mut().zip(wishes) {
        if weight > 0.0 {
            *top = sum / weight;
        }
    }
}

/// Restores the distances of `order`, moving `tops` as little as pushing down and pushing up in equal parts allows.
fn settle(tops: &mut [f64], order: &[Apart]) {
    let mut pushed_down = tops.to_vec();
    for apart in order {
        pushed_down[apart.lower] = pushed_down[apart.lower].max(pushed_down[apart.upper] + apart.distance);
    }
    for apart in order.iter().rev() {
        tops[apart.upper] = tops[apart.upper].min(tops[apart.lower] - apart.distance);
    }
    for (top, down) in tops.iter_mut().zip(pushed_down) {
        *top = f64::midpoint(*top, down);
    }
}
