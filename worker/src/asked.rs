//! What children of the fork server ask of the records, and the answers that are the same whoever asks: a task or a trigger.

mod runs;
mod states;
mod variables;
mod xcoms;

use domain::engine::record::AuditRecord;
use python::message::Reply;
use serde_json::json;

use crate::assignment::Assignment;
use crate::backend::{Backend, Unavailable};
use crate::output::Hides;
use crate::records::Records;
use crate::station::Station;

/// Who asks.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    /// What the worker has.
    pub(crate) station: &'a Station,
    /// Where is asked.
    pub(crate) backend: &'a dyn Backend,
    /// Knows what the asking process was told in confidence.
    pub(crate) secrets: &'a dyn Hides,
    /// The task. None for triggers: many run in one process, and nobody can tell which of them asks.
    pub(crate) task: Option<&'a Assignment>,
}

impl<'a> Asker<'a> {
    /// What only a server can answer.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn records(&self) -> Result<&'a Records, Unavailable> {
        self.backend.records().ok_or_else(|| Unavailable {
            what: "the records".to_owned(),
            reason: "this task runs without a server".to_owned(),
        })
    }

    /// Who it is, for those who look at what it has done.
    pub(crate) fn name(&self) -> String {
        match self.task {
            Some(on) => {
                let (task, run, dag) = (&on.task().task_id, &on.run.run_id, &on.dag.dag_id);
                format!("task `{task}` of run `{run}` of DAG `{dag}`")
            }
            None => format!("a trigger on `{}`", self.station.hostname),
        }
    }

    /// The line of the audit log that tells of something that it did to what has that name.
    fn line(&self, event: &'static str, name: &str) -> AuditRecord {
        let mut extra = json!({"name": name});
        if let Some(on) = self.task {
            extra["map_index"] = on.map_index.into();
        }
        AuditRecord {
            at: self.station.clock.now(),
            by: self.name(),
            event,
            dag_id: self.task.map(|on| on.dag.dag_id.clone()),
            run_id: self.task.map(|on| on.run.run_id.clone()),
            task_id: self.task.map(|on| on.task().task_id.clone()),
            extra,
        }
    }
}

/// Only a task can ask that: a trigger has no run and no state of its own.
pub(crate) fn only_tasks() -> Reply {
    Reply::refusal(400, "only a task asks that")
}
