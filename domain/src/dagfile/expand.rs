//! Dynamic mapping: what a task has an instance for each element of.

use std::rc::Rc;

use serde_json::Value;

use super::{
    diagnostic::Problem,
    fields::Fields,
    node::{At, Kind, Node, shown},
    reading::Reading,
    values,
};
use crate::dag::MAX_MAPPED;

/// Where the values of a mapped key come from, the upstream still by the name that was written.
#[derive(Debug)]
pub(super) enum Source {
    List(Vec<Value>),
    XCom { task: String, key: String, at: At },
}

/// Names that templates know already: a mapped key of that name would hide them.
const TEMPLATE_NAMES: &[&str] = &[
    "ds",
    "ds_nodash",
    "ts",
    "ts_nodash",
    "logical_date",
    "data_interval_start",
    "data_interval_end",
    "prev_data_interval_start_success",
    "prev_data_interval_end_success",
    "run_id",
    "dag",
    "dag_run",
    "task",
    "task_instance",
    "ti",
    "params",
    "conn",
    "var",
    "macros",
    "map_index",
];

/// The mapped keys of a task, in the order of the file: it decides the order of the instances.
pub(super) fn read(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Vec<(String, Source)> {
    let Some(entry) = fields.entry("expand") else {
        return Vec::new();
    };
    let owner = fields.named("expand");
    let Some(map) = entry.value.map().filter(|map| !map.is_empty()) else {
        let empty =
            if entry.value.map().is_some() { "an empty one".to_owned() } else { entry.value.describe() };
        let message = format!("{owner} must be a mapping of names to lists, not {empty}");
        reading.add(Problem::new(entry.value.at, message).hint("for example {origin: [EWR, JFK]}"));
        return Vec::new();
    };
    let mut sources = Vec::with_capacity(map.len());
    for (name, entry) in map {
        let checked = check_name(name, entry.key_at).and_then(|()| source(&entry.value));
        if let Some(source) = reading.keep(checked.map_err(|problem| problem.of(&owner))) {
            sources.push((name.clone(), source));
        }
    }
    let known: Vec<usize> = sources
        .iter()
        .filter_map(|(_, source)| match source {
            Source::List(list) => Some(list.len()),
            Source::XCom { .. } => None,
        })
        .collect();
    let instances = known.iter().copied().fold(1_usize, usize::saturating_mul);
    if instances > MAX_MAPPED {
        let message =
            format!("{owner}: {instances} instances are more than the {MAX_MAPPED} one task may have");
        reading.add(Problem::new(entry.key_at, message));
    }
    sources
}

fn check_name(name: &str, at: At) -> Result<(), Problem> {
    if TEMPLATE_NAMES.contains(&name) {
        return Err(Problem::new(at, format!("`{name}` would hide what templates know by that name"))
            .hint("choose another name"));
    }
    if values::is_identifier(name) {
        return Ok(());
    }
    Err(Problem::new(
        at,
        format!("`{}` cannot name a template variable: use letters, digits and `_`", shown(name)),
    ))
}

fn source(node: &Rc<Node>) -> Result<Source, Problem> {
    let wanted = |problem: Problem| {
        problem.hint("write a list, or \"{{ ti.xcom_pull('task') }}\" for what an upstream left")
    };
    match &node.kind {
        Kind::List(list) => Ok(Source::List(list.iter().map(|item| item.json()).collect())),
        Kind::Map(_) => Err(wanted(Problem::new(node.at, "this must be a list, not a mapping"))),
        Kind::Scalar(scalar) => {
            let pull = pull(&scalar.text).filter(|_| !node.is_null());
            let Some((task, key)) = pull else {
                return Err(wanted(Problem::new(
                    node.at,
                    format!("this must be a list, not {}", node.describe()),
                )));
            };
            Ok(Source::XCom { task, key, at: node.at })
        }
    }
}

/// `{{ ti.xcom_pull('extract') }}`, `{{ ti.xcom_pull(task_ids='extract', key='files') }}`: the task and the key.
fn pull(text: &str) -> Option<(String, String)> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
    let call = inner.strip_prefix("ti.").or_else(|| inner.strip_prefix("task_instance."))?;
    let arguments = call.strip_prefix("xcom_pull")?.trim_start().strip_prefix('(')?.strip_suffix(')')?;
    let (mut task, mut key) = (None, None);
    for (position, argument) in arguments.split(',').enumerate() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name.trim(), value),
            None => (["task_ids", "key"].get(position).copied()?, argument),
        };
        let slot = match name {
            "task_ids" | "task_id" => &mut task,
            "key" => &mut key,
            _ => return None,
        };
        if slot.replace(quoted(value)?).is_some() {
            return None;
        }
    }
    Some((task?, key.unwrap_or_else(|| "return_value".into())))
}

fn quoted(text: &str) -> Option<String> {
    let text = text.trim();
    let inside = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    let inner = inside('\'').or_else(|| inside('"'))?;
    (!inner.is_empty() && !inner.contains(['\'', '"', '\\'])).then(|| inner.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ways_to_write_a_pull() {
        let files = Some(("extract".to_owned(), "files".to_owned()));
        let result = Some(("extract".to_owned(), "return_value".to_owned()));
        assert_eq!(pull("{{ ti.xcom_pull('extract') }}"), result);
        assert_eq!(pull("{{task_instance.xcom_pull(\"extract\")}}"), result);
        assert_eq!(pull("{{ ti.xcom_pull(task_ids='extract', key='files') }}"), files);
        assert_eq!(pull("{{ ti.xcom_pull(key='files', task_ids='extract') }}"), files);
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "extract",
            "{{ extract }}",
            "{{ ti.xcom_pull() }}",
            "{{ ti.xcom_pull(extract) }}",
            "{{ ti.xcom_pull('a', task_ids='b') }}",
            "{{ ti.xcom_pull('a') | list }}",
            "{{ ti.xcom_pull(['a']) }}",
            "x {{ ti.xcom_pull('a') }}",
        ] {
            assert_eq!(pull(text), None, "{text}");
        }
    }
}
