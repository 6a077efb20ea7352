//! The keys of `wait_for` and `trigger_dag`.

use super::{Key, Place, Shape, key, nullable};

/// What is waited for, one of them; the rest says how.
pub(in super::super) const WAIT_FOR: &[Key] = &[
    key(
        "time",
        Shape::Clock,
        "A moment, or a time of the day in the DAG's zone: the first at or after the run's data interval's end.",
    ),
    key("for", Shape::Duration, "So long, from when the task could start."),
    key("dag", Shape::Name, "The run of another DAG that has this run's logical date."),
    key("task", Shape::Name, "With dag: a task of that run instead of the run."),
    key("states", Shape::States, "With dag: the ends that are waited for. Default: success."),
    key("failed_states", Shape::States, "With dag: the ends with which the wait has failed. Default: none."),
    key("offset", Shape::Duration, "With dag: the run whose logical date is so much earlier."),
    key("logical_date", Shape::Date, "With dag: the run of this logical date."),
    key("file", Shape::Text, "A file, relative to the DAG file's folder; a template."),
    key("http", Shape::Text, "A URL, or a path when a connection is named; a template."),
    key(
        "expect",
        Shape::Mapping(Place::Expect, &[]),
        "With http: what the answer has to be. Default: a status below 400.",
    ),
    key(
        "sql",
        Shape::Text,
        "A query whose first row begins with something that is not empty, 0 or false; a template.",
    ),
    nullable("conn_id", Shape::Text, "With sql or http: the connection; a template."),
    key("poke_interval", Shape::Duration, "The pause between two looks. Default: 60s."),
    key(
        "exponential_backoff",
        Shape::Flag,
        "Whether each pause is twice as long as the one before. Default: false.",
    ),
    nullable("max_wait", Shape::Duration, "No pause is longer."),
    key("timeout", Shape::Duration, "The wait has failed then, and is not tried again. Default: 7d."),
    key("soft_fail", Shape::Flag, "Whether the task is skipped where it would fail. Default: false."),
];

/// What an answer has to be.
pub(in super::super) const EXPECT: &[Key] = &[
    key("status", Shape::Whole(100, 599), "Its status."),
    key("contains", Shape::Text, "A text that its body contains; a template."),
];

/// The mapping form of `trigger_dag`.
pub(in super::super) const TRIGGER_DAG: &[Key] = &[
    key("dag_id", Shape::Text, "The DAG; a template."),
    nullable("conf", Shape::Object, "What the run is given; a template."),
    nullable("run_id", Shape::Text, "The run's name; a template. Default: one of its own for each try."),
    nullable("logical_date", Shape::Text, "The run's logical date; a template. Default: none."),
    key("wait_for_completion", Shape::Flag, "Whether the task waits for the run's end. Default: false."),
    key(
        "allowed_states",
        Shape::States,
        "The ends of the run that are a success of the task. Default: success.",
    ),
    key(
        "failed_states",
        Shape::States,
        "The ends of the run that are a failure of the task. Default: failed.",
    ),
    key(
        "skip_when_already_exists",
        Shape::Flag,
        "Whether the task is skipped when there is a run of that name. Default: false.",
    ),
    nullable(
        "output",
        Shape::Name,
        "With wait_for_completion: the task of the run whose result becomes the result of this one.",
    ),
    key("reset_dag_run", Shape::Flag, "Whether a run of that name runs again. Default: false."),
];
