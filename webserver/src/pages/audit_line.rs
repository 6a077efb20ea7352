//! One line of the audit log for what a person changed on a page.

use domain::engine::record::AuditRecord;
use serde_json::Value;

use super::visit::Visit;
use crate::error::Error;

/// Writes down that whoever visits did `event` (Airflow's name for it). `extra` must hold no secret.
///
/// # Errors
/// Only when the database fails.
pub(super) async fn write(visit: &Visit, event: &'static str, extra: Value) -> Result<(), Error> {
    let line = AuditRecord {
        at: visit.now,
        by: visit.viewer.name().to_owned(),
        event,
        dag_id: None,
        run_id: None,
        task_id: None,
        extra,
    };
    Ok(visit.state.store.audit(&[line]).await?)
}
