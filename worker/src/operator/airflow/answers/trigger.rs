//! A run that a task starts while it goes on. Source: Airflow 3.3.2 `execution_api/routes/dag_runs.py`.

use std::time::Duration;

use domain::id::{DagId, RunId};
use domain::intent::{TaskTrigger, Trigger};
use domain::partition::Key;
use domain::state::RunType;
use domain::timetable::asked::Question;
use python::message::{Reply, TriggerDagRun};
use queue::Bell;
use store::Store;
use store::view::api_wish::Fate;
use tokio::time::Instant;

use super::Answers;
use crate::backend::Unavailable;

/// Most bytes of a run's conf as JSON.
const LONGEST_CONF: usize = 256 << 10;
/// Longest remark, in characters.
const LONGEST_NOTE: usize = 1_000;
/// How long the engine is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// The first pause between two looks, and the longest: each is twice as long as the one before.
const PAUSES: (Duration, Duration) = (Duration::from_millis(8), Duration::from_millis(250));

impl Answers<'_> {
    pub(super) async fn trigger(&mut self, asked: TriggerDagRun) -> Result<Reply, Unavailable> {
        let resets = asked.reset_dag_run.unwrap_or(false);
        let run = match self.plan(asked) {
            Ok(run) => run,
            Err(refused) => return Ok(refused),
        };
        let (dag_id, run_id, date) = (run.dag_id.clone(), run.run_id.clone(), run.logical_date);
        let (dag_id, run_id) = (dag_id.as_str(), run_id.as_str());
        let look = |store: Store| async move {
            let dag = store.asked_dag(dag_id).await?;
            Ok((dag.is_some_and(|dag| !dag.is_stale), store.has_run(dag_id, run_id, date).await?))
        };
        let (is_known, (is_named, is_dated)) = self.records()?.ask("the DAG", dag_id, look).await?;
        match (is_known, is_named, is_dated) {
            (false, ..) => {
                return Ok(Reply::refusal(404, &format!("Dag with dag_id: '{dag_id}' not found")));
            }
            (true, true, _) if resets => {}
            (true, false, true) if resets => {
                return Ok(Reply::refusal(404, &format!("Dag run with run_id: '{run_id}' not found")));
            }
            (true, true, _) | (true, _, true) => return Ok(Reply::run_exists()),
            (true, false, false) => {}
        }
        let run = match self.with_interval(run).await? {
            Ok(run) => run,
            Err(refused) => return Ok(refused),
        };
        self.triggers += 1;
        let assignment = self.on.assignment;
        let wish = TaskTrigger::new(assignment.attempt, assignment.pokes, self.triggers, resets, run);
        match self.carry_out(&wish).await? {
            Fate::Done => Ok(Reply::done()),
            Fate::Refused(reason) => {
                // Somebody else may have been faster.
                let exists = !resets && self.asker().other_run(dag_id, run_id).await?.is_some();
                Ok(if exists { Reply::run_exists() } else { Reply::refusal(400, &reason) })
            }
            Fate::Waiting => Ok(Reply::refusal(
                503,
                "the run is written down and will be started, but no scheduler answered in time",
            )),
        }
    }

    /// The run that is asked for, as far as it can be judged without the records.
    fn plan(&self, asked: TriggerDagRun) -> Result<Trigger, Reply> {
        let wrong = |reason: String| Reply::refusal(400, &reason);
        let dag_id = DagId::new(&asked.dag_id).map_err(|error| wrong(error.to_string()))?;
        let run_id = RunId::new(&asked.run_id).map_err(|error| wrong(error.to_string()))?;
        let partition_key = asked.partition_key.map(|key| Key::new(&key)).transpose();
        let partition_key = partition_key.map_err(|error| wrong(error.to_string()))?;
        let conf = asked.conf.unwrap_or_default();
        let length = serde_json::to_vec(&conf).map_or(usize::MAX, |json| json.len());
        if length > LONGEST_CONF {
            return Err(wrong(format!("conf has {length} bytes as JSON, at most {LONGEST_CONF} are kept")));
        }
        if asked.note.as_ref().is_some_and(|note| note.chars().count() > LONGEST_NOTE) {
            return Err(wrong(format!("a note has at most {LONGEST_NOTE} characters")));
        }
        Ok(Trigger {
            dag_id,
            run_id,
            logical_date: asked.logical_date,
            data_interval: None,
            run_after: asked.run_after.unwrap_or_else(|| self.on.station.clock.now()),
            conf,
            note: asked.note,
            partition_key,
            materializes: false,
        })
    }

    /// The run with its data interval, when only a timetable that a plugin brings can say it.
    async fn with_interval(&self, run: Trigger) -> Result<Result<Trigger, Reply>, Unavailable> {
        let Some(date) = run.logical_date else { return Ok(Ok(run)) };
        let (records, dag_id) = (self.records()?, &run.dag_id);
        let look = |store: Store| async move {
            let Some(line) = store.dag_line(dag_id, 1).await? else { return Ok(None) };
            Ok(store.version(line.version).await?.map(|(dag, _)| dag))
        };
        let dag = records.ask("the DAG", dag_id.as_str(), look).await?;
        let Some(listed) = dag.as_ref().and_then(|dag| dag.schedule.listed()) else { return Ok(Ok(run)) };
        let kind = RunType::OperatorTriggered.as_str();
        let question = Question::by_hand(listed, Some(date), None, run.run_after, kind);
        let question = &question;
        let ask =
            |store: Store| async move { store.ask_timetable(question, records.ring(Bell::Timetable)).await };
        let answer = records.ask("the timetable", dag_id.as_str(), ask).await?;
        Ok(match question.read_by_hand(answer) {
            Ok(said) => Ok(Trigger { data_interval: said.data_interval, ..run }),
            Err(fault) => Err(Reply::refusal(400, &fault.to_string())),
        })
    }

    /// Writes the wish down, once, and waits until the engine has taken it in.
    async fn carry_out(&self, wish: &TaskTrigger) -> Result<Fate, Unavailable> {
        let (records, by) = (self.records()?, self.asker().name());
        let run_id = wish.run.run_id.as_str();
        let by = by.as_str();
        let post = |store: Store| async move { store.post_trigger(by, wish).await };
        let (id, intent) = records.ask("the run", run_id, post).await?;
        records.ring(Bell::Engine).await;
        let (deadline, mut pause) = (Instant::now() + PATIENCE, PAUSES.0);
        loop {
            tokio::time::sleep(pause).await;
            let intent = &intent;
            let look = |store: Store| async move { store.fate(id, intent).await };
            match records.ask("the run", run_id, look).await? {
                Fate::Waiting if Instant::now() < deadline => pause = (pause * 2).min(PAUSES.1),
                fate @ (Fate::Waiting | Fate::Done | Fate::Refused(_)) => return Ok(fate),
            }
        }
    }
}
