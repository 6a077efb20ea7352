//! What a task asks, and the answers.

use domain::id::RunKey;
use domain::outcome::RETURN_VALUE;
use python::message::{DeferTask, Reply, Request, TaskRequest, XComOf};
use serde::Deserialize;
use serde_json::{Value, json};

use super::deferring::deferral;
use super::ending::{Last, Told};
use crate::backend::Unavailable;
use crate::operator::On;
use crate::output::secrets_in_json;
use crate::template::{secrets_of_connection, secrets_of_variable};

/// Answers one task, and remembers what it told.
pub(super) struct Answers<'a> {
    on: &'a On<'a>,
    told: Told,
}

impl<'a> Answers<'a> {
    pub(super) fn new(on: &'a On<'a>) -> Self {
        Self { on, told: Told::default() }
    }

    /// It has told how it ended.
    pub(super) fn has_ended(&self) -> bool {
        self.told.last.is_some()
    }

    /// All that it told.
    pub(super) fn told(self) -> Told {
        self.told
    }

    /// Every question gets exactly one answer: without one the task would wait for ever.
    pub(super) async fn answer(&mut self, body: Value) -> Reply {
        let answered = match TaskRequest::deserialize(&body) {
            Ok(asking) => self.of_task(asking).await,
            Err(of_task) => match Request::deserialize(&body) {
                Ok(asking) => self.of_records(asking).await,
                Err(_) => return self.unknown(&body, &of_task),
            },
        };
        answered.unwrap_or_else(|error| Reply::refusal(503, &error.to_string()))
    }

    fn unknown(&self, body: &Value, error: &serde_json::Error) -> Reply {
        let kind = body.get("type").and_then(Value::as_str).unwrap_or("something without a type");
        tracing::debug!(kind, %error, "a task asked for something that is not known");
        let text = format!("{kind}: Tradewind does not support this yet");
        self.on.output.note(&text);
        Reply::refusal(501, &text)
    }

    async fn of_task(&mut self, asking: TaskRequest) -> Result<Reply, Unavailable> {
        Ok(match asking {
            TaskRequest::SetRenderedFields { rendered_fields } => {
                (self.on.rendered)(rendered_fields);
                Reply::noted()
            }
            TaskRequest::SetRenderedMapIndex { rendered_map_index } => self.call(rendered_map_index),
            TaskRequest::SetXCom { key, value } => self.keep(key, value),
            TaskRequest::DeleteXCom { key } => {
                self.told.xcoms.shift_remove(&key);
                Reply::noted()
            }
            TaskRequest::GetXCom { of, map_index } => self.xcom(&of, map_index.unwrap_or(-1)).await?,
            TaskRequest::GetXComCount { of } => Reply::xcom_count(self.xcoms(&of).await?.len()),
            TaskRequest::GetXComSequenceItem { of, offset } => {
                Reply::xcom_item(&self.xcoms(&of).await?, offset)
            }
            TaskRequest::GetXComSequenceSlice { of, start, stop, step } => {
                Reply::xcom_slice(&self.xcoms(&of).await?, start, stop, step)
            }
            TaskRequest::ValidateInletsAndOutlets => Reply::all_assets_active(),
            TaskRequest::GetPrevSuccessfulDagRun => self.previous().await?,
            // Its XCom says the same, and the engine goes by that.
            TaskRequest::SkipDownstreamTasks => Reply::noted(),
            TaskRequest::SucceedTask { rendered_map_index } => self.end(Last::Succeeded, rendered_map_index),
            TaskRequest::TaskState { state, rendered_map_index } => {
                let last = if state == "skipped" { Last::Skipped } else { Last::Failed };
                self.end(last, rendered_map_index)
            }
            TaskRequest::RescheduleTask { reschedule_date } => {
                self.end(Last::LooksAgain(reschedule_date), None)
            }
            TaskRequest::DeferTask(told) => self.defer(told),
            TaskRequest::GetTaskRescheduleStartDate => Reply::Body(json!({
                "type": "TaskRescheduleStartDate", "start_date": self.on.assignment.since,
            })),
            TaskRequest::RetryTask { retry_reason } => self.end(Last::MayRetry(retry_reason), None),
        })
    }

