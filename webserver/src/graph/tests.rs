//! Properties that every layout has, and how long large ones take.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::layout::{Rect, Route};
use super::place::{GROUP_HEAD, MARGIN};
use super::plan::FOLD_ABOVE;
use super::*;

fn node(group: Option<usize>) -> Node {
    Node { width: 120.0, height: 44.0, group }
}

fn graph(nodes: &[Option<usize>], parents: &[Option<usize>], edges: &[(usize, usize)]) -> Graph {
    let groups = parents.iter().map(|&parent| Group { parent }).collect();
    Graph::new(nodes.iter().map(|&group| node(group)).collect(), groups, edges.to_vec()).unwrap()
}

fn overlap(a: &Rect, b: &Rect) -> bool {
    a.x < b.x + b.width - 0.01
        && b.x < a.x + a.width - 0.01
        && a.y < b.y + b.height - 0.01
        && b.y < a.y + a.height - 0.01
}

fn contains(outer: &Rect, inner: &Rect) -> bool {
    outer.x <= inner.x + 0.01
        && outer.y <= inner.y + 0.01
        && outer.x + outer.width + 0.01 >= inner.x + inner.width
        && outer.y + outer.height + 0.01 >= inner.y + inner.height
}

/// Everything that must hold for every layout whose groups are drawn.
fn check(graph: &Graph, layout: &Layout) {
    let picture = Rect { x: 0.0, y: 0.0, width: layout.width, height: layout.height };
    for (index, a) in layout.boxes.iter().enumerate() {
        assert!(contains(&picture, a), "box {index} {a:?} is outside of {picture:?}");
        for (other, b) in layout.boxes.iter().enumerate().skip(index + 1) {
            assert!(!overlap(a, b), "boxes {index} {a:?} and {other} {b:?} overlap");
        }
        check_groups_of(graph, layout, index, a);
    }
    for (index, a) in layout.groups.iter().enumerate() {
        for (other, b) in layout.groups.iter().enumerate().skip(index + 1) {
            let nested = graph.ancestors(Some(other)).any(|around| around == index);
            if let (Some(a), Some(b)) = (a, b) {
                assert!(
                    if nested { contains(a, b) } else { !overlap(a, b) },
                    "groups {index} {a:?} and {other} {b:?}"
                );
            }
        }
    }
    for route in &layout.routes {
        check_route(layout, route);
    }
}

fn check_groups_of(graph: &Graph, layout: &Layout, index: usize, rect: &Rect) {
    let around: Vec<usize> = graph.ancestors(graph.nodes()[index].group).collect();
    for (group, outline) in layout.groups.iter().enumerate() {
        let Some(outline) = outline else { continue };
        if around.contains(&group) {
            assert!(
                contains(outline, rect),
                "group {group} {outline:?} does not contain its member {index} {rect:?}"
            );
            assert!(rect.y >= outline.y + GROUP_HEAD - 0.01, "box {index} covers the name of group {group}");
        } else {
            assert!(
                !overlap(outline, rect),
                "group {group} {outline:?} overlaps the stranger {index} {rect:?}"
            );
        }
    }
}

fn check_route(layout: &Layout, route: &Route) {
    let (from, to) = (layout.boxes[route.from], layout.boxes[route.to]);
    let (first, last) = (route.points[0], route.points[route.points.len() - 1]);
    assert!(from.x + from.width < to.x, "{route:?} does not run to the right");
    assert!(
        (first.x - from.x - from.width).abs() < 0.01 && (first.y - from.y - from.height / 2.0).abs() < 0.01,
        "{route:?} starts elsewhere"
    );
    assert!(
        (last.x - to.x).abs() < 0.01 && (last.y - to.y - to.height / 2.0).abs() < 0.01,
        "{route:?} ends elsewhere"
    );
    assert!(
        route.points.len() >= 4 && route.points.len().is_multiple_of(2),
        "{route:?} is not made of pairs"
    );
    assert!(route.points.windows(2).all(|pair| pair[0].x <= pair[1].x), "{route:?} turns back");
    for pair in route.points.chunks_exact(2) {
        assert!((pair[0].y - pair[1].y).abs() < 0.01, "{pair:?} is not level");
        for (index, rect) in
            layout.boxes.iter().enumerate().filter(|&(index, _)| index != route.from && index != route.to)
        {
            let inside = pair[0].y > rect.y
                && pair[0].y < rect.y + rect.height
                && pair[0].x < rect.x + rect.width
                && rect.x < pair[1].x;
            assert!(!inside, "{route:?} runs through box {index} {rect:?}");
        }
    }
}

