//! A task in a run: what stands above all views of it.

pub(crate) mod actions;
pub(crate) mod attempts;
mod controls;
pub(crate) mod details;
mod element;
mod explain;
pub(crate) mod instances;
pub(crate) mod log;
pub(crate) mod rendered;
mod rounds;
pub(crate) mod why;
pub(crate) mod xcom;

use actix_web::{HttpResponse, http::header::LOCATION};
use domain::{
    dag::{Operator, Task},
    id::TaskId,
    repeat::Repeat,
    state::TaskState,
    trigger_rule::TriggerRule,
    wait::{TRIGGER_DAG_ID, TRIGGER_RUN_ID},
};
use serde::Deserialize;
use store::view::task::Instance;

use self::{controls::Controls, why::Why};
use super::{
    dag::crumb,
    parts::{Crumb, Moment, Mood, Tab},
    paths,
    question::{self, Card, Size},
    run,
    tally::Tally,
    visit::Visit,
    words,
};
use crate::error::Error;

/// What every view of a task is asked with.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Params {
    /// One instance of a mapped task.
    map_index: Option<i32>,
}

/// A task that is looked at: one instance, or all instances of a mapped task.
pub(crate) struct Seen {
    pub(crate) run: run::Seen,
    pub(crate) task_id: TaskId,
    /// The one instance; `None` for a mapped task as a whole.
    pub(crate) instance: Option<Instance>,
    /// The states of all instances of the task.
    pub(crate) tally: Tally,
}

/// What stands above all views of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskHead {
    pub(crate) dag_id: String,
    pub(crate) run_id: String,
    pub(crate) task_id: String,
    pub(crate) href: String,
    /// Where one chooses what of it runs again.
    pub(crate) clear_href: String,
    pub(crate) crumbs: Vec<Crumb>,
    pub(crate) state: &'static str,
    pub(crate) operator: String,
    /// Set for one instance of a mapped task.
    pub(crate) map_index: Option<i32>,
    /// What the instance is called, or the element that it works on.
    pub(crate) map_label: Option<String>,
    /// Empty when it is the usual one.
    pub(crate) trigger_rule: String,
    pub(crate) failed: bool,
    /// Whether running it again makes sense only with what failed before it.
    pub(crate) blocked: bool,
    pub(crate) running: bool,
    pub(crate) explanation: Option<Explanation>,
    /// What is in its way, while it waits.
    pub(crate) why: Option<Why>,
    /// The run that it started.
    pub(crate) started_run: Option<StartedRun>,
    /// What it asks or asked people.
    pub(crate) question: Option<Card>,
    /// What may be done to it while it waits.
    pub(crate) controls: Controls,
    /// What is known of one instance; nothing for a mapped task as a whole.
    pub(crate) figures: Option<Figures>,
    /// The states of all instances of a mapped task as a whole.
    pub(crate) counts: Vec<super::parts::Count>,
    pub(crate) tabs: Vec<Tab>,
}

/// The figures of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Figures {
    /// For example `2 of 3`.
    pub(crate) tries: String,
    /// In a loop, for example `2 of 10`.
    pub(crate) round: Option<String>,
    pub(crate) started: Option<Moment>,
    pub(crate) duration: String,
    pub(crate) waited: String,
    pub(crate) worker: Option<String>,
}

/// A run that a task started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StartedRun {
    pub(crate) dag_id: String,
    pub(crate) name: String,
    pub(crate) href: String,
}

/// Why the task is in its state, in words: how it failed, what it waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Explanation {
    pub(crate) kind: Mood,
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) hint: Option<String>,
}

/// A view of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    Log,
    Instances,
    Attempts,
    Rendered,
    Xcom,
    Details,
}

impl View {
    const OF_INSTANCE: [(Self, &'static str, &'static str); 5] = [
        (Self::Log, "Log", ""),
        (Self::Attempts, "Attempts", "/attempts"),
        (Self::Rendered, "Rendered", "/rendered"),
        (Self::Xcom, "XCom", "/xcom"),
        (Self::Details, "Details", "/details"),
    ];
    const OF_ALL: [(Self, &'static str, &'static str); 2] =
        [(Self::Instances, "Instances", "/instances"), (Self::Details, "Details", "/details")];
}

