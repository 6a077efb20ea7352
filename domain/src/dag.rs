//! The DAG model: what every kind of DAG file is turned into, with all defaults applied and all names resolved.
//!
//! A [`Dag`] is valid by construction of its loader ([`crate::dagfile`]): upstreams exist, there is no cycle, names are
//! legal. Its JSON form is the normal form that is hashed into a DAG version.

mod mapping;
mod operator;
mod partition;
mod said;
mod usual;

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    alert::Alerts,
    asset::{AssetRef, Condition},
    deadline::Deadline,
    id::{DagId, PoolName, QueueName, TaskId, TeamName},
    partition::Partitions,
    repeat::Repeat,
    retry::Retry,
    span::Span,
    timetable::{Bounds, Catchup, Overlap, Timetable},
    trigger_rule::TriggerRule,
};

use self::usual::{is_false, is_one, is_zero, one};
pub use mapping::{Expand, Factor, MAX_MAP_NAME, MAX_MAPPED, Mapping, USUAL_MAPPED, cell_of, relevant};
pub use operator::{AirflowTask, Operator};
pub use partition::PartitionError;

/// Most tasks one DAG may have.
pub const MAX_TASKS: usize = 50_000;
/// Highest share of a DAG or team.
pub const MAX_SHARE: u32 = 1_000;

/// A workflow: tasks, what they wait for, and when runs are due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dag {
    /// Its name.
    pub dag_id: DagId,
    /// One line for lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Documentation in Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
    /// When runs are due by the clock.
    pub schedule: Timetable,
    /// Which assets ask for a run when they have been updated, whatever the clock says (Airflow's `AssetOrTimeSchedule`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset_condition: Option<Condition>,
    /// Which part of a whole each of its runs is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<Partitions>,
    /// The zone of dates written without one, and of the schedule unless that names its own.
    pub timezone: Tz,
    /// No run is due before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_date: Option<DateTime<Utc>>,
    /// No run is due after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_date: Option<DateTime<Utc>>,
    /// What happens to runs that were missed.
    pub catchup: Catchup,
    /// What becomes of a scheduled run that is due while another one is active.
    #[serde(default, skip_serializing_if = "Overlap::is_allow")]
    pub overlap: Overlap,
    /// Runs that may be running at the same time.
    pub max_active_runs: u32,
    /// Task instances of one run that may be queued or running at the same time (Airflow counts per run too).
    pub max_active_tasks: u32,
    /// Most instances that one mapped task may have in a run; at most [`MAX_MAPPED`].
    #[serde(default = "mapping::usual_length", skip_serializing_if = "mapping::is_usual_length")]
    pub max_map_length: u32,
    /// A run that lasts longer fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dagrun_timeout: Option<Span>,
    /// The first task that fails for good ends everything else in its run but teardowns. Source: Airflow's `fail_fast`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fail_fast: bool,
    /// It is paused once so many runs in a row, in the order of their ends, have failed; 0 is never.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub max_consecutive_failed_dag_runs: u32,
    /// How much it counts where DAGs share slots, or its team does; at most [`MAX_SHARE`].
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub share: u32,
    /// The team in whose name its tasks wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamName>,
    /// Labels for finding it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Who looks after it.
    pub owner: String,
    /// What a run may be given, by name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub params: IndexMap<String, Param>,
    /// Whether it starts out paused when it is first seen.
    #[serde(default)]
    pub is_paused_upon_creation: bool,
    /// By when its runs should have ended; at most [`crate::deadline::MAX_DEADLINES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deadlines: Vec<Deadline>,
    /// Who is told when a run ends, or misses a deadline.
    #[serde(default, skip_serializing_if = "Alerts::is_empty")]
    pub alerts: Alerts,
    /// The tasks in the order of the file.
    pub tasks: Vec<Task>,
    /// The task groups in the order of the file, outer before inner.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// The Python file it was read from, relative to the DAGs folder, when it is an Airflow DAG.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_file: Option<String>,
}

/// A parameter of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Param {
    /// Its value when the run names none; `None` makes it required.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A JSON Schema that every value must satisfy; `{}` accepts everything.
    pub schema: Value,
}

/// A default of `null` is a default.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

/// A box drawn around tasks and other groups. Its id is the prefix of theirs, unless a Python file says `prefix_group_id=False`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Its full id, with the ids of the groups around it.
    pub group_id: TaskId,
    /// The group around it, where its id does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<TaskId>,
    /// What it is mapped over; every task in it has an instance for each element, or for each combination of several keys.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub expand: IndexMap<String, Expand>,
    /// Instead: a list of objects, each of which sets several names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expand_kwargs: Option<Expand>,
    /// Shown on hover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
}

