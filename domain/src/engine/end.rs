//! How runs end, and who is told.

use chrono::{DateTime, Utc};

use super::{Engine, life::Life};
use crate::{
    alert::{AlertEvent, AlertRecord, Facts, Notification, failed_tasks},
    id::RunKey,
    state::{RunState, TaskState},
};

impl Engine {
    /// Ends a run in which nothing is left to do, or that is stopped by a rule. Whoever wants to know is told why.
    pub(super) fn end_run(&mut self, key: RunKey, state: RunState, reason: Option<&str>, now: DateTime<Utc>) {
        self.close_run(key, state, now);
        self.tell_of_run(key, reason, now);
    }

    /// Ends a run without a word: by the hand of somebody who knows.
    pub(super) fn close_run(&mut self, key: RunKey, state: RunState, now: DateTime<Utc>) {
        self.pass_last_deadlines(key, state, now);
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        let was = std::mem::replace(&mut run.record.state, state);
        run.record.ended_at = Some(now);
        if state == RunState::Failed && !was.is_finished() {
            self.out.alerts.extend(run.foresee_deadlines(now));
        }
        run.record.is_paused = false;
        run.dirty = true;
        if run.is_watched {
            self.noteworthy.insert(key);
        }
        self.dirty.insert(key);
        let dag_id = run.record.dag_id.clone();
        if let Some(dag) = self.dags.get_mut(&dag_id) {
            dag.forget(run, was);
        }
        self.hand_over(key);
        self.meet_backfill(key);
        if !was.is_finished() {
            self.count_failure(&dag_id, key, now);
        }
        self.due.insert(dag_id);
    }

    pub(super) fn time_out(&mut self, key: RunKey, now: DateTime<Utc>) {
        let Some(run) = self.runs.get(&key) else { return };
        let timeout = run.graph.dag.dagrun_timeout;
        let started = run.record.started_at.filter(|_| run.record.state == RunState::Running);
        let (Some(timeout), Some(started)) = (timeout, started) else {
            return;
        };
        if started + timeout.delta() > now {
            return;
        }
        let reason = format!("the run lasted longer than its dagrun_timeout of {timeout}");
        self.stop_run(key, RunState::Failed, TaskState::Skipped, &reason, now);
    }

    /// Ends a run and everything in it by a rule. Tries in flight are stopped.
    pub(super) fn stop_run(
        &mut self,
        key: RunKey,
        state: RunState,
        rest: TaskState,
        reason: &str,
        now: DateTime<Utc>,
    ) {
        self.end_rest(key, rest, reason, now);
        self.end_run(key, state, Some(reason), now);
    }

    /// Ends everything in a run that has not ended yet. Tries in flight are stopped.
    pub(super) fn end_rest(&mut self, key: RunKey, rest: TaskState, reason: &str, now: DateTime<Utc>) {
        let in_flight = if rest == TaskState::Success { rest } else { TaskState::Failed };
        self.quietly(key, now, |life| {
            for index in 0..u32::try_from(life.run.tis.len()).unwrap_or(u32::MAX) {
                let current = life.run.tis[index as usize].record.state;
                if current.is_in_flight() {
                    life.end_by_decree(index, in_flight, reason);
                } else if !current.is_finished() {
                    life.end_by_decree(index, rest, reason);
                }
            }
        });
    }

    fn tell_of_run(&mut self, key: RunKey, reason: Option<&str>, now: DateTime<Utc>) {
        let Some(run) = self.runs.get(&key) else { return };
        let event = match run.record.state {
            RunState::Success => AlertEvent::Success,
            RunState::Failed => AlertEvent::Failure,
            RunState::Queued | RunState::Running => return,
        };
        let dag = &run.graph.dag;
        let notifications = dag.alerts.of(event);
        if notifications.is_empty() {
            return;
        }
        let failed = run.tis.iter().filter(|ti| ti.record.state == TaskState::Failed);
        let tasks = || failed_tasks(failed.map(|ti| &ti.record.task_id));
        let reason = match (reason, event) {
            (Some(reason), _) => Some(reason.to_owned()),
            (None, AlertEvent::Failure) => tasks(),
            (None, AlertEvent::Success | AlertEvent::Retry | AlertEvent::Skipped | AlertEvent::Deadline) => {
                None
            }
        };
        let facts = Facts::of_run(event, &dag.owner, &run.record, reason.as_deref(), now);
        self.out.alerts.extend((0..).zip(notifications).map(|(place, notification)| AlertRecord {
            run: key,
            index: None,
            number: run.record.clear_number,
            place,
            notification: notification.clone(),
            facts: facts.clone(),
            not_before: None,
        }));
    }
}

impl Life<'_> {
    /// Tells whoever wants to know that a try came to its own end. What ends from outside (by a person, a choice of another task, or
    /// with its run) tells nobody: only the one who ended it knows more.
    ///
    /// `exit_code` is that of its process. One that ended well has run the callbacks of its DAG file itself: Airflow's task runner ends so
    /// whatever became of the task.
    pub(super) fn tell_of_try(&mut self, index: u32, exit_code: Option<i32>) {
        let ti = &self.run.tis[index as usize];
        let event = AlertEvent::of_try(ti.record.state);
        let Some(event) = event.filter(|_| ti.node < self.run.graph.len()) else {
            return;
        };
        let task = self.run.graph.task(ti.node);
        let notifications = task.alerts.of(event);
        if notifications.is_empty() {
            return;
        }
        let owner = task.owner.as_deref().unwrap_or(&self.run.graph.dag.owner);
        let facts = Facts::of_try(event, owner, &self.run.record, &ti.record, self.now);
        let is_told =
            |notification: &Notification| *notification == Notification::Callback && exit_code == Some(0);
        let due = (0..).zip(notifications).filter(|(_, notification)| !is_told(notification));
        self.out.alerts.extend(due.map(|(place, notification)| AlertRecord {
            run: self.run.record.key,
            index: Some(index),
            number: ti.record.try_number,
            place,
            notification: notification.clone(),
            facts: facts.clone(),
            not_before: None,
        }));
    }
}
