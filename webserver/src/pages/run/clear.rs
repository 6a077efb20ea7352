//! Running tasks of a run again: a task, a group or all of it, also in earlier and later runs. What would run again is shown first.

use actix_web::{
    HttpResponse,
    web::{Data, Path, Query},
};
use askama::Template;
use domain::{
    dag::Dag,
    id::TaskId,
    intent::{Clear, SelectedTask, Selection, Wish},
};
use serde::Deserialize;
use store::view::{api_run::RunRow, api_ti::TiRow};

use crate::{
    AppState,
    api::{clear as chosen, names, runs},
    auth::{Form, User},
    error::Error,
    pages::{
        dag::crumb,
        parts::{Crumb, Mood, Shell},
        paths,
        visit::{Visit, back, go},
        words,
    },
    wish::{self, Outcome},
};

/// Most task instances that are listed; all are counted.
const MOST_SHOWN: usize = 200;

/// What to run again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Scope {
    /// A task or a group; all tasks without one.
    #[serde(default)]
    task: String,
    map_index: Option<i32>,
    #[serde(default)]
    upstream: bool,
    #[serde(default)]
    downstream: bool,
    #[serde(default)]
    only_failed: bool,
    #[serde(default)]
    past: bool,
    #[serde(default)]
    future: bool,
    back: Option<String>,
}

/// What would run again.
#[derive(Debug, Template)]
#[template(path = "run_clear.html")]
pub(crate) struct RunClearPage {
    pub(crate) shell: Shell,
    pub(crate) crumbs: Vec<Crumb>,
    /// Where the form goes, and where the run is.
    pub(crate) href: String,
    pub(crate) run_href: String,
    pub(crate) scope: Scope,
    /// Tasks and groups.
    pub(crate) choices: Vec<Choice>,
    /// Why nothing can be shown.
    pub(crate) problem: Option<String>,
    pub(crate) rows: Vec<Row>,
    pub(crate) total: usize,
    pub(crate) runs: usize,
}

/// A task or a group that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) chosen: bool,
}

/// A task instance that would run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) task: String,
    pub(crate) href: String,
    pub(crate) run: String,
    pub(crate) state: String,
    pub(crate) tries: i32,
}

type Names = Path<(String, String)>;

/// Shows what would run again.
pub(crate) async fn show(visit: Visit, names: Names, scope: Query<Scope>) -> Result<HttpResponse, Error> {
    let scope = scope.into_inner();
    let row = names::run(&visit.state, &names.0, &names.1).await?;
    let dag = names::version(&visit.state, row.version_id).await?;
    let (parts, problem) = match plan(&visit.state, &scope, row, &dag).await {
        Ok(parts) => (parts, None),
        Err(Error::NotFound(fault) | Error::Invalid(fault)) => (Vec::new(), Some(fault)),
        Err(fault) => return Err(fault),
    };
    let found = parts.iter().flat_map(|(_, found)| found);
    let run_href = paths::run(&names.0, &names.1);
    let page = RunClearPage {
        shell: visit.shell("dags").await?,
        crumbs: vec![
            crumb("DAGs", Some("/dags")),
            crumb(&names.0, Some(&paths::dag(&names.0))),
            crumb(&words::run_name(&names.1, visit.now), Some(&run_href)),
            crumb("Run again", None),
        ],
        href: format!("{run_href}/clear"),
        run_href,
        choices: choices(&dag, &scope.task),
        problem,
        total: found.clone().count(),
        rows: found.take(MOST_SHOWN).map(|ti| shown(ti, &visit)).collect(),
        runs: parts.len(),
        scope,
    };
    visit.answer(page.render())
}

