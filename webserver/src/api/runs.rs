//! Runs: lists, one, changing, deleting, clearing.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use domain::{
    id::{DagId, RunId},
    intent::{Clear, Selection, Wish},
    state::RunState,
};
use serde::Deserialize;
use serde_json::{Value, json};
use store::view::{
    api_list::{Ask, Test},
    api_run::RunRow,
};

use super::{
    batch::Ranges,
    clear,
    cursor::{self, Cursor},
    names, partitions,
    query::{Filter, Kind, Query},
    settings::Mask,
    shape,
};
use crate::{
    AppState,
    auth::{User, Viewer},
    body::Body,
    error::Error,
    wish,
};

/// Longest remark, in characters (Airflow's limit).
pub(super) const LONGEST_NOTE: usize = 1_000;

const FILTERS: &[Filter] = &[
    ("run_after", "run_after", Kind::Moments),
    ("logical_date", "logical_date", Kind::Moments),
    ("start_date", "start_date", Kind::Moments),
    ("end_date", "end_date", Kind::Moments),
    ("updated_at", "updated_at", Kind::Moments),
    ("duration", "duration", Kind::Amounts),
    ("state", "state", Kind::OneOf),
    ("run_type", "run_type", Kind::OneOf),
    ("dag_version", "dag_version", Kind::Numbers),
    ("conf_contains", "conf", Kind::Like),
    ("run_id_pattern", "run_id", Kind::Like),
    ("run_id_prefix_pattern", "run_id", Kind::Prefix),
    ("triggering_user_name_pattern", "triggering_user_name", Kind::Like),
    ("triggering_user_name_prefix_pattern", "triggering_user_name", Kind::Prefix),
    ("partition_key_pattern", "partition_key", Kind::Like),
    ("partition_key_prefix_pattern", "partition_key", Kind::Prefix),
    ("dag_id_pattern", "dag_id", Kind::Like),
    ("dag_id_prefix_pattern", "dag_id", Kind::Prefix),
];

/// What a run is to become.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Patch {
    #[serde(default)]
    state: Option<RunState>,
    #[serde(default, deserialize_with = "super::batch::given")]
    note: Option<Option<String>>,
}

/// How a run is to be cleared.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClearBody {
    #[serde(default = "super::yes")]
    dry_run: bool,
    #[serde(default)]
    only_failed: bool,
    #[serde(default)]
    only_new: bool,
    #[serde(default)]
    run_on_latest_version: Option<bool>,
    #[serde(default)]
    note: Option<String>,
}

/// A list of runs asked for by a body.
#[derive(Debug, Deserialize)]
pub(super) struct BatchBody {
    #[serde(default)]
    dag_ids: Option<Vec<String>>,
    #[serde(default)]
    states: Option<Vec<Option<String>>>,
    #[serde(default)]
    conf_contains: Option<String>,
    #[serde(flatten)]
    ranges: Ranges,
}

pub(super) async fn list(
    state: Data<AppState>,
    _viewer: Viewer,
    dag_id: Path<String>,
    query: Query,
) -> Result<HttpResponse, Error> {
    if dag_id.as_str() != names::ALL {
        names::dag(&state, &dag_id).await?;
    }
    let ask = names::within(query.ask(FILTERS, &["id"])?, [("dag_id", &dag_id)]);
    let ask = partitions::within_days(&state, &dag_id, &query, ask).await?;
    match query.cursor() {
        Some(token) => send_from(&state, ask, &Cursor::parse(token)?).await,
        None => send(&state, ask).await,
    }
}

pub(super) async fn batch(
    state: Data<AppState>,
    _viewer: Viewer,
    dag_id: Path<String>,
    body: Body<BatchBody>,
) -> Result<HttpResponse, Error> {
    if dag_id.as_str() != names::ALL {
        return Err(Error::Invalid(
            "this list is for all DAGs: use `~` as dag_id and name DAGs in the body".to_owned(),
        ));
    }
    let body = body.0;
    let mut ask = body.ranges.ask("id")?;
    if let Some(dag_ids) = body.dag_ids {
        ask.tests.push(("dag_id", Test::OneOf(dag_ids)));
    }
    if let Some(states) = body.states {
        ask.tests.push(("state", Test::OneOf(states.into_iter().flatten().collect())));
    }
    if let Some(text) = body.conf_contains.filter(|text| !text.is_empty()) {
        ask.tests.push(("conf", Test::Like(text)));
    }
    send(&state, ask).await
}

async fn send_from(state: &AppState, mut ask: Ask, cursor: &Cursor) -> Result<HttpResponse, Error> {
    let limit = ask.limit as usize;
    ask.limit += 1;
    let rows = state.store.api_runs_from(&ask, cursor.position.as_deref(), cursor.is_backward).await?;
    Ok(HttpResponse::Ok().json(cursor::page(
        "dag_runs",
        cursor,
        limit,
        rows,
        |row| vec![row.key],
        shape::run,
    )))
}

