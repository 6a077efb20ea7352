//! Every key of a DAG file, once: what is accepted, what its value looks like and what it means.
//!
//! The parser refuses keys that are not here and the published JSON Schema is generated from here, so the two agree.

mod approval;
mod assets;
mod deadline;
mod mapping;
mod notices;
mod repeat;
mod schedule;
mod shape;
mod waiting;

use crate::dag::MAX_SHARE;

use self::{
    approval::APPROVAL,
    assets::{ASSET, ASSET_BODY, ASSETS, CONDITION, INLETS, OUTLETS},
    deadline::{DEADLINE, DUE},
    mapping::{EXPAND, EXPAND_KWARGS, GROUP_EXPAND, MAP_INDEX_TEMPLATE, MAX_MAP_LENGTH, SOURCE},
    notices::{EMAIL, ON_RUN, ON_TRY, SLACK, WEBHOOK},
    repeat::{IN_ROUNDS, REPEAT},
    schedule::{BLACKOUT, CALENDAR, CATCHUP, SCHEDULE},
    waiting::{EXPECT, TRIGGER_DAG, WAIT_FOR},
};
pub(super) use self::{notices::NOTIFICATION, shape::Shape};

/// One key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// Whether an explicit `null` is as good as leaving it out.
    pub(super) nullable: bool,
    /// Shown by editors.
    pub(super) doc: &'static str,
}

const fn key(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, nullable: false, doc }
}

const fn nullable(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, nullable: true, doc }
}

const U32: i64 = u32::MAX as i64;
const I32: i64 = i32::MAX as i64;

/// A DAG's own keys.
pub(super) const DAG: &[Key] = &[
    key("dag_id", Shape::Name, "The DAG's name. Default: the file's name without its ending."),
    nullable("description", Shape::Text, "One line for lists."),
    nullable("doc", Shape::Text, "Documentation in Markdown."),
    nullable(
        "schedule",
        Shape::Schedule,
        "When runs are due: a cron expression of 5 fields (6 with seconds first), a preset such as @daily, @once, @continuous, {every: 15m}, {cron: ..., timezone: ...}, {at: [dates]}, a list of these, {assets: ...}, or null for manual runs only.",
    ),
    ASSETS,
    key("timezone", Shape::Zone, "The zone of the schedule and of dates written without one. Default: UTC."),
    nullable("start_date", Shape::Date, "No run is due before."),
    nullable("end_date", Shape::Date, "No run is due after."),
    key(
        "catchup",
        Shape::Catchup,
        "What happens to runs that were missed: true runs them all, false and last the newest one, {window: 6h} those of the last 6 hours. Default: false.",
    ),
    key(
        "overlap",
        Shape::Overlap,
        "What becomes of a scheduled run that is due while another is active: allow starts it beside, queue after it, skip drops it, cancel_running stops the other. Default: allow.",
    ),
    key("max_active_runs", Shape::Whole(1, U32), "Runs that may be running at the same time. Default: 16."),
    key(
        "max_active_tasks",
        Shape::Whole(1, U32),
        "Tasks of one run that may be queued or running at the same time. Default: 16.",
    ),
    MAX_MAP_LENGTH,
    nullable("dagrun_timeout", Shape::Duration, "A run that lasts longer fails."),
    DUE,
    key(
        "fail_fast",
        Shape::Flag,
        "Whether the first task that fails for good ends everything else in its run but teardowns. Default: false.",
    ),
    key(
        "max_consecutive_failed_dag_runs",
        Shape::Whole(0, U32),
        "The DAG is paused once so many runs in a row have failed. Default: 0, never.",
    ),
    key(
        "share",
        Shape::Whole(1, MAX_SHARE as i64),
        "How much it counts where DAGs share slots: twice the share, twice the slots. Default: 1.",
    ),
    nullable(
        "team",
        Shape::Name,
        "The team in whose name its tasks wait: DAGs of a team count as one, with the highest share that any of them names.",
    ),
    nullable("tags", Shape::Texts, "Labels for finding it."),
    key("owner", Shape::Text, "Who looks after it. Default: tradewind."),
    nullable(
        "params",
        Shape::Params,
        "What a run may be given: by name a JSON Schema with a default, or just a default.",
    ),
    key(
        "is_paused_upon_creation",
        Shape::Flag,
        "Whether it starts out paused when it is first seen. Default: false.",
    ),
    nullable("default_args", Shape::Defaults, "Settings for all tasks; a task's own come first."),
    key("tasks", Shape::Tasks, "The tasks and task groups by id."),
];

