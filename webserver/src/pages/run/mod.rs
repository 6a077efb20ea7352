//! A run: what stands above all views of it.

pub(crate) mod actions;
pub(crate) mod clear;
pub(crate) mod details;
pub(crate) mod graph;
mod hint;
pub(crate) mod tasks;

use std::sync::Arc;

use domain::{
    backfill::BackfillId,
    engine::triggering::Origin,
    id::{DagId, RunId},
    state::{RunState, RunType, TaskState},
};
use store::view::run::Run;

use self::hint::Hint;
use super::{
    dag::{crumb, zone},
    parts::{Count, Crumb, Moment, Tab},
    paths,
    shelf::Version,
    tally::Tally,
    visit::Visit,
    words,
};
use crate::error::Error;

/// A run that is looked at.
pub(crate) struct Seen {
    /// The run.
    pub(crate) run: Run,
    /// The version of the DAG that it runs.
    pub(crate) version: Arc<Version>,
}

/// What stands above all views of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunHead {
    pub(crate) dag_id: String,
    pub(crate) run_id: String,
    /// What it is called on pages.
    pub(crate) name: String,
    pub(crate) href: String,
    pub(crate) crumbs: Vec<Crumb>,
    pub(crate) state: &'static str,
    pub(crate) note: Option<String>,
    /// The run of the task that started it, and its page.
    pub(crate) origin: Option<(String, String)>,
    pub(crate) counts: Vec<Count>,
    /// Why nothing of it is running, while nothing is.
    pub(crate) hint: Option<Hint>,
    /// Whether the run has not ended.
    pub(crate) can_stop: bool,
    /// Whether nothing new starts in it, because an operator paused it.
    pub(crate) paused: bool,
    /// How many task instances failed or could not start because of others.
    pub(crate) failed_count: i64,
    pub(crate) kind: &'static str,
    pub(crate) by: Option<String>,
    /// The backfill that it belongs to, and the page that shows it.
    pub(crate) backfill: Option<(BackfillId, String)>,
    /// The key of what it is about.
    pub(crate) partition: Option<String>,
    pub(crate) logical: Option<Moment>,
    pub(crate) started: Option<Moment>,
    pub(crate) ended: Option<Moment>,
    pub(crate) duration: String,
    /// The deadlines that it has missed, with their names.
    pub(crate) missed: Vec<(Option<String>, Moment)>,
    pub(crate) tabs: Vec<Tab>,
}

/// A view of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    Tasks,
    Graph,
    Details,
}

impl View {
    const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::Tasks, "Tasks", ""),
        (Self::Graph, "Graph", "/graph"),
        (Self::Details, "Details", "/details"),
    ];
}

impl Seen {
    /// Finds a run by the ids in the address.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub(crate) async fn find(visit: &Visit, dag_id: &str, run_id: &str) -> Result<Self, Error> {
        let missing = || Error::NotFound(format!("There is no run `{run_id}` of DAG `{dag_id}`."));
        let dag = DagId::new(dag_id).map_err(|_| missing())?;
        let run = RunId::new(run_id).map_err(|_| missing())?;
        let store = &visit.state.store;
        let run = store.run_line(&dag, &run).await?.ok_or_else(missing)?;
        let version = visit.shelf().version(store, run.version).await?;
        Ok(Self { run, version })
    }

    /// The part above the view.
    ///
    /// # Errors
    /// Only when the database fails.
    pub(crate) async fn head(&self, visit: &Visit, view: View) -> Result<RunHead, Error> {
        let run = &self.run;
        let tally: Tally = visit.state.store.run_state_counts(run.key).await?.into_iter().collect();
        let (dag_id, run_id) = (run.dag_id.as_str(), run.run_id.as_str());
        let href = paths::run(dag_id, run_id);
        let name = words::run_name(run_id, visit.now);
        let tab = |(tab, label, path): (View, &str, &str)| Tab {
            label: label.to_owned(),
            href: format!("{href}{path}"),
            count: None,
            current: tab == view,
        };
        let moment = |at| words::moment(at, visit.now);
        let is_started = run.run_type == RunType::OperatorTriggered;
        let origin = run.note.as_deref().filter(|_| is_started).and_then(Origin::of);
        Ok(RunHead {
            crumbs: vec![
                crumb("DAGs", Some("/dags")),
                crumb(dag_id, Some(&paths::dag(dag_id))),
                crumb(&name, None),
            ],
            state: run.state.as_str(),
            note: run.note.clone().filter(|_| origin.is_none()),
            origin: origin.map(|origin| starter(&origin, visit)),
            counts: tally.counts(),
            hint: hint::hint(visit, self, &tally).await?,
            can_stop: !run.state.is_finished(),
            paused: run.is_paused && !run.state.is_finished(),
            failed_count: tally.of(TaskState::Failed) + tally.of(TaskState::UpstreamFailed),
            kind: words::run_kind(run.run_type),
            by: run.triggered_by.clone(),
            partition: run.partition.as_ref().map(|partition| partition.key.to_string()),
            backfill: run.backfill.map(|id| (id, format!("{}/backfills", paths::dag(run.dag_id.as_str())))),
            logical: run.logical_date.map(|at| words::moment_in(at, visit.now, zone(&self.version.dag))),
            started: run.started_at.map(moment),
            ended: run.ended_at.map(moment),
            duration: duration(run, visit),
            missed: run
                .missed_by(visit.now)
                .map(|missed| (missed.name.clone(), moment(missed.deadline)))
                .collect(),
            tabs: View::ALL.into_iter().map(tab).collect(),
            dag_id: dag_id.to_owned(),
            run_id: run_id.to_owned(),
            name,
            href,
        })
    }
}

/// Who started it, in words, and the page of that task.
fn starter(origin: &Origin, visit: &Visit) -> (String, String) {
    let Origin { task_id, run_id, dag_id } = origin;
    let name = words::run_name(run_id.as_str(), visit.now);
    let href = paths::task(dag_id.as_str(), run_id.as_str(), task_id.as_str());
    (format!("{task_id} of {dag_id}, {name}"), href)
}

fn duration(run: &Run, visit: &Visit) -> String {
    match run.state {
        RunState::Queued => "not started".to_owned(),
        RunState::Running | RunState::Success | RunState::Failed => {
            words::took(run.started_at, run.ended_at, visit.now)
        }
    }
}
