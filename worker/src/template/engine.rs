//! The engine: Jinja's rules where they matter to Airflow's users, and limits for everything.

use std::io::{self, Write};
use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};

use super::dates::{self, Moment};
use super::json;
use super::{is_template, python};

/// Steps that rendering one text may take.
const FUEL: u64 = 1_000_000;
/// Deepest nesting of macros and loops.
const RECURSION: usize = 100;
/// Longest text that may come out, in bytes.
pub(super) const LONGEST: usize = 4 << 20;

static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(engine);

/// Renders `text` once.
pub(super) fn render(text: &str, scope: &Value) -> Result<String, Error> {
    let template = ENGINE.template_from_named_str("", text)?;
    let mut limited = Limited(Vec::new());
    template.render_captured_to(scope.clone(), &mut limited)?;
    String::from_utf8(limited.0).map_err(|_| Error::new(ErrorKind::WriteFailure, "the result is not text"))
}

/// Whether an expression is true.
pub(super) fn holds(expression: &str, scope: &Value) -> Result<bool, Error> {
    Ok(ENGINE.compile_expression(expression)?.eval(scope.clone())?.is_true())
}

/// Says what is wrong with how an expression is written.
pub(super) fn check(expression: &str) -> Result<(), Error> {
    ENGINE.compile_expression(expression).map(|_| ())
}

/// The names that a template or an expression uses without defining them.
pub(super) fn names(text: &str) -> Vec<String> {
    let used = if is_template(text) {
        ENGINE.template_from_named_str("", text).map(|template| template.undeclared_variables(false))
    } else {
        ENGINE.compile_expression(text).map(|expression| expression.undeclared_variables(false))
    };
    let mut names: Vec<String> = used.map(|used| used.into_iter().collect()).unwrap_or_default();
    names.sort();
    names
}

/// The names that are there without any context.
pub(super) fn globals() -> Vec<String> {
    ENGINE.globals().map(|(name, _)| name.to_owned()).collect()
}

fn engine() -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_auto_escape_callback(|_| AutoEscape::None);
    engine.set_fuel(Some(FUEL));
    engine.set_recursion_limit(RECURSION);
    engine.set_debug(true);
    engine.set_formatter(|out, _, value| {
        let text = if value.is_undefined() { String::new() } else { python::str_of(value) };
        Ok(out.write_str(&text)?)
    });
    engine.set_unknown_method_callback(python::call_method);
    // It would print the whole context, secrets included.
    engine.remove_global("debug");
    for form in ["ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz"] {
        engine.add_filter(form, move |value: &Value| short(form, value));
    }
    engine.add_filter("fromjson", |text: &str| from_json(text));
    engine
}

fn short(form: &str, value: &Value) -> Result<String, Error> {
    let moment = match (value.downcast_object_ref::<Moment>(), value.as_str()) {
        (Some(moment), _) => *moment,
        (None, Some(text)) => dates::parse(text)?,
        (None, None) => {
            return Err(Error::new(ErrorKind::InvalidOperation, format!("`{form}` needs a date")));
        }
    };
    Ok(moment.short(form).unwrap_or_default())
}

fn from_json(text: &str) -> Result<Value, Error> {
    let value: serde_json::Value = serde_json::from_str(text)
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))?;
    Ok(json::value(value))
}

/// A text that refuses to grow without end.
struct Limited(Vec<u8>);

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST {
            return Err(io::Error::other(format!("the result is longer than {LONGEST} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
