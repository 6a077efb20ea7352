//! The life of one try: params, templates, work, what it leaves, the end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::dag::{MAX_MAP_NAME, Operator};
use domain::outcome::TryResult;
use domain::wait::Until;
use runtime::logs::{ArtifactLimits, LogStore};
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::assignment::Assignment;
use crate::backend::Backend;
use crate::operator::{self, Done, On};
use crate::output::{Output, shortened};
use crate::place::TryPlace;
use crate::process::Cause;
use crate::station::Station;
use crate::stop::StopSignal;
use crate::template::{self, Renderer};

/// How long keeping artifacts may hold up an outcome.
const ARTIFACTS: Duration = Duration::from_secs(60);
/// Where the condition of a loop stands.
const CONDITION: &str = "repeat.until";
/// Longest reason, in characters.
const LONGEST_REASON: usize = 2_000;

/// Who wants to know how a try goes on.
pub(crate) trait Watcher: Send + Sync {
    /// The templates are rendered; called only when there were any.
    fn rendered(&self, fields: Map<String, Value>);

    /// A process was started.
    fn began(&self, pid: u32);
}

/// One try and everything around it.
pub(crate) struct Attempt<'a> {
    /// What the worker has for every try.
    pub(crate) station: &'a Station,
    /// Where it asks.
    pub(crate) backend: &'a dyn Backend,
    /// What is to be done.
    pub(crate) assignment: &'a Arc<Assignment>,
    /// Where its output goes.
    pub(crate) output: &'a Output,
    /// Who may stop it.
    pub(crate) stop: &'a StopSignal,
    /// Who wants to know.
    pub(crate) watcher: &'a dyn Watcher,
    /// Where artifacts are kept, if anywhere.
    pub(crate) artifacts: Option<&'a LogStore>,
}

/// How a try ended.
pub(crate) struct End {
    /// What came of it.
    pub(crate) done: Done,
    /// What the instance is called beside its mapped index.
    pub(crate) rendered_map_index: Option<String>,
}

impl From<Done> for End {
    fn from(done: Done) -> End {
        End { done, rendered_map_index: None }
    }
}

