//! What a person does to a task of a run: run it again, mark it.

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
        (true, _, true) => "What failed before the task runs again, and then the task.",
        (true, _, false) => "The task and everything it depends on run again.",
        (false, true, _) => "The task and everything that depends on it run again.",
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

fn selection(names: &Names, map_index: Option<i32>) -> Result<Selection, Error> {
    let (dag_id, run_id, task_id) = (DagId::new(&names.0)?, RunId::new(&names.1)?, TaskId::new(&names.2)?);
    let tasks = vec![SelectedTask { task_id, map_index }];
    Ok(Selection { dag_id, run_id, tasks, upstream: false, downstream: false })
}

fn path(names: &Names, map_index: Option<i32>) -> String {
    paths::instance(&names.0, &names.1, &names.2, map_index.unwrap_or(-1))
}
