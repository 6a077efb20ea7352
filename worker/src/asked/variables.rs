//! Variables and connections: what a child changes is in the audit log as what a person changes.

use python::message::{Reply, Request};
use store::Store;

use super::Asker;
use crate::backend::Unavailable;
use crate::output::secrets_in_json;
use crate::template::{secrets_of_connection, secrets_of_variable};

impl Asker<'_> {
    /// The answer to a question about variables and connections; what is a secret from now on is added to `secrets`.
    ///
    /// # Errors
    /// When the records cannot be read or written for a while.
    pub(crate) async fn of_records(
        &self,
        asking: Request,
        secrets: &mut Vec<String>,
    ) -> Result<Reply, Unavailable> {
        Ok(match asking {
            Request::GetVariable { key } => {
                let value = match self.station.overrides.variable(&key) {
                    Some(value) => Some(value),
                    None => self.backend.variable(&key).await?,
                };
                secrets.extend(value.iter().flat_map(|value| secrets_of_variable(&key, value)));
                Reply::variable(&key, value.as_deref())
            }
            Request::GetConnection { conn_id } => {
                let found = match self.station.overrides.connection(&conn_id) {
                    Some(Ok(connection)) => Some(connection),
                    Some(Err(error)) => return Ok(Reply::refusal(500, &error)),
                    None => self.backend.connection(&conn_id).await?,
                };
                secrets.extend(found.iter().flat_map(secrets_of_connection));
                Reply::connection(&conn_id, found.map(|connection| connection.json()).as_ref())
            }
            Request::GetVariableKeys { prefix, limit, offset } => {
                let number = |number: Option<u64>, usual| number.map_or(usual, clamped);
                self.keys(&prefix.unwrap_or_default(), number(limit, 1_000), number(offset, 0)).await?
            }
            Request::PutVariable { key, value, description } => {
                // Airflow writes what is not there as Python does.
                let value = value.unwrap_or_else(|| "None".to_owned());
                secrets.extend(secrets_of_variable(&key, &value));
                self.put(&key, &value, description.as_deref()).await?
            }
            Request::DeleteVariable { key } => self.delete(&key).await?,
            Request::MaskSecret { value, name } => {
                let is_secret = name.is_none_or(|name| runtime::secret::is_secret_name(&name));
                secrets.extend(secrets_in_json(&value, is_secret));
                Reply::noted()
            }
            Request::DagFileParsingResult { .. } => Reply::refusal(400, "no DAG file is read here"),
        })
    }

    async fn keys(&self, prefix: &str, limit: u32, offset: u32) -> Result<Reply, Unavailable> {
        let keys = |store: Store| async move { store.variable_keys(prefix, limit, offset).await };
        let (keys, total) = self.records()?.ask("variables that begin with", prefix, keys).await?;
        Ok(Reply::variable_keys(&keys, usize::try_from(total).unwrap_or(usize::MAX)))
    }

    async fn put(&self, key: &str, value: &str, description: Option<&str>) -> Result<Reply, Unavailable> {
        let put = |store: Store| async move { store.set_variable(key, value, description).await };
        self.records()?.ask("the variable", key, put).await?;
        self.write_down("patch_variable", key).await?;
        Ok(Reply::noted())
    }

    async fn delete(&self, key: &str) -> Result<Reply, Unavailable> {
        let delete = |store: Store| async move { store.delete_variable(key).await };
        // Airflow does not mind when there is none.
        if self.records()?.ask("the variable", key, delete).await? {
            self.write_down("delete_variable", key).await?;
        }
        Ok(Reply::done())
    }

    async fn write_down(&self, event: &'static str, name: &str) -> Result<(), Unavailable> {
        let line = &self.line(event, name);
        let write = |store: Store| async move { store.audit(std::slice::from_ref(line)).await };
        self.records()?.ask("the audit log, about", name, write).await
    }
}

fn clamped(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