impl Attempt<'_> {
    /// Runs it to its end.
    pub(crate) async fn run(&self) -> End {
        let began = Instant::now();
        let end = match self.station.place.take() {
            Err(error) => Done::failed(format!("cannot make the folders of the try: {error}")).into(),
            Ok(place) => {
                let end = self.work(&place, began).await;
                if let Some(store) = self.artifacts.filter(|_| !place.has_no_artifacts()) {
                    self.keep_artifacts(store, &place.artifacts).await;
                }
                self.station.place.give_back(place);
                end
            }
        };
        End { done: self.conclude(end.done, began), ..end }
    }

    async fn work(&self, place: &TryPlace, began: Instant) -> End {
        let task = self.assignment.task();
        let params = match self.params() {
            Ok(params) => Arc::new(params),
            Err(reason) => return Done::failed_for_good(reason).into(),
        };
        let overrides = &self.station.overrides;
        let now = self.station.clock.now();
        let mut renderer =
            Renderer::new(self.backend, overrides, Arc::clone(self.assignment), Arc::clone(&params), now);
        let checked = task.repeat.as_ref().map(|repeat| renderer.check_condition(CONDITION, &repeat.until));
        if let Some(Err(error)) = checked {
            return Done::failed_for_good(error.to_string()).into();
        }
        let prepared = operator::prepare(self.assignment, &mut renderer).await;
        self.output.hide(renderer.secrets());
        let work = match prepared {
            Ok(work) => work,
            Err(error) if error.for_good => return Done::failed_for_good(error.to_string()).into(),
            Err(error) => return Done::failed(error.to_string()).into(),
        };
        if has_templates(task) {
            self.watcher.rendered(self.output.shown(&work.fields()));
        }
        let on = On {
            station: self.station,
            assignment: self.assignment,
            params: &params,
            output: self.output,
            stop: self.stop,
            deadline: task.execution_timeout.map(|limit| began + limit.duration()),
            place,
            backend: self.backend,
            rendered: &|fields| self.watcher.rendered(self.output.shown(&fields)),
            began: &|pid| self.watcher.began(pid),
        };
        // Asked to stop before anything began: nothing needs to begin.
        let done =
            match self.stop.now().and_then(|halt| Done::cut_short(Cause::Halted(halt), self.assignment)) {
                Some(done) => done,
                None => self.judge(work.run(&on).await, &mut renderer).await,
            };
        End { done, rendered_map_index: self.name(&mut renderer).await }
    }

    // Whether a round of a loop was the last. A condition that cannot be told is a failure of the round: another one may leave something
    // else.
    async fn judge(&self, done: Done, renderer: &mut Renderer<'_>) -> Done {
        let repeat = self.assignment.task().repeat.as_ref().filter(|_| done.result == TryResult::Success);
        let Some((repeat, round)) = repeat.zip(self.assignment.round()) else { return done };
        let (until, most) = (&repeat.until, repeat.max_rounds);
        let held = renderer.holds(CONDITION, until, &done.xcoms).await;
        self.output.hide(renderer.secrets());
        match held {
            Ok(true) => done,
            Ok(false) => {
                let reason = format!("round {round} of {most}: `{until}` does not hold");
                Done { result: TryResult::Again, reason: Some(reason), ..done }
            }
            Err(error) => Done { exit_code: done.exit_code, ..Done::failed(error.to_string()) },
        }
    }

    // What the instance is called. A template that is wrong does not make the work undone: the log tells.
    async fn name(&self, renderer: &mut Renderer<'_>) -> Option<String> {
        const FIELD: &str = "map_index_template";
        let template = self.assignment.task().map_index_template.as_ref();
        let template = template.filter(|_| self.assignment.map_index >= 0)?;
        let rendered = renderer.text(FIELD, template).await;
        self.output.hide(renderer.secrets());
        match rendered {
            Ok(name) => {
                let name: String = self.output.masked(name.trim()).chars().take(MAX_MAP_NAME).collect();
                Some(name).filter(|name| !name.is_empty())
            }
            Err(error) => {
                self.output.note(&format!("it has no name: {error}"));
                None
            }
        }
    }

    fn params(&self) -> Result<Map<String, Value>, String> {
        let (declared, conf) = (&self.assignment.dag.params, &self.assignment.run.conf);
        if declared.is_empty() {
            return Ok(Map::new());
        }
        domain::params::resolve(declared, conf)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    }

    async fn keep_artifacts(&self, store: &LogStore, folder: &Path) {
        let key = self.assignment.log_key();
        let kept = store.put_artifact_dir(&key, folder, ArtifactLimits::default());
        match tokio::time::timeout(ARTIFACTS, kept).await {
            Ok(Ok(artifacts)) => {
                for artifact in &artifacts.kept {
                    self.output.note(&format!("kept {} ({} bytes)", artifact.name, artifact.size));
                }
                for left in &artifacts.left_out {
                    self.output.note(&format!("did not keep {}: {}", left.name, left.reason));
                }
            }
            Ok(Err(error)) => self.output.note(&format!("artifacts are lost: {error}")),
            Err(_) => {
                self.output.note(&format!("artifacts are lost: log storage took longer than {ARTIFACTS:?}"))
            }
        }
    }

    /// Writes the last line of the log, and hides secrets in the reason.
    fn conclude(&self, done: Done, began: Instant) -> Done {
        let reason =
            done.reason.as_ref().map(|reason| shortened(&self.output.masked(reason), LONGEST_REASON));
        let word = match (done.halted.is_some(), done.result) {
            (true, _) => "stopped",
            (false, TryResult::Success) => "success",
            (false, TryResult::Skipped) => "skipped",
            (false, TryResult::Failed) => "failed",
            (false, TryResult::FailedForGood) => "failed for good",
            (false, TryResult::Returned) => "returned",
            (false, TryResult::Rescheduled) => "not there yet",
            (false, TryResult::Deferred) => "left to the scheduler",
            (false, TryResult::Again) => "another round follows",
        };
        let took = began.elapsed().as_secs_f64();
        match &reason {
            Some(reason) => self.output.note(&format!("{word} after {took:.2} s: {reason}")),
            None => self.output.note(&format!("{word} after {took:.2} s")),
        }
        Done { reason, ..done }
    }
}

/// Whether rendering changes anything in a task.
pub(crate) fn has_templates(task: &domain::dag::Task) -> bool {
    operator_has_templates(&task.operator)
        || task.env.values().chain(&task.cwd).any(|text| template::is_template(text))
}

fn operator_has_templates(operator: &Operator) -> bool {
    match operator {
        Operator::Bash { command } => template::is_template(command),
        // Those of Airflow tasks are rendered by their own process.
        Operator::Python { .. } | Operator::LatestOnly | Operator::Empty | Operator::Airflow(_) => false,
        Operator::WaitFor(wait) => match &wait.until {
            Until::Time(_) | Until::For(_) | Until::Dag(_) => false,
            Until::File(path) => template::is_template(path),
            Until::Http { conn_id, url, contains, .. } => {
                conn_id.iter().chain([url]).chain(contains).any(|text| template::is_template(text))
            }
            Until::Sql { conn_id, sql } => template::is_template(conn_id) || template::is_template(sql),
        },
        Operator::TriggerDag(task) => {
            let texts = [&task.dag_id].into_iter().chain(&task.run_id).chain(&task.logical_date);
            texts.into_iter().any(|text| template::is_template(text))
                || template::is_template(&Value::Object(task.conf.clone()).to_string())
        }
        Operator::Approval(approval) => {
            let texts = [&approval.question.subject].into_iter().chain(&approval.question.body);
            texts.into_iter().any(|text| template::is_template(text))
        }
        Operator::Sql { conn_id, sql, .. } => template::is_template(conn_id) || template::is_template(sql),
        Operator::Http { conn_id, url, headers, body, .. } => {
            let texts = conn_id.iter().chain([url]).chain(headers.values());
            texts.into_iter().any(|text| template::is_template(text))
                || body.as_ref().is_some_and(|body| template::is_template(&body.to_string()))
        }
        Operator::Branch { program } | Operator::ShortCircuit { program, .. } => {
            operator_has_templates(program)
        }
    }
}
