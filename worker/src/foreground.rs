//! Tasks in the foreground, without a server: `tradewind tasks test`, `tasks render` and `dags test`.

use std::sync::Arc;

use domain::approval::Question;
use domain::asset::OutletEvent;
use domain::outcome::TryResult;
use domain::wait::TriggerRequest;
use indexmap::IndexMap;
use runtime::clock::Clock;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Error;
use crate::assignment::Assignment;
use crate::attempt::{Attempt, Watcher};
use crate::backend::Backend;
use crate::operator::{self, Left, Request};
use crate::output::{Masker, Output, Sink, shown};

pub use crate::output::Echo;
use crate::place::Place;
use crate::process;
use crate::settings::{Overrides, Settings};
use crate::station::Station;
use crate::stop::{self, Halt};
use crate::template::Renderer;

/// How a task that ran in the foreground ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// How.
    pub result: TryResult,
    /// The exit code of its process.
    pub exit_code: Option<i32>,
    /// Why, in words.
    pub reason: Option<String>,
    /// What it left, by key.
    pub xcoms: IndexMap<String, Value>,
    /// What it says of the assets that it made.
    pub asset_events: Vec<OutletEvent>,
    /// The run that it asks for, which nobody starts here.
    pub trigger: Option<Box<TriggerRequest>>,
    /// The question that it puts to people.
    pub question: Option<Box<Question>>,
}

/// Runs one try here and now; `echo` is shown each line as it comes. Artifacts are not kept. `cancel` stops it.
///
/// # Errors
/// When the folder [`Settings::scratch`] cannot be used.
pub async fn run_once(
    settings: &Settings,
    backend: &dyn Backend,
    assignment: Assignment,
    clock: Clock,
    echo: Echo,
    cancel: &CancellationToken,
) -> Result<Finished, Error> {
    process::adopt();
    let mark = Uuid::new_v4().to_string();
    let failed = |source| Error::Scratch { folder: settings.scratch.clone(), source };
    let place = Place::open(&settings.scratch, &mark).map_err(failed)?;
    let station = Station::new(settings, clock.clone(), place, mark, None);
    let output = Output::new(clock, Sink::Echo(echo));
    let (stopper, stop) = stop::pair();
    let assignment = Arc::new(assignment);
    let attempt = Attempt {
        station: &station,
        backend,
        assignment: &assignment,
        output: &output,
        stop: &stop,
        watcher: &Nobody,
        artifacts: None,
    };
    let run = attempt.run();
    tokio::pin!(run);
    let end = tokio::select! {
        end = &mut run => end,
        () = cancel.cancelled() => {
            stopper.halt(Halt::Person);
            run.await
        }
    };
    let done = end.done;
    // Nobody holds triggers here, and nobody looks again.
    let Left { trigger, question, .. } = Request::parts(done.request);
    Ok(Finished {
        result: done.result,
        exit_code: done.exit_code,
        reason: done.reason,
        xcoms: done.xcoms,
        asset_events: done.asset_events,
        trigger,
        question,
    })
}

/// What the templates of a task become, in Airflow's names, with secrets hidden.
///
/// # Errors
/// What is wrong with a template, or with the params.
pub async fn render_task(
    settings: &Settings,
    backend: &dyn Backend,
    assignment: Assignment,
    clock: &Clock,
) -> Result<Map<String, Value>, Error> {
    let overrides = Overrides::of(&settings.environment);
    let params = domain::params::resolve(&assignment.dag.params, &assignment.run.conf).map_err(|errors| {
        Error::Task(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    })?;
    let assignment = Arc::new(assignment);
    let mut renderer =
        Renderer::new(backend, &overrides, Arc::clone(&assignment), Arc::new(params), clock.now());
    let work = operator::prepare(&assignment, &mut renderer)
        .await
        .map_err(|error| Error::Task(error.to_string()))?;
    let mut masker = Masker::default();
    masker.add(renderer.secrets());
    Ok(shown(&work.fields(), &masker))
}

struct Nobody;

impl Watcher for Nobody {
    fn rendered(&self, _: Map<String, Value>) {}

    fn began(&self, _: u32) {}
}
