//! A DAG compiled for the engine: tasks are numbers, edges are lists of numbers.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    dag::{Dag, Mapping, Task, WeightRule},
    id::TaskId,
};

/// A DAG with everything precomputed that an event needs.
#[derive(Debug)]
pub struct Graph {
    /// The DAG it was made from.
    pub dag: Arc<Dag>,
    nodes: Vec<Node>,
    by_id: HashMap<TaskId, usize>,
    /// All tasks, each behind those it waits for.
    pub order: Vec<usize>,
    /// The tasks whose ends decide how a run ended.
    pub leaves: Vec<usize>,
    /// Some task waits for the previous run.
    pub looks_back: bool,
}

/// One task.
#[derive(Debug, Default)]
pub struct Node {
    /// The tasks it waits for.
    pub upstream: Vec<usize>,
    /// The tasks that wait for it.
    pub downstream: Vec<usize>,
    /// Its effective priority.
    pub priority: i32,
    /// Its place in [`Graph::order`].
    pub rank: usize,
    /// Some task is mapped over its XComs, so their lengths matter.
    pub is_source: bool,
    /// The name of its operator, as the API shows it.
    pub class: Arc<str>,
    /// The engine carries it out itself.
    pub is_instant: bool,
    /// It is a setup.
    pub is_setup: bool,
    /// The direct upstreams that may have it skipped.
    pub choosers: Vec<usize>,
    /// The tasks in the scope of this setup that do not wait for it directly.
    pub guarded: Vec<usize>,
    /// The teardowns that wait for its end because it lies between them and their setups.
    pub within: Vec<usize>,
    /// The mapped groups around it, the outermost first, by their place among the DAG's groups.
    pub groups: Vec<usize>,
    /// It has an instance for each element of something, its own or of a group around it.
    pub is_expanding: bool,
    /// The tasks over whose XComs it or a group around it is mapped.
    pub sources: Vec<usize>,
    /// Of a task in a mapped group: those in the same group that it waits for and that are mapped over more than it is.
    pub wider: Vec<usize>,
    /// The tasks of which it is such a source, and those that have such a task in [`Node::wider`].
    pub feeds: Vec<usize>,
    /// Of a task in a mapped group: the setups that guard it, and
    pub guards: Vec<usize>,
    /// the tasks whose end it waits for because it is a teardown that they lie within.
    pub holders: Vec<usize>,
}

impl Graph {
    /// Compiles a DAG. Upstreams that do not exist are left out: the loader refuses them.
    #[must_use]
    pub fn new(dag: Arc<Dag>) -> Self {
        let by_id: HashMap<TaskId, usize> =
            dag.tasks.iter().enumerate().map(|(number, task)| (task.task_id.clone(), number)).collect();
        let mut classes: HashMap<&str, Arc<str>> = HashMap::new();
        let mut class = |name| Arc::clone(classes.entry(name).or_insert_with(|| Arc::from(name)));
        let nodes = dag.tasks.iter().map(|task| bare_node(task, class(task.operator.class_name()), &by_id));
        let mut nodes: Vec<Node> = nodes.collect();
        for number in 0..nodes.len() {
            for upstream in nodes[number].upstream.clone() {
                nodes[upstream].downstream.push(number);
            }
        }
        link_mappings(&dag, &mut nodes, &by_id);
        let looks_back = dag.tasks.iter().any(Task::looks_back);
        let mut graph = Self { dag, nodes, by_id, order: Vec::new(), leaves: Vec::new(), looks_back };
        graph.order = graph.topological();
        for (rank, number) in graph.order.clone().into_iter().enumerate() {
            graph.nodes[number].rank = rank;
        }
        graph.weigh();
        graph.link_choosers();
        graph.enclose();
        graph.link_back();
        graph.link_wider();
        graph.leaves = graph.effective_leaves();
        graph
    }

    /// The number of tasks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// It has no task.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// One task's place in the graph.
    #[must_use]
    pub fn node(&self, number: usize) -> &Node {
        &self.nodes[number]
    }

