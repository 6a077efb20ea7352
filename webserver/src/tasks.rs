//! The little API: tasks by name.

use actix_web::web::ServiceConfig;

/// `/tasks`
pub(crate) fn routes(_config: &mut ServiceConfig) {}
