//! Dynamic mapping: what a task has an instance for each element of.

use std::rc::Rc;

use serde_json::Value;

use super::{
    diagnostic::Problem,
    fields::Fields,
    keys::Place,
    node::{At, Entry, Kind, Node, shown},
    reading::Reading,
    tree::Item,
    values,
};

/// What a task or group is mapped over, the upstreams still by the names that were written.
#[derive(Debug, Default)]
pub(super) struct Expansion {
    /// `expand`: sources by name, in the order of the file, which decides the order of the instances.
    pub(super) product: Vec<(String, Source)>,
    /// `expand_kwargs`: a list of mappings.
    pub(super) each: Option<Source>,
    /// Where it is written.
    at: Option<At>,
}

/// Where the values of a mapping come from.
#[derive(Debug)]
pub(super) enum Source {
    List(Vec<Value>),
    XCom { task: String, key: String, at: At },
    Zip { of: Vec<Source>, fillvalue: Option<Value> },
    Concat(Vec<Source>),
}

impl Source {
    /// The tasks whose XComs it takes, and where that is written.
    pub(super) fn pulls(&self) -> Vec<(&str, At)> {
        match self {
            Self::List(_) => Vec::new(),
            Self::XCom { task, at, .. } => vec![(task, *at)],
            Self::Zip { of: parts, .. } | Self::Concat(parts) => parts.iter().flat_map(Self::pulls).collect(),
        }
    }

    // How many elements it has, as far as that is written.
    fn written(&self) -> Option<usize> {
        match self {
            Self::List(list) => Some(list.len()),
            Self::XCom { .. } => None,
            Self::Zip { of: parts, fillvalue } => {
                let lengths = parts.iter().map(Self::written).collect::<Option<Vec<_>>>()?.into_iter();
                if fillvalue.is_some() { lengths.max() } else { lengths.min() }
            }
            Self::Concat(parts) => parts
                .iter()
                .map(Self::written)
                .try_fold(0, |sum, part| Some(usize::saturating_add(sum, part?))),
        }
    }
}

impl Expansion {
    /// Everything that it takes values from.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.product.iter().map(|(_, source)| source).chain(&self.each)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.product.is_empty() && self.each.is_none()
    }

    // At least so many instances, as far as that is written.
    fn written(&self) -> usize {
        self.sources().filter_map(Source::written).fold(1, usize::saturating_mul)
    }
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

