//! "Why is it not running?": everything that is in the way of one instance, in the order in which it is checked.

use domain::engine::obstacle::{Answer, Holder, Obstacle, Question, Source, Standing};
use domain::{id::TaskId, state::TaskState};

use super::Seen;
use crate::{
    error::Error,
    pages::{parts::Mood, paths, visit::Visit},
};

/// Holders of room that are linked.
const LINKED: usize = 5;

/// What is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Why {
    pub(crate) kind: Mood,
    pub(crate) lines: Vec<Line>,
    /// Said when it was not the scheduler who answered.
    pub(crate) remark: Option<&'static str>,
}

/// One thing that is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) text: String,
    /// What can be done about it.
    pub(crate) remedy: Option<&'static str>,
    /// Those who hold the room, as far as they are linked.
    pub(crate) holders: Vec<Link>,
}

/// A task that holds room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) label: String,
    pub(crate) href: String,
}

/// What is in the way of what is looked at; nothing for a mapped task as a whole, and for what runs or has ended.
///
/// # Errors
/// Only when the database fails.
pub(super) async fn why(visit: &Visit, seen: &Seen) -> Result<Option<Why>, Error> {
    let Some(instance) = &seen.instance else {
        return Ok(None);
    };
    let may_wait = !instance.state.is_finished() && instance.state != TaskState::Running;
    if seen.run.run.state.is_finished() || !may_wait {
        return Ok(None);
    }
    let answer = ask(visit, &seen.run, &seen.task_id, instance.map_index).await?;
    Ok(answer.as_ref().and_then(told))
}

/// Asks about one instance of a run.
///
/// # Errors
/// Only when the database fails.
pub(crate) async fn ask(
    visit: &Visit,
    run: &crate::pages::run::Seen,
    task_id: &TaskId,
    map_index: i32,
) -> Result<Option<Answer>, Error> {
    let question = Question {
        dag_id: run.run.dag_id.clone(),
        run_id: run.run.run_id.clone(),
        task_id: task_id.clone(),
        map_index,
    };
    let state = &visit.state;
    Ok(crate::why::why(&state.store, Some(&state.queue), &question, visit.now).await?)
}

fn told(answer: &Answer) -> Option<Why> {
    let remark = match answer.source {
        Source::Scheduler => None,
        Source::Records => Some(
            "No scheduler answered. This is what the records say: what other DAGs take of its pool, and places in line, are not known.",
        ),
    };
    match &answer.standing {
        Standing::Waiting if !answer.obstacles.is_empty() => {
            let needs_somebody = answer.obstacles.iter().any(needs_somebody);
            let kind = if needs_somebody { Mood::Warn } else { Mood::Info };
            Some(Why { kind, lines: answer.obstacles.iter().map(line).collect(), remark })
        }
        Standing::HandedOut { has_worker: false, .. } => {
            let remedy = Some("Start a worker that listens to the queue.");
            let line = Line { text: answer.words(), remedy, holders: Vec::new() };
            Some(Why { kind: Mood::Warn, lines: vec![line], remark })
        }
        Standing::Waiting
        | Standing::HandedOut { has_worker: true, .. }
        | Standing::Running { .. }
        | Standing::Ended => None,
    }
}

fn line(obstacle: &Obstacle) -> Line {
    let link = |holder: &Holder| {
        let (dag_id, run_id, task_id) =
            (holder.dag_id.as_str(), holder.run_id.as_str(), holder.task_id.as_str());
        let index = if holder.map_index < 0 { String::new() } else { format!("[{}]", holder.map_index) };
        Link {
            label: format!("{dag_id}: {task_id}{index}"),
            href: paths::instance(dag_id, run_id, task_id, holder.map_index),
        }
    };
    let holders = obstacle.holders().iter().take(LINKED).map(link).collect();
    Line { text: obstacle.to_string(), remedy: obstacle.remedy(), holders }
}

/// It does not go away by itself.
const fn needs_somebody(obstacle: &Obstacle) -> bool {
    match obstacle {
        Obstacle::NoScheduler
        | Obstacle::DagPaused { .. }
        | Obstacle::RunPaused
        | Obstacle::Held
        | Obstacle::SwitchedOff { .. }
        | Obstacle::AwaitingInput { .. }
        | Obstacle::NoPool { .. }
        | Obstacle::TooBigForPool { .. }
        | Obstacle::NoWorker { .. } => true,
        Obstacle::RunNotDue { .. }
        | Obstacle::BackfillPaused { .. }
        | Obstacle::BackfillFull { .. }
        | Obstacle::MaxActiveRuns { .. }
        | Obstacle::EarlierRun { .. }
        | Obstacle::RunQueued
        | Obstacle::Upstream { .. }
        | Obstacle::Setup { .. }
        | Obstacle::Scope { .. }
        | Obstacle::PreviousRun { .. }
        | Obstacle::PreviousRunUnknown
        | Obstacle::MappedOver { .. }
        | Obstacle::RetryDelay { .. }
        | Obstacle::Rescheduled { .. }
        | Obstacle::Deferred { .. }
        | Obstacle::MaxActiveTasks { .. }
        | Obstacle::MaxActiveTis { .. }
        | Obstacle::PoolFull { .. }
        | Obstacle::PoolReserved { .. }
        | Obstacle::QueueFull { .. }
        | Obstacle::InLine { .. } => false,
    }
}
