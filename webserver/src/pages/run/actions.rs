//! What a person does to a run: stop it, pause it, mark it.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use domain::{
    id::{DagId, RunId},
    intent::Wish,
    state::RunState,
};
use serde::Deserialize;

use crate::{
    AppState,
    auth::{Form, User},
    error::Error,
    pages::{deed, paths},
};

/// Where to go afterwards.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Plain {
    back: Option<String>,
}

/// What to call it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Mark {
    state: String,
    back: Option<String>,
}

/// Whether anything new starts in it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Pause {
    paused: bool,
    back: Option<String>,
}

type Names = Path<(String, String)>;

/// Stops a run: what runs is ended, the run has failed.
pub(crate) async fn stop(
    state: Data<AppState>,
    user: User,
    names: Names,
    form: Form<Plain>,
) -> Result<HttpResponse, Error> {
    let (dag_id, run_id) = ids(&names)?;
    let wish = Wish::MarkRun { dag_id, run_id, state: RunState::Failed };
    deed::perform(&state, &user, wish, form.0.back.as_deref(), &path(&names), "The run is stopped.").await
}

/// Lets nothing new start in a run, or lets it go on.
pub(crate) async fn pause(
    state: Data<AppState>,
    user: User,
    names: Names,
    form: Form<Pause>,
) -> Result<HttpResponse, Error> {
    let (dag_id, run_id) = ids(&names)?;
    let Form(Pause { paused, back }) = form;
    let wish = Wish::PauseRun { dag_id, run_id, paused };
    let text =
        if paused { "The run is paused: what runs ends, nothing new starts." } else { "The run goes on." };
    deed::perform(&state, &user, wish, back.as_deref(), &path(&names), text).await
}

/// Sets the state of a run by hand.
pub(crate) async fn mark(
    state: Data<AppState>,
    user: User,
    names: Names,
    form: Form<Mark>,
) -> Result<HttpResponse, Error> {
    let (dag_id, run_id) = ids(&names)?;
    let Form(Mark { state: wanted, back }) = form;
    let wanted: RunState =
        wanted.parse().map_err(|error| Error::Invalid(format!("{error}: use success or failed")))?;
    let wish = Wish::MarkRun { dag_id, run_id, state: wanted };
    let text = format!("The run is marked {wanted}.");
    deed::perform(&state, &user, wish, back.as_deref(), &path(&names), &text).await
}

fn ids(names: &Names) -> Result<(DagId, RunId), Error> {
    Ok((DagId::new(&names.0)?, RunId::new(&names.1)?))
}

fn path(names: &Names) -> String {
    paths::run(&names.0, &names.1)
}
