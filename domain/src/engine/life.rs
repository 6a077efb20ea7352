//! The life of a task instance: every change of its state goes through here, and what follows for its neighbours.

use std::{cmp::Reverse, ops::Range};

use chrono::{DateTime, Utc};

use super::{
    counts::Due,
    decision::{Decisions, Ready},
    floor::{Candidate, Floor, Sleep},
    past::Past,
    record::TryRecord,
    run::Run,
    step::Step,
    timer::Timers,
};
use crate::{
    id::{TiKey, TryKey},
    state::{RunState, TaskState},
    trigger_rule::is_without_counterpart,
    wait::Awaited,
};

/// A run with everything that a change in it may touch.
pub struct Life<'a> {
    pub run: &'a mut Run,
    pub floor: &'a mut Floor,
    pub timers: &'a mut Timers,
    pub out: &'a mut Decisions,
    /// The run before this one, as far as a task may wait for it.
    pub past: Past<'a>,
    pub now: DateTime<Utc>,
}

impl Life<'_> {
    /// Judges every task whose upstreams changed, until nothing follows any more.
    pub fn settle(&mut self) {
        if self.run.record.state != RunState::Running || self.run.record.is_paused {
            return;
        }
        while let Some(Reverse(rank)) = self.run.review.pop() {
            let node = self.run.graph.order[rank];
            let due = std::mem::take(&mut self.run.nodes[node].due);
            if self.run.graph.node(node).groups.is_empty() {
                self.judge(node);
                continue;
            }
            match due {
                Due::Nothing => {}
                Due::All => self.judge_instances(node, std::slice::from_ref(&(0..usize::MAX))),
                Due::Places(places) => self.judge_instances(node, &places),
            }
        }
    }

    // All instances wait for the same: one verdict does for them.
    fn judge(&mut self, node: usize) {
        self.run.unblock_all(node);
        if self.run.nodes[node].untouched == 0 {
            return;
        }
        let step = self.run.next_step(node, 0, &self.past);
        match step {
            Step::Wait(_) | Step::AwaitSources => {}
            Step::LeaveOut(chooser) => {
                let reason = self.left_out(chooser);
                self.end_untouched(node, TaskState::Skipped, Some(&reason));
            }
            Step::Skip => self.end_untouched(node, TaskState::Skipped, None),
            Step::FailWithUpstream => self.end_untouched(node, TaskState::UpstreamFailed, None),
            Step::PassOver => self.end_untouched(node, TaskState::Skipped, Some(DISABLED)),
            Step::StandBack(behind) => {
                let reason = behind.reason(self.run.graph.task(node));
                self.untouched(node).into_iter().for_each(|index| self.block(node, index, reason.as_deref()));
            }
            Step::Begin => self.begin(node),
        }
    }

    fn begin(&mut self, node: usize) {
        if self.run.graph.task(node).is_mapped() && !self.expand(node) {
            return;
        }
        let rule = self.run.graph.task(node).trigger_rule;
        let up = self.run.cell(node, 0).up;
        for index in self.untouched(node) {
            if is_without_counterpart(rule, &up, self.run.tis[index as usize].record.map_index) {
                let reason = "fewer upstream instances are left than its index";
                self.end_without_try(index, TaskState::Removed, Some(reason));
            } else {
                self.start(node, index);
            }
        }
    }

    // Within a mapped group each instance waits for its own counterparts. Until the elements are known, the placeholder waits for
    // them whatever its rule says.
    fn judge_instances(&mut self, node: usize, places: &[Range<usize>]) {
        if self.is_closed(node) || !self.expand(node) {
            return;
        }
        let length = self.run.nodes[node].instances.len();
        let places = places.iter().flat_map(|places| places.start..places.end.min(length));
        places.for_each(|place| self.judge_instance(node, place));
    }

    fn judge_instance(&mut self, node: usize, place: usize) {
        let index = self.run.nodes[node].instances[place];
        self.run.unblock(node, index);
        if self.run.tis[index as usize].record.state != TaskState::None {
            return;
        }
        if place >= self.run.nodes[node].count {
            return self.remove(index);
        }
        let step = self.run.next_step(node, place, &self.past);
        match step {
            Step::Wait(_) | Step::AwaitSources => {}
            Step::LeaveOut(chooser) => {
                let reason = self.left_out(chooser);
                self.end_without_try(index, TaskState::Skipped, Some(&reason));
            }
            Step::Skip => self.end_without_try(index, TaskState::Skipped, None),
            Step::FailWithUpstream => self.end_without_try(index, TaskState::UpstreamFailed, None),
            Step::PassOver => self.end_without_try(index, TaskState::Skipped, Some(DISABLED)),
            Step::StandBack(behind) => {
                let reason = behind.reason(self.run.graph.task(node));
                self.block(node, index, reason.as_deref());
            }
            Step::Begin => self.start(node, index),
        }
    }

    fn left_out(&self, chooser: usize) -> String {
        format!("`{}` chose another path", self.run.graph.task(chooser).task_id)
    }

    fn start(&mut self, node: usize, index: u32) {
        if self.run.tis[index as usize].record.is_held {
            self.run.block(node, index);
        } else {
            self.schedule(index);
        }
    }

    // Something else than its rule keeps an instance back, and says why where that is known.
    fn block(&mut self, node: usize, index: u32, reason: Option<&str>) {
        self.run.block(node, index);
        let Some(reason) = reason else { return };
        let record = &mut self.run.tis[index as usize].record;
        if !record.is_held && record.reason.as_deref() != Some(reason) {
            record.reason = Some(reason.to_owned());
            self.run.touch(index);
        }
    }

    /// The instances of a task that nothing has happened to yet.
    pub fn untouched(&self, node: usize) -> Vec<u32> {
        let is_none = |&&index: &&u32| self.run.tis[index as usize].record.state == TaskState::None;
        self.run.nodes[node].instances.iter().filter(is_none).copied().collect()
    }

    /// Ends every instance of a task that nothing has happened to yet.
    pub fn end_untouched(&mut self, node: usize, state: TaskState, reason: Option<&str>) {
        for index in self.untouched(node) {
            self.end_without_try(index, state, reason);
        }
    }

    /// Its dependencies are met: a new try, which waits for room, or is over at once when there is nothing to run.
    pub fn schedule(&mut self, index: u32) {
        let now = self.now;
        let node = self.run.tis[index as usize].node;
        if self.run.nodes.get(node).is_some_and(|node| node.disabled) {
            return self.end_without_try(index, TaskState::Skipped, Some(DISABLED));
        }
        self.forget_wait(index);
        let record = &mut self.run.tis[index as usize].record;
        record.try_number += 1;
        record.scheduled_at = Some(now);
        if node < self.run.graph.len() && self.run.graph.node(node).is_instant {
            (record.started_at, record.ended_at, record.reason) = (Some(now), None, None);
            return self.carry_out(index, node);
        }
        (record.queued_at, record.started_at, record.ended_at, record.worker) = (None, None, None, None);
        record.reason = None;
        self.set(index, TaskState::Scheduled);
        self.floor.wait(self.run.candidate(index));
    }

    /// The floor let it through: it goes to the ready queue.
    pub fn queue(&mut self, candidate: &Candidate) {
        let index = candidate.ti.index;
        self.run.tis[index as usize].record.queued_at = Some(self.now);
        self.set(index, TaskState::Queued);
        self.out.ready.push(Ready {
            queue: candidate.queue.clone(),
            attempt: self.attempt(index),
            released_at: self.now,
        });
    }

    /// Ends an instance by decree: by its rule, by a person, or because its run ends. A try in flight is stopped.
    pub fn end_by_decree(&mut self, index: u32, state: TaskState, reason: &str) {
        self.stop(index, state, reason);
        self.end_without_try(index, state, Some(reason));
    }

    pub fn end_without_try(&mut self, index: u32, state: TaskState, reason: Option<&str>) {
        self.forget_wait(index);
        let record = &mut self.run.tis[index as usize].record;
        record.ended_at = Some(self.now);
        record.reason = reason.map(str::to_owned);
        self.set(index, state);
    }

    /// Lets an instance run again as if it never had. Source: Airflow 3.3.2 `models/taskinstance.py:357`.
    pub fn clear(&mut self, index: u32) {
        self.stop(index, TaskState::Failed, "stopped, because it was cleared");
        let node = self.run.tis[index as usize].node;
        let Some(retries) = (node < self.run.graph.len()).then(|| self.run.graph.task(node).retry.retries)
        else {
            return;
        };
        self.forget_wait(index);
        let record = &mut self.run.tis[index as usize].record;
        record.max_tries = record.try_number + retries;
        (record.lost, record.rounds) = (0, 0);
        record.reason = record.is_held.then(|| HELD.to_owned());
        (record.scheduled_at, record.queued_at, record.started_at) = (None, None, None);
        (record.ended_at, record.worker) = (None, None);
        record.rendered_map_index = None;
        self.run.choices.remove(&index);
        self.run.failed_fast = false;
        self.drop_xcoms(index);
        self.set(index, TaskState::None);
        self.run.review_instance(index);
    }

    /// Forgets what an instance left for others.
    pub(super) fn drop_xcoms(&mut self, index: u32) {
        let record = &self.run.tis[index as usize].record;
        let (key, xcoms) = (record.key, (record.key.run, record.task_id.clone(), record.map_index));
        self.run.forget_lengths(index);
        // What it left in this very turn would be written after the deletion.
        self.out.xcoms.retain(|xcom| xcom.ti != key);
        self.out.xcoms_cleared.push(xcoms);
    }

    // A try that has begun becomes history; whoever runs it is told.
    fn stop(&mut self, index: u32, state: TaskState, reason: &str) {
        self.forsake(index, state);
        let record = &self.run.tis[index as usize].record;
        let is_in_flight = record.state.is_in_flight();
        let wait = record.wait.as_ref().filter(|_| !is_in_flight);
        if !is_in_flight && wait.is_none() {
            return;
        }
        // Whoever holds the trigger that it waits for is told, too.
        if wait.is_none_or(|wait| matches!(wait.until, Awaited::Trigger { .. })) {
            self.out.stop.push(self.attempt(index));
        }
        let record = &mut self.run.tis[index as usize].record;
        record.ended_at = Some(self.now);
        record.reason = Some(reason.to_owned());
        self.archive(index, state, None);
    }

    pub(super) fn archive(&mut self, index: u32, state: TaskState, exit_code: Option<i32>) {
        let record = &self.run.tis[index as usize].record;
        let round = self.repeat(index).map(|_| record.rounds + 1);
        self.out.tries.push(TryRecord {
            attempt: TryKey { ti: record.key, try_number: record.try_number },
            state,
            round,
            queued_at: record.queued_at,
            started_at: record.started_at,
            ended_at: record.ended_at.unwrap_or(self.now),
            worker: record.worker,
            exit_code,
            reason: record.reason.clone(),
        });
    }

    /// The one place where a state changes. Keeps the floor, the counts and the neighbours' tallies in step.
    pub fn set(&mut self, index: u32, to: TaskState) {
        let ti = &mut self.run.tis[index as usize];
        let from = std::mem::replace(&mut ti.record.state, to);
        let node = ti.node;
        debug_assert!(from.may_become(to), "{from} may not become {to}");
        self.run.touch(index);
        let leaves_floor = from == TaskState::Scheduled || from.is_in_flight();
        if leaves_floor && to != TaskState::Queued {
            self.floor.remove(TiKey { run: self.run.record.key, index });
        }
        self.doze(index, from, to);
        if from == to || node >= self.run.graph.len() {
            return;
        }
        self.run.count(node, from, to);
        if from == TaskState::None {
            self.run.unblock(node, index);
        }
        if from.is_finished() || to.is_finished() {
            self.run.has_news |= self.run.is_watched;
            self.tell(index, node, from, to);
        }
    }

    // What waits without a worker keeps some of its room.
    fn doze(&mut self, index: u32, from: TaskState, to: TaskState) {
        let asleep = |state| match state {
            TaskState::Deferred => Some(Sleep::Deferred),
            TaskState::AwaitingInput => Some(Sleep::AwaitingInput),
            TaskState::None
            | TaskState::Scheduled
            | TaskState::Queued
            | TaskState::Running
            | TaskState::Restarting
            | TaskState::Success
            | TaskState::Failed
            | TaskState::UpForRetry
            | TaskState::UpForReschedule
            | TaskState::UpstreamFailed
            | TaskState::Skipped
            | TaskState::Removed => None,
        };
        match (asleep(from), asleep(to)) {
            (_, Some(sleep)) => self.floor.sleep(self.run.candidate(index), sleep),
            (Some(slept), None) => {
                self.floor.remove(TiKey { run: self.run.record.key, index });
                if slept == Sleep::AwaitingInput {
                    self.close_question(index);
                }
            }
            (None, None) => {}
        }
    }

    fn tell(&mut self, index: u32, node: usize, from: TaskState, to: TaskState) {
        let graph = self.run.graph.clone();
        let place = usize::try_from(self.run.tis[index as usize].record.map_index).unwrap_or(0);
        for tie in graph.node(node).ties() {
            self.run.tell_one((node, place), tie, Some(from), Some(to));
            if from.is_finished() {
                self.take_back(tie.0, node, place);
            }
        }
        // Who is mapped over it waits for all of it, also without depending on it directly.
        for &fed in &graph.node(node).feeds {
            if self.run.nodes[node].unfinished == 0 {
                self.run.review_node(fed);
            } else if from.is_finished() {
                self.take_back(fed, node, place);
            }
        }
    }

    // An upstream's end was revoked: what was ready because of it and has not been handed out yet is not ready any more.
    fn take_back(&mut self, node: usize, because_of: usize, place: usize) {
        if self.run.nodes[node].ready > 0 {
            for at in self.run.counterparts(node, because_of, place) {
                self.withdraw(self.run.nodes[node].instances[at]);
            }
        }
    }

    /// Takes an instance that is ready but not handed out back to where its rule has to be judged again.
    pub fn withdraw(&mut self, index: u32) {
        let record = &mut self.run.tis[index as usize].record;
        if record.state == TaskState::Scheduled {
            let has_begun = record.wait.as_ref().is_some_and(|wait| wait.pokes > 0);
            self.forget_wait(index);
            let record = &mut self.run.tis[index as usize].record;
            record.scheduled_at = None;
            // A try in which a worker has looked already is never begun anew under its number, and what it left goes with it.
            if has_begun {
                record.max_tries += 1;
                self.drop_xcoms(index);
            } else {
                record.try_number -= 1;
            }
            self.set(index, TaskState::None);
            self.run.review_instance(index);
        }
    }

    pub(super) fn attempt(&self, index: u32) -> TryKey {
        let record = &self.run.tis[index as usize].record;
        TryKey { ti: record.key, try_number: record.try_number }
    }
}

/// Why an instance of a task that is switched off is skipped.
pub const DISABLED: &str = "the task is switched off";
/// Why an instance that an operator holds does not start.
pub const HELD: &str = "held by an operator: it does not start until it is released";