/// One task of a DAG.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its full id, with the ids of the groups around it.
    pub task_id: TaskId,
    /// The innermost group it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<TaskId>,
    /// What it does.
    pub operator: Operator,
    /// The tasks it waits for: direct upstreams, groups already resolved to tasks, sorted, without repetition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upstream: Vec<TaskId>,
    /// What it makes of their ends.
    #[serde(default)]
    pub trigger_rule: TriggerRule,
    /// It prepares what the tasks between it and its teardowns need; the teardowns are those that wait for it directly.
    #[serde(default, skip_serializing_if = "is_false")]
    pub setup: bool,
    /// It cleans up behind the setups it waits for directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teardown: Option<Teardown>,
    /// It waits until it succeeded or was skipped in the previous run by logical date.
    #[serde(default, skip_serializing_if = "is_false")]
    pub depends_on_past: bool,
    /// And until those that wait for it directly have, in that run. Implies `depends_on_past`, as Airflow has it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub wait_for_downstream: bool,
    /// It is not skipped by its rule before that holds, either. Source: Airflow 3.3.2 `ti_deps/deps/trigger_rule_dep.py`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub wait_for_past_depends_before_skipping: bool,
    /// What happens when it fails.
    pub retry: Retry,
    /// It runs in rounds until a condition holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Repeat>,
    /// A try that lasts longer is stopped and has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_timeout: Option<Span>,
    /// The pool its slots come from.
    pub pool: PoolName,
    /// The slots it takes there, at least 1.
    pub pool_slots: u32,
    /// The queue whose workers run it.
    pub queue: QueueName,
    /// Higher goes first.
    pub priority_weight: i32,
    /// What the weights of its neighbours add to its own.
    #[serde(default)]
    pub weight_rule: WeightRule,
    /// Instances of it, over all runs, that may be in flight at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_active_tis_per_dag: Option<u32>,
    /// Instances of it within one run that may be in flight at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_active_tis_per_dagrun: Option<u32>,
    /// Whether its last line of output becomes its XCom `return_value`.
    pub do_xcom_push: bool,
    /// What it is mapped over; an instance for each element, or for each combination when there are several keys.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub expand: IndexMap<String, Expand>,
    /// Instead: a list of objects, each of which sets several names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expand_kwargs: Option<Expand>,
    /// What an instance is called beside its number: a template, rendered when a try has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_index_template: Option<String>,
    /// Extra environment variables, templates.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub env: IndexMap<String, String>,
    /// The folder it starts in, a template; relative to the DAG file's folder, which is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Who looks after it, when not the DAG's owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Who is told when a try ends.
    #[serde(default, skip_serializing_if = "Alerts::is_empty")]
    pub alerts: Alerts,
    /// What it makes: each success is an event of each of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outlets: Vec<AssetRef>,
    /// What it reads, for people to see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inlets: Vec<AssetRef>,
    /// Documentation in Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
}

/// What is special about a task that cleans up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Teardown {
    /// Its failure fails the run; otherwise the run's verdict ignores it.
    #[serde(default)]
    pub on_failure_fail_dagrun: bool,
}

/// What the weights of a task's neighbours add to its own. Source: Airflow 3.3.2 `task/priority_strategy.py`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightRule {
    /// Plus those of everything downstream.
    #[default]
    Downstream,
    /// Plus those of everything upstream.
    Upstream,
    /// Nothing: its own weight only.
    Absolute,
}

impl Task {
    /// It waits for the previous run.
    #[must_use]
    pub const fn looks_back(&self) -> bool {
        self.depends_on_past || self.wait_for_downstream
    }

    /// It is a teardown whose failure the run's verdict ignores.
    #[must_use]
    pub fn is_ignorable(&self) -> bool {
        self.teardown.is_some_and(|teardown| !teardown.on_failure_fail_dagrun)
    }
}

impl Dag {
    /// The span in which runs may be due.
    #[must_use]
    pub const fn bounds(&self) -> Bounds {
        Bounds { start: self.start_date, end: self.end_date }
    }

    /// Finds a task by its id.
    #[must_use]
    pub fn task(&self, task_id: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.task_id.as_str() == task_id)
    }

    /// The group around a group: the one that it names, else the longest other one that its id begins with.
    #[must_use]
    pub fn parent_group(&self, group_id: &str) -> Option<&str> {
        let ids = || self.groups.iter().map(|group| group.group_id.as_str());
        let is_around =
            |other: &&str| group_id.strip_prefix(*other).is_some_and(|rest| rest.starts_with('.'));
        let named = self.groups.iter().find(|group| group.group_id.as_str() == group_id);
        let named = named.and_then(|group| group.parent.as_ref()).map(TaskId::as_str);
        named.or_else(|| ids().filter(is_around).max_by_key(|other| other.len()))
    }

    /// A group and those around it, the innermost first.
    pub fn with_those_around<'a>(&'a self, group_id: &'a str) -> impl Iterator<Item = &'a str> {
        let parent = |group: &&'a str| self.parent_group(group);
        std::iter::successors(Some(group_id), parent).take(self.groups.len() + 1)
    }

    /// The tasks of a group, and of the groups in it; none when there is no such group.
    #[must_use]
    pub fn in_group(&self, group_id: &str) -> Vec<TaskId> {
        let ids = self.groups.iter().map(|group| group.group_id.as_str());
        let inside: HashSet<&str> =
            ids.filter(|id| self.with_those_around(id).any(|around| around == group_id)).collect();
        let is_inside =
            |task: &&Task| task.group.as_ref().is_some_and(|group| inside.contains(group.as_str()));
        self.tasks.iter().filter(is_inside).map(|task| task.task_id.clone()).collect()
    }

    /// What a person means by an id: the task of that id, else the tasks of that group, else what does not exist.
    #[must_use]
    pub fn named(&self, id: &TaskId) -> Vec<TaskId> {
        let inside = if self.task(id.as_str()).is_none() { self.in_group(id.as_str()) } else { Vec::new() };
        if inside.is_empty() { vec![id.clone()] } else { inside }
    }

    /// The hash of the normal form, in hexadecimal: two files that mean the same have the same hash.
    #[must_use]
    pub fn content_hash(&self) -> String {
        let normal = serde_json::to_vec(self).unwrap_or_default();
        Sha256::digest(normal).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