impl Seen {
    /// Finds a task by the ids in the address.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the run has no such task or instance.
    pub(crate) async fn find(
        visit: &Visit,
        names: &(String, String, String),
        map_index: Option<i32>,
    ) -> Result<Self, Error> {
        let (dag_id, run_id, task_id) = names;
        let run = run::Seen::find(visit, dag_id, run_id).await?;
        let missing = || Error::NotFound(format!("Run `{run_id}` has no task `{task_id}`."));
        let task_id = TaskId::new(task_id).map_err(|_| missing())?;
        let store = &visit.state.store;
        let tally: Tally = store.task_state_counts(run.run.key, &task_id).await?.into_iter().collect();
        if tally.total() == 0 {
            return Err(missing());
        }
        let (dag, run_id) = (&run.run.dag_id, &run.run.run_id);
        let instance = store.instance(dag, run_id, &task_id, map_index.unwrap_or(-1)).await?;
        if let (Some(index), None) = (map_index, &instance) {
            return Err(Error::NotFound(format!(
                "Task `{task_id}` has no instance {index} in run `{run_id}`."
            )));
        }
        Ok(Self { run, task_id, instance, tally })
    }

    /// The task in the version that the run runs; a removed task has none.
    pub(crate) fn spec(&self) -> Option<&Task> {
        self.run.version.task(self.task_id.as_str())
    }

    /// How the task is repeated, if it is.
    pub(crate) fn repeat(&self) -> Option<&Repeat> {
        self.spec()?.repeat.as_ref()
    }

    /// The address of the task in the run.
    pub(crate) fn href(&self) -> String {
        paths::task(self.run.run.dag_id.as_str(), self.run.run.run_id.as_str(), self.task_id.as_str())
    }

    fn clear_href(&self) -> String {
        let index = self.map_index().map(|index| index.to_string()).unwrap_or_default();
        let page =
            format!("{}/clear", paths::run(self.run.run.dag_id.as_str(), self.run.run.run_id.as_str()));
        paths::with_query(&page, &[("task", self.task_id.as_str()), ("map_index", &index)])
    }

    /// The address of a view of what is looked at.
    pub(crate) fn view(&self, path: &str) -> String {
        paths::with_instance(&format!("{}{path}", self.href()), self.map_index().unwrap_or(-1))
    }

    /// The index of one instance of a mapped task.
    pub(crate) fn map_index(&self) -> Option<i32> {
        self.instance.as_ref().map(|instance| instance.map_index).filter(|index| *index >= 0)
    }

    /// The part above the view.
    ///
    /// # Errors
    /// Only when the database fails.
    pub(crate) async fn head(&self, visit: &Visit, view: View) -> Result<TaskHead, Error> {
        let state = match &self.instance {
            Some(instance) => instance.state,
            None => self.tally.state().unwrap_or(TaskState::None),
        };
        let map_label = match self.instance.as_ref().filter(|instance| instance.map_index >= 0) {
            Some(instance) => element::label(visit, self, instance).await?,
            None => None,
        };
        let controls = controls::controls(visit, self).await?;
        let why = why::why(visit, self).await?;
        let rule = self.spec().map(|task| task.trigger_rule).filter(|rule| *rule != TriggerRule::default());
        Ok(TaskHead {
            dag_id: self.run.run.dag_id.to_string(),
            run_id: self.run.run.run_id.to_string(),
            task_id: self.task_id.to_string(),
            crumbs: self.crumbs(visit),
            state: state.as_str(),
            operator: self.operator(),
            map_index: self.map_index(),
            map_label,
            trigger_rule: rule.map(|rule| rule.as_str().to_owned()).unwrap_or_default(),
            failed: matches!(state, TaskState::Failed | TaskState::UpstreamFailed),
            blocked: state == TaskState::UpstreamFailed,
            running: matches!(state, TaskState::Queued | TaskState::Running | TaskState::Restarting),
            explanation: explain::explain(visit, self, why.as_ref()).await?,
            why,
            started_run: self.started_run(visit).await?,
            question: self.question(visit).await?,
            controls,
            figures: self.instance.as_ref().map(|instance| figures(instance, self.repeat(), visit)),
            counts: if self.instance.is_none() { self.tally.counts() } else { Vec::new() },
            tabs: self.tabs(view),
            clear_href: self.clear_href(),
            href: self.href(),
        })
    }

