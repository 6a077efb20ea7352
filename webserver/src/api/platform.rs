//! The platform itself: import errors, warnings, the audit log, processes, version and settings.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use serde_json::{Value, json};
use store::{
    job::{Job, Kind as JobKind},
    view::api_list::{Ask, Test},
};

use super::{
    query::{Filter, Kind, Query, accepts},
    settings, shape,
};
use crate::{
    AppState,
    auth::{Admin, Viewer},
    error::Error,
};

/// The version of the API that is spoken here.
pub(crate) const API_VERSION: &str = "3.3.2";

const EVENTS: &[Filter] = &[
    ("dag_id", "dag_id", Kind::OneOf),
    ("task_id", "task_id", Kind::OneOf),
    ("run_id", "run_id", Kind::OneOf),
    ("map_index", "map_index", Kind::Numbers),
    ("try_number", "try_number", Kind::Numbers),
    ("owner", "owner", Kind::OneOf),
    ("event", "event", Kind::OneOf),
    ("excluded_events", "event", Kind::NoneOf),
    ("included_events", "event", Kind::OneOf),
    ("before", "when", Kind::Before),
    ("after", "when", Kind::After),
    ("dag_id_pattern", "dag_id", Kind::Like),
    ("task_id_pattern", "task_id", Kind::Like),
    ("run_id_pattern", "run_id", Kind::Like),
    ("owner_pattern", "owner", Kind::Like),
    ("event_pattern", "event", Kind::Like),
    ("dag_id_prefix_pattern", "dag_id", Kind::Prefix),
    ("task_id_prefix_pattern", "task_id", Kind::Prefix),
    ("run_id_prefix_pattern", "run_id", Kind::Prefix),
    ("owner_prefix_pattern", "owner", Kind::Prefix),
    ("event_prefix_pattern", "event", Kind::Prefix),
];

const IMPORT_ERRORS: &[Filter] = &[
    ("filename", "filename", Kind::OneOf),
    ("filename_pattern", "filename", Kind::Like),
    ("filename_prefix_pattern", "filename", Kind::Prefix),
];

const WARNINGS: &[Filter] =
    &[("dag_id", "dag_id", Kind::OneOf), ("warning_type", "warning_type", Kind::OneOf)];

pub(super) async fn dag_warnings(
    state: Data<AppState>,
    _viewer: Viewer,
    query: Query,
) -> Result<HttpResponse, Error> {
    let (rows, total) = state.store.dag_warnings(&query.ask(WARNINGS, &["dag_id"])?).await?;
    let rows: Vec<Value> = rows.iter().map(shape::dag_warning).collect();
    Ok(HttpResponse::Ok().json(json!({"dag_warnings": rows, "total_entries": total})))
}

pub(super) async fn import_errors(
    state: Data<AppState>,
    _viewer: Viewer,
    query: Query,
) -> Result<HttpResponse, Error> {
    let (rows, total) = state.store.api_import_errors(&query.ask(IMPORT_ERRORS, &["id"])?).await?;
    let rows: Vec<Value> = rows.iter().map(shape::import_error).collect();
    Ok(HttpResponse::Ok().json(json!({"import_errors": rows, "total_entries": total})))
}

pub(super) async fn import_error(
    state: Data<AppState>,
    _viewer: Viewer,
    id: Path<i64>,
) -> Result<HttpResponse, Error> {
    let ask = one("import_error_id", *id);
    let found = state.store.api_import_errors(&ask).await?.0.into_iter().next();
    let missing = || Error::NotFound(format!("The ImportError with import_error_id: `{id}` was not found"));
    Ok(HttpResponse::Ok().json(shape::import_error(&found.ok_or_else(missing)?)))
}

pub(super) async fn events(
    state: Data<AppState>,
    _viewer: Viewer,
    query: Query,
) -> Result<HttpResponse, Error> {
    let (rows, total) = state.store.api_events(&query.ask(EVENTS, &["id"])?).await?;
    let rows: Vec<Value> = rows.iter().map(shape::event).collect();
    Ok(HttpResponse::Ok().json(json!({"event_logs": rows, "total_entries": total})))
}

pub(super) async fn event(
    state: Data<AppState>,
    _viewer: Viewer,
    id: Path<i64>,
) -> Result<HttpResponse, Error> {
    let found = state.store.api_events(&one("event_log_id", *id)).await?.0.into_iter().next();
    let missing = || Error::NotFound(format!("The Event Log with id: `{id}` not found"));
    Ok(HttpResponse::Ok().json(shape::event(&found.ok_or_else(missing)?)))
}

