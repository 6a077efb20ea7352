//! The tries of a task instance.

use std::collections::HashMap;

use actix_web::{
    HttpResponse,
    web::{Path, Query},
};
use askama::Template;
use domain::engine::record::TryRecord;
use store::view::{api_ti::TiRow, task::Instance};
use uuid::Uuid;

use super::{Params, Seen, TaskHead, View, rounds};
use crate::{
    error::Error,
    pages::{
        parts::{Moment, Shell},
        paths,
        visit::Visit,
        words,
    },
};

/// Digits of a worker's id that are shown.
const WORKER_DIGITS: usize = 8;

/// All tries; live parts `as_head` and `as_attempts`.
#[derive(Debug, Template)]
#[template(path = "task_attempts.html", blocks = ["head", "attempts"])]
pub(crate) struct TaskAttemptsPage {
    pub(crate) shell: Shell,
    pub(crate) head: TaskHead,
    /// Newest first.
    pub(crate) rows: Vec<AttemptRow>,
}

/// One try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttemptRow {
    pub(crate) number: u32,
    /// The round of its loop.
    pub(crate) round: Option<u32>,
    pub(crate) log_href: String,
    pub(crate) state: &'static str,
    /// Exit status, signal, time limit: in words.
    pub(crate) why: String,
    pub(crate) started: Option<Moment>,
    pub(crate) duration: String,
    pub(crate) worker: Option<Place>,
}

/// Where a try ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The machine, while the worker is remembered; else the end of the worker's id.
    pub(crate) name: String,
    /// The end of the worker's id, where the name is another, and the process.
    pub(crate) sub: String,
    /// The worker's whole id.
    pub(crate) title: String,
}

/// What is remembered of the machine of a try.
#[derive(Debug, Clone, Default)]
struct Machine {
    name: Option<String>,
    /// The process there, while it runs.
    process: Option<i32>,
}

/// The machines by the numbers of the tries.
type Machines = HashMap<u32, Machine>;

/// Answers.
pub(crate) async fn show(
    visit: Visit,
    names: Path<(String, String, String)>,
    params: Query<Params>,
) -> Result<HttpResponse, Error> {
    let seen = Seen::find(&visit, &names, params.map_index).await?;
    let Some(instance) = &seen.instance else {
        return Ok(seen.to_instances());
    };
    let store = &visit.state.store;
    let index = i32::try_from(instance.key.index).unwrap_or(i32::MAX);
    let machines =
        store.api_tries(instance.key.run.0, index).await?.into_iter().filter_map(machine).collect();
    let mut tries = store.tries(instance.key).await?;
    tries.retain(|ended| ended.attempt.try_number != instance.try_number || instance.state.is_finished());
    let mut rows: Vec<AttemptRow> = tries.iter().map(|ended| past(ended, &seen, &visit, &machines)).collect();
    if !rows.iter().any(|row| row.number == instance.try_number) && instance.try_number > 0 {
        rows.push(current(instance, &seen, &visit));
    }
    rows.reverse();
    let page = TaskAttemptsPage {
        shell: visit.shell("dags").await?,
        head: seen.head(&visit, View::Attempts).await?,
        rows,
    };
    visit.answer(match visit.fragment() {
        Some("head") => page.as_head().render(),
        Some("attempts") => page.as_attempts().render(),
        Some(_) | None => page.render(),
    })
}

/// The log of a try.
pub(super) fn log_href(seen: &Seen, number: u32) -> String {
    paths::with_query(&seen.view(""), &[("try", &number.to_string())])
}

fn machine(row: TiRow) -> Option<(u32, Machine)> {
    Some((u32::try_from(row.try_number).ok()?, Machine { name: row.hostname, process: row.pid }))
}

fn place(worker: Option<Uuid>, machine: Machine) -> Option<Place> {
    let worker = worker?;
    let process = machine.process.map(|pid| format!("process {pid}"));
    let id = machine.name.is_some().then(|| short_id(worker));
    Some(Place {
        sub: [process, id].into_iter().flatten().collect::<Vec<_>>().join(" · "),
        name: machine.name.unwrap_or_else(|| short_id(worker)),
        title: format!("worker {worker}"),
    })
}

/// The end of a worker's id: its beginning is the time, which workers that start together share.
fn short_id(worker: Uuid) -> String {
    let id = worker.simple().to_string();
    format!("…{}", &id[id.len() - WORKER_DIGITS..])
}

fn past(ended: &TryRecord, seen: &Seen, visit: &Visit, machines: &Machines) -> AttemptRow {
    let number = ended.attempt.try_number;
    let machine = machines.get(&number).cloned().unwrap_or_default();
    let code = ended.exit_code.filter(|code| *code != 0).map(|code| format!("exit code {code}"));
    AttemptRow {
        number,
        round: ended.round,
        log_href: log_href(seen, number),
        state: ended.state.as_str(),
        why: ended.reason.clone().or(code).unwrap_or_default(),
        started: ended.started_at.map(|at| words::moment(at, visit.now)),
        duration: words::took(ended.started_at, Some(ended.ended_at), visit.now),
        worker: place(ended.worker, machine),
    }
}

fn current(instance: &Instance, seen: &Seen, visit: &Visit) -> AttemptRow {
    AttemptRow {
        number: instance.try_number,
        round: seen.repeat().map(|_| rounds::newest(instance)),
        log_href: log_href(seen, instance.try_number),
        state: instance.state.as_str(),
        why: instance.reason.clone().unwrap_or_default(),
        started: instance.started_at.map(|at| words::moment(at, visit.now)),
        duration: words::took(instance.started_at, instance.ended_at, visit.now),
        worker: place(instance.worker, Machine { name: instance.hostname.clone(), process: instance.pid }),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{Machine, Place, place};

    #[test]
    fn a_worker_is_told_by_its_machine_while_that_is_known() {
        let worker = Uuid::from_u128(0x0123_4567_89ab_cdef);
        let told = |place: Option<Place>| place.map(|place| (place.name, place.sub));
        let node = |process| Machine { name: Some("node-3".to_owned()), process };
        let pair = |name: &str, sub: &str| Some((name.to_owned(), sub.to_owned()));
        assert_eq!(told(place(Some(worker), node(Some(42)))), pair("node-3", "process 42 · …89abcdef"));
        assert_eq!(told(place(Some(worker), Machine::default())), pair("…89abcdef", ""));
        assert_eq!(told(place(None, node(None))), None);
    }
}
