//! The life of a task instance: every change of its state goes through here, and what follows for its neighbours.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    decision::{Decisions, Ready},
    floor::{Candidate, Floor},
    record::{TryRecord, XComRecord},
    run::Run,
    timer::{Timer, Timers},
};
use crate::{
    id::{TiKey, TryKey},
    outcome::{Outcome, TryResult},
    state::{RunState, TaskState},
    trigger_rule::{Verdict, judge},
};

/// A try that is lost with its worker more often than this in a row counts as failed: a task that kills its worker must not
/// loop for ever.
pub const MAX_LOST: u32 = 3;

/// A run with everything that a change in it may touch.
pub struct Life<'a> {
    pub run: &'a mut Run,
    pub floor: &'a mut Floor,
    pub timers: &'a mut Timers,
    pub out: &'a mut Decisions,
    pub now: DateTime<Utc>,
}

impl Life<'_> {
    /// Judges every task whose upstreams changed, until nothing follows any more.
    pub fn settle(&mut self) {
        if self.run.record.state != RunState::Running {
            return;
        }
        while let Some(node) = self.run.review.pop() {
            self.run.nodes[node].in_review = false;
            self.judge(node);
        }
    }

    fn judge(&mut self, node: usize) {
        if self.run.nodes[node].untouched == 0 {
            return;
        }
        match judge(self.run.graph.task(node).trigger_rule, &self.run.nodes[node].up) {
            Verdict::Wait => {}
            Verdict::Run => self.begin(node),
            Verdict::Skip => self.end_untouched(node, TaskState::Skipped, None),
            Verdict::UpstreamFailed => self.end_untouched(node, TaskState::UpstreamFailed, None),
        }
    }

    fn begin(&mut self, node: usize) {
        if self.run.graph.task(node).is_mapped() && !self.expand(node) {
            return;
        }
        for index in self.untouched(node) {
            self.schedule(index);
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
        let record = &mut self.run.tis[index as usize].record;
        record.try_number += 1;
        record.scheduled_at = Some(now);
        record.next_try_at = None;
        if node < self.run.graph.len() && self.run.graph.node(node).is_empty {
            record.started_at = Some(now);
            return self.end_without_try(index, TaskState::Success, None);
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
            priority: candidate.priority,
            since: candidate.since,
        });
    }

    /// A worker reports. What is not about the current try of an instance in flight is too late, and changes nothing.
    pub fn report(&mut self, outcome: Outcome) {
        let Some(ti) = self.run.tis.get_mut(outcome.attempt.ti.index as usize) else {
            return;
        };
        if ti.record.try_number != outcome.attempt.try_number || !ti.record.state.is_in_flight() {
            return;
        }
        ti.record.started_at = Some(outcome.started_at);
        ti.record.worker = Some(outcome.worker);
        let index = outcome.attempt.ti.index;
        let reason = outcome.reason.as_deref();
        match outcome.result {
            TryResult::Success => self.end_try(index, TaskState::Success, &outcome),
            TryResult::Skipped => self.end_try(index, TaskState::Skipped, &outcome),
            TryResult::Failed => self.fail(index, &outcome),
            TryResult::FailedForGood => self.end_try(index, TaskState::Failed, &outcome),
            TryResult::Returned => self.requeue(index, reason.unwrap_or("given back by its worker")),
        }
        if matches!(outcome.result, TryResult::Success | TryResult::Skipped) {
            self.keep_xcoms(index, outcome.xcoms);
        }
    }

    fn fail(&mut self, index: u32, outcome: &Outcome) {
        let ti = &self.run.tis[index as usize];
        let may_retry = ti.record.max_tries > 0 && ti.record.try_number <= ti.record.max_tries;
        if !may_retry || ti.node >= self.run.graph.len() {
            return self.end_try(index, TaskState::Failed, outcome);
        }
        let task = self.run.graph.task(ti.node);
        let seed = format!("{}#{}#{}", self.run.record.dag_id, task.task_id, self.run.record.run_id);
        let at = task.retry.next_try_at(ti.record.try_number, outcome.ended_at, &seed);
        self.end_try(index, TaskState::UpForRetry, outcome);
        self.run.tis[index as usize].record.next_try_at = Some(at);
        self.timers.set(at, Timer::Retry(self.attempt(index)));
    }

    fn end_try(&mut self, index: u32, state: TaskState, outcome: &Outcome) {
        let record = &mut self.run.tis[index as usize].record;
        record.ended_at = Some(outcome.ended_at);
        record.reason.clone_from(&outcome.reason);
        record.lost = 0;
        self.set(index, state);
        self.archive(index, state, outcome.exit_code);
    }

    fn keep_xcoms(&mut self, index: u32, xcoms: indexmap::IndexMap<String, Value>) {
        for (key, value) in xcoms {
            self.run.note_length(index, &key, length(&value));
            let record = &self.run.tis[index as usize].record;
            self.out.xcoms.push(XComRecord {
                ti: record.key,
                task_id: record.task_id.clone(),
                map_index: record.map_index,
                key,
                value,
            });
        }
    }

    /// Its worker is gone. It starts again without using up a retry, unless that happens too often in a row.
    pub fn lose(&mut self, attempt: TryKey) {
        let Some(ti) = self.run.tis.get_mut(attempt.ti.index as usize) else {
            return;
        };
        if ti.record.try_number != attempt.try_number || !ti.record.state.is_in_flight() {
            return;
        }
        let index = attempt.ti.index;
        ti.record.lost += 1;
        if ti.record.lost <= MAX_LOST {
            return self.requeue(index, "its worker stopped renewing its lease, so this try was given up");
        }
        let reason = format!("its worker was lost {} times in a row while it ran", ti.record.lost);
        let record = &ti.record;
        let outcome = Outcome {
            attempt,
            result: TryResult::Failed,
            started_at: record.started_at.unwrap_or(self.now),
            ended_at: self.now,
            worker: record.worker.unwrap_or_default(),
            exit_code: None,
            reason: Some(reason),
            xcoms: indexmap::IndexMap::new(),
        };
        self.fail(index, &outcome);
    }

    fn requeue(&mut self, index: u32, reason: &str) {
        let record = &mut self.run.tis[index as usize].record;
        record.ended_at = Some(self.now);
        record.reason = Some(reason.to_owned());
        record.max_tries += 1;
        self.archive(index, TaskState::Failed, None);
        self.schedule(index);
    }

    /// The retry's time has come.
    pub fn retry(&mut self, attempt: TryKey) {
        let Some(ti) = self.run.tis.get(attempt.ti.index as usize) else {
            return;
        };
        if ti.record.try_number == attempt.try_number && ti.record.state == TaskState::UpForRetry {
            self.schedule(attempt.ti.index);
        }
    }

    /// Ends an instance by decree: by its rule, by a person, or because its run ends. A try in flight is stopped.
    pub fn end_by_decree(&mut self, index: u32, state: TaskState, reason: &str) {
        if self.run.tis[index as usize].record.state.is_in_flight() {
            self.stop(index, state, reason);
        }
        self.end_without_try(index, state, Some(reason));
    }

    fn end_without_try(&mut self, index: u32, state: TaskState, reason: Option<&str>) {
        let record = &mut self.run.tis[index as usize].record;
        record.ended_at = Some(self.now);
        record.next_try_at = None;
        record.reason = reason.map(str::to_owned);
        self.set(index, state);
    }

    /// Lets an instance run again as if it never had. Source: Airflow 3.3.2 `models/taskinstance.py:357`.
    pub fn clear(&mut self, index: u32) {
        if self.run.tis[index as usize].record.state.is_in_flight() {
            self.stop(index, TaskState::Failed, "stopped, because it was cleared");
        }
        let node = self.run.tis[index as usize].node;
        let Some(retries) = (node < self.run.graph.len()).then(|| self.run.graph.task(node).retry.retries)
        else {
            return;
        };
        let record = &mut self.run.tis[index as usize].record;
        record.max_tries = record.try_number + retries;
        record.lost = 0;
        record.reason = None;
        (record.scheduled_at, record.queued_at, record.started_at) = (None, None, None);
        (record.ended_at, record.next_try_at, record.worker) = (None, None, None);
        let xcoms = (record.key.run, record.task_id.clone(), record.map_index);
        self.run.forget_lengths(index);
        self.out.xcoms_cleared.push(xcoms);
        self.set(index, TaskState::None);
        self.run.review_node(node);
    }

    fn stop(&mut self, index: u32, state: TaskState, reason: &str) {
        let attempt = self.attempt(index);
        self.out.stop.push(attempt);
        let record = &mut self.run.tis[index as usize].record;
        record.ended_at = Some(self.now);
        record.reason = Some(reason.to_owned());
        self.archive(index, state, None);
    }

    fn archive(&mut self, index: u32, state: TaskState, exit_code: Option<i32>) {
        let record = &self.run.tis[index as usize].record;
        self.out.tries.push(TryRecord {
            attempt: TryKey { ti: record.key, try_number: record.try_number },
            state,
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
        if from == to || node >= self.run.graph.len() {
            return;
        }
        self.count(node, from, to);
        if from.is_finished() || to.is_finished() {
            self.tell_downstream(node, from, to);
        }
    }

    fn count(&mut self, node: usize, from: TaskState, to: TaskState) {
        let run = &mut *self.run;
        run.unfinished = run.unfinished + usize::from(!to.is_finished()) - usize::from(!from.is_finished());
        let untouched = &mut run.nodes[node].untouched;
        *untouched = *untouched + usize::from(to == TaskState::None) - usize::from(from == TaskState::None);
    }

    fn tell_downstream(&mut self, node: usize, from: TaskState, to: TaskState) {
        let graph = self.run.graph.clone();
        for &next in &graph.node(node).downstream {
            let up = &mut self.run.nodes[next].up;
            up.remove(from);
            up.add(to);
            self.run.review_node(next);
            if from.is_finished() {
                self.take_back(next);
            }
        }
    }

    // An upstream's end was revoked: what was ready because of it and has not been handed out yet is not ready any more.
    fn take_back(&mut self, node: usize) {
        for index in self.run.nodes[node].instances.clone() {
            let record = &mut self.run.tis[index as usize].record;
            if record.state == TaskState::Scheduled {
                record.try_number -= 1;
                record.scheduled_at = None;
                self.set(index, TaskState::None);
            }
        }
    }

    fn attempt(&self, index: u32) -> TryKey {
        let record = &self.run.tis[index as usize].record;
        TryKey { ti: record.key, try_number: record.try_number }
    }
}

/// How many instances a task has that is mapped over this value.
pub fn length(value: &Value) -> Option<usize> {
    match value {
        Value::Array(list) => Some(list.len()),
        Value::Object(map) => Some(map.len()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
