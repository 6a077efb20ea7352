//! What a run counts, so that an event costs its out-degree: how many upstreams ended in which way, what is left, what is to be judged.

use std::cmp::Reverse;

use super::run::Run;
use crate::state::TaskState;

impl Run {
    /// Counts everything anew: tallies, unfinished and untouched instances.
    pub fn settle(&mut self) {
        for node in 0..self.nodes.len() {
            let instances = std::mem::take(&mut self.nodes[node].instances);
            let states: Vec<TaskState> =
                instances.iter().map(|&i| self.tis[i as usize].record.state).collect();
            let first = instances.first().map_or(-1, |&i| self.tis[i as usize].record.map_index);
            let mapped = self.graph.task(node).is_mapped();
            let state = &mut self.nodes[node];
            state.instances = instances;
            state.expanded = !mapped || first >= 0;
            state.untouched = states.iter().filter(|&&s| s == TaskState::None).count();
            state.unmet = states.iter().filter(|&&s| is_unmet(s)).count();
            self.untouched += state.untouched;
            self.unfinished += states.iter().filter(|s| !s.is_finished()).count();
            self.expect(node, states.len());
            states.iter().for_each(|&state| self.tell(node, TaskState::None, state));
        }
        self.review_all();
    }

    /// Tells everyone who waits for a task that it has so many more unfinished instances.
    pub fn expect(&mut self, node: usize, count: usize) {
        let graph = self.graph.clone();
        let (node, count) = (graph.node(node), u32::try_from(count).unwrap_or(u32::MAX));
        node.downstream.iter().for_each(|&next| self.nodes[next].up.expect(count, node.is_setup));
        node.guarded.iter().for_each(|&next| self.nodes[next].setups.expect(count, true));
        node.within.iter().for_each(|&next| self.nodes[next].scope_left += count);
    }

    /// Tells everyone who waits for a task that an instance of it changed.
    pub fn tell(&mut self, node: usize, from: TaskState, to: TaskState) {
        let graph = self.graph.clone();
        let node = graph.node(node);
        for &next in &node.downstream {
            self.nodes[next].up.remove(from, node.is_setup);
            self.nodes[next].up.add(to, node.is_setup);
        }
        for &next in &node.guarded {
            self.nodes[next].setups.remove(from, true);
            self.nodes[next].setups.add(to, true);
        }
        for &next in &node.within {
            let left = &mut self.nodes[next].scope_left;
            *left = *left + u32::from(from.is_finished()) - u32::from(to.is_finished());
        }
    }

    /// Has every task's rule judged again.
    pub fn review_all(&mut self) {
        self.review = (0..self.graph.order.len()).map(Reverse).collect();
        self.nodes.iter_mut().for_each(|node| node.in_review = true);
    }

    /// Has one task's rule judged again.
    pub fn review_node(&mut self, node: usize) {
        if !std::mem::replace(&mut self.nodes[node].in_review, true) {
            self.review.push(Reverse(self.graph.node(node).rank));
        }
    }
}

/// An instance in this state keeps the next run's waiting. One that no longer exists does not, although Airflow has it so: nobody could
/// end that wait.
pub const fn is_unmet(state: TaskState) -> bool {
    !matches!(state, TaskState::Success | TaskState::Skipped | TaskState::Removed)
}