/// What a task or group says that it is mapped over.
pub(super) fn read(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Expansion {
    let (product, each) = (fields.entry("expand"), fields.entry("expand_kwargs"));
    if let (Some(_), Some(each)) = (product, each) {
        let message = format!("{} has both `expand` and `expand_kwargs`", fields.owner);
        reading.add(Problem::new(each.key_at, message).hint("keep one"));
    }
    Expansion {
        product: product.map(|entry| self::product(entry, fields, reading)).unwrap_or_default(),
        each: each.and_then(|entry| self::each(entry, fields, reading)),
        at: product.or(each).map(|entry| entry.key_at),
    }
}

fn product(entry: &Entry, fields: &Fields<'_>, reading: &mut Reading<'_>) -> Vec<(String, Source)> {
    let owner = fields.named("expand");
    let Some(map) = entry.value.map().filter(|map| !map.is_empty()) else {
        let empty =
            if entry.value.map().is_some() { "an empty one".to_owned() } else { entry.value.describe() };
        let message = format!("{owner} must be a mapping of names to lists, not {empty}");
        let hint = if entry.value.list().is_some() {
            "for a list of mappings, each of which sets several names, write `expand_kwargs`"
        } else {
            "for example {origin: [EWR, JFK]}"
        };
        reading.add(Problem::new(entry.value.at, message).hint(hint));
        return Vec::new();
    };
    let mut sources = Vec::with_capacity(map.len());
    for (name, entry) in map {
        let checked = check_name(name, entry.key_at).map_err(|problem| problem.of(&owner));
        let found = source(&entry.value, &owner, reading);
        if let (Some(()), Some(source)) = (reading.keep(checked), found) {
            sources.push((name.clone(), source));
        }
    }
    sources
}

fn each(entry: &Entry, fields: &Fields<'_>, reading: &mut Reading<'_>) -> Option<Source> {
    let owner = fields.named("expand_kwargs");
    let elements = entry.value.list().unwrap_or_default();
    for element in elements {
        let Some(map) = element.map() else {
            let message =
                format!("{owner}: an element must be a mapping of names, not {}", element.describe());
            reading.add(Problem::new(element.at, message).hint("for example [{origin: EWR, month: 1}]"));
            return None;
        };
        for (name, entry) in map {
            let checked = check_name(name, entry.key_at).map_err(|problem| problem.of(&owner));
            reading.keep(checked)?;
        }
    }
    match source(&entry.value, &owner, reading)? {
        Source::Zip { .. } => {
            let problem = Problem::new(entry.value.at, format!("{owner}: what `zip` makes are lists"));
            reading.add(problem.hint("each element must be a mapping of names"));
            None
        }
        source @ (Source::List(_) | Source::XCom { .. } | Source::Concat(_)) => Some(source),
    }
}

/// Refuses tasks of which the file alone asks for more instances than its DAG allows.
pub(super) fn check_lengths(items: &[Item], most: u32, reading: &mut Reading<'_>) {
    // A group comes before what is in it.
    let mut lengths: Vec<usize> = Vec::with_capacity(items.len());
    for item in items {
        let around = item.parent.and_then(|parent| lengths.get(parent)).copied().unwrap_or(1);
        let length = around.saturating_mul(item.expansion.written());
        if let Some(at) = item.expansion.at.filter(|_| length > most as usize) {
            let message = format!(
                "{}: {length} instances are more than the {most} one mapped task may have",
                item.named()
            );
            reading.add(Problem::new(at, message).hint("a DAG may allow more with `max_map_length`"));
        }
        lengths.push(length);
    }
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

fn source(node: &Rc<Node>, owner: &str, reading: &mut Reading<'_>) -> Option<Source> {
    let wanted = |message: String| {
        let problem = Problem::new(node.at, message).of(owner);
        problem.hint("write a list, or \"{{ ti.xcom_pull('task') }}\" for what an upstream left")
    };
    match &node.kind {
        Kind::List(list) => Some(Source::List(list.iter().map(|item| item.json()).collect())),
        Kind::Map(_) => combined(node, owner, reading),
        Kind::Scalar(scalar) => {
            let Some((task, key)) = pull(&scalar.text).filter(|_| !node.is_null()) else {
                reading.add(wanted(format!("this must be a list, not {}", node.describe())));
                return None;
            };
            Some(Source::XCom { task, key, at: node.at })
        }
    }
}

// `{zip: [...], fillvalue: ...}` or `{concat: [...]}`.
fn combined(node: &Rc<Node>, owner: &str, reading: &mut Reading<'_>) -> Option<Source> {
    let fields = Fields::open(node, node.at, format!("the source in {owner}"), Place::Source, reading)?;
    let fillvalue = fields.entry("fillvalue");
    match (fields.entry("zip"), fields.entry("concat")) {
        (Some(zip), None) => {
            let fillvalue = fillvalue.map(|entry| entry.value.json());
            parts(zip, &fields, reading).map(|of| Source::Zip { of, fillvalue })
        }
        (None, Some(concat)) => {
            if let Some(entry) = fillvalue {
                let message = format!("{}: `fillvalue` belongs to `zip`", fields.owner);
                reading.add(Problem::new(entry.key_at, message));
            }
            parts(concat, &fields, reading).map(Source::Concat)
        }
        (Some(_), Some(second)) => {
            let message = format!("{} has both `zip` and `concat`", fields.owner);
            reading.add(Problem::new(second.key_at, message).hint("one may stand within the other"));
            None
        }
        (None, None) => {
            if !fields.has_strangers {
                let message = format!("{} must be a list, not {}", fields.owner, node.describe());
                reading.add(Problem::new(node.at, message).hint("or {zip: [...]}, or {concat: [...]}"));
            }
            None
        }
    }
}

fn parts(entry: &Entry, fields: &Fields<'_>, reading: &mut Reading<'_>) -> Option<Vec<Source>> {
    let list = entry.value.list().filter(|list| !list.is_empty());
    let Some(list) = list else {
        let message = format!("{} must be a list of lists, not {}", fields.owner, entry.value.describe());
        reading.add(Problem::new(entry.value.at, message).hint("for example {zip: [[1, 2], [a, b]]}"));
        return None;
    };
    list.iter().map(|part| source(part, &fields.owner, reading)).collect()
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
