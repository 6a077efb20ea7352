//! The store as the backend of tries. While the database is away it waits a while, so that a short absence costs no try.

use std::future::Future;
use std::time::Duration;

use domain::id::{RunKey, TaskId};
use futures_util::future::BoxFuture;
use queue::{Bell, Queue};
use serde_json::Value;
use store::Store;
use store::connection::Connection;
use tokio::time::Instant;

use crate::assignment::Assignment;
use crate::backend::{Backend, Previous, Unavailable};

/// How long an answer is waited for while the database is away.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two questions meanwhile.
const PAUSE: Duration = Duration::from_millis(500);

/// The store as a backend, with a bell for what is to be done at once.
#[derive(Debug, Clone)]
pub struct Records {
    store: Store,
    queue: Queue,
}

impl Records {
    /// The records that a worker stands on.
    #[must_use]
    pub const fn new(store: Store, queue: Queue) -> Self {
        Self { store, queue }
    }

    /// Asks the store. `what` and `name` say what is asked about, for messages.
    pub(crate) async fn ask<T, F>(
        &self,
        what: &str,
        name: &str,
        ask: impl Fn(Store) -> F,
    ) -> Result<T, Unavailable>
    where
        F: Future<Output = Result<T, store::Error>>,
    {
        patiently(what, name, || ask(self.store.clone())).await
    }

    /// Rings. A bell that is not heard costs the next look at the clock, nothing more.
    pub(crate) async fn ring(&self, bell: Bell) {
        if let Err(error) = self.queue.ring(bell).await {
            tracing::debug!(%error, "a bell could not be rung");
        }
    }
}

impl Backend for Records {
    fn variable<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, Unavailable>> {
        Box::pin(async move {
            let found = patiently("the variable", key, || self.store.variable(key)).await?;
            Ok(found.map(|variable| variable.value))
        })
    }

    fn connection<'a>(&'a self, conn_id: &'a str) -> BoxFuture<'a, Result<Option<Connection>, Unavailable>> {
        Box::pin(async move {
            let found = patiently("the connection", conn_id, || self.store.connection(conn_id)).await?;
            Ok(found.map(|found| found.connection))
        })
    }

    fn xcoms<'a>(
        &'a self,
        run: RunKey,
        task_id: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(i32, Value)>, Unavailable>> {
        Box::pin(async move {
            let Ok(task) = TaskId::new(task_id) else {
                return Ok(Vec::new());
            };
            patiently("the XComs of", task_id, || self.store.xcoms_of_task(run, &task, key)).await
        })
    }

    fn element<'a>(
        &'a self,
        run: RunKey,
        task_id: &'a str,
        key: &'a str,
        place: usize,
        is_split: bool,
    ) -> BoxFuture<'a, Result<Option<Value>, Unavailable>> {
        Box::pin(async move {
            let (Ok(task), Ok(place)) = (TaskId::new(task_id), u32::try_from(place)) else {
                return Ok(None);
            };
            patiently("an element of the XCom of", task_id, || async {
                if is_split {
                    return self.store.xcom_at(run, &task, key, place).await;
                }
                self.store.xcom_element(run, &task, -1, key, place).await
            })
            .await
        })
    }

    fn length<'a>(
        &'a self,
        run: RunKey,
        task_id: &'a str,
        key: &'a str,
        is_split: bool,
    ) -> BoxFuture<'a, Result<usize, Unavailable>> {
        Box::pin(async move {
            let Ok(task) = TaskId::new(task_id) else {
                return Ok(0);
            };
            let ask = || self.store.xcom_length(run, &task, key, is_split);
            patiently("the length of the XCom of", task_id, ask).await
        })
    }

    fn instance<'a>(
        &'a self,
        run: RunKey,
        task_id: &'a str,
        key: &'a str,
        map_index: i32,
    ) -> BoxFuture<'a, Result<Option<Value>, Unavailable>> {
        Box::pin(async move {
            let Ok(task) = TaskId::new(task_id) else {
                return Ok(None);
            };
            patiently("the XCom of", task_id, || self.store.xcom(run, &task, map_index, key)).await
        })
    }

    fn run<'a>(
        &'a self,
        dag_id: &'a str,
        run_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<RunKey>, Unavailable>> {
        Box::pin(async move { patiently("the run", run_id, || self.store.run_key(dag_id, run_id)).await })
    }

    fn output_of_started<'a>(
        &'a self,
        assignment: &'a Assignment,
        task_id: &'a TaskId,
    ) -> BoxFuture<'a, Result<Vec<(i32, Value)>, Unavailable>> {
        Box::pin(async move {
            let run = assignment.attempt.ti.run;
            let starter = (run, &assignment.task().task_id, assignment.map_index);
            let ask = || self.store.output_of_started(starter, task_id);
            patiently("the result of", task_id.as_str(), ask).await
        })
    }

    fn previous<'a>(
        &'a self,
        assignment: &'a Assignment,
    ) -> BoxFuture<'a, Result<Option<Previous>, Unavailable>> {
        Box::pin(async move {
            let (dag_id, run) = (&assignment.dag.dag_id, &assignment.run);
            let before = run.logical_date.unwrap_or(run.run_after);
            let ask = || self.store.previous_success(dag_id, before);
            let found = patiently("the previous run of", dag_id.as_str(), ask).await?;
            Ok(found.map(|run| Previous {
                data_interval: run.data_interval,
                started_at: run.started_at,
                ended_at: run.ended_at,
            }))
        })
    }

    fn records(&self) -> Option<&Records> {
        Some(self)
    }
}

/// Asks until there is an answer, an error that will stay, or no patience left.
async fn patiently<T, F>(what: &str, name: &str, ask: impl Fn() -> F) -> Result<T, Unavailable>
where
    F: Future<Output = Result<T, store::Error>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) if error.is_transient() && Instant::now() < deadline => {
                tokio::time::sleep(PAUSE).await
            }
            Err(error) => {
                return Err(Unavailable { what: format!("{what} `{name}`"), reason: error.to_string() });
            }
        }
    }
}