#[test]
fn an_empty_graph_has_an_empty_picture() {
    let layout = lay_out(&graph(&[], &[], &[]));
    assert_eq!((layout.width, layout.height), (MARGIN, 2.0 * MARGIN));
    assert!(layout.boxes.is_empty());
}

#[test]
fn a_chain_is_one_straight_line() {
    let layout = lay_out(&graph(&[None; 4], &[], &[(0, 1), (1, 2), (2, 3)]));
    assert!(
        layout.boxes.windows(2).all(|pair| pair[0].y == pair[1].y && pair[0].x < pair[1].x),
        "{:?}",
        layout.boxes
    );
}

#[test]
fn a_fan_is_symmetric() {
    let layout = lay_out(&graph(&[None; 5], &[], &[(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4)]));
    assert!((layout.boxes[0].y - layout.boxes[2].y).abs() < 1.0, "{:?}", layout.boxes);
    assert!((layout.boxes[4].y - layout.boxes[2].y).abs() < 1.0, "{:?}", layout.boxes);
}

#[test]
fn a_long_edge_runs_beside_the_boxes_that_it_passes() {
    let graph = graph(&[None; 4], &[], &[(0, 1), (1, 2), (2, 3), (0, 3)]);
    let layout = lay_out(&graph);
    check(&graph, &layout);
    assert_eq!(layout.routes[1].points.len(), 6, "{:?}", layout.routes[1]);
}

#[test]
fn crossed_pairs_are_untangled() {
    let layout = lay_out(&graph(&[None; 4], &[], &[(0, 3), (1, 2)]));
    let above = |a: usize, b: usize| layout.boxes[a].y < layout.boxes[b].y;
    assert_eq!(above(0, 1), above(3, 2));
}

#[test]
fn nested_groups_enclose_their_members_and_nothing_else() {
    // Two groups, one with an inner group; a stranger between them and an edge that passes all of them.
    let graph = graph(
        &[None, Some(0), Some(1), Some(1), Some(2), None, None],
        &[None, Some(0), None],
        &[(0, 1), (1, 2), (1, 3), (2, 4), (3, 4), (0, 5), (5, 6), (4, 6), (0, 6)],
    );
    check(&graph, &lay_out(&graph));
}

#[test]
fn a_group_that_an_outsider_interrupts_still_encloses_its_members_only() {
    let graph = graph(&[Some(0), None, Some(0)], &[None], &[(0, 1), (1, 2)]);
    check(&graph, &lay_out(&graph));
}

#[test]
fn a_circle_is_refused() {
    let result = Graph::new(vec![node(None); 3], vec![], vec![(0, 1), (1, 2), (2, 1)]);
    assert_eq!(result, Err(Error::Cycle(1)));
}

#[test]
fn an_edge_to_nowhere_is_refused() {
    let result = Graph::new(vec![node(None)], vec![], vec![(0, 7)]);
    assert_eq!(result, Err(Error::UnknownNode { from: 0, to: 7, nodes: 1 }));
}

#[test]
fn a_group_before_its_parent_is_refused() {
    let result = Graph::new(vec![], vec![Group { parent: Some(1) }, Group { parent: None }], vec![]);
    assert_eq!(result, Err(Error::UnknownGroup(1)));
}

