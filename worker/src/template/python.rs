//! Values as Python shows them, and the methods of Python's texts, lists and dictionaries that templates call.

use minijinja::formatting::{FormatStyle, format};
use minijinja::value::{Kwargs, ObjectRepr, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};

/// `str(value)`.
pub(super) fn str_of(value: &Value) -> String {
    if value.kind() == ValueKind::String { value.to_string() } else { repr(value) }
}

fn repr(value: &Value) -> String {
    match value.kind() {
        ValueKind::None => "None".to_owned(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.to_owned(),
        ValueKind::Number => number(value),
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Seq if is_tuple(value) => tuple(value),
        ValueKind::Seq => format!("[{}]", joined(value)),
        ValueKind::Map if is_plain_map(value) => dict(value),
        ValueKind::Undefined
        | ValueKind::Bytes
        | ValueKind::Map
        | ValueKind::Iterable
        | ValueKind::Plain
        | ValueKind::Invalid => value.to_string(),
        // The list of kinds may grow with the engine.
        _ => value.to_string(),
    }
}

fn is_tuple(value: &Value) -> bool {
    value.is_tuple()
}

fn is_plain_map(value: &Value) -> bool {
    value.as_object().is_some_and(|object| object.repr() == ObjectRepr::Map)
}

fn tuple(value: &Value) -> String {
    let comma = if value.len() == Some(1) { "," } else { "" };
    format!("({}{comma})", joined(value))
}

fn joined(value: &Value) -> String {
    let items = value.try_iter().into_iter().flatten();
    items.map(|item| repr(&item)).collect::<Vec<_>>().join(", ")
}

fn dict(value: &Value) -> String {
    let keys = value.try_iter().into_iter().flatten();
    let pairs =
        keys.map(|key| format!("{}: {}", repr(&key), repr(&value.get_item(&key).unwrap_or_default())));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}

fn number(value: &Value) -> String {
    let text = value.to_string();
    // Rust writes 1e21 as a long row of zeros, Python switches to an exponent at 1e16.
    match text.parse::<f64>() {
        Ok(float) if !value.is_integer() && (float.abs() >= 1e16 || (float != 0.0 && float.abs() < 1e-4)) => {
            let exponent = format!("{float:e}");
            let (digits, power) = exponent.split_once('e').unwrap_or((&exponent, "0"));
            match power.strip_prefix('-') {
                Some(power) => format!("{digits}e-{power:0>2}"),
                None => format!("{digits}e+{power:0>2}"),
            }
        }
        Ok(_) | Err(_) => text,
    }
}

fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c == quote => quoted.extend(['\\', c]),
            c => quoted.push(c),
        }
    }
    quoted.push(quote);
    quoted
}

/// Calls a method that values have in Python and the engine does not know.
pub(super) fn call_method(
    _state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    if let Some(text) = value.as_str() {
        return text_method(text, method, args);
    }
    if value.kind() == ValueKind::Map {
        return dict_method(value, method, args);
    }
    if value.kind() == ValueKind::Seq {
        return list_method(value, method, args);
    }
    Err(Error::from(ErrorKind::UnknownMethod))
}

