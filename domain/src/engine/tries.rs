//! How tries end: what workers report, and what becomes of tries that nobody reports.

use serde_json::Value;

use super::{life::Life, record::XComRecord, timer::Timer};
use crate::{
    dag::MAX_MAP_NAME,
    id::TryKey,
    outcome::{CHOICE, Outcome, TryResult},
    state::TaskState,
    wait::OtherRun,
};

/// A try that is lost with its worker more often than this in a row counts as failed: a task that kills its worker must not
/// loop for ever.
pub const MAX_LOST: u32 = 3;

/// A try that nobody claimed is queued again at most this often, then it counts as failed. Source: Airflow 3.3.2
/// `[scheduler] num_stuck_in_queued_retries`.
pub const MAX_UNCLAIMED: u32 = 2;

impl Life<'_> {
    /// A worker reports. What is not about the current try of an instance in flight is too late, and changes nothing.
    pub fn report(&mut self, outcome: Outcome) {
        if self.run.expects(&outcome) {
            let index = outcome.attempt.ti.index;
            self.meet_worker(index, &outcome);
            self.end(index, outcome);
        }
    }

    /// A worker reports that its try may start a run, and it was started. Source: Airflow's operator leaves its XComs before it waits.
    pub(super) fn has_triggered(&mut self, outcome: Outcome, waits: Option<OtherRun>) {
        let index = outcome.attempt.ti.index;
        self.meet_worker(index, &outcome);
        match waits {
            Some(other) => {
                self.keep_xcoms(index, outcome.xcoms);
                self.wait_for_run(index, other);
            }
            None => self.end(index, outcome),
        }
    }

    // A try that goes on keeps the moment of its beginning. Source: Airflow 3.3.2, `start_date` of rescheduled and deferred tries.
    fn meet_worker(&mut self, index: u32, outcome: &Outcome) {
        let record = &mut self.run.tis[index as usize].record;
        record.started_at = Some(record.wait.as_ref().map_or(outcome.started_at, |wait| wait.since));
        record.worker = Some(outcome.worker);
    }

    /// Ends a try, or takes it as far as its outcome says.
    pub(super) fn end(&mut self, index: u32, mut outcome: Outcome) {
        match outcome.result {
            TryResult::Success => self.succeed(index, outcome),
            TryResult::Skipped => {
                self.end_try(index, TaskState::Skipped, &outcome);
                self.keep_xcoms(index, outcome.xcoms);
            }
            TryResult::Failed | TryResult::FailedForGood => {
                let left = std::mem::take(&mut outcome.xcoms);
                if outcome.result == TryResult::Failed {
                    self.fail(index, &outcome);
                } else {
                    self.fail_for_good(index, &outcome);
                }
                self.keep_left_by_failure(index, left);
            }
            TryResult::Returned => {
                self.requeue(index, outcome.reason.as_deref().unwrap_or("given back by its worker"));
            }
            TryResult::Rescheduled => self.reschedule(index, &outcome),
            TryResult::Again => self.go_round(index, outcome),
            TryResult::Deferred => self.defer(index, outcome),
        }
    }

    pub(super) fn succeed(&mut self, index: u32, mut outcome: Outcome) {
        match self.choose(index, &outcome) {
            Ok(choice) => {
                self.end_try(index, TaskState::Success, &outcome);
                self.emit(index, outcome.asset_events);
                if choice.is_some() {
                    // It is kept with the choice, once.
                    outcome.xcoms.shift_remove(CHOICE);
                }
                self.keep_xcoms(index, outcome.xcoms);
                if let Some(choice) = choice {
                    self.follow(index, choice);
                }
            }
            Err(reason) => {
                outcome.reason = Some(reason);
                self.fail_for_good(index, &outcome);
            }
        }
    }

    pub(super) fn fail_for_good(&mut self, index: u32, outcome: &Outcome) {
        self.end_try(index, TaskState::Failed, outcome);
        self.fail_fast(index);
    }

    // The first final failure ends the rest of the run: what is in flight fails, what has not started is skipped; teardowns and
    // other instances of the same task go on. Source: Airflow 3.3.2 `models/taskinstance.py:168`.
    fn fail_fast(&mut self, index: u32) {
        let graph = self.run.graph.clone();
        if !graph.dag.fail_fast || std::mem::replace(&mut self.run.failed_fast, true) {
            return;
        }
        let failed = self.run.tis[index as usize].node;
        let reason =
            format!("`{}` failed and the DAG is to fail fast", self.run.tis[index as usize].record.task_id);
        for other in 0..u32::try_from(self.run.tis.len()).unwrap_or(u32::MAX) {
            let ti = &self.run.tis[other as usize];
            let state = ti.record.state;
            let goes_on =
                ti.node >= graph.len() || graph.task(ti.node).teardown.is_some() || ti.node == failed;
            if goes_on || state.is_finished() {
                continue;
            }
            let end = if state.is_in_flight() { TaskState::Failed } else { TaskState::Skipped };
            self.end_by_decree(other, end, &reason);
        }
    }

    fn fail(&mut self, index: u32, outcome: &Outcome) {
        let ti = &self.run.tis[index as usize];
        let may_retry = ti.record.max_tries > 0 && ti.record.try_number <= ti.record.max_tries;
        if !may_retry || ti.node >= self.run.graph.len() {
            return self.fail_for_good(index, outcome);
        }
        let task = self.run.graph.task(ti.node);
        let seed = format!("{}#{}#{}", self.run.record.dag_id, task.task_id, self.run.record.run_id);
        // Rounds that went well make no wait longer.
        let number = ti.record.try_number.saturating_sub(ti.record.rounds);
        let at = task.retry.next_try_at(number, outcome.ended_at, &seed);
        self.close_try(index, TaskState::UpForRetry, outcome);
        self.run.tis[index as usize].record.next_try_at = Some(at);
        self.timers.set(at, Timer::Retry(self.attempt(index)));
        self.tell_of_try(index, outcome.exit_code);
    }

    fn end_try(&mut self, index: u32, state: TaskState, outcome: &Outcome) {
        self.close_try(index, state, outcome);
        self.tell_of_try(index, outcome.exit_code);
    }

    pub(super) fn close_try(&mut self, index: u32, state: TaskState, outcome: &Outcome) {
        let record = &mut self.run.tis[index as usize].record;
        record.ended_at = Some(outcome.ended_at);
        record.reason.clone_from(&outcome.reason);
        record.lost = 0;
        self.forget_wait(index);
        self.name_instance(index, outcome.rendered_map_index.as_deref());
        self.set(index, state);
        self.archive(index, state, outcome.exit_code);
    }

    /// What an instance is called beside its index, where its try says so.
    pub(super) fn name_instance(&mut self, index: u32, name: Option<&str>) {
        if let Some(name) = name {
            let name = name.chars().take(MAX_MAP_NAME).collect();
            self.run.tis[index as usize].record.rendered_map_index = Some(name);
        }
    }

    pub(super) fn keep_xcoms(&mut self, index: u32, xcoms: indexmap::IndexMap<String, Value>) {
        // Others see what the last round left, and nothing of those before.
        if self.run.tis[index as usize].record.rounds > 0 {
            self.drop_xcoms(index);
        }
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

    // Others may read what a try left before it failed, until the next one begins; but it has chosen nothing.
    fn keep_left_by_failure(&mut self, index: u32, mut left: indexmap::IndexMap<String, Value>) {
        left.shift_remove(CHOICE);
        if !left.is_empty() {
            self.keep_xcoms(index, left);
        }
    }

    /// Its worker is gone. It starts again without using up a retry, unless that happens too often in a row.
    pub fn lose(&mut self, attempt: TryKey) {
        if self.is_current(attempt) {
            let times = self.run.tis[attempt.ti.index as usize].record.lost + 1;
            let last = format!("its worker was lost {times} times in a row while it ran");
            let reason = "its worker stopped renewing its lease, so this try was given up";
            self.give_up(attempt, MAX_LOST, reason, last);
        }
    }

    /// Nobody claims it although somebody could. It is queued anew as another try, so that the message that got stuck cannot start it
    /// any more, or fails when that did not help.
    pub fn unclaimed(&mut self, attempt: TryKey) {
        if self.is_current(attempt)
            && self.run.tis[attempt.ti.index as usize].record.state == TaskState::Queued
        {
            self.out.stop.push(attempt);
            let reason = "no worker claimed it in time, so it was queued again";
            let last = format!("no worker claimed it in time, also after {MAX_UNCLAIMED} more tries");
            self.give_up(attempt, MAX_UNCLAIMED, reason, last);
        }
    }

    fn is_current(&self, attempt: TryKey) -> bool {
        self.run
            .tis
            .get(attempt.ti.index as usize)
            .is_some_and(|ti| ti.record.try_number == attempt.try_number && ti.record.state.is_in_flight())
    }

    fn give_up(&mut self, attempt: TryKey, most: u32, reason: &str, last: String) {
        let index = attempt.ti.index;
        let record = &mut self.run.tis[index as usize].record;
        record.lost += 1;
        if record.lost <= most {
            return self.requeue(index, reason);
        }
        self.conclude(index, TryResult::Failed, Some(last));
    }

    fn requeue(&mut self, index: u32, reason: &str) {
        let record = &mut self.run.tis[index as usize].record;
        record.ended_at = Some(self.now);
        record.reason = Some(reason.to_owned());
        record.max_tries += 1;
        self.archive(index, TaskState::Failed, None);
        self.begin_anew(index);
        // A wait goes on where it was: its timeout counts on.
        let wait = self.run.tis[index as usize].record.wait.take();
        self.schedule(index);
        let record = &mut self.run.tis[index as usize].record;
        if record.state == TaskState::Scheduled {
            record.wait = wait;
        } else if wait.is_some_and(|wait| wait.is_deferral()) {
            self.out.deferrals_closed.push(record.key);
        }
    }

    /// The retry's time has come.
    pub fn retry(&mut self, attempt: TryKey) {
        let Some(ti) = self.run.tis.get(attempt.ti.index as usize) else {
            return;
        };
        let waits = ti.record.state == TaskState::UpForRetry && !ti.record.is_held;
        if ti.record.try_number == attempt.try_number && waits {
            self.try_again(attempt.ti.index);
        }
    }

    /// Another try after one that failed.
    pub(super) fn try_again(&mut self, index: u32) {
        self.begin_anew(index);
        self.schedule(index);
    }

    // A new try begins without what the one before left. What rounds of a loop left goes when the next one has left something. Source:
    // Airflow 3.3.2, `xcom_keys_to_clear`.
    fn begin_anew(&mut self, index: u32) {
        let record = &self.run.tis[index as usize].record;
        if record.rounds == 0 && record.wait.is_none() {
            self.drop_xcoms(index);
        }
    }
}

/// How many instances a task has that is mapped over this value.
pub fn length(value: &Value) -> Option<usize> {
    match value {
        Value::Array(list) => Some(list.len()),
        // Airflow wraps what JSON has no form for: a tuple, a set. Source: Airflow 3.3.2 `sdk/serde/__init__.py`.
        Value::Object(map) => match (map.get("__classname__"), map.get("__data__")) {
            (Some(_), Some(Value::Array(list))) => Some(list.len()),
            _ => Some(map.len()),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
