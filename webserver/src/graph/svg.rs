//! The SVG of a plan: boxes with states, links and names for those who cannot see it.

use askama::Template;

use super::layout::{Point, Rect, Route};
use super::plan::{LABEL_SIZE, Plan, fit};
use super::{GroupSpec, Origin, TaskSpec};

/// Where the text of a box begins, and how much is left free on its right.
const TEXT_LEFT: f64 = 38.0;
const TEXT_RIGHT: f64 = 10.0;
const SUBLINE_SIZE: f64 = 11.0;
/// Width and left end of the bar that shows how the instances of a mapped task or a closed group are doing.
const BAR_WIDTH: f64 = 64.0;

/// What is known of a task in the run that is shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Live {
    /// Airflow's name of the state; `None` when the task has none yet or no run is shown.
    pub state: Option<&'static str>,
    /// How many instances are in which state, for mapped tasks; the states in the order in which the bar shows them.
    pub instances: Vec<(&'static str, u32)>,
    /// A short remark, for example how long the task ran.
    pub note: Option<String>,
    /// Where the box leads.
    pub href: Option<String>,
}

/// One piece of the bar of a mapped task or a closed group.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Airflow's name of the state.
    pub state: &'static str,
    /// Left end, in pixels from the bar's left end.
    pub x: f64,
    /// Width in pixels.
    pub width: f64,
}

/// A whole picture, ready to be written into a page.
#[derive(Debug, Template)]
#[template(path = "_graph.html")]
pub struct Picture {
    name: String,
    width: f64,
    height: f64,
    groups: Vec<GroupBox>,
    edges: Vec<Edge>,
    nodes: Vec<NodeBox>,
}

#[derive(Debug)]
struct GroupBox {
    rect: Rect,
    label: String,
    title: String,
}

#[derive(Debug)]
struct Edge {
    from: usize,
    to: usize,
    path: String,
    arrow: Point,
}

#[derive(Debug)]
struct NodeBox {
    index: usize,
    rect: Rect,
    label: String,
    subline: String,
    title: String,
    state: &'static str,
    href: Option<String>,
    stacked: bool,
    bar: Vec<Part>,
    /// Set on closed groups: the id to be opened.
    opens: Option<String>,
}

impl Picture {
    /// Draws `plan`, called `name` for those who cannot see it. `live` tells about a task; `open_href` gives the link that opens a closed group.
    pub fn new(
        name: &str,
        plan: &Plan,
        live: impl Fn(&TaskSpec) -> Live,
        open_href: impl Fn(&GroupSpec) -> String,
    ) -> Self {
        let lives: Vec<Live> = plan.tasks.iter().map(live).collect();
        let groups = plan.folded.groups.iter().zip(&plan.layout.groups);
        let group = |(&group, rect): (&usize, &Option<Rect>)| {
            rect.map(|rect| {
                group_box(&plan.groups[group], rect, times(&plan.groups[group], &lives).as_deref())
            })
        };
        let node = |(index, (origin, rect)): (usize, (&Origin, &Rect))| match *origin {
            Origin::Node(task) => task_box(index, *rect, &plan.tasks[task], &lives[task]),
            Origin::Group(group) => {
                let spec = &plan.groups[group];
                let members = plan.members.get(&group).map(Vec::as_slice).unwrap_or_default();
                let times = times(spec, &lives);
                let members = members.iter().map(|&task| &lives[task]);
                closed_box(index, *rect, (spec, times.as_deref()), members, open_href(spec))
            }
        };
        Self {
            name: name.to_owned(),
            width: plan.layout.width,
            height: plan.layout.height,
            groups: groups.filter_map(group).collect(),
            edges: plan.layout.routes.iter().map(edge).collect(),
            nodes: plan.folded.nodes.iter().zip(&plan.layout.boxes).enumerate().map(node).collect(),
        }
    }
}

/// How many elements a mapped group has, as it is written beside its name.
fn times(spec: &GroupSpec, lives: &[Live]) -> Option<String> {
    let counts = &lives.get(spec.mapped?)?.instances;
    let count: u32 = counts.iter().map(|(_, count)| count).sum();
    Some(if count > 0 { format!("×{count}") } else { "×?".to_owned() })
}

fn group_box(spec: &GroupSpec, rect: Rect, times: Option<&str>) -> GroupBox {
    let (name, title) = match times {
        Some(times) => (format!("{} {times}", spec.label), format!("{} {times}", spec.group_id)),
        None => (spec.label.clone(), spec.group_id.clone()),
    };
    GroupBox { rect, label: fit(&name, SUBLINE_SIZE, rect.width - 20.0), title }
}

fn edge(route: &Route) -> Edge {
    let arrow = route.points.last().copied().unwrap_or(Point { x: 0.0, y: 0.0 });
    Edge { from: route.from, to: route.to, path: path(&route.points), arrow }
}

