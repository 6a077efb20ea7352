//! Style sheets, scripts and pictures. They are part of the program; a debug build reads them from the folder, so that an
//! edit shows at once.

use std::sync::OnceLock;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH},
    web::{self, Path, ServiceConfig},
};
use rust_embed::Embed;
use sha2::{Digest, Sha256};

use crate::error::Error;

#[derive(Embed)]
#[folder = "../static"]
struct Assets;

/// An address that carries the version never shows anything else.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Anything else is asked for each time; mostly the answer is that it is the same.
const ASK: &str = "no-cache";

/// `/static/...`
pub(crate) fn routes(config: &mut ServiceConfig) {
    config.route("/static/{name:.*}", web::get().to(asset)).route("/favicon.ico", web::get().to(icon));
}

/// Changes whenever one of the files does; pages add it to the addresses of what they use.
pub(crate) fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let mut names: Vec<_> = Assets::iter().collect();
        names.sort();
        let mut all = Sha256::new();
        for file in names.iter().filter_map(|name| Assets::get(name)) {
            all.update(file.metadata.sha256_hash());
        }
        hex(&all.finalize()[..6])
    })
}

async fn icon(request: HttpRequest) -> Result<HttpResponse, Error> {
    std::future::ready(send(&request, "img/favicon.svg")).await
}

async fn asset(request: HttpRequest, name: Path<String>) -> Result<HttpResponse, Error> {
    std::future::ready(send(&request, &name)).await
}

fn send(request: &HttpRequest, name: &str) -> Result<HttpResponse, Error> {
    let is_plain = name.split('/').all(|part| !matches!(part, "" | "." | "..")) && !name.contains('\\');
    let file = is_plain.then(|| Assets::get(name)).flatten();
    let file = file.ok_or_else(|| Error::NotFound("There is no such file.".to_owned()))?;
    let etag = format!("\"{}\"", hex(&file.metadata.sha256_hash()[..16]));
    let is_versioned = request.query_string() == format!("v={}", version());
    let caching = if is_versioned { FOR_EVER } else { ASK };
    let known = request.headers().get(IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    // A compressed answer has the same mark behind a `W/`.
    if known.is_some_and(|known| known.contains(&etag)) {
        return Ok(HttpResponse::NotModified()
            .insert_header((ETAG, etag))
            .insert_header((CACHE_CONTROL, caching))
            .finish());
    }
    let kind = mime_guess::from_path(name).first_or_octet_stream();
    Ok(HttpResponse::Ok()
        .content_type(kind)
        .insert_header((ETAG, etag))
        .insert_header((CACHE_CONTROL, caching))
        .body(file.data.into_owned()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