    /// One task.
    #[must_use]
    pub fn task(&self, number: usize) -> &Task {
        &self.dag.tasks[number]
    }

    /// A task's number.
    #[must_use]
    pub fn find(&self, task_id: &TaskId) -> Option<usize> {
        self.by_id.get(task_id).copied()
    }

    /// The given tasks and, as asked, everything before or after them, in ascending order.
    #[must_use]
    pub fn closure(&self, from: &[usize], upstream: bool, downstream: bool) -> Vec<usize> {
        let mut chosen = vec![false; self.len()];
        for &number in from {
            chosen[number] = true;
        }
        if upstream {
            self.mark_reachable(from, &mut chosen, |node| &node.upstream);
        }
        if downstream {
            self.mark_reachable(from, &mut chosen, |node| &node.downstream);
        }
        (0..self.len()).filter(|&number| chosen[number]).collect()
    }

    /// Everything before or behind some tasks, without them unless they are among it.
    #[must_use]
    pub fn beyond(&self, from: &[usize], downstream: bool) -> Vec<bool> {
        let next = |node: &Node| if downstream { node.downstream.clone() } else { node.upstream.clone() };
        let mut seen = vec![false; self.len()];
        let mut open: Vec<usize> = from.iter().flat_map(|&number| next(&self.nodes[number])).collect();
        while let Some(number) = open.pop() {
            if !std::mem::replace(&mut seen[number], true) {
                open.extend(next(&self.nodes[number]));
            }
        }
        seen
    }

    pub(super) fn node_mut(&mut self, number: usize) -> &mut Node {
        &mut self.nodes[number]
    }

    /// How many mapped groups two tasks are in together.
    #[must_use]
    pub fn common(&self, one: usize, other: usize) -> usize {
        let (one, other) = (&self.nodes[one].groups, &self.nodes[other].groups);
        one.iter().zip(other).take_while(|(one, other)| one == other).count()
    }

