//! The keys of dynamic mapping.

use super::{Key, Shape, key, nullable};
use crate::dag::MAX_MAPPED;

/// Of a DAG.
pub(super) const MAX_MAP_LENGTH: Key = key(
    "max_map_length",
    Shape::Whole(1, MAX_MAPPED as i64),
    "Most instances that one mapped task may have in a run. Default: 1024.",
);

/// Of a task.
pub(super) const EXPAND: Key = key(
    "expand",
    Shape::Expand,
    "Dynamic mapping: one instance for each element of a list, or of the XCom of an upstream: \"{{ ti.xcom_pull('extract') }}\"; {zip: [...]} puts several side by side, {concat: [...]} one behind the other. Several names: one instance for each combination.",
);

/// Of a group.
pub(super) const GROUP_EXPAND: Key = key(
    "expand",
    Shape::Expand,
    "Dynamic mapping of all tasks inside together: one instance of each for each element. Inside, an instance waits only for those of the same element.",
);

/// Of a task or a group.
pub(super) const EXPAND_KWARGS: Key = key(
    "expand_kwargs",
    Shape::ExpandKwargs,
    "Dynamic mapping over a list of mappings, each of which sets several names; or over the XCom of an upstream that is such a list.",
);

/// Of a task.
pub(super) const MAP_INDEX_TEMPLATE: Key = nullable(
    "map_index_template",
    Shape::Text,
    "What a mapped instance is called beside its number, for example \"{{ origin }}\"; a template, rendered when a try has ended.",
);

/// Of a source that is made of others.
pub(super) const SOURCE: &[Key] = &[
    key(
        "zip",
        Shape::Sources,
        "Side by side: each element is a list of the elements at one place. The shortest ends it.",
    ),
    key("fillvalue", Shape::Any, "What stands for missing elements, so that the longest ends a zip."),
    key("concat", Shape::Sources, "One behind the other."),
];
