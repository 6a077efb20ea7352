//! Edges: from the right side of one box, through lanes, to the left side of another.

use super::Graph;
use super::layout::{Point, Rect, Route};
use super::place::Placement;
use super::skeleton::Skeleton;

/// Draws every edge of `graph`. `boxes` are the rectangles of its nodes.
pub(super) fn routes(
    graph: &Graph,
    skeleton: &Skeleton,
    placement: &Placement,
    boxes: &[Rect],
) -> Vec<Route> {
    graph
        .edges
        .iter()
        .zip(&skeleton.lanes)
        .map(|(&(from, to), lanes)| {
            let lanes = lanes.as_deref().unwrap_or_default();
            Route {
                from,
                to,
                points: points(skeleton, placement, (boxes[from], from), (boxes[to], to), lanes),
            }
        })
        .collect()
}

/// Straight stretches as pairs of points; the curves run between the pairs.
fn points(
    skeleton: &Skeleton,
    placement: &Placement,
    from: (Rect, usize),
    to: (Rect, usize),
    lanes: &[usize],
) -> Vec<Point> {
    let right_of = |rank: usize| placement.column_x[rank] + placement.column_width[rank];
    let start = from.0.y + from.0.height / 2.0;
    let end = to.0.y + to.0.height / 2.0;
    let mut points = vec![
        Point { x: from.0.x + from.0.width, y: start },
        Point { x: right_of(skeleton.items[from.1].last), y: start },
    ];
    for &lane in lanes {
        let y = placement.top[lane] + placement.height[lane] / 2.0;
        points.push(Point { x: placement.column_x[skeleton.items[lane].first], y });
        points.push(Point { x: right_of(skeleton.items[lane].last), y });
    }
    points.push(Point { x: placement.column_x[skeleton.items[to.1].first], y: end });
    points.push(Point { x: to.0.x, y: end });
    points
}
