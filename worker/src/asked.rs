//! Variables and connections that Airflow's processes ask for, and what is secret in the answers: nobody may see it in a log.

use python::message::Reply;
use serde_json::Value;

use crate::backend::{Backend, Unavailable};
use crate::output::secrets_in_json;
use crate::station::Station;
use crate::template::{secrets_of_connection, secrets_of_variable};

/// A variable: that of the environment, else the recorded one.
///
/// # Errors
/// When the records cannot be reached.
pub(crate) async fn variable(
    station: &Station,
    backend: &dyn Backend,
    key: &str,
) -> Result<(Reply, Vec<String>), Unavailable> {
    let value = match station.overrides.variable(key) {
        Some(value) => Some(value),
        None => backend.variable(key).await?,
    };
    let secrets = value.iter().flat_map(|value| secrets_of_variable(key, value)).collect();
    Ok((Reply::variable(key, value.as_deref()), secrets))
}

/// A connection: that of the environment, else the recorded one.
///
/// # Errors
/// When the records cannot be reached.
pub(crate) async fn connection(
    station: &Station,
    backend: &dyn Backend,
    conn_id: &str,
) -> Result<(Reply, Vec<String>), Unavailable> {
    let found = match station.overrides.connection(conn_id) {
        Some(Ok(connection)) => Some(connection),
        Some(Err(error)) => return Ok((Reply::refusal(500, &error), Vec::new())),
        None => backend.connection(conn_id).await?,
    };
    let secrets = found.iter().flat_map(secrets_of_connection).collect();
    Ok((Reply::connection(conn_id, found.map(|connection| connection.json()).as_ref()), secrets))
}

/// What an Airflow process wants to be hidden.
pub(crate) fn hidden(value: &Value, name: Option<&str>) -> Vec<String> {
    secrets_in_json(value, name.is_none_or(runtime::secret::is_secret_name))
}
