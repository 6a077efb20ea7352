//! The finished layout and the steps that lead to it.

use super::place::{GROUP_PAD, Placement, place};
use super::skeleton::Skeleton;
use super::{Graph, order, rank, route};

/// A point of the picture, in pixels from its upper left corner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Pixels from the left.
    pub x: f64,
    /// Pixels from the top.
    pub y: f64,
}

/// A rectangle of the picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rect {
    /// Left side.
    pub x: f64,
    /// Upper side.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

/// The way of one edge. Points `2k` and `2k + 1` have the same height and are joined by a straight line; a curve leads from there to the next
/// pair. `x` never decreases.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Index of the node where the edge starts.
    pub from: usize,
    /// Index of the node where it ends.
    pub to: usize,
    /// An even number of points, at least four.
    pub points: Vec<Point>,
}

/// Where everything stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// Width of the picture in pixels.
    pub width: f64,
    /// Height of the picture in pixels.
    pub height: f64,
    /// One rectangle for each node.
    pub boxes: Vec<Rect>,
    /// One rectangle for each group that has a node. Empty when groups cover so much that they were left out.
    pub groups: Vec<Option<Rect>>,
    /// One route for each edge, in the order of [`Graph::edges`].
    pub routes: Vec<Route>,
}

/// Lays out `graph` from left to right. Deterministic; the work is bounded, very large graphs get a plainer picture.
#[must_use]
pub fn lay_out(graph: &Graph) -> Layout {
    let ranks = rank::ranks(graph);
    if Skeleton::has_too_many_groups(graph, &ranks) {
        return lay_out_ranked(&graph.ungrouped(), &ranks);
    }
    lay_out_ranked(graph, &ranks)
}

fn lay_out_ranked(graph: &Graph, ranks: &[usize]) -> Layout {
    let mut skeleton = Skeleton::new(graph, ranks);
    order::order(graph, &mut skeleton);
    let placement = place(graph, &skeleton);
    let boxes = boxes(graph, &skeleton, &placement);
    let routes = route::routes(graph, &skeleton, &placement, &boxes);
    let (width, height) = placement.size;
    Layout { width, height, groups: group_boxes(graph, &skeleton, &placement), boxes, routes }
}

fn boxes(graph: &Graph, skeleton: &Skeleton, placement: &Placement) -> Vec<Rect> {
    let item = |index: usize| placement.column_x[skeleton.items[index].first];
    let place = |(index, node): (usize, &super::Node)| Rect {
        x: item(index),
        y: placement.top[index],
        width: node.width,
        height: node.height,
    };
    graph.nodes.iter().enumerate().map(place).collect()
}

fn group_boxes(graph: &Graph, skeleton: &Skeleton, placement: &Placement) -> Vec<Option<Rect>> {
    let place = |group: usize| {
        let span = skeleton.spans[group]?;
        let (left, right) = placement.insets[group];
        let x = placement.column_x[span.first] - left * GROUP_PAD;
        let end = placement.column_x[span.last] + placement.column_width[span.last] + right * GROUP_PAD;
        let thing = skeleton.items.len() + group;
        Some(Rect { x, y: placement.top[thing], width: end - x, height: placement.height[thing] })
    };
    (0..graph.groups.len()).map(place).collect()
}
