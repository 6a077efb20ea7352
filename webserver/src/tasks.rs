//! The little API: tasks by name, each started when those it depends on have succeeded.
//!
//! `POST /tasks {"name", "dependencies": [names], "priority", "command"?}` and `GET /tasks`.

use actix_web::{
    HttpResponse,
    web::{self, Data, ServiceConfig},
};
use domain::{dag::Task, id::TaskId};
use queue::Bell;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use store::{
    adhoc::{self, AddError, NewTask},
    view::{
        api_list::{Ask, Test},
        api_run::RunRow,
    },
};

use crate::{
    AppState,
    api::dags::ring,
    auth::{User, Viewer},
    body::Body,
    error::{self, Error, Problem},
    wish,
};

/// Longest command, in bytes.
const LONGEST_COMMAND: usize = 64 << 10;
/// Most dependencies of one task.
const MOST_DEPENDENCIES: usize = 1_000;
/// The lowest and the highest priority.
const PRIORITIES: std::ops::RangeInclusive<i64> = -4_096..=4_095;

/// A task as it is sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    name: String,
    #[serde(default)]
    dependencies: Vec<String>,
    #[serde(default)]
    priority: i64,
    #[serde(default)]
    command: Option<String>,
}

/// `/tasks`
pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .route("/tasks", web::get().to(list))
        .route("/tasks", web::post().to(create))
        .route("/tasks", error::no_method());
}

async fn create(state: Data<AppState>, user: User, body: Body<Sent>) -> Result<HttpResponse, Error> {
    let new = check(body.0)?;
    let added = state
        .store
        .add_task(&new, user.name(), state.clock.now())
        .await
        .map_err(|fault| refusal(fault, &new))?;
    // The leader learns the DAG's new version when it takes the message in; this makes pages and others look too.
    ring(&state).await;
    drop(state.queue.ring(Bell::Engine).await);
    let outcome = wish::watch(&state, added.message, &added.intent).await?;
    let run = newest_run(&state).await?;
    let states = states(&state, run.as_ref(), Some(&added.task.task_id)).await?;
    let mut shape = shape(added.id, &added.task, &states);
    shape["run_id"] = added.run_id.as_str().into();
    if outcome == wish::Outcome::Pending {
        shape["note"] = wish::PENDING.into();
    }
    Ok(HttpResponse::Created().insert_header(("location", "/tasks")).json(shape))
}

async fn list(state: Data<AppState>, _viewer: Viewer) -> Result<HttpResponse, Error> {
    let record = state.store.adhoc_dag(None).await?;
    let run = newest_run(&state).await?;
    let states = states(&state, run.as_ref(), None).await?;
    let tasks = record.as_ref().map(|record| record.dag.tasks.as_slice()).unwrap_or_default();
    let tasks: Vec<Value> =
        tasks.iter().enumerate().map(|(place, task)| shape(place + 1, task, &states)).collect();
    let run_id = run.map(|run| run.run_id);
    Ok(HttpResponse::Ok().json(json!({"total_entries": tasks.len(), "tasks": tasks, "run_id": run_id})))
}

fn shape(id: usize, task: &Task, states: &HashMap<String, String>) -> Value {
    let command = match &task.operator {
        domain::dag::Operator::Bash { command } => Some(command),
        domain::dag::Operator::Python { .. }
        | domain::dag::Operator::Sql { .. }
        | domain::dag::Operator::Http { .. }
        | domain::dag::Operator::Branch { .. }
        | domain::dag::Operator::ShortCircuit { .. }
        | domain::dag::Operator::WaitFor(_)
        | domain::dag::Operator::TriggerDag(_)
        | domain::dag::Operator::Airflow(_)
        | domain::dag::Operator::Approval(_)
        | domain::dag::Operator::LatestOnly
        | domain::dag::Operator::Empty => None,
    };
    let state = states.get(task.task_id.as_str()).map_or("none", String::as_str);
    json!({
        "id": id, "name": task.task_id, "dependencies": task.upstream, "priority": task.priority_weight,
        "command": command, "state": state,
    })
}

async fn newest_run(state: &AppState) -> Result<Option<RunRow>, Error> {
    let ask = Ask { limit: 1, order_by: vec!["-run_after".to_owned()], ..Ask::default() }
        .with("dag_id", Test::OneOf(vec![adhoc::DAG_ID.to_owned()]));
    Ok(state.store.api_runs(&ask).await?.0.into_iter().next())
}

async fn states(
    state: &AppState,
    run: Option<&RunRow>,
    one: Option<&TaskId>,
) -> Result<HashMap<String, String>, Error> {
    let Some(run) = run else { return Ok(HashMap::new()) };
    let limit = u32::try_from(adhoc::MOST_TASKS).unwrap_or(u32::MAX);
    let mut ask = Ask { limit, order_by: vec!["index".to_owned()], ..Ask::default() }
        .with("dag_id", Test::OneOf(vec![run.dag_id.clone()]))
        .with("run_id", Test::OneOf(vec![run.run_id.clone()]));
    if let Some(one) = one {
        ask = ask.with("task_id", Test::OneOf(vec![one.to_string()]));
    }
    let rows = state.store.api_tis(&ask).await?.0;
    Ok(rows.into_iter().map(|row| (row.task_id, row.state)).collect())
}

fn check(sent: Sent) -> Result<NewTask, Error> {
    let named = |field: &str, text: &str| {
        TaskId::new(text).map_err(|fault| {
            Error::from(Problem::new("value_error", "body", field, fault.to_string(), text.into()))
        })
    };
    let wrong = |field: &str, message: String, input: Value| {
        Err(Problem::new("value_error", "body", field, message, input).into())
    };
    let name = named("name", &sent.name)?;
    if sent.dependencies.len() > MOST_DEPENDENCIES {
        let message = format!("at most {MOST_DEPENDENCIES} dependencies");
        return wrong("dependencies", message, sent.dependencies.len().into());
    }
    if !PRIORITIES.contains(&sent.priority) {
        let message = format!("a priority is a number from {} to {}", PRIORITIES.start(), PRIORITIES.end());
        return wrong("priority", message, sent.priority.into());
    }
    let length = sent.command.as_ref().map_or(1, |command| command.trim().len());
    if length == 0 || length > LONGEST_COMMAND {
        return wrong("command", format!("a command has 1 to {LONGEST_COMMAND} bytes"), length.into());
    }
    let dependencies =
        sent.dependencies.iter().map(|text| named("dependencies", text)).collect::<Result<_, _>>()?;
    let priority = i32::try_from(sent.priority).unwrap_or_default();
    Ok(NewTask { name, dependencies, priority, command: sent.command })
}

fn refusal(fault: AddError, new: &NewTask) -> Error {
    match fault {
        AddError::Duplicate(_) | AddError::Full | AddError::Taken(_) => Error::Conflict(fault.to_string()),
        AddError::Unknown { .. } => {
            let input = serde_json::to_value(&new.dependencies).unwrap_or_default();
            Problem::new("value_error", "body", "dependencies", fault.to_string(), input).into()
        }
        AddError::Store(fault) => fault.into(),
    }
}
