//! From a DAG's tasks to a laid-out picture. A plan holds no states, so one plan serves every run of a DAG version.

use std::collections::{BTreeSet, HashMap};

use super::{Error, Folded, Graph, Group, Layout, Node, Origin, fold, lay_out};

/// Graphs with more tasks than this are shown with their groups closed, unless the reader opened some.
pub const FOLD_ABOVE: usize = 150;
const NODE_HEIGHT: f64 = 44.0;
const MIN_WIDTH: f64 = 160.0;
/// Least width of a mapped task or a closed group: there is a count and a bar under the name.
const MIN_STACK_WIDTH: f64 = 172.0;
const MAX_WIDTH: f64 = 280.0;
/// Width of everything in a box but its name: the state's sign on the left and the space around.
const CHROME_WIDTH: f64 = 50.0;

/// A task as the layout needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSpec {
    /// The whole task id, groups included.
    pub task_id: String,
    /// What is written on the box: the id without the groups.
    pub label: String,
    /// The operator, written small under the label.
    pub operator: String,
    /// Whether the task has an instance for each element of something.
    pub mapped: bool,
    /// Index of the innermost group.
    pub group: Option<usize>,
}

/// A task group as the layout needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSpec {
    /// The whole id, enclosing groups included.
    pub group_id: String,
    /// What is written on it: the id without the enclosing groups.
    pub label: String,
    /// Index of the enclosing group; smaller than the group's own.
    pub parent: Option<usize>,
    /// A task whose instances are as many as the group's elements, when the group is mapped.
    pub mapped: Option<usize>,
}

/// The picture of one DAG version with some groups open: everything but the states.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) tasks: Vec<TaskSpec>,
    pub(super) groups: Vec<GroupSpec>,
    pub(super) folded: Folded,
    pub(super) layout: Layout,
    /// For each closed group, the indices of all tasks in it.
    pub(super) members: HashMap<usize, Vec<usize>>,
}

impl Plan {
    /// Lays out the tasks. `edges` are pairs of indices into `tasks`. With at most [`FOLD_ABOVE`] tasks every group is open; with more,
    /// only those whose ids are in `open`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn new(
        tasks: Vec<TaskSpec>,
        groups: Vec<GroupSpec>,
        edges: Vec<(usize, usize)>,
        open: &BTreeSet<String>,
    ) -> Result<Self, Error> {
        let nodes = tasks
            .iter()
            .map(|task| Node {
                width: box_width(&task.label, task.mapped),
                height: NODE_HEIGHT,
                group: task.group,
            })
            .collect();
        let graph_groups = groups.iter().map(|group| Group { parent: group.parent }).collect();
        let graph = Graph::new(nodes, graph_groups, edges)?;
        let all_open = tasks.len() <= FOLD_ABOVE;
        let folded = fold(
            &graph,
            |group| all_open || open.contains(&groups[group].group_id),
            |group| (box_width(&groups[group].label, true), NODE_HEIGHT),
        );
        let layout = lay_out(&folded.graph);
        let members = members(&graph, &folded);
        Ok(Self { tasks, groups, folded, layout, members })
    }

    /// Whether some groups are closed, so that the page can offer to open them.
    #[must_use]
    pub fn is_folded(&self) -> bool {
        !self.members.is_empty()
    }
}

fn members(graph: &Graph, folded: &Folded) -> HashMap<usize, Vec<usize>> {
    let closed = |origin: &Origin| match *origin {
        Origin::Group(group) => Some((group, Vec::new())),
        Origin::Node(_) => None,
    };
    let mut members: HashMap<usize, Vec<usize>> = folded.nodes.iter().filter_map(closed).collect();
    for (task, node) in graph.nodes().iter().enumerate() {
        for group in graph.ancestors(node.group) {
            if let Some(list) = members.get_mut(&group) {
                list.push(task);
            }
        }
    }
    members
}

fn box_width(label: &str, stacked: bool) -> f64 {
    let least = if stacked { MIN_STACK_WIDTH } else { MIN_WIDTH };
    (text_width(label, LABEL_SIZE) + CHROME_WIDTH).clamp(least, MAX_WIDTH).ceil()
}

/// Font size of labels in pixels; the style sheet sets the same.
pub(super) const LABEL_SIZE: f64 = 13.0;

/// Estimated width of `text` in a sans-serif font of `size` pixels. The server has no font to ask, so it is on the safe side.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().map(|letter| letter_width(letter) * size).sum()
}

/// Longest beginning of `text` that fits into `width` pixels, with an ellipsis when something is left out.
pub(super) fn fit(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let mut used = letter_width('…') * size;
    let fits = |letter: &char| {
        used += letter_width(*letter) * size;
        used <= width
    };
    let mut short: String = text.chars().take_while(fits).collect();
    short.push('…');
    short
}

fn letter_width(letter: char) -> f64 {
    match letter {
        'i' | 'j' | 'l' | '.' | ',' | '\'' | '|' | ':' | ';' | '!' => 0.36,
        'f' | 't' | 'r' | 'I' | '-' | '(' | ')' | '[' | ']' | '/' | ' ' => 0.46,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 0.98,
        'A'..='Z' => 0.76,
        letter if letter.is_ascii() => 0.66,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::{fit, text_width};

    #[test]
    fn a_text_that_fits_is_left_alone() {
        assert_eq!(fit("load", 13.0, 200.0), "load");
    }

    #[test]
    fn a_long_text_is_cut_to_the_width() {
        let short = fit("summarise_delays_by_origin_and_destination", 13.0, 120.0);
        assert!(short.ends_with('…'), "{short}");
        assert!(text_width(&short, 13.0) <= 120.0, "{short}");
    }

    #[test]
    fn letters_outside_ascii_are_cut_between_characters() {
        assert_eq!(fit("日本語のタスク名です", 10.0, 42.0), "日本語…");
    }
}
