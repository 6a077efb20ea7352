//! What triggers ask, and the answers.

use python::message::{Reply, Request, TaskRequest};
use serde::Deserialize;
use serde_json::Value;

use crate::asked;
use crate::backend::{Backend, Unavailable};
use crate::station::Station;

/// The answer to a question, and what is a secret from now on. Nobody can tell which trigger has asked.
pub(crate) async fn answer(body: Value, station: &Station, backend: &dyn Backend) -> (Reply, Vec<String>) {
    let mut secrets = Vec::new();
    let answered = match Request::deserialize(&body) {
        Ok(asking) => of_records(asking, station, backend, &mut secrets).await,
        Err(_) => of_tasks(&body, backend).await,
    };
    (answered.unwrap_or_else(|error| Reply::refusal(503, &error.to_string())), secrets)
}

// Nothing is a trigger's own: it names whose XCom it wants.
async fn of_tasks(body: &Value, backend: &dyn Backend) -> Result<Reply, Unavailable> {
    let Ok(TaskRequest::GetXCom { of, map_index, .. }) = TaskRequest::deserialize(body) else {
        return Ok(unknown(body));
    };
    let found = match backend.run(&of.dag_id, &of.run_id).await? {
        Some(run) => backend.instance(run, &of.task_id, &of.key, map_index.unwrap_or(-1)).await?,
        None => None,
    };
    Ok(Reply::xcom(&of.key, found))
}

fn unknown(body: &Value) -> Reply {
    let kind = body.get("type").and_then(Value::as_str).unwrap_or("something without a type");
    tracing::warn!(kind, "a trigger asked for something that is not known");
    Reply::refusal(501, &format!("{kind}: Tradewind does not support this in triggers yet"))
}

async fn of_records(
    asking: Request,
    station: &Station,
    backend: &dyn Backend,
    secrets: &mut Vec<String>,
) -> Result<Reply, Unavailable> {
    Ok(match asking {
        Request::GetVariable { key } => {
            let (reply, found) = asked::variable(station, backend, &key).await?;
            secrets.extend(found);
            reply
        }
        Request::GetConnection { conn_id } => {
            let (reply, found) = asked::connection(station, backend, &conn_id).await?;
            secrets.extend(found);
            reply
        }
        Request::MaskSecret { value, name } => {
            secrets.extend(asked::hidden(&value, name.as_deref()));
            Reply::noted()
        }
        Request::GetVariableKeys { .. } | Request::PutVariable { .. } | Request::DeleteVariable { .. } => {
            Reply::refusal(501, "Tradewind does not let triggers list or change variables yet")
        }
        Request::DagFileParsingResult { .. } => Reply::refusal(400, "this is a trigger, not a DAG file"),
    })
}
