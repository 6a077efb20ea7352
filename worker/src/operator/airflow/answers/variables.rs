//! Variables and connections.

use chrono::{DateTime, Utc};
use domain::engine::record::AuditRecord;
use python::message::{Reply, Request};
use serde_json::json;
use store::Store;

use super::Answers;
use crate::asked;
use crate::backend::Unavailable;
use crate::template::secrets_of_variable;

impl Answers<'_> {
    pub(super) async fn of_records(&self, asking: Request) -> Result<Reply, Unavailable> {
        let (station, backend) = (self.on.station, self.on.backend);
        Ok(match asking {
            Request::GetVariable { key } => self.shown(asked::variable(station, backend, &key).await?),
            Request::GetConnection { conn_id } => {
                self.shown(asked::connection(station, backend, &conn_id).await?)
            }
            Request::GetVariableKeys { prefix, limit, offset } => {
                let number = |number: Option<u64>, usual| number.map_or(usual, clamped);
                let (limit, offset) = (number(limit, 1_000), number(offset, 0));
                let prefix = prefix.unwrap_or_default();
                let prefix = &prefix;
                let keys = |store: Store| async move { store.variable_keys(prefix, limit, offset).await };
                let (keys, total) = self.records()?.ask("variables that begin with", prefix, keys).await?;
                Reply::variable_keys(&keys, usize::try_from(total).unwrap_or(usize::MAX))
            }
            Request::PutVariable { key, value, description } => {
                self.put_variable(&key, value, description).await?
            }
            Request::DeleteVariable { key } => self.delete_variable(&key).await?,
            Request::MaskSecret { value, name } => {
                self.on.output.hide(asked::hidden(&value, name.as_deref()));
                Reply::noted()
            }
            Request::DagFileParsingResult { .. } => Reply::refusal(400, "this is a task, not a DAG file"),
        })
    }

    fn shown(&self, (reply, secrets): (Reply, Vec<String>)) -> Reply {
        self.on.output.hide(secrets);
        reply
    }

    async fn put_variable(
        &self,
        key: &str,
        value: Option<String>,
        description: Option<String>,
    ) -> Result<Reply, Unavailable> {
        // Airflow writes what is not there as Python does.
        let value = value.unwrap_or_else(|| "None".to_owned());
        self.on.output.hide(secrets_of_variable(key, &value));
        let (value, description) = (value.as_str(), description.as_deref());
        let put = |store: Store| async move { store.set_variable(key, value, description).await };
        self.records()?.ask("the variable", key, put).await?;
        self.write_down("patch_variable", key).await?;
        Ok(Reply::noted())
    }

    async fn delete_variable(&self, key: &str) -> Result<Reply, Unavailable> {
        let delete = |store: Store| async move { store.delete_variable(key).await };
        // Airflow does not mind when there is none.
        if self.records()?.ask("the variable", key, delete).await? {
            self.write_down("delete_variable", key).await?;
        }
        Ok(Reply::done())
    }

    // What a task changes is in the audit log as what a person changes.
    async fn write_down(&self, event: &'static str, name: &str) -> Result<(), Unavailable> {
        let (assignment, at): (_, DateTime<Utc>) = (self.on.assignment, self.on.station.clock.now());
        let line = AuditRecord {
            at,
            by: self.name(),
            event,
            dag_id: Some(assignment.dag.dag_id.clone()),
            run_id: Some(assignment.run.run_id.clone()),
            task_id: Some(assignment.task().task_id.clone()),
            extra: json!({"name": name, "map_index": assignment.map_index}),
        };
        let line = &line;
        let write = |store: Store| async move { store.audit(std::slice::from_ref(line)).await };
        self.records()?.ask("the audit log, about", name, write).await
    }
}

fn clamped(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
