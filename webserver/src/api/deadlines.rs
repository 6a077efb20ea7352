//! Deadlines of runs and of DAGs, in the shapes in which Airflow's own pages ask for them.
//!
//! Source: Airflow 3.3.2 `api_fastapi/core_api/routes/ui/deadlines.py`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chrono::{DateTime, Utc};
use domain::{
    deadline::{self, Deadline, Interval, Reference},
    id::{DagId, RunId},
};
use serde_json::{Value, json};
use store::view::run::Run;

use super::{names, query::Query, shape, versions};
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
    let now = state.clock.now();
    let rows = deadlines.filter_map(|(place, deadline)| row(&run, place, deadline, now));
    let rows: Vec<Value> = rows.collect();
    Ok(HttpResponse::Ok().json(json!({"deadlines": rows, "total_entries": rows.len()})))
}

fn row(run: &Run, place: u32, deadline: &Deadline, now: DateTime<Utc>) -> Option<Value> {
    let missed = run.missed_by(now).find(|missed| missed.place == place);
    let at = missed.map(|missed| missed.deadline).or_else(|| deadline.moment(place, &run.counted()))?;
    Some(json!({
        "id": deadline::id(run.key, place), "deadline_time": shape::moment(at), "missed": missed.is_some(),
        "created_at": shape::moment(run.queued_at), "dag_id": run.dag_id, "dag_run_id": run.run_id,
        "alert_id": deadline::alert_id(run.version_number, place), "alert_name": deadline.name,
    }))
}

/// `GET /dags/{dag_id}/deadlineAlerts`: those of a version of the DAG, or of the newest, in the order of the file.
pub(super) async fn alerts(
    state: Data<AppState>,
    _viewer: Viewer,
    dag_id: Path<String>,
    query: Query,
) -> Result<HttpResponse, Error> {
    let (id, number, since) = match query.number::<i32>("version_number")? {
        Some(number) => {
            let version = versions::find(&state, &dag_id, number).await?;
            (version.id, number, version.created_at)
        }
        None => {
            let dag = names::dag(&state, &dag_id).await?;
            (dag.version_id, dag.version_number, dag.version_created_at)
        }
    };
    let dag = names::version(&state, id).await?;
    let deadlines = (0..).zip(&dag.deadlines);
    let rows: Vec<Value> = deadlines.map(|(place, deadline)| alert(deadline, number, place, since)).collect();
    Ok(HttpResponse::Ok().json(json!({"deadline_alerts": rows, "total_entries": rows.len()})))
}

fn alert(deadline: &Deadline, version_number: i32, place: u32, since: DateTime<Utc>) -> Value {
    let seconds = |span: domain::span::Span| span.delta().as_seconds_f64();
    let interval = match &deadline.within {
        Interval::After(span) => Some(seconds(*span)),
        Interval::Before { before } => Some(-seconds(*before)),
        Interval::Variable { .. } => None,
    };
    let reference = match deadline.from {
        Reference::Queued => "DagRunQueuedAtDeadline",
        Reference::LogicalDate => "DagRunLogicalDateDeadline",
        // Tradewind's own.
        Reference::Start => "DagRunStartDeadline",
        Reference::AverageRuntime { .. } => "AverageRuntimeDeadline",
        Reference::At(_) => "FixedDatetimeDeadline",
    };
    json!({
        "id": deadline::alert_id(version_number, place), "name": deadline.name, "reference_type": reference,
        "interval": interval, "created_at": shape::moment(since),
    })
}
