//! A task of an Airflow DAG file: Airflow's own task runner, unmodified, in a child of the worker's fork server.
//!
//! The child speaks Airflow's supervisor protocol: it asks, and is answered from the records; at its end it tells what became of the
//! task, and runs its callbacks. Its log is structured and does not hide secrets: both are our business. Source: Airflow 3.3.2
//! `sdk/execution_time/supervisor.py`, `sdk/execution_time/task_runner.py`.

mod answers;
mod deferring;
mod ending;
mod logs;
mod nursery;
mod startup;

use std::convert::Infallible;
use std::os::fd::AsRawFd;
use std::process::ExitStatus;
use std::time::Duration;

use futures_util::future::BoxFuture;
use python::message::Reply;
use python::{Channel, Ending as Death, Launch, Target};
use serde_json::{Map, Value, json};

use self::answers::{Answer, Answers};
use super::{Done, On, Work};
use crate::environment::Places;
use crate::output::Source;
use crate::process::{Cause, Group, pump};

pub(crate) use logs::told as told_in_log;
pub(crate) use nursery::{BUNDLE, Nursery};
pub(crate) use startup::{consumed, id as try_id};

/// How long a child may go on after it has told its end: it runs callbacks then. Source: `[core] task_success_overtime`.
const OVERTIME: Duration = Duration::from_secs(20);
/// Airflow's task runner stops a task at its `execution_timeout` itself; one that cannot be stopped so is ended this much later.
const AFTER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long what it wrote is still read when it has ended.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A task of an Airflow DAG file.
pub(crate) struct Airflow;

impl Work for Airflow {
    fn fields(&self) -> Map<String, Value> {
        Map::new()
    }

    fn run<'a>(&'a self, on: &'a On<'a>) -> BoxFuture<'a, Done> {
        Box::pin(async move {
            match supervise(on).await {
                Ok(done) => done,
                Err(reason) => Done::failed(reason),
            }
        })
    }
}

async fn supervise(on: &On<'_>) -> Result<Done, String> {
    let nursery = &on.station.nursery;
    let zygote = nursery.zygote().await?;
    let details = startup::details(on.assignment, &on.station.hostname)?;
    let folder = nursery.folder();
    let places = Places {
        output: &on.place.output,
        artifacts: &on.place.artifacts,
        asset_events: &on.place.asset_events,
    };
    let own = on.station.base.of(on.assignment, on.params, places, &indexmap::IndexMap::new());
    let environment = nursery.environment(own);
    let launch = Launch { target: Target::Task, environment: &environment, folder: &folder, memory: None };
    let child = zygote.launch(&launch).await.map_err(|error| error.to_string())?;
    let pid = child.pid;
    let group = Group::led_by(pid).ok_or("the fork server gave no process")?;
    let watched = on.station.warden.as_ref().map(|warden| warden.watch(group));
    on.begin(&format!("{} as process {pid}", on.assignment.task().operator.class_name()));
    (on.began)(pid);
    let (mut channel, mut death, [stdout, stderr, logs]) = child.apart();
    let (more, more_logs) = tokio::sync::mpsc::unbounded_channel();
    let mut answers = Answers::new(on, more);
    let reading = async {
        let out = pump::stream(stdout, Source::Stdout, on.output);
        let err = pump::stream(stderr, Source::Stderr, on.output);
        tokio::join!(out, err, logs::copy_all(logs, more_logs, on.output));
    };
    tokio::pin!(reading);
    let mut is_silent = false;
    let (end, cause) = {
        let talk = accompany(&mut channel, &mut death, &details, &mut answers, group, on);
        tokio::pin!(talk);
        loop {
            tokio::select! {
                ended = &mut talk => break ended,
                () = &mut reading, if !is_silent => is_silent = true,
            }
        }
    };
    answers.close_logs();
    if group.end_rest(Duration::ZERO).await {
        on.output.note("processes that it had left behind were ended");
    }
    if !is_silent && tokio::time::timeout(LAST_WORDS, reading).await.is_err() {
        on.output.note("something it started still holds its output open; what that writes is not read");
    }
    drop(watched);
    Ok(answers.told().done(end, cause, on))
}

/// Answers the child until it has ended. Returns how it ended, if that is known, and why.
async fn accompany(
    channel: &mut Channel,
    death: &mut Death,
    details: &Value,
    answers: &mut Answers<'_>,
    group: Group,
    on: &On<'_>,
) -> (Option<ExitStatus>, Cause) {
    let mut cause = tokio::select! {
        biased;
        () = begin(channel, details, answers) => Cause::Itself,
        end = death.wait() => return (end, Cause::Itself),
        cause = ended_from_outside(on) => cause,
    };
    if cause == Cause::Itself {
        cause = tokio::select! {
            end = death.wait() => return (end, Cause::Itself),
            never = converse_for_ever(channel, answers) => match never {},
            cause = ended_from_outside(on) => cause,
            () = tokio::time::sleep(OVERTIME) => {
                on.output.note(&format!("it went on for {OVERTIME:?} after its end, and is stopped"));
                Cause::Itself
            }
        };
    }
    // Airflow's runner takes SIGTERM for a wish: it tells the operator, and may still ask and tell.
    group.terminate();
    let end = tokio::select! {
        end = death.wait() => end,
        never = converse_for_ever(channel, answers) => match never {},
        () = tokio::time::sleep(on.station.grace) => {
            group.kill();
            death.wait().await
        }
    };
    (end, cause)
}

/// The clock and people; the clock is kept by the child, and by us only if that fails.
async fn ended_from_outside(on: &On<'_>) -> Cause {
    let time = async {
        match on.deadline {
            Some(deadline) => tokio::time::sleep_until(deadline + AFTER_TIMEOUT).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        halt = on.stop.halted() => Cause::Halted(halt),
        () = time => Cause::Timeout,
    }
}

/// Tells the child what to do, and answers it until it has told its end or closed its side.
async fn begin(channel: &mut Channel, details: &Value, answers: &mut Answers<'_>) {
    if let Err(fault) = channel.tell(details).await {
        return tracing::debug!(%fault, "a task ended before it began");
    }
    while !answers.has_ended() && converse(channel, answers).await {}
}

async fn converse_for_ever(channel: &mut Channel, answers: &mut Answers<'_>) -> Infallible {
    while converse(channel, answers).await {}
    std::future::pending().await
}

/// Answers one question. False when there will be no other.
async fn converse(channel: &mut Channel, answers: &mut Answers<'_>) -> bool {
    let asked = match channel.next().await {
        Ok(Some(asked)) => asked,
        Ok(None) => return false,
        Err(fault) => {
            tracing::warn!(%fault, "cannot understand a task");
            return false;
        }
    };
    let written = match answers.answer(asked.body).await {
        Answer::Reply(Reply::Body(body)) => channel.answer(asked.id, &body).await,
        Answer::Reply(Reply::Refusal(error)) => channel.refuse(asked.id, &error).await,
        Answer::Log(descriptor) => {
            let body = json!({"type": "SentFDs", "fds": [descriptor.as_raw_fd()]});
            channel.hand_over(asked.id, &body, &descriptor).await
        }
    };
    written.is_ok()
}
