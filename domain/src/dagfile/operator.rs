//! What a task does: the one key that chooses its operator.

use indexmap::IndexMap;

use super::{
    approval,
    diagnostic::{Problem, alternatives},
    fields::Fields,
    keys::{METHODS, OPERATORS, Place},
    node::{At, Entry, Node, shown},
    reading::Reading,
    special,
    suggest::did_you_mean,
    values, waiting,
};
use crate::dag::Operator;

/// Reads the operator; `None` when the task has none that can be used, which has then been told.
pub(super) fn read(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Option<Operator> {
    let chosen: Vec<(&'static str, &Entry)> =
        OPERATORS.iter().filter_map(|key| fields.entry(key.name).map(|entry| (key.name, entry))).collect();
    match chosen.as_slice() {
        [] => {
            // A misspelt operator has been told already.
            if !fields.has_strangers {
                reading.add(none(fields));
            }
            None
        }
        [(name, entry)] => one(name, entry, fields, reading),
        [..] => {
            reading.add(several(fields, &chosen));
            None
        }
    }
}

fn none(fields: &Fields<'_>) -> Problem {
    let names = alternatives(OPERATORS.iter().map(|key| key.name), "or");
    Problem::new(fields.at, format!("{} does nothing", fields.owner))
        .hint(format!("give it one of {names}, or `tasks` to make it a group"))
}

fn several(fields: &Fields<'_>, chosen: &[(&'static str, &Entry)]) -> Problem {
    let mut places: Vec<(At, &str)> = chosen.iter().map(|(name, entry)| (entry.key_at, *name)).collect();
    places.sort_by_key(|(at, _)| (at.line, at.column));
    let names = alternatives(places.iter().map(|(_, name)| *name), "and");
    let second = places.get(1).map_or(fields.at, |(at, _)| *at);
    Problem::new(second, format!("{} does more than one thing: {names}", fields.owner))
        .hint("keep one, or make two tasks of it")
}

fn one(
    name: &'static str,
    entry: &Entry,
    fields: &Fields<'_>,
    reading: &mut Reading<'_>,
) -> Option<Operator> {
    let owner = fields.named(name);
    match name {
        "bash" => {
            fields.get(name, reading, |node| values::text(node)).map(|command| Operator::Bash { command })
        }
        "python" => python(entry, owner, reading),
        "sql" => sql(entry, owner, reading),
        "http" => http(entry, owner, reading),
        "branch" => {
            let (fields, key, program) = special::program(entry, owner, Place::Branch, reading)?;
            let program = one(key, program, &fields, reading)?;
            Some(Operator::Branch { program: Box::new(program) })
        }
        "short_circuit" => {
            let (fields, key, program) = special::program(entry, owner, Place::ShortCircuit, reading)?;
            let program = one(key, program, &fields, reading)?;
            Some(special::short_circuit(&fields, program, reading))
        }
        "wait_for" => waiting::wait_for(entry, owner, reading),
        "approval" => approval::read(entry, owner, reading),
        "trigger_dag" => waiting::trigger_dag(entry, owner, reading),
        "latest_only" => nothing(entry, &owner, reading).then_some(Operator::LatestOnly),
        _ => nothing(entry, &owner, reading).then_some(Operator::Empty),
    }
}

fn python(entry: &Entry, owner: String, reading: &mut Reading<'_>) -> Option<Operator> {
    if entry.value.list().is_some() {
        reading.add(Problem::new(
            entry.value.at,
            format!("{owner} must be a program or {{file: program.py}}, not a list"),
        ));
        return None;
    }
    if entry.value.map().is_none() {
        let source = reading.keep(values::text(&entry.value).map_err(|problem| problem.of(&owner)))?;
        return Some(Operator::Python { source, file: None });
    }
    let fields = Fields::open(&entry.value, entry.key_at, owner, Place::Python, reading)?;
    let Some(file) = fields.entry("file") else {
        if !fields.has_strangers {
            reading.add(
                Problem::new(entry.key_at, format!("{} needs a `file`", fields.owner))
                    .hint("or write the program itself as a text"),
            );
        }
        return None;
    };
    let (source, file) = file_text(&file.value, &fields.named("file"), reading)?;
    Some(Operator::Python { source, file: Some(file) })
}

