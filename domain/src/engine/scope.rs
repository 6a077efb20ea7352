//! Setups and teardowns: which tasks lie between them, and which ends decide about a run.
//!
//! Source: Airflow 3.3.2 `get_upstreams_only_setups` and `is_effective_leaf` (`models/dagrun.py:1148-1340`).

use super::graph::Graph;

impl Graph {
    /// The setups that a task needs, with their teardowns: those before it that have no teardown, or one behind it. A setup
    /// brings its own teardowns. In ascending order, without the given tasks.
    #[must_use]
    pub fn company(&self, of: &[usize]) -> Vec<usize> {
        let before = self.closure(of, true, false);
        let mut chosen = vec![false; self.len()];
        for setup in before.into_iter().filter(|&number| self.node(number).is_setup) {
            let teardowns = self.teardowns(setup);
            if of.contains(&setup) {
                teardowns.iter().for_each(|&teardown| chosen[teardown] = true);
                continue;
            }
            let around = self.surrounds(setup, &teardowns);
            if of.iter().any(|&number| around[number]) {
                chosen[setup] = true;
                teardowns.iter().for_each(|&teardown| chosen[teardown] = true);
            }
        }
        (0..self.len()).filter(|number| chosen[*number] && !of.contains(number)).collect()
    }

    /// Precomputes which tasks each setup guards and which teardowns each task holds up.
    pub(super) fn enclose(&mut self) {
        for number in 0..self.len() {
            if self.node(number).is_setup {
                let teardowns = self.teardowns(number);
                let around = self.surrounds(number, &teardowns);
                let indirect = |&other: &usize| {
                    around[other]
                        && self.task(other).teardown.is_none()
                        && !self.node(other).upstream.contains(&number)
                };
                self.node_mut(number).guarded = (0..around.len()).filter(indirect).collect();
            }
            if self.task(number).teardown.is_some() {
                self.hold_up(number);
            }
        }
    }

    /// The tasks whose downstreams are all ignorable teardowns and that are not ignorable themselves; in a DAG of nothing else the
    /// last ones.
    pub(super) fn effective_leaves(&self) -> Vec<usize> {
        let ignored = |&next: &usize| self.task(next).is_ignorable();
        let is_leaf =
            |&number: &usize| !ignored(&number) && self.node(number).downstream.iter().all(&ignored);
        let leaves: Vec<usize> = (0..self.len()).filter(is_leaf).collect();
        if leaves.is_empty() {
            return (0..self.len()).filter(|&number| self.node(number).downstream.is_empty()).collect();
        }
        leaves
    }

    fn teardowns(&self, setup: usize) -> Vec<usize> {
        let is_teardown = |&&next: &&usize| self.task(next).teardown.is_some();
        self.node(setup).downstream.iter().filter(is_teardown).copied().collect()
    }

    // The tasks behind a setup that are before one of its teardowns; all behind it when it has none.
    fn surrounds(&self, setup: usize, teardowns: &[usize]) -> Vec<bool> {
        let mut around = self.beyond(&[setup], true);
        if !teardowns.is_empty() {
            let before = self.beyond(teardowns, false);
            around.iter_mut().zip(before).for_each(|(is_around, is_before)| *is_around &= is_before);
        }
        around
    }

    fn hold_up(&mut self, teardown: usize) {
        let upstream = self.node(teardown).upstream.iter().copied();
        let setups: Vec<usize> = upstream.filter(|&number| self.node(number).is_setup).collect();
        if setups.is_empty() {
            return;
        }
        let behind = self.beyond(&setups, true);
        let before = self.beyond(&[teardown], false);
        for number in 0..self.len() {
            if behind[number] && before[number] && !setups.contains(&number) {
                self.node_mut(number).within.push(teardown);
            }
        }
    }
}