/// Settings of a task that may also stand in `default_args`.
pub(super) const SETTINGS: &[Key] = &[
    key("retries", Shape::Whole(0, U32), "Retries after the first try. Default: 0."),
    key("retry_delay", Shape::Duration, "The wait before the first retry. Default: 5m."),
    key(
        "retry_exponential_backoff",
        Shape::Backoff,
        "Each further wait is this many times longer, with jitter; true doubles. Default: false, every wait is the same.",
    ),
    nullable("max_retry_delay", Shape::Duration, "No wait between tries is longer. Default: 24 hours."),
    nullable("execution_timeout", Shape::Duration, "A try that lasts longer is stopped and has failed."),
    key(
        "trigger_rule",
        Shape::TriggerRule,
        "What the task makes of the ends of those it depends on. Default: all_success.",
    ),
    key(
        "depends_on_past",
        Shape::Flag,
        "Whether it waits until it has succeeded or been skipped in the previous run by logical date. Default: false.",
    ),
    key(
        "wait_for_downstream",
        Shape::Flag,
        "Whether it waits, in that run, also for the tasks that depend on it directly. Default: false.",
    ),
    key(
        "wait_for_past_depends_before_skipping",
        Shape::Flag,
        "Whether it waits for the previous run also when its rule skips it. Default: false.",
    ),
    key("pool", Shape::Name, "The pool its slots come from. Default: default_pool."),
    key("pool_slots", Shape::Whole(1, U32), "The slots it takes there. Default: 1."),
    key("queue", Shape::Name, "The queue whose workers run it. Default: default."),
    key("priority_weight", Shape::Whole(-I32, I32), "Higher goes first. Default: 1."),
    key(
        "weight_rule",
        Shape::WeightRule,
        "Whether the weights of everything downstream, of everything upstream or of nothing else are added. Default: downstream.",
    ),
    nullable(
        "max_active_tis_per_dag",
        Shape::Whole(1, U32),
        "Instances of it, over all runs, that may be in flight at the same time.",
    ),
    nullable(
        "max_active_tis_per_dagrun",
        Shape::Whole(1, U32),
        "Instances of it within one run that may be in flight at the same time.",
    ),
    key(
        "do_xcom_push",
        Shape::Flag,
        "Whether its last line of output becomes its XCom return_value. Default: true.",
    ),
    nullable("env", Shape::Environment, "Extra environment variables; templates."),
    nullable(
        "cwd",
        Shape::Text,
        "The folder it starts in, a template; relative to the DAG file's folder, which is the default.",
    ),
    nullable("owner", Shape::Text, "Who looks after it, when not the DAG's owner."),
];

/// The rest of a task.
pub(super) const TASK: &[Key] = &[
    nullable("depends_on", Shape::Names, "The tasks or groups it waits for."),
    OUTLETS,
    INLETS,
    EXPAND,
    EXPAND_KWARGS,
    MAP_INDEX_TEMPLATE,
    IN_ROUNDS,
    key(
        "setup",
        Shape::Flag,
        "Whether it prepares what the tasks behind it need, up to its teardowns: those that depend on it directly. Default: false.",
    ),
    key(
        "teardown",
        Shape::Teardown,
        "Whether it cleans up behind the setups that it depends on, also when tasks between them failed: true, or {on_failure_fail_dagrun: true}. Default: false.",
    ),
    nullable("doc", Shape::Text, "Documentation in Markdown."),
];

/// The keys of which a task has exactly one.
pub(super) const OPERATORS: &[Key] = &[
    key("bash", Shape::Text, "A shell script; a template."),
    key("python", Shape::Python, "A Python program, or {file: program.py} relative to the DAG file."),
    key("sql", Shape::Sql, "SQL statements on a connection, in one transaction."),
    key("http", Shape::Http, "One HTTP request: a URL, or its parts. A status of 400 or more is a failure."),
    key(
        "branch",
        Shape::Branch,
        "A program whose result is the id of the task or group to follow, or a list of them; what else depends on it is skipped: {bash: ...} or {python: ...}.",
    ),
    key(
        "short_circuit",
        Shape::ShortCircuit,
        "A program whose result, when empty, zero or false, skips everything behind it; with bash the exit code 1 does so too: {bash: ...} or {python: ...}.",
    ),
    nullable(
        "latest_only",
        Shape::Nothing,
        "Skips what depends on it unless its run is the newest by schedule.",
    ),
    key(
        "wait_for",
        Shape::WaitFor,
        "Waits without a worker: {time: ...}, {for: 10m}, {dag: ...}, {file: ...}, {http: ...} or {sql: ...}.",
    ),
    key("trigger_dag", Shape::TriggerDag, "Starts a run of a DAG: its id, or {dag_id: ..., conf: ...}."),
    key(
        "approval",
        Shape::Approval,
        "Asks a person and waits for the answer without a worker: the question, or {subject: ..., body: ..., options: ...}.",
    ),
    nullable("empty", Shape::Nothing, "Does nothing: it joins or separates other tasks."),
];