/// Runs tasks again.
pub(crate) async fn perform(
    state: Data<AppState>,
    user: User,
    names: Names,
    form: Form<Scope>,
) -> Result<HttpResponse, Error> {
    let Form(scope) = form;
    let row = names::run(&state, &names.0, &names.1).await?;
    let dag = names::version(&state, row.version_id).await?;
    let otherwise = paths::run(&names.0, &names.1);
    let path = back(scope.back.as_deref(), &otherwise);
    let parts = plan(&state, &scope, row, &dag).await?;
    if parts.is_empty() {
        return Ok(go(&path, Mood::Warn, "Nothing of that has run yet, so nothing runs again."));
    }
    let mut pending = false;
    for (selection, _) in parts {
        let run_id = selection.run_id.clone();
        let wish = Wish::Clear(Clear { selection, only_failed: scope.only_failed });
        match wish::ask(&state, user.name(), wish).await? {
            Outcome::Done => {}
            Outcome::Refused(reason) => {
                let text = format!("That was not done from run {run_id} on: {reason}.");
                return Ok(go(&path, Mood::Bad, &text));
            }
            Outcome::Pending => pending = true,
        }
    }
    Ok(if pending { go(&path, Mood::Warn, wish::PENDING) } else { go(&path, Mood::Good, &said(&scope)) })
}

fn said(scope: &Scope) -> String {
    let what = match (scope.task.as_str(), scope.only_failed) {
        ("", true) => "The failed tasks run again".to_owned(),
        ("", false) => "All tasks run again".to_owned(),
        (task, true) => format!("What failed of {task} runs again"),
        (task, false) => format!("{task} runs again"),
    };
    let runs = match (scope.past, scope.future) {
        (false, false) => "",
        (true, false) => ", in this run and all before it",
        (false, true) => ", in this run and all after it",
        (true, true) => ", in all runs",
    };
    format!("{what}{runs}.")
}

/// What is asked of the engine for each run, and which instances that is; runs of which nothing is chosen are left out.
async fn plan(
    state: &AppState,
    scope: &Scope,
    row: RunRow,
    dag: &Dag,
) -> Result<Vec<(Selection, Vec<TiRow>)>, Error> {
    let tasks = tasks(scope, dag)?;
    let which = chosen::Which { only_failed: scope.only_failed, only_running: false };
    let mut parts = Vec::new();
    for run in chosen::neighbours(state, row, scope.past, scope.future).await? {
        let (dag_id, run_id) = runs::ids(&run)?;
        let (upstream, downstream) = (scope.upstream, scope.downstream);
        let selection = Selection { dag_id, run_id, tasks: tasks.clone(), upstream, downstream };
        let found = chosen::select(state, &run, &selection, which).await?;
        if !found.is_empty() {
            parts.push((selection, found));
        }
    }
    Ok(parts)
}

fn tasks(scope: &Scope, dag: &Dag) -> Result<Vec<SelectedTask>, Error> {
    if scope.task.is_empty() {
        return Ok(Vec::new());
    }
    let id = TaskId::new(&scope.task)?;
    let selected = |task_id| SelectedTask { task_id, map_index: scope.map_index };
    Ok(dag.named(&id).into_iter().map(selected).collect())
}

fn choices(dag: &Dag, chosen: &str) -> Vec<Choice> {
    let choice = |id: &str, label: String| Choice { id: id.to_owned(), label, chosen: id == chosen };
    let groups = dag.groups.iter().map(|group| group.group_id.as_str());
    let groups = groups.map(|id| choice(id, format!("{id} (group)")));
    let tasks = dag.tasks.iter().map(|task| task.task_id.as_str());
    groups.chain(tasks.map(|id| choice(id, id.to_owned()))).collect()
}

fn shown(ti: &TiRow, visit: &Visit) -> Row {
    let index = if ti.map_index < 0 { String::new() } else { format!("[{}]", ti.map_index) };
    Row {
        task: format!("{}{index}", ti.task_id),
        href: paths::instance(&ti.dag_id, &ti.run_id, &ti.task_id, ti.map_index),
        run: words::run_name(&ti.run_id, visit.now),
        state: ti.state.clone(),
        tries: ti.try_number,
    }
}
