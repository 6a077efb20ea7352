//! Readers of single values: each takes a node and gives a checked value, or says at its place what it should have been.

use std::rc::Rc;

use chrono_tz::{TZ_VARIANTS, Tz};
use serde_json::Value;

use super::{
    diagnostic::{Problem, alternatives},
    node::{Node, shown},
    suggest::did_you_mean,
};
use crate::{dag::WeightRule, id, span::Span, trigger_rule::TriggerRule};

fn wrong(node: &Node, wanted: &str) -> Problem {
    let problem = Problem::new(node.at, format!("this must be {wanted}, not {}", node.describe()));
    if node.is_null() { Problem::new(node.at, format!("a value is missing: {wanted}")) } else { problem }
}

/// A text that is not blank.
pub(super) fn text(node: &Node) -> Result<String, Problem> {
    let Some(scalar) = node.scalar() else {
        return Err(wrong(node, "a text"));
    };
    match &scalar.value {
        Value::String(text) if text.trim().is_empty() => Err(Problem::new(node.at, "the text is empty")),
        Value::String(text) if text.contains('\0') => {
            Err(Problem::new(node.at, "the text contains a NUL character"))
        }
        Value::String(text) => Ok(text.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            let problem = wrong(node, "a text");
            Err(if node.is_null() {
                problem
            } else {
                problem.hint(format!("put it in quotes: \"{}\"", shown(&scalar.text)))
            })
        }
    }
}

/// A text, number or truth value as it was written; may be empty when quoted.
pub(super) fn any_text(node: &Node) -> Result<String, Problem> {
    match node.scalar() {
        Some(scalar) if scalar.text.contains('\0') => {
            Err(Problem::new(node.at, "the text contains a NUL character"))
        }
        Some(scalar) if !node.is_null() => Ok(scalar.text.clone()),
        Some(_) => Err(wrong(node, "a text").hint("write \"\" for an empty one")),
        None => Err(wrong(node, "a text")),
    }
}

pub(super) fn flag(node: &Node) -> Result<bool, Problem> {
    match node.scalar().map(|scalar| &scalar.value) {
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(Value::String(text)) => Err(wrong(node, "true or false").maybe(meant_flag(text))),
        _ => Err(wrong(node, "true or false")),
    }
}

/// YAML 1.2 has no `yes` and `on`, and nothing in quotes is a truth value.
fn meant_flag(text: &str) -> Option<String> {
    let meant = match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => "true",
        "false" | "no" | "off" => "false",
        _ => return None,
    };
    Some(format!("write {meant}, without quotes"))
}

/// A whole number from `least` to `most`.
pub(super) fn whole<T: TryFrom<i64>>(node: &Node, least: i64, most: i64) -> Result<T, Problem> {
    let Some(Value::Number(number)) = node.scalar().map(|scalar| &scalar.value) else {
        let quoted = node.scalar().is_some_and(|scalar| scalar.text.parse::<i64>().is_ok());
        return Err(wrong(node, "a whole number").maybe(quoted.then(|| "remove the quotes".to_owned())));
    };
    if number.is_f64() {
        return Err(wrong(node, "a whole number"));
    }
    let told = |bound: &str| Problem::new(node.at, format!("this must be {bound}, not {number}"));
    match number.as_i64() {
        Some(value) if value < least => Err(told(&format!("at least {least}"))),
        Some(value) if value <= most => T::try_from(value).map_err(|_| told(&format!("at most {most}"))),
        Some(_) | None => Err(told(&format!("at most {most}"))),
    }
}

/// How many times longer each wait is: `true` doubles, `false` keeps.
pub(super) fn backoff(node: &Node) -> Result<f64, Problem> {
    const MOST: f64 = 100.0;
    match node.scalar().map(|scalar| &scalar.value) {
        Some(Value::Bool(doubles)) => Ok(if *doubles { 2.0 } else { 0.0 }),
        Some(Value::Number(number)) => match number.as_f64() {
            Some(0.0) => Ok(0.0),
            Some(factor) if (1.0..=MOST).contains(&factor) => Ok(factor),
            Some(_) | None => {
                Err(Problem::new(node.at, format!("a factor is from 1 to {MOST}, not {number}")))
            }
        },
        _ => Err(wrong(node, "true, false or a factor such as 2")),
    }
}

