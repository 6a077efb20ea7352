//! What a task asks, and the answers.

mod assets;
mod people;
mod trigger;

use std::os::fd::OwnedFd;

use domain::outcome::{CHOICE, RETURN_VALUE};
use python::message::{
    Asked, DeferTask, Reply, Request, RunRequest, TaskRequest, ToldEvent, Unclear, XComOf, asked,
};
use serde_json::{Value, json};
use store::Store;
use tokio::net::UnixStream;
use tokio::sync::mpsc::UnboundedSender;

use super::deferring::deferral;
use super::ending::{Last, Told};
use crate::asked::Asker;
use crate::backend::Unavailable;
use crate::operator::On;
use crate::records::Records;

/// Answers one task, and remembers what it told.
pub(super) struct Answers<'a> {
    on: &'a On<'a>,
    told: Told,
    /// How many runs it has asked for.
    triggers: u32,
    /// Where sockets go that it writes its log to.
    logs: Option<UnboundedSender<UnixStream>>,
}

/// What a task is answered.
pub(super) enum Answer {
    /// A message.
    Reply(Reply),
    /// Another socket to log to.
    Log(OwnedFd),
}

impl<'a> Answers<'a> {
    /// More sockets that the task logs to are handed to `logs`.
    pub(super) fn new(on: &'a On<'a>, logs: UnboundedSender<UnixStream>) -> Self {
        Self { on, told: Told::default(), triggers: 0, logs: Some(logs) }
    }

    /// It has told how it ended.
    pub(super) fn has_ended(&self) -> bool {
        self.told.last.is_some()
    }

    /// There will be no other socket.
    pub(super) fn close_logs(&mut self) {
        self.logs = None;
    }

    /// All that it told.
    pub(super) fn told(self) -> Told {
        self.told
    }

    /// Every question gets exactly one answer: without one the task would wait for ever.
    pub(super) async fn answer(&mut self, body: Value) -> Answer {
        let answered = match asked(&body) {
            Ok(Asked::Task(asking)) => self.of_task(asking).await,
            Ok(Asked::Records(asking)) => self.of_records(asking).await,
            Ok(Asked::Runs(RunRequest::TriggerDagRun(asking))) => self.trigger(asking).await,
            Ok(Asked::Runs(asking)) => self.asker().of_runs(asking).await,
            Ok(Asked::Assets(asking)) => self.of_assets(asking).await,
            Ok(Asked::States(asking)) => self.asker().of_states(asking).await,
            Ok(Asked::People(asking)) => Ok(self.of_people(asking)),
            Ok(Asked::Log) => match self.another_log() {
                Ok(descriptor) => return Answer::Log(descriptor),
                Err(error) => Ok(Reply::refusal(500, &format!("there is no other socket: {error}"))),
            },
            Err(unclear @ Unclear::Unknown(_)) => {
                Ok(self.refuse(&format!("{unclear} to Tradewind: is this a newer Airflow?")))
            }
            Err(unclear @ Unclear::Malformed { .. }) => Ok(Reply::refusal(400, &unclear.to_string())),
        };
        Answer::Reply(answered.unwrap_or_else(|error| Reply::refusal(503, &error.to_string())))
    }

    fn refuse(&self, text: &str) -> Reply {
        self.on.output.note(text);
        Reply::refusal(501, text)
    }