fn one(column: &'static str, id: i64) -> Ask {
    Ask { limit: 1, ..Ask::default() }.with(column, Test::Numbers(vec![id]))
}

pub(super) async fn jobs(
    state: Data<AppState>,
    _viewer: Viewer,
    query: Query,
) -> Result<HttpResponse, Error> {
    let mut jobs = state.store.jobs().await?;
    if let Some(is_alive) = query.flag("is_alive")? {
        jobs.retain(|job| job.is_alive == is_alive);
    }
    if let Some(wanted) = query.text("job_type") {
        jobs.retain(|job| job_type(job.kind) == wanted);
    }
    if let Some(hostname) = query.text("hostname") {
        jobs.retain(|job| job.hostname == hostname);
    }
    let rows: Vec<Value> = jobs.iter().map(job).collect();
    Ok(HttpResponse::Ok().json(settings::page(&query, "jobs", "id", rows, ["", ""])?))
}

fn job(job: &Job) -> Value {
    // Airflow's are numbers; the first 48 bits of a random id are one that is exact in every client.
    let id = job.id.as_u128() >> 80;
    let end = (!job.is_alive).then(|| shape::moment(job.renewed_at));
    json!({
        "id": u64::try_from(id).unwrap_or_default(), "dag_id": null, "state": job.state.as_str(),
        "job_type": job_type(job.kind), "start_date": shape::moment(job.started_at), "end_date": end,
        "latest_heartbeat": shape::moment(job.renewed_at), "executor_class": null, "hostname": job.hostname,
        "unixname": null, "dag_display_name": null,
    })
}

const fn job_type(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Scheduler => "SchedulerJob",
        JobKind::Worker => "WorkerJob",
        JobKind::Webserver => "WebserverJob",
    }
}

/// What is spoken, and by which version of Tradewind. Needs no sign-in.
pub(super) async fn version() -> HttpResponse {
    let version = format!("{API_VERSION}+tradewind.{}", env!("CARGO_PKG_VERSION"));
    std::future::ready(HttpResponse::Ok().json(json!({"version": version, "git_version": null}))).await
}

pub(super) async fn config(
    state: Data<AppState>,
    _admin: Admin,
    request: HttpRequest,
    query: Query,
) -> Result<HttpResponse, Error> {
    let mut sections = sections(&state);
    if let Some(wanted) = query.text("section") {
        sections.retain(|(name, _)| *name == wanted);
        if sections.is_empty() {
            return Err(Error::NotFound(format!("Section {wanted} not found.")));
        }
    }
    std::future::ready(Ok(send(&request, &sections))).await
}

pub(super) async fn option(
    state: Data<AppState>,
    _admin: Admin,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Error> {
    let (section, option) = path.into_inner();
    let mut sections = sections(&state);
    sections.retain(|(name, _)| *name == section);
    sections.iter_mut().for_each(|(_, options)| options.retain(|(key, _)| *key == option));
    if sections.iter().all(|(_, options)| options.is_empty()) {
        return Err(Error::NotFound(format!("Option [{section}/{option}] not found.")));
    }
    std::future::ready(Ok(send(&request, &sections))).await
}

type Sections = Vec<(&'static str, Vec<(&'static str, String)>)>;

// Those of Airflow's settings that mean something here, with the values in force.
fn sections(state: &AppState) -> Sections {
    let settings = &state.settings;
    vec![
        ("core", vec![("dags_folder", settings.dags_folder.clone()), ("default_timezone", "utc".to_owned())]),
        (
            "api",
            vec![
                ("host", settings.host.clone()),
                ("port", settings.port.to_string()),
                ("maximum_page_limit", "100".to_owned()),
                ("fallback_page_limit", "50".to_owned()),
            ],
        ),
        ("api_auth", vec![("jwt_expiration_time", settings.token_lifetime.as_secs().to_string())]),
    ]
}

fn send(request: &HttpRequest, sections: &Sections) -> HttpResponse {
    if accepts(request, "text/plain") {
        let section = |(name, options): &(&str, Vec<(&str, String)>)| {
            let options: String = options.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
            format!("[{name}]\n{options}\n")
        };
        let text: String = sections.iter().map(section).collect();
        return HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(text);
    }
    let section = |(name, options): &(&str, Vec<(&str, String)>)| {
        let options: Vec<Value> =
            options.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        json!({"name": name, "options": options})
    };
    HttpResponse::Ok().json(json!({"sections": sections.iter().map(section).collect::<Vec<_>>()}))
}
