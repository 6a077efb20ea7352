//! What a task waits for, counted where it belongs.
//!
//! A task outside of mapped groups has one count of everything before it. Within a mapped group an instance waits for its
//! counterparts only, so there is one count for what lies outside and one more for each element of each group around it. What
//! an instance waits for is the sum of one cell of each level.

use super::{
    graph::Node,
    run::{NodeState, Run},
};
use crate::{dag::cell_of, state::TaskState, trigger_rule::Tally};

/// In which way a task waits for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tie {
    /// It depends on it directly.
    Upstream,
    /// It lies in the scope of that setup.
    Guard,
    /// It is a teardown and that task lies between its setups and itself.
    Scope,
}

/// One count of what some instances of a task wait for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cell {
    /// How the upstream instances ended.
    pub up: Tally,
    /// How the instances of the setups ended that it lies in the scope of without waiting for them directly.
    pub setups: Tally,
    /// Unfinished instances between a teardown and its setups.
    pub scope_left: u32,
}

/// The counts of a task. The first level has one cell, each further one a cell for each element of the mapped groups so deep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cells(Vec<Vec<Cell>>);

impl Default for Cells {
    fn default() -> Self {
        Self(vec![vec![Cell::default()]])
    }
}

impl Cells {
    /// Empty ones of that shape.
    #[must_use]
    pub fn new(shape: &[usize]) -> Self {
        Self(shape.iter().map(|&cells| vec![Cell::default(); cells]).collect())
    }
}

/// A place in [`Cells`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    level: usize,
    cell: usize,
}

impl Spot {
    const EVERYBODY: Self = Self { level: 0, cell: 0 };
}

impl Cell {
    /// Counts that an instance went from one state to another; none is an instance that does not exist.
    fn count(&mut self, tie: Tie, is_setup: bool, from: Option<TaskState>, to: Option<TaskState>) {
        let (tally, is_setup) = match tie {
            Tie::Upstream => (&mut self.up, is_setup),
            Tie::Guard => (&mut self.setups, true),
            Tie::Scope => {
                let is_open = |state: Option<TaskState>| u32::from(state.is_some_and(|s| !s.is_finished()));
                self.scope_left = (self.scope_left + is_open(to)).saturating_sub(is_open(from));
                return;
            }
        };
        if let Some(from) = from {
            tally.remove(from, is_setup);
            tally.expect_less(1, is_setup);
        }
        if let Some(to) = to {
            tally.expect(1, is_setup);
            tally.add(to, is_setup);
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            up: self.up.plus(other.up),
            setups: self.setups.plus(other.setups),
            scope_left: self.scope_left + other.scope_left,
        }
    }

    // Everything that a rule can ask of one summand of a sum. While that stays the same, so does every verdict.
    fn looks(&self) -> ([bool; 12], [bool; 12], bool) {
        (self.up.looks(), self.setups.looks(), self.scope_left == 0)
    }
}

impl Node {
    /// Everybody who waits for a task, and in which way.
    pub fn ties(&self) -> impl Iterator<Item = (usize, Tie)> {
        let down = self.downstream.iter().map(|&next| (next, Tie::Upstream));
        let guarded = self.guarded.iter().map(|&next| (next, Tie::Guard));
        down.chain(guarded).chain(self.within.iter().map(|&next| (next, Tie::Scope)))
    }
}

impl Run {
    /// How many instances of a task share the cell of a level.
    fn width(&self, node: usize, level: usize) -> usize {
        let state = &self.nodes[node];
        state.count.checked_div(state.shape[level]).unwrap_or(1).max(1)
    }

    // Where an instance of `of` counts at `at`. Nowhere, when it lies beyond the elements that both know.
    fn spot(&self, of: usize, place: usize, at: usize) -> Option<Spot> {
        let level = self.graph.common(of, at);
        let (theirs, ours) = (&self.nodes[of], &self.nodes[at]);
        if level == 0 || !theirs.is_divided() || !ours.is_divided() {
            return Some(Spot::EVERYBODY);
        }
        let cell = cell_of(place, theirs.count, theirs.shape[level]);
        (place < theirs.count && cell < ours.shape[level]).then_some(Spot { level, cell })
    }

