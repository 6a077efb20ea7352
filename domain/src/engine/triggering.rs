//! Runs that tasks start. Each is created in the turn that takes in the word of the try's worker, which counts once: so every try starts
//! one run at most, whatever is lost or repeated. Source: Airflow 3.3.2 `TriggerDagRunOperator`.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::{Engine, intents::check_free, plan::NewRun};
use crate::{
    id::{DagId, RunId, RunKey},
    outcome::{Outcome, TryResult},
    params,
    state::{RunState, RunType},
    timetable::{DataInterval, NextRun},
    wait::{MAX_DEPTH, OtherRun, TRIGGER_DAG_ID, TRIGGER_RUN_ID, TriggerRequest, Which},
};

/// Why no run was started.
enum Obstacle {
    /// There is one of that name.
    Exists(String),
    /// Another try may fare better.
    Now(String),
    /// No other try would.
    Always(String),
}

impl Engine {
    /// Starts the run that a try asks for, then lets the try end or wait for the run.
    pub(super) fn trigger_for(&mut self, mut outcome: Outcome, request: TriggerRequest, now: DateTime<Utc>) {
        let asker = outcome.attempt.ti;
        if !self.runs.get(&asker.run).is_some_and(|run| run.expects(&outcome)) {
            return;
        }
        let wants_end = request.then.clone();
        let dag_id = request.dag_id.clone();
        let started = self.start_for(&outcome, request, now);
        let obstacle = match started {
            Ok(run_id) => {
                outcome.xcoms.insert(TRIGGER_RUN_ID.to_owned(), run_id.as_str().into());
                outcome.xcoms.insert(TRIGGER_DAG_ID.to_owned(), dag_id.as_str().into());
                let other = OtherRun {
                    dag_id,
                    which: Which::Id(run_id),
                    task_id: None,
                    states: wants_end.allowed_states,
                    failed_states: wants_end.failed_states,
                };
                let waits = wants_end.wait_for_completion.then_some(other);
                outcome.result = TryResult::Success;
                return self.with_run(asker.run, now, |life| life.has_triggered(outcome, waits));
            }
            Err(obstacle) => obstacle,
        };
        let (result, reason) = match obstacle {
            Obstacle::Exists(reason) if wants_end.skip_when_already_exists => (TryResult::Skipped, reason),
            Obstacle::Exists(reason) | Obstacle::Now(reason) => (TryResult::Failed, reason),
            Obstacle::Always(reason) => (TryResult::FailedForGood, reason),
        };
        (outcome.result, outcome.reason) = (result, Some(reason));
        self.with_run(asker.run, now, |life| life.report(outcome));
    }

    fn start_for(
        &mut self,
        outcome: &Outcome,
        request: TriggerRequest,
        now: DateTime<Utc>,
    ) -> Result<RunId, Obstacle> {
        let depth = self.depth_behind(outcome.attempt.ti.run)?;
        let dag_id = request.dag_id.clone();
        let Some(dag) = self.dags.get(&dag_id) else {
            return Err(Obstacle::Now(format!("there is no DAG `{dag_id}`")));
        };
        if dag.record.is_stale {
            return Err(Obstacle::Now(format!("the file of DAG `{dag_id}` is gone")));
        }
        if let Err(errors) = params::resolve(&dag.record.dag.params, &request.conf) {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            return Err(Obstacle::Now(format!("DAG `{dag_id}` refuses the conf: {}", errors.join("; "))));
        }
        let run_id = match request.run_id.clone() {
            Some(run_id) => check_free(&run_id).map(|()| run_id).map_err(Obstacle::Always)?,
            None => made_up(outcome, now).map_err(|error| Obstacle::Always(error.to_string()))?,
        };
        if let Ok(key) = self.key(&dag_id, &run_id) {
            let exists = || Obstacle::Exists(format!("run `{run_id}` of DAG `{dag_id}` exists already"));
            if !request.then.reset_dag_run {
                return Err(exists());
            }
            self.reset_for(outcome.attempt.ti.run, key, depth, now)?;
            return Ok(run_id);
        }
        self.create_for(outcome, request, &run_id, depth, now)
            .ok_or_else(|| Obstacle::Now(format!("there is no DAG `{dag_id}`")))?;
        Ok(run_id)
    }

    fn depth_behind(&self, run: RunKey) -> Result<u32, Obstacle> {
        let depth = self.runs.get(&run).map_or(0, |run| run.record.depth) + 1;
        if depth > MAX_DEPTH {
            return Err(Obstacle::Always(format!(
                "{MAX_DEPTH} runs have triggered one the other before this one: do these DAGs trigger each other in a circle?"
            )));
        }
        Ok(depth)
    }

    fn create_for(
        &mut self,
        outcome: &Outcome,
        request: TriggerRequest,
        run_id: &RunId,
        depth: u32,
        now: DateTime<Utc>,
    ) -> Option<()> {
        let by = self.origin(outcome)?;
        let next = request.logical_date.map(|logical_date| NextRun {
            logical_date,
            data_interval: DataInterval { start: logical_date, end: logical_date },
            run_after: now,
        });
        let new = NewRun {
            run_type: RunType::OperatorTriggered,
            run_id: run_id.clone(),
            next,
            run_after: now,
            backfill: None,
        };
        let key = self.create_run(&request.dag_id, new, now)?;
        let run = self.runs.get_mut(&key)?;
        run.record.conf = Arc::new(request.conf);
        run.record.depth = depth;
        run.record.note = Some(by);
        Some(())
    }

    // A run that runs again counts as started by whoever resets it, so that resets in a circle come to an end, too.
    fn reset_for(&mut self, by: RunKey, key: RunKey, depth: u32, now: DateTime<Utc>) -> Result<(), Obstacle> {
        if by == key {
            return Err(Obstacle::Always("a task cannot reset the run that it is part of".to_owned()));
        }
        if let Some(run) = self.runs.get_mut(&key) {
            run.record.depth = run.record.depth.max(depth);
            run.dirty = true;
            let (dag_id, run_id) = (run.record.dag_id.clone(), run.record.run_id.clone());
            self.mark_run(&dag_id, &run_id, RunState::Queued, "a task", now).map_err(Obstacle::Now)?;
        }
        Ok(())
    }

    fn origin(&self, outcome: &Outcome) -> Option<String> {
        let run = self.runs.get(&outcome.attempt.ti.run)?;
        let task_id = &run.tis.get(outcome.attempt.ti.index as usize)?.record.task_id;
        Some(format!(
            "triggered by task `{task_id}` of run `{}` of DAG `{}`",
            run.record.run_id, run.record.dag_id
        ))
    }
}

/// The run that a worker's word about a try would start, when the task names it: its records must be known before.
#[must_use]
pub fn named_run(outcome: &Outcome) -> Option<(&DagId, Option<&RunId>)> {
    outcome.trigger.as_ref().map(|request| (&request.dag_id, request.run_id.as_ref()))
}

// Every try has a name of its own, also when two start runs in the same moment.
fn made_up(outcome: &Outcome, now: DateTime<Utc>) -> Result<RunId, crate::id::Error> {
    let digest = Sha256::digest(outcome.attempt.to_string());
    let tail: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    RunId::new(&format!("manual__{}_{tail}", now.format("%Y-%m-%dT%H:%M:%S%.6f+00:00")))
}
