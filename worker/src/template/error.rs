//! What is wrong with a template, and where.

use minijinja::{ErrorKind, Value};

use super::instance::attributes;
use super::lookups::Lookups;
use super::{engine, scope};
use crate::backend::Unavailable;

/// Why a text could not be rendered. The text names the field, the place in it and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Error {
    message: String,
    /// A retry cannot mend it.
    pub(crate) for_good: bool,
}

impl Error {
    /// From what the engine says.
    pub(super) fn of(
        field: &str,
        text: &str,
        error: &minijinja::Error,
        scope: &Value,
        lookups: &Lookups,
    ) -> Error {
        let place = place(text, error)
            .map_or(String::new(), |(line, column)| format!(", line {line}, column {column}"));
        let what = described(text, error, scope);
        // Another try may find other variables and XComs, but not another template or connection.
        let for_good =
            is_fault_of_template(error.kind()) || lookups.is_untouched() || lookups.missed_a_connection();
        Error { message: format!("template error in `{field}`{place}: {what}"), for_good }
    }

    /// The template never stopped asking.
    pub(super) fn too_many(field: &str, rounds: usize) -> Error {
        Error {
            message: format!("the template in `{field}` asks for more than {rounds} values"),
            for_good: true,
        }
    }

    /// The value is nested too deeply.
    pub(super) fn too_deep(field: &str, depth: usize) -> Error {
        Error { message: format!("`{field}` is nested more than {depth} levels deep"), for_good: true }
    }

    /// There is no such connection.
    pub(super) fn no_connection(field: &str, conn_id: &str) -> Error {
        let message = format!(
            "`{field}` names the connection `{conn_id}`, which does not exist; add it with `tradewind connections add {conn_id} --conn-uri URI`, or set TRADEWIND_CONN_{}",
            conn_id.to_uppercase()
        );
        Error { message, for_good: true }
    }

    /// The environment has something else in the place of a connection.
    pub(super) fn bad_connection(field: &str, conn_id: &str, message: String) -> Error {
        Error { message: format!("`{field}` needs the connection `{conn_id}`: {message}"), for_good: true }
    }

    /// The records could not be asked; they can be again some time.
    pub(super) fn unavailable(field: &str, error: &Unavailable) -> Error {
        Error { message: format!("`{field}`: {error}"), for_good: false }
    }

    /// The data are not what the template needs.
    pub(super) fn data(field: &str, message: String) -> Error {
        Error { message: format!("`{field}`: {message}"), for_good: true }
    }
}

/// `; did you mean X?`, when one of the known names is close.
pub(super) fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let close = known.into_iter().map(|known| (strsim::damerau_levenshtein(name, known), known)).min();
    match close {
        Some((distance, known)) if distance > 0 && distance <= (name.chars().count() / 3).max(1) => {
            format!("; did you mean `{known}`?")
        }
        Some(_) | None => String::new(),
    }
}

fn is_fault_of_template(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::SyntaxError
            | ErrorKind::UnknownFilter
            | ErrorKind::UnknownTest
            | ErrorKind::UnknownFunction
            | ErrorKind::TemplateNotFound
            | ErrorKind::TooManyArguments
            | ErrorKind::MissingArgument
            | ErrorKind::BadEscape
            | ErrorKind::OutOfFuel
    )
}

/// Line and column, both counted from 1.
fn place(text: &str, error: &minijinja::Error) -> Option<(usize, usize)> {
    let before = error.range().and_then(|range| text.get(..range.start));
    match before {
        Some(before) => {
            let start = before.rfind('\n').map_or(0, |at| at + 1);
            Some((before.matches('\n').count() + 1, before[start..].chars().count() + 1))
        }
        None => error.line().map(|line| (line, 1)),
    }
}

fn described(text: &str, error: &minijinja::Error, scope: &Value) -> String {
    let detail = error.detail().unwrap_or_default();
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    let kind = error.kind();
    if kind == ErrorKind::UndefinedError {
        return undefined(text, detail, scope);
    }
    if kind == ErrorKind::OutOfFuel {
        return "it takes too many steps; is there an endless loop?".to_owned();
    }
    if kind == ErrorKind::WriteFailure {
        return format!("the result is longer than {} bytes", engine::LONGEST);
    }
    let hint = if kind == ErrorKind::SyntaxError && text.contains("{#") {
        "; `{#` begins a comment in templates: in a shell script write {% raw %} and {% endraw %} around it"
    } else if detail.contains("unsupported types") {
        "; dates are moved by .add(days=1) and .subtract(days=1)"
    } else {
        ""
    };
    match (kind == ErrorKind::InvalidOperation, detail) {
        (_, "") => format!("{kind}{cause}{hint}"),
        (true, detail) => format!("{detail}{cause}{hint}"),
        (false, detail) => format!("{kind}: {detail}{cause}{hint}"),
    }
}

/// Names what is not defined and, where one is near, what was probably meant.
fn undefined(text: &str, detail: &str, scope: &Value) -> String {
    let quoted = detail.split('`').nth(1).or_else(|| detail.split('\'').nth(1));
    if let Some(path) = quoted.or_else(|| detail.split_whitespace().find(|word| word.contains('.'))) {
        let (root, rest) = path.split_once('.').unwrap_or((path, ""));
        let owner = scope.get_attr(root).unwrap_or_default();
        if !rest.is_empty() && !owner.is_undefined() {
            let hint = suggestion(rest, attributes(&owner));
            return format!("`{path}` is not defined{hint}");
        }
    }
    let globals = engine::globals();
    let unknown = engine::names(text).into_iter().find(|name| {
        let defined = scope.get_attr(name).is_ok_and(|value| !value.is_undefined());
        !defined && !globals.contains(name)
    });
    match unknown {
        Some(name) if scope::NEED_A_DATE.contains(&name.as_str()) => {
            format!(
                "`{name}` is not defined, because this run has no logical date; `run_id` and `dag_run.run_after` are always there"
            )
        }
        Some(name) => {
            let names = scope::names(scope);
            let hint =
                suggestion(&name, names.iter().map(String::as_str).chain(globals.iter().map(String::as_str)));
            format!("`{name}` is not defined{hint}")
        }
        None if detail.is_empty() => "something in it is not defined".to_owned(),
        None => format!("undefined value: {detail}"),
    }
}