#[test]
fn a_closed_group_is_one_node() {
    let edges = [(0, 1), (1, 2), (2, 3)];
    let graph = graph(&[None, Some(0), Some(0), None], &[None], &edges);
    let folded = fold(&graph, |_| false, |_| (100.0, 40.0));
    assert_eq!(folded.nodes, [Origin::Node(0), Origin::Group(0), Origin::Node(3)]);
    assert_eq!(folded.graph.edges, [(0, 1), (1, 2)]);
    assert_eq!(folded.graph.nodes()[1].width, 100.0);
}

#[test]
fn a_group_whose_closing_would_make_a_circle_stays_open() {
    let graph = graph(&[Some(0), None, Some(0)], &[None], &[(0, 1), (1, 2)]);
    let folded = fold(&graph, |_| false, |_| (100.0, 40.0));
    assert_eq!(folded.graph, graph);
}

#[test]
fn only_the_outermost_closed_group_is_shown() {
    let graph = graph(&[Some(1), Some(0), None], &[None, Some(0)], &[(0, 1), (1, 2)]);
    let folded = fold(&graph, |group| group == 1, |_| (100.0, 40.0));
    assert_eq!(folded.nodes, [Origin::Group(0), Origin::Node(2)]);
    assert!(folded.groups.is_empty());
}

/// Pseudo-random numbers for large graphs: a linear congruential generator (Knuth's MMIX constants).
fn numbers(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as usize) % below
    }
}

fn large(nodes: usize, edges: usize, reach: usize, groups: usize) -> Graph {
    let mut below = numbers(7);
    let members: Vec<Option<usize>> =
        (0..nodes).map(|node| (groups > 0).then(|| node * groups / nodes)).collect();
    let edge = |_| {
        let from = below(nodes - 1);
        (from, (from + 1 + below(reach)).min(nodes - 1))
    };
    let edges: Vec<(usize, usize)> = (0..edges).map(edge).collect();
    graph(&members, &vec![None; groups], &edges)
}

#[test]
fn five_hundred_tasks_are_laid_out_without_an_overlap() {
    let graph = large(500, 1_500, 60, 10);
    check(&graph, &lay_out(&graph));
}

/// The bound is for an unoptimised build on a busy machine; optimised it takes about a hundredth of it.
#[test]
fn ten_thousand_tasks_end_in_bounded_time() {
    let graph = large(10_000, 30_000, 4_000, 50);
    let start = Instant::now();
    let layout = lay_out(&graph);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    assert_eq!(layout.boxes.len(), 10_000);
}

#[test]
fn a_chain_of_ten_thousand_with_long_edges_ends_in_bounded_time() {
    let edges: Vec<(usize, usize)> =
        (0..9_999).flat_map(|node| [(node, node + 1), (node / 2, node + 1)]).collect();
    let start = Instant::now();
    let layout = lay_out(&graph(&vec![None; 10_000], &[], &edges));
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    assert_eq!(layout.routes.len(), 19_997, "the edge 0 -> 1 is there twice");
}

fn spec(id: &str, mapped: bool, group: Option<usize>) -> TaskSpec {
    let label = id.rsplit('.').next().unwrap_or(id).to_owned();
    TaskSpec { task_id: id.to_owned(), label, operator: "bash".to_owned(), mapped, group }
}

fn draw(plan: &Plan, live: impl Fn(&TaskSpec) -> Live) -> String {
    use askama::Template;
    Picture::new("Graph of flights", plan, live, |group| format!("?open={}", group.group_id))
        .render()
        .unwrap()
}

