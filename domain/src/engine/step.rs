//! What comes next for a task whose turn may have come: decided here, carried out by [`super::life`], told by [`super::why`].

use super::{
    cells::Cell,
    past::{Behind, Past},
    run::Run,
};
use crate::trigger_rule::{Open, Verdict, judge_all, open};

/// What becomes of the instances of a task to which nothing has happened yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// They wait for other tasks of the run.
    Wait(Open),
    /// They are skipped, because this task chose others.
    LeaveOut(usize),
    /// They are skipped, because of the rule.
    Skip,
    /// They are set to `upstream_failed`.
    FailWithUpstream,
    /// They are skipped, because the task is switched off.
    PassOver,
    /// They wait for the previous run.
    StandBack(Behind),
    /// They wait until it is known how many there are.
    AwaitSources,
    /// Those that are not held may start.
    Begin,
}

impl Run {
    /// What becomes of the untouched instance at a place; outside of mapped groups the same becomes of all instances of a task.
    pub fn next_step(&self, node: usize, place: usize, past: &Past<'_>) -> Step {
        // Within a mapped group nobody knows yet which counterparts it has.
        if !self.graph.node(node).groups.is_empty() && self.unmeasured(node).next().is_some() {
            return Step::AwaitSources;
        }
        let task = self.graph.task(node);
        let skipped = |step| {
            let waits =
                task.wait_for_past_depends_before_skipping.then(|| past.keeps_back(&self.graph, node));
            waits.flatten().map_or(step, Step::StandBack)
        };
        if let Some(chooser) = self.skipped_by(node, place) {
            return skipped(Step::LeaveOut(chooser));
        }
        let rule = task.trigger_rule;
        let Cell { up, setups, scope_left } = self.cell(node, place);
        match judge_all(rule, &up, &setups, scope_left) {
            Verdict::Wait => Step::Wait(open(rule, &up, &setups, scope_left)),
            Verdict::Skip => skipped(Step::Skip),
            Verdict::UpstreamFailed => Step::FailWithUpstream,
            Verdict::Run if self.nodes[node].disabled => Step::PassOver,
            Verdict::Run => match past.keeps_back(&self.graph, node) {
                Some(behind) => Step::StandBack(behind),
                None if self.awaits_sources(node) => Step::AwaitSources,
                None => Step::Begin,
            },
        }
    }

    /// Itself, and those in the same mapped group that it waits for, if what they are mapped over has not ended. One that was never
    /// expanded counts for everybody, so that nothing has to be known of it.
    pub fn unmeasured(&self, node: usize) -> impl Iterator<Item = usize> {
        let wider = self.graph.node(node).wider.iter().copied().filter(|&other| self.nodes[other].expanded);
        std::iter::once(node).chain(wider).filter(|&other| self.awaits_sources(other))
    }

    /// What a task is mapped over has not ended. A rule that does not wait for all upstreams must still wait for those that say
    /// how many instances there are.
    pub fn awaits_sources(&self, node: usize) -> bool {
        self.graph.node(node).sources.iter().any(|&source| self.nodes[source].unfinished > 0)
    }
}
