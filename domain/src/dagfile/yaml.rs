//! From the text of one document to a tree of [`Node`]s.
//!
//! What YAML allows and this format does not is refused here: keys that are no texts, keys that appear twice, tags of one's own.
//! Depth and size are bounded, those that aliases multiply included.

use std::{collections::HashMap, rc::Rc};

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};
use indexmap::map;
use serde_json::Value;

use super::{
    diagnostic::Problem,
    node::{At, Entry, Kind, Map, Node, Scalar, shown},
    scalar,
    split::Piece,
    syntax,
};

/// Most levels of lists and mappings inside each other.
pub(super) const MAX_DEPTH: usize = 64;
/// Most values in one document, counting those behind an alias each time it is used.
pub(super) const MAX_NODES: usize = 1_000_000;

/// The document's value, if it has one, and what was wrong without making the rest unreadable.
pub(super) fn load(piece: &Piece<'_>) -> Result<(Option<Rc<Node>>, Vec<Problem>), Problem> {
    let mut options = granit_parser::options! { emit_unresolved_aliases: false };
    options.set_emit_comments(false);
    let mut builder = Builder {
        parser: Parser::new_from_str_with_options(piece.text, options),
        piece,
        anchors: HashMap::new(),
        nodes: 0,
        problems: Vec::new(),
    };
    let root = builder.document()?;
    Ok((root, builder.problems))
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    piece: &'a Piece<'a>,
    anchors: HashMap<usize, Rc<Node>>,
    nodes: usize,
    problems: Vec<Problem>,
}