/// A task group.
pub(super) const GROUP: &[Key] = &[
    key(
        "tasks",
        Shape::Tasks,
        "The tasks and groups inside; their ids get this group's id and a dot in front.",
    ),
    nullable("depends_on", Shape::Names, "What the first tasks of the group wait for."),
    GROUP_EXPAND,
    EXPAND_KWARGS,
    nullable("doc", Shape::Text, "Shown on hover."),
    nullable(
        "default_args",
        Shape::Defaults,
        "Settings for all tasks of the group; they come before the DAG's.",
    ),
];

/// The mapping form of `python`.
pub(super) const PYTHON: &[Key] =
    &[key("file", Shape::Text, "The program's file, relative to the DAG file.")];

/// The parts of `sql`.
pub(super) const SQL: &[Key] = &[
    key("conn_id", Shape::Text, "The connection the statements run on."),
    key("sql", Shape::Text, "The statements; a template."),
    key("file", Shape::Text, "The file with the statements, relative to the DAG file."),
];

/// The mapping form of `http`.
pub(super) const HTTP: &[Key] = &[
    key("url", Shape::Text, "The whole URL, or the path when a connection is named; a template."),
    key("method", Shape::Method, "GET, POST, PUT, PATCH, DELETE, HEAD or OPTIONS. Default: GET."),
    nullable("conn_id", Shape::Text, "The connection that gives host, credentials and headers."),
    nullable("headers", Shape::Headers, "Headers; templates."),
    nullable("body", Shape::Any, "A text, or anything else sent as JSON; a template."),
];

/// The mapping form of `branch`.
pub(super) const BRANCH: &[Key] = &[
    key("bash", Shape::Text, "A shell script that prints an id, or ids with blanks between; a template."),
    key("python", Shape::Python, "A Python program that prints an id or a JSON list of ids."),
];

/// The mapping form of `short_circuit`.
pub(super) const SHORT_CIRCUIT: &[Key] = &[
    key(
        "bash",
        Shape::Text,
        "A shell script: its exit code 1, or false or 0 as its last line, is a no; a template.",
    ),
    key("python", Shape::Python, "A Python program that prints its answer as JSON; nothing printed is a no."),
    key(
        "ignore_downstream_trigger_rules",
        Shape::Flag,
        "Whether a no skips everything behind it at once; otherwise only what depends on it directly. Default: true.",
    ),
];

/// The mapping form of `teardown`.
pub(super) const TEARDOWN: &[Key] =
    &[key("on_failure_fail_dagrun", Shape::Flag, "Whether its failure fails the run. Default: false.")];

/// HTTP methods in the order of the documentation.
pub(super) const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/// Where a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Dag,
    Task,
    Defaults,
    Group,
    Python,
    Sql,
    Http,
    Branch,
    ShortCircuit,
    Teardown,
    WaitFor,
    Expect,
    TriggerDag,
    Approval,
    Repeat,
    Deadline,
    Source,
    Asset,
    AssetBody,
    Condition,
    Schedule,
    Calendar,
    Blackout,
    Catchup,
    Notification,
    Webhook,
    Slack,
    Email,
}

impl Place {
    /// The tables of the keys that may stand there.
    pub(super) const fn tables(self) -> &'static [&'static [Key]] {
        match self {
            Self::Dag => &[DAG, ON_RUN],
            Self::Task => &[TASK, OPERATORS, SETTINGS, ON_TRY],
            Self::Defaults => &[SETTINGS, ON_TRY],
            Self::Group => &[GROUP],
            Self::Python => &[PYTHON],
            Self::Sql => &[SQL],
            Self::Http => &[HTTP],
            Self::Branch => &[BRANCH],
            Self::ShortCircuit => &[SHORT_CIRCUIT],
            Self::Teardown => &[TEARDOWN],
            Self::WaitFor => &[WAIT_FOR],
            Self::Expect => &[EXPECT],
            Self::TriggerDag => &[TRIGGER_DAG],
            Self::Approval => &[APPROVAL],
            Self::Repeat => &[REPEAT],
            Self::Deadline => &[DEADLINE],
            Self::Source => &[SOURCE],
            Self::Asset => &[ASSET],
            Self::AssetBody => &[ASSET_BODY],
            Self::Condition => &[CONDITION],
            Self::Schedule => &[SCHEDULE],
            Self::Calendar => &[CALENDAR],
            Self::Blackout => &[BLACKOUT],
            Self::Catchup => &[CATCHUP],
            Self::Notification => &[NOTIFICATION],
            Self::Webhook => &[WEBHOOK],
            Self::Slack => &[SLACK],
            Self::Email => &[EMAIL],
        }
    }

    /// The keys that may stand there.
    pub(super) fn keys(self) -> impl Iterator<Item = &'static Key> {
        self.tables().iter().copied().flatten()
    }

    /// The key of that name, if it may stand there.
    pub(super) fn key(self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }
}
