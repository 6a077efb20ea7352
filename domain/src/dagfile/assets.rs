//! Assets: what a DAG's tasks make and read, and which of them ask for runs.

use std::rc::Rc;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{
    diagnostic::{Problem, alternatives},
    fields::Fields,
    keys::Place,
    node::{At, Node, shown},
    reading::Reading,
    values,
};
use crate::asset::{
    self, AliasName, Asset, AssetName, AssetRef, Condition, MAX_DEPTH, MAX_LISTED, check_extra, check_group,
    sanitize,
};

/// Most values in one condition, with everything that YAML aliases repeat.
const MOST_NODES: usize = 10_000;

/// The assets that a document describes, and where: one is described once, and a name elsewhere means what is described.
#[derive(Debug, Default)]
pub(super) struct Described(IndexMap<AssetName, (Asset, At)>);

impl Described {
    fn note(&mut self, asset: &Asset, at: At) -> Result<(), Problem> {
        if let Some((known, first)) = self.0.get(&asset.name) {
            if known == asset {
                return Ok(());
            }
            let message = format!("the asset `{}` is described in two ways", shown(asset.name.as_str()));
            let hint = format!("first on line {}; describe it once, below `assets`", first.line);
            return Err(Problem::new(at, message).hint(hint));
        }
        if let Some((name, (_, first))) = self.0.iter().find(|(_, (known, _))| known.uri == asset.uri) {
            let (ours, theirs) = (shown(asset.name.as_str()), shown(name.as_str()));
            let message = format!("the asset `{ours}` has the URI of `{theirs}`");
            return Err(Problem::new(at, message).hint(format!("that one is on line {}", first.line)));
        }
        self.0.insert(asset.name.clone(), (asset.clone(), at));
        Ok(())
    }
}

/// Reads `assets` of a DAG, before everything that may name them.
pub(super) fn describe(fields: &Fields<'_>, reading: &mut Reading<'_>) {
    reading.assets = Described::default();
    let Some(entry) = fields.entry("assets").filter(|entry| !entry.value.is_null()) else {
        return;
    };
    let owner = fields.named("assets");
    let Some(map) = entry.value.map() else {
        let message = format!("{owner} must be a mapping of names to assets, not {}", entry.value.describe());
        reading.add(Problem::new(entry.value.at, message).hint("for example {orders: s3://shop/orders}"));
        return;
    };
    for (name, entry) in map {
        let owner = format!("the asset `{}`", shown(name));
        let told = |error: asset::Error| Problem::new(entry.key_at, error.to_string());
        let Some(bare) = reading.keep(AssetName::new(name).and_then(Asset::bare).map_err(told)) else {
            continue;
        };
        let asset = if entry.value.is_null() {
            Some(bare)
        } else if entry.value.scalar().is_some() {
            let uri = reading.keep(uri(&entry.value).map_err(|problem| problem.of(&owner)));
            uri.map(|uri| Asset { uri, ..bare })
        } else {
            let fields = Fields::open(&entry.value, entry.key_at, owner, Place::AssetBody, reading);
            fields.map(|fields| body(&fields, bare, reading))
        };
        if let Some(asset) = asset {
            let noted = reading.assets.note(&asset, entry.key_at);
            reading.keep(noted);
        }
    }
}

fn body(fields: &Fields<'_>, bare: Asset, reading: &mut Reading<'_>) -> Asset {
    let uri = fields.get("uri", reading, |node| uri(node)).unwrap_or(bare.uri);
    let group = fields.get("group", reading, |node| group(node)).unwrap_or(bare.group);
    let extra = fields.get("extra", reading, |node| extra(node)).unwrap_or_default();
    Asset { name: bare.name, uri, group, extra }
}

fn uri(node: &Node) -> Result<String, Problem> {
    sanitize(&values::text(node)?).map_err(|error| Problem::new(node.at, error.to_string()))
}

