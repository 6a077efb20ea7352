//! Runs that tasks start. Each is created in the turn that takes in the word of the try's worker, which counts once: so every try starts
//! one run at most, whatever is lost or repeated. A try that goes on after it has started a run asks for it by an intent instead.
//! Source: Airflow 3.3.2 `TriggerDagRunOperator`.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{
    Engine,
    intents::{Refusal, check_free},
    life::Life,
    plan::NewRun,
    run::Run,
};
use crate::{
    dag::Operator,
    id::{DagId, RunId, RunKey, TaskId, TiKey},
    intent::{TaskTrigger, Trigger},
    outcome::{Outcome, TryResult},
    params,
    state::{RunState, RunType, TaskState},
    timetable::{DataInterval, NextRun},
    wait::{Awaited, MAX_DEPTH, OtherRun, TRIGGER_DAG_ID, TRIGGER_RUN_ID, TriggerRequest, Which},
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

impl Obstacle {
    fn words(self) -> String {
        match self {
            Self::Exists(reason) | Self::Now(reason) | Self::Always(reason) => reason,
        }
    }
}

impl Engine {
    /// Starts the run that a try asks for while it goes on.
    pub(super) fn trigger_by_task(&mut self, asked: TaskTrigger, now: DateTime<Utc>) -> Result<(), Refusal> {
        let TaskTrigger { asker, resets, run, .. } = asked;
        let depth = self.depth_behind(asker.ti.run).map_err(Obstacle::words)?;
        if let Ok(key) = self.key(&run.dag_id, &run.run_id) {
            if !resets {
                return Err(exists(&run.dag_id, &run.run_id));
            }
            return self.reset_for(asker.ti.run, key, depth, now).map_err(Obstacle::words);
        }
        self.check_conf(&run.dag_id, &run.conf).map_err(Obstacle::words)?;
        check_free(&run.run_id)?;
        let dag = self.dags.get(&run.dag_id).ok_or("its DAG is gone")?;
        let partition = run.partition_key.clone().map(|key| dag.record.dag.partition_of(key)).transpose();
        let partition = partition.map_err(|error| error.to_string())?;
        let parent = self.runs.get(&asker.ti.run);
        let triggered_by = parent.and_then(|run| run.record.triggered_by.clone());
        let origin = self.origin(asker.ti).map(|origin| origin.to_string());
        let schedule = self.dags.get(&run.dag_id).map(|dag| &dag.record.dag.schedule);
        let interval = |date| {
            let usual = schedule.and_then(|schedule| schedule.manual_interval(date));
            run.data_interval.or(usual).unwrap_or(DataInterval::exact(date))
        };
        let next = run.logical_date.map(|logical_date| NextRun {
            logical_date,
            data_interval: interval(logical_date),
            run_after: run.run_after,
        });
        let Trigger { dag_id, run_id, run_after, conf, note, .. } = run;
        let run_type = RunType::OperatorTriggered;
        let new = NewRun { run_type, run_id, next, partition, run_after, backfill: None };
        let key = self.create_run(&dag_id, new, now).ok_or("its DAG is gone")?;
        if let Some(run) = self.runs.get_mut(&key) {
            run.record.conf = Arc::new(conf);
            run.record.depth = depth;
            run.record.note = note.or(origin);
            run.record.triggered_by = triggered_by;
        }
        Ok(())
    }

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
        let checked = self.check_conf(&dag_id, &request.conf);
        let Some(dag) = self.dags.get(&dag_id) else {
            return Err(Obstacle::Now(format!("there is no DAG `{dag_id}`")));
        };
        // Both would wait for each other until somebody ends one of them.
        let holds_the_room =
            dag.record.dag.max_active_runs == 1 && dag.running.contains(&outcome.attempt.ti.run);
        if request.then.wait_for_completion && holds_the_room {
            return Err(Obstacle::Always(format!(
                "it would wait for a run of its own DAG `{dag_id}`, which cannot start before this one has ended: max_active_runs is 1"
            )));
        }
        checked?;
        let run_id = match request.run_id.clone() {
            Some(run_id) => check_free(&run_id).map(|()| run_id).map_err(Obstacle::Always)?,
            None => made_up(outcome, now).map_err(|error| Obstacle::Always(error.to_string()))?,
        };
        if let Ok(key) = self.key(&dag_id, &run_id) {
            if !request.then.reset_dag_run {
                return Err(Obstacle::Exists(exists(&dag_id, &run_id)));
            }
            self.reset_for(outcome.attempt.ti.run, key, depth, now)?;
            return Ok(run_id);
        }
        self.create_for(outcome, request, &run_id, depth, now)
            .ok_or_else(|| Obstacle::Now(format!("there is no DAG `{dag_id}`")))?;
        Ok(run_id)
    }

    // A run may be started of the DAG, with this conf.
    fn check_conf(&self, dag_id: &DagId, conf: &Map<String, Value>) -> Result<(), Obstacle> {
        let Some(dag) = self.dags.get(dag_id) else {
            return Err(Obstacle::Now(format!("there is no DAG `{dag_id}`")));
        };
        if dag.record.is_stale {
            return Err(Obstacle::Now(format!("the file of DAG `{dag_id}` is gone")));
        }
        params::resolve(&dag.record.dag.params, conf).map(drop).map_err(|errors| {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Obstacle::Now(format!("DAG `{dag_id}` refuses the conf: {}", errors.join("; ")))
        })
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
        let by = self.origin(outcome.attempt.ti)?.to_string();
        let next = request.logical_date.map(|logical_date| NextRun {
            logical_date,
            data_interval: DataInterval { start: logical_date, end: logical_date },
            run_after: now,
        });
        let new = NewRun {
            run_type: RunType::OperatorTriggered,
            run_id: run_id.clone(),
            next,
            partition: None,
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

    fn origin(&self, ti: TiKey) -> Option<Origin> {
        let run = self.runs.get(&ti.run)?;
        let task_id = run.tis.get(ti.index as usize)?.record.task_id.clone();
        Some(Origin { task_id, run_id: run.record.run_id.clone(), dag_id: run.record.dag_id.clone() })
    }

    /// Stops the runs that tasks of a run have started, waited for and forsaken: nobody would hear of their end.
    pub(super) fn stop_forsaken(&mut self, key: RunKey, now: DateTime<Utc>) {
        let Some(run) = self.runs.get_mut(&key) else { return };
        let forsaken = std::mem::take(&mut run.forsaken);
        let (run_id, dag_id) = (run.record.run_id.clone(), run.record.dag_id.clone());
        for (child_dag, child) in forsaken {
            let Ok(child) = self.key(&child_dag, &child) else { continue };
            let is_active = self.runs.get(&child).is_some_and(|run| !run.record.state.is_finished());
            if is_active && child != key {
                let reason =
                    format!("stopped with the task that waited for it, in run `{run_id}` of DAG `{dag_id}`");
                self.stop_run(child, RunState::Failed, TaskState::Skipped, &reason, now);
            }
        }
    }
}

impl Run {
    /// Notes the run that an instance has started and waits for: nobody will.
    pub(super) fn forsake(&mut self, index: u32) {
        let wait = self.tis[index as usize].record.wait.as_ref();
        if let Some(Awaited::Run(OtherRun { dag_id, which: Which::Id(run_id), .. })) =
            wait.map(|wait| &wait.until)
        {
            self.forsaken.push((dag_id.clone(), run_id.clone()));
        }
    }
}

impl Life<'_> {
    /// Notes the run that an instance has started and waits for, when something ends the wait from outside. Whoever marks the instance as
    /// success wants things to go on, and the run may, too.
    pub(super) fn forsake(&mut self, index: u32, state: TaskState) {
        if state != TaskState::Success {
            self.run.forsake(index);
        }
    }

    /// The task of an instance takes over the result of a task of the run that it starts.
    pub(super) fn wants_output(&self, index: u32) -> bool {
        let node = self.run.tis[index as usize].node;
        let operator = (node < self.run.graph.len()).then(|| &self.run.graph.task(node).operator);
        matches!(operator, Some(Operator::TriggerDag(task)) if task.then.output.is_some())
    }
}

/// The task that has started a run. It stands in the run's note, as long as nobody writes another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The task.
    pub task_id: TaskId,
    /// Its run.
    pub run_id: RunId,
    /// Its DAG.
    pub dag_id: DagId,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task_id, run_id, dag_id } = self;
        write!(f, "triggered by task `{task_id}` of run `{run_id}` of DAG `{dag_id}`")
    }
}