    fn asker(&self) -> Asker<'a> {
        Asker {
            station: self.on.station,
            backend: self.on.backend,
            secrets: self.on.output,
            task: Some(self.on.assignment),
        }
    }

    /// What only a server can answer.
    fn records(&self) -> Result<&'a Records, Unavailable> {
        self.asker().records()
    }

    async fn of_records(&self, asking: Request) -> Result<Reply, Unavailable> {
        let mut secrets = Vec::new();
        let answered = self.asker().of_records(asking, &mut secrets).await;
        self.on.output.hide(secrets);
        answered
    }

    fn another_log(&self) -> std::io::Result<OwnedFd> {
        let (ours, theirs) = UnixStream::pair()?;
        let theirs = theirs.into_std()?;
        theirs.set_nonblocking(false)?;
        if let Some(logs) = &self.logs
            && logs.send(ours).is_err()
        {
            return Err(std::io::Error::other("nobody reads its log any more"));
        }
        Ok(theirs.into())
    }

    async fn of_task(&mut self, asking: TaskRequest) -> Result<Reply, Unavailable> {
        Ok(match asking {
            TaskRequest::SetRenderedFields { rendered_fields } => {
                (self.on.rendered)(rendered_fields);
                Reply::noted()
            }
            TaskRequest::SetRenderedMapIndex { rendered_map_index } => self.call(rendered_map_index),
            TaskRequest::SetXCom { of, map_index, value } => self.leave(of, map_index, value).await?,
            TaskRequest::DeleteXCom { of, map_index } => self.take_back(of, map_index).await?,
            TaskRequest::GetXCom { of, map_index, include_prior_dates } => {
                self.xcom(&of, map_index.unwrap_or(-1), include_prior_dates).await?
            }
            TaskRequest::GetXComCount { of } => Reply::xcom_count(self.xcoms(&of, false).await?.len()),
            TaskRequest::GetXComSequenceItem { of, offset } => {
                Reply::xcom_item(&self.xcoms(&of, false).await?, offset)
            }
            TaskRequest::GetXComSequenceSlice { of, start, stop, step, include_prior_dates } => {
                Reply::xcom_slice(&self.xcoms(&of, include_prior_dates).await?, start, stop, step)
            }
            // Its XCom says the same, and the engine goes by that.
            TaskRequest::SkipDownstreamTasks => Reply::noted(),
            TaskRequest::SucceedTask { outlet_events, rendered_map_index } => {
                self.succeed(outlet_events.unwrap_or_default(), rendered_map_index)
            }
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

    fn call(&mut self, name: Option<String>) -> Reply {
        self.told.name = name.or(self.told.name.take());
        Reply::noted()
    }

    fn end(&mut self, last: Last, name: Option<String>) -> Reply {
        self.told.last = Some(last);
        self.call(name)
    }

    fn succeed(&mut self, events: Vec<ToldEvent>, name: Option<String>) -> Reply {
        match Self::made(events) {
            Ok(events) => {
                self.told.asset_events = events;
                self.end(Last::Succeeded, name)
            }
            Err(reason) => {
                self.on.output.note(&reason);
                Reply::refusal(422, &reason)
            }
        }
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

    fn is_own_task(&self, of: &XComOf) -> bool {
        self.asker().is_own_run(of) && of.task_id == self.on.assignment.task().task_id.as_str()
    }

    fn is_own(&self, of: &XComOf, map_index: i32) -> bool {
        self.is_own_task(of) && map_index == self.on.assignment.map_index
    }

    // What it leaves is written at once, so that others may see it while the task goes on. Its result and its choice have a meaning for
    // what comes after it: they are written with its end.
    async fn leave(
        &mut self,
        of: XComOf,
        map_index: Option<i32>,
        value: Value,
    ) -> Result<Reply, Unavailable> {
        let map_index = map_index.unwrap_or(-1);
        if !self.is_own(&of, map_index) {
            return self.asker().leave(&of, map_index, &value).await;
        }
        if let Err(error) = store::xcom::check_key(&of.key) {
            return Ok(Reply::refusal(400, &error.to_string()));
        }
        if of.key == RETURN_VALUE && !self.on.assignment.task().do_xcom_push {
            return Ok(Reply::noted());
        }
        if let Err(reason) = self.told.leave(&of.key, value.clone()) {
            return Ok(Reply::refusal(413, &reason));
        }
        let is_held_back = of.key == RETURN_VALUE || of.key == CHOICE;
        let Some(records) = self.on.backend.records().filter(|_| !is_held_back) else {
            return Ok(Reply::noted());
        };
        let masked = self.on.assignment.masked_xcom(&of.key, &value, self.on.output);
        if let Some(masked) = &masked {
            let mask = |store: Store| async move { store.mask_xcom(masked).await };
            records.ask("what is shown of the XCom", &of.key, mask).await?;
        }
        let (attempt, key, value) = (self.on.assignment.attempt, of.key.as_str(), &value);
        let leave = |store: Store| async move { store.leave_xcom(attempt, key, value).await };
        if records.ask("the XCom", key, leave).await? {
            return Ok(Reply::noted());
        }
        Ok(Reply::refusal(409, "this try does not count any more"))
    }

    async fn take_back(&mut self, of: XComOf, map_index: Option<i32>) -> Result<Reply, Unavailable> {
        let map_index = map_index.unwrap_or(-1);
        if !self.is_own(&of, map_index) {
            return self.asker().take_back(&of, map_index).await;
        }
        self.told.take_back(&of.key);
        if let Some(records) = self.on.backend.records() {
            let (attempt, key) = (self.on.assignment.attempt, of.key.as_str());
            let take_back = |store: Store| async move { store.take_back_xcom(attempt, key).await };
            records.ask("the XCom", key, take_back).await?;
        }
        Ok(Reply::noted())
    }

    /// An XCom: of this very try what it has left so far, else what is in the records.
    async fn xcom(&self, of: &XComOf, map_index: i32, with_prior: bool) -> Result<Reply, Unavailable> {
        let own = self.told.xcoms.get(&of.key).filter(|_| self.is_own(of, map_index));
        if let Some(value) = own {
            return Ok(Reply::xcom(&of.key, Some(value.clone())));
        }
        self.asker().xcom(of, map_index, with_prior).await
    }

    async fn xcoms(&self, of: &XComOf, with_prior: bool) -> Result<Vec<Value>, Unavailable> {
        let Some(run) = self.asker().run(of).await? else { return Ok(Vec::new()) };
        let (task_id, key) = (of.task_id.as_str(), of.key.as_str());
        let mut found = if with_prior {
            let find = |store: Store| async move { store.xcoms_up_to(run, task_id, key).await };
            self.records()?.ask("the XComs of", task_id, find).await?
        } else {
            self.on.backend.xcoms(run, task_id, key).await?
        };
        let own = self.told.xcoms.get(key).filter(|_| self.is_own_task(of));
        if let Some(value) = own {
            put(&mut found, self.on.assignment.map_index, value, with_prior);
        }
        Ok(found.into_iter().map(|(_, value)| value).collect())
    }
}

/// Puts what an instance has left just now among what is in the records, by mapped index; before what earlier runs left, if these are
/// there, too.
fn put(found: &mut Vec<(i32, Value)>, map_index: i32, value: &Value, with_prior: bool) {
    let place = found.partition_point(|(index, _)| *index < map_index);
    match found.get_mut(place).filter(|(index, _)| *index == map_index && !with_prior) {
        Some((_, known)) => *known = value.clone(),
        None => found.insert(place, (map_index, value.clone())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_left_just_now_takes_its_place() {
        let mut found = vec![(0, json!("a")), (2, json!("c"))];
        put(&mut found, 1, &json!("b"), false);
        put(&mut found, 2, &json!("C"), false);
        assert_eq!(found, [(0, json!("a")), (1, json!("b")), (2, json!("C"))]);
        put(&mut found, 2, &json!("newest"), true);
        assert_eq!(found[2..], [(2, json!("newest")), (2, json!("C"))]);
    }
}