fn group(node: &Node) -> Result<String, Problem> {
    let text = values::text(node)?;
    check_group(&text).map(|()| text).map_err(|error| Problem::new(node.at, error.to_string()))
}

fn extra(node: &Node) -> Result<Map<String, Value>, Problem> {
    match node.json() {
        Value::Object(extra) => {
            check_extra(&extra).map(|()| extra).map_err(|error| Problem::new(node.at, error.to_string()))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Problem::new(node.at, format!("this must be a mapping, not {}", node.describe())))
        }
    }
}

/// Reads `outlets` or `inlets` of a task: one asset or alias, or a list of them.
pub(super) fn refs(fields: &Fields<'_>, key: &'static str, reading: &mut Reading<'_>) -> Vec<AssetRef> {
    let Some(entry) = fields.entry(key).filter(|entry| !entry.value.is_null()) else {
        return Vec::new();
    };
    let owner = fields.named(key);
    let single = std::slice::from_ref(&entry.value);
    let nodes = entry.value.list().unwrap_or(single);
    if nodes.len() > MAX_LISTED {
        let message = format!("{owner} has {} assets, at most {MAX_LISTED} are allowed", nodes.len());
        reading.add(Problem::new(entry.value.at, message));
        return Vec::new();
    }
    let mut all: Vec<AssetRef> = Vec::new();
    for node in nodes {
        let Some(leaf) = leaf(node, &owner, Place::Asset, reading) else { continue };
        let is_twice = all.iter().any(|known| match (known.asset(), leaf.asset()) {
            (Some(known), Some(asset)) => known.name == asset.name,
            _ => *known == leaf,
        });
        if is_twice {
            reading.add(Problem::new(node.at, format!("{owner} names an asset twice")));
        } else {
            all.push(leaf);
        }
    }
    all
}

/// One asset or alias: a name, or a mapping that says more.
fn leaf(node: &Rc<Node>, owner: &str, place: Place, reading: &mut Reading<'_>) -> Option<AssetRef> {
    if node.map().is_none() {
        let named = values::text(node).and_then(|text| {
            let problem = |error: asset::Error| Problem::new(node.at, error.to_string());
            AssetName::new(&text).and_then(Asset::bare).map_err(problem)
        });
        let bare = reading.keep(named.map_err(|problem| problem.of(owner)))?;
        return Some(AssetRef::Asset(known(bare, reading)));
    }
    let fields = Fields::open(node, node.at, format!("an asset in {owner}"), place, reading)?;
    if let Some(entry) = fields.entry("alias") {
        return alias(&fields, entry.key_at, reading);
    }
    let by_name = fields.get("name", reading, |node| name(node));
    let by_uri = fields.entry("uri").and_then(|entry| reading.keep(name(&entry.value)));
    let Some(known_by) = by_name.or(by_uri) else {
        if !fields.has("name") && !fields.has("uri") && !fields.has_strangers {
            let message = format!("{} needs a `name` or a `uri`", fields.owner);
            reading.add(Problem::new(node.at, message));
        }
        return None;
    };
    let bare = reading.keep(bare(known_by, node.at))?;
    if !["uri", "group", "extra"].iter().any(|key| fields.has(key)) {
        return Some(AssetRef::Asset(known(bare, reading)));
    }
    let asset = body(&fields, bare, reading);
    let noted = reading.assets.note(&asset, node.at);
    reading.keep(noted)?;
    Some(AssetRef::Asset(asset))
}

fn name(node: &Node) -> Result<AssetName, Problem> {
    AssetName::new(&values::text(node)?).map_err(|error| Problem::new(node.at, error.to_string()))
}

fn bare(name: AssetName, at: At) -> Result<Asset, Problem> {
    Asset::bare(name).map_err(|error| Problem::new(at, error.to_string()))
}

