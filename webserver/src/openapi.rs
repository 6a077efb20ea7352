//! What the API can do, for programs.

use actix_web::web::ServiceConfig;

/// `/openapi.json`
pub(crate) fn routes(_config: &mut ServiceConfig) {}
