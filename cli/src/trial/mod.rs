//! Trying out a DAG file here and now, without server or database: `dags test`, `tasks test`, `tasks render`.
//!
//! The engine and the operators are those of production; only the records are in memory. So trigger rules, mapping, skips,
//! retries and timeouts behave as they will.

mod play;
mod voice;

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use domain::{
    dag::{Dag, Task},
    id::{RunId, RunKey, TaskId, TiKey, TryKey},
    outcome::TryResult,
    partition::Key,
    state::RunType,
    timetable::DataInterval,
};
use runtime::{clock::Clock, config::Parallelism};
use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use worker::{Assignment, MemoryBackend, Settings};

use crate::{
    args::{Common, Output},
    dagfiles::Found,
    setup,
};

pub use play::{Played, play};

/// The one run of a trial.
const RUN: RunKey = RunKey(1);
/// What a task that stands alone is called in the records.
const ALONE: TryKey = TryKey { ti: TiKey { run: RUN, index: 0 }, try_number: 1 };

/// A run of one DAG that is in no records.
pub struct Trial {
    dag: Arc<Dag>,
    folder: PathBuf,
    run: worker::Run,
    settings: Settings,
    backend: MemoryBackend,
    clock: Clock,
    output: Output,
    /// For logs and temporary files of its tasks; gone with it.
    _scratch: TempDir,
}

impl Trial {
    /// A run of a DAG with these parameters at this logical date, now unless given; one that is about a partition has a date only if it
    /// is given.
    ///
    /// # Errors
    /// What is wrong with the parameters, or with the partition.
    pub fn new(
        common: &Common,
        found: Found,
        conf: Map<String, Value>,
        (date, key): (Option<DateTime<Utc>>, Option<Key>),
    ) -> Result<Self> {
        let Found { dag, folder, root } = found;
        domain::params::resolve(&dag.params, &conf).map_err(|errors| {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("{}; give params with --conf '{{\"name\": value}}'", errors.join("; "))
        })?;
        let clock = Clock::system();
        let now = clock.now();
        let partition = key.map(|key| dag.partition_of(key)).transpose()?;
        let dated = date.or_else(|| partition.is_none().then_some(now));
        let date = dated.unwrap_or(now);
        let interval = |date| dag.schedule.manual_interval(date).unwrap_or(DataInterval::exact(date));
        let scratch = tempfile::Builder::new()
            .prefix("tradewind-")
            .tempdir()
            .context("cannot make a temporary folder")?;
        let slots = Parallelism::default().get();
        let mut settings = Settings::new(slots, setup::hostname(), root, scratch.path().to_owned());
        if dag.python_file.is_some() {
            settings.python = Some(setup::python(&setup::config(&setup::flags(common))?));
        }
        let run = worker::Run {
            run_id: RunId::new(&format!("manual__{}", date.to_rfc3339_opts(SecondsFormat::AutoSi, false)))?,
            run_type: RunType::Manual,
            logical_date: dated,
            data_interval: dated.map(interval),
            partition,
            run_after: now,
            started_at: Some(now),
            conf,
            triggered_by: Some(setup::operator()),
            asset_events: Vec::new(),
        };
        Ok(Self {
            dag,
            folder,
            run,
            settings,
            backend: MemoryBackend::default(),
            clock,
            output: common.output,
            _scratch: scratch,
        })
    }

    /// Runs one task, whatever it waits for. True when it succeeded or was skipped.
    ///
    /// # Errors
    /// When there is no such task, or it cannot stand alone.
    pub async fn test_task(
        &self,
        task_id: &TaskId,
        map_index: u32,
        cancel: &CancellationToken,
    ) -> Result<bool> {
        let assignment = self.alone(task_id, map_index)?;
        let voice = voice::Voice::of(&assignment, self.output);
        let echo = voice.echo();
        let finished =
            worker::run_once(&self.settings, &self.backend, assignment, self.clock.clone(), echo, cancel)
                .await?;
        for (key, value) in &finished.xcoms {
            voice.note(&format!("XCom {key}: {}", shortened(&value.to_string())));
        }
        let ended_well = [TryResult::Success, TryResult::Skipped, TryResult::Deferred, TryResult::Again];
        Ok(ended_well.contains(&finished.result))
    }

    /// What a task's templates become.
    ///
    /// # Errors
    /// When there is no such task, or a template is wrong.
    pub async fn render(&self, task_id: &TaskId, map_index: u32) -> Result<Map<String, Value>> {
        let assignment = self.alone(task_id, map_index)?;
        Ok(worker::render_task(&self.settings, &self.backend, assignment, &self.clock).await?)
    }

    fn alone(&self, task_id: &TaskId, map_index: u32) -> Result<Assignment> {
        let place = self.dag.tasks.iter().position(|task| task.task_id == *task_id);
        let Some(place) = place else {
            let known: Vec<&str> = self.dag.tasks.iter().map(|task| task.task_id.as_str()).collect();
            bail!("DAG `{}` has no task `{task_id}`, only {}", self.dag.dag_id, shortened(&known.join(", ")));
        };
        let task = &self.dag.tasks[place];
        Ok(self.assignment(ALONE, place, map_index_alone(&self.dag, task, map_index)?, task.retry.retries))
    }

    fn assignment(&self, attempt: TryKey, task: usize, map_index: i32, max_tries: u32) -> Assignment {
        Assignment {
            attempt,
            dag: Arc::clone(&self.dag),
            task,
            folder: Some(self.folder.clone()),
            run: self.run.clone(),
            map_index,
            max_tries,
            pokes: 0,
            since: None,
            resumption: None,
            rounds: 0,
            started_at: self.clock.now(),
        }
    }
}

/// The place of an instance whose upstreams have not run.
fn map_index_alone(dag: &Dag, task: &Task, wanted: u32) -> Result<i32> {
    if !dag.needs_expansion(task) {
        return Ok(-1);
    }
    let unknown = |task_id: &TaskId, _: &str| {
        anyhow::anyhow!(
            "`{}` is mapped over what `{task_id}` leaves, so it cannot run alone: `tradewind dags test` runs both",
            task.task_id
        )
    };
    let mut instances = 1_usize;
    for mapping in dag.dimensions(task) {
        instances = instances.saturating_mul(mapping.length(&|id, key| Err(unknown(id, key)))?);
    }
    if wanted as usize >= instances {
        bail!(
            "`{}` has {instances} instances: --map-index goes from 0 to {}",
            task.task_id,
            instances.saturating_sub(1)
        );
    }
    Ok(i32::try_from(wanted)?)
}

/// Longest value that is shown, in characters.
const LONGEST: usize = 500;

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{} ...", &text[..at]),
        None => text.to_owned(),
    }
}
