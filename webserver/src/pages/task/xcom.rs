//! What a task handed on.

use actix_web::{
    HttpResponse,
    web::{Path, Query},
};
use askama::Template;
use serde_json::Value;
use store::xcom::Entry;

use super::{Params, Seen, TaskHead, View};
use crate::{
    error::Error,
    pages::{
        parts::{Moment, Shell},
        visit::Visit,
        words,
    },
};

/// Values shown.
const MOST: u32 = 50;
/// Longest value shown, in bytes of JSON; the API has all of it.
const LONGEST: i32 = 64 << 10;

/// What the task handed on; live part `as_head`.
#[derive(Debug, Template)]
#[template(path = "task_xcom.html", blocks = ["head"])]
pub(crate) struct TaskXcomPage {
    pub(crate) shell: Shell,
    pub(crate) head: TaskHead,
    pub(crate) entries: Vec<XcomEntry>,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct XcomEntry {
    pub(crate) key: String,
    /// Indented JSON.
    pub(crate) value: String,
    pub(crate) written: Moment,
}

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
    let found =
        store.xcom_entries(seen.run.run.key, Some(&seen.task_id), Some(instance.map_index), MOST, 0).await?;
    let mut entries = Vec::with_capacity(found.len());
    for entry in found {
        let value = if entry.bytes > LONGEST {
            None
        } else {
            store.shown_xcom(seen.run.run.key, &seen.task_id, instance.map_index, &entry.key).await?
        };
        entries.push(shown(entry, value.as_ref(), &visit));
    }
    let page = TaskXcomPage {
        shell: visit.shell("dags").await?,
        head: seen.head(&visit, View::Xcom).await?,
        entries,
    };
    visit.answer(match visit.fragment() {
        Some("head") => page.as_head().render(),
        Some(_) | None => page.render(),
    })
}

fn shown(entry: Entry, value: Option<&Value>, visit: &Visit) -> XcomEntry {
    let size = u64::try_from(entry.bytes).unwrap_or(0);
    XcomEntry {
        value: match value {
            Some(value) => serde_json::to_string_pretty(value).unwrap_or_default(),
            None => format!("{} of JSON, too long to be shown here; the API has it.", words::bytes(size)),
        },
        written: words::moment(entry.created_at, visit.now),
        key: entry.key,
    }
}
