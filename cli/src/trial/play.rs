//! A whole run in the foreground: the engine decides, tasks run as processes, records are kept in memory.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use domain::{
    approval::{Answer, Reply},
    dag::Dag,
    deadline,
    engine::{
        Engine, Snapshot,
        decision::{Decisions, Ready},
        event::Event,
        record::{
            AdmissionRecord, AssetStanding, AssetsRecord, DagRecord, DeadlineQuestion, PoolRecord,
            QuestionRecord, RunRecord, TiRecord, VersionId, WorkerRecord,
        },
    },
    id::{QueueName, RunKey, TryKey},
    intent::{Intent, Trigger, Wish},
    outcome::{Outcome, TryResult},
    state::{RunState, TaskState},
    timetable::Timetable,
};
use indexmap::IndexMap;
use runtime::shutdown::Shutdown;
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use worker::{Assignment, Finished};

use super::{RUN, Trial, voice::Voice};

/// How a run went.
pub struct Played {
    /// The run.
    pub run: RunRecord,
    /// Its task instances, in the order of the DAG.
    pub tasks: Vec<TiRecord>,
}

struct Stage {
    trial: Arc<Trial>,
    engine: Engine,
    run: Option<RunRecord>,
    tasks: BTreeMap<u32, TiRecord>,
    running: JoinSet<Outcome>,
    cancels: HashMap<TryKey, CancellationToken>,
    slots: Arc<Semaphore>,
}

/// Runs a trial to its end. A first signal stops its tasks, and the run has failed.
///
/// # Errors
/// When the run cannot begin.
pub async fn play(trial: Trial, shutdown: &Shutdown) -> Result<Played> {
    let mut stage = Stage::new(trial)?;
    let mut stopped = false;
    loop {
        let now = stage.trial.clock.now();
        let mut decisions = stage.engine.poll(now);
        let asked = std::mem::take(&mut decisions.questions_asked);
        let questions: Vec<RunKey> = decisions.questions.iter().map(|question| question.run).collect();
        let lookups: Vec<TryKey> = decisions.lookups.iter().map(|question| question.asker).collect();
        let measures = std::mem::take(&mut decisions.measures);
        stage.carry_out(decisions)?;
        if stage.is_over() {
            break;
        }
        if !questions.is_empty() || !lookups.is_empty() || !measures.is_empty() || !asked.is_empty() {
            stage.answer(&questions, &lookups, measures);
            asked.iter().try_for_each(|question| stage.stand_in(question))?;
            continue;
        }
        let deadline = stage.engine.next_deadline();
        if stage.running.is_empty() && deadline.is_none() {
            bail!("the run stands still: nothing runs and nothing is due");
        }
        tokio::select! {
            Some(ended) = stage.running.join_next() => stage.report(ended.context("a task broke off")?),
            () = until(&stage.trial, deadline) => {}
            () = shutdown.drain.cancelled(), if !stopped => {
                stopped = true;
                stage.ask(Wish::MarkRun {
                    dag_id: stage.trial.dag.dag_id.clone(),
                    run_id: stage.trial.run.run_id.clone(),
                    state: RunState::Failed,
                });
            }
        }
    }
    // What the run's end stopped is being stopped; its processes must not outlive us.
    while stage.running.join_next().await.is_some() {}
    let run = stage.run.context("the run was never created")?;
    let mut tasks: Vec<TiRecord> = stage.tasks.into_values().collect();
    let place =
        |task: &TiRecord| stage.trial.dag.tasks.iter().position(|known| known.task_id == task.task_id);
    tasks.sort_by_cached_key(|task| (place(task), task.map_index));
    Ok(Played { run, tasks })
}

