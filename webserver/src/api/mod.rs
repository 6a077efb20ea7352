//! Airflow's REST API v2.

use actix_web::web::ServiceConfig;

/// `/api/v2/...`
pub(crate) fn routes(_config: &mut ServiceConfig) {}
