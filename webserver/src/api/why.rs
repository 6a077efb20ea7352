//! What keeps a task instance from running: Airflow's short list, and all that is known.

use actix_web::{HttpResponse, web::Data};
use domain::{
    engine::obstacle::{Answer, Obstacle, Question, Standing},
    id::{DagId, RunId, TaskId},
};
use serde_json::{Value, json};
use store::view::api_ti::TiRow;

use super::{
    names,
    query::Query,
    shape,
    tis::{MappedPath, TiPath},
};
use crate::{AppState, auth::Viewer, error::Error, why};

pub(super) async fn dependencies(
    state: Data<AppState>,
    _viewer: Viewer,
    path: TiPath,
    query: Query,
) -> Result<HttpResponse, Error> {
    let map_index = query.number("map_index")?.unwrap_or(-1);
    let (_, answer) = ask(&state, (&path.0, &path.1, &path.2), map_index).await?;
    Ok(HttpResponse::Ok().json(unmet(&answer)))
}

pub(super) async fn dependencies_mapped(
    state: Data<AppState>,
    _viewer: Viewer,
    path: MappedPath,
) -> Result<HttpResponse, Error> {
    let (_, answer) = ask(&state, (&path.0, &path.1, &path.2), path.3).await?;
    Ok(HttpResponse::Ok().json(unmet(&answer)))
}

pub(super) async fn explain(
    state: Data<AppState>,
    _viewer: Viewer,
    path: TiPath,
    query: Query,
) -> Result<HttpResponse, Error> {
    let map_index = query.number("map_index")?.unwrap_or(-1);
    let (row, answer) = ask(&state, (&path.0, &path.1, &path.2), map_index).await?;
    Ok(HttpResponse::Ok().json(whole(&row, &answer)))
}

pub(super) async fn explain_mapped(
    state: Data<AppState>,
    _viewer: Viewer,
    path: MappedPath,
) -> Result<HttpResponse, Error> {
    let (row, answer) = ask(&state, (&path.0, &path.1, &path.2), path.3).await?;
    Ok(HttpResponse::Ok().json(whole(&row, &answer)))
}

async fn ask(state: &AppState, names: (&str, &str, &str), map_index: i32) -> Result<(TiRow, Answer), Error> {
    let row = names::instance(state, names, map_index).await?;
    let question = Question {
        dag_id: DagId::new(&row.dag_id)?,
        run_id: RunId::new(&row.run_id)?,
        task_id: TaskId::new(&row.task_id)?,
        map_index,
    };
    let answer = why::why(&state.store, Some(&state.queue), &question, state.clock.now()).await?;
    // A task that its DAG has no more is no part of what a scheduler remembers.
    let gone = || Error::NotFound(format!("Task id {} is no longer part of the run", row.task_id));
    let answer = answer.ok_or_else(gone)?;
    Ok((row, answer))
}

/// Airflow's `TaskDependencyCollectionResponse`. Source: Airflow 3.3.2 `core_api/routes/public/task_instances.py`, which sorts by name.
fn unmet(answer: &Answer) -> Value {
    let one = |name: &str, reason: String| json!({"name": name, "reason": reason});
    let mut dependencies: Vec<Value> = match &answer.standing {
        Standing::Waiting => {
            answer.obstacles.iter().map(|obstacle| one(obstacle.dependency(), obstacle.to_string())).collect()
        }
        Standing::HandedOut { .. } | Standing::Running { .. } | Standing::Ended => {
            vec![one("Task Instance State", format!("Task is in the '{}' state.", answer.state))]
        }
    };
    dependencies.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    json!({"dependencies": dependencies})
}

/// Everything that is known, in the order in which it is checked.
fn whole(row: &TiRow, answer: &Answer) -> Value {
    let obstacles: Vec<Value> = answer.obstacles.iter().map(described).collect();
    json!({
        "dag_id": row.dag_id, "dag_run_id": row.run_id, "task_id": row.task_id, "map_index": row.map_index,
        "state": answer.state, "try_number": answer.try_number, "standing": answer.standing,
        "reason": answer.words(), "obstacles": obstacles, "source": answer.source, "at": shape::moment(answer.at),
    })
}

fn described(obstacle: &Obstacle) -> Value {
    let mut described = serde_json::to_value(obstacle).unwrap_or_default();
    described["name"] = obstacle.dependency().into();
    described["reason"] = obstacle.to_string().into();
    described["remedy"] = obstacle.remedy().into();
    described
}
