//! Deadlines of a run, in the shape in which Airflow's own pages ask for them.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use domain::{
    deadline::Deadline,
    id::{DagId, RunId},
};
use serde_json::{Value, json};
use store::view::run::Run;
use uuid::Uuid;

use super::{names, shape};
use crate::{AppState, auth::Viewer, error::Error};

/// `GET /dags/{dag_id}/dagRuns/{dag_run_id}/deadlines`: those whose moment is known, in the order of the file.
pub(super) async fn list(
    state: Data<AppState>,
    _viewer: Viewer,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Error> {
    let known = names::run(&state, &path.0, &path.1).await?;
    let (dag_id, run_id) = (DagId::new(&known.dag_id)?, RunId::new(&known.run_id)?);
    let gone = || Error::NotFound(format!("The DagRun `{run_id}` was deleted"));
    let run = state.store.run_line(&dag_id, &run_id).await?.ok_or_else(gone)?;
    let dag = names::version(&state, run.version.0).await?;
    let deadlines = (0..).zip(&dag.deadlines);
    let rows: Vec<Value> = deadlines.filter_map(|(place, deadline)| row(&run, place, deadline)).collect();
    Ok(HttpResponse::Ok().json(json!({"deadlines": rows, "total_entries": rows.len()})))
}

fn row(run: &Run, place: u32, deadline: &Deadline) -> Option<Value> {
    let missed = run.missed.iter().find(|missed| missed.place == place);
    let at = missed.map(|missed| missed.deadline).or_else(|| deadline.moment(&run.counted()))?;
    Some(json!({
        "id": id(run.key.0, place), "deadline_time": shape::moment(at), "missed": missed.is_some(),
        "created_at": shape::moment(run.queued_at), "dag_id": run.dag_id, "dag_run_id": run.run_id,
        "alert_id": id(i64::from(run.version_number), place), "alert_name": deadline.name,
    }))
}

/// Airflow's are rows with an id each; here the id says of which run and which deadline it is.
fn id(of: i64, place: u32) -> Uuid {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&of.to_be_bytes());
    bytes[12..].copy_from_slice(&place.to_be_bytes());
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