#[test]
fn a_picture_names_states_and_leads_to_the_tasks() {
    let tasks = vec![spec("extract", false, None), spec("months.load", true, Some(0))];
    let groups = vec![GroupSpec {
        group_id: "months".to_owned(),
        label: "months".to_owned(),
        parent: None,
        mapped: None,
    }];
    let plan = Plan::new(tasks, groups, vec![(0, 1)], &BTreeSet::new()).unwrap();
    let svg = draw(&plan, |task| match task.mapped {
        true => Live {
            state: Some("running"),
            instances: vec![("success", 9), ("running", 3)],
            ..Live::default()
        },
        false => Live {
            state: Some("success"),
            note: Some("4 s".to_owned()),
            href: Some("/tasks/extract".to_owned()),
            ..Live::default()
        },
    });
    assert!(svg.contains("href=\"/tasks/extract\" class=\"g-node state-success\""), "{svg}");
    assert!(svg.contains("extract: success, 4 s"), "{svg}");
    assert!(svg.contains("months.load: running (9 success, 3 running)"), "{svg}");
    assert!(svg.contains("×12"), "{svg}");
    assert!(!svg.contains("style="), "{svg}");
}

#[test]
fn names_in_a_picture_are_escaped() {
    let plan = Plan::new(vec![spec("<script>", false, None)], vec![], vec![], &BTreeSet::new()).unwrap();
    let svg = draw(&plan, |_| Live::default());
    assert!(!svg.contains("<script>"), "{svg}");
}

#[test]
fn groups_of_a_large_dag_are_closed_until_they_are_opened() {
    let groups: Vec<GroupSpec> = ["a", "b"]
        .iter()
        .map(|id| GroupSpec {
            group_id: (*id).to_owned(),
            label: (*id).to_owned(),
            parent: None,
            mapped: None,
        })
        .collect();
    let tasks: Vec<TaskSpec> =
        (0..=FOLD_ABOVE).map(|index| spec(&format!("t{index}"), false, Some(index % 2))).collect();
    let plan = |open: &BTreeSet<String>| Plan::new(tasks.clone(), groups.clone(), vec![], open).unwrap();
    let closed = draw(&plan(&BTreeSet::new()), |_| Live::default());
    assert_eq!(closed.matches("class=\"g-node").count(), 2);
    assert!(closed.contains("href=\"?open=a\""), "{closed}");
    let one_open = draw(&plan(&BTreeSet::from(["a".to_owned()])), |_| Live::default());
    assert_eq!(one_open.matches("class=\"g-node").count(), 1 + FOLD_ABOVE / 2 + 1);
}

prop_compose! {
    /// Any graph of up to 40 nodes in up to 6 nested groups: edges lead from smaller to greater numbers, shuffled by `names`.
    fn any_graph()(count in 1_usize..40, group_count in 0_usize..6)(
        names in Just((0..count).collect::<Vec<usize>>()).prop_shuffle(),
        pairs in prop::collection::vec((0..count, 0..count), 0..90),
        members in prop::collection::vec(prop::option::of(0..group_count.max(1)), count),
        parents in prop::collection::vec(prop::option::of(0..6_usize), group_count),
    ) -> Graph {
        let edges: Vec<(usize, usize)> = pairs.iter().filter(|(a, b)| a != b).map(|&(a, b)| (names[a.min(b)], names[a.max(b)])).collect();
        let parents: Vec<Option<usize>> = parents.iter().enumerate().map(|(index, parent)| parent.filter(|&parent| parent < index)).collect();
        let members: Vec<Option<usize>> = members.into_iter().map(|group| group.filter(|&group| group < parents.len())).collect();
        graph(&members, &parents, &edges)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_layout_is_sound(graph in any_graph()) {
        check(&graph, &lay_out(&graph));
    }

    #[test]
    fn a_layout_is_the_same_every_time(graph in any_graph()) {
        prop_assert_eq!(lay_out(&graph), lay_out(&graph));
    }

    #[test]
    fn every_folded_graph_is_sound(graph in any_graph(), open in prop::collection::vec(any::<bool>(), 6)) {
        let folded = fold(&graph, |group| open[group], |_| (100.0, 40.0));
        let rebuilt = Graph::new(folded.graph.nodes().to_vec(), folded.graph.groups.clone(), folded.graph.edges.clone());
        prop_assert!(rebuilt.is_ok(), "{:?}", rebuilt);
        check(&folded.graph, &lay_out(&folded.graph));
    }
}
