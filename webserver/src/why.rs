//! Why a task instance does not run: asked of the scheduler that decides, else answered from the records.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::engine::{
    Engine, Snapshot,
    event::Event,
    obstacle::{Answer, Question},
    record::AdmissionRecord,
};
use queue::Queue;
use store::{Store, lease};
use tracing::{debug, warn};

/// How long the scheduler may take. It answers between two turns, so under load it may be late.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks the scheduler through the queue, if there is one; when it does not answer in a second, or has not got the run in its memory
/// because it has ended, the records answer. None when there is no such run or instance.
///
/// # Errors
/// Only when the database fails.
pub async fn why(
    store: &Store,
    queue: Option<&Queue>,
    question: &Question,
    now: DateTime<Utc>,
) -> Result<Option<Answer>, store::Error> {
    let is_led = store.current_lease(lease::MAIN).await?.is_some_and(|lease| lease.is_valid);
    if let Some(queue) = queue.filter(|_| is_led)
        && let Some(answer) = of_scheduler(queue, question).await
    {
        return Ok(Some(answer));
    }
    let answer = of_records(store, question, now).await?;
    Ok(answer.map(|answer| answer.of_records(is_led)))
}

async fn of_scheduler(queue: &Queue, question: &Question) -> Option<Answer> {
    let text = serde_json::to_string(question).ok()?;
    // A Redis that is away would take longer to say so.
    let answer = match tokio::time::timeout(PATIENCE, queue.ask(&text, PATIENCE)).await {
        Err(_) => return None,
        Ok(Ok(answer)) => answer?,
        Ok(Err(error)) => {
            warn!(%error, "cannot ask the scheduler");
            return None;
        }
    };
    // A scheduler of another version may say what we cannot read.
    serde_json::from_str(&answer)
        .inspect_err(|error| debug!(%error, "an answer that cannot be read"))
        .ok()
        .flatten()
}

// An engine that is only read: it is never polled, so nothing that it might decide leaves it.
async fn of_records(
    store: &Store,
    question: &Question,
    now: DateTime<Utc>,
) -> Result<Option<Answer>, store::Error> {
    let Some(snapshot) = store.around(&question.dag_id, &question.run_id).await? else {
        return Ok(None);
    };
    let key = snapshot.runs.iter().find(|run| run.run.run_id == question.run_id).map(|run| run.run.key);
    let memory = Snapshot {
        dags: snapshot.dags,
        runs: snapshot.runs,
        backfills: snapshot.backfills,
        pools: snapshot.pools,
        admission: AdmissionRecord::default(),
        durations: snapshot.durations,
        workers: snapshot.workers,
        assets: snapshot.assets,
        next_run: snapshot.next_run.0,
    };
    let mut engine = Engine::restore(memory, now);
    for open in engine.open_questions().to_vec() {
        if Some(open.run) == key {
            let before = store.standing(&open).await?;
            engine.handle(Event::Past { run: open.run, before }, now);
        }
    }
    Ok(engine.answer(question, now))
}