fn sql(entry: &Entry, owner: String, reading: &mut Reading<'_>) -> Option<Operator> {
    if entry.value.map().is_none() {
        let problem = Problem::new(
            entry.value.at,
            format!("{owner} must be a mapping, this is {}", entry.value.describe()),
        );
        reading.add(problem.hint("for example {conn_id: warehouse, sql: select 1}"));
        return None;
    }
    let fields = Fields::open(&entry.value, entry.key_at, owner, Place::Sql, reading)?;
    if !fields.has("conn_id") && !fields.has_strangers {
        reading.add(
            Problem::new(entry.key_at, format!("{} needs a `conn_id`", fields.owner))
                .hint("the connection the statements run on"),
        );
    }
    let conn_id = fields.get("conn_id", reading, |node| values::text(node));
    let text = match (fields.entry("sql"), fields.entry("file")) {
        (Some(_), None) => fields.get("sql", reading, |node| values::text(node)).map(|sql| (sql, None)),
        (None, Some(file)) => {
            file_text(&file.value, &fields.named("file"), reading).map(|(text, file)| (text, Some(file)))
        }
        (Some(_), Some(file)) => {
            reading.add(
                Problem::new(file.key_at, format!("{} has both `sql` and `file`", fields.owner))
                    .hint("keep one"),
            );
            None
        }
        (None, None) => {
            if !fields.has_strangers {
                reading.add(Problem::new(
                    entry.key_at,
                    format!("{} needs its statements: `sql` or `file`", fields.owner),
                ));
            }
            None
        }
    };
    let (sql, file) = text?;
    Some(Operator::Sql { conn_id: conn_id?, sql, file })
}

fn file_text(node: &Node, owner: &str, reading: &mut Reading<'_>) -> Option<(String, String)> {
    let read = values::text(node).and_then(|path| {
        let text = reading.fetch(&path, node.at)?;
        if text.trim().is_empty() {
            return Err(Problem::new(node.at, format!("`{}` is empty", shown(&path))));
        }
        Ok((text, path))
    });
    reading.keep(read.map_err(|problem| problem.of(owner)))
}

fn http(entry: &Entry, owner: String, reading: &mut Reading<'_>) -> Option<Operator> {
    if entry.value.list().is_some() {
        reading.add(Problem::new(
            entry.value.at,
            format!("{owner} must be a URL or a mapping with a `url`, not a list"),
        ));
        return None;
    }
    if entry.value.map().is_none() {
        let url = values::text(&entry.value).and_then(|url| check_url(url, &entry.value));
        let url = reading.keep(url.map_err(|problem| problem.of(&owner)))?;
        return Some(Operator::Http {
            conn_id: None,
            method: "GET".into(),
            url,
            headers: IndexMap::new(),
            body: None,
        });
    }
    let fields = Fields::open(&entry.value, entry.key_at, owner, Place::Http, reading)?;
    if !fields.has("url") && !fields.has_strangers {
        reading.add(Problem::new(entry.key_at, format!("{} needs a `url`", fields.owner)));
    }
    let conn_id = fields.given("conn_id", reading, |node| values::text(node)).flatten();
    let url = fields.get("url", reading, |node| {
        let url = values::text(node)?;
        if fields.has("conn_id") { Ok(url) } else { check_url(url, node) }
    });
    let method = fields.get("method", reading, |node| method(node));
    let headers =
        fields.get("headers", reading, |node| values::texts_by_name(node, check_header)).unwrap_or_default();
    let body = fields.get("body", reading, |node| Ok(node.json()));
    Some(Operator::Http {
        conn_id,
        method: method.unwrap_or_else(|| "GET".into()),
        url: url?,
        headers: headers.into_iter().collect(),
        body,
    })
}

/// Without a connection the URL must be whole, unless a template will say so.
pub(super) fn check_url(url: String, node: &Node) -> Result<String, Problem> {
    let start = url.trim_start();
    if start.starts_with("http://")
        || start.starts_with("https://")
        || start.starts_with("{{")
        || start.starts_with("{%")
    {
        return Ok(url);
    }
    Err(Problem::new(node.at, format!("`{}` is not a whole URL", shown(&url)))
        .hint("start it with https:// or http://, or name a connection with `conn_id`"))
}

fn method(node: &Node) -> Result<String, Problem> {
    let given = values::text(node)?;
    let upper = given.to_ascii_uppercase();
    if METHODS.contains(&upper.as_str()) {
        return Ok(upper);
    }
    Err(Problem::new(node.at, format!("`{}` is not an HTTP method", shown(&given)))
        .hint(format!("use {}", alternatives(METHODS.iter().copied(), "or")))
        .maybe(did_you_mean(&upper, METHODS.iter().copied())))
}

pub(super) fn check_header(name: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if !name.is_empty() && name.len() <= 250 && name.chars().all(legal) {
        return Ok(());
    }
    Err(format!("`{}` cannot name a header", shown(name)))
}

fn nothing(entry: &Entry, owner: &str, reading: &mut Reading<'_>) -> bool {
    let nothing = entry.value.is_null() || entry.value.map().is_some_and(IndexMap::is_empty);
    if !nothing {
        let message = format!("{owner} takes nothing, not {}", entry.value.describe());
        let key = owner.split('`').nth(1).unwrap_or("empty");
        reading.add(Problem::new(entry.value.at, message).hint(format!("write `{key}: {{}}`")));
    }
    nothing
}
