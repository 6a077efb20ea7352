//! The skeleton of a layout: what stands in each column, before anything is sorted.

use super::Graph;

/// Height of the strip in which a long edge runs, in pixels.
const LANE_HEIGHT: f64 = 6.0;
/// Most columns that all lanes together may cross. The longest edges of graphs beyond it are drawn without lanes, behind the boxes.
const MAX_LANE_CELLS: usize = 40_000;
/// Most columns that all groups together may cover. Graphs beyond it are drawn without group rectangles.
const MAX_GROUP_CELLS: usize = 40_000;

/// What an [`Item`] stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A node of the graph; its index is the item's own.
    Node,
    /// A stretch of an edge that crosses whole columns.
    Lane,
    /// Keeps a column of a group open in which the group has nothing else.
    Filler,
}

/// Something that occupies one height over columns `first..=last`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    pub(super) kind: Kind,
    pub(super) first: usize,
    pub(super) last: usize,
    pub(super) group: Option<usize>,
    pub(super) height: f64,
}

/// First and last column of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: usize,
    pub(super) last: usize,
}

/// Items, columns and how the edges run through them.
#[derive(Debug)]
pub(super) struct Skeleton {
    /// The nodes first, under their own indices, then lanes and fillers.
    pub(super) items: Vec<Item>,
    /// For each group, its columns; `None` when it has no node.
    pub(super) spans: Vec<Option<Span>>,
    /// The items of each column.
    pub(super) columns: Vec<Vec<usize>>,
    /// Neighbouring items along an edge: the left one ends in the column before the one in which the right one begins.
    pub(super) links: Vec<(usize, usize)>,
    /// For each edge of the graph, the lanes that it runs through; `None` for an edge that got none because there are too many.
    pub(super) lanes: Vec<Option<Vec<usize>>>,
}

impl Skeleton {
    /// Builds the skeleton of `graph` whose nodes stand in the columns `ranks`.
    pub(super) fn new(graph: &Graph, ranks: &[usize]) -> Self {
        let items = graph
            .nodes
            .iter()
            .zip(ranks)
            .map(|(node, &rank)| Item {
                kind: Kind::Node,
                first: rank,
                last: rank,
                group: node.group,
                height: node.height,
            })
            .collect();
        let mut skeleton = Self {
            items,
            spans: spans(graph, ranks),
            columns: Vec::new(),
            links: Vec::new(),
            lanes: Vec::new(),
        };
        skeleton.add_lanes(graph, ranks);
        skeleton.fill_columns(ranks.iter().max().map_or(0, |&last| last + 1));
        skeleton.add_fillers(graph);
        skeleton
    }

    /// Whether groups cover so many columns that they are not worth drawing.
    pub(super) fn has_too_many_groups(graph: &Graph, ranks: &[usize]) -> bool {
        let cells: usize = spans(graph, ranks).iter().flatten().map(|span| span.last + 1 - span.first).sum();
        cells > MAX_GROUP_CELLS
    }

    fn add_lanes(&mut self, graph: &Graph, ranks: &[usize]) {
        let mut by_length: Vec<usize> = (0..graph.edges.len()).collect();
        let length = |edge: usize| ranks[graph.edges[edge].1] - ranks[graph.edges[edge].0] - 1;
        by_length.sort_by_key(|&edge| length(edge));
        let mut cells = 0;
        let mut lanes = vec![None; graph.edges.len()];
        for edge in by_length {
            cells += length(edge);
            if cells > MAX_LANE_CELLS {
                break;
            }
            lanes[edge] = Some(self.add_lanes_of(graph, ranks, graph.edges[edge]));
        }
        self.lanes = lanes;
    }

    fn add_lanes_of(&mut self, graph: &Graph, ranks: &[usize], (from, to): (usize, usize)) -> Vec<usize> {
        let mut lanes: Vec<usize> = Vec::new();
        let mut previous = from;
        for rank in ranks[from] + 1..ranks[to] {
            let group = self.lane_group(graph, from, to, rank);
            match lanes.last() {
                Some(&lane) if self.items[lane].group == group => self.items[lane].last = rank,
                Some(_) | None => {
                    let lane = self.items.len();
                    self.items.push(Item {
                        kind: Kind::Lane,
                        first: rank,
                        last: rank,
                        group,
                        height: LANE_HEIGHT,
                    });
                    self.links.push((previous, lane));
                    lanes.push(lane);
                    previous = lane;
                }
            }
        }
        self.links.push((previous, to));
        lanes
    }

    /// The group in which the edge runs in column `rank`: it stays in the groups of its source until they end on the right, and enters
    /// the groups of its target where they begin on the left, so that it never crosses the upper or lower side of a rectangle.
    fn lane_group(&self, graph: &Graph, from: usize, to: usize, rank: usize) -> Option<usize> {
        let around_target: Vec<usize> = graph.ancestors(graph.nodes[to].group).collect();
        let around_source: Vec<usize> = graph.ancestors(graph.nodes[from].group).collect();
        let covers =
            |group: usize| self.spans[group].is_some_and(|span| span.first <= rank && rank <= span.last);
        let leaving = around_source
            .iter()
            .copied()
            .take_while(|group| !around_target.contains(group))
            .find(|&group| covers(group));
        let entering = around_target
            .iter()
            .copied()
            .take_while(|group| !around_source.contains(group))
            .find(|&group| covers(group));
        let shared = around_source.iter().copied().find(|group| around_target.contains(group));
        leaving.or(entering).or(shared)
    }

    fn fill_columns(&mut self, count: usize) {
        self.columns = vec![Vec::new(); count];
        for (index, item) in self.items.iter().enumerate() {
            for column in &mut self.columns[item.first..=item.last] {
                column.push(index);
            }
        }
    }

    fn add_fillers(&mut self, graph: &Graph) {
        let mut present = vec![usize::MAX; graph.groups.len()];
        for rank in 0..self.columns.len() {
            for &item in &self.columns[rank] {
                for group in graph.ancestors(self.items[item].group) {
                    present[group] = rank;
                }
            }
            // Inner groups first: a filler of an inner group keeps the outer ones open too.
            for group in (0..graph.groups.len()).rev() {
                let covered = self.spans[group].is_some_and(|span| span.first <= rank && rank <= span.last);
                if covered && present[group] != rank {
                    self.columns[rank].push(self.items.len());
                    self.items.push(Item {
                        kind: Kind::Filler,
                        first: rank,
                        last: rank,
                        group: Some(group),
                        height: 0.0,
                    });
                    for around in graph.ancestors(Some(group)) {
                        present[around] = rank;
                    }
                }
            }
        }
    }
}

fn spans(graph: &Graph, ranks: &[usize]) -> Vec<Option<Span>> {
    let mut spans: Vec<Option<Span>> = vec![None; graph.groups.len()];
    for (node, &rank) in graph.nodes.iter().zip(ranks) {
        for group in graph.ancestors(node.group) {
            let span = spans[group].get_or_insert(Span { first: rank, last: rank });
            *span = Span { first: span.first.min(rank), last: span.last.max(rank) };
        }
    }
    spans
}
