//! Operators: what tasks do, one file each. A new one is a file with a `prepare` and a line in [`prepare`].

mod airflow;
mod approval;
mod bash;
mod empty;
mod http;
mod plain;
mod program;
mod python;
mod sql;
mod trigger;
mod wait;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::approval::Question;
use domain::asset::OutletEvent;
use domain::dag::{Operator, Task};
use domain::deferral::Deferral;
use domain::outcome::{RETURN_VALUE, TryResult};
use domain::wait::TriggerRequest;
use futures_util::future::BoxFuture;
use indexmap::IndexMap;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::assignment::Assignment;
use crate::backend::Backend;
use crate::output::Output;
use crate::place::TryPlace;
use crate::process::Cause;
use crate::station::Station;
use crate::stop::{Halt, StopSignal};
use crate::template::{Error, Renderer};

pub(crate) use airflow::{BUNDLE, Nursery, consumed, told_in_log, try_id};

/// A try that is ready to begin: its templates are rendered.
pub(crate) trait Work: Send + Sync {
    /// What its templates became, in Airflow's names.
    fn fields(&self) -> Map<String, Value>;

    /// Does it.
    fn run<'a>(&'a self, on: &'a On<'a>) -> BoxFuture<'a, Done>;
}

/// What a try works with.
pub(crate) struct On<'a> {
    /// The worker's side.
    pub(crate) station: &'a Station,
    /// The try.
    pub(crate) assignment: &'a Assignment,
    /// The values of its params.
    pub(crate) params: &'a Map<String, Value>,
    /// Where its output goes.
    pub(crate) output: &'a Output,
    /// Who may stop it.
    pub(crate) stop: &'a StopSignal,
    /// When its time is up.
    pub(crate) deadline: Option<Instant>,
    /// Its files.
    pub(crate) place: &'a TryPlace,
    /// Where it asks.
    pub(crate) backend: &'a dyn Backend,
    /// Is told what its templates became, where its process renders them.
    pub(crate) rendered: &'a (dyn Fn(Map<String, Value>) + Send + Sync),
    /// Is told the id of its process.
    pub(crate) began: &'a (dyn Fn(u32) + Send + Sync),
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Done {
    /// How.
    pub(crate) result: TryResult,
    /// The exit code of its process.
    pub(crate) exit_code: Option<i32>,
    /// Why, in words.
    pub(crate) reason: Option<String>,
    /// What it left.
    pub(crate) xcoms: IndexMap<String, Value>,
    /// What it says of the assets that it made.
    pub(crate) asset_events: Vec<OutletEvent>,
    /// Who stopped it.
    pub(crate) halted: Option<Halt>,
    /// What it leaves to the engine.
    pub(crate) request: Option<Box<Request>>,
}

/// What a try leaves to the engine, which goes on with it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Request {
    /// A run to start.
    Run(TriggerRequest),
    /// A question to put to people.
    Question(Question),
    /// A trigger or people to wait for, and with what it goes on.
    Deferral(Deferral),
    /// The next look.
    Again(DateTime<Utc>),
}

/// What a try leaves to the engine, as the records have it: at most one of these.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// A run.
    pub(crate) trigger: Option<Box<TriggerRequest>>,
    /// A question.
    pub(crate) question: Option<Box<Question>>,
    /// A trigger, or people, after whom it goes on.
    pub(crate) deferral: Option<Box<Deferral>>,
    /// A moment.
    pub(crate) resume_at: Option<DateTime<Utc>>,
}

impl Request {
    /// As the records have it.
    pub(crate) fn parts(request: Option<Box<Self>>) -> Left {
        let usual = Left::default();
        match request.map(|request| *request) {
            Some(Self::Run(run)) => Left { trigger: Some(Box::new(run)), ..usual },
            Some(Self::Question(question)) => Left { question: Some(Box::new(question)), ..usual },
            Some(Self::Deferral(deferral)) => Left { deferral: Some(Box::new(deferral)), ..usual },
            Some(Self::Again(at)) => Left { resume_at: Some(at), ..usual },
            None => usual,
        }
    }
}

impl Done {
    /// It worked, and left the rest to the engine.
    pub(crate) fn deferred(request: Request) -> Done {
        Done {
            result: TryResult::Deferred,
            request: Some(Box::new(request)),
            ..Done::success(IndexMap::new())
        }
    }

    /// What it looked for is not there yet, and it looks again then.
    pub(crate) fn again(at: DateTime<Utc>) -> Done {
        Done {
            result: TryResult::Rescheduled,
            request: Some(Box::new(Request::Again(at))),
            ..Done::success(IndexMap::new())
        }
    }