/// Straight lines within pairs of points, curves that leave and arrive level between the pairs.
fn path(points: &[Point]) -> String {
    let mut path = String::with_capacity(points.len() * 24);
    for (index, pair) in points.chunks_exact(2).enumerate() {
        let (start, end) = (pair[0], pair[1]);
        if index == 0 {
            path.push_str(&format!("M{:.1} {:.1}", start.x, start.y));
        } else {
            let before = points[index * 2 - 1];
            let bend = (start.x - before.x) / 2.0;
            path.push_str(&format!(
                "C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}",
                before.x + bend,
                before.y,
                start.x - bend,
                start.y,
                start.x,
                start.y
            ));
        }
        if end.x > start.x {
            path.push_str(&format!("H{:.1}", end.x));
        }
    }
    path
}

fn task_box(index: usize, rect: Rect, task: &TaskSpec, live: &Live) -> NodeBox {
    let state = live.state.unwrap_or("none");
    let count: u32 = live.instances.iter().map(|(_, count)| count).sum();
    let bar = if task.mapped { bar(&live.instances) } else { Vec::new() };
    let room = rect.width - TEXT_LEFT - TEXT_RIGHT - if bar.is_empty() { 0.0 } else { BAR_WIDTH + 4.0 };
    let counted = if count > 0 { format!("×{count}") } else { "×?".to_owned() };
    let subline = match (&live.note, task.mapped) {
        (_, true) => counted,
        (Some(note), false) => format!("{} · {note}", task.operator),
        (None, false) => task.operator.clone(),
    };
    NodeBox {
        index,
        rect,
        label: fit(&task.label, LABEL_SIZE, rect.width - TEXT_LEFT - TEXT_RIGHT),
        subline: fit(&subline, SUBLINE_SIZE, room),
        title: describe(&task.task_id, state, &live.instances, live.note.as_deref()),
        state,
        href: live.href.clone(),
        stacked: task.mapped,
        bar,
        opens: None,
    }
}

fn closed_box<'a>(
    index: usize,
    rect: Rect,
    (spec, times): (&GroupSpec, Option<&str>),
    members: impl Iterator<Item = &'a Live> + Clone,
    href: String,
) -> NodeBox {
    let counts = count_states(members);
    let total: u32 = counts.iter().map(|(_, count)| count).sum();
    let state = counts.first().map_or("none", |(state, _)| state);
    NodeBox {
        index,
        rect,
        label: fit(&spec.label, LABEL_SIZE, rect.width - TEXT_LEFT - TEXT_RIGHT),
        subline: fit(
            format!("{total} tasks {}", times.unwrap_or_default()).trim_end(),
            SUBLINE_SIZE,
            rect.width - TEXT_LEFT - TEXT_RIGHT - BAR_WIDTH,
        ),
        title: format!("Group {}", describe(&spec.group_id, state, &counts, Some("closed; select to open"))),
        state,
        href: Some(href),
        stacked: true,
        bar: bar(&counts),
        opens: Some(spec.group_id.clone()),
    }
}

/// States that decide how a closed group looks, the most urgent first; all others follow in the order in which they occur.
const URGENT: [&str; 9] = [
    "failed",
    "upstream_failed",
    "running",
    "up_for_retry",
    "awaiting_input",
    "queued",
    "scheduled",
    "deferred",
    "up_for_reschedule",
];

fn count_states<'a>(members: impl Iterator<Item = &'a Live>) -> Vec<(&'static str, u32)> {
    let mut counts: Vec<(&'static str, u32)> = Vec::new();
    for live in members {
        let state = live.state.unwrap_or("none");
        match counts.iter_mut().find(|(known, _)| *known == state) {
            Some((_, count)) => *count += 1,
            None => counts.push((state, 1)),
        }
    }
    counts.sort_by_key(|(state, _)| URGENT.iter().position(|urgent| urgent == state).unwrap_or(URGENT.len()));
    counts
}

fn bar(counts: &[(&'static str, u32)]) -> Vec<Part> {
    let total: u32 = counts.iter().map(|(_, count)| count).sum();
    let mut x = 0.0;
    let mut part = |&(state, count): &(&'static str, u32)| {
        let width = BAR_WIDTH * f64::from(count) / f64::from(total.max(1));
        let part = Part { state, x, width };
        x += width;
        part
    };
    counts.iter().filter(|(_, count)| *count > 0).map(&mut part).collect()
}

fn describe(id: &str, state: &str, instances: &[(&'static str, u32)], note: Option<&str>) -> String {
    let mut text = format!("{id}: {}", state.replace('_', " "));
    let counted: Vec<String> =
        instances.iter().map(|(state, count)| format!("{count} {}", state.replace('_', " "))).collect();
    if !counted.is_empty() {
        text.push_str(&format!(" ({})", counted.join(", ")));
    }
    if let Some(note) = note {
        text.push_str(&format!(", {note}"));
    }
    text
}