async fn until(trial: &Trial, deadline: Option<DateTime<Utc>>) {
    match deadline {
        Some(deadline) => trial.clock.sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl Stage {
    fn new(trial: Trial) -> Result<Self> {
        let slots = trial.settings.slots;
        let mut stage = Self {
            engine: Engine::restore(snapshot(&trial.dag, slots), trial.clock.now()),
            trial: Arc::new(trial),
            run: None,
            tasks: BTreeMap::new(),
            running: JoinSet::new(),
            cancels: HashMap::new(),
            slots: Arc::new(Semaphore::new(slots)),
        };
        let run = &stage.trial.run;
        stage.ask(Wish::Trigger(Trigger {
            dag_id: stage.trial.dag.dag_id.clone(),
            run_id: run.run_id.clone(),
            logical_date: run.logical_date,
            data_interval: run.data_interval,
            run_after: run.run_after,
            conf: run.conf.clone(),
            note: None,
            partition_key: run.partition.as_ref().map(|partition| partition.key.clone()),
            materializes: false,
        }));
        Ok(stage)
    }

    fn ask(&mut self, wish: Wish) {
        let by = self.trial.run.triggered_by.clone().unwrap_or_default();
        self.engine.handle(Event::Intent(Box::new(Intent { by, wish })), self.trial.clock.now());
    }

    fn report(&mut self, outcome: Outcome) {
        self.cancels.remove(&outcome.attempt);
        self.engine.handle(Event::Outcome(Box::new(outcome)), self.trial.clock.now());
    }

    // A trial knows neither earlier runs nor those of other DAGs, nor variables of a server.
    fn answer(&mut self, questions: &[RunKey], lookups: &[TryKey], measures: Vec<DeadlineQuestion>) {
        for question in measures {
            let event = Event::Measured { question, found: deadline::Found::default() };
            self.engine.handle(event, self.trial.clock.now());
        }
        for &asker in lookups {
            self.engine.handle(Event::Other { asker, found: None }, self.trial.clock.now());
        }
        for &run in questions {
            self.engine.handle(Event::Past { run, before: None }, self.trial.clock.now());
        }
    }

    // A trial has nobody to ask: the defaults count at once, or else the first option.
    fn stand_in(&mut self, asked: &QuestionRecord) -> Result<()> {
        let task = self.tasks.get(&asked.attempt.ti.index).context("a question without a task")?;
        let terms = &asked.terms;
        let chosen_options = match terms.defaults.as_slice() {
            [] => terms.options.iter().take(1).cloned().collect(),
            defaults => defaults.to_vec(),
        };
        let by = terms.assigned_users.first().cloned();
        let by = by.or_else(|| self.trial.run.triggered_by.clone()).unwrap_or_default();
        let reply = Reply { chosen_options, ..Reply::default() };
        if let Err(refusal) = terms.accept(&by, reply.clone()) {
            bail!("a trial has nobody to answer `{}`: {refusal}", task.task_id);
        }
        let voice = Voice::named(task.task_id.as_str(), task.map_index, self.trial.output);
        voice.note(&format!(
            "would ask “{}”; the answer is {} here",
            asked.question.subject,
            reply.chosen_options.join(", ")
        ));
        let answer = Answer {
            id: Uuid::nil(),
            dag_id: self.trial.dag.dag_id.clone(),
            run_id: self.trial.run.run_id.clone(),
            task_id: task.task_id.clone(),
            map_index: task.map_index,
            try_number: asked.attempt.try_number,
            number: asked.number,
            reply,
        };
        let intent = Intent { by, wish: Wish::Answer(answer) };
        self.engine.handle(Event::Intent(Box::new(intent)), self.trial.clock.now());
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.state.is_finished())
    }

    // What production writes in a transaction and then hands to the queue.
    fn carry_out(&mut self, decisions: Decisions) -> Result<()> {
        if let Some(refused) = decisions.audit.iter().find(|line| line.extra["result"] == "refused") {
            bail!("the run was refused: {}", refused.extra["reason"].as_str().unwrap_or_default());
        }
        let changed = decisions.runs_changed.into_iter().map(|change| change.new);
        if let Some(run) = decisions.runs_created.into_iter().chain(changed).last() {
            self.run = Some(run);
        }
        let changed = decisions.tis_changed.into_iter().map(|change| change.new);
        for task in decisions.tis_created.into_iter().chain(changed) {
            self.tell(&task);
            self.tasks.insert(task.key.index, task);
        }
        for (_, task_id, map_index) in decisions.xcoms_cleared {
            self.trial.backend.forget(RUN, task_id.as_str(), map_index);
        }
        for xcom in decisions.xcoms {
            self.trial.backend.keep(RUN, xcom.task_id.as_str(), xcom.map_index, &xcom.key, xcom.value);
        }
        decisions.ready.iter().try_for_each(|ready| self.start(ready))?;
        for attempt in decisions.stop {
            if let Some(cancel) = self.cancels.get(&attempt) {
                cancel.cancel();
            }
        }
        Ok(())
    }

    // Says what no try says itself.
    fn tell(&self, task: &TiRecord) {
        let was = self.tasks.get(&task.key.index).map_or(TaskState::None, |old| old.state);
        let voice = Voice::named(task.task_id.as_str(), task.map_index, self.trial.output);
        let because = || task.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        if task.state == was {
            return;
        }
        if let (TaskState::UpForRetry, Some(at)) = (task.state, task.next_try_at) {
            let wait = (at - self.trial.clock.now()).as_seconds_f64().max(0.0);
            voice.note(&format!("tries again in {wait:.1} s, at {}", at.format("%H:%M:%S UTC")));
        }
        if task.state.is_asleep() {
            voice.note(&format!("{}{}", task.state, because()));
        }
        let without_try = task.started_at.is_none() || task.state == TaskState::UpstreamFailed;
        if task.state.is_finished() && without_try {
            voice.note(&format!("{}{}", task.state, because()));
        }
    }

    fn start(&mut self, ready: &Ready) -> Result<()> {
        let task = self.tasks.get(&ready.attempt.ti.index).context("a task without a record")?;
        let place = self.trial.dag.tasks.iter().position(|known| known.task_id == task.task_id);
        let place = place.context("a record without a task")?;
        let cancel = CancellationToken::new();
        self.cancels.insert(ready.attempt, cancel.clone());
        let (trial, slots) = (Arc::clone(&self.trial), Arc::clone(&self.slots));
        let (attempt, rounds) = (ready.attempt, task.rounds);
        let pokes = task.wait.as_ref().map_or(0, |wait| wait.pokes);
        let assignment = self.trial.assignment(attempt, place, task.map_index, task.max_tries);
        let assignment = Assignment { pokes, rounds, ..assignment };
        self.running.spawn(async move {
            // The semaphore is never closed; without a place the task would only start earlier.
            let _place = slots.acquire_owned().await;
            run_try(&trial, Assignment { started_at: trial.clock.now(), ..assignment }, &cancel).await
        });
        Ok(())
    }
}

async fn run_try(trial: &Trial, assignment: Assignment, cancel: &CancellationToken) -> Outcome {
    let (attempt, pokes) = (assignment.attempt, assignment.pokes);
    let started_at = assignment.started_at;
    let echo = Voice::of(&assignment, trial.output).echo();
    let voice = Voice::of(&assignment, trial.output);
    let finished =
        worker::run_once(&trial.settings, &trial.backend, assignment, trial.clock.clone(), echo, cancel)
            .await;
    let (result, exit_code, reason, xcoms, question) = match finished {
        // A trial starts no runs of other DAGs.
        Ok(Finished { trigger: Some(request), .. }) => {
            voice.note(&format!("would start a run of DAG `{}` now", request.dag_id));
            (TryResult::Success, None, None, IndexMap::new(), None)
        }
        Ok(done) => (done.result, done.exit_code, done.reason, done.xcoms, done.question),
        Err(error) => (TryResult::FailedForGood, None, Some(error.to_string()), IndexMap::new(), None),
    };
    Outcome {
        attempt,
        result,
        started_at,
        ended_at: trial.clock.now(),
        worker: Uuid::nil(),
        exit_code,
        reason,
        rendered_map_index: None,
        xcoms,
        asset_events: Vec::new(),
        pokes: Some(pokes),
        trigger: None,
        question,
        deferral: None,
        resume_at: None,
    }
}

// The records of a world with this DAG alone, which runs nothing by schedule, and with one worker for everything.
fn snapshot(dag: &Dag, slots: usize) -> Snapshot {
    let pools: BTreeSet<_> = dag.tasks.iter().map(|task| task.pool.clone()).collect();
    let queues: BTreeSet<QueueName> = dag.tasks.iter().map(|task| task.queue.clone()).collect();
    let slots = u32::try_from(slots).unwrap_or(u32::MAX);
    Snapshot {
        dags: vec![DagRecord {
            version: VersionId(1),
            dag: Arc::new(Dag { schedule: Timetable::Null, asset_condition: None, ..dag.clone() }),
            is_paused: false,
            is_stale: false,
            cursor: None,
            disabled: BTreeSet::new(),
            failed_runs: 0,
            taken: BTreeSet::new(),
            assets: AssetStanding::default(),
        }],
        runs: Vec::new(),
        backfills: Vec::new(),
        pools: pools.into_iter().map(|name| PoolRecord::new(name, None)).collect(),
        admission: AdmissionRecord::default(),
        durations: Vec::new(),
        workers: vec![WorkerRecord { id: Uuid::nil(), queues: queues.into_iter().collect(), slots }],
        assets: AssetsRecord { next_event: 1, ..AssetsRecord::default() },
        next_run: RUN.0,
    }
}