    async fn question(&self, visit: &Visit) -> Result<Option<Card>, Error> {
        let asks = self.spec().is_some_and(|task| matches!(task.operator, Operator::Approval(_)));
        let Some(instance) = self.instance.as_ref().filter(|_| asks) else {
            return Ok(None);
        };
        let (dag_id, run_id) = (self.run.run.dag_id.as_str(), self.run.run.run_id.as_str());
        let found =
            question::find(visit, (dag_id, run_id, self.task_id.as_str()), instance.map_index).await?;
        Ok(found.map(|row| Card::of(&row, Size::Whole, None, visit)))
    }

    async fn started_run(&self, visit: &Visit) -> Result<Option<StartedRun>, Error> {
        let starts_runs = self.spec().is_some_and(|task| matches!(task.operator, Operator::TriggerDag(_)));
        let Some(instance) = self.instance.as_ref().filter(|_| starts_runs) else {
            return Ok(None);
        };
        let (store, run) = (&visit.state.store, self.run.run.key);
        let dag_id = store.xcom(run, &self.task_id, instance.map_index, TRIGGER_DAG_ID).await?;
        let run_id = store.xcom(run, &self.task_id, instance.map_index, TRIGGER_RUN_ID).await?;
        let (Some(dag_id), Some(run_id)) = (dag_id, run_id) else { return Ok(None) };
        let named = dag_id.as_str().zip(run_id.as_str());
        Ok(named.map(|(dag_id, run_id)| StartedRun {
            dag_id: dag_id.to_owned(),
            name: words::run_name(run_id, visit.now),
            href: paths::run(dag_id, run_id),
        }))
    }

    fn operator(&self) -> String {
        let key = self.spec().map(|task| task.operator.key().to_owned());
        key.or_else(|| self.instance.as_ref().map(|instance| instance.operator.clone())).unwrap_or_default()
    }

    fn crumbs(&self, visit: &Visit) -> Vec<Crumb> {
        let (dag_id, run_id) = (self.run.run.dag_id.as_str(), self.run.run.run_id.as_str());
        let mut crumbs = vec![
            crumb("DAGs", Some("/dags")),
            crumb(dag_id, Some(&paths::dag(dag_id))),
            crumb(&words::run_name(run_id, visit.now), Some(&paths::run(dag_id, run_id))),
        ];
        match self.map_index() {
            Some(index) => {
                let all = format!("{}/instances", self.href());
                crumbs.extend([crumb(self.task_id.as_str(), Some(&all)), crumb(&format!("[{index}]"), None)]);
            }
            None => crumbs.push(crumb(self.task_id.as_str(), None)),
        }
        crumbs
    }

    fn tabs(&self, view: View) -> Vec<Tab> {
        let tab = |(tab, label, path): &(View, &str, &str)| Tab {
            label: (*label).to_owned(),
            href: self.view(path),
            count: None,
            current: *tab == view,
        };
        match &self.instance {
            Some(_) => View::OF_INSTANCE.iter().map(tab).collect(),
            None => View::OF_ALL.iter().map(tab).collect(),
        }
    }

    /// Sends whoever asks for the log of a mapped task as a whole on to the list of its instances.
    pub(crate) fn to_instances(&self) -> HttpResponse {
        HttpResponse::SeeOther().insert_header((LOCATION, format!("{}/instances", self.href()))).finish()
    }
}

fn figures(instance: &Instance, repeat: Option<&Repeat>, visit: &Visit) -> Figures {
    let waited = match (instance.queued_at, instance.started_at) {
        (Some(queued), Some(started)) if started >= queued => words::duration(started - queued),
        (Some(queued), _) if instance.state == TaskState::Queued => {
            format!("{} so far", words::duration(visit.now - queued))
        }
        (Some(_) | None, _) => "–".to_owned(),
    };
    let short = || instance.worker.map(|id| id.to_string().chars().take(8).collect());
    Figures {
        tries: words::tries(instance.try_number.into(), instance.max_tries.into()),
        round: repeat.map(|repeat| rounds::progress(repeat, instance)),
        started: instance.started_at.map(|at| words::moment(at, visit.now)),
        duration: words::took(instance.started_at, instance.ended_at, visit.now),
        waited,
        worker: instance.hostname.clone().or_else(short),
    }
}