/// What the document says of an asset that is only named.
fn known(bare: Asset, reading: &Reading<'_>) -> Asset {
    reading.assets.0.get(&bare.name).map_or(bare, |(described, _)| described.clone())
}

fn alias(fields: &Fields<'_>, at: At, reading: &mut Reading<'_>) -> Option<AssetRef> {
    if let Some(other) = ["name", "uri", "group", "extra", "any", "all"].iter().find(|key| fields.has(key)) {
        let message = format!("{} has both `alias` and `{other}`", fields.owner);
        reading.add(Problem::new(at, message).hint("an alias has nothing but its name"));
        return None;
    }
    let read = |node: &Rc<Node>| {
        AliasName::new(&values::text(node)?).map_err(|error| Problem::new(node.at, error.to_string()))
    };
    fields.get("alias", reading, read).map(|alias| AssetRef::Alias { alias })
}

/// Reads `assets` of a schedule.
pub(super) fn condition(node: &Rc<Node>, owner: &str, reading: &mut Reading<'_>) -> Option<Condition> {
    let before = reading.report.count();
    if node.weight > MOST_NODES {
        reading.add(Problem::new(node.at, format!("{owner} is too large: at most {MAX_LISTED} assets")));
        return None;
    }
    let condition = part(node, owner, 0, reading)?;
    let leaves = condition.assets().len() + condition.aliases().len();
    if leaves > MAX_LISTED {
        let message = format!("{owner} names {leaves} assets, at most {MAX_LISTED} are allowed");
        reading.add(Problem::new(node.at, message));
    }
    (reading.report.count() == before).then_some(condition)
}

fn part(node: &Rc<Node>, owner: &str, depth: usize, reading: &mut Reading<'_>) -> Option<Condition> {
    if depth > MAX_DEPTH {
        let message = format!("{owner} is nested deeper than {MAX_DEPTH} levels");
        reading.add(Problem::new(node.at, message));
        return None;
    }
    if node.list().is_some() {
        return parts(node, owner, depth, reading).map(Condition::All);
    }
    let key = ["any", "all"].into_iter().find(|key| node.map().is_some_and(|map| map.contains_key(*key)));
    let Some(key) = key else {
        return match leaf(node, owner, Place::Condition, reading)? {
            AssetRef::Asset(asset) => Some(Condition::Asset(asset)),
            AssetRef::Alias { alias } => Some(Condition::Alias(alias)),
        };
    };
    let fields = Fields::open(node, node.at, owner.to_owned(), Place::Condition, reading)?;
    let others = ["any", "all", "name", "uri", "group", "extra", "alias"];
    if let Some(other) = others.iter().find(|other| **other != key && fields.has(other)) {
        let message = format!("{owner} has both `{key}` and `{other}`");
        let hint = format!("keep one; {} can hold each other", alternatives(["any", "all"], "and"));
        reading.add(Problem::new(node.at, message).hint(hint));
        return None;
    }
    let entry = fields.entry(key)?;
    let inside = parts(&entry.value, &fields.named(key), depth, reading)?;
    Some(if key == "any" { Condition::Any(inside) } else { Condition::All(inside) })
}

fn parts(node: &Rc<Node>, owner: &str, depth: usize, reading: &mut Reading<'_>) -> Option<Vec<Condition>> {
    let Some(list) = node.list() else {
        let message = format!("{owner} must be a list of assets, not {}", node.describe());
        reading.add(Problem::new(node.at, message));
        return None;
    };
    if list.is_empty() {
        reading.add(Problem::new(node.at, format!("{owner} is empty")).hint("name at least one asset"));
        return None;
    }
    if list.len() > MAX_LISTED {
        let message = format!("{owner} has {} elements, at most {MAX_LISTED} are allowed", list.len());
        reading.add(Problem::new(node.at, message));
        return None;
    }
    let read: Vec<Option<Condition>> =
        list.iter().map(|element| part(element, owner, depth + 1, reading)).collect();
    read.into_iter().collect()
}
