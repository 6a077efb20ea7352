//! What triggers ask, and the answers. Source: Airflow 3.3.2 `jobs/triggerer_job_runner.py` (`ToTriggerSupervisor`).

use python::message::{Asked, PeopleRequest, Reply, TaskRequest, Unclear, asked};
use serde_json::Value;

use crate::asked::{Asker, only_tasks};
use crate::backend::{Backend, Unavailable};
use crate::output::Masker;
use crate::station::Station;

/// The answer to a question, and what is a secret from now on. `known` is what has been secret before.
pub(crate) async fn answer(
    body: Value,
    station: &Station,
    backend: &dyn Backend,
    known: &Masker,
) -> (Reply, Vec<String>) {
    let asker = Asker { station, backend, secrets: known, task: None };
    let mut secrets = Vec::new();
    let answered = match asked(&body) {
        Ok(Asked::Records(asking)) => asker.of_records(asking, &mut secrets).await,
        Ok(Asked::Runs(asking)) => asker.of_runs(asking).await,
        Ok(Asked::States(asking)) => asker.of_states(asking).await,
        Ok(Asked::Task(asking)) => of_tasks(asking, asker).await,
        Ok(Asked::People(asking)) => Ok(of_people(asking)),
        Ok(Asked::Assets(_) | Asked::Log) => Ok(only_tasks()),
        Err(unclear @ Unclear::Unknown(_)) => {
            let text = format!("{unclear} to Tradewind: is this a newer Airflow?");
            tracing::warn!("a trigger asked: {text}");
            Ok(Reply::refusal(501, &text))
        }
        Err(unclear @ Unclear::Malformed { .. }) => Ok(Reply::refusal(400, &unclear.to_string())),
    };
    (answered.unwrap_or_else(|error| Reply::refusal(503, &error.to_string())), secrets)
}

// Nothing is a trigger's own: it names whose XCom it means.
async fn of_tasks(asking: TaskRequest, asker: Asker<'_>) -> Result<Reply, Unavailable> {
    match asking {
        TaskRequest::GetXCom { of, map_index, include_prior_dates } => {
            asker.xcom(&of, map_index.unwrap_or(-1), include_prior_dates).await
        }
        TaskRequest::SetXCom { of, map_index, value } => {
            asker.leave(&of, map_index.unwrap_or(-1), &value).await
        }
        TaskRequest::DeleteXCom { of, map_index } => asker.take_back(&of, map_index.unwrap_or(-1)).await,
        TaskRequest::GetXComCount { .. }
        | TaskRequest::GetXComSequenceItem { .. }
        | TaskRequest::GetXComSequenceSlice { .. }
        | TaskRequest::SetRenderedFields { .. }
        | TaskRequest::SetRenderedMapIndex { .. }
        | TaskRequest::SkipDownstreamTasks
        | TaskRequest::SucceedTask { .. }
        | TaskRequest::TaskState { .. }
        | TaskRequest::RescheduleTask { .. }
        | TaskRequest::DeferTask(_)
        | TaskRequest::GetTaskRescheduleStartDate
        | TaskRequest::RetryTask { .. } => Ok(only_tasks()),
    }
}

// A task that asks people waits for them itself, and not for a trigger: no trigger's task has a question.
fn of_people(asking: PeopleRequest) -> Reply {
    match asking {
        PeopleRequest::GetHITLDetailResponse { ti_id } | PeopleRequest::UpdateHITLDetail { ti_id } => {
            let text = format!("HITLDetail not found: task instance {ti_id} has asked people nothing");
            Reply::refusal(404, &text)
        }
        PeopleRequest::CreateHITLDetailPayload(_) | PeopleRequest::AwaitInputTask(_) => only_tasks(),
    }
}
