//! What a run counts, so that an event costs its out-degree: how many upstreams ended in which way, what is left, what is to be judged.

use std::{cmp::Reverse, ops::Range};

use super::{
    cells::Cells,
    run::{NodeState, Run},
};
use crate::state::TaskState;

/// What of a task is to be judged again.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    #[default]
    Nothing,
    /// The instances at these places.
    Places(Vec<Range<usize>>),
    /// All of it.
    All,
}

impl Run {
    /// Counts everything anew: tallies, unfinished and untouched instances.
    pub fn settle(&mut self) {
        for node in 0..self.nodes.len() {
            self.take_stock(node);
        }
        for node in 0..self.nodes.len() {
            self.introduce(node, true);
        }
        self.review_all();
    }

    fn take_stock(&mut self, node: usize) {
        let states: Vec<TaskState> =
            self.nodes[node].instances.iter().map(|&i| self.tis[i as usize].record.state).collect();
        let first = self.nodes[node].instances.first().map_or(-1, |&i| self.tis[i as usize].record.map_index);
        // What lies beyond the last element was removed; within a mapped group nothing else is.
        let count = states.iter().rposition(|&state| state != TaskState::Removed).map_or(0, |last| last + 1);
        let shape = self.recorded_shape(node, count);
        let state = &mut self.nodes[node];
        state.expanded = !self.graph.node(node).is_expanding || first >= 0;
        state.count = if self.graph.node(node).groups.is_empty() { states.len() } else { count };
        state.shape = if state.expanded { shape } else { vec![1; shape.len()] };
        state.cells = Cells::new(&state.shape);
        state.untouched = states.iter().filter(|&&s| s == TaskState::None).count();
        state.unmet = states.iter().filter(|&&s| is_unmet(s)).count();
        state.ready = states.iter().filter(|&&s| s == TaskState::Scheduled).count();
        state.unfinished = states.iter().filter(|s| !s.is_finished()).count();
        self.untouched += state.untouched;
        self.unfinished += state.unfinished;
    }

    /// Has every task's rule judged again.
    pub fn review_all(&mut self) {
        self.review = (0..self.graph.order.len()).map(Reverse).collect();
        self.nodes.iter_mut().for_each(|node| node.due = Due::All);
    }

    /// Has one task's rule judged again.
    pub fn review_node(&mut self, node: usize) {
        if std::mem::replace(&mut self.nodes[node].due, Due::All) == Due::Nothing {
            self.review.push(Reverse(self.graph.node(node).rank));
        }
    }

    /// Has the rule of some instances of a task judged again.
    pub fn review_places(&mut self, node: usize, places: Range<usize>) {
        match &mut self.nodes[node].due {
            Due::All => {}
            Due::Places(due) => due.push(places),
            due @ Due::Nothing => {
                *due = Due::Places(vec![places]);
                self.review.push(Reverse(self.graph.node(node).rank));
            }
        }
    }

    /// Has the rule of one instance judged again.
    pub fn review_instance(&mut self, index: u32) {
        let ti = &self.tis[index as usize];
        let Some(own) = Some(ti.node).filter(|&node| node < self.graph.len()) else { return };
        match usize::try_from(ti.record.map_index) {
            Ok(place) if !self.graph.node(own).groups.is_empty() => self.review_places(own, place..place + 1),
            Ok(_) | Err(_) => self.review_node(own),
        }
    }

    /// Has everybody judged again who waits for a task.
    pub fn review_behind(&mut self, node: usize) {
        let graph = self.graph.clone();
        graph.node(node).ties().for_each(|(next, _)| self.review_node(next));
    }

    /// Something else than its rule keeps an instance back.
    pub fn block(&mut self, node: usize, index: u32) {
        if self.nodes[node].blocked.insert(index) {
            self.blocked += 1;
        }
    }

    /// Nothing but its rule keeps an instance back any more.
    pub fn unblock(&mut self, node: usize, index: u32) {
        if self.nodes[node].blocked.remove(&index) {
            self.blocked -= 1;
        }
    }

    /// Nothing but their rule keeps the instances of a task back any more.
    pub fn unblock_all(&mut self, node: usize) {
        self.blocked -= std::mem::take(&mut self.nodes[node].blocked).len();
    }

    /// Counts a change of one instance in its task and in the run.
    pub fn count(&mut self, node: usize, from: TaskState, to: TaskState) {
        let change = |count: &mut usize, is: bool, was: bool| {
            *count = *count + usize::from(is) - usize::from(was);
        };
        let (open, was_open) = (!to.is_finished(), !from.is_finished());
        let (none, was_none) = (to == TaskState::None, from == TaskState::None);
        change(&mut self.unfinished, open, was_open);
        change(&mut self.untouched, none, was_none);
        let state: &mut NodeState = &mut self.nodes[node];
        change(&mut state.unfinished, open, was_open);
        change(&mut state.untouched, none, was_none);
        change(&mut state.ready, to == TaskState::Scheduled, from == TaskState::Scheduled);
        let had_unmet = state.unmet > 0;
        change(&mut state.unmet, is_unmet(to), is_unmet(from));
        if had_unmet != (state.unmet > 0) && self.graph.looks_back {
            self.eased.push(node);
        }
    }
}

/// An instance in this state keeps the next run's waiting. One that no longer exists does not, although Airflow has it so: nobody could
/// end that wait.
pub const fn is_unmet(state: TaskState) -> bool {
    !matches!(state, TaskState::Success | TaskState::Skipped | TaskState::Removed)
}