    async fn of_records(&mut self, asking: Request) -> Result<Reply, Unavailable> {
        let (on, backend) = (self.on, self.on.backend);
        Ok(match asking {
            Request::GetVariable { key } => {
                let value = match on.station.overrides.variable(&key) {
                    Some(value) => Some(value),
                    None => backend.variable(&key).await?,
                };
                on.output.hide(value.iter().flat_map(|value| secrets_of_variable(&key, value)));
                Reply::variable(&key, value.as_deref())
            }
            Request::GetConnection { conn_id } => {
                let found = match on.station.overrides.connection(&conn_id) {
                    Some(Ok(connection)) => Some(connection),
                    Some(Err(error)) => return Ok(Reply::refusal(500, &error)),
                    None => backend.connection(&conn_id).await?,
                };
                on.output.hide(found.iter().flat_map(secrets_of_connection));
                Reply::connection(&conn_id, found.map(|connection| connection.json()).as_ref())
            }
            Request::MaskSecret { value, name } => {
                let is_secret = name.is_none_or(|name| runtime::secret::is_secret_name(&name));
                on.output.hide(secrets_in_json(&value, is_secret));
                Reply::noted()
            }
            Request::GetVariableKeys { .. }
            | Request::PutVariable { .. }
            | Request::DeleteVariable { .. } => {
                Reply::refusal(501, "Tradewind does not let tasks list or change variables yet")
            }
            Request::DagFileParsingResult { .. } => Reply::refusal(400, "this is a task, not a DAG file"),
        })
    }

    fn call(&mut self, name: Option<String>) -> Reply {
        self.told.name = name.or(self.told.name.take());
        Reply::noted()
    }

    fn keep(&mut self, key: String, value: Value) -> Reply {
        if let Err(error) = store::xcom::check_key(&key) {
            return Reply::refusal(400, &error.to_string());
        }
        if key != RETURN_VALUE || self.on.assignment.task().do_xcom_push {
            self.told.xcoms.insert(key, value);
        }
        Reply::noted()
    }

    fn end(&mut self, last: Last, name: Option<String>) -> Reply {
        self.told.last = Some(last);
        self.call(name)
    }

    fn defer(&mut self, mut told: DeferTask) -> Reply {
        let name = told.rendered_map_index.take();
        match deferral(told) {
            Ok(deferral) => self.end(Last::Defers(Box::new(deferral)), name),
            Err(reason) => {
                self.on.output.note(&reason);
                Reply::refusal(400, &reason)
            }
        }
    }

    fn is_own(&self, of: &XComOf) -> bool {
        let (dag, run) = (&self.on.assignment.dag, &self.on.assignment.run);
        of.dag_id == dag.dag_id.as_str() && of.run_id == run.run_id.as_str()
    }

    /// An XCom: of this very try what it has left so far, else what is in the records.
    async fn xcom(&self, of: &XComOf, map_index: i32) -> Result<Reply, Unavailable> {
        let assignment = self.on.assignment;
        if self.is_own(of)
            && of.task_id == assignment.task().task_id.as_str()
            && map_index == assignment.map_index
        {
            // What it left before it deferred is in the records.
            let left = self.told.xcoms.get(&of.key).cloned();
            if left.is_some() || assignment.pokes == 0 {
                return Ok(Reply::xcom(&of.key, left));
            }
        }
        let Some(run) = self.run(of).await? else { return Ok(Reply::xcom(&of.key, None)) };
        let found = self.on.backend.instance(run, &of.task_id, &of.key, map_index).await?;
        Ok(Reply::xcom(&of.key, found))
    }

    async fn xcoms(&self, of: &XComOf) -> Result<Vec<Value>, Unavailable> {
        let Some(run) = self.run(of).await? else { return Ok(Vec::new()) };
        let found = self.on.backend.xcoms(run, &of.task_id, &of.key).await?;
        Ok(found.into_iter().map(|(_, value)| value).collect())
    }

    async fn run(&self, of: &XComOf) -> Result<Option<RunKey>, Unavailable> {
        if self.is_own(of) {
            return Ok(Some(self.on.assignment.attempt.ti.run));
        }
        self.on.backend.run(&of.dag_id, &of.run_id).await
    }

    async fn previous(&self) -> Result<Reply, Unavailable> {
        let found = self.on.backend.previous(self.on.assignment).await?;
        let interval = found.and_then(|run| run.data_interval);
        Ok(Reply::Body(json!({
            "type": "PrevSuccessfulDagRunResult",
            "data_interval_start": interval.map(|interval| interval.start),
            "data_interval_end": interval.map(|interval| interval.end),
            "start_date": found.and_then(|run| run.started_at),
            "end_date": found.and_then(|run| run.ended_at),
        })))
    }
}
