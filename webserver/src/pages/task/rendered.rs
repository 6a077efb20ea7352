//! The fields of a task after its templates were filled in.

use actix_web::{
    HttpResponse,
    web::{Path, Query},
};
use askama::Template;
use domain::id::TryKey;
use serde_json::Value;

use super::{Params, Seen, TaskHead, View};
use crate::{
    error::Error,
    pages::{parts::Shell, visit::Visit},
};

/// The fields of the task after templates were filled in; live part `as_head`.
#[derive(Debug, Template)]
#[template(path = "task_rendered.html", blocks = ["head"])]
pub(crate) struct TaskRenderedPage {
    pub(crate) shell: Shell,
    pub(crate) head: TaskHead,
    pub(crate) fields: Vec<RenderedField>,
    /// Whether the fields are as written, because the task has no templates or has not started.
    pub(crate) is_plain: bool,
}

/// A field after rendering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RenderedField {
    pub(crate) name: String,
    pub(crate) value: String,
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
    let attempt = TryKey { ti: instance.key, try_number: instance.try_number };
    let rendered = visit.state.store.rendered(attempt).await?;
    let is_plain = rendered.is_none();
    let fields = match rendered {
        Some(fields) => fields.iter().map(|(name, value)| field(name, value)).collect(),
        None => as_written(&seen),
    };
    let page = TaskRenderedPage {
        shell: visit.shell("dags").await?,
        head: seen.head(&visit, View::Rendered).await?,
        fields,
        is_plain,
    };
    visit.answer(match visit.fragment() {
        Some("head") => page.as_head().render(),
        Some(_) | None => page.render(),
    })
}

fn field(name: &str, value: &Value) -> RenderedField {
    let value = match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            serde_json::to_string_pretty(value).unwrap_or_default()
        }
    };
    RenderedField { name: name.to_owned(), value }
}

/// The operator's own fields, as the file has them.
fn as_written(seen: &Seen) -> Vec<RenderedField> {
    let operator = seen.spec().and_then(|task| serde_json::to_value(&task.operator).ok());
    let fields = operator.as_ref().and_then(Value::as_object);
    fields
        .map(|fields| {
            fields
                .iter()
                .filter(|(name, _)| *name != "type")
                .map(|(name, value)| field(name, value))
                .collect()
        })
        .unwrap_or_default()
}
