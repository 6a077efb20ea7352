//! Refuses requests that another site makes a browser send. Programs send neither of the two headers and pass.

use actix_web::{
    HttpRequest,
    http::{Method, header},
};

use crate::error::Error;

/// # Errors
/// [`Error::Forbidden`] for a request that changes something and comes from another origin.
pub(super) fn check(request: &HttpRequest) -> Result<(), Error> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let refusal = || Error::Forbidden("this request came from another site and was refused".to_owned());
    // What the browser itself says comes first: behind a proxy the host may be rewritten.
    if let Some(site) = header("sec-fetch-site") {
        return if matches!(site, "same-origin" | "none") { Ok(()) } else { Err(refusal()) };
    }
    let Some(origin) = header(header::ORIGIN.as_str()) else {
        return Ok(());
    };
    let host = header("x-forwarded-host").or_else(|| header(header::HOST.as_str())).unwrap_or_default();
    let came_from = origin.split_once("://").map_or(origin, |(_, host)| host);
    if came_from.eq_ignore_ascii_case(host) { Ok(()) } else { Err(refusal()) }
}
