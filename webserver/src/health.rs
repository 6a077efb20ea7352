//! Whether this process lives, and whether the platform does.

use actix_web::{
    HttpResponse,
    web::{self, Data, ServiceConfig},
};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use runtime::health::Status;
use serde_json::{Value, json};
use store::{job::Kind, lease::MAIN};

use crate::{AppState, error::Error};

/// A scheduler that has not renewed its lease for this long is not healthy.
const SCHEDULER_PATIENCE: TimeDelta = TimeDelta::seconds(30);

/// `/health` for whoever restarts processes, `/api/v2/monitor/health` in Airflow's shape. Neither needs a sign-in.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config.route("/health", web::get().to(alive)).route("/api/v2/monitor/health", web::get().to(monitor));
}

/// Only this process counts: a web server is not to be restarted because the database is away.
async fn alive(state: Data<AppState>) -> HttpResponse {
    let now = state.clock.now();
    let parts = state.health.report(now);
    let list: Vec<Value> = parts
        .iter()
        .map(|part| json!({"name": part.name, "status": name(part.status), "trouble": part.trouble}))
        .collect();
    let is_alive = state.health.is_alive(now);
    let mut response = if is_alive { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    let status = if is_alive { "healthy" } else { "unhealthy" };
    std::future::ready(response.json(json!({"status": status, "parts": list}))).await
}

async fn monitor(state: Data<AppState>) -> Result<HttpResponse, Error> {
    let Ok(scheduler) = scheduler(&state).await else {
        return Ok(HttpResponse::Ok().json(json!({
            "metadatabase": {"status": "unhealthy"},
            "scheduler": {"status": null, "latest_scheduler_heartbeat": null},
            "triggerer": {"status": null, "latest_triggerer_heartbeat": null},
            "dag_processor": {"status": null, "latest_dag_processor_heartbeat": null},
        })));
    };
    let (status, beat) = scheduler;
    // The leader reads the DAG files and waits for deferred tasks; there is no process of its own for either.
    Ok(HttpResponse::Ok().json(json!({
        "metadatabase": {"status": "healthy"},
        "scheduler": {"status": status, "latest_scheduler_heartbeat": beat},
        "triggerer": {"status": null, "latest_triggerer_heartbeat": null},
        "dag_processor": {"status": status, "latest_dag_processor_heartbeat": beat},
    })))
}

async fn scheduler(state: &AppState) -> Result<(&'static str, Option<String>), store::Error> {
    let lease = state.store.current_lease(MAIN).await?;
    let jobs = state.store.jobs().await?;
    let now = state.clock.now();
    let beats = jobs.iter().filter(|job| job.kind == Kind::Scheduler).map(|job| job.renewed_at);
    let last: Option<DateTime<Utc>> = beats.chain(lease.as_ref().map(|lease| lease.renewed_at)).max();
    let leads = lease.is_some_and(|lease| lease.is_valid || now - lease.renewed_at < SCHEDULER_PATIENCE);
    let status = if leads { "healthy" } else { "unhealthy" };
    Ok((status, last.map(|at| at.to_rfc3339_opts(SecondsFormat::Micros, true))))
}

const fn name(status: Status) -> &'static str {
    match status {
        Status::Starting => "starting",
        Status::Healthy => "healthy",
        Status::Unhealthy => "unhealthy",
    }
}