fn text_method(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let no_args = |result: String| from_args::<()>(args).map(|()| Value::from(result));
    match method {
        "upper" => no_args(text.to_uppercase()),
        "lower" => no_args(text.to_lowercase()),
        "capitalize" => no_args(capitalized(text)),
        "title" => no_args(titled(text)),
        "strip" | "lstrip" | "rstrip" => stripped(text, method, args),
        "split" => split(text, args),
        "splitlines" => from_args::<()>(args).map(|()| text.lines().map(Value::from).collect()),
        "replace" => {
            let (old, new): (&str, &str) = from_args(args)?;
            Ok(Value::from(text.replace(old, new)))
        }
        "startswith" => from_args::<(&str,)>(args).map(|(start,)| Value::from(text.starts_with(start))),
        "endswith" => from_args::<(&str,)>(args).map(|(end,)| Value::from(text.ends_with(end))),
        "find" => from_args::<(&str,)>(args).map(|(part,)| Value::from(found(text, part))),
        "count" => from_args::<(&str,)>(args).map(|(part,)| Value::from(text.matches(part).count())),
        "isdigit" => no_args(String::new()).map(|_| Value::from(all(text, |c| c.is_ascii_digit()))),
        "isalpha" => no_args(String::new()).map(|_| Value::from(all(text, char::is_alphabetic))),
        "zfill" => from_args::<(usize,)>(args).map(|(width,)| Value::from(filled(text, width))),
        "join" => joined_by(text, args),
        "removeprefix" => {
            from_args::<(&str,)>(args).map(|(start,)| Value::from(text.strip_prefix(start).unwrap_or(text)))
        }
        "removesuffix" => {
            from_args::<(&str,)>(args).map(|(end,)| Value::from(text.strip_suffix(end).unwrap_or(text)))
        }
        "format" => format(FormatStyle::StrFormat, text, args).map(Value::from),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn joined_by(separator: &str, args: &[Value]) -> Result<Value, Error> {
    let (items,): (Value,) = from_args(args)?;
    let items: Vec<String> = items.try_iter()?.map(|item| str_of(&item)).collect();
    Ok(Value::from(items.join(separator)))
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    first + &chars.as_str().to_lowercase()
}

fn titled(text: &str) -> String {
    let mut inside = false;
    let mut titled = String::with_capacity(text.len());
    for c in text.chars() {
        if inside {
            titled.extend(c.to_lowercase())
        } else {
            titled.extend(c.to_uppercase())
        }
        inside = c.is_alphabetic();
    }
    titled
}

fn stripped(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let (chars,): (Option<&str>,) = from_args(args)?;
    let strip = |c: char| chars.map_or(c.is_whitespace(), |chars| chars.contains(c));
    Ok(Value::from(match method {
        "lstrip" => text.trim_start_matches(strip),
        "rstrip" => text.trim_end_matches(strip),
        _ => text.trim_matches(strip),
    }))
}

fn split(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (separator, most): (Option<&str>, Option<i64>) = from_args(args)?;
    let most = most.and_then(|most| usize::try_from(most).ok());
    Ok(match (separator, most) {
        (Some(""), _) => return Err(Error::new(ErrorKind::InvalidOperation, "empty separator")),
        (Some(separator), None) => text.split(separator).map(Value::from).collect(),
        (Some(separator), Some(most)) => text.splitn(most + 1, separator).map(Value::from).collect(),
        (None, None) => text.split_whitespace().map(Value::from).collect(),
        (None, Some(most)) => {
            let mut words: Vec<Value> = Vec::new();
            let mut rest = text.trim_start();
            while !rest.is_empty() && words.len() < most {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                words.push(Value::from(&rest[..end]));
                rest = rest[end..].trim_start();
            }
            if !rest.is_empty() {
                words.push(Value::from(rest));
            }
            Value::from(words)
        }
    })
}

fn found(text: &str, part: &str) -> i64 {
    text.find(part).and_then(|at| i64::try_from(text[..at].chars().count()).ok()).unwrap_or(-1)
}

fn all(text: &str, is: fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(is)
}

fn filled(text: &str, width: usize) -> String {
    let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+'])));
    let missing = width.min(1000).saturating_sub(text.chars().count());
    format!("{sign}{}{digits}", "0".repeat(missing))
}

fn dict_method(dict: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let keys = || dict.try_iter().map(|keys| keys.collect::<Vec<Value>>());
    let of = |key: &Value| dict.get_item(key).unwrap_or_default();
    match method {
        "get" => {
            let (key, default): (&Value, Option<Value>) = from_args(args)?;
            let value = of(key);
            Ok(if value.is_undefined() { default.unwrap_or_else(|| Value::from(())) } else { value })
        }
        "keys" => keys().map(Value::from),
        "values" => Ok(keys()?.iter().map(of).collect()),
        "items" => Ok(keys()?.iter().map(|key| Value::from(vec![key.clone(), of(key)])).collect()),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn list_method(list: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    match method {
        "count" | "index" => {
            let (wanted, _rest): (&Value, Kwargs) = from_args(args)?;
            let mut items = list.try_iter()?;
            if method == "count" {
                return Ok(Value::from(items.filter(|item| item == wanted).count()));
            }
            let at = items.position(|item| item == *wanted);
            at.map(Value::from).ok_or_else(|| {
                Error::new(ErrorKind::InvalidOperation, format!("{wanted} is not in the list"))
            })
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_look_as_in_python() {
        let value =
            |text: &str| super::super::json::value(serde_json::from_str::<serde_json::Value>(text).unwrap());
        for (json, shown) in [
            ("null", "None"),
            ("true", "True"),
            ("\"it's\"", "it's"),
            ("[1, \"it's\", null, false]", "[1, \"it's\", None, False]"),
            ("{\"b\": [1.0], \"a\": \"x\\ny\"}", "{'b': [1.0], 'a': 'x\\ny'}"),
            ("1.0", "1.0"),
            ("1e22", "1e+22"),
            ("0.00001", "1e-05"),
            ("12345678901234567890", "12345678901234567890"),
        ] {
            assert_eq!(str_of(&value(json)), shown, "{json}");
        }
    }
}
