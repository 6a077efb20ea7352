//! The keys of assets.

use super::{Key, Shape, key, nullable};

/// Of a DAG.
pub(super) const ASSETS: Key = nullable(
    "assets",
    Shape::Assets,
    "What the tasks make and read, by name: its URI, or {uri: ..., group: ..., extra: {...}}. What is only named elsewhere in the file is looked up here.",
);

/// Of a task.
pub(super) const OUTLETS: Key = nullable(
    "outlets",
    Shape::AssetRefs,
    "The assets that it makes: each success is an event of each of them. Names, {name: ..., uri: ...} or {alias: ...}.",
);

/// Of a task.
pub(super) const INLETS: Key = nullable(
    "inlets",
    Shape::AssetRefs,
    "The assets that it reads, for people to see: names, {name: ..., uri: ...} or {alias: ...}.",
);

/// An asset that is described where it is used.
pub(in crate::dagfile) const ASSET: &[Key] = &[
    key("name", Shape::Text, "What it is known by in all DAGs. Default: its URI."),
    key("uri", Shape::Text, "Where it is. Default: its name."),
    key("group", Shape::Text, "What kind of thing it is, for people. Default: asset."),
    key("extra", Shape::Object, "Whatever else people want to know of it."),
    key("alias", Shape::Text, "Instead: a name for assets that are only known once a task has run."),
];

/// An asset that is described under its name.
pub(in crate::dagfile) const ASSET_BODY: &[Key] = &[
    key("uri", Shape::Text, "Where it is. Default: its name."),
    key("group", Shape::Text, "What kind of thing it is, for people. Default: asset."),
    key("extra", Shape::Object, "Whatever else people want to know of it."),
];

/// What must have been updated for a run.
pub(in crate::dagfile) const CONDITION: &[Key] = &[
    key("any", Shape::Conditions, "At least one of these."),
    key("all", Shape::Conditions, "All of these."),
    key("name", Shape::Text, "The asset of this name."),
    key("uri", Shape::Text, "Where it is. Default: its name."),
    key("group", Shape::Text, "What kind of thing it is, for people. Default: asset."),
    key("extra", Shape::Object, "Whatever else people want to know of it."),
    key("alias", Shape::Text, "Any asset that events have put under this alias."),
];