impl Origin {
    /// Reads a note.
    #[must_use]
    pub fn of(note: &str) -> Option<Self> {
        let rest = note.strip_prefix("triggered by task `")?.strip_suffix('`')?;
        let (task_id, rest) = rest.split_once("` of run `")?;
        let (run_id, dag_id) = rest.rsplit_once("` of DAG `")?;
        Some(Self {
            task_id: TaskId::new(task_id).ok()?,
            run_id: RunId::new(run_id).ok()?,
            dag_id: DagId::new(dag_id).ok()?,
        })
    }
}

/// The run that a worker's word about a try would start, when the task names it: its records must be known before.
#[must_use]
pub fn named_run(outcome: &Outcome) -> Option<(&DagId, Option<&RunId>)> {
    outcome.trigger.as_ref().map(|request| (&request.dag_id, request.run_id.as_ref()))
}

fn exists(dag_id: &DagId, run_id: &RunId) -> String {
    format!("run `{run_id}` of DAG `{dag_id}` exists already")
}

// Every try has a name of its own, also when two start runs in the same moment.
fn made_up(outcome: &Outcome, now: DateTime<Utc>) -> Result<RunId, crate::id::Error> {
    let digest = Sha256::digest(outcome.attempt.to_string());
    let tail: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    RunId::new(&format!("manual__{}_{tail}", now.format("%Y-%m-%dT%H:%M:%S%.6f+00:00")))
}
