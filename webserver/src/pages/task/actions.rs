//! What a person does to a task of a run: run it again, mark it, hold it back, move it up, switch it off.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use domain::{
    id::{DagId, RunId, TaskId},
    intent::{Clear, MarkTasks, SelectedTask, Selection, Wish},
    state::TaskState,
};
use serde::Deserialize;

use crate::{
    AppState,
    auth::{Form, User},
    error::Error,
    pages::{deed, paths},
};

/// What to run again.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Scope {
    map_index: Option<i32>,
    #[serde(default)]
    upstream: bool,
    #[serde(default)]
    downstream: bool,
    #[serde(default)]
    only_failed: bool,
    back: Option<String>,
}

/// What to call it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Mark {
    map_index: Option<i32>,
    state: String,
    back: Option<String>,
}

/// Whether it may start.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Hold {
    map_index: Option<i32>,
    held: bool,
    back: Option<String>,
}

/// Its place among those that wait.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Place {
    map_index: Option<i32>,
    priority: String,
    back: Option<String>,
}

/// Whether it is part of its DAG's runs.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Switch {
    enabled: bool,
    back: Option<String>,
}

type Names = Path<(String, String, String)>;

/// Runs a task again.
pub(crate) async fn clear(
    state: Data<AppState>,
    user: User,
    names: Names,
    form: Form<Scope>,
) -> Result<HttpResponse, Error> {
    let Form(scope) = form;
    let selection = Selection {
        upstream: scope.upstream,
        downstream: scope.downstream,
        ..selection(&names, scope.map_index)?
    };
    let text = match (scope.upstream, scope.downstream, scope.only_failed) {
        (true, _, true) => "What failed before the task runs again, then the task and what waits for it.",
        (true, _, false) => "The task and everything it depends on run again.",
        (false, true, true) => "The task runs again, then what failed because of it.",
        (false, true, false) => "The task and everything that depends on it run again.",
        (false, false, true) => "The failed instances run again.",
        (false, false, false) => "The task runs again.",
    };
    let wish = Wish::Clear(Clear { selection, only_failed: scope.only_failed });
    deed::perform(&state, &user, wish, scope.back.as_deref(), &path(&names, scope.map_index), text).await
}

/// Sets the state of a task by hand.
pub(crate) async fn mark(
    state: Data<AppState>,
    user: User,
    names: Names,
    form: Form<Mark>,
) -> Result<HttpResponse, Error> {
    let Form(mark) = form;
    let wanted: TaskState = mark
        .state
        .parse()
        .map_err(|error| Error::Invalid(format!("{error}: use success, failed or skipped")))?;
    let selection = selection(&names, mark.map_index)?;
    let wish = Wish::MarkTasks(MarkTasks { selection, state: wanted });
    let text = format!("The task is marked {wanted}.");
    deed::perform(&state, &user, wish, mark.back.as_deref(), &path(&names, mark.map_index), &text).await
}

/// Keeps a task that waits from starting, or lets it go.
pub(crate) async fn hold(
    state: Data<AppState>,
    user: User,
    names: Names,
    form: Form<Hold>,
) -> Result<HttpResponse, Error> {
    let Form(Hold { map_index, held, back }) = form;
    let wish = Wish::Hold { selection: selection(&names, map_index)?, held };
    let text = if held { "The task is held: it does not start." } else { "The task is released." };
    deed::perform(&state, &user, wish, back.as_deref(), &path(&names, map_index), text).await
}

/// Gives a task that waits another priority.
pub(crate) async fn prioritize(
    state: Data<AppState>,
    user: User,
    names: Names,
    form: Form<Place>,
) -> Result<HttpResponse, Error> {
    let Form(Place { map_index, priority, back }) = form;
    let wrong = || {
        Error::Invalid(format!(
            "`{priority}` is not a priority: write a whole number from {} to {}",
            i32::MIN,
            i32::MAX
        ))
    };
    let number: i32 = priority.trim().parse().map_err(|_| wrong())?;
    let wish = Wish::Prioritize { selection: selection(&names, map_index)?, priority: number };
    let text = format!("The task waits with priority {number}.");
    deed::perform(&state, &user, wish, back.as_deref(), &path(&names, map_index), &text).await
}

/// Switches a task off in all runs of its DAG that have not come to it, or on again.
pub(crate) async fn switch(
    state: Data<AppState>,
    user: User,
    names: Names,
    form: Form<Switch>,
) -> Result<HttpResponse, Error> {
    let Form(Switch { enabled, back }) = form;
    let (dag_id, task_id) = (DagId::new(&names.0)?, TaskId::new(&names.2)?);
    let text = if enabled {
        format!("{task_id} is switched on.")
    } else {
        format!("{task_id} is switched off: it is skipped in every run of {dag_id}.")
    };
    let wish = Wish::SwitchTask { dag_id, task_id, enabled };
    deed::perform(&state, &user, wish, back.as_deref(), &path(&names, None), &text).await
}

fn selection(names: &Names, map_index: Option<i32>) -> Result<Selection, Error> {
    let (dag_id, run_id, task_id) = (DagId::new(&names.0)?, RunId::new(&names.1)?, TaskId::new(&names.2)?);
    let tasks = vec![SelectedTask { task_id, map_index }];
    Ok(Selection { dag_id, run_id, tasks, upstream: false, downstream: false })
}

fn path(names: &Names, map_index: Option<i32>) -> String {
    paths::instance(&names.0, &names.1, &names.2, map_index.unwrap_or(-1))
}
