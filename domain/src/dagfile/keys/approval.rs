//! The keys of `approval`.

use super::{Key, Shape, key, nullable};

/// The mapping form of `approval`.
pub(in super::super) const APPROVAL: &[Key] = &[
    key("subject", Shape::Text, "The question in one line; a template."),
    nullable("body", Shape::Text, "What one has to know to answer it, in Markdown; a template."),
    key(
        "options",
        Shape::Texts,
        "What may be chosen. Default: Approve and Reject, and Reject skips what depends on the task.",
    ),
    key("multiple", Shape::Flag, "With options: whether more than one may be chosen. Default: false."),
    key(
        "defaults",
        Shape::Names,
        "The option or options that count as chosen when the timeout has passed. Default: the task fails then.",
    ),
    nullable(
        "params",
        Shape::Params,
        "What is to be filled in: by name a JSON Schema with a default, or just a default.",
    ),
    key(
        "assigned_users",
        Shape::Names,
        "The user names of those who may answer. Default: everybody who may operate the DAG.",
    ),
    nullable(
        "timeout",
        Shape::Duration,
        "How long an answer is waited for. Default: the task's execution_timeout, else for ever.",
    ),
    key("fail_on_reject", Shape::Flag, "Whether Reject fails the task. Default: false."),
    key(
        "ignore_downstream_trigger_rules",
        Shape::Flag,
        "Whether Reject skips everything behind the task at once; otherwise only what depends on it directly. Default: false.",
    ),
    key(
        "branches",
        Shape::Branches,
        "By option the id of the task or group that is followed; what else depends on the task is skipped. An option that is not named leads to the task of its own name.",
    ),
];