async fn send(state: &AppState, ask: Ask) -> Result<HttpResponse, Error> {
    let (rows, total) = state.store.api_runs(&ask).await?;
    Ok(HttpResponse::Ok().json(shape::page("dag_runs", rows.iter().map(shape::run).collect(), total)))
}

pub(super) async fn get(
    state: Data<AppState>,
    _viewer: Viewer,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Error> {
    let row = names::run(&state, &path.0, &path.1).await?;
    Ok(HttpResponse::Ok().json(shape::run(&row)))
}

pub(super) async fn patch(
    state: Data<AppState>,
    user: User,
    path: Path<(String, String)>,
    query: Query,
    body: Body<Patch>,
) -> Result<HttpResponse, Error> {
    let Patch { state: wanted, note } = body.0;
    let mask = Mask::of(&query);
    let row = names::run(&state, &path.0, &path.1).await?;
    let (dag_id, run_id) = ids(&row)?;
    if let Some(wanted) = wanted.filter(|_| mask.has("state")) {
        if wanted == RunState::Running {
            let message = "Input should be 'queued', 'success' or 'failed'";
            return Err(super::dags::wrong("state", message, "running".into()));
        }
        let wish = Wish::MarkRun { dag_id: dag_id.clone(), run_id: run_id.clone(), state: wanted };
        wish::insist(&state, user.name(), wish).await?;
    }
    if let Some(note) = note.filter(|_| mask.has("note")) {
        set_note(&state, (&dag_id, &run_id), note.as_deref(), user.name()).await?;
    }
    get(state, Viewer::from(user), path).await
}

pub(super) async fn delete(
    state: Data<AppState>,
    user: User,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Error> {
    let row = names::run(&state, &path.0, &path.1).await?;
    let (dag_id, run_id) = ids(&row)?;
    state.store.delete_run(&dag_id, &run_id, user.name()).await?;
    super::dags::ring(&state).await;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn clear(
    state: Data<AppState>,
    user: User,
    path: Path<(String, String)>,
    body: Body<ClearBody>,
) -> Result<HttpResponse, Error> {
    let body = body.0;
    if body.only_new && body.only_failed {
        return Err(super::dags::wrong(
            "only_new",
            "only_new and only_failed are mutually exclusive",
            true.into(),
        ));
    }
    let row = names::run(&state, &path.0, &path.1).await?;
    let (dag_id, run_id) = ids(&row)?;
    let selection = Selection {
        dag_id: dag_id.clone(),
        run_id: run_id.clone(),
        tasks: Vec::new(),
        upstream: false,
        downstream: false,
    };
    if body.dry_run {
        return dry_run(&state, &row, &body, &selection).await;
    }
    if body.only_new || body.run_on_latest_version == Some(true) {
        let wish = Wish::AdoptVersion { dag_id: dag_id.clone(), run_id: run_id.clone() };
        wish::insist(&state, user.name(), wish).await?;
    }
    if !body.only_new {
        let wish = Wish::Clear(Clear { selection, only_failed: body.only_failed });
        wish::insist(&state, user.name(), wish).await?;
    }
    if let Some(note) = &body.note {
        set_note(&state, (&dag_id, &run_id), Some(note), user.name()).await?;
    }
    get(state, Viewer::from(user), path).await
}

async fn dry_run(
    state: &AppState,
    row: &RunRow,
    body: &ClearBody,
    selection: &Selection,
) -> Result<HttpResponse, Error> {
    let shapes: Vec<Value> = if body.only_new {
        let newest = names::version(state, names::dag(state, &row.dag_id).await?.version_id).await?;
        let own = names::version(state, row.version_id).await?;
        let is_new = |task: &&domain::dag::Task| own.task(task.task_id.as_str()).is_none();
        let new = newest.tasks.iter().filter(is_new);
        new.map(|task| json!({"task_id": task.task_id, "task_display_name": task.task_id})).collect()
    } else {
        let chosen = clear::select(
            state,
            row,
            selection,
            clear::Which { only_failed: body.only_failed, only_running: false },
        );
        chosen.await?.iter().map(shape::ti).collect()
    };
    Ok(HttpResponse::Ok().json(json!({"total_entries": shapes.len(), "task_instances": shapes})))
}

async fn set_note(
    state: &AppState,
    (dag_id, run_id): (&DagId, &RunId),
    note: Option<&str>,
    by: &str,
) -> Result<(), Error> {
    check_note(note)?;
    state.store.note_run(dag_id, run_id, note, by).await?;
    Ok(())
}

/// A remark is not longer than [`LONGEST_NOTE`].
pub(super) fn check_note(note: Option<&str>) -> Result<(), Error> {
    match note.map(|note| note.chars().count()) {
        Some(length) if length > LONGEST_NOTE => {
            let message = format!("String should have at most {LONGEST_NOTE} characters");
            Err(super::dags::wrong("note", message, length.into()))
        }
        Some(_) | None => Ok(()),
    }
}

/// The names of a run that exists.
pub(crate) fn ids(row: &RunRow) -> Result<(DagId, RunId), Error> {
    Ok((DagId::new(&row.dag_id)?, RunId::new(&row.run_id)?))
}