impl<'a> Builder<'a> {
    fn document(&mut self) -> Result<Option<Rc<Node>>, Problem> {
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::StreamEnd) {
                return Ok(None);
            }
            if event.is_node() {
                let root = self.node(event, span, 0)?;
                // The rest is read too: what follows a complete value may be broken.
                while !matches!(self.next()?.0, Event::StreamEnd) {}
                return Ok(if root.is_null() { None } else { Some(root) });
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Problem> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(syntax::explain(&error, self.piece)),
            None => Err(Problem::new(
                At { line: 1, column: 1, width: 1 },
                "the document ends in the middle of a value",
            )),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "only a mapping is left of what may start a value")]
    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Rc<Node>, Problem> {
        let at = self.place(span);
        let anchor = event.anchor_id();
        if let Some(tag) = event.tag() {
            check_tag(tag, span.tag_span().map_or(at, |span| self.place(span)))?;
        }
        let node = match event {
            Event::Alias(id) => return self.repeat(id, at, depth),
            Event::Scalar(text, style, _, tag) => leaf(at, text.into_owned(), is_text(style, tag.as_deref())),
            Event::SequenceStart(..) => self.list(at, depth)?,
            _ => self.map(at, depth)?,
        };
        self.count(1, at)?;
        let node = Rc::new(node);
        if let Some(id) = anchor {
            self.anchors.insert(id, Rc::clone(&node));
        }
        Ok(node)
    }

    fn repeat(&mut self, id: usize, at: At, depth: usize) -> Result<Rc<Node>, Problem> {
        let Some(node) = self.anchors.get(&id).map(Rc::clone) else {
            return Err(Problem::new(at, "an alias cannot stand inside the value that it repeats"));
        };
        if depth + node.height > MAX_DEPTH {
            return Err(too_deep(at));
        }
        self.count(node.weight, at)?;
        Ok(node)
    }

    fn list(&mut self, at: At, depth: usize) -> Result<Node, Problem> {
        if depth >= MAX_DEPTH {
            return Err(too_deep(at));
        }
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            items.push(self.node(event, span, depth + 1)?);
        }
        let height = 1 + items.iter().map(|item| item.height).max().unwrap_or(0);
        let weight = items.iter().fold(1, |sum, item| item.weight.saturating_add(sum));
        Ok(Node { at, kind: Kind::List(items), height, weight })
    }

    fn map(&mut self, at: At, depth: usize) -> Result<Node, Problem> {
        if depth >= MAX_DEPTH {
            return Err(too_deep(at));
        }
        let mut map = Map::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key_at = self.place(span);
            let is_merge =
                event.scalar().is_some_and(|(text, style)| text == "<<" && style == ScalarStyle::Plain);
            let key = self.key(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.value(event, span, key_at, depth + 1)?;
            if is_merge {
                merged.push(value);
            } else {
                self.insert(&mut map, key, Entry { key_at, value });
            }
        }
        for source in merged {
            self.merge(&mut map, &source);
        }
        let height = 1 + map.values().map(|entry| entry.value.height).max().unwrap_or(0);
        let weight = map.values().fold(1, |sum, entry| entry.value.weight.saturating_add(sum));
        Ok(Node { at, kind: Kind::Map(map), height, weight })
    }

    fn key(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<String, Problem> {
        let is_mapping = matches!(event, Event::MappingStart(..));
        let at = self.place(span);
        if at.column > 1 && is_mapping && self.source_line(at).contains("{{") {
            return Err(Problem::new(at, "a value that starts with `{{` is read as a mapping")
                .hint("put the whole value in quotes: \"{{ ... }}\""));
        }
        let node = self.node(event, span, depth)?;
        match node.scalar() {
            Some(_) if node.is_null() => Err(Problem::new(at, "a key is missing before the `:`")),
            Some(scalar) => Ok(scalar.text.clone()),
            None => Err(Problem::new(at, format!("a key must be a text, this one is {}", node.describe()))),
        }
    }

    /// A value that was not written has no place of its own: the key stands for it.
    fn value(&mut self, event: Event<'a>, span: Span, key_at: At, depth: usize) -> Result<Rc<Node>, Problem> {
        let node = self.node(event, span, depth)?;
        let absent = node.is_null() && span.start.index() == span.end.index();
        Ok(if absent { Rc::new(leaf(key_at, String::new(), false)) } else { node })
    }

    fn insert(&mut self, map: &mut Map, key: String, entry: Entry) {
        match map.entry(key) {
            map::Entry::Vacant(free) => {
                free.insert(entry);
            }
            map::Entry::Occupied(taken) => {
                let message = format!("the key `{}` appears twice", shown(taken.key()));
                let first = format!("first on line {}", taken.get().key_at.line);
                self.problems.push(Problem::new(entry.key_at, message).hint(first));
            }
        }
    }

    /// `<<` copies what a mapping, or each of several, has and this one has not.
    fn merge(&mut self, map: &mut Map, source: &Rc<Node>) {
        let sources = source.list().map_or_else(|| vec![Rc::clone(source)], <[Rc<Node>]>::to_vec);
        for source in sources {
            let Some(entries) = source.map() else {
                let message = format!("`<<` copies mappings, this is {}", source.describe());
                self.problems.push(Problem::new(source.at, message));
                continue;
            };
            for (key, entry) in entries {
                map.entry(key.clone()).or_insert_with(|| entry.clone());
            }
        }
    }

    fn count(&mut self, nodes: usize, at: At) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(Problem::new(
                at,
                format!("with its aliases the document has more than {MAX_NODES} values"),
            ));
        }
        Ok(())
    }

    fn place(&self, span: Span) -> At {
        let one_line = span.start.line() == span.end.line();
        let width = if one_line { span.end.col().saturating_sub(span.start.col()).max(1) } else { 1 };
        At {
            line: to_u32(span.start.line()).saturating_add(self.piece.lines_before),
            column: to_u32(span.start.col()).saturating_add(1),
            width: to_u32(width),
        }
    }

    fn source_line(&self, at: At) -> &'a str {
        let index = at.line.saturating_sub(self.piece.lines_before).saturating_sub(1);
        self.piece.text.lines().nth(index as usize).unwrap_or_default()
    }
}

pub(super) fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn leaf(at: At, text: String, is_text: bool) -> Node {
    let value = if is_text { Value::String(text.clone()) } else { scalar::plain(&text) };
    Node { at, kind: Kind::Scalar(Scalar { text, value }), height: 0, weight: 1 }
}

fn is_text(style: ScalarStyle, tag: Option<&Tag>) -> bool {
    style != ScalarStyle::Plain
        || tag.is_some_and(|tag| tag.core_suffix() == Some("str") || !tag.is_yaml_core_schema())
}

fn check_tag(tag: &Tag, at: At) -> Result<(), Problem> {
    let known = match tag.core_suffix() {
        Some(name) => matches!(name, "str" | "int" | "float" | "bool" | "null" | "map" | "seq"),
        None => tag.original() == "!",
    };
    if known {
        return Ok(());
    }
    Err(Problem::new(at, format!("the tag `{}` has no meaning in a DAG file", shown(&tag.original()))))
}

fn too_deep(at: At) -> Problem {
    Problem::new(at, format!("lists and mappings are more than {MAX_DEPTH} levels deep here"))
}