    /// What decides how many instances a task has: the mappings of the groups around it, the outermost first, then its own.
    pub fn dimensions(&self, number: usize) -> impl Iterator<Item = Mapping<'_>> {
        let around = self.nodes[number].groups.iter().filter_map(|&group| self.dag.groups[group].mapping());
        around.chain(self.task(number).mapping())
    }

    // A task in a mapped group counts its neighbours anew when its number of instances changes, so it must know all of them.
    fn link_back(&mut self) {
        for number in 0..self.len() {
            for next in self.nodes[number].guarded.clone() {
                if !self.nodes[next].groups.is_empty() {
                    self.nodes[next].guards.push(number);
                }
            }
            for next in self.nodes[number].within.clone() {
                if !self.nodes[next].groups.is_empty() {
                    self.nodes[next].holders.push(number);
                }
            }
        }
    }

    // After the guards and holders are known.
    fn link_wider(&mut self) {
        for number in 0..self.len() {
            let node = &self.nodes[number];
            let tied = node.upstream.iter().chain(&node.guards).chain(&node.holders).copied();
            let has_more = |&other: &usize| {
                let theirs = &self.nodes[other].sources;
                self.common(number, other) > 0 && theirs.iter().any(|source| !node.sources.contains(source))
            };
            let wider: Vec<usize> = tied.filter(has_more).collect();
            let theirs = wider.iter().flat_map(|&other| self.nodes[other].sources.iter().copied());
            let more: BTreeSet<usize> = theirs.filter(|source| !node.sources.contains(source)).collect();
            more.into_iter().for_each(|source| self.nodes[source].feeds.push(number));
            self.nodes[number].wider = wider;
        }
    }

    fn link_choosers(&mut self) {
        for number in 0..self.len() {
            if self.dag.tasks[number].operator.chooses() {
                for next in self.nodes[number].downstream.clone() {
                    self.nodes[next].choosers.push(number);
                }
            }
        }
    }

    fn mark_reachable(&self, from: &[usize], chosen: &mut [bool], next: impl Fn(&Node) -> &Vec<usize>) {
        let mut seen = vec![false; self.len()];
        let mut open: Vec<usize> = from.to_vec();
        while let Some(number) = open.pop() {
            if std::mem::replace(&mut seen[number], true) {
                continue;
            }
            chosen[number] = true;
            open.extend(next(&self.nodes[number]).iter().copied());
        }
    }

    // Airflow adds the weights of all tasks reachable in one direction. Reachability of 64 tasks at a time fits one word
    // per task, so the whole graph costs tasks/64 passes over its edges instead of one search per task.
    fn weigh(&mut self) {
        let order = self.order.clone();
        let mut sums: Vec<i64> = vec![0; self.len()];
        for block in (0..self.len()).step_by(64) {
            let down = self.reach(block, order.iter().rev().copied(), |node| &node.downstream);
            let up = self.reach(block, order.iter().copied(), |node| &node.upstream);
            for (number, sum) in sums.iter_mut().enumerate() {
                let reached = match self.dag.tasks[number].weight_rule {
                    WeightRule::Absolute => 0,
                    WeightRule::Downstream => down[number],
                    WeightRule::Upstream => up[number],
                };
                *sum += self.weight_of(block, reached);
            }
        }
        for (number, sum) in sums.into_iter().enumerate() {
            let own = i64::from(self.dag.tasks[number].priority_weight);
            let total = if self.dag.tasks[number].weight_rule == WeightRule::Absolute { own } else { sum };
            let clamped = total.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
            self.nodes[number].priority = i32::try_from(clamped).unwrap_or(i32::MAX);
        }
    }

    // For each task, which of the 64 tasks from `block` on are it or lie behind it.
    fn reach(
        &self,
        block: usize,
        order: impl Iterator<Item = usize>,
        next: impl Fn(&Node) -> &Vec<usize>,
    ) -> Vec<u64> {
        let mut words = vec![0_u64; self.len()];
        for number in order {
            let own = if (block..block + 64).contains(&number) { 1 << (number - block) } else { 0 };
            words[number] = next(&self.nodes[number]).iter().fold(own, |word, &other| word | words[other]);
        }
        words
    }

    fn weight_of(&self, block: usize, mut word: u64) -> i64 {
        let mut sum = 0;
        while word != 0 {
            sum += i64::from(self.dag.tasks[block + word.trailing_zeros() as usize].priority_weight);
            word &= word - 1;
        }
        sum
    }

    fn topological(&self) -> Vec<usize> {
        let mut missing: Vec<usize> = self.nodes.iter().map(|node| node.upstream.len()).collect();
        let mut order: Vec<usize> = (0..self.len()).filter(|&number| missing[number] == 0).collect();
        let mut at = 0;
        while at < order.len() {
            for &next in &self.nodes[order[at]].downstream {
                missing[next] -= 1;
                if missing[next] == 0 {
                    order.push(next);
                }
            }
            at += 1;
        }
        order
    }
}

fn bare_node(task: &Task, class: Arc<str>, by_id: &HashMap<TaskId, usize>) -> Node {
    Node {
        class,
        upstream: task.upstream.iter().filter_map(|id| by_id.get(id).copied()).collect(),
        is_instant: task.operator.is_instant(),
        is_setup: task.setup,
        ..Node::default()
    }
}

fn link_mappings(dag: &Dag, nodes: &mut [Node], by_id: &HashMap<TaskId, usize>) {
    let is_mapped = dag.groups.iter().any(|group| group.mapping().is_some());
    for (number, task) in dag.tasks.iter().enumerate() {
        let groups = if is_mapped { dag.mapped_groups(task) } else { Vec::new() };
        let around = groups.iter().filter_map(|&group| dag.groups[group].mapping());
        let xcoms = around.chain(task.mapping()).flat_map(Mapping::xcoms);
        let mut sources: Vec<usize> = xcoms.filter_map(|(id, _)| by_id.get(id).copied()).collect();
        sources.sort_unstable();
        sources.dedup();
        for &source in &sources {
            nodes[source].is_source = true;
            nodes[source].feeds.push(number);
        }
        nodes[number].is_expanding = task.is_mapped() || !groups.is_empty();
        (nodes[number].groups, nodes[number].sources) = (groups, sources);
    }
}