    /// It worked, and leaves this.
    pub(crate) fn success(xcoms: IndexMap<String, Value>) -> Done {
        Done {
            result: TryResult::Success,
            exit_code: None,
            reason: None,
            xcoms,
            asset_events: Vec::new(),
            halted: None,
            request: None,
        }
    }

    /// It failed; another try may work.
    pub(crate) fn failed(reason: impl Into<String>) -> Done {
        Self::ended(TryResult::Failed, reason)
    }

    /// It failed; another try would fail alike.
    pub(crate) fn failed_for_good(reason: impl Into<String>) -> Done {
        Self::ended(TryResult::FailedForGood, reason)
    }

    /// It ended like this.
    pub(crate) fn ended(result: TryResult, reason: impl Into<String>) -> Done {
        Done {
            result,
            exit_code: None,
            reason: Some(reason.into()),
            xcoms: IndexMap::new(),
            asset_events: Vec::new(),
            halted: None,
            request: None,
        }
    }

    /// It was ended from outside.
    pub(crate) fn cut_short(cause: Cause, assignment: &Assignment) -> Option<Done> {
        match cause {
            Cause::Itself => None,
            Cause::Timeout => {
                let limit =
                    assignment.task().execution_timeout.map(|limit| format!(" {limit}")).unwrap_or_default();
                Some(Done::failed(format!("stopped after execution_timeout{limit}")))
            }
            Cause::Halted(halt) => {
                let result = if halt == Halt::Drain { TryResult::Returned } else { TryResult::Failed };
                Some(Done { halted: Some(halt), ..Done::ended(result, halt.words()) })
            }
        }
    }
}

impl On<'_> {
    /// Says in the log what begins.
    pub(crate) fn begin(&self, what: &str) {
        let (worker, number) = (&self.station.hostname, self.assignment.attempt.try_number);
        let repeat = self.assignment.task().repeat.as_ref().zip(self.assignment.round());
        let round = repeat.map(|(repeat, round)| format!(", round {round} of {}", repeat.max_rounds));
        self.output.note(&format!("{worker} starts try {number}{}: {what}", round.unwrap_or_default()));
    }

    /// Waits until somebody or the clock ends the try.
    pub(crate) async fn ended_from_outside(&self) -> Cause {
        let time = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            halt = self.stop.halted() => Cause::Halted(halt),
            () = time => Cause::Timeout,
        }
    }

    /// A result as the only XCom, when the task wants one.
    pub(crate) fn returns(&self, value: Value) -> IndexMap<String, Value> {
        if self.assignment.task().do_xcom_push {
            IndexMap::from([(RETURN_VALUE.to_owned(), value)])
        } else {
            IndexMap::new()
        }
    }
}

/// Renders the templates of a task.
///
/// # Errors
/// When a template is wrong, or what it names does not exist.
pub(crate) async fn prepare(
    assignment: &Arc<Assignment>,
    renderer: &mut Renderer<'_>,
) -> Result<Box<dyn Work>, Error> {
    let task = assignment.task();
    prepare_operator(&task.operator, task, renderer).await
}

async fn prepare_operator(
    operator: &Operator,
    task: &Task,
    renderer: &mut Renderer<'_>,
) -> Result<Box<dyn Work>, Error> {
    Ok(match operator {
        Operator::Bash { command } => Box::new(bash::prepare(command, task, renderer).await?),
        Operator::Python { source, file } => {
            Box::new(python::prepare(source, file.as_deref(), task, renderer).await?)
        }
        Operator::Sql { conn_id, sql, file } => {
            Box::new(sql::prepare(conn_id, sql, file.as_deref(), renderer).await?)
        }
        Operator::Http { conn_id, method, url, headers, body } => {
            let request =
                http::Written { conn_id: conn_id.as_deref(), method, url, headers, body: body.as_ref() };
            Box::new(http::prepare(request, renderer).await?)
        }
        // What their result means for others is the engine's business.
        Operator::Branch { program } | Operator::ShortCircuit { program, .. } => {
            Box::pin(prepare_operator(program, task, renderer)).await?
        }
        Operator::WaitFor(wait) => wait::prepare(wait, renderer).await?,
        Operator::Approval(approval) => Box::new(approval::prepare(&approval.question, renderer).await?),
        Operator::TriggerDag(task) => Box::new(trigger::prepare(task, renderer).await?),
        Operator::Airflow(_) => Box::new(airflow::Airflow),
        Operator::LatestOnly | Operator::Empty => Box::new(empty::Empty),
    })
}
