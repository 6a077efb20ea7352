//! The files that a task left with its log. A task may write what it likes into them, so a browser never runs them as part of
//! our site: they come with a policy of their own that puts a page into a sandbox without an origin.

use actix_web::{
    HttpResponse,
    http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    web::{self, Data, Path, Query, ServiceConfig},
};
use futures_util::TryStreamExt;
use runtime::logs::ArtifactName;
use serde::Deserialize;
use serde_json::json;

use crate::{AppState, auth::Viewer, error::Error, log};

/// No scripts, no forms, no cookies of ours, nothing loaded from anywhere; styles and pictures inside the file are shown.
const SANDBOX: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; \
                       frame-ancestors 'none'";

/// Kinds that a browser shows itself; everything else is a download.
const SHOWN: [&str; 10] = [
    "text/html",
    "text/plain",
    "text/csv",
    "application/json",
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/svg+xml",
    "application/pdf",
];

/// Which try; the newest when none is named.
#[derive(Debug, Clone, Default, Deserialize)]
struct Which {
    #[serde(rename = "try")]
    try_number: Option<u32>,
    map_index: Option<i32>,
}

/// The files of a task instance: a list, and each by its name.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .route("/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/artifacts", web::get().to(list))
        .route("/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/artifacts/{name:.+}", web::get().to(one));
}

async fn list(
    state: Data<AppState>,
    _viewer: Viewer,
    path: Path<(String, String, String)>,
    which: Query<Which>,
) -> Result<HttpResponse, Error> {
    let (dag_id, run_id, task_id) = path.into_inner();
    let map_index = which.map_index.unwrap_or(-1);
    let place = log::place(&state, &dag_id, &run_id, &task_id, map_index, which.try_number).await?;
    let artifacts = state.logs.list_artifacts(&log::key(&place)).await?;
    Ok(HttpResponse::Ok().json(json!({"try_number": place.try_number, "artifacts": artifacts})))
}

async fn one(
    state: Data<AppState>,
    _viewer: Viewer,
    path: Path<(String, String, String, String)>,
    which: Query<Which>,
) -> Result<HttpResponse, Error> {
    let (dag_id, run_id, task_id, name) = path.into_inner();
    let name = ArtifactName::parse(&name)?;
    let map_index = which.map_index.unwrap_or(-1);
    let place = log::place(&state, &dag_id, &run_id, &task_id, map_index, which.try_number).await?;
    let body = state.logs.read_artifact(&log::key(&place), &name).await?;
    let kind = mime_guess::from_path(name.as_str()).first_or_octet_stream();
    let way = if SHOWN.contains(&kind.essence_str()) { "inline" } else { "attachment" };
    let kind = if kind.type_() == "text" { format!("{kind}; charset=utf-8") } else { kind.to_string() };
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, kind))
        .insert_header((CONTENT_LENGTH, body.size))
        .insert_header((CONTENT_SECURITY_POLICY, SANDBOX))
        .insert_header((CONTENT_DISPOSITION, format!("{way}; filename=\"{}\"", file_name(&name))))
        .streaming(body.stream.map_err(|fault| Error::Internal(fault.to_string()))))
}

// The last part, in letters that every browser reads alike.
fn file_name(name: &ArtifactName) -> String {
    let last = name.as_str().rsplit('/').next().unwrap_or_default();
    last.chars().map(|letter| if letter.is_ascii_graphic() && letter != '"' { letter } else { '_' }).collect()
}
