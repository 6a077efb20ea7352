//! Questions to people, which Airflow calls details of the human in the loop.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use domain::{
    approval::{Answer, Refusal, Reply},
    id::{DagId, RunId, TaskId},
    intent::Wish,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::view::{
    api_ti::TiRow,
    approvals::{ApprovalRow, QuestionRow, Which},
};
use uuid::Uuid;

use super::{
    names,
    query::{Filter, Kind, Query},
    shape,
    tis::MappedPath,
};
use crate::{
    AppState,
    auth::{User, Viewer},
    body::Body,
    error::{Error, Problem},
    wish,
};

const FILTERS: &[Filter] = &[
    ("dag_id_pattern", "dag_id", Kind::Like),
    ("dag_id_prefix_pattern", "dag_id", Kind::Prefix),
    ("task_id", "task_id", Kind::OneOf),
    ("task_id_pattern", "task_id", Kind::Like),
    ("task_id_prefix_pattern", "task_id", Kind::Prefix),
    ("map_index", "map_index_number", Kind::Numbers),
    ("state", "task_instance_state", Kind::OneOf),
    ("response_received", "response_received", Kind::Flag),
    ("responded_by_user_id", "responded_by_user_id", Kind::OneOf),
    ("responded_by_user_name", "responded_by_user_name", Kind::OneOf),
    ("subject_search", "subject", Kind::Like),
    ("body_search", "body", Kind::Like),
    ("created_at", "created_at", Kind::Moments),
];

/// `UpdateHITLDetailPayload`, and a remark, which is Tradewind's own.
#[derive(Debug, Deserialize)]
pub(super) struct Update {
    chosen_options: Vec<String>,
    #[serde(default)]
    params_input: Map<String, Value>,
    #[serde(default)]
    remark: Option<String>,
}

pub(super) async fn list(
    state: Data<AppState>,
    _viewer: Viewer,
    path: Path<(String, String)>,
    query: Query,
) -> Result<HttpResponse, Error> {
    let ask = names::within(query.ask(FILTERS, &["ti_id"])?, [("dag_id", &path.0), ("run_id", &path.1)]);
    let (rows, total) = state.store.approvals(Which::All, &ask).await?;
    let rows: Vec<Value> =
        rows.iter().map(|ApprovalRow { ti, question }| shape::question(question, shape::ti(ti))).collect();
    Ok(HttpResponse::Ok().json(json!({"hitl_details": rows, "total_entries": total})))
}

pub(super) async fn get(
    state: Data<AppState>,
    _viewer: Viewer,
    path: MappedPath,
) -> Result<HttpResponse, Error> {
    let (ti, question) = current(&state, &path).await?;
    Ok(HttpResponse::Ok().json(shape::question(&question, shape::ti(&ti))))
}

pub(super) async fn one_try(
    state: Data<AppState>,
    _viewer: Viewer,
    path: Path<(String, String, String, i32, i32)>,
) -> Result<HttpResponse, Error> {
    let (dag_id, run_id, task_id, map_index, number) = path.into_inner();
    let ti = names::instance(&state, (&dag_id, &run_id, &task_id), map_index).await?;
    let tries = state.store.api_tries(ti.run_key, ti.index).await?;
    let row = tries.iter().find(|row| row.try_number == number);
    let row = row.ok_or_else(|| {
        Error::NotFound(format!("The Task Instance has no try with try_number: `{number}`"))
    })?;
    let question =
        state.store.question(ti.run_key, ti.index, number).await?.ok_or_else(|| asks_nothing(&ti))?;
    Ok(HttpResponse::Ok().json(shape::question(&question, shape::ti_history(row))))
}

/// Answers a question. Source: Airflow 3.3.2 `routes/public/hitl.py`, also for the order of the checks.
pub(super) async fn answer(
    state: Data<AppState>,
    user: User,
    path: MappedPath,
    body: Body<Update>,
) -> Result<HttpResponse, Error> {
    let Update { chosen_options, params_input, remark } = body.0;
    if chosen_options.is_empty() {
        let message = "List should have at least 1 item after validation, not 0";
        return Err(Problem::new("too_short", "body", "chosen_options", message, json!([])).into());
    }
    let (ti, question) = current(&state, &path).await?;
    let reply = Reply { chosen_options, params_input, remark };
    wish::insist(&state, user.name(), planned(user.name(), &ti, &question, reply)?).await?;
    let question = state.store.question(ti.run_key, ti.index, question.asked_by_try).await?;
    let question = question.ok_or_else(|| asks_nothing(&ti))?;
    Ok(HttpResponse::Ok().json(shape::answer(&question)))
}

/// What is asked of the engine, when the answer fits as things are now.
///
/// # Errors
/// [`Error::Conflict`] when no answer is wanted, [`Error::Forbidden`] when that of somebody else is, [`Error::Invalid`] when it does not
/// fit.
pub(crate) fn planned(by: &str, ti: &TiRow, question: &QuestionRow, reply: Reply) -> Result<Wish, Error> {
    if question.reply().is_some() {
        return Err(answered(ti));
    }
    if !question.is_open() {
        return Err(Error::Conflict(format!("the question is not open any more: the task is {}", ti.state)));
    }
    // The engine completes the answer itself; here it is only checked.
    question.terms().accept(by, reply.clone()).map_err(refused)?;
    let (dag_id, run_id) = (DagId::new(&ti.dag_id)?, RunId::new(&ti.run_id)?);
    let try_number = u32::try_from(question.asked_by_try).unwrap_or_default();
    let number = u32::try_from(question.number).unwrap_or_default();
    let (id, task_id, map_index) = (Uuid::new_v4(), TaskId::new(&ti.task_id)?, ti.map_index);
    Ok(Wish::Answer(Answer { id, dag_id, run_id, task_id, map_index, try_number, number, reply }))
}

fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::NotAsked { .. } => Error::Forbidden(refusal.to_string()),
        Refusal::NoOption { .. }
        | Refusal::Nothing(_)
        | Refusal::TooMany
        | Refusal::Twice(_)
        | Refusal::Params(_)
        | Refusal::Remark => Error::Invalid(refusal.to_string()),
    }
}

async fn current(
    state: &AppState,
    (dag_id, run_id, task_id, map_index): &(String, String, String, i32),
) -> Result<(TiRow, QuestionRow), Error> {
    let ti = names::instance(state, (dag_id, run_id, task_id), *map_index).await?;
    // What an instance asked that is to run again is history.
    let asks = (ti.state != "none").then_some(ti.try_number);
    let question = match asks {
        Some(number) => state.store.question(ti.run_key, ti.index, number).await?,
        None => None,
    };
    question.map(|question| (ti.clone(), question)).ok_or_else(|| asks_nothing(&ti))
}

fn asks_nothing(ti: &TiRow) -> Error {
    let id = shape::ti_id(ti);
    Error::NotFound(format!("Human-in-the-loop detail does not exist for Task Instance with id {id}"))
}

fn answered(ti: &TiRow) -> Error {
    let id = shape::ti_id(ti);
    Error::Conflict(format!("the question of the Task Instance with id {id} has already been answered"))
}