    /// What the instance at a place waits for.
    pub fn cell(&self, node: usize, place: usize) -> Cell {
        let NodeState { cells, shape, .. } = &self.nodes[node];
        let first = cells.0[0][0];
        if cells.0.len() == 1 {
            return first;
        }
        let deeper = cells.0.iter().enumerate().skip(1);
        deeper.fold(first, |sum, (level, cells)| {
            let cell = place / self.width(node, level);
            debug_assert_eq!(cells.len(), shape[level]);
            sum.plus(cells.get(cell).copied().unwrap_or_default())
        })
    }

    /// The places of the instances of `of` that belong to the instance of `to` at `place`.
    pub fn counterparts(&self, of: usize, to: usize, place: usize) -> std::ops::Range<usize> {
        let (theirs, ours) = (&self.nodes[of], &self.nodes[to]);
        let level = self.graph.common(of, to);
        if level == 0 || !theirs.is_divided() || !ours.is_divided() {
            return 0..theirs.instances.len();
        }
        let cell = place / self.width(to, level);
        let width = self.width(of, level);
        let most = theirs.count.min(theirs.instances.len());
        (cell * width).min(most)..((cell + 1) * width).min(most)
    }

    /// Counts a change of an instance of `of` at a task that is tied to it, and has those judged again that it concerns.
    pub fn tell_one(
        &mut self,
        (of, place): (usize, usize),
        (at, tie): (usize, Tie),
        from: Option<TaskState>,
        to: Option<TaskState>,
    ) {
        let Some(spot) = self.spot(of, place, at) else { return };
        let is_setup = self.graph.node(of).is_setup;
        let state = &mut self.nodes[at];
        let cell = &mut state.cells.0[spot.level][spot.cell];
        if self.graph.node(at).groups.is_empty() {
            cell.count(tie, is_setup, from, to);
            let concerns = tie != Tie::Scope || cell.scope_left == 0;
            return if concerns {
                self.review_node(at)
            };
        }
        let before = cell.looks();
        cell.count(tie, is_setup, from, to);
        if before == cell.looks() {
            return;
        }
        if spot.level == 0 {
            return self.review_node(at);
        }
        let width = self.width(at, spot.level);
        self.review_places(at, spot.cell * width..(spot.cell + 1) * width);
    }

    /// Counts the instances of a task at everybody who waits for it, or no longer does.
    pub fn introduce(&mut self, node: usize, exist: bool) {
        let graph = self.graph.clone();
        let states: Vec<TaskState> = self.states(node);
        for (next, tie) in graph.node(node).ties() {
            self.tally((node, &states), (next, tie), exist);
        }
    }

    /// Gives a task as many cells as its groups have elements, and counts everything anew that it waits for.
    pub fn survey(&mut self, node: usize, shape: Vec<usize>) {
        (self.nodes[node].cells, self.nodes[node].shape) = (Cells::new(&shape), shape);
        let graph = self.graph.clone();
        let own = graph.node(node);
        let ties = own.upstream.iter().map(|&up| (up, Tie::Upstream));
        let ties = ties.chain(own.guards.iter().map(|&up| (up, Tie::Guard)));
        for (up, tie) in ties.chain(own.holders.iter().map(|&up| (up, Tie::Scope))) {
            let states = self.states(up);
            self.tally((up, &states), (node, tie), true);
        }
    }

    fn states(&self, node: usize) -> Vec<TaskState> {
        self.nodes[node].instances.iter().map(|&i| self.tis[i as usize].record.state).collect()
    }

    fn tally(&mut self, (of, states): (usize, &[TaskState]), (at, tie): (usize, Tie), exist: bool) {
        let is_setup = self.graph.node(of).is_setup;
        for (place, &state) in states.iter().enumerate() {
            if let Some(spot) = self.spot(of, place, at) {
                let cell = &mut self.nodes[at].cells.0[spot.level][spot.cell];
                let (from, to) = if exist { (None, Some(state)) } else { (Some(state), None) };
                cell.count(tie, is_setup, from, to);
            }
        }
    }
}