pub(super) fn span(node: &Node) -> Result<Span, Problem> {
    match node.scalar() {
        Some(scalar) if !node.is_null() => {
            let problem = |error| Problem::new(node.at, format!("{error}"));
            let parsed = scalar.text.parse::<Span>().map_err(problem);
            let seconds = scalar.value.is_number() && scalar.text.bytes().all(|byte| byte.is_ascii_digit());
            parsed.map_err(|problem| {
                problem.maybe(seconds.then(|| format!("did you mean `{}s`?", shown(&scalar.text))))
            })
        }
        _ => Err(wrong(node, "a duration such as 30s, 10m, 2h or 1d")),
    }
}

/// A duration that is not zero.
pub(super) fn positive_span(node: &Node) -> Result<Span, Problem> {
    let read = span(node)?;
    if read.as_millis() == 0 {
        Err(Problem::new(node.at, "the duration must be longer than 0"))
    } else {
        Ok(read)
    }
}

pub(super) fn zone(node: &Node) -> Result<Tz, Problem> {
    let name = text(node)?;
    name.parse().map_err(|_| {
        let problem = Problem::new(node.at, format!("`{}` is not a time zone", shown(&name)));
        problem.hint("use a name of the IANA database such as Europe/Berlin").maybe(zone_hint(&name))
    })
}

fn zone_hint(name: &str) -> Option<String> {
    let names = || TZ_VARIANTS.iter().map(|zone| zone.name());
    let city = |zone: &&str| {
        zone.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(&name.replace(' ', "_")))
    };
    names().find(city).map(|zone| format!("did you mean `{zone}`?")).or_else(|| did_you_mean(name, names()))
}

/// A name of one of the kinds of [`id`].
pub(super) fn name<T: std::str::FromStr<Err = id::Error>>(node: &Node) -> Result<T, Problem> {
    text(node)?.parse().map_err(|error: id::Error| Problem::new(node.at, error.to_string()))
}

pub(super) fn trigger_rule(node: &Node) -> Result<TriggerRule, Problem> {
    let rules = TriggerRule::ALL.iter().map(|rule| (rule.as_str(), *rule));
    one_of(node, "trigger rule", rules)
}

/// The weight rules by name.
pub(super) const WEIGHT_RULES: [(&str, WeightRule); 3] = [
    ("downstream", WeightRule::Downstream),
    ("upstream", WeightRule::Upstream),
    ("absolute", WeightRule::Absolute),
];

pub(super) fn weight_rule(node: &Node) -> Result<WeightRule, Problem> {
    one_of(node, "weight rule", WEIGHT_RULES.into_iter())
}

/// One of `choices` by its name; `kind` says what they are.
pub(super) fn one_of<T: Copy>(
    node: &Node,
    kind: &str,
    choices: impl Iterator<Item = (&'static str, T)> + Clone,
) -> Result<T, Problem> {
    let given = text(node)?;
    if let Some((_, choice)) = choices.clone().find(|(name, _)| *name == given) {
        return Ok(choice);
    }
    let names = || choices.clone().map(|(name, _)| name);
    let problem = Problem::new(node.at, format!("`{}` is not a {kind}", shown(&given)));
    Err(problem.hint(format!("use {}", alternatives(names(), "or"))).maybe(did_you_mean(&given, names())))
}

/// A list, each element read by `read`.
pub(super) fn list<T>(node: &Node, read: impl Fn(&Node) -> Result<T, Problem>) -> Result<Vec<T>, Problem> {
    let Some(items) = node.list() else {
        return Err(wrong(node, "a list"));
    };
    items.iter().map(|item: &Rc<Node>| read(item)).collect()
}

/// A mapping of names to texts, sorted by name because its order means nothing.
pub(super) fn texts_by_name(
    node: &Node,
    check: impl Fn(&str) -> Result<(), String>,
) -> Result<Vec<(String, String)>, Problem> {
    let Some(map) = node.map() else {
        return Err(wrong(node, "a mapping of names to texts"));
    };
    let mut texts = Vec::with_capacity(map.len());
    for (name, entry) in map {
        check(name).map_err(|why| Problem::new(entry.key_at, why))?;
        let text = any_text(&entry.value).map_err(|problem| problem.of(&format!("`{}`", shown(name))))?;
        texts.push((name.clone(), text));
    }
    texts.sort();
    Ok(texts)
}

/// A name such as programming languages allow: letters, digits and `_`, not a digit first.
pub(super) fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && chars.all(|c| c.is_ascii_alphanumeric() || c == '_') && name.len() <= 250
}
