//! YAML values that know where they were written.

use std::rc::Rc;

use indexmap::IndexMap;
use serde_json::Value;

/// A place in the file. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    pub(super) line: u32,
    pub(super) column: u32,
    /// Characters to underline, at least 1.
    pub(super) width: u32,
}

/// One value.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: At,
    pub(super) kind: Kind,
    /// Levels of lists and mappings in it: 0 for a scalar.
    pub(super) height: usize,
    /// Values in it, itself included, with everything that aliases repeat.
    pub(super) weight: usize,
}

#[derive(Debug)]
pub(super) enum Kind {
    Scalar(Scalar),
    List(Vec<Rc<Node>>),
    Map(Map),
}

/// A text, number, truth value or nothing.
#[derive(Debug)]
pub(super) struct Scalar {
    /// As written, escapes resolved: `1.10` stays `1.10` where a text is wanted.
    pub(super) text: String,
    pub(super) value: Value,
}

/// A mapping in the order of the file.
pub(super) type Map = IndexMap<String, Entry>;

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key_at: At,
    pub(super) value: Rc<Node>,
}

impl Node {
    /// Nothing was written, or `null` or `~`.
    pub(super) const fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(Scalar { value: Value::Null, .. }))
    }

    pub(super) const fn scalar(&self) -> Option<&Scalar> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(scalar),
            Kind::List(_) | Kind::Map(_) => None,
        }
    }

    pub(super) const fn map(&self) -> Option<&Map> {
        match &self.kind {
            Kind::Map(map) => Some(map),
            Kind::Scalar(_) | Kind::List(_) => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Rc<Self>]> {
        match &self.kind {
            Kind::List(list) => Some(list),
            Kind::Scalar(_) | Kind::Map(_) => None,
        }
    }

    /// What it is, in the words of a message.
    pub(super) fn describe(&self) -> String {
        match &self.kind {
            Kind::List(_) => "a list".into(),
            Kind::Map(_) => "a mapping".into(),
            Kind::Scalar(scalar) => match &scalar.value {
                Value::Null => "nothing".into(),
                Value::Bool(_) => format!("`{}`", scalar.text),
                Value::Number(_) => format!("the number {}", shown(&scalar.text)),
                Value::String(_) => format!("the text `{}`", shown(&scalar.text)),
                Value::Array(_) | Value::Object(_) => "a value".into(),
            },
        }
    }

    /// The same as JSON, without places.
    pub(super) fn json(&self) -> Value {
        match &self.kind {
            Kind::Scalar(scalar) => scalar.value.clone(),
            Kind::List(list) => Value::Array(list.iter().map(|node| node.json()).collect()),
            Kind::Map(map) => {
                Value::Object(map.iter().map(|(key, entry)| (key.clone(), entry.value.json())).collect())
            }
        }
    }

    /// The place of the value that a JSON pointer leads to, or of the last one on the way that exists.
    pub(super) fn place_of(&self, pointer: &str) -> At {
        let mut here = self;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let next = match &here.kind {
                Kind::Scalar(_) => None,
                Kind::List(list) => step.parse::<usize>().ok().and_then(|index| list.get(index)),
                Kind::Map(map) => map.get(&step).map(|entry| &entry.value),
            };
            match next {
                Some(node) => here = node,
                None => break,
            }
        }
        here.at
    }
}

/// A piece of the user's text that is safe to repeat in a message: one line, not long, no control characters.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut short: String = text.chars().take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    printable(&short)
}

/// The text with its control characters escaped: it cannot break a line, or move a terminal's cursor.
pub(super) fn printable(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { plain.extend(c.escape_default()) } else { plain.push(c) }
    }
    plain
}
