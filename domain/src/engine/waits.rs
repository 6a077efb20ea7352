//! Waits: how a try goes to sleep, what wakes it, and how it ends.

use indexmap::IndexMap;
use serde_json::Value;

use super::{
    life::{DISABLED, Life},
    timer::Timer,
};
use crate::{
    dag::Operator,
    deferral::Resumption,
    id::TryKey,
    outcome::{Outcome, TryResult},
    span::Span,
    state::TaskState,
    wait::{Awaited, Heard, OtherRun, Until, Wait, WaitFor},
};

impl Life<'_> {
    /// Begins a wait that the engine watches itself.
    pub(super) fn begin_wait(&mut self, index: u32, wait: &WaitFor) {
        let (now, zone) = (self.now, self.run.graph.dag.timezone);
        let run = &self.run.record;
        let until = match &wait.until {
            Until::Time(clock) => {
                let from = run.data_interval.map_or(run.run_after, |interval| interval.end);
                Awaited::Time(clock.moment(zone, from))
            }
            Until::For(span) => Awaited::Time(now + span.delta()),
            // Airflow's `ExternalTaskSensor` takes `run_after` for a run without a logical date, too.
            Until::Dag(other) => Awaited::Run(other.of(zone, run.logical_date.unwrap_or(run.run_after))),
            Until::File(_) | Until::Http { .. } | Until::Sql { .. } => Awaited::Poke,
        };
        let deadline = Some(now + wait.timeout.delta());
        self.fall_asleep(index, Wait { until, since: now, deadline, pokes: 0 });
    }

    /// Waits for a run that this try has triggered.
    pub(super) fn wait_for_run(&mut self, index: u32, run: OtherRun) {
        let wait = Wait { until: Awaited::Run(run), since: self.now, deadline: None, pokes: 0 };
        self.fall_asleep(index, wait);
    }

    /// A try goes on without a worker until what it waits for happens.
    pub(super) fn fall_asleep(&mut self, index: u32, wait: Wait) {
        // What it leaves for another trigger, or for people, replaces what is there.
        if !wait.is_deferral() {
            self.forget_wait(index);
        }
        let state = match wait.until {
            Awaited::Answer(_) | Awaited::Input(_) => TaskState::AwaitingInput,
            Awaited::Time(_) | Awaited::Run(_) | Awaited::Poke | Awaited::Trigger { .. } => {
                TaskState::Deferred
            }
        };
        let record = &mut self.run.tis[index as usize].record;
        record.reason = Some(wait.words());
        record.next_try_at = wait.ends_at();
        record.wait = Some(Box::new(wait));
        self.set(index, state);
        self.listen(index);
        // What was over before it began takes no time at all.
        self.wake(self.attempt(index));
    }

    /// A worker has looked in vain: the next one looks after a pause, or when the task itself has said, under the same number. Source: Airflow
    /// 3.3.2 `BaseSensorOperator.execute` in mode `reschedule`; the last look of our own waits is at the deadline, not a pause before.
    pub(super) fn reschedule(&mut self, index: u32, outcome: &Outcome) {
        let rule = self.wait_for(index).map(|wait| (wait.poke, wait.timeout));
        let before = self.run.tis[index as usize].record.wait.as_deref();
        let since = before.map_or(outcome.started_at, |wait| wait.since);
        let pokes = before.map_or(0, |wait| wait.pokes) + 1;
        let (at, deadline) = match (rule, outcome.resume_at) {
            (Some((poke, timeout)), _) => {
                let deadline = since + timeout.delta();
                if outcome.ended_at >= deadline || self.now >= deadline {
                    return self.time_out(index, timeout, outcome.reason.as_deref());
                }
                ((outcome.ended_at + poke.pause(pokes).delta()).min(deadline), Some(deadline))
            }
            (None, Some(at)) => (at, None),
            (None, None) => {
                let reason = "it asked to be taken up again later, but does not wait for anything";
                return self.conclude(index, TryResult::FailedForGood, Some(reason.to_owned()));
            }
        };
        self.name_instance(index, outcome.rendered_map_index.as_deref());
        let record = &mut self.run.tis[index as usize].record;
        // A task that goes on after a trigger or an answer goes on with what that said.
        let until = record.wait.take().filter(|wait| wait.is_deferral());
        let until = until.map_or(Awaited::Poke, |wait| wait.until);
        let wait = Wait { until, since, deadline, pokes };
        let found = outcome.reason.as_deref().map(|reason| format!("{reason}; ")).unwrap_or_default();
        record.reason = Some(format!("{found}{}", wait.words()));
        (record.ended_at, record.next_try_at, record.lost) = (Some(outcome.ended_at), Some(at), 0);
        record.wait = Some(Box::new(wait));
        self.set(index, TaskState::UpForReschedule);
        self.listen(index);
    }

    /// Sets the alarm of what waits, and notes who waits for another run: when a wait begins, and when it comes into memory.
    pub(super) fn listen(&mut self, index: u32) {
        let record = &self.run.tis[index as usize].record;
        if !record.state.is_asleep() {
            return;
        }
        if let Some(at) = record.next_try_at {
            self.timers.set(at, Timer::Wait(self.attempt(index)));
        }
        let waits_for_run = record.wait.as_ref().is_some_and(|wait| matches!(wait.until, Awaited::Run(_)));
        if waits_for_run {
            self.run.listeners.push(index);
        }
    }

    /// The alarm of a wait has rung.
    pub(super) fn wake(&mut self, attempt: TryKey) {
        let index = attempt.ti.index;
        let Some(record) = self.run.tis.get(index as usize).map(|ti| &ti.record) else { return };
        let is_due = record.next_try_at.is_some_and(|at| at <= self.now);
        if record.try_number != attempt.try_number || !record.state.is_asleep() || !is_due {
            return;
        }
        if record.state == TaskState::UpForReschedule {
            if !record.is_held {
                self.look_again(index);
            }
            return;
        }
        let until = record.wait.as_ref().map(|wait| &wait.until);
        match until {
            Some(Awaited::Time(at)) if *at <= self.now => self.conclude(index, TryResult::Success, None),
            Some(Awaited::Answer(_) | Awaited::Input(_)) => self.give_up_waiting(index),
            Some(Awaited::Trigger { .. }) => self.resume(index, Resumption::TimedOut),
            Some(Awaited::Time(_) | Awaited::Run(_) | Awaited::Poke) | None => {
                let timeout = self.wait_for(index).map(|wait| wait.timeout).unwrap_or(crate::wait::TIMEOUT);
                self.time_out(index, timeout, None);
            }
        }
    }

    /// The next look: the try goes on under its number. Between two rounds nothing is waited for but the clock, and the next one is
    /// another try.
    pub(super) fn look_again(&mut self, index: u32) {
        if self.run.tis[index as usize].record.wait.is_none() {
            return self.schedule(index);
        }
        let node = self.run.tis[index as usize].node;
        if self.run.nodes.get(node).is_some_and(|node| node.disabled) {
            return self.end_by_decree(index, TaskState::Skipped, DISABLED);
        }
        let record = &mut self.run.tis[index as usize].record;
        record.scheduled_at = Some(self.now);
        record.next_try_at = None;
        (record.queued_at, record.started_at, record.ended_at, record.worker) = (None, None, None, None);
        // Another version of its DAG may leave it to the engine.
        if node < self.run.graph.len() && self.run.graph.node(node).is_instant {
            return self.carry_out(index, node);
        }
        self.set(index, TaskState::Scheduled);
        self.floor.wait(self.run.candidate(index));
    }

    /// The run that a try waits for has news for it.
    pub(super) fn hear(&mut self, attempt: TryKey, heard: Heard) {
        match heard {
            Heard::Met if self.wants_output(attempt.ti.index) => self.fetch_output(attempt.ti.index),
            Heard::Met => self.conclude(attempt.ti.index, TryResult::Success, None),
            Heard::Failed(reason) => {
                let result =
                    if self.is_soft(attempt.ti.index) { TryResult::Skipped } else { TryResult::Failed };
                self.conclude(attempt.ti.index, result, Some(reason));
            }
        }
    }

    // What the run left only a worker can read: the try goes on there, under its number, as after a look.
    fn fetch_output(&mut self, index: u32) {
        let record = &mut self.run.tis[index as usize].record;
        if let Some(wait) = &mut record.wait {
            wait.pokes += 1;
        }
        record.reason = None;
        self.look_again(index);
    }

    // A timeout is never tried again. Source: Airflow's `AirflowSensorTimeout`.
    fn time_out(&mut self, index: u32, timeout: Span, last: Option<&str>) {
        let last = last.map(|last| format!(": {last}")).unwrap_or_default();
        let reason = format!("it has waited for longer than its timeout of {timeout}{last}");
        let result = if self.is_soft(index) { TryResult::Skipped } else { TryResult::FailedForGood };
        self.conclude(index, result, Some(reason));
    }

    /// Ends a try without a worker's word.
    pub(super) fn conclude(&mut self, index: u32, result: TryResult, reason: Option<String>) {
        let outcome = self.own_word(index, result, reason);
        self.end(index, outcome);
    }

    /// What the engine itself says of a try.
    pub(super) fn own_word(&self, index: u32, result: TryResult, reason: Option<String>) -> Outcome {
        let record = &self.run.tis[index as usize].record;
        Outcome {
            attempt: self.attempt(index),
            result,
            started_at: record.started_at.unwrap_or(self.now),
            ended_at: self.now,
            worker: record.worker.unwrap_or_default(),
            exit_code: None,
            reason,
            rendered_map_index: None,
            xcoms: IndexMap::<String, Value>::new(),
            asset_events: Vec::new(),
            pokes: None,
            trigger: None,
            question: None,
            deferral: None,
            resume_at: None,
        }
    }

    fn is_soft(&self, index: u32) -> bool {
        self.wait_for(index).is_some_and(|wait| wait.soft_fail)
    }

    fn wait_for(&self, index: u32) -> Option<&WaitFor> {
        let node = Some(self.run.tis[index as usize].node).filter(|&node| node < self.run.graph.len())?;
        match &self.run.graph.task(node).operator {
            Operator::WaitFor(wait) => Some(wait),
            Operator::Bash { .. }
            | Operator::Python { .. }
            | Operator::Sql { .. }
            | Operator::Http { .. }
            | Operator::Branch { .. }
            | Operator::ShortCircuit { .. }
            | Operator::TriggerDag(_)
            | Operator::Airflow(_)
            | Operator::Approval(_)
            | Operator::LatestOnly
            | Operator::Empty => None,
        }
    }
}
